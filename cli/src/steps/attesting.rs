//! A statement about a digest in a registry, signed and brought there.

use anyhow::Context as _;
use registry::{Client, Descriptor, Reference};
use serde_json::Value;
use trust::PrivateKey;

use crate::ui::Ui;

/// Says something of what a reference names; resolves it once, and says it of that digest. Returns
/// its descriptor, and that of the bundle.
pub(crate) fn attest(
    client: &Client,
    reference: &Reference,
    key: &PrivateKey,
    (of_type, predicate): (&str, Value),
    ui: &Ui,
) -> anyhow::Result<(Descriptor, Descriptor)> {
    // What is pushed is made here; nothing of it is needed again.
    let scratch = crate::env::temporary_folder().context("cannot make a temporary folder")?;
    let layout = registry::Layout::init(scratch.path())?;
    let said = ui
        .block_on(async {
            let subject = client.resolve(reference).await?;
            let bundle =
                trust::attest(client, reference, &subject, key, of_type, predicate, &layout);
            let bundle = bundle.await?;
            Ok((subject, bundle))
        })
        .with_context(|| format!("cannot attest {reference}"))?;
    ui.note(format_args!("signed with {}", key.public().fingerprint()));
    Ok(said)
}
