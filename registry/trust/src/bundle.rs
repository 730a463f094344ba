//! Sigstore's bundle: an envelope, and by which key it is to be checked (sigstore/protobuf-specs,
//! `sigstore_bundle.proto`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::dsse::Envelope;
use crate::{Error, PrivateKey, PublicKey, Result};

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

/// Of the ways to say whose key it is, only that by a plain key is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    public_key: Option<Hint>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tlog_entries: Vec<Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Hint {
    #[serde(default)]
    hint: String,
}

impl Bundle {
    /// Signs a statement as cosign does.
    pub(crate) fn sign(statement: &[u8], key: &PrivateKey) -> Self {
        let hint = STANDARD.encode(Sha256::digest(key.public().der()));
        Self::with_hint(statement, key, hint)
    }

    /// The same with another name for the key.
    pub(crate) fn with_hint(statement: &[u8], key: &PrivateKey, hint: String) -> Self {
        Self {
            media_type: BUNDLE.to_owned(),
            verification_material: Material {
                public_key: Some(Hint { hint }),
                tlog_entries: Vec::new(),
            },
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

    /// The statement, if the key has signed it.
    pub(crate) fn open(&self, key: &PublicKey) -> Result<Vec<u8>> {
        self.dsse_envelope.open(key)
    }

    /// By what name it says which key it is.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.verification_material.public_key.as_ref().map(|it| it.hint.as_str())
    }
}
