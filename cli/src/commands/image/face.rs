//! `kit-rs image mount-face`.

use anyhow::Context as _;
use modelkit::Filter;
use modelkit::image::{self, FaceOptions};
use registry::{Descriptor, Layout, Reference};
use serde_json::json;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::network::Network;
use crate::output::{self, pinned};
use crate::steps::bars::BlobBars;
use crate::steps::face::SUFFIX;
use crate::steps::found::explained;
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Make the mount face of a ModelKit: a second manifest over its own blobs, which Kubernetes mounts
/// as an image volume
///
/// It lies in the ModelKit's repository and names the ModelKit as its subject; pushing it uploads a
/// few KB. The same ModelKit always has the same one.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit; pulled when it is not in the local layout
    reference: Reference,
    /// Its tag in the ModelKit's repository [default: the ModelKit's, and `-mount`]
    #[arg(short, long, value_name = "TAG")]
    tag: Option<String>,
    /// Upload it, too
    #[arg(long)]
    push: bool,
    /// The processor of the nodes that mount it, by OCI's name [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    architecture: Option<String>,
    /// Further parts of the ModelKit that are mounted, as in `unpack --filter` (repeatable)
    #[arg(long, value_name = "FILTER")]
    include: Vec<Filter>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let reference = args.reference.or_latest();
    let tag = args.tag.or_else(|| reference.tag().map(|tag| format!("{tag}{SUFFIX}")));
    let Some(tag) = tag else {
        return Err(asked_wrongly(format!(
            "{reference} has no tag: give the mount face one, by -t"
        )));
    };
    if args.push && reference.is_local() {
        return Err(asked_wrongly(format!(
            "`{reference}` names no registry to push to: write HOST/{reference}"
        )));
    }
    let (layout, kit) = super::kit(&reference, &args.include, &args.trust, &args.network, ui)?;
    let target = reference.with_tag(&tag)?;
    let options = FaceOptions { include: args.include, architecture: args.architecture };
    let hold = layout.hold()?;
    let face = explained(image::mount_face(&kit, &layout, &options), &reference)
        .with_context(|| format!("cannot make the mount face of {reference}"))?;
    layout.tag(&face, &target)?;
    drop(hold);
    if args.push {
        push(&layout, &face, &target, &args.network, ui)?;
    }
    let document = json!({
        "reference": target.to_string(),
        "digest": face.digest().to_string(),
        "modelkit": kit.digest().to_string(),
        "pushed": args.push,
    });
    ui.answer(pinned(&target, face.digest()), &document)
}

fn push(
    layout: &Layout,
    face: &Descriptor,
    target: &Reference,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<()> {
    let client = network.client(ui)?;
    let bars = BlobBars::new(ui);
    let pushed = ui
        .block_on(async {
            let show = |event| bars.show(event);
            Ok(registry::push(layout, face, target, &client, &show).await?)
        })
        .with_context(|| format!("cannot push {target}"))
        .hint(format!("it is in the local layout: kit-rs push {target} tries again"))?;
    ui.note(output::pushed(&pushed));
    Ok(())
}
