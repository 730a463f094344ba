//! How well a ModelKit does: as its Kitfile says it, or as somebody has signed it.

use std::path::PathBuf;

use anyhow::Context as _;
use gitops::promote::{Evaluation, Pins};
use registry::{Digest, Reference};
use trust::{EVALUATION, PublicKey};

use crate::network::Network;
use crate::steps::found::{Place, find_trusted};
use crate::steps::keys::public_key;
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// Whose evaluations count; none where those of Kitfiles do.
pub(super) struct Evaluators(Vec<PublicKey>);

impl Evaluators {
    /// Reads their keys.
    pub(super) fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        paths.iter().map(|path| public_key(path)).collect::<anyhow::Result<_>>().map(Self)
    }

    /// What is known of a ModelKit, at the digest that is pinned; the inner error says why that is
    /// nothing.
    pub(super) fn evaluations(
        &self,
        pins: &Pins,
        trusted: &Trusted,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<Result<Vec<Evaluation>, String>> {
        let name = pins.modelkit.as_deref().context("the app does not name its ModelKit")?;
        let digest: Digest = pins.modelkit_digest.as_deref().unwrap_or_default().parse()?;
        let reference = name.parse::<Reference>()?.with_digest(digest.clone());
        let unread = || format!("cannot read the evaluation of {reference}");
        let found = find_trusted(&reference, Place::Anywhere, trusted, network, ui);
        let kit = found.with_context(unread)?.kit;
        let model = kit.kitfile().model.as_ref();
        let parameters = model.map(|model| model.parameters.clone()).unwrap_or_default();
        if self.0.is_empty() {
            let read = Evaluation::read(&parameters).map(|it| vec![it]);
            return Ok(read.map_err(|why| why.to_string()));
        }
        if reference.is_local() {
            return Ok(Err(format!("{name} names no registry, where it could be evaluated")));
        }
        let client = network.client(ui)?;
        let (mut said, mut without) = (Vec::new(), Vec::new());
        for key in &self.0 {
            let asked = ui.block_on(async {
                Ok(trust::attestations(&client, &reference, &digest, key, EVALUATION).await)
            })?;
            match asked {
                Ok(statements) => said.extend(statements.into_iter().map(|it| it.predicate)),
                Err(why @ trust::Error::Unattested { .. }) => without.push(why.to_string()),
                Err(error) => return Err(error).with_context(unread),
            }
        }
        if said.is_empty() {
            return Ok(Err(without.join("; ")));
        }
        Ok(Evaluation::stated(&said, &parameters).map_err(|why| why.to_string()))
    }
}
