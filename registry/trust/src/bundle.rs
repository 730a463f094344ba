//! Sigstore's bundle: an envelope, and by which key it is to be checked (sigstore/protobuf-specs,
//! `sigstore_bundle.proto`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::certificate::Chain;
use crate::dsse::Envelope;
use crate::{Error, PrivateKey, PublicKey, Result, Signer};

/// The media type of a bundle, and the type of the artifact that brings one.
pub(crate) const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// How the types of all its versions begin.
pub(crate) const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";
/// The largest bundle that is read, in bytes.
pub(crate) const MAX_BUNDLE: u64 = 4 * 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Bundle {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Envelope,
}

/// One of the ways to say whose key it is.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<Hint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<Certificate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<Certificates>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tlog_entries: Vec<Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hint {
    #[serde(default)]
    hint: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Certificates {
    certificates: Vec<Certificate>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    raw_bytes: String,
}

impl Bundle {
    /// Signs a statement as cosign does. In this version of bundles the certificate of the key stands
    /// by itself: readers of Sigstore's take none that has a chain. Those that vouch for it belong
    /// beside the bundle ([`CHAIN`](crate::simple::CHAIN)).
    pub(crate) fn sign(statement: &[u8], key: &PrivateKey) -> Self {
        let hint = STANDARD.encode(Sha256::digest(key.public().der()));
        let mut material = Material::of(key, hint);
        if let Some(mut chain) = material.x509_certificate_chain.take() {
            material.certificate = Some(chain.certificates.remove(0));
        }
        Self::with(statement, key, material)
    }

    /// The same as model_signing does: with another name for the key, and always as a chain.
    pub(crate) fn with_hint(statement: &[u8], key: &PrivateKey, hint: String) -> Self {
        Self::with(statement, key, Material::of(key, hint))
    }

    fn with(statement: &[u8], key: &PrivateKey, verification_material: Material) -> Self {
        Self {
            media_type: BUNDLE.to_owned(),
            verification_material,
            dsse_envelope: Envelope::sign(statement, key),
        }
    }

    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("it becomes JSON")
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > MAX_BUNDLE {
            return Err(Error::refused("the bundle is too large"));
        }
        let bundle: Self = serde_json::from_slice(bytes).map_err(|error| {
            Error::refused(format!("it is no bundle with a statement: {error}"))
        })?;
        match bundle.media_type.as_str() {
            BUNDLE | "application/vnd.dev.sigstore.bundle+json;version=0.3" => Ok(bundle),
            other => Err(Error::refused(format!("bundles of the type {other:?} are not read"))),
        }
    }

    /// The statement, if the signer has signed it, and the key by which. `others` are certificates
    /// that came beside the bundle, in PEM, for what a single one in it is vouched for by.
    pub(crate) fn open(&self, signer: &Signer, others: &str) -> Result<(Vec<u8>, By)> {
        let chain = match (self.verification_material.chain()?, signer) {
            (Some(chain), Signer::Roots(_)) if self.verification_material.certificate.is_some() => {
                Some(chain.followed_by(others)?)
            }
            (chain, _) => chain,
        };
        let key = signer.key(chain.as_ref())?;
        let statement = self.dsse_envelope.open(&key)?;
        Ok((statement, By { key, chain: chain.filter(|_| matches!(signer, Signer::Roots(_))) }))
    }

    /// By what name it says which key it is.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.verification_material.public_key.as_ref().map(|it| it.hint.as_str())
    }
}

/// By which key something was signed, and by which certificate where that is what counts.
#[derive(Debug)]
pub(crate) struct By {
    pub(crate) key: PublicKey,
    pub(crate) chain: Option<Chain>,
}

impl Material {
    fn of(key: &PrivateKey, hint: String) -> Self {
        let Some(chain) = key.chain() else {
            return Self { public_key: Some(Hint { hint }), ..Self::default() };
        };
        let certificate = |der| Certificate { raw_bytes: STANDARD.encode(der) };
        let certificates = chain.der().map(certificate).collect();
        Self { x509_certificate_chain: Some(Certificates { certificates }), ..Self::default() }
    }

    /// The certificates that it brings. With two ways to say whose key it is, one reader would look
    /// at the one and another at the other.
    fn chain(&self) -> Result<Option<Chain>> {
        let certificates = match (&self.public_key, &self.certificate, &self.x509_certificate_chain)
        {
            (_, None, None) => return Ok(None),
            (None, Some(one), None) => std::slice::from_ref(one),
            (None, None, Some(chain)) => chain.certificates.as_slice(),
            _ => return Err(Error::refused("it says in several ways whose key it is")),
        };
        let decoded = certificates.iter().map(|it| {
            let der = STANDARD.decode(&it.raw_bytes);
            der.map(Into::into).map_err(|error| Error::refused(format!("no base64: {error}")))
        });
        Chain::new(decoded.collect::<Result<_>>()?).map(Some)
    }
}
