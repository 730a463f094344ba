//! From a layout to a registry.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::blocking::joined;
use super::upload::push_blob;
use super::{Client, Event, Listener, Outcome, Repository, referrers};
use crate::content::{self, Descriptor, Document};
use crate::{ContentError, Layout, Reference, Result};

/// What a push did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Pushed {
    /// The manifest that was pushed.
    pub descriptor: Descriptor,
    /// The bytes that were sent for blobs and manifests, repetitions among them.
    pub uploaded_bytes: u64,
    /// How many blobs were sent.
    pub uploaded: usize,
    /// How many blobs the registry took from another of its repositories.
    pub mounted: usize,
    /// How many blobs were there already.
    pub existing: usize,
}

/// Brings a manifest, and everything that it names, from a layout to a registry.
///
/// Blobs come first, several at a time, each only if the registry has it neither in this repository
/// nor in another one that the layout has a tag for. The manifest comes last, under the tag of `to`
/// if it has one.
pub async fn push(
    layout: &Layout,
    descriptor: &Descriptor,
    to: &Reference,
    client: &Client,
    on: Listener<'_>,
) -> Result<Pushed> {
    if let Some(expected) = to.digest().filter(|digest| *digest != descriptor.digest()) {
        let (what, found) = (to.to_string(), descriptor.digest().clone());
        return Err(ContentError::WrongDigest { what, expected: expected.clone(), found }.into());
    }
    let repository = client.repository(to)?;
    let plan = Plan::read(layout, descriptor, to).await?;
    on(Event::Resolved { reference: to.clone(), descriptor: descriptor.clone() });
    let mut pushed = Pushed {
        descriptor: descriptor.clone(),
        uploaded_bytes: 0,
        uploaded: 0,
        mounted: 0,
        existing: 0,
    };
    let blobs = plan.blobs.iter().map(|blob| {
        let siblings = plan.siblings.get(blob.digest()).map_or(&[][..], Vec::as_slice);
        push_blob(layout, &repository, blob, siblings, on)
    });
    let mut done = stream::iter(blobs).buffer_unordered(client.0.options.concurrency.max(1));
    while let Some((outcome, sent)) = done.try_next().await? {
        pushed.count(outcome, sent);
    }
    for manifest in &plan.manifests {
        let tag = to.tag().filter(|_| manifest.digest() == descriptor.digest());
        pushed.uploaded_bytes += push_manifest(layout, &repository, manifest, tag).await?;
        on(Event::ManifestDone { descriptor: manifest.clone() });
    }
    client.take_warnings().into_iter().for_each(|text| on(Event::Warning(text)));
    Ok(pushed)
}

impl Pushed {
    fn count(&mut self, outcome: Outcome, sent: u64) {
        self.uploaded_bytes += sent;
        match outcome {
            Outcome::Transferred => self.uploaded += 1,
            Outcome::Mounted => self.mounted += 1,
            Outcome::Existing => self.existing += 1,
        }
    }
}

/// What has to be where in the end.
struct Plan {
    blobs: Vec<Descriptor>,
    /// What is named comes before what names it.
    manifests: Vec<Descriptor>,
    siblings: Siblings,
}

/// The other repositories of the registry that may have a blob, by its digest.
type Siblings = HashMap<content::Digest, Vec<String>>;

impl Plan {
    /// Reads the graph on another thread: documents come from the disk.
    async fn read(layout: &Layout, descriptor: &Descriptor, to: &Reference) -> Result<Self> {
        let (layout, descriptor, to) = (layout.clone(), descriptor.clone(), to.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let graph = layout.graph(&descriptor)?;
            let (manifests, blobs): (Vec<_>, Vec<_>) =
                graph.into_iter().partition(|it| content::is_manifest(it.media_type()));
            // What may not be handed on need not be here, and is not asked for there.
            let is_here =
                |it: &Descriptor| layout.contains(it.digest()) || !crate::layout::is_elsewhere(it);
            let blobs = blobs.into_iter().filter(is_here).collect();
            Ok(Self { blobs, manifests, siblings: siblings(&layout, &to)? })
        });
        joined(reading).await
    }
}

fn siblings(layout: &Layout, to: &Reference) -> Result<Siblings> {
    let mut siblings = Siblings::new();
    for (reference, descriptor) in layout.tags()? {
        if reference.registry() != to.registry() || reference.repository() == to.repository() {
            continue;
        }
        // A broken neighbour is no reason not to push.
        for blob in layout.graph(&descriptor).unwrap_or_default() {
            let names = siblings.entry(blob.digest().clone()).or_default();
            if !names.iter().any(|name| name == reference.repository()) {
                names.push(reference.repository().to_owned());
            }
        }
    }
    Ok(siblings)
}

/// Stores a manifest, and returns how many bytes were sent.
async fn push_manifest(
    layout: &Layout,
    repository: &Repository,
    descriptor: &Descriptor,
    tag: Option<&str>,
) -> Result<u64> {
    put_manifest(repository, descriptor, &layout.read(descriptor)?, tag).await
}

/// The same for one that is in memory.
pub(super) async fn put_manifest(
    repository: &Repository,
    descriptor: &Descriptor,
    bytes: &[u8],
    tag: Option<&str>,
) -> Result<u64> {
    if tag.is_none() && repository.has_manifest(descriptor).await? {
        return Ok(0);
    }
    let target = tag.unwrap_or(descriptor.digest().as_ref());
    let is_noted = repository.put_manifest(target, descriptor, bytes).await?;
    let document = Document::parse(descriptor.media_type(), bytes)?;
    if let Some(subject) = document.subject.as_ref().filter(|_| !is_noted) {
        referrers::note(repository, subject.digest(), descriptor, &document).await?;
    }
    Ok(bytes.len() as u64)
}
