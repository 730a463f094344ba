//! What a reference names, wherever it is: in the local layout, else in its registry.
//!
//! Only what the layout does not know is looked for elsewhere: a layout that cannot be read is an
//! error, and none is made only to look into it.

use anyhow::Context as _;
use modelkit::{ModelKit, Selection, Source, Sources};
use registry::content::Descriptor;
use registry::{Blobs, Error, Layout, LayoutError, Pulled, Reference, RepositoryBlobs};

use super::bars::BlobBars;
use super::trusted::{Trusted, tell};
use crate::failure::{WithHint as _, asked_wrongly};
use crate::network::Network;
use crate::output::human_size;
use crate::ui::Ui;

/// Where a command looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the local layout, then in the registry.
    Anywhere,
    /// In the local layout only.
    Local,
    /// In the registry only.
    Remote,
}

/// A ModelKit, and what opens its blobs.
pub(crate) struct Found {
    pub(crate) kit: ModelKit,
    blobs: Opener,
}

enum Opener {
    Local(Layout),
    Remote(RepositoryBlobs),
}

impl Found {
    /// The ModelKit with what opens its blobs.
    pub(crate) fn into_source(self) -> Source<'static> {
        let blobs: Box<dyn Blobs> = match self.blobs {
            Opener::Local(layout) => Box::new(layout),
            Opener::Remote(remote) => Box::new(remote),
        };
        Source { kit: self.kit, blobs }
    }

    /// The reference that it was found under in a registry; none when it is local.
    pub(crate) fn remote(&self) -> Option<&Reference> {
        match &self.blobs {
            Opener::Local(_) => None,
            Opener::Remote(remote) => Some(remote.reference()),
        }
    }
}

