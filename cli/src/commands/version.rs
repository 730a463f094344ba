//! `kit-rs version`.

use serde_json::json;

use crate::ui::Ui;

/// Print the version
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, ui: &Ui) -> anyhow::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    ui.answer(format_args!("kit-rs {version}"), &json!({ "version": version }))
}
