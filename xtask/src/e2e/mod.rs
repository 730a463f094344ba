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
mod place;
mod proof;
pub(crate) mod sentences;
mod server;
mod stage;
mod trust;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use lesson::Lesson;
use memory::Meter;
use place::Place;
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
    /// The cluster that it deploys to
    #[arg(long, value_enum, default_value = "up")]
    cluster: ClusterKind,
    /// With `kube`: a registry that its nodes pull from and we push to, as HOST/PATH [default: one
    /// of the story's own on loopback, for a cluster whose node is this machine]
    #[arg(long, value_name = "HOST/PATH")]
    registry: Option<String>,
    /// With `kube`: an empty repository that Flux fetches from and we push to [default: one of the
    /// story's own on loopback]
    #[arg(long, value_name = "URL")]
    git: Option<String>,
    /// The static `kit-rs` to tell it with, if it is built already
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Leave the cluster running at the end, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// Which cluster.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ClusterKind {
    /// `kit-rs gitops up`, a stand-in on this machine
    Up,
    /// The current context of kubectl, with the Flux that is there
    Kube,
}

/// Runs the story.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let lesson =
        Lesson::new(args.model.as_deref(), args.dataset.as_deref(), args.validation.as_deref())?;
    need_git()?;
    let place = match args.cluster {
        ClusterKind::Kube => Place::Kube { git: args.git.clone() },
        ClusterKind::Up => {
            let others = args.registry.as_ref().or(args.git.as_ref());
            anyhow::ensure!(others.is_none(), "--registry and --git are for --cluster kube");
            Place::Here
        }
    };
    let kit_rs = match &args.program {
        Some(program) => fs_err::canonicalize(program)?,
        None => crate::build::kit_rs(workspace)?,
    };
    let mut stage = Stage::set(&workspace.join("target/e2e"), &kit_rs)?;
    let meter = Meter::start()?;
    let result = tell(&mut stage, &lesson, &kit_rs, &place, args);
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

fn tell(
    stage: &mut Stage,
    lesson: &Lesson,
    runtime: &Path,
    place: &Place,
    args: &Args,
) -> anyhow::Result<()> {
    place::check(stage, place)?;
    model::import(stage, lesson)?;
    model::project(stage, lesson)?;
    model::train(stage)?;
    let first = package::pack(stage, "1.0.0")?;
    let registry = package::registry(stage, &first, args.registry.as_deref())?;
    proof::sign(stage, &registry, &first)?;
    let image = package::image(stage, &registry, &first, runtime)?;
    let infra = deploy::infra(stage, &image, place)?;
    let cluster = deploy::deploy(stage, &infra, lesson, place)?;
    proof::lineage(stage, &registry, &cluster, (&first, &image))?;
    let second = deploy::update(stage, &registry, &cluster, lesson, runtime)?;
    deploy::rollback(stage, &cluster, &first)?;
    trust::receiver(stage, &registry, &second)?;
    trust::rollout(stage, &registry, &cluster, &first, runtime)?;
    trust::drift(stage, &cluster, &first)?;
    trust::prune(stage, &cluster)?;
    if args.keep {
        stage.aside(|| deploy::keep(&cluster))?;
    }
    cluster.stop(stage)
}
