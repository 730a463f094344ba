//! `kit-rs info`.

use registry::Reference;
use serde_json::Value;

use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::output::select;
use crate::steps::found::{Place, find, warn_of_unknown};
use crate::ui::Ui;

/// Show a ModelKit's Kitfile
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit, by tag or digest
    reference: Reference,
    /// Ask the registry, not the local layout
    #[arg(short, long)]
    remote: bool,
    /// Only this part, as a dotted path such as `model.parameters.accuracy` or `datasets.0.path`
    #[arg(short, long, value_name = "PATH")]
    filter: Option<String>,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let place = if args.remote { Place::Remote } else { Place::Anywhere };
    let kit = find(&args.reference.or_latest(), place, &args.network, ui)?.kit;
    warn_of_unknown(&kit, ui);
    if !kit.has_kitfile() {
        ui.note("it came without a Kitfile: this one is made of its layers and its config");
    }
    let document: Value = serde_json::from_str(&kit.kitfile().to_json())?;
    match &args.filter {
        None => ui.answer(kit.kitfile().to_yaml().trim_end(), &document),
        Some(path) => {
            let part = select(&document, path)
                .ok_or_else(|| asked_wrongly(format!("the Kitfile has no `{path}`")))?;
            let text = part
                .as_str()
                .map_or_else(|| serde_yaml::to_string(part), |text| Ok(text.to_owned()))?;
            ui.answer(text.trim_end(), part)
        }
    }
}
