//! `cargo xtask interop`: the real programs on the other side, in both directions.

mod kill;
mod kit;
mod modelpack;
mod project;
mod registries;
mod serve;

use std::path::{Path, PathBuf};

use crate::build;
use crate::peers::Peers;
use crate::report::Report;

/// Show that the real programs on the other side understand us, and we them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these topics
    #[arg(long, value_enum)]
    only: Vec<Topic>,
    /// The `kit-rs` to try, if it is built already
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Draws the points of `kill` again
    #[arg(long)]
    seed: Option<u64>,
}

/// What is shown.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Topic {
    /// ModelKits, with KitOps' `kit`
    Kit,
    /// CNCF ModelPacks, with their own tools
    Modctl,
    /// Registries and registry clients
    Registries,
    /// Pushes and pulls that are killed at fifty points
    Kill,
    /// The inference server, with its clients, beside its peers, and under abuse
    Serve,
}

/// Runs every proof.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let program = match &args.program {
        Some(program) => fs_err::canonicalize(program)?,
        None => build::optimised(workspace)?,
    };
    let wants = |topic| args.only.is_empty() || args.only.contains(&topic);
    let mut report = Report::default();
    if wants(Topic::Kit) {
        kit::run(&peers, &program, workspace, &mut report)?;
    }
    if wants(Topic::Modctl) {
        modelpack::run(&peers, &program, workspace, &mut report)?;
    }
    if wants(Topic::Registries) {
        registries::run(&peers, &program, workspace, &mut report)?;
    }
    if wants(Topic::Kill) {
        kill::run(&program, args.seed, workspace, &mut report)?;
    }
    if wants(Topic::Serve) {
        serve::run(&peers, &program, workspace, &mut report)?;
    }
    report.end(&workspace.join("target/interop/report.json"))
}
