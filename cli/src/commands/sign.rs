//! `kit-rs sign`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use modelkit::Existing;
use registry::Reference;
use serde_json::json;
use trust::{Forms, PrivateKey, model};

use crate::failure::asked_wrongly;
use crate::network::NetworkOfKeys;
use crate::output::pinned;
use crate::steps::keys::{CertArgs, PasswordArgs};
use crate::steps::target::Target;
use crate::ui::Ui;

/// Sign a ModelKit in a registry, or the files of a folder
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A reference in a registry; or a folder, if it begins with `.` or `/`: it gets a file
    /// `model.sig` that holds wherever the files go
    target: Target,
    /// The private key, in PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// In which forms a signature is put beside a ModelKit: `bundle` is what cosign and Flux look
    /// for today, `tag` what older ones do
    #[arg(long, value_enum, value_delimiter = ',', default_value = "bundle,tag")]
    form: Vec<Form>,
    /// Where the signature of a folder goes [default: FOLDER/model.sig]
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    #[command(flatten)]
    cert: CertArgs,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    network: NetworkOfKeys,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A Sigstore bundle that refers to the manifest
    Bundle,
    /// The tag `sha256-….sig`
    Tag,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    match &args.target {
        Target::Folder(dir) => {
            let key = args.cert.certify(args.password.private_key(&args.key, ui)?)?;
            folder(dir, args.signature.as_deref(), &key, ui)
        }
        Target::Reference(_) if args.signature.is_some() => {
            Err(asked_wrongly("--signature is for folders: a registry keeps signatures itself"))
        }
        Target::Reference(reference) => {
            let reference = reference.clone().or_latest();
            in_registry(&reference, &args, ui)
        }
    }
}

fn in_registry(reference: &Reference, args: &Args, ui: &Ui) -> anyhow::Result<()> {
    let client = args.network.client(ui)?;
    let key = args.cert.certify(args.password.private_key(&args.key, ui)?)?;
    let forms =
        Forms { bundle: args.form.contains(&Form::Bundle), tag: args.form.contains(&Form::Tag) };
    // What is pushed is made here; nothing of it is needed again.
    let scratch = crate::env::temporary_folder().context("cannot make a temporary folder")?;
    let layout = registry::Layout::init(scratch.path())?;
    let signed = ui
        .block_on(async {
            let subject = client.resolve(reference).await?;
            Ok(trust::sign(&client, reference, &subject, &key, forms, &layout).await?)
        })
        .with_context(|| format!("cannot sign {reference}"))?;
    let fingerprint = key.public().fingerprint();
    ui.note(format_args!("signed with {fingerprint}"));
    let document = json!({
        "reference": reference.to_string(),
        "digest": signed.subject.digest().to_string(),
        "key": fingerprint,
        "bundle": signed.bundle.as_ref().map(|it| it.digest().to_string()),
        "tag": signed.tag.as_ref().map(|(tag, _)| tag.to_string()),
    });
    ui.answer(pinned(reference, signed.subject.digest()), &document)
}

fn folder(dir: &Path, signature: Option<&Path>, key: &PrivateKey, ui: &Ui) -> anyhow::Result<()> {
    let signature = signature.map_or_else(|| dir.join(model::SIGNATURE), Path::to_owned);
    let name = crate::env::folder_name(dir).unwrap_or_else(|| "model".to_owned());
    let bundle = model::sign(dir, &name, &signature, key)
        .with_context(|| format!("cannot sign the files of {}", dir.display()))?;
    modelkit::write_file(&signature, &bundle, Existing::Replace)?;
    let fingerprint = key.public().fingerprint();
    ui.note(format_args!("signed with {fingerprint}"));
    ui.answer(signature.display(), &json!({ "signature": signature, "key": fingerprint }))
}
