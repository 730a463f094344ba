//! Whether a key has signed what a registry has, or what lies in a folder.

use std::path::Path;

use anyhow::Context as _;
use registry::Reference;
use serde_json::json;
use trust::{Form, PublicKey, model};

use crate::failure::WithHint as _;
use crate::kind::Kind;
use crate::network::NetworkOfKeys;
use crate::output::{n_of, pinned};
use crate::ui::Ui;

/// What the registry names by this reference is resolved once; what is answered is that digest.
pub(super) fn in_registry(
    reference: &Reference,
    key: &PublicKey,
    network: &NetworkOfKeys,
    ui: &Ui,
) -> anyhow::Result<()> {
    let client = network.client(ui)?;
    let verified = ui
        .block_on(async {
            let subject = client.resolve(reference).await?;
            Ok(trust::verify(&client, reference, subject.digest(), key).await?)
        })
        .with_context(|| format!("cannot verify {reference}"))
        .hint_if(&[Kind::Untrusted], "whoever has the private key signs it with kit-rs sign")?;
    let form = match verified.form {
        Form::Bundle => "bundle",
        _ => "tag",
    };
    ui.note(format_args!("signed by {}, in the form of a {form}", verified.key));
    let document = json!({
        "reference": reference.to_string(),
        "digest": verified.digest.to_string(),
        "key": verified.key,
        "form": form,
        "signature": verified.signature.digest().to_string(),
    });
    ui.answer(pinned(reference, &verified.digest), &document)
}

/// What is said of the digest that a reference names, in statements of one type.
pub(super) fn attested(
    reference: &Reference,
    key: &PublicKey,
    of_type: &str,
    network: &NetworkOfKeys,
    ui: &Ui,
) -> anyhow::Result<()> {
    let client = network.client(ui)?;
    let (digest, said) = ui
        .block_on(async {
            let subject = client.resolve(reference).await?;
            let digest = subject.digest().clone();
            let said = trust::attestations(&client, reference, &digest, key, of_type).await?;
            Ok((digest, said))
        })
        .with_context(|| format!("cannot verify {reference}"))
        .hint_if(&[Kind::Untrusted], "whoever has the private key says it with kit-rs attest")?;
    let n_said = n_of(said.len() as u64, "statement");
    ui.note(format_args!("{n_said} of the type {of_type}, signed by {}", key.fingerprint()));
    let document = json!({
        "reference": reference.to_string(),
        "digest": digest.to_string(),
        "key": key.fingerprint(),
        "type": of_type,
        "attestations": said.iter().map(|it| json!({
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
    key: &PublicKey,
    ui: &Ui,
) -> anyhow::Result<()> {
    let signature = signature.map_or_else(|| dir.join(model::SIGNATURE), Path::to_owned);
    let n_files = fs_err::read(&signature)
        .map_err(trust::Error::from)
        .and_then(|bundle| model::verify(dir, &bundle, &signature, key))
        .with_context(|| format!("cannot verify the files of {}", dir.display()))?;
    let fingerprint = key.fingerprint();
    ui.note(format_args!("{}, all signed by {fingerprint}", n_of(n_files as u64, "file")));
    ui.answer(dir.display(), &json!({ "files": n_files, "key": fingerprint }))
}
