//! `kit-rs gitops bump`.

use std::path::PathBuf;

use anyhow::Context as _;
use gitops::edit::Bump;
use gitops::{Name, Tree};
use registry::Reference;

use crate::failure::WithHint as _;
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// Point an app at another image; every other byte of its files stays
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The new image
    image: Reference,
    /// The app: the folder apps/APP
    #[arg(long)]
    app: Name,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let described = super::release::describe(&args.image, &args.network, ui)?;
    let tree = Tree::read(&args.dir)?;
    let bump = Bump {
        app: args.app,
        image: described.image,
        modelkit: described.runtime.modelkit,
        modelkit_digest: described.runtime.modelkit_digest,
    };
    let changed = gitops::edit::bump(&tree, &bump)
        .with_context(|| format!("cannot point apps/{} at {}", bump.app, bump.image))
        .hint_if(&[Kind::NotFound], "run this in the repository that `kit-rs gitops render` wrote to, or name it with --dir")?;
    if changed.is_empty() {
        ui.note("it is there already");
    }
    super::written::write(&changed, &args.dir, ui)
}