/// What the local layout has under a reference; only one that names a registry may be elsewhere.
pub(crate) fn here(reference: &Reference, ui: &Ui) -> anyhow::Result<Option<(Layout, Descriptor)>> {
    if reference.is_local() {
        return local(reference, ui).map(Some);
    }
    let Some(layout) = ui.layout_if_there()? else { return Ok(None) };
    match layout.resolve(reference) {
        Ok(descriptor) => Ok(Some((layout, descriptor))),
        Err(Error::Layout(LayoutError::UnknownReference { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What the local layout has under a reference; none is made only to look into it.
pub(crate) fn local(reference: &Reference, ui: &Ui) -> anyhow::Result<(Layout, Descriptor)> {
    let layout = existing_layout(reference, ui)?;
    let descriptor = layout.resolve(reference)?;
    Ok((layout, descriptor))
}

/// The layout that a reference must be in.
pub(crate) fn existing_layout(reference: &Reference, ui: &Ui) -> anyhow::Result<Layout> {
    ui.layout_if_there()?.ok_or_else(|| {
        let (reference, root) = (Box::new(reference.clone()), ui.home().storage());
        Error::Layout(LayoutError::UnknownReference { reference, root }).into()
    })
}

/// Says of an index how one of its members is named, and of a damaged layout what repairs it.
pub(crate) fn explained<T>(found: modelkit::Result<T>, reference: &Reference) -> anyhow::Result<T> {
    let error = match found {
        Ok(found) => return Ok(found),
        Err(error) => error,
    };
    let next = match &error {
        modelkit::Error::Index { members, .. } => Some(name_one(members, reference)),
        error if is_damage(error) => Some(repair(reference)),
        _ => None,
    };
    match next {
        Some(next) => Err(error).hint(next),
        None => Err(error.into()),
    }
}

/// The members of an index by the names that commands take.
fn name_one(members: &[modelkit::IndexMember], reference: &Reference) -> String {
    let line = |member: &modelkit::IndexMember| {
        let labels = member.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let about: Vec<String> = member.tag.clone().into_iter().chain(labels).collect();
        let name = reference.with_digest(member.digest.clone());
        if about.is_empty() {
            format!("\n{name}")
        } else {
            format!("\n{name} ({})", about.join(", "))
        }
    };
    let lines: String = members.iter().map(line).collect();
    format!("name one of its members by its digest:{lines}")
}

/// Whether content of the layout is missing or is not what its digest says.
pub(crate) fn is_damage(error: &modelkit::Error) -> bool {
    use modelkit::Refused;
    match error {
        modelkit::Error::Layout(error) => is_damaged(error),
        modelkit::Error::Layer { source: Refused::Digest { what, .. }, .. } => *what == "digest",
        modelkit::Error::Layer { source: Refused::Size { .. }, .. } => true,
        _ => false,
    }
}

fn is_damaged(error: &Error) -> bool {
    use registry::ContentError;
    matches!(
        error,
        Error::Layout(LayoutError::MissingBlob { .. })
            | Error::Content(ContentError::WrongSize { .. } | ContentError::WrongDigest { .. })
    )
}

/// The command that makes the layout whole again.
pub(crate) fn repair(reference: &Reference) -> String {
    match reference.is_local() {
        true => format!(
            "the local layout is damaged: `kit-rs verify {reference}` names every blob that is; pack it again, or pull it from where it was pushed"
        ),
        false => format!("the local layout is damaged: `kit-rs pull {reference}` repairs it"),
    }
}

/// What a reference names in the layout, where it is pulled to when it is not there; if it is signed
/// as it has to be.
pub(crate) fn here_or_pulled(
    reference: &Reference,
    layout: &Layout,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Descriptor> {
    match layout.resolve(reference) {
        Err(Error::Layout(LayoutError::UnknownReference { .. })) if !reference.is_local() => {
            Ok(pull(reference, layout, trusted, network, ui)?.descriptor)
        }
        found => {
            let found = found?;
            trusted.require(reference, found.digest(), network, ui)?;
            Ok(found)
        }
    }
}

/// Downloads what a reference names into the layout, if it is signed as it has to be: what is
/// resolved once is checked, and brought.
pub(crate) fn pull(
    reference: &Reference,
    layout: &Layout,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Pulled> {
    if reference.is_local() {
        return Err(asked_wrongly(format!(
            "`{reference}` names no registry to pull from: write HOST/{reference}"
        )));
    }
    let client = network.client(ui)?;
    let bars = BlobBars::new(ui);
    ui.block_on(async {
        let show = |event| bars.show(event);
        if trusted.takes_all() {
            return Ok(registry::pull(&client, reference, layout, &show).await?);
        }
        let digest = client.resolve(reference).await?.digest().clone();
        tell(trusted.check(&client, reference, &digest).await?, reference, ui)?;
        // Held until it has its tag: what nothing names is garbage.
        let _hold = layout.hold()?;
        let pinned = reference.with_digest(digest);
        let pulled = registry::pull(&client, &pinned, layout, &show).await?;
        if reference.tag().is_some() {
            layout.tag(&pulled.descriptor, reference)?;
        }
        Ok(pulled)
    })
    .with_context(|| format!("cannot pull {reference}"))
}

/// Finds a ModelKit: its documents are read and verified, its layers not looked at.
pub(crate) fn find(
    reference: &Reference,
    place: Place,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Found> {
    let is_here = match place {
        Place::Anywhere => here(reference, ui)?,
        Place::Local => Some(local(reference, ui)?),
        Place::Remote if reference.is_local() => {
            return Err(asked_wrongly(format!(
                "`{reference}` names no registry to ask: write HOST/{reference}"
            )));
        }
        Place::Remote => None,
    };
    if let Some((layout, descriptor)) = is_here {
        match ModelKit::read(&layout, &descriptor) {
            // The registry has the documents, too.
            Err(error) if is_damage(&error) && can_be_remote(reference, place) => {
                ui.warn(repair(reference));
                let pinned = reference.with_digest(descriptor.digest().clone());
                return find(&pinned, Place::Remote, network, ui).hint(repair(reference));
            }
            kit => {
                let kit = explained(kit, reference)?;
                return Ok(Found { kit, blobs: Opener::Local(layout) });
            }
        }
    }
    let client = network.client(ui)?;
    let kit = ui
        .block_on(async {
            let (descriptor, manifest) = client.manifest(reference).await?;
            let config = explained(modelkit::config_descriptor(&manifest), reference)?;
            let config = client.read_blob(reference, &config).await?;
            Ok(ModelKit::parse(descriptor, manifest, &config)?)
        })
        .with_context(|| format!("cannot read {reference}"))?;
    // Resolved once: its blobs are those of the digest, whatever becomes of the tag.
    let reference = reference.with_digest(kit.digest().clone());
    Ok(Found { kit, blobs: Opener::Remote(client.blobs(&reference, ui.handle())) })
}

fn can_be_remote(reference: &Reference, place: Place) -> bool {
    place == Place::Anywhere && !reference.is_local()
}

/// Warns of what in a ModelKit this version has no use for.
pub(crate) fn warn_of_unknown(kit: &ModelKit, ui: &Ui) {
    kit.left_out().into_iter().for_each(|what| ui.warn(what));
    tell_of_manifests(kit, ui);
}

/// Says that there are manifests for its deployment, which go wherever it goes and into no folder.
pub(crate) fn tell_of_manifests(kit: &ModelKit, ui: &Ui) {
    if let Some(layer) = kit.manifests() {
        let (digest, size) = (kit.digest(), human_size(layer.size()));
        ui.note(format_args!(
            "{digest} carries manifests for its own deployment ({size}), which Flux takes by \
             layerSelector"
        ));
    }
}

/// Finds a ModelKit, if it is signed as it has to be.
pub(crate) fn find_trusted(
    reference: &Reference,
    place: Place,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Found> {
    let found = find(reference, place, network, ui)?;
    trusted.require(reference, found.kit.digest(), network, ui)?;
    Ok(found)
}

/// Finds all that is needed for what is meant of a ModelKit; what it builds on has to be signed,
/// too.
pub(crate) fn together(
    itself: Found,
    selection: Selection,
    trusted: &Trusted,
    network: &Network,
    ui: &Ui,
) -> anyhow::Result<Sources<'static>> {
    Sources::find(itself.into_source(), selection, |reference| {
        Ok(find_trusted(reference, Place::Anywhere, trusted, network, ui)?.into_source())
    })
}
