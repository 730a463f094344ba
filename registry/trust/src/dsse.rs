//! DSSE: a payload and its type, signed together (secure-systems-lab/dsse, `envelope.md` and
//! `protocol.md`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::{Error, PrivateKey, PublicKey, Result};

/// The type of in-toto statements.
pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A signed payload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Signature {
    sig: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    keyid: String,
}

impl Envelope {
    /// Signs an in-toto statement.
    pub(crate) fn sign(payload: &[u8], key: &PrivateKey) -> Self {
        let sig = STANDARD.encode(key.sign(&pae(IN_TOTO, payload)));
        Self {
            payload: STANDARD.encode(payload),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![Signature { sig, keyid: String::new() }],
        }
    }

    /// The payload, if it is an in-toto statement that the key alone has signed.
    pub(crate) fn open(&self, key: &PublicKey) -> Result<Vec<u8>> {
        if self.payload_type != IN_TOTO {
            return Err(Error::refused(format!(
                "it signs a payload of the type {:?} and not {IN_TOTO}",
                self.payload_type
            )));
        }
        // With several, one could be another's, and the reader would not say whose was checked.
        let [signature] = self.signatures.as_slice() else {
            return Err(Error::refused(format!(
                "it has {} signatures where one is expected",
                self.signatures.len()
            )));
        };
        let decoded = |text: &str| {
            STANDARD.decode(text).map_err(|error| Error::refused(format!("no base64: {error}")))
        };
        let payload = decoded(&self.payload)?;
        match key.verifies(&pae(&self.payload_type, &payload), &decoded(&signature.sig)?) {
            true => Ok(payload),
            false => Err(Error::refused("it was not signed by this key, or changed since")),
        }
    }
}

/// What is signed: "pre-authentication encoding".
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn the_encoding_is_that_of_the_specification() {
        let encoded = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn nothing_of_it_can_be_exchanged() {
        let key = PrivateKey::generate().expect("the system has randomness");
        let envelope = || Envelope::sign(b"{}", &key);
        assert_eq!(envelope().open(&key.public()).expect("signed"), b"{}");
        let check = |change: &dyn Fn(&mut Envelope)| {
            let mut envelope = envelope();
            change(&mut envelope);
            envelope.open(&key.public()).expect_err("it was changed");
        };
        check(&|it| it.payload = STANDARD.encode(b"{ }"));
        check(&|it| it.payload_type = "application/json".to_owned());
        check(&|it| it.signatures.clear());
        check(&|it| it.signatures[0].sig = STANDARD.encode(b"x"));
        check(&|it| {
            let sig = it.signatures[0].sig.clone();
            it.signatures.push(Signature { sig, keyid: String::new() });
        });
        let other = PrivateKey::generate().expect("the system has randomness");
        envelope().open(&other.public()).expect_err("another key");
    }
}
