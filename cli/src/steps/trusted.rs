//! What has to be signed before anything of it is used.

use std::path::PathBuf;

use anyhow::Context as _;
use registry::{Client, Digest, Reference};
use trust::PublicKey;

use super::keys::public_key;
use crate::failure::WithHint as _;
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// Whose signature is asked for.
#[derive(clap::Args, Clone)]
pub(crate) struct RequireKey {
    /// Take only what this key has signed: a public key in PEM (repeatable: any of them); the
    /// registry is asked for the signature before anything else is brought
    #[arg(long, value_name = "FILE")]
    require_key: Vec<PathBuf>,
}

/// The keys of which one has to have signed, read before anything is asked for.
pub(crate) struct Trusted(Vec<PublicKey>);

impl RequireKey {
    pub(crate) fn read(&self) -> anyhow::Result<Trusted> {
        self.require_key.iter().map(|path| public_key(path)).collect::<Result<_, _>>().map(Trusted)
    }
}

impl Trusted {
    /// Nothing has to be signed.
    pub(crate) fn anybody() -> Self {
        Self(Vec::new())
    }

    /// Whether nothing has to be signed.
    pub(crate) fn takes_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Fails unless one of the keys has signed this digest, which was resolved before and is what
    /// will be used.
    pub(crate) async fn check(
        &self,
        client: &Client,
        reference: &Reference,
        digest: &Digest,
    ) -> anyhow::Result<()> {
        let mut refused = None;
        for key in &self.0 {
            match trust::verify(client, reference, digest, key).await {
                Ok(_) => return Ok(()),
                Err(error @ trust::Error::Unsigned { .. }) => refused = refused.or(Some(error)),
                Err(error) => return Err(error.into()),
            }
        }
        refused.map_or(Ok(()), |error| Err(error.into()))
    }

    /// The same for what was found already, here or there.
    pub(crate) fn require(
        &self,
        reference: &Reference,
        digest: &Digest,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<()> {
        if self.takes_all() {
            return Ok(());
        }
        let refused = || format!("cannot take {reference}");
        if reference.is_local() {
            return Err(trust::Error::Unsigned {
                digest: digest.clone(),
                key: self.0[0].fingerprint(),
                found: vec!["it names no registry, where signatures are".to_owned()],
            })
            .with_context(refused);
        }
        let client = network.client(ui)?;
        ui.block_on(self.check(&client, reference, digest))
            .with_context(refused)
            .hint_if(&[Kind::Untrusted], "kit-rs sign signs it; kit-rs verify says what is there")
    }
}
