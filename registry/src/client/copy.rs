//! From one registry to another, with all that is said of it.

use std::collections::HashSet;

use super::{Client, Event, Listener, pull, push};
use crate::content::{self, Descriptor, Digest};
use crate::{ClientError, Error, Layout, Reference, Result};

/// The tags under which tools of an older time keep what they say of a digest: signatures,
/// attestations, bills of materials (cosign, `specs/SIGNATURE_SPEC.md`).
const TAGGED: [&str; 3] = ["sig", "att", "sbom"];
/// How many manifests are copied along at most; whoever attaches more hides nothing of the rest.
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
}

/// Brings what a reference stands for from one repository to another, and what refers to it:
/// signatures, attestations, whatever else. It is resolved once, and its digest stays.
///
/// Content goes through `layout`, so what is there already comes over no wire; what refers to a
/// manifest arrives after it, and the tag of `to` comes last, so that whoever finds the tag finds
/// the signatures, too.
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
    };
    let pulled = pull(client, &from.with_digest(root.digest().clone()), layout, on).await?;
    copied.downloaded_bytes += pulled.downloaded_bytes;
    let to_digest = |digest: &Digest| to.with_digest(digest.clone());
    copied.uploaded_bytes +=
        push(layout, &root, &to_digest(root.digest()), client, on).await?.uploaded_bytes;

    let mut seen: HashSet<Digest> = [root.digest().clone()].into();
    let mut next = manifests(layout, &root)?;
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
            let manifest = along(client, from, referrer.digest(), &there, layout, &mut copied, on);
            next.extend(manifests(layout, &manifest.await?)?);
        }
        for kind in TAGGED {
            let (algorithm, hex) =
                (subject.digest().algorithm().as_ref(), subject.digest().digest());
            let tag = format!("{algorithm}-{hex}.{kind}");
            let found = match client.resolve(&from.with_tag(&tag)?).await {
                Err(Error::Client(ClientError::UnknownManifest { .. })) => continue,
                found => found?,
            };
            let there = to.with_tag(&tag)?;
            along(client, from, found.digest(), &there, layout, &mut copied, on).await?;
        }
    }
    if to.tag().is_some() {
        copied.uploaded_bytes += push(layout, &root, to, client, on).await?.uploaded_bytes;
    }
    Ok(copied)
}

/// Copies one manifest that says something of another.
async fn along(
    client: &Client,
    from: &Reference,
    digest: &Digest,
    to: &Reference,
    layout: &Layout,
    copied: &mut Copied,
    on: Listener<'_>,
) -> Result<Descriptor> {
    let pulled = pull(client, &from.with_digest(digest.clone()), layout, on).await?;
    copied.downloaded_bytes += pulled.downloaded_bytes;
    let pushed = push(layout, &pulled.descriptor, to, client, on).await?;
    copied.uploaded_bytes += pushed.uploaded_bytes;
    copied.along.push(pulled.descriptor.clone());
    Ok(pulled.descriptor)
}

/// A manifest, and those that it is an index of: something may refer to each of them.
fn manifests(layout: &Layout, root: &Descriptor) -> Result<Vec<Descriptor>> {
    let mut graph = layout.graph(root)?;
    graph.retain(|it| content::is_manifest(it.media_type()));
    Ok(graph)
}
