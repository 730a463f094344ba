//! `cargo xtask interop`: the real programs on the other side, in both directions.

mod serve;

use std::path::Path;

use crate::peers::Peers;
use crate::report::Report;

/// Show that the real programs on the other side understand us, and we them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this topic (repeatable): serve
    #[arg(long, value_name = "TOPIC")]
    only: Vec<String>,
}

/// Runs every proof.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let mut report = Report::default();
    let wanted = |topic: &str| args.only.is_empty() || args.only.iter().any(|only| only == topic);
    if wanted("serve") {
        serve::run(&peers, &mut report, workspace)?;
    }
    report.end(&workspace.join("target/interop/report.json"))
}
