//! `kit-rs gitops build`.

use std::path::PathBuf;

use anyhow::Context as _;
use gitops::Tree;
use gitops::kustomize::{self, Overlay};

use super::bases::with_bases;
use crate::network::Network;
use crate::ui::Ui;

/// Show the objects that a folder of the repository stands for, as `kustomize build` does
///
/// Resources and components may come from a registry, by digest:
/// oci://HOST/REPOSITORY@sha256:DIGEST//PATH. They are taken from the local layout, else pulled into
/// it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder, relative to the repository
    path: String,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let tree = with_bases(Tree::open(&args.dir)?, &args.network, ui);
    let objects = kustomize::build(&tree, &args.path, &Overlay::default())
        .with_context(|| format!("cannot build {}", args.path))?;
    let values: Vec<_> = objects.iter().map(gitops::Object::value).collect();
    ui.show(gitops::Object::to_yaml_all(&objects).trim_end(), &values)
}
