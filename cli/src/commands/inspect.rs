use registry::Reference;
use serde_json::{Value, json};

use crate::network::Network;
use crate::ui::Ui;

/// Show a ModelKit's digest, Kitfile and manifest as JSON
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit, by tag or digest
    reference: Reference,
    /// Ask the registry, not the local layout
    #[arg(short, long)]
    remote: bool,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let kit = super::info::kit(&args.reference.or_latest(), args.remote, &args.network, ui)?;
    let document = json!({
        "digest": kit.descriptor.digest().to_string(),
        "kitfile": serde_json::from_str::<Value>(&kit.kitfile.to_json())?,
        "manifest": serde_json::from_slice::<Value>(&kit.manifest_bytes)?,
    });
    ui.answer(serde_json::to_string_pretty(&document)?, &document)
}
