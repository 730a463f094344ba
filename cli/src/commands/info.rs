//! `kit-rs info`.

use registry::Reference;
use serde_json::{Map, Value};

use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::output::{select, yaml};
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
    /// (repeatable: several parts are shown under their paths)
    #[arg(short, long, value_name = "PATH")]
    filter: Vec<String>,
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
    let part = |path: &String| {
        select(&document, path).ok_or_else(|| asked_wrongly(format!("the Kitfile has no `{path}`")))
    };
    match &args.filter[..] {
        [] => ui.show(yaml(&kit.kitfile().to_yaml(), &document)?, &document),
        [path] => {
            let part = part(path)?;
            match part.as_str() {
                Some(text) => ui.show(text.trim_end(), part),
                None => ui.show(yaml(&serde_yaml::to_string(part)?, part)?, part),
            }
        }
        paths => {
            let parts: anyhow::Result<Map<_, _>> =
                paths.iter().map(|path| Ok((path.clone(), part(path)?.clone()))).collect();
            let parts = Value::Object(parts?);
            ui.show(yaml(&serde_yaml::to_string(&parts)?, &parts)?, &parts)
        }
    }
}
