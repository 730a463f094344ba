//! `kit-rs gitops render`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use gitops::{Name, Release, Tree};
use registry::Reference;

use crate::network::Network;
use crate::ui::Ui;

/// Write the app that runs an image, and the Flux Kustomization that points at it
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The runtime image; what it serves and how large it is are read from it
    image: Reference,
    /// The app: the folder apps/APP, and the namespace
    #[arg(long)]
    app: Name,
    /// Name of Deployment and Service [default: APP]
    #[arg(long)]
    name: Option<Name>,
    /// The namespace [default: APP]
    #[arg(long)]
    namespace: Option<Name>,
    /// The environment: the folder clusters/ENV
    #[arg(long, default_value = "dev")]
    env: Name,
    /// How many pods serve
    #[arg(long, default_value_t = 1, value_name = "N")]
    replicas: u32,
    /// The Secret for a private registry
    #[arg(long, value_name = "NAME")]
    pull_secret: Option<Name>,
    /// How many seconds a rollout may go without progress before it has failed
    #[arg(long, value_name = "SECONDS")]
    progress_deadline: Option<u64>,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let described = super::release::describe(&args.image, &args.network, ui)?;
    let mut release = Release::new(args.app, described.image);
    release.env = args.env;
    release.replicas = args.replicas;
    release.pull_secret = args.pull_secret;
    release.modelkit = described.runtime.modelkit;
    release.modelkit_digest = described.runtime.modelkit_digest;
    release.weight_bytes = described.runtime.model_bytes;
    if let Some(name) = args.name {
        release.name = name;
    }
    if let Some(namespace) = args.namespace {
        release.namespace = namespace;
    }
    if let Some(seconds) = args.progress_deadline {
        release.progress_deadline = Duration::from_secs(seconds);
    }
    let rendered = gitops::render(&release);
    check(&rendered, &args.dir, ui)?;
    super::written::write(&rendered, &args.dir, ui)
}

/// Refuses to write what Flux would refuse, seen together with what is there.
fn check(rendered: &Tree, dir: &std::path::Path, ui: &Ui) -> anyhow::Result<()> {
    let mut whole = if dir.is_dir() { Tree::read(dir)? } else { Tree::new() };
    whole.merge(rendered.clone());
    let warnings = gitops::check(&whole, None).context("the repository would not deploy")?;
    for warning in warnings {
        ui.warn(warning);
    }
    ui.no_warnings()
}
