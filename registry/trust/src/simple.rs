//! "Simple signing": the older form, under a tag that is made of the digest (cosign,
//! `specs/SIGNATURE_SPEC.md`; containers/image, `containers-signature.5`).

use registry::content::{Descriptor, Digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::certificate::Chain;
use crate::{Error, Result};

/// The type of a payload.
pub(crate) const PAYLOAD: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation of a payload's layer that has its signature.
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// That which has the certificate of its key, in PEM, and that which has those that vouch for it.
pub(crate) const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
pub(crate) const CHAIN: &str = "dev.sigstore.cosign/chain";
/// The largest payload that is read, in bytes.
pub(crate) const MAX_PAYLOAD: u64 = 64 * 1024;
/// As many as cosign looks at.
pub(crate) const MAX_SIGNATURES: usize = 1000;
const TYPE: &str = "cosign container image signature";

#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    critical: Critical,
    optional: Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    of_type: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    // Some write it as the specification's own example has it.
    #[serde(alias = "Docker-manifest-digest")]
    docker_manifest_digest: String,
}

/// What is signed: this digest, in this repository.
pub(crate) fn payload(repository: &str, digest: &Digest) -> Vec<u8> {
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: repository.to_owned() },
            image: Image { docker_manifest_digest: digest.to_string() },
            of_type: TYPE.to_owned(),
        },
        optional: Value::Null,
    };
    serde_json::to_vec(&payload).expect("it becomes JSON")
}

/// Whether a payload, which was signed, speaks of this digest.
pub(crate) fn check(payload: &[u8], digest: &Digest) -> Result<()> {
    let payload: Payload = serde_json::from_slice(payload)
        .map_err(|error| Error::refused(format!("it signs no such payload: {error}")))?;
    let found = &payload.critical;
    if found.of_type != TYPE {
        return Err(Error::refused(format!("it signs a {:?}", found.of_type)));
    }
    match found.image.docker_manifest_digest == digest.to_string() {
        true => Ok(()),
        false => Err(Error::refused(format!("it signs {}", found.image.docker_manifest_digest))),
    }
}

/// The certificates that a signature brings.
pub(crate) fn chain(layer: &Descriptor) -> Result<Option<Chain>> {
    let of = |name| layer.annotations().as_ref().and_then(|it| it.get(name)).map(String::as_str);
    let Some(certificate) = of(CERTIFICATE).filter(|it| !it.is_empty()) else { return Ok(None) };
    let others = of(CHAIN).unwrap_or_default();
    Chain::from_pem(&format!("{certificate}\n{others}")).map(Some)
}

/// The tag under which they lie.
pub(crate) fn tag(digest: &Digest) -> String {
    format!("{}-{}.sig", digest.algorithm().as_ref(), digest.digest())
}
