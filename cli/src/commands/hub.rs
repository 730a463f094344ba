use std::path::PathBuf;
use std::time::Duration;

use registry::server::Door;

use crate::failure::asked_wrongly;
use crate::ui::Ui;

/// Offer models the way Hugging Face's hub does
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
}

/// Serve a folder of models (ROOT/ORG/NAME/…) as a Hugging Face endpoint
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// The folder
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// HOST:PORT to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    addr: String,
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    let Command::Serve(args) = command;
    if !args.root.is_dir() {
        return Err(asked_wrongly(format!("{} is not a folder", args.root.display())));
    }
    let door = Door { tls: None, grace: Duration::from_secs(10) };
    super::router::serve(&args.addr, registry::hub::router(&args.root), door, std::future::pending(), ui)
}
