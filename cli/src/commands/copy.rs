//! `kit-rs copy`.

use anyhow::Context as _;
use registry::Reference;
use serde_json::json;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::interrupt::GOES_ON;
use crate::network::Network;
use crate::output::{n_of, pinned};
use crate::steps::bars::BlobBars;
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Bring a ModelKit or an image from one registry to another, with its signatures and all else that
/// refers to it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to copy, by tag or digest
    source: Reference,
    /// Where to
    destination: Reference,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let (source, target) = (args.source.or_latest(), args.destination.or_latest());
    if let Some(local) = [&source, &target].into_iter().find(|it| it.is_local()) {
        return Err(asked_wrongly(format!("`{local}` names no registry: write HOST/{local}")))
            .hint("what is here is pushed: kit-rs push");
    }
    let trusted = args.trust.read(ui)?;
    let client = args.network.client(ui)?;
    let digest = ui
        .block_on(async { Ok(client.resolve(&source).await?.digest().clone()) })
        .with_context(|| format!("cannot copy {source}"))?;
    // Resolved once: what is checked is what is copied.
    trusted.require(&source, &digest, &args.network, ui)?;
    let layout = ui.layout()?;
    let bars = BlobBars::new(ui);
    let from = source.with_digest(digest);
    let copying = ui
        .block_on(async {
            Ok(registry::copy(&client, &from, &target, &layout, &|event| bars.show(event)).await?)
        })
        .with_context(|| format!("cannot copy {source} to {target}"));
    let copied = match ui.interrupt().flow().is_break() {
        true => copying.hint(GOES_ON)?,
        false => copying?,
    };
    let name = pinned(&target, copied.descriptor.digest());
    let along: Vec<String> = copied.along.iter().map(|it| it.digest().to_string()).collect();
    ui.note(format_args!(
        "{} came along; uploaded {}",
        n_of(along.len() as u64, "manifest"),
        n_of(copied.uploaded_bytes, "byte")
    ));
    let document = json!({
        "reference": name,
        "digest": copied.descriptor.digest().to_string(),
        "along": along,
        "downloaded_bytes": copied.downloaded_bytes,
        "uploaded_bytes": copied.uploaded_bytes,
        "mounted": copied.mounted,
    });
    ui.answer(&name, &document)
}
