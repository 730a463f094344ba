//! `cargo xtask interop`: the real programs on the other side, in both directions.

mod kit;
mod modelpack;
mod project;

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
}

/// What is shown.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Topic {
    /// ModelKits, with KitOps' `kit`
    Kit,
    /// CNCF ModelPacks, with their own tools
    Modctl,
}

/// Runs every proof.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let program = match &args.program {
        Some(program) => fs_err::canonicalize(program)?,
        None => build::lean_kit_rs(workspace, false)?,
    };
    let wants = |topic| args.only.is_empty() || args.only.contains(&topic);
    let mut report = Report::default();
    if wants(Topic::Kit) {
        kit::run(&peers, &program, workspace, &mut report)?;
    }
    if wants(Topic::Modctl) {
        modelpack::run(&peers, &program, workspace, &mut report)?;
    }
    report.end(&workspace.join("target/interop/report.json"))
}
