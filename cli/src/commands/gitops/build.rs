//! `kit-rs gitops build`.

use std::path::PathBuf;

use anyhow::Context as _;
use gitops::Tree;
use gitops::kustomize::{self, Overlay};

use crate::ui::Ui;

/// Show the objects that a folder of the repository stands for, as `kustomize build` does
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder, relative to the repository
    path: String,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let tree = Tree::open(&args.dir)?;
    let objects = kustomize::build(&tree, &args.path, &Overlay::default())
        .with_context(|| format!("cannot build {}", args.path))?;
    let values: Vec<_> = objects.iter().map(gitops::Object::value).collect();
    ui.show(gitops::Object::to_yaml_all(&objects).trim_end(), &values)
}
