//! `kit-rs attest`.

use std::path::PathBuf;

use fs_err as fs;
use registry::Reference;
use serde_json::{Value, json};

use crate::failure::asked_wrongly;
use crate::network::NetworkOfKeys;
use crate::output::pinned;
use crate::steps::attesting::attest;
use crate::steps::keys::{CertArgs, PasswordArgs};
use crate::steps::predicate::predicate_type;
use crate::ui::Ui;

/// Say something of a ModelKit in a registry, signed: where it comes from, what is in it, how well
/// it does
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit, by tag or digest; what is said is said of the digest
    reference: Reference,
    /// The private key, in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// What kind of statement: a URI, or one of cosign's short names (slsaprovenance1, cyclonedx,
    /// spdxjson, vuln, openvex, custom …)
    #[arg(long = "type", value_name = "TYPE", value_parser = predicate_type)]
    of_type: String,
    /// The statement, as JSON
    #[arg(long, value_name = "FILE")]
    predicate: PathBuf,
    #[command(flatten)]
    cert: CertArgs,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    network: NetworkOfKeys,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let reference = args.reference.or_latest();
    let text = fs::read_to_string(&args.predicate)?;
    let predicate: Value = serde_json::from_str(&text).map_err(|error| {
        asked_wrongly(format!("{} is no JSON: {error}", args.predicate.display()))
    })?;
    let client = args.network.client(ui)?;
    let key = args.cert.certify(args.password.private_key(&args.key, ui)?)?;
    let of_type = args.of_type.as_str();
    let (subject, bundle) = attest(&client, &reference, &key, (of_type, predicate), ui)?;
    let fingerprint = key.public().fingerprint();
    let document = json!({
        "reference": reference.to_string(),
        "digest": subject.digest().to_string(),
        "key": fingerprint,
        "type": args.of_type,
        "bundle": bundle.digest().to_string(),
    });
    ui.answer(pinned(&reference, subject.digest()), &document)
}
