//! What a rendered application asks of its cluster: signatures, digests, and a look at the model.

use clap::builder::TypedValueParser;
use gitops::{Admission, Trust};

use crate::steps::trusted::TrustArgs;

/// What the cluster is to ask for.
#[derive(clap::Args)]
pub(crate) struct AskedArgs {
    /// Have the API server refuse, in the app's namespace (repeatable, or with commas): images
    /// without a digest, those of volumes among them (digests); images that no --require-key has
    /// signed, where Kyverno is installed (kyverno)
    #[arg(long, help_heading = "Trust", value_name = "NAME", value_delimiter = ',', value_parser = admission())]
    admission: Vec<Admission>,
    /// Have the server itself check the model that it finds: its digest, and with --require-key the
    /// signature among its files (model.sig)
    #[arg(long, help_heading = "Trust")]
    check_model: bool,
}

impl AskedArgs {
    /// With the keys that are required here: Flux takes a --source by them, too.
    pub(super) fn trust(&self, required: &TrustArgs) -> anyhow::Result<Trust> {
        let keys = required.keys()?;
        Ok(Trust {
            keys: keys.iter().map(trust::PublicKey::to_pem).collect::<Result<_, _>>()?,
            admission: self.admission.iter().copied().collect(),
            checks_model: self.check_model,
        })
    }
}

/// Reads the name of a policy.
fn admission() -> impl TypedValueParser<Value = Admission> {
    clap::builder::PossibleValuesParser::new(Admission::ALL.map(Admission::name)).map(|name| {
        let mut all = Admission::ALL.into_iter();
        all.find(|admission| admission.name() == name).expect("one of the possible values")
    })
}
