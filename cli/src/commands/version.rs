//! `kit-rs version`.

use serde_json::json;

use crate::ui::Ui;

/// Print the version
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Taken because `kit` has it: kit-rs never asks for newer versions of itself
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    show_update_notifications: Option<bool>,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    if args.show_update_notifications == Some(true) {
        ui.note("kit-rs never asks for newer versions of itself, so there is nothing to notify of");
    }
    let version = env!("CARGO_PKG_VERSION");
    ui.answer(format_args!("kit-rs {version}"), &json!({ "version": version }))
}
