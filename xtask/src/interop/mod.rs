//! `cargo xtask interop`: the real programs on the other side, in both directions.

mod hub;
mod kill;
mod kit;
mod modelpack;
mod project;
mod registries;
mod resume;
mod serve;
mod transformers;

use std::path::{Path, PathBuf};

pub(crate) use transformers::PACKAGES;

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
    /// Pushes, pulls and what writes into folders, killed at a hundred points
    Kill,
    /// Checkpoints, tokenizers and training, with PyTorch and transformers
    Transformers,
    /// Hugging Face's own client, before our hub and behind theirs
    Hub,
    /// Training that is killed and resumed
    Resume,
    /// The inference server, with its clients, beside its peers, and under abuse
    Serve,
}

impl Topic {
    const ALL: [Self; 8] = [
        Self::Kit,
        Self::Modctl,
        Self::Registries,
        Self::Kill,
        Self::Transformers,
        Self::Hub,
        Self::Resume,
        Self::Serve,
    ];

    /// Trains or imports, which only the whole program does.
    fn needs_all(self) -> bool {
        matches!(self, Self::Transformers | Self::Hub | Self::Resume)
    }
}

/// Runs every proof.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let given = args.program.as_deref().map(fs_err::canonicalize).transpose()?;
    let mut report = Report::default();
    for topic in
        Topic::ALL.into_iter().filter(|topic| args.only.is_empty() || args.only.contains(topic))
    {
        let program = match &given {
            Some(program) => program.clone(),
            None if topic.needs_all() => build::kit_rs(workspace)?,
            None => build::optimised(workspace)?,
        };
        match topic {
            Topic::Kit => kit::run(&peers, &program, workspace, &mut report),
            Topic::Modctl => modelpack::run(&peers, &program, workspace, &mut report),
            Topic::Registries => registries::run(&peers, &program, workspace, &mut report),
            Topic::Kill => kill::run(&program, args.seed, workspace, &mut report),
            Topic::Transformers => transformers::run(&peers, &program, workspace, &mut report),
            Topic::Hub => hub::run(&peers, &program, workspace, &mut report),
            Topic::Resume => resume::run(&peers, &program, workspace, &mut report),
            Topic::Serve => serve::run(&peers, &program, workspace, &mut report),
        }?;
    }
    report.end(&workspace.join("target/interop/report.json"))
}
