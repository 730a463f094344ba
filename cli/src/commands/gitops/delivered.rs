//! How a model reaches the pods: what a release has to know for it.

use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use gitops::edit::Bump;
use gitops::promote::Pins;
use gitops::{Delivery, ImageRef, Name, Release};
use modelkit::{ModelKit, Selection, Sources, UnpackOptions};
use registry::{Digest, Reference};

use super::release::Described;
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::steps::face::Of;
use crate::steps::found::{Place, find_trusted, together};
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

/// How the model reaches the pods.
#[derive(clap::Args)]
pub(super) struct DeliveryArgs {
    /// How the model reaches the pods: in the image; mounted by the node (Kubernetes 1.35); brought
    /// by an init container; brought by the server, which follows its tag; or by KServe, mounted
    #[arg(long, value_enum, default_value_t = Way::Baked)]
    delivery: Way,
    /// The ModelKit, unless it is in the image, which then is that of `kit-rs image server`
    #[arg(long, value_name = "REFERENCE")]
    modelkit: Option<Reference>,
    /// The mount face [default: the one that the registry has of the ModelKit]
    #[arg(long, value_name = "REFERENCE")]
    face: Option<Reference>,
    /// With `--delivery runtime`: how often the tag is looked at
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    watch: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    Baked,
    ImageVolume,
    Init,
    Runtime,
    Kserve,
}

/// How often a tag is looked at, in seconds, unless it is said.
const WATCH: u32 = 30;

/// A ModelKit that is not in the image.
pub(super) struct Kit {
    /// As it was named, with its tag.
    pub(super) reference: Reference,
    pub(super) kit: ModelKit,
    /// The bytes of its model's files.
    pub(super) bytes: u64,
    /// The layers of its model, those of what it builds on among them.
    model: Vec<Digest>,
}

impl Kit {
    fn of(&self) -> Of<'_> {
        Of { reference: &self.reference, kit: &self.kit, model: &self.model }
    }
}

impl DeliveryArgs {
    /// Completes a release by what the image, or the ModelKit beside it, says.
    pub(super) fn complete(
        &self,
        release: &mut Release,
        described: Described,
        trusted: &Trusted,
        network: &Network,
        ui: &Ui,
    ) -> anyhow::Result<()> {
        self.check()?;
        let Some(reference) = &self.modelkit else {
            let Described { image, runtime } = described;
            if runtime.modelkit_digest.is_none() {
                let says_none = format!("the image {image} says of no ModelKit that it serves it");
                return Err(anyhow::anyhow!(says_none))
                    .hint("make one that does: kit-rs image build MODELKIT -t IMAGE");
            }
            release.modelkit = runtime.modelkit;
            release.modelkit_digest = runtime.modelkit_digest;
            release.weight_bytes = runtime.model_bytes;
            return Ok(());
        };
        require_program(&described)?;
        let kit = read(reference, trusted, network, ui)?;
        let plain_http = network.client(ui)?.is_plain(reference.registry())?;
        release.delivery = match self.delivery {
            Way::Baked => Delivery::Baked,
            Way::ImageVolume => Delivery::ImageVolume { face: self.face(&kit, network, ui)? },
            Way::Kserve => Delivery::KServe { face: self.face(&kit, network, ui)? },
            Way::Init => Delivery::Init { plain_http },
            Way::Runtime => {
                let watch = Duration::from_secs(self.watch.unwrap_or(WATCH).into());
                Delivery::Runtime { plain_http, watch }
            }
        };
        release.modelkit = Some(name(&kit.reference));
        let follows = self.delivery == Way::Runtime;
        release.modelkit_digest = (!follows).then(|| kit.kit.digest().to_string());
        release.weight_bytes = kit.bytes;
        Ok(())
    }

    /// Refuses options that would not be heeded.
    fn check(&self) -> anyhow::Result<()> {
        let way = self.delivery.to_possible_value().expect("none is skipped");
        let way = way.get_name();
        let refuse = |option: &str, why: &str| {
            Err(asked_wrongly(format!("--{option} is not for --delivery {way}: {why}")))
        };
        let mounts = matches!(self.delivery, Way::ImageVolume | Way::Kserve);
        match (self.delivery, &self.modelkit) {
            (Way::Baked, Some(_)) => refuse("modelkit", "the image says what is in it"),
            (Way::Baked, None) if self.face.is_none() && self.watch.is_none() => Ok(()),
            (way_, None) if way_ != Way::Baked => Err(asked_wrongly(format!(
                "--delivery {way} needs --modelkit: the model is not in the image"
            ))),
            _ if self.face.is_some() && !mounts => refuse("face", "nothing is mounted"),
            _ if self.watch.is_some() && self.delivery != Way::Runtime => {
                refuse("watch", "no tag is followed")
            }
            _ => Ok(()),
        }
    }

    fn face(&self, kit: &Kit, network: &Network, ui: &Ui) -> anyhow::Result<ImageRef> {
        match &self.face {
            Some(face) => {
                let digest = kit.of().require(face, network, ui)?;
                let tag = face.tag().map(str::to_owned);
                Ok(pinned(face, tag, digest.to_string()))
            }
            None => found_face(kit, network, ui),
        }
    }
}

/// Refuses an image that has a model of its own, or no server.
fn require_program(described: &Described) -> anyhow::Result<()> {
    if described.runtime.is_program {
        return Ok(());
    }
    let message = format!("{} is not the image of the server alone", described.image);
    Err(failure(Kind::Invalid, message))
        .hint("make that, and name it: kit-rs image server -t IMAGE")
}

/// The mount face that there is of a ModelKit.
pub(super) fn found_face(kit: &Kit, network: &Network, ui: &Ui) -> anyhow::Result<ImageRef> {
    let (digest, tag) = kit.of().find(network, ui)?;
    Ok(pinned(&kit.reference, tag, digest.to_string()))
}

