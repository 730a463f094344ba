//! `kit-rs push`.

use anyhow::Context as _;
use registry::Reference;
use serde_json::json;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::interrupt::GOES_ON;
use crate::network::Network;
use crate::output::{self, pinned};
use crate::steps::bars::BlobBars;
use crate::steps::found::local;
use crate::ui::Ui;

/// Upload a ModelKit or an image to a registry
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to upload
    source: Reference,
    /// Where to, if under another name
    destination: Option<Reference>,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let source = args.source.or_latest();
    let target = args.destination.map_or_else(|| source.clone(), |to| to.or_latest());
    if target.is_local() {
        return Err(asked_wrongly(format!(
            "`{target}` names no registry to push to: write HOST/{target}"
        )));
    }
    let (layout, descriptor) = local(&source, ui)?;
    refuse_local_parents(&layout, &descriptor, &target)?;
    let client = args.network.client(ui)?;
    let bars = BlobBars::new(ui);
    let pushing = ui
        .block_on(async {
            Ok(registry::push(&layout, &descriptor, &target, &client, &|event| bars.show(event))
                .await?)
        })
        .with_context(|| format!("cannot push {source} to {target}"));
    let pushed = match ui.interrupt().flow().is_break() {
        true => pushing.hint(GOES_ON)?,
        false => pushing?,
    };
    let name = pinned(&target, pushed.descriptor.digest());
    let document = json!({
        "reference": name,
        "digest": pushed.descriptor.digest().to_string(),
        "uploaded_bytes": pushed.uploaded_bytes,
        "uploaded_blobs": pushed.uploaded,
        "mounted_blobs": pushed.mounted,
        "existing_blobs": pushed.existing,
    });
    ui.note(output::pushed(&pushed));
    ui.answer(&name, &document)
}

/// What builds on a ModelKit of this machine is of use nowhere else.
fn refuse_local_parents(
    layout: &registry::Layout,
    descriptor: &registry::content::Descriptor,
    target: &Reference,
) -> anyhow::Result<()> {
    let Ok(kit) = modelkit::ModelKit::read(layout, descriptor) else { return Ok(()) };
    let Some(parent) = modelkit::local_references(kit.kitfile()).into_iter().next() else {
        return Ok(());
    };
    Err(anyhow::anyhow!("it builds on {parent}, which is in no registry: nobody could unpack it"))
        .hint(format!(
            "push {parent} as {}/NAME:TAG, name it so in the Kitfile, and pack again",
            target.registry()
        ))
}
