//! Signatures are put beside what they sign, in both of the places where others look for them.

use std::collections::HashMap;

use registry::client::push;
use registry::content::{self, Descriptor, Document, MediaType};
use registry::{Client, ClientError, Layout, Reference};
use serde_json::{Value, json};

use crate::bundle::{BUNDLE, Bundle};
use crate::certificate::Chain;
use crate::key::PrivateKey;
use crate::statement::{SIGNED, Statement};
use crate::{Error, Result, simple};

const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// In which forms a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forms {
    /// As a bundle that refers to what is signed: cosign since its version 2.6, Flux since 2.8.
    pub bundle: bool,
    /// Under the tag that is made of the digest: those before, and most admission controllers.
    pub tag: bool,
}

impl Default for Forms {
    fn default() -> Self {
        Self { bundle: true, tag: true }
    }
}

/// What was put into the registry.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Signed {
    /// The manifest that was signed.
    pub subject: Descriptor,
    /// The manifest that brings the bundle.
    pub bundle: Option<Descriptor>,
    /// The tag under which the older form lies, and its manifest.
    pub tag: Option<(Reference, Descriptor)>,
}

/// Signs a manifest that lies in a registry, and puts the signatures beside it. The same key signs
/// the same digest in the same bytes; whoever signs again changes nothing.
///
/// What is pushed is made in `layout`, which keeps it until its garbage is collected.
pub async fn sign(
    client: &Client,
    reference: &Reference,
    subject: &Descriptor,
    key: &PrivateKey,
    forms: Forms,
    layout: &Layout,
) -> Result<Signed> {
    let mut signed = Signed { subject: subject.clone(), bundle: None, tag: None };
    let digest = subject.digest();
    let too_long = |_| {
        let of = digest.algorithm().as_ref();
        let what = format!("a digest of {of} is too long for the tag of the older form");
        Error::refused(format!("{what}: the form of a bundle alone can name it"))
    };
    // Before anything is pushed.
    let tag = forms.tag.then(|| reference.with_tag(&simple::tag(digest)).map_err(too_long));
    let tag = tag.transpose()?;
    let _hold = layout.hold()?;
    if forms.bundle {
        let nothing = Value::Object(Default::default());
        let manifest = put_bundle(layout, subject, key, SIGNED, nothing)?;
        let to = reference.with_digest(manifest.digest().clone());
        push(layout, &manifest, &to, client, &|_| {}).await?;
        signed.bundle = Some(manifest);
    }
    if let Some(to) = tag {
        let manifest = add_payload(client, &to, reference, subject, key, layout).await?;
        push(layout, &manifest, &to, client, &|_| {}).await?;
        signed.tag = Some((to, manifest));
    }
    Ok(signed)
}

/// Says something of a manifest that lies in a registry, signed, in a bundle that refers to it
/// (in-toto's attestations, as `cosign attest` brings them). Returns the manifest of the bundle.
///
/// What is pushed is made in `layout`, which keeps it until its garbage is collected.
pub async fn attest(
    client: &Client,
    reference: &Reference,
    subject: &Descriptor,
    key: &PrivateKey,
    predicate_type: &str,
    predicate: Value,
    layout: &Layout,
) -> Result<Descriptor> {
    let _hold = layout.hold()?;
    let manifest = put_bundle(layout, subject, key, predicate_type, predicate)?;
    let to = reference.with_digest(manifest.digest().clone());
    push(layout, &manifest, &to, client, &|_| {}).await?;
    Ok(manifest)
}

/// Makes the referrer (cosign, `specs/BUNDLE_SPEC.md`).
fn put_bundle(
    layout: &Layout,
    subject: &Descriptor,
    key: &PrivateKey,
    predicate_type: &str,
    predicate: Value,
) -> Result<Descriptor> {
    let digest = (subject.digest().algorithm().as_ref(), subject.digest().digest());
    let statement = Statement::new("", digest, predicate_type, predicate);
    let bundle = layout.put(BUNDLE, &Bundle::sign(&statement.to_json(), key).to_json())?;
    let config = layout.put(EMPTY, b"{}")?;
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest,
        "artifactType": BUNDLE,
        "config": config,
        "layers": [bundle],
        "subject": plain(subject),
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": predicate_type,
        },
    });
    // For what the bundle has no place, as in the older form.
    if let Some((_, others)) = key.chain().map(Chain::to_pem).filter(|it| !it.1.is_empty()) {
        manifest["annotations"][simple::CHAIN] = others.into();
    }
    Ok(layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest))?)
}

/// The older form has one manifest for all signatures of a digest: what is there stays.
async fn add_payload(
    client: &Client,
    to: &Reference,
    reference: &Reference,
    subject: &Descriptor,
    key: &PrivateKey,
    layout: &Layout,
) -> Result<Descriptor> {
    let repository = format!("{}/{}", reference.registry(), reference.repository());
    let payload = simple::payload(&repository, subject.digest());
    let signature = encoded(&key.sign(&payload));
    let mut layers = Vec::new();
    for layer in there(client, to).await? {
        layout.put(layer.media_type().clone(), &client.read_blob(to, &layer).await?)?;
        layers.push(layer);
    }
    let mut layer = layout.put(simple::PAYLOAD, &payload)?;
    let mut annotations = HashMap::from([(simple::SIGNATURE.to_owned(), signature)]);
    if let Some((certificate, others)) = key.chain().map(Chain::to_pem) {
        annotations.insert(simple::CERTIFICATE.to_owned(), certificate);
        annotations.insert(simple::CHAIN.to_owned(), others);
    }
    annotations.retain(|_, value| !value.is_empty());
    layer.set_annotations(Some(annotations));
    if !layers.contains(&layer) {
        layers.push(layer);
    }
    if layers.len() > simple::MAX_SIGNATURES {
        return Err(Error::refused(format!("{to} has as many signatures as anybody looks at")));
    }
    let config = json!({
        "architecture": "", "os": "", "config": {}, "created": "0001-01-01T00:00:00Z",
        "history": layers.iter().map(|_| json!({ "created": "0001-01-01T00:00:00Z" })).collect::<Vec<_>>(),
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|it| it.digest()).collect::<Vec<_>>() },
    });
    let config = layout.put(MediaType::ImageConfig, &content::encode(&config))?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest,
        "config": config,
        "layers": layers,
    });
    Ok(layout.put_manifest(MediaType::ImageManifest, &content::encode(&manifest))?)
}

/// The signatures that are under a tag already; something else there is not replaced.
async fn there(client: &Client, to: &Reference) -> Result<Vec<Descriptor>> {
    let (descriptor, bytes) = match client.manifest(to).await {
        Err(registry::Error::Client(ClientError::UnknownManifest { .. })) => return Ok(Vec::new()),
        found => found?,
    };
    let document = Document::parse(descriptor.media_type(), &bytes)?;
    let are_signatures =
        document.layers.iter().all(|layer| layer.media_type().as_ref() == simple::PAYLOAD);
    match are_signatures && document.manifests.is_empty() {
        true => Ok(document.layers),
        false => Err(Error::refused(format!("{to} is there and holds no signatures"))),
    }
}

/// The manifest as others name it: what our layout notes of it stays here.
fn plain(subject: &Descriptor) -> Value {
    json!({
        "mediaType": subject.media_type(), "digest": subject.digest(), "size": subject.size(),
    })
}

pub(crate) fn encoded(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
