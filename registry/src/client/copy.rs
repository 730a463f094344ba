//! From one registry to another, with all that is said of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::pull::Found;
use super::push::put_manifest;
use super::upload::mount_blob;
use super::{Client, Event, Listener, Outcome, pull, push};
use crate::content::{self, Descriptor, Digest};
use crate::{ClientError, Error, Layout, Reference, Result};

/// The tags under which tools of an older time keep what they say of a digest: signatures,
/// attestations, bills of materials (cosign, `specs/SIGNATURE_SPEC.md`).
const TAGGED: [&str; 3] = ["sig", "att", "sbom"];
/// How many manifests are copied along at most; what lies behind them stays, with a warning.
const MAX_ALONG: usize = 10_000;

/// What a copy did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Copied {
    /// What was copied.
    pub descriptor: Descriptor,
    /// The manifests that came along: what refers to it, and what refers to that.
    pub along: Vec<Descriptor>,
    /// The bytes that came from the one registry.
    pub downloaded_bytes: u64,
    /// The bytes that were sent to the other.
    pub uploaded_bytes: u64,
    /// How many blobs the registry took from its own repository, without that they were moved.
    pub mounted: usize,
}

/// Brings what a reference stands for from one repository to another, and what refers to it:
/// signatures, attestations, whatever else. It is resolved once, and its digest stays.
///
/// Within one registry blobs are given from the one repository to the other, and only manifests are
/// moved. Else, and where the registry does not give them, content goes through `layout`, so what is
/// there already comes over no wire. What refers to a manifest arrives after it, and the tag of `to`
/// comes last, so that whoever finds the tag finds the signatures, too.
pub async fn copy(
    client: &Client,
    from: &Reference,
    to: &Reference,
    layout: &Layout,
    on: Listener<'_>,
) -> Result<Copied> {
    let _hold = layout.hold()?;
    let root = client.resolve(from).await?;
    let mut copied = Copied {
        descriptor: root.clone(),
        along: Vec::new(),
        downloaded_bytes: 0,
        uploaded_bytes: 0,
        mounted: 0,
    };
    let to_digest = |digest: &Digest| to.with_digest(digest.clone());
    let way = Way { client, from, layout, on, gives: AtomicBool::new(true) };
    let mut seen: HashSet<Digest> = [root.digest().clone()].into();
    let mut next = way.bring(root.digest(), &to_digest(root.digest()), &mut copied).await?;
    while let Some(subject) = next.pop() {
        let at = from.with_digest(subject.digest().clone());
        for referrer in client.referrers(&at, None).await? {
            if !seen.insert(referrer.digest().clone()) {
                continue;
            }
            if copied.along.len() == MAX_ALONG {
                let text =
                    format!("more than {MAX_ALONG} manifests refer to {from}: the others stay");
                on(Event::Warning(text));
                next.clear();
                break;
            }
            let there = to_digest(referrer.digest());
            next.extend(way.along(referrer.digest(), &there, &mut copied).await?);
        }
        for kind in TAGGED {
            let (algorithm, hex) =
                (subject.digest().algorithm().as_ref(), subject.digest().digest());
            // Of a longer digest no such tag can be made, so there is none.
            let tag = format!("{algorithm}-{hex}.{kind}");
            let Ok(tagged) = from.with_tag(&tag) else { continue };
            let found = match client.resolve(&tagged).await {
                Err(Error::Client(ClientError::UnknownManifest { .. })) => continue,
                found => found?,
            };
            way.along(found.digest(), &to.with_tag(&tag)?, &mut copied).await?;
        }
    }
    if let Some(tag) = to.tag() {
        let (root, bytes) = client.manifest(&to_digest(root.digest())).await?;
        let repository = client.repository(to)?;
        copied.uploaded_bytes += put_manifest(&repository, &root, &bytes, Some(tag)).await?;
    }
    client.take_warnings().into_iter().for_each(|text| on(Event::Warning(text)));
    Ok(copied)
}

/// From where manifests are copied, and by what.
struct Way<'a> {
    client: &'a Client,
    from: &'a Reference,
    layout: &'a Layout,
    on: Listener<'a>,
    /// Whether the registry has given all blobs so far; one that says no is not asked again, for each
    /// no begins an upload.
    gives: AtomicBool,
}

impl Way<'_> {
    /// Copies one manifest that says something of another.
    async fn along(
        &self,
        digest: &Digest,
        to: &Reference,
        copied: &mut Copied,
    ) -> Result<Vec<Descriptor>> {
        let manifests = self.bring(digest, to, copied).await?;
        copied.along.extend(manifests.iter().find(|it| it.digest() == digest).cloned());
        Ok(manifests)
    }

    /// Copies a manifest with all that it names. Returns it, and those that it is an index of:
    /// something may refer to each of them.
    async fn bring(
        &self,
        digest: &Digest,
        to: &Reference,
        copied: &mut Copied,
    ) -> Result<Vec<Descriptor>> {
        let from = self.from.with_digest(digest.clone());
        if from.registry() == to.registry()
            && self.gives.load(Ordering::Relaxed)
            && let Some(manifests) = self.mount(&from, to, copied).await?
        {
            return Ok(manifests);
        }
        let pulled = pull(self.client, &from, self.layout, self.on).await?;
        copied.downloaded_bytes += pulled.downloaded_bytes;
        let pushed = push(self.layout, &pulled.descriptor, to, self.client, self.on).await?;
        copied.uploaded_bytes += pushed.uploaded_bytes;
        let mut graph = self.layout.graph(&pulled.descriptor)?;
        graph.retain(|it| content::is_manifest(it.media_type()));
        Ok(graph)
    }

    /// The same within one registry, which gives the blobs itself; `None` where it does not.
    async fn mount(
        &self,
        from: &Reference,
        to: &Reference,
        copied: &mut Copied,
    ) -> Result<Option<Vec<Descriptor>>> {
        let (client, layout, on) = (self.client, self.layout, self.on);
        let (here, there) = (client.repository(from)?, client.repository(to)?);
        let (root, bytes) = client.manifest(from).await?;
        let mut found = Found::walk(&here, layout, root.clone(), bytes, on).await?;
        let blobs = std::mem::take(&mut found.blobs);
        let given = blobs
            .iter()
            .filter(|blob| !crate::layout::is_elsewhere(blob))
            .map(|blob| mount_blob(layout, &there, blob, from.repository(), on));
        let (mut given, mut outcomes) = (given.into_iter(), Vec::new());
        // The first one shows whether it does.
        if let Some(first) = given.next() {
            outcomes.push(first.await?);
        }
        if outcomes.iter().all(Option::is_some) {
            let rest = stream::iter(given).buffer_unordered(client.0.options.concurrency.max(1));
            outcomes.extend(rest.try_collect::<Vec<_>>().await?);
        }
        copied.mounted += outcomes.iter().filter(|it| **it == Some(Outcome::Mounted)).count();
        if outcomes.iter().any(Option::is_none) {
            self.gives.store(false, Ordering::Relaxed);
            return Ok(None);
        }
        copied.downloaded_bytes += found.downloaded;
        let mut manifests = Vec::new();
        found.take(root.digest(), &mut manifests);
        for (manifest, bytes) in &manifests {
            let tag = to.tag().filter(|_| manifest.digest() == root.digest());
            copied.uploaded_bytes += put_manifest(&there, manifest, bytes, tag).await?;
            on(Event::ManifestDone { descriptor: manifest.clone() });
        }
        Ok(Some(manifests.into_iter().map(|(manifest, _)| manifest).collect()))
    }
}
