//! `cargo xtask interop`: the real programs on the other side, in both directions.

mod hub;
mod resume;
mod transformers;

pub(crate) use transformers::PACKAGES;

use std::path::{Path, PathBuf};

use crate::build;
use crate::peers::Peers;
use crate::report::Report;

/// Show that the real programs on the other side understand us, and we them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this topic (repeatable): transformers, hub, resume
    #[arg(long, value_name = "TOPIC")]
    only: Vec<String>,
    /// The `kit-rs` to try, if it is built already
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// Runs every proof.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let mut report = Report::default();
    let wants = |topic: &str| args.only.is_empty() || args.only.iter().any(|only| only == topic);
    let program = match &args.program {
        Some(program) => fs_err::canonicalize(program)?,
        None => build::kit_rs(workspace)?,
    };
    if wants("transformers") {
        transformers::run(&mut report, &peers, &program, workspace)?;
    }
    if wants("hub") {
        hub::run(&mut report, &peers, &program, workspace)?;
    }
    if wants("resume") {
        resume::run(&mut report, &program, workspace)?;
    }
    report.end(&workspace.join("target/interop/report.json"))
}
