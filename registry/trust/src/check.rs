//! Whether a key has signed a digest that lies in a registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry::content::{Descriptor, Digest, Document};
use registry::{Client, ClientError, Reference};

use crate::bundle::{BUNDLES, Bundle, By, MAX_BUNDLE};
use crate::certificate::Chain;
use crate::statement::{SIGNED, Statement};
use crate::{Error, Result, Signer, simple};

/// How many bundles of one digest are looked at. Whoever may write there can attach so many that a
/// good one behind them is not found: then nothing is taken.
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
    /// The name of the certificate, where it counts by one.
    pub certificate: Option<String>,
}

/// Checks that a key, or somebody for whom a root vouches, has signed this manifest, of which the digest was resolved before: what is
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
    signer: impl Into<Signer>,
) -> Result<Verified> {
    let signer = &signer.into();
    let bundles = bundles(client, reference, digest).await?;
    let mut found = Vec::new();
    for referrer in bundles.iter().take(MAX_BUNDLES) {
        match bundle(client, reference, referrer, digest, signer, SIGNED).await {
            Ok((_, by)) => return Ok(verified(digest, Form::Bundle, referrer, &by)),
            Err(error) => found.push(passed_over(referrer, error)?),
        }
    }
    if bundles.is_empty()
        && let Some((manifest, by)) = tagged(client, reference, digest, signer, &mut found).await?
    {
        return Ok(verified(digest, Form::Tag, &manifest, &by));
    }
    Err(Error::Unsigned { digest: digest.clone(), signer: signer.name(), found: few(found) })
}

/// Something that a signer says of a digest.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attestation {
    /// What is said.
    pub predicate: serde_json::Value,
    /// The fingerprint of the key.
    pub key: String,
    /// Whose certificate it is of, where roots were given.
    pub certificate: Option<String>,
    /// The manifest that brought it.
    pub signature: Descriptor,
}

/// All that a signer says of this manifest in statements of one type, such as
/// `https://slsa.dev/provenance/v1`, in the order of the registry's list.
///
/// # Errors
/// [`Error::Unattested`] where there is none; a refusal where there are more bundles than are looked
/// at.
pub async fn attestations(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
    signer: impl Into<Signer>,
    predicate_type: &str,
) -> Result<Vec<Attestation>> {
    let signer = &signer.into();
    let (mut said, mut found) = (Vec::new(), Vec::new());
    let bundles = bundles(client, reference, digest).await?;
    if bundles.len() > MAX_BUNDLES {
        // Some of what is said would be left out without a word.
        return Err(Error::refused("more than 1000 bundles refer to it"));
    }
    for referrer in bundles {
        match bundle(client, reference, &referrer, digest, signer, predicate_type).await {
            Ok((predicate, by)) => {
                let (key, certificate) = (by.key.fingerprint(), by.chain.as_ref().map(Chain::name));
                said.push(Attestation { predicate, key, certificate, signature: referrer })
            }
            Err(error) => found.push(passed_over(&referrer, error)?),
        }
    }
    match said.is_empty() {
        false => Ok(said),
        true => Err(Error::Unattested {
            digest: Box::new(digest.clone()),
            predicate_type: predicate_type.to_owned(),
            signer: signer.name(),
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
    Ok(referrers.into_iter().filter(is_bundle).take(MAX_BUNDLES + 1).collect())
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

fn verified(digest: &Digest, form: Form, signature: &Descriptor, by: &By) -> Verified {
    Verified {
        digest: digest.clone(),
        form,
        signature: signature.clone(),
        key: by.key.fingerprint(),
        certificate: by.chain.as_ref().map(Chain::name),
    }
}

/// Checks one bundle; returns what is said beside the digest, and by which key.
async fn bundle(
    client: &Client,
    reference: &Reference,
    referrer: &Descriptor,
    digest: &Digest,
    signer: &Signer,
    predicate_type: &str,
) -> Result<(serde_json::Value, By)> {
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
    let others = document.annotations.as_ref().and_then(|it| it.get(simple::CHAIN));
    let (statement, by) = bundle.open(signer, others.map_or("", String::as_str))?;
    let statement = Statement::parse(&statement, predicate_type)?;
    match statement.is_about(digest) {
        true => Ok((statement.predicate, by)),
        false => Err(Error::refused("it signs another digest")),
    }
}

/// Looks for a signature of the older form; what is wrong with others is added to `found`.
async fn tagged(
    client: &Client,
    reference: &Reference,
    digest: &Digest,
    signer: &Signer,
    found: &mut Vec<String>,
) -> Result<Option<(Descriptor, By)>> {
    // Of a longer digest no such tag can be made, so there is none.
    let Ok(there) = reference.with_tag(&simple::tag(digest)) else { return Ok(None) };
    let (descriptor, bytes) = match client.manifest(&there).await {
        Err(registry::Error::Client(ClientError::UnknownManifest { .. })) => return Ok(None),
        read => read?,
    };
    let document = Document::parse(descriptor.media_type(), &bytes)?;
    for layer in document.layers.iter().take(simple::MAX_SIGNATURES) {
        match payload(client, &there, layer, digest, signer).await {
            Ok(by) => return Ok(Some((descriptor, by))),
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
    signer: &Signer,
) -> Result<By> {
    if layer.media_type().as_ref() != simple::PAYLOAD || layer.size() > simple::MAX_PAYLOAD {
        return Err(Error::refused("it is no signature, or too large for one"));
    }
    let annotations = layer.annotations().as_ref();
    let signature = annotations.and_then(|it| it.get(simple::SIGNATURE));
    let signature = signature.and_then(|text| STANDARD.decode(text).ok());
    let signature = signature.ok_or_else(|| Error::refused("it has no signature"))?;
    let chain = simple::chain(layer)?;
    let key = signer.key(chain.as_ref())?;
    let payload = client.read_blob(there, layer).await?;
    match key.verifies(&payload, &signature) {
        true => {
            simple::check(&payload, digest)?;
            Ok(By { key, chain: chain.filter(|_| matches!(signer, Signer::Roots(_))) })
        }
        false => Err(Error::refused("it was not signed by this key, or changed since")),
    }
}
