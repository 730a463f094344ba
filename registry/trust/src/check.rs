//! Whether a key has signed a digest that lies in a registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::content::{Descriptor, Digest, Document};
use registry::{Client, ClientError, Reference};

use crate::bundle::{BUNDLES, Bundle, MAX_BUNDLE};
use crate::statement::{SIGNED, Statement};
use crate::{Error, PublicKey, Result, simple};

/// How many bundles of one digest are looked at; whoever attaches more hides nothing behind them
/// but their own.
const MAX_BUNDLES: usize = 1000;
/// How many reasons an error tells.
const MAX_TOLD: usize = 5;

/// Where a signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Form {
    /// In a bundle that refers to the manifest.
    Bundle,
    /// Under the tag that is made of the digest.
    Tag,
}

/// A signature that holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// What is signed.
    pub digest: Digest,
    /// In which form.
    pub form: Form,
    /// The manifest that brought it.
    pub signature: Descriptor,
    /// The fingerprint of the key.
    pub key: String,
}

/// Checks that the key has signed this manifest, of which the digest was resolved before: what is
/// used afterwards has to be that digest, whatever the tag names by then.
///
/// As in cosign, the older form counts only where no bundle refers to the manifest.
///
/// # Errors
/// [`Error::Unsigned`] tells what was found instead.
pub async fn verify(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
    key: &PublicKey,
) -> Result<Verified> {
    let bundles = bundles(client, reference, digest).await?;
    let mut found = Vec::new();
    for referrer in &bundles {
        match bundle(client, reference, referrer, digest, key, SIGNED).await {
            Ok(_) => return Ok(verified(digest, Form::Bundle, referrer, key)),
            Err(error) => found.push(passed_over(referrer, error)?),
        }
    }
    if bundles.is_empty()
        && let Some(manifest) = tagged(client, reference, digest, key, &mut found).await?
    {
        return Ok(verified(digest, Form::Tag, &manifest, key));
    }
    Err(Error::Unsigned { digest: digest.clone(), key: key.fingerprint(), found: few(found) })
}

/// Something that the holder of a key says of a digest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attestation {
    /// What is said.
    pub predicate: serde_json::Value,
    /// The manifest that brought it.
    pub signature: Descriptor,
}

/// All that the key's holder says of this manifest in statements of one type, such as
/// `https://slsa.dev/provenance/v1`, in the order of the registry's list.
///
/// # Errors
/// [`Error::Unattested`] where there is none.
pub async fn attestations(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
    key: &PublicKey,
    predicate_type: &str,
) -> Result<Vec<Attestation>> {
    let (mut said, mut found) = (Vec::new(), Vec::new());
    for referrer in bundles(client, reference, digest).await? {
        match bundle(client, reference, &referrer, digest, key, predicate_type).await {
            Ok(predicate) => said.push(Attestation { predicate, signature: referrer }),
            Err(error) => found.push(passed_over(&referrer, error)?),
        }
    }
    match said.is_empty() {
        false => Ok(said),
        true => Err(Error::Unattested {
            digest: Box::new(digest.clone()),
            predicate_type: predicate_type.to_owned(),
            key: key.fingerprint(),
            found: few(found),
        }),
    }
}

/// The bundles that refer to a manifest.
async fn bundles(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
) -> Result<Vec<Descriptor>> {
    let referrers = client.referrers(&reference.with_digest(digest.clone()), None).await?;
    let is_bundle = |it: &Descriptor| {
        it.artifact_type().as_ref().is_some_and(|of| of.as_ref().starts_with(BUNDLES))
    };
    Ok(referrers.into_iter().filter(is_bundle).take(MAX_BUNDLES).collect())
}

/// Why a bundle counts for nothing; a registry that cannot be asked is another thing.
fn passed_over(referrer: &Descriptor, error: Error) -> Result<String> {
    match error {
        Error::Registry(registry::Error::Http(_) | registry::Error::Auth(_)) => Err(error),
        error => Ok(format!("{}: {error}", referrer.digest())),
    }
}

/// As many of the reasons as an error tells.
fn few(mut found: Vec<String>) -> Vec<String> {
    let n_more = found.len().saturating_sub(MAX_TOLD);
    found.truncate(MAX_TOLD);
    if n_more > 0 {
        found.push(format!("and {n_more} more"));
    }
    found
}

fn verified(digest: &Digest, form: Form, by: &Descriptor, key: &PublicKey) -> Verified {
    Verified { digest: digest.clone(), form, signature: by.clone(), key: key.fingerprint() }
}

/// Checks one bundle; returns what is said beside the digest.
async fn bundle(
    client: &Client,
    reference: &Reference,
    referrer: &Descriptor,
    digest: &Digest,
    key: &PublicKey,
    predicate_type: &str,
) -> Result<serde_json::Value> {
    let (descriptor, bytes) =
        client.manifest(&reference.with_digest(referrer.digest().clone())).await?;
    let document = Document::parse(descriptor.media_type(), &bytes)?;
    if document.subject.as_ref().is_none_or(|it| it.digest() != digest) {
        return Err(Error::refused("it refers to something else"));
    }
    let [layer] = document.layers.as_slice() else {
        return Err(Error::refused(format!("it has {} layers", document.layers.len())));
    };
    if !layer.media_type().as_ref().starts_with(BUNDLES) || layer.size() > MAX_BUNDLE {
        return Err(Error::refused("its layer is no bundle, or too large for one"));
    }
    let bundle = Bundle::parse(&client.read_blob(reference, layer).await?)?;
    let statement = Statement::parse(&bundle.open(key)?, predicate_type)?;
    match statement.is_about(digest) {
        true => Ok(statement.predicate),
        false => Err(Error::refused("it signs another digest")),
    }
}

/// Looks for a signature of the older form; what is wrong with others is added to `found`.
async fn tagged(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
    key: &PublicKey,
    found: &mut Vec<String>,
) -> Result<Option<Descriptor>> {
    let there = reference.with_tag(&simple::tag(digest))?;
    let (descriptor, bytes) = match client.manifest(&there).await {
        Err(registry::Error::Client(ClientError::UnknownManifest { .. })) => return Ok(None),
        read => read?,
    };
    let document = Document::parse(descriptor.media_type(), &bytes)?;
    for layer in document.layers.iter().take(simple::MAX_SIGNATURES) {
        match payload(client, &there, layer, digest, key).await {
            Ok(()) => return Ok(Some(descriptor)),
            Err(error) => found.push(passed_over(layer, error)?),
        }
    }
    Ok(None)
}

async fn payload(
    client: &Client,
    there: &Reference,
    layer: &Descriptor,
    digest: &Digest,
    key: &PublicKey,
) -> Result<()> {
    if layer.media_type().as_ref() != simple::PAYLOAD || layer.size() > simple::MAX_PAYLOAD {
        return Err(Error::refused("it is no signature, or too large for one"));
    }
    let annotations = layer.annotations().as_ref();
    let signature = annotations.and_then(|it| it.get(simple::SIGNATURE));
    let signature = signature.and_then(|text| STANDARD.decode(text).ok());
    let signature = signature.ok_or_else(|| Error::refused("it has no signature"))?;
    let payload = client.read_blob(there, layer).await?;
    match key.verifies(&payload, &signature) {
        true => simple::check(&payload, digest),
        false => Err(Error::refused("it was not signed by this key, or changed since")),
    }
}
