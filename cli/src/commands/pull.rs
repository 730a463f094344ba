//! `kit-rs pull`.

use registry::Reference;
use serde_json::json;

use crate::failure::WithHint as _;
use crate::interrupt::GOES_ON;
use crate::network::Network;
use crate::output::pinned;
use crate::steps::found::pull;
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Download a ModelKit or an image into the local layout, verified
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to download, by tag or digest
    reference: Reference,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let reference = args.reference.or_latest();
    let trusted = args.trust.read(ui)?;
    let pulling = pull(&reference, &ui.layout()?, &trusted, &args.network, ui);
    let pulled = match ui.interrupt().flow().is_break() {
        true => pulling.hint(GOES_ON)?,
        false => pulling?,
    };
    let name = pinned(&reference, pulled.descriptor.digest());
    let document = json!({
        "reference": name,
        "digest": pulled.descriptor.digest().to_string(),
        "downloaded_bytes": pulled.downloaded_bytes,
        "existing_blobs": pulled.existing,
    });
    ui.answer(&name, &document)
}
