use registry::{Layout, Reference};
use serde_json::json;

use anyhow::Context as _;

use crate::failure::asked_wrongly;
use crate::network::{Bars, Network};
use crate::output::pinned;
use crate::ui::Ui;

/// Download a ModelKit or an image into the local layout, verified
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to download, by tag or digest
    reference: Reference,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let reference = args.reference.or_latest();
    let pulled = pull(&reference, &ui.layout()?, &args.network, ui)?;
    let name = pinned(&reference, pulled.descriptor.digest());
    let document = json!({
        "reference": name,
        "digest": pulled.descriptor.digest().to_string(),
        "downloaded_bytes": pulled.downloaded_bytes,
        "existing_blobs": pulled.existing,
    });
    ui.answer(&name, &document)
}

/// Downloads what `reference` names into the layout.
pub(crate) fn pull(
    reference: &Reference,
    layout: &Layout,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<registry::Pulled> {
    if reference.is_local() {
        return Err(asked_wrongly(format!(
            "`{reference}` names no registry to pull from: write HOST/{reference}"
        )));
    }
    let client = network.client(ui)?;
    let bars = Bars::new(ui);
    ui.block_on(async {
        Ok(registry::pull(&client, reference, layout, &|event| bars.show(event)).await?)
    })
    .with_context(|| format!("cannot pull {reference}"))
}
