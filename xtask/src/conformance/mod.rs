//! `cargo xtask conformance`: ours against what others hold to be right: the official suite of the
//! distribution-spec, and kustomize itself.

pub(crate) mod kustomize;
mod registry;

use std::path::Path;

/// Run the official conformance suite of the distribution-spec against our registry, or judge our
/// builds by kustomize
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    registry: registry::Suite,
}

#[derive(clap::Subcommand)]
enum What {
    Kustomize(kustomize::Args),
}

/// Runs one suite.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    match &args.what {
        None => registry::run(&args.registry, workspace),
        Some(What::Kustomize(args)) => kustomize::run(args, workspace),
    }
}
