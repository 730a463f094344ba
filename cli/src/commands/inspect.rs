//! `kit-rs inspect`.

use registry::Reference;
use serde_json::{Value, json};

use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::output::select;
use crate::steps::found::{Place, find};
use crate::ui::Ui;

/// Show a ModelKit's digest, Kitfile and manifest as JSON
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit, by tag or digest
    reference: Reference,
    /// Ask the registry, not the local layout
    #[arg(short, long)]
    remote: bool,
    /// Only this part, as a dotted path such as `manifest.layers.0.digest`
    #[arg(short, long, value_name = "PATH")]
    filter: Option<String>,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let place = if args.remote { Place::Remote } else { Place::Anywhere };
    let kit = find(&args.reference.or_latest(), place, &args.network, ui)?.kit;
    let manifest: Value = serde_json::from_slice(kit.manifest_bytes())?;
    // As it came, with what this version does not know.
    let source: Value = serde_json::from_slice(kit.source())?;
    let (kitfile, config) = match kit.has_kitfile() {
        true => (source, None),
        false => (serde_json::from_str(&kit.kitfile().to_json())?, Some(source)),
    };
    let mut document = json!({
        "digest": kit.digest().to_string(),
        "cliVersion": manifest.pointer("/annotations/ml.kitops.modelkit.cli-version"),
        "kitfile": kitfile,
        "manifest": manifest,
    });
    if let Some(config) = config {
        document["config"] = config;
    }
    let part = match &args.filter {
        None => &document,
        Some(path) => select(&document, path)
            .ok_or_else(|| asked_wrongly(format!("there is no `{path}` to inspect")))?,
    };
    ui.show(crate::shown::json(&serde_json::to_string_pretty(part)?), part)
}
