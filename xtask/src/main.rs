//! `cargo xtask`: the story told end to end, and the chores of this workspace.
//!
//! It runs `kit-rs` as a program, as a user would, and never links what `kit-rs` is made of: no
//! burn, no axum, no reqwest.

mod bench;
mod browser;
mod build;
mod client;
mod conformance;
mod e2e;
mod interop;
mod kube;
mod measure;
mod peers;
mod process;
mod registries;
mod release;
mod report;
mod scratch;
mod serving;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

/// The story told end to end, and the chores of this workspace
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Task {
    E2e(e2e::Args),
    /// Build the lean static program that goes into runtime images
    Dist,
    Conformance(conformance::Args),
    Interop(interop::Args),
    #[command(subcommand)]
    Bench(bench::Bench),
}

#[expect(clippy::print_stderr, reason = "the one place that shows how a task ended")]
fn main() -> ExitCode {
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let result = match Task::parse() {
        Task::E2e(args) => e2e::run(&args, workspace),
        Task::Conformance(args) => conformance::run(&args, workspace),
        Task::Interop(args) => interop::run(&args, workspace),
        Task::Bench(bench) => bench::run(&bench, workspace),
        Task::Dist => {
            build::dist(workspace).map(|runtime| e2e::say(&runtime.display().to_string()))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
