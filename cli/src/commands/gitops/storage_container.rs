//! `kit-rs gitops storage-container`.

use std::path::PathBuf;

use gitops::{ImageRef, Name};

use super::written::write;
use crate::network::Network;
use crate::ui::Ui;

/// Have KServe bring ModelKits: `storageUri: kit://HOST/REPOSITORY@sha256:…` in any InferenceService
///
/// Writes clusters/ENV/kit-storage.yaml, a ClusterStorageContainer for the whole cluster. `--delivery
/// kserve` needs none: there, the node mounts the model.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image of the server alone, by digest, as `image server` makes it
    image: ImageRef,
    /// The environment, whose folder Flux watches
    #[arg(long, default_value = "dev")]
    env: Name,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let host: registry::Reference = args.image.to_string().parse()?;
    let plain_http = args.network.client(ui)?.is_plain(host.registry())?;
    let tree = gitops::storage_container(&args.env, &args.image, plain_http)?;
    write(&tree, &args.dir, ui)
}
