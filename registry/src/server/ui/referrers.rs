//! What others say of a manifest: signatures, evaluations, where it comes from.

use super::html::Html;
use super::kind::{CREATED, annotation};
use super::path_of_manifest;
use crate::content::{Descriptor, Digest};
use crate::server::Failure;
use crate::server::limits::{MAX_IN_MEMORY, MAX_ROWS};
use crate::server::listing::Listing;
use crate::server::repository::{Repository, read_descriptor};

/// What a bundle says the type of its statement is.
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// What follows the digest in the tags by which cosign's older form is found.
const TAGGED: [(&str, &str); 3] =
    [("sig", "Signature"), ("att", "Attestation"), ("sbom", "Bill of materials")];

/// Adds what is said of a manifest, sorted by digest from the one after `last`; `path` is the page.
pub(super) fn list(
    body: &mut Html,
    repository: &Repository,
    subject: &Digest,
    last: Option<String>,
    path: &str,
) -> Result<(), Failure> {
    let is_first = last.is_none();
    let mut found = Listing::new(last, MAX_ROWS);
    repository.each_referrer(subject, |referrer| {
        found.add(referrer.digest.to_string(), (referrer.path, referrer.size));
        Ok(())
    })?;
    let (found, has_more) = found.page(|_, _| 0);
    let last = found.last().map(|(digest, _)| digest.clone()).filter(|_| has_more);
    let mut rows = if is_first { tagged(repository, subject)? } else { Vec::new() };
    for (digest, (file, size)) in found {
        let link = |kind: &str| Html::link_to(&path_of_manifest(repository.name(), &digest), kind);
        if size > MAX_IN_MEMORY {
            rows.push([
                link("Referrer"),
                Html::of("too large to be shown"),
                Html::default(),
                Html::code(&digest),
            ]);
            continue;
        }
        // It may be deleted meanwhile.
        let Some(referrer) = read_descriptor(&file)? else { continue };
        let (kind, of_type) = describe(&referrer);
        let created = annotation(&referrer, CREATED).unwrap_or_default();
        rows.push([link(kind), Html::code(of_type), Html::of(created), Html::code(&digest)]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    body.markup(
        "<h2>What is said of it</h2><p class=\"soft\">Listed as it came, and not verified: ",
    )
    .markup("<code>kit-rs verify</code> and <code>kit-rs lineage</code> check it.</p>")
    .table(["What", "Type", "Created", "Digest"], rows)
    .more(path, last.as_deref());
    Ok(())
}

/// What lies under tags that are made of the digest, which lists of referrers do not have.
fn tagged(repository: &Repository, subject: &Digest) -> Result<Vec<[Html; 4]>, Failure> {
    let mut rows = Vec::new();
    for (end, kind) in TAGGED {
        let tag = format!("{}-{}.{end}", subject.algorithm(), subject.digest());
        // The name of a SHA-512 is longer than a tag may be.
        if crate::reference::check_tag(&tag).is_err() {
            continue;
        }
        let Some(found) = repository.resolve(&tag)? else { continue };
        let link = Html::link_to(&path_of_manifest(repository.name(), &tag), kind);
        rows.push([link, Html::of("by its tag"), Html::default(), Html::code(found.digest())]);
    }
    Ok(rows)
}

/// What a referrer is, and the type by which that is known.
fn describe(referrer: &Descriptor) -> (&'static str, String) {
    if let Some(predicate) = annotation(referrer, PREDICATE_TYPE) {
        return (of_predicate(predicate), predicate.to_owned());
    }
    let artifact_type = referrer.artifact_type().as_ref().map(ToString::to_string);
    let artifact_type = artifact_type.unwrap_or_default();
    let kinds = [
        ("application/vnd.dev.sigstore.bundle", "Signature or attestation"),
        ("application/vnd.dev.cosign.", "Signature"),
        ("application/vnd.cncf.notary.signature", "Signature"),
        ("application/vnd.cyclonedx", "Bill of materials"),
        ("application/spdx", "Bill of materials"),
    ];
    let kind = kinds.iter().find(|(prefix, _)| artifact_type.starts_with(prefix));
    (kind.map_or("Referrer", |(_, kind)| kind), artifact_type)
}

/// What a statement is by its type (in-toto; the types of cosign, and those of kit-rs).
fn of_predicate(predicate: &str) -> &'static str {
    match predicate {
        "https://sigstore.dev/cosign/sign/v1" => "Signature",
        _ if predicate.starts_with("https://slsa.dev/provenance/") => "Provenance",
        // Whoever has kit-rs elsewhere writes another address before it.
        _ if predicate.ends_with("/evaluation/v1") => "Evaluation",
        _ if predicate.starts_with("https://cyclonedx.org/bom") => "Bill of materials",
        _ if predicate.starts_with("https://spdx.dev/Document") => "Bill of materials",
        _ => "Attestation",
    }
}
