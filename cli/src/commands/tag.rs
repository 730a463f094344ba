//! `kit-rs tag`.

use registry::Reference;
use serde_json::json;

use crate::steps::found::local;
use crate::ui::Ui;

/// Give a local ModelKit a further name
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit, by tag or digest
    source: Reference,
    /// Its further name; another registry or repository is fine
    target: Reference,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let (layout, descriptor) = local(&args.source.or_latest(), ui)?;
    let target = args.target.or_latest();
    layout.tag(&descriptor, &target)?;
    let digest = descriptor.digest();
    ui.answer(&target, &json!({ "reference": target.to_string(), "digest": digest.to_string() }))
}
