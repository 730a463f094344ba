//! What has to be signed before anything of it is used.

#[cfg(feature = "serve")]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use registry::{Client, Digest, Reference};
use trust::{Mode, Policy, PublicKey, Verdict};

use super::keys::public_key;
use crate::failure::WithHint as _;
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// Whose signature is asked for.
#[derive(clap::Args, Clone, Default)]
pub(crate) struct TrustArgs {
    /// Take only what this key has signed: a public key in PEM (repeatable: any of them); the
    /// registry is asked for the signature before anything else is brought
    #[arg(
        long,
        help_heading = "Trust",
        value_name = "FILE",
        env = "KIT_RS_REQUIRE_KEY",
        value_delimiter = ','
    )]
    require_key: Vec<PathBuf>,
    /// What has to be signed by whom, as docs/guide/trust.md tells [default: trust.yaml in the home
    /// folder of kit-rs, where there is one]
    #[arg(long, help_heading = "Trust", value_name = "FILE", env = "KIT_RS_TRUST_POLICY")]
    trust_policy: Option<PathBuf>,
}

/// The policies that hold, all of them, read before anything is asked for.
#[derive(Clone)]
pub(crate) struct Trusted {
    policies: Arc<[Policy]>,
    pickles: Mode,
}

impl TrustArgs {
    /// The keys that are asked for, beside what a policy's file says.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<PublicKey>> {
        self.require_key.iter().map(|path| public_key(path)).collect()
    }

    pub(crate) fn read(&self, ui: &Ui) -> anyhow::Result<Trusted> {
        let mut policies = vec![Policy::of_keys(self.keys()?)];
        let of_home = ui.home().trust_policy();
        let mut pickles = Mode::Warn;
        let file = self.trust_policy.clone().or_else(|| of_home.exists().then_some(of_home));
        if let Some(path) = file {
            let policy = Policy::read(&path, std::time::SystemTime::now);
            let policy = policy.with_context(|| format!("cannot read {}", path.display()))?;
            pickles = policy.pickles();
            policies.push(policy);
        }
        policies.retain(|policy| !policy.takes_all());
        Ok(Trusted { policies: policies.into(), pickles })
    }
}

impl Trusted {
    /// What holds of commands that have no flags for it.
    pub(crate) fn ambient(ui: &Ui) -> anyhow::Result<Self> {
        TrustArgs { trust_policy: crate::env::trust_policy(), ..TrustArgs::default() }.read(ui)
    }

    /// What becomes of files that have Python call something when it loads them.
    pub(crate) fn pickles(&self) -> Mode {
        self.pickles
    }

    /// Whether nothing has to be signed.
    pub(crate) fn takes_all(&self) -> bool {
        self.policies.is_empty()
    }

    /// Fails unless this digest, which was resolved before and is what will be used, is signed as
    /// it has to be. Returns what is only warned of.
    pub(crate) async fn check(
        &self,
        client: &Client,
        reference: &Reference,
        digest: &Digest,
    ) -> trust::Result<Vec<String>> {
        let mut warnings = Vec::new();
        for policy in self.policies.iter() {
            warnings.extend(warning(policy.check(client, reference, digest).await?));
        }
        Ok(warnings)
    }

    /// The same for what was found already, here or there.
    pub(crate) fn require(
        &self,
        reference: &Reference,
        digest: &Digest,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<()> {
        if !self.policies.iter().any(|policy| policy.asks_of(reference)) {
            return Ok(());
        }
        let client = network.client(ui)?;
        let checked = ui.block_on(async { Ok(self.check(&client, reference, digest).await?) });
        let warnings = checked.with_context(|| format!("cannot take {reference}")).hint_if(
            &[Kind::Untrusted],
            "kit-rs sign signs it; kit-rs verify says what is there",
        )?;
        tell(warnings, reference, ui)
    }

    /// The same for the files of a folder.
    #[cfg(feature = "serve")]
    pub(crate) fn require_folder(&self, dir: &Path, ui: &Ui) -> anyhow::Result<()> {
        for policy in self.policies.iter() {
            let checked = policy
                .check_folder(dir)
                .with_context(|| format!("cannot take the files of {}", dir.display()))
                .hint_if(&[Kind::Untrusted], format!("kit-rs sign {} --key KEY", dir.display()))?;
            tell(warning(checked), dir.display(), ui)?;
        }
        Ok(())
    }
}

fn warning(verdict: Verdict) -> Option<String> {
    match verdict {
        Verdict::Warned(refusal) => Some(refusal.to_string()),
        Verdict::Unasked | Verdict::Signed(_) => None,
    }
}

/// Warns before anything is used, so that it can still be refused.
pub(crate) fn tell(
    warnings: impl IntoIterator<Item = String>,
    what: impl std::fmt::Display,
    ui: &Ui,
) -> anyhow::Result<()> {
    for warning in warnings {
        ui.warn(format_args!("{what} is taken although {warning}"));
    }
    ui.no_warnings()
}
