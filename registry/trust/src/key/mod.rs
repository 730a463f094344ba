//! Keys: ECDSA over the curve P-256 with SHA-256, as cosign has them.

mod sealed;

use std::fmt;

use p256::SecretKey;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use p256::elliptic_curve::Generate as _;
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _,
    LineEnding,
};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::pem::PemLabel as _;
use pkcs8::der::{Decode as _, SecretDocument};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::certificate::Chain;
use crate::{Error, Result};

/// The largest file that is taken for a key, in bytes.
const MAX_PEM: usize = 64 * 1024;

/// A key that signs. What it holds is overwritten when it goes.
pub struct PrivateKey {
    key: SigningKey,
    chain: Option<Chain>,
}

/// A key that checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PrivateKey {
    /// Makes a new one.
    pub fn generate() -> Result<Self> {
        Ok(Self::of(SecretKey::generate()))
    }

    /// Reads a private key in PEM: PKCS#8 as OpenSSL writes it, plain or encrypted, SEC 1, or
    /// cosign's own form.
    pub fn from_pem(pem: &str, password: Option<&str>) -> Result<Self> {
        let unread = |problem: &dyn fmt::Display| Error::Key {
            what: "private key",
            problem: problem.to_string(),
        };
        if pem.len() > MAX_PEM {
            return Err(unread(&"it is too large"));
        }
        let secret = match label(pem) {
            Some("PRIVATE KEY" | "EC PRIVATE KEY") => {
                SecretKey::from_pem(pem.trim()).or_else(|_| SecretKey::from_sec1_pem(pem.trim()))
            }
            Some(EncryptedPrivateKeyInfoRef::PEM_LABEL) => {
                let password = password.ok_or(Error::NoPassword)?;
                let (_, document) =
                    SecretDocument::from_pem(pem.trim()).map_err(|error| unread(&error))?;
                let sealed = EncryptedPrivateKeyInfoRef::from_der(document.as_bytes())
                    .map_err(|error| unread(&error))?;
                let opened = sealed.decrypt(password).map_err(|_| Error::WrongPassword)?;
                SecretKey::from_pkcs8_der(opened.as_bytes())
                    .map_err(|error| unread(&error))
                    .map(Ok)?
            }
            Some("ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY") => {
                let opened = sealed::open(pem, password.ok_or(Error::NoPassword)?)?;
                SecretKey::from_pkcs8_der(&opened).map_err(|error| unread(&error)).map(Ok)?
            }
            Some(other) => return Err(unread(&format_args!("it says that it is a {other:?}"))),
            None => return Err(unread(&"it is no PEM")),
        };
        let of_curve = |_| unread(&"it is damaged, or of another curve than P-256");
        Ok(Self::of(secret.map_err(of_curve)?))
    }

    fn of(secret: SecretKey) -> Self {
        Self { key: secret.into(), chain: None }
    }

    /// The same, showing certificates with each signature.
    ///
    /// # Errors
    /// Certificates that vouch for another key.
    pub fn with_chain(self, chain: Chain) -> Result<Self> {
        let (certified, own) = (chain.key()?, self.public());
        if certified != own {
            let (certified, own) = (certified.fingerprint(), own.fingerprint());
            let problem = format!("it is for the key {certified}, and this is {own}");
            return Err(Error::Key { what: "certificate of the private key", problem });
        }
        Ok(Self { chain: Some(chain), ..self })
    }

    /// The certificates that it shows.
    pub(crate) fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// Writes it as cosign does: encrypted with a password, which may be empty.
    pub fn to_sealed_pem(&self, password: &str) -> Result<Zeroizing<String>> {
        sealed::seal(self.secret().to_pkcs8_der().map_err(internal)?.as_bytes(), password)
    }

    /// Writes it as PKCS#8, for everybody to read.
    pub fn to_plain_pem(&self) -> Result<Zeroizing<String>> {
        self.secret().to_pkcs8_pem(LineEnding::LF).map_err(internal)
    }

    /// Its other half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.key.verifying_key())
    }

    /// Signs a message: ASN.1 DER, the same each time (RFC 6979).
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = self.key.sign(message);
        signature.as_bytes().to_vec()
    }

    fn secret(&self) -> SecretKey {
        SecretKey::from(self.key.as_nonzero_scalar())
    }
}

