//! `cargo xtask interop`: the real programs on the other side, in both directions.

mod attack;
mod flux;
mod hub;
mod kill;
mod kit;
mod kubernetes;
mod laptop;
mod modelpack;
mod policies;
mod project;
mod registries;
mod resume;
mod sdk;
mod serve;
mod transformers;
mod trust;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum as _;
pub(crate) use transformers::PACKAGES;

use crate::build;
use crate::peers::Peers;
use crate::report::Report;
use crate::scratch::{GIB, Scratch};

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
    /// The part of `kubernetes` or `deliveries` that runs in namespaces of its own
    #[arg(long, value_name = "DIR", hide = true, requires = "program")]
    inside: Option<PathBuf>,
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
    /// Hostile peers, with memory and descriptors limited
    Attack,
    /// Signatures, with cosign and OpenSSF Model Signing
    Trust,
    /// The real Flux in a real Kubernetes, beside our own cluster
    Flux,
    /// The real kubectl and flux at our own cluster
    Laptop,
    /// Flux' other controllers, Argo CD, Kyverno and the definitions of KServe, with what we render for them
    Controllers,
    /// A real node with containerd, and what runs on it
    Kubernetes,
    /// Models that are mounted, brought or followed on such a node, and environments
    Deliveries,
    /// What we render, and our policies, with checkov, kube-linter, kube-score and Kubernetes' schemas
    Policies,
}

impl Topic {
    const ALL: [Self; 16] = [
        Self::Kit,
        Self::Modctl,
        Self::Registries,
        Self::Kill,
        Self::Transformers,
        Self::Hub,
        Self::Resume,
        Self::Serve,
        Self::Attack,
        Self::Trust,
        Self::Flux,
        Self::Laptop,
        Self::Controllers,
        Self::Kubernetes,
        Self::Deliveries,
        Self::Policies,
    ];

    /// Trains, imports or knows GitOps, which only the whole program does; or puts it into an image,
    /// for which it is static.
    fn needs_all(self) -> bool {
        matches!(
            self,
            Self::Kit
                | Self::Transformers
                | Self::Hub
                | Self::Resume
                | Self::Trust
                | Self::Flux
                | Self::Laptop
                | Self::Controllers
                | Self::Kubernetes
                | Self::Deliveries
                | Self::Policies
        )
    }

    /// The most that its folder holds at a time.
    fn bytes(self) -> u64 {
        match self {
            Self::Kit | Self::Modctl | Self::Policies | Self::Resume => GIB / 2,
            Self::Controllers
            | Self::Flux
            | Self::Kill
            | Self::Laptop
            | Self::Registries
            | Self::Serve
            | Self::Transformers
            | Self::Trust => GIB,
            Self::Hub | Self::Kubernetes | Self::Deliveries => 2 * GIB,
            Self::Attack => 4 * GIB,
        }
    }
}

/// Runs every proof.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let peers = Peers::new(workspace)?;
    let given = args.program.as_deref().map(fs_err::canonicalize).transpose()?;
    if let (Some(program), Some(dir)) = (&given, &args.inside) {
        let part = match args.only.contains(&Topic::Deliveries) {
            true => kubernetes::Part::Deliveries,
            false => kubernetes::Part::Images,
        };
        return kubernetes::inside(part, program, workspace, dir);
    }
    let mut report = Report::default();
    for topic in
        Topic::ALL.into_iter().filter(|topic| args.only.is_empty() || args.only.contains(topic))
    {
        let program = match &given {
            Some(program) => program.clone(),
            None if topic.needs_all() => build::kit_rs(workspace)?,
            None => build::optimised(workspace)?,
        };
        let value = topic.to_possible_value().context("each topic has a name")?;
        let name = value.get_name();
        let scratch = Scratch::new(&workspace.join("target/interop").join(name), topic.bytes())?;
        let dir = scratch.path();
        match topic {
            Topic::Kit => kit::run(&peers, &program, workspace, dir, &mut report),
            Topic::Modctl => modelpack::run(&peers, &program, dir, &mut report),
            Topic::Registries => registries::run(&peers, &program, dir, &mut report),
            Topic::Kill => kill::run(&program, args.seed, dir, &mut report),
            Topic::Transformers => transformers::run(&peers, &program, workspace, dir, &mut report),
            Topic::Hub => hub::run(&peers, &program, workspace, dir, &mut report),
            Topic::Resume => resume::run(&peers, &program, workspace, dir, &mut report),
            Topic::Serve => serve::run(&peers, &program, workspace, dir, &mut report),
            Topic::Flux => flux::run(&peers, &program, workspace, dir, &mut report),
            Topic::Laptop => laptop::run(&program, workspace, dir, &mut report),
            Topic::Controllers => flux::beside(&peers, &program, workspace, dir, &mut report),
            Topic::Kubernetes => {
                kubernetes::run(kubernetes::Part::Images, &peers, &program, dir, &mut report)
            }
            Topic::Deliveries => {
                kubernetes::run(kubernetes::Part::Deliveries, &peers, &program, dir, &mut report)
            }
            Topic::Policies => policies::run(&peers, &program, dir, &mut report),
            Topic::Attack => attack::run(&peers, &program, workspace, dir, &mut report),
            Topic::Trust => trust::run(&peers, &program, dir, &mut report),
        }?;
    }
    report.end(&workspace.join("target/interop/report.json"))
}
