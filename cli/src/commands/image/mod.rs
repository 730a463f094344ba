//! `kit-rs image`: runtime images, without Docker.

mod dockerfile;
mod face;
mod server;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use modelkit::image::{self, ImageConfig, ImageOptions};
use modelkit::{Filter, ModelKit};
use registry::content::Digest;
use registry::{Layout, Reference};
use serde_json::json;

use crate::env;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::network::Network;
use crate::output::pinned;
use crate::steps::found::{explained, here, here_or_pulled, warn_of_unknown};
use crate::steps::runtime::runtime;
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Make and open runtime images, without Docker, or write what Docker makes one of
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Build(Build),
    Server(server::Args),
    MountFace(face::Args),
    Dockerfile(dockerfile::Args),
    Unpack(Unpack),
}

/// Make the image that serves a ModelKit: a static server, and the ModelKit's own model layers
#[derive(clap::Args)]
pub(crate) struct Build {
    /// The ModelKit; pulled when it is not in the local layout
    reference: Reference,
    /// Name of the image
    #[arg(short, long, value_name = "REFERENCE")]
    tag: Reference,
    /// The static program [default: kit-rs-runtime beside kit-rs, else kit-rs itself where it is
    /// static]
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// What the image is for: to serve the model, or to be mounted by what does (a Kubernetes image
    /// volume)
    #[arg(long = "for", value_enum, default_value_t = Purpose::Serving)]
    purpose: Purpose,
    /// Further parts of the ModelKit that go into the image, as in `unpack --filter` (repeatable)
    #[arg(long, value_name = "FILTER")]
    include: Vec<Filter>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

/// What an image is for.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Purpose {
    Serving,
    Volume,
}

/// Write the file system of an image into a folder, and show how it is started
#[derive(clap::Args)]
pub(crate) struct Unpack {
    /// The image; streamed from its registry when it is not in the local layout
    reference: Reference,
    /// The folder; made when it is not there
    #[arg(short, long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => build(args, ui),
        Command::Server(args) => server::run(args, ui),
        Command::MountFace(args) => face::run(args, ui),
        Command::Dockerfile(args) => dockerfile::run(args, ui),
        Command::Unpack(args) => unpack(args, ui),
    }
}

fn build(args: Build, ui: &Ui) -> anyhow::Result<()> {
    let reference = args.reference.or_latest();
    let (layout, kit) = kit(&reference, &args.include, &args.trust, &args.network, ui)?;
    let binary = match args.purpose {
        Purpose::Serving => Some(runtime(args.runtime)?),
        Purpose::Volume if args.runtime.is_some() => {
            return Err(asked_wrongly(
                "an image that is mounted has no program: leave --runtime out",
            ));
        }
        Purpose::Volume => None,
    };
    let options = ImageOptions {
        binary,
        include: args.include,
        reference: Some(reference.to_string()),
        created: env::source_date_epoch()?,
        ..ImageOptions::default()
    };
    let hold = layout.hold()?;
    let descriptor = explained(image::build(&kit, &layout, &options), &reference)
        .with_context(|| format!("cannot make an image of {reference}"))?;
    drop(hold);
    let target = args.tag.or_latest();
    layout.tag(&descriptor, &target)?;
    let document = json!({
        "reference": target.to_string(),
        "digest": descriptor.digest().to_string(),
        "modelkit": kit.digest().to_string(),
    });
    ui.answer(pinned(&target, descriptor.digest()), &document)
}

/// Reads a ModelKit in the local layout, where it is pulled to when it is not there; warns of parts
/// that are asked for and that it has not.
fn kit(
    reference: &Reference,
    include: &[Filter],
    trust: &TrustArgs,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<(Layout, ModelKit)> {
    let trusted = trust.read(ui)?;
    let layout = ui.layout()?;
    let descriptor = here_or_pulled(reference, &layout, &trusted, network, ui)?;
    let kit = explained(ModelKit::read(&layout, &descriptor), reference)?;
    warn_of_unknown(&kit, ui);
    let parents = modelkit::parents(kit.kitfile(), modelkit::in_layout(&layout))?;
    for warning in modelkit::idle(include, &kit, parents.iter()) {
        ui.warn(warning);
    }
    ui.no_warnings()?;
    Ok((layout, kit))
}

fn unpack(args: Unpack, ui: &Ui) -> anyhow::Result<()> {
    let reference = args.reference.or_latest();
    let (digest, config) = match here(&reference, ui)? {
        Some((layout, descriptor)) => {
            (descriptor.digest().clone(), image::unpack(&layout, &descriptor, &args.dir))
        }
        None => streamed(&reference, &args.dir, &args.network, ui)?,
    };
    let next = match config.as_ref().err() {
        Some(modelkit::Error::NotAnImage { problem, .. }) if problem.ends_with("a ModelKit") => {
            Some(format!("kit-rs unpack {reference} -d {}", args.dir.display()))
        }
        _ => None,
    };
    let config = explained(config, &reference);
    let config = match next {
        Some(next) => config.hint(next),
        None => config,
    };
    let config =
        config.with_context(|| format!("cannot unpack {reference} into {}", args.dir.display()))?;
    let document = json!({
        "digest": digest.to_string(),
        "dir": args.dir,
        "entrypoint": config.entrypoint,
        "env": config.env,
        "working_dir": config.working_dir,
        "user": config.user,
        "labels": config.labels,
    });
    ui.answer(args.dir.display(), &document)
}

/// Unpacks an image of a registry, of which nothing is kept.
fn streamed(
    reference: &Reference,
    dir: &Path,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<(Digest, modelkit::Result<ImageConfig>)> {
    let client = network.client(ui)?;
    let (descriptor, manifest, config) = ui
        .block_on(async {
            let (descriptor, manifest) = client.manifest(reference).await?;
            let config = explained(modelkit::config_descriptor(&manifest), reference)?;
            let config = client.read_blob(reference, &config).await?;
            Ok((descriptor, manifest, config))
        })
        .with_context(|| format!("cannot read {reference}"))?;
    // Resolved once: its blobs are those of the digest, whatever becomes of the tag.
    let digest = descriptor.digest().clone();
    let blobs = client.blobs(&reference.with_digest(digest.clone()), ui.handle());
    Ok((digest, image::unpack_from(&blobs, &descriptor, &manifest, &config, dir)))
}
