//! `kit-rs logout`.

use serde_json::json;

use crate::network::credentials;
use crate::ui::Ui;

/// Forget the credential for a registry
#[derive(clap::Args)]
pub(crate) struct Args {
    /// HOST or HOST:PORT
    registry: String,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let registry = &args.registry;
    // Whoever logs out wants to be logged out, and is: `kit` and `docker` do not fail either.
    let was_there = credentials(ui).erase(registry)?;
    let text = match was_there {
        true => format!("logged out from {registry}"),
        false => format!("not logged in to {registry}: there is no credential to forget"),
    };
    ui.answer(text, &json!({ "registry": registry, "forgotten": was_there }))
}
