//! `kit-rs logout`.

use serde_json::json;

use crate::failure::asked_wrongly;
use crate::network::credentials;
use crate::ui::Ui;

/// Forget the credential for a registry
#[derive(clap::Args)]
pub(crate) struct Args {
    /// HOST or HOST:PORT
    registry: String,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    if !credentials(ui).erase(&args.registry)? {
        return Err(asked_wrongly(format!("there is no credential for {}", args.registry)));
    }
    ui.answer(
        format_args!("logged out from {}", args.registry),
        &json!({ "registry": args.registry }),
    )
}
