//! `kit-rs gitops bump`.

use std::path::PathBuf;

use anyhow::Context as _;
use gitops::edit::Bump;
use gitops::{ImageRef, Name, Tree};
use registry::Reference;

use super::history::{Message, title};
use crate::failure::WithHint as _;
use crate::kind::Kind;
use crate::network::Network;
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Point an app at another image; every other byte of its files stays
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The new image
    image: Reference,
    /// The app: the folder apps/APP
    #[arg(long)]
    app: Name,
    /// The environment, where each has an overlay of its own
    #[arg(long)]
    env: Option<Name>,
    /// Commit the change, with trailers that name the digests
    #[arg(long)]
    commit: bool,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let trusted = args.trust.read(ui)?;
    let tree = super::bases::read(&args.dir, &args.network, ui)?;
    let pins = match gitops::promote::pins(&tree, &args.app, args.env.as_ref()) {
        Ok(pins) => Some(pins),
        // What says nothing of a delivery has its model in the image; what does not build may say so.
        Err(error) if is_missing(&error) => None,
        Err(error) => {
            return Err(error).with_context(|| format!("cannot tell what {} runs", args.app));
        }
    };
    let mut is_of_kit = false;
    let (bump, weights) = match pins.filter(|pins| pins.delivery.is_some()) {
        Some(pins) => {
            let (app, env) = (&args.app, args.env.as_ref());
            let (bump, weights) =
                super::delivered::bump(&args.image, app, env, &pins, &trusted, &args.network, ui)?;
            is_of_kit = weights.is_some();
            (bump, weights)
        }
        None => {
            let described = super::release::describe(&args.image, &trusted, &args.network, ui)?;
            let bump = Bump {
                app: args.app,
                env: args.env,
                image: described.image,
                modelkit: described.runtime.modelkit,
                modelkit_digest: described.runtime.modelkit_digest,
                face: None,
            };
            (bump, Some(described.runtime.model_bytes))
        }
    };
    let is_bare = bump.modelkit.is_none() && bump.modelkit_digest.is_none();
    let changed = match gitops::edit::bump(&tree, &bump) {
        Err(error) if is_bare => Err(error).hint(
            "an image that says which ModelKit it serves is made by: kit-rs image build MODELKIT -t IMAGE",
        ),
        changed => changed.map_err(anyhow::Error::from),
    };
    let changed = changed
        .with_context(|| format!("cannot point apps/{} at {}", bump.app, bump.image))
        .hint_if(&[Kind::NotFound], "run this in the repository that `kit-rs gitops render` wrote to, or name it with --dir")?;
    if let Some(weights) = weights {
        warn_of_size(&tree, &bump.app, bump.env.as_ref(), weights, ui);
    }
    ui.no_warnings()?;
    if changed.is_empty() {
        ui.note("it is there already");
    }
    let message = args.commit.then(|| {
        let title = title(&bump.app, bump.env.as_ref());
        let image = ImageRef { digest: None, ..bump.image.clone() }.to_string();
        // What was asked for: another image, or another ModelKit beside the same one.
        let what = bump.modelkit.clone().filter(|_| is_of_kit).unwrap_or(image);
        Message::new(format!("Point {title} at {what}"), &bump)
    });
    super::written::write_as(&changed, &tree, &args.dir, message.as_ref(), ui)
}

/// Warns of limits that a model does not fit into, which stay as they are.
pub(super) fn warn_of_size(tree: &Tree, app: &Name, env: Option<&Name>, weights: u64, ui: &Ui) {
    for (path, limit) in gitops::edit::small_memory(tree, app, env, weights) {
        let (has, needs) = (limit >> 20, gitops::memory(weights));
        ui.warn(format_args!(
            "{path}: a memory limit of {has}Mi is less than the {needs}Mi that this model gets from `gitops render`"
        ));
    }
    for (path, limit) in gitops::edit::small_volumes(tree, app, env, weights) {
        let (has, needs) = (limit >> 20, weights.div_ceil(1 << 20));
        ui.warn(format_args!(
            "{path}: a volume of {has}Mi is less than the {needs}Mi of this model: `gitops render` makes it anew"
        ));
    }
}

/// Whether there is nothing of which a delivery could be told; what the bump itself says of it is
/// more.
fn is_missing(error: &gitops::Error) -> bool {
    use gitops::Error::{Build, Kept, Missing, NothingToSet};
    match error {
        NothingToSet { .. } | Kept { .. } | Missing { .. } => true,
        Build { path, source } => matches!(&**source, Missing { path: missing } if missing == path),
        _ => false,
    }
}
