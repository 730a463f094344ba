//! Whether a key has signed what a registry has, or what lies in a folder.

use std::path::Path;

use anyhow::Context as _;
use registry::Reference;
use serde_json::json;
use trust::{Form, Signer, model};

use crate::failure::WithHint as _;
use crate::kind::Kind;
use crate::network::NetworkOfKeys;
use crate::output::{n_of, pinned};
use crate::ui::Ui;

/// What the registry names by this reference is resolved once; what is answered is that digest.
pub(super) fn in_registry(
    reference: &Reference,
    signer: &Signer,
    network: &NetworkOfKeys,
    ui: &Ui,
) -> anyhow::Result<()> {
    let client = network.client(ui)?;
    let verified = ui
        .block_on(async {
            let subject = client.resolve(reference).await?;
            Ok(trust::verify(&client, reference, subject.digest(), signer).await?)
        })
        .with_context(|| format!("cannot verify {reference}"))
        .hint_if(&[Kind::Untrusted], "whoever has the private key signs it with kit-rs sign")?;
    let form = match verified.form {
        Form::Bundle => "bundle",
        _ => "tag",
    };
    let by = by(&verified.key, verified.certificate.as_deref());
    ui.note(format_args!("signed by {by}, in the form of a {form}"));
    let mut document = json!({
        "reference": reference.to_string(),
        "digest": verified.digest.to_string(),
        "key": verified.key,
        "form": form,
        "signature": verified.signature.digest().to_string(),
    });
    if let Some(certificate) = verified.certificate {
        document["certificate"] = certificate.into();
    }
    ui.answer(pinned(reference, &verified.digest), &document)
}

/// What is said of the digest that a reference names, in statements of one type.
pub(super) fn attested(
    reference: &Reference,
    signer: &Signer,
    of_type: &str,
    network: &NetworkOfKeys,
    ui: &Ui,
) -> anyhow::Result<()> {
    let client = network.client(ui)?;
    let (digest, said) = ui
        .block_on(async {
            let subject = client.resolve(reference).await?;
            let digest = subject.digest().clone();
            let said = trust::attestations(&client, reference, &digest, signer, of_type).await?;
            Ok((digest, said))
        })
        .with_context(|| format!("cannot verify {reference}"))
        .hint_if(&[Kind::Untrusted], "whoever has the private key says it with kit-rs attest")?;
    let n_said = n_of(said.len() as u64, "statement");
    ui.note(format_args!("{n_said} of the type {of_type}, signed by {}", signer.name()));
    let document = json!({
        "reference": reference.to_string(),
        "digest": digest.to_string(),
        // Under one root several may have said something.
        "key": said.first().filter(|one| said.iter().all(|it| it.key == one.key)).map(|it| it.key.clone()),
        "type": of_type,
        "attestations": said.iter().map(|it| json!({
            "key": it.key,
            "certificate": it.certificate,
            "bundle": it.signature.digest().to_string(),
            "predicate": it.predicate,
        })).collect::<Vec<_>>(),
    });
    // What is said is for programs: as it was signed, a statement a line.
    let lines: Vec<String> = said.iter().map(|it| it.predicate.to_string()).collect();
    ui.answer(lines.join("\n"), &document)
}

pub(super) fn of_folder(
    dir: &Path,
    signature: Option<&Path>,
    signer: &Signer,
    ui: &Ui,
) -> anyhow::Result<()> {
    let signature = signature.map_or_else(|| dir.join(model::SIGNATURE), Path::to_owned);
    let verified = fs_err::read(&signature)
        .map_err(trust::Error::from)
        .and_then(|bundle| model::verify(dir, &bundle, &signature, signer))
        .with_context(|| format!("cannot verify the files of {}", dir.display()))?;
    let by = by(&verified.key, verified.certificate.as_deref());
    ui.note(format_args!("{}, all signed by {by}", n_of(verified.n_files as u64, "file")));
    let mut document = json!({ "files": verified.n_files, "key": verified.key });
    if let Some(certificate) = verified.certificate {
        document["certificate"] = certificate.into();
    }
    ui.answer(dir.display(), &document)
}

/// The key, and the certificate by which it counts.
fn by(key: &str, certificate: Option<&str>) -> String {
    certificate.map_or_else(|| key.to_owned(), |it| format!("{key}, of the certificate {it}"))
}
