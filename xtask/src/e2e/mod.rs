//! `cargo xtask e2e`: from a Hugging Face checkpoint to a served, GitOps-deployed, updated and
//! rolled-back model, on one machine.
//!
//! Every step is a command line that a user would type, run by the same program; what the story
//! claims is checked, and the first false claim ends it. What it leaves lies in `target/e2e/`.

pub(crate) mod checkpoint;
mod cluster;
mod deploy;
mod lesson;
mod memory;
mod model;
mod package;
pub(crate) mod sentences;
mod server;
mod stage;
mod trust;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use lesson::Lesson;
use memory::Meter;
use stage::Stage;
pub(crate) use stage::say;

/// Tell the whole story on this machine, and check what it claims
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A checkpoint folder with the hub's file names, or `hf:ORG/NAME` from the hub itself
    /// [default: a small one, made on the spot]
    #[arg(long, value_name = "DIR|hf:ORG/NAME")]
    model: Option<String>,
    /// Labelled sentences to learn from, as {"samples": [{"text", "label"}]} [default: the story's
    /// own]
    #[arg(long, value_name = "FILE", requires = "model")]
    dataset: Option<PathBuf>,
    /// Labelled sentences that the deployed server is asked, in the same form [default: every tenth
    /// of the dataset, held out]
    #[arg(long, value_name = "FILE", requires = "dataset")]
    validation: Option<PathBuf>,
    /// Leave the cluster running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Runs the story.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let lesson =
        Lesson::new(args.model.as_deref(), args.dataset.as_deref(), args.validation.as_deref())?;
    need_git()?;
    let kit_rs = crate::build::kit_rs(workspace)?;
    let mut stage = Stage::set(&workspace.join("target/e2e"), &kit_rs)?;
    let meter = Meter::start()?;
    let result = tell(&mut stage, &lesson, &kit_rs, args.keep);
    say(&stage.table());
    say(&format!("peak memory, everything together: {} MiB", meter.peak()));
    result.context("the story broke off; everything it made lies in target/e2e")?;
    say("every claim held; everything that the story made lies in target/e2e");
    Ok(())
}

/// The one program that the story needs and does not build.
fn need_git() -> anyhow::Result<()> {
    let found = Command::new("git").arg("--version").output();
    found
        .context(
            "git is not installed; the story keeps what runs in Git (Debian: apt-get install git)",
        )
        .map(drop)
}

fn tell(stage: &mut Stage, lesson: &Lesson, runtime: &Path, keep: bool) -> anyhow::Result<()> {
    model::import(stage, lesson)?;
    model::project(stage, lesson)?;
    model::train(stage)?;
    let first = package::pack(stage, "1.0.0")?;
    let registry = package::registry(stage, &first)?;
    let image = package::image(stage, &registry, &first, runtime)?;
    let infra = deploy::infra(stage, &image)?;
    let cluster = deploy::deploy(stage, &infra, lesson)?;
    let second = deploy::update(stage, &registry, &cluster, lesson, runtime)?;
    deploy::rollback(stage, &cluster, &first)?;
    trust::receiver(stage, &registry, &second)?;
    trust::rollout(stage, &registry, &cluster, &first, runtime)?;
    trust::drift(stage, &cluster, &first)?;
    trust::prune(stage, &cluster)?;
    if keep {
        deploy::keep(&cluster)?;
    }
    cluster.stop()
}
