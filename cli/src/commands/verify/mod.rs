//! `kit-rs verify`.

mod signature;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use modelkit::{Likeness, ModelKit, Rebuilt};
use registry::Reference;
use serde_json::json;
use trust::Signer;

use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::network::NetworkOfKeys;
use crate::output::{human_size, n_of, pinned};
use crate::steps::found::{local, repair};
use crate::steps::keys::{public_key, roots};
use crate::steps::predicate::predicate_type;
use crate::steps::project::{kitfile_in, read_kitfile};
#[cfg(feature = "full")]
use crate::steps::retrain;
use crate::steps::target::Target;
use crate::ui::Ui;

/// Prove that a local ModelKit is what its digests say, blob by blob; with --key, that a key has
/// signed what a registry has or what lies in a folder
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("signer").args(["key", "cert_root"]))]
pub(crate) struct Args {
    /// The ModelKit, by tag or digest; with --key also a folder, if it begins with `.` or `/`
    target: Target,
    /// The public key that has to have signed it, in PEM; the registry is asked for what it has
    #[arg(long, value_name = "FILE", conflicts_with = "rebuild")]
    key: Option<PathBuf>,
    /// In the place of a key: roots (one PEM file), one of which has to vouch now for the certificate
    /// that the signature brings
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key", "rebuild"], alias = "ca-roots")]
    cert_root: Option<PathBuf>,
    /// Where the signature of a folder is [default: FOLDER/model.sig]
    #[arg(long, value_name = "FILE", requires = "signer")]
    signature: Option<PathBuf>,
    /// Show what the key's holder says of it in statements of this type, as `kit-rs attest` and
    /// `cosign attest` bring them; there has to be one
    #[arg(long = "type", value_name = "TYPE", requires = "signer", value_parser = predicate_type)]
    of_type: Option<String>,
    /// Also pack this folder again, as the ModelKit says it was packed, and prove that the same
    /// digest comes out
    #[arg(long, value_name = "DIR")]
    rebuild: Option<PathBuf>,
    #[cfg(feature = "full")]
    #[command(flatten)]
    training: retrain::TrainingArgs,
    #[command(flatten)]
    network: NetworkOfKeys,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let signer = match (&args.key, &args.cert_root) {
        (Some(key), _) => Some(Signer::Key(public_key(key)?)),
        (None, Some(path)) => Some(Signer::Roots(roots(path)?)),
        (None, None) => None,
    };
    let reference = match (args.target, signer) {
        (Target::Folder(_), Some(_)) if args.of_type.is_some() => {
            return Err(asked_wrongly("--type is for what lies in a registry"));
        }
        (Target::Folder(dir), Some(signer)) => {
            return signature::of_folder(&dir, args.signature.as_deref(), &signer, ui);
        }
        (Target::Reference(_), Some(_)) if args.signature.is_some() => {
            return Err(asked_wrongly("--signature is for folders"));
        }
        (Target::Reference(reference), Some(signer)) => {
            let reference = reference.or_latest();
            return match &args.of_type {
                Some(of_type) => {
                    signature::attested(&reference, &signer, of_type, &args.network, ui)
                }
                None => signature::in_registry(&reference, &signer, &args.network, ui),
            };
        }
        #[cfg(feature = "full")]
        (Target::Folder(dir), None) if args.training.is_asked() => {
            let subject = retrain::Subject::of_folder(&dir);
            let document = retrain::run(&args.training, &subject, ui)?;
            return ui.answer(subject.name, &document);
        }
        (Target::Folder(_), None) => {
            return Err(asked_wrongly(
                "a folder is verified with --key or --cert-root, by its signature",
            ));
        }
        (Target::Reference(reference), None) => reference.or_latest(),
    };
    let (layout, descriptor) = local(&reference, ui)?;
    let verified = layout.verify(&descriptor)?;
    for problem in &verified.problems {
        ui.warn(problem);
    }
    if !verified.problems.is_empty() {
        let n = verified.problems.len();
        let are = if n == 1 { "is not what it" } else { "are not what they" };
        let damaged = format!("{reference} is damaged: {n} of its blobs {are} should be");
        return Err(failure(Kind::Damaged, damaged)).hint(repair(&reference));
    }
    let bytes: u64 = verified.checked.iter().map(|blob| blob.size()).sum();
    ui.note(format_args!(
        "{}, {}: all are what their digests say",
        n_of(verified.checked.len() as u64, "blob"),
        human_size(bytes)
    ));
    let mut document = json!({
        "digest": descriptor.digest().to_string(),
        "blobs": verified.checked.len(),
        "bytes": bytes,
    });
    if let Some(dir) = &args.rebuild {
        let kit = ModelKit::read(&layout, &descriptor)?;
        let kitfile = match kitfile_in(dir) {
            None if dir.is_dir() => kit.kitfile().clone(),
            found => read_kitfile(dir, found.as_deref(), ui)?,
        };
        let rebuilt = modelkit::rebuild(&kit, &kitfile, dir, &layout, &|_| ui.interrupt().flow())
            .with_context(|| format!("cannot pack {} again", dir.display()))?;
        document["rebuilt"] = json!({
            "digest": rebuilt.digest.to_string(),
            "sameManifest": rebuilt.manifest == Likeness::Identical,
            "equalManifest": rebuilt.manifest != Likeness::Different,
            "sameKitfile": rebuilt.same_kitfile,
        });
        if kit.manifests().is_some() {
            ui.note("the manifests that it carries are in no folder, and were taken as they are");
        }
        judge(&rebuilt, &reference, ui)?;
    }
    #[cfg(feature = "full")]
    if args.training.is_asked() {
        let pinned = reference.with_digest(descriptor.digest().clone());
        let subject = retrain::Subject::of_modelkit(&pinned, ui)?;
        document["training"] = retrain::run(&args.training, &subject, ui)?;
    }
    ui.answer(pinned(&reference, descriptor.digest()), &document)
}

/// Says what was proven; fails when the folder gives something else.
fn judge(rebuilt: &Rebuilt, reference: &Reference, ui: &Ui) -> anyhow::Result<()> {
    for warning in &rebuilt.warnings {
        ui.warn(warning);
    }
    for layer in rebuilt.layers.iter().filter(|layer| layer.blob == Likeness::Different) {
        ui.warn(format_args!("{} {} is not what {reference} holds", layer.section, layer.path));
    }
    if !rebuilt.same_kitfile {
        ui.warn(format_args!("its Kitfile does not say what that of {reference} says"));
    }
    if rebuilt.manifest == Likeness::Identical {
        ui.note(format_args!("packed again: the same digest, {}", rebuilt.digest));
        return Ok(());
    }
    if !rebuilt.is_proven() {
        bail!(
            "the folder is not what {reference} was packed from: packed again it is {}",
            rebuilt.digest
        );
    }
    let how = if rebuilt.manifest == Likeness::Equal {
        "the same manifest, written in another order"
    } else {
        "another manifest"
    };
    ui.note(format_args!(
        "packed again: the same content in every layer, and {how}: {}",
        rebuilt.digest
    ));
    Ok(())
}
