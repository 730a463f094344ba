use std::path::PathBuf;

use registry::Layout;
use registry::server::{ServerOptions, router};

use crate::ui::Ui;

/// Run a registry of one's own
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
}

/// Serve a folder as an OCI registry
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// HOST:PORT to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "HOST:PORT")]
    addr: String,
    /// The folder: an OCI image layout; made when it is not there
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Refuse uploads and deletes
    #[arg(long)]
    read_only: bool,
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    let Command::Serve(args) = command;
    let layout = Layout::init(&args.root)?;
    let options = ServerOptions { read_only: args.read_only, ..ServerOptions::default() };
    super::router::serve(&args.addr, router(layout, options), ui)
}