fn pinned(reference: &Reference, tag: Option<String>, digest: String) -> ImageRef {
    let name = format!("{}/{}", reference.registry(), reference.repository());
    ImageRef { name, tag, digest: Some(digest) }
}

/// A reference as manifests write it: with its registry, and without a digest.
fn name(reference: &Reference) -> String {
    let tag = reference.tag().map_or(String::new(), |tag| format!(":{tag}"));
    format!("{}/{}{tag}", reference.registry(), reference.repository())
}

/// Reads a ModelKit's documents, and how large its model is.
pub(super) fn read(
    reference: &Reference,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Kit> {
    let reference = reference.clone().or_latest();
    if reference.is_local() {
        return Err(asked_wrongly(format!(
            "`{reference}` names no registry that a cluster could ask: write HOST/{reference}"
        )));
    }
    let found = find_trusted(&reference, Place::Anywhere, trusted, network, ui)?;
    let kit = found.kit.clone();
    let filters = vec!["model".parse().expect("kit's own word")];
    let selection = Selection { filters, ..Selection::default() };
    let sources = together(found, selection, trusted, network, ui)?;
    let bytes = size(&sources).with_context(|| format!("cannot read the model of {reference}"))?;
    let model = sources.layers().iter().map(|it| it.layer.descriptor.digest().clone()).collect();
    Ok(Kit { reference, kit, bytes, model })
}

/// The bytes of a model's files. What is compressed says nothing of it, and is read for that.
fn size(sources: &Sources<'_>) -> anyhow::Result<u64> {
    let layers = sources.layers();
    let is_plain =
        |layer: &modelkit::Layer<'_>| layer.layer_type.compression == modelkit::Compression::None;
    if layers.iter().all(|chosen| is_plain(&chosen.layer)) {
        return Ok(layers.iter().map(|chosen| chosen.layer.descriptor.size()).sum());
    }
    let on = &|_| std::ops::ControlFlow::Continue(());
    let preview = modelkit::preview(sources, &UnpackOptions::default(), on)?;
    Ok(preview.layers.iter().flatten().map(|file| file.bytes).sum())
}

/// What an app whose model is not in its image is pointed at: another ModelKit, or another image of
/// the server; the rest stays. Returns the bytes that are loaded of the model, where that is another one.
pub(super) fn bump(
    reference: &Reference,
    app: &Name,
    env: Option<&Name>,
    pins: &Pins,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<(Bump, Option<u64>)> {
    let bump = pins.bump(app.clone(), env.cloned());
    match read(reference, trusted, network, ui) {
        Ok(kit) => {
            refuse_elsewhere(&kit, pins, network, ui)?;
            if pins.delivery.as_deref() == Some("runtime")
                && (reference.tag().is_none() || reference.digest().is_some())
            {
                return Err(asked_wrongly(format!(
                    "{app} follows a tag: name the ModelKit by one, without a digest"
                )));
            }
            let face = pins.face.as_ref().map(|_| found_face(&kit, network, ui)).transpose()?;
            let modelkit = Some(name(&kit.reference));
            let digest = pins.modelkit_digest.as_ref().map(|_| kit.kit.digest().to_string());
            // What follows a tag has two in memory while one takes the other's place.
            let n_loaded = if pins.delivery.as_deref() == Some("runtime") { 2 } else { 1 };
            let bytes = kit.bytes.saturating_mul(n_loaded);
            Ok((Bump { modelkit, modelkit_digest: digest, face, ..bump }, Some(bytes)))
        }
        Err(error) if is_no_kit(&error) => {
            let described = super::release::describe(reference, trusted, network, ui)?;
            require_program(&described)?;
            Ok((Bump { image: described.image, ..bump }, None))
        }
        Err(error) => Err(error),
    }
}

/// Pods that fetch the model may go out to the registry that they were rendered for, and to no other
/// port or protocol.
fn refuse_elsewhere(kit: &Kit, pins: &Pins, network: &Network, ui: &Ui) -> anyhow::Result<()> {
    if !matches!(pins.delivery.as_deref(), Some("init" | "runtime")) {
        return Ok(());
    }
    let before: Reference = pins.modelkit.as_deref().unwrap_or_default().parse()?;
    let client = network.client(ui)?;
    let (old, new) = (before.registry(), kit.reference.registry());
    let port = |registry: &str| registry.rsplit_once(':').map(|(_, port)| port.to_owned());
    if old == new || (port(old) == port(new) && client.is_plain(old)? == client.is_plain(new)?) {
        return Ok(());
    }
    let message = format!("its pods may ask {old} for the model, and {new} is asked another way");
    Err(failure(Kind::Invalid, message)).hint("render it anew: kit-rs gitops render")
}

fn is_no_kit(error: &anyhow::Error) -> bool {
    let says = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(modelkit::Error::NotAModelKit { .. }))
    };
    error.chain().any(says)
}

/// What speaks against running this elsewhere, and the bytes of its model.
pub(super) fn judge(
    pins: &Pins,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<(Option<String>, u64)> {
    let reference: Reference = pins.modelkit.as_deref().unwrap_or_default().parse()?;
    let digest: Digest = pins.modelkit_digest.as_deref().unwrap_or_default().parse()?;
    let kit = read(&reference.with_digest(digest), trusted, network, ui)?;
    let Some(face) = &pins.face else { return Ok((None, kit.bytes)) };
    let against = match kit.of().require(&face.to_string().parse()?, network, ui) {
        Ok(_) => None,
        Err(error) => Some(format!("what is mounted is another model: {error}")),
    };
    Ok((against, kit.bytes))
}