impl PublicKey {
    /// Reads a public key in PEM (SPKI), which is what cosign and OpenSSL write.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let unread = |problem: String| Error::Key { what: "public key", problem };
        if pem.len() > MAX_PEM {
            return Err(unread("it is too large".to_owned()));
        }
        match label(pem) {
            Some("PUBLIC KEY") => VerifyingKey::from_public_key_pem(pem.trim())
                .map(Self)
                .map_err(|_| unread("it is damaged, or of another curve than P-256".to_owned())),
            Some(other) => Err(unread(format!("it says that it is a {other:?}"))),
            None => Err(unread("it is no PEM".to_owned())),
        }
    }

    /// Reads SPKI in DER.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self> {
        VerifyingKey::from_public_key_der(der).map(Self).map_err(|_| Error::Key {
            what: "public key",
            problem: "it is damaged, or of another curve than P-256".to_owned(),
        })
    }

    /// Writes it in PEM.
    pub fn to_pem(&self) -> Result<String> {
        self.0.to_public_key_pem(LineEnding::LF).map_err(internal)
    }

    /// How it is called: `SHA256:` and the digest of its DER form (SPKI).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::digest(self.der());
        format!("SHA256:{}", hex(&digest))
    }

    /// SPKI in DER.
    pub(crate) fn der(&self) -> Vec<u8> {
        self.0.to_public_key_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default()
    }

    /// Whether the key made this signature (ASN.1 DER) over this message.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        DerSignature::try_from(signature).is_ok_and(|it| self.0.verify(message, &it).is_ok())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public().fingerprint()).finish()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.fingerprint()).finish()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a PEM says that it holds.
fn label(pem: &str) -> Option<&str> {
    let first = pem.trim_start().lines().next()?;
    first.trim_end().strip_prefix("-----BEGIN ")?.strip_suffix("-----")
}

fn internal(error: impl fmt::Display) -> Error {
    Error::Key { what: "key that can be written", problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_back_from_each_form() {
        let key = PrivateKey::generate().expect("the system has randomness");
        let signature = key.sign(b"message");
        let plain = key.to_plain_pem().expect("written");
        let sealed = key.to_sealed_pem("secret").expect("written");
        for (pem, password) in [(&plain, None), (&plain, Some("unused")), (&sealed, Some("secret"))]
        {
            let again = PrivateKey::from_pem(pem, password).expect("read");
            assert_eq!(again.public(), key.public());
            assert_eq!(again.sign(b"message"), signature, "signing repeats to the byte");
        }
        let public = PublicKey::from_pem(&key.public().to_pem().expect("written")).expect("read");
        assert!(public.verifies(b"message", &signature));
        assert!(!public.verifies(b"another", &signature));
        assert!(!public.verifies(b"message", &signature[1..]));
        let other = PrivateKey::generate().expect("the system has randomness").public();
        assert!(!other.verifies(b"message", &signature));
    }

    #[test]
    fn a_password_is_asked_for_and_checked() {
        let key = PrivateKey::generate().expect("the system has randomness");
        let sealed = key.to_sealed_pem("secret").expect("written");
        assert!(matches!(PrivateKey::from_pem(&sealed, None), Err(Error::NoPassword)));
        let wrong = PrivateKey::from_pem(&sealed, Some("other"));
        assert!(matches!(wrong, Err(Error::WrongPassword)), "{wrong:?}");
    }

    #[test]
    fn what_is_no_key_is_said() {
        let key = PrivateKey::generate().expect("the system has randomness");
        let public = key.public().to_pem().expect("written");
        let check = |pem: &str, expected: &str| {
            let error = PrivateKey::from_pem(pem, Some("p")).expect_err("it is no private key");
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(&public, "\"PUBLIC KEY\"");
        check("", "no PEM");
        check("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged");
        check(&"x".repeat(1 << 20), "too large");
        let shown = format!("{key:?}");
        assert!(shown.starts_with("PrivateKey(\"SHA256:"), "{shown}");
    }
}
