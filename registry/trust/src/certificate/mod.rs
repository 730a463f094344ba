//! Certificates: who vouches for a key (X.509, RFC 5280). Paths are built and checked by `webpki`,
//! which TLS brings along; what a key may be used for is read here, since that is nothing to TLS.

mod parts;

use std::fmt;
use std::time::SystemTime;

use pkcs8::LineEnding;
use pkcs8::der::pem;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest as _, Sha256};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage};

use self::parts::Parts;
use crate::key::hex;
use crate::{Error, PublicKey, Result};

const LABEL: &str = "CERTIFICATE";
/// The largest file of certificates that is read, in bytes.
const MAX_PEM: usize = 256 * 1024;
/// How many certificates one signature brings at most.
const MAX_CHAIN: usize = 10;
/// The object identifier of "signing of code" (RFC 5280, 4.2.1.12), in DER.
const CODE_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 3];

/// The certificate of a key, and those that vouch for it; the root is not among them.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain(Vec<CertificateDer<'static>>);

/// Roots: a signature counts by whatever certificate they vouch for at one moment.
#[derive(Clone)]
pub struct Roots {
    certificates: Vec<CertificateDer<'static>>,
    at: SystemTime,
}

impl Chain {
    /// Reads certificates in PEM: that of the key first, each vouched for by the next one. A root at
    /// the end is left out, as nobody believes it for being there.
    pub fn from_pem(text: &str) -> Result<Self> {
        let mut chain = certificates(text)?;
        while chain.len() > 1 && Parts::of(chain.last().expect("there are two"))?.is_a_root() {
            chain.pop();
        }
        Self::new(chain)
    }

    pub(crate) fn new(chain: Vec<CertificateDer<'static>>) -> Result<Self> {
        match chain.len() {
            0 => Err(unread("there is none")),
            n if n > MAX_CHAIN => {
                Err(unread(format!("there are {n} in a row, and nobody reads so many")))
            }
            _ => Ok(Self(chain)),
        }
    }

    /// The same with others behind them, in PEM; nobody believes those for being there.
    pub(crate) fn followed_by(self, others: &str) -> Result<Self> {
        let Self(mut chain) = self;
        chain.extend(certificates(others)?);
        Self::new(chain)
    }

    /// The key that they vouch for.
    pub fn key(&self) -> Result<PublicKey> {
        let unread = |error| unread(text(error));
        let certificate = EndEntityCert::try_from(&self.0[0]).map_err(unread)?;
        PublicKey::from_der(&certificate.subject_public_key_info())
    }

    /// What the certificate of the key is called: its common name and its fingerprint.
    #[must_use]
    pub fn name(&self) -> String {
        let name = Parts::of(&self.0[0]).ok().and_then(|it| it.common_name());
        let fingerprint = fingerprint(&self.0[0]);
        name.map_or_else(|| fingerprint.clone(), |name| format!("{name:?} ({fingerprint})"))
    }

    /// In DER, that of the key first.
    pub(crate) fn der(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// In PEM: that of the key, and all others, if there are some.
    pub(crate) fn to_pem(&self) -> (String, String) {
        let mut written = self.0.iter().map(|it| {
            pem::encode_string(LABEL, LineEnding::LF, it).expect("a label and bytes are PEM")
        });
        (written.next().unwrap_or_default(), written.collect())
    }
}

impl Roots {
    /// Reads roots in PEM; `at` is when all certificates have to be valid, the roots among them: one
    /// that is not vouches for nothing.
    pub fn from_pem(text: &str, at: SystemTime) -> Result<Self> {
        let mut certificates = certificates(text)?;
        if certificates.is_empty() {
            return Err(unread("there is none"));
        }
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // A path ends at a root's name and key; how long it is valid `webpki` does not ask.
        let mut valid = Vec::new();
        for certificate in &certificates {
            valid.push(Parts::of(certificate)?.is_valid_at(since)?);
        }
        let mut valid = valid.into_iter();
        certificates.retain(|_| valid.next().unwrap_or_default());
        if certificates.is_empty() {
            return Err(unread("none of them is valid at this time"));
        }
        let roots = Self { certificates, at };
        roots.anchors().map_err(|error| unread(self::text(error)))?;
        Ok(roots)
    }

    /// What they are called: their fingerprints.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let names: Vec<String> = self.certificates.iter().map(|it| fingerprint(it)).collect();
        names.join(", ")
    }

    /// The key that a chain vouches for, if one of the roots vouches for the chain and the key is
    /// for signing.
    pub(crate) fn key_of(&self, chain: &Chain) -> Result<PublicKey> {
        let refused = |problem: String| {
            Error::refused(format!("the certificate {} does not count: {problem}", chain.name()))
        };
        let unreadable = |_: Error| refused("it cannot be read".to_owned());
        let [leaf, vouching @ ..] = chain.0.as_slice() else { unreachable!("a chain has one") };
        let certificate = EndEntityCert::try_from(leaf).map_err(|it| refused(text(it)))?;
        let anchors = self.anchors().map_err(|it| refused(text(it)))?;
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let path = certificate
            .verify_for_usage(
                ALL_VERIFICATION_ALGS,
                &anchors,
                vouching,
                UnixTime::since_unix_epoch(since),
                KeyUsage::required_if_present(CODE_SIGNING),
                None,
                None,
            )
            .map_err(|it| refused(text(it)))?;
        let usage = Parts::of(leaf).map_err(unreadable)?.usage().map_err(unreadable)?;
        if !usage.may_sign {
            return Err(refused("its key is not for signatures".to_owned()));
        }
        // Those only that are needed: some bring the first one, or the root, once more.
        for issuer in path.intermediate_certificates() {
            let issuer = issuer.der();
            if !Parts::of(&issuer).map_err(unreadable)?.usage().map_err(unreadable)?.may_vouch {
                let problem = format!("{} may not vouch for others", fingerprint(&issuer));
                return Err(refused(problem));
            }
        }
        chain.key()
    }

    fn anchors(&self) -> Result<Vec<TrustAnchor<'_>>, webpki::Error> {
        self.certificates.iter().map(webpki::anchor_from_trusted_cert).collect()
    }
}

fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>> {
    if text.len() > MAX_PEM {
        return Err(unread("the file is too large"));
    }
    let read = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    read.map_err(|error| unread(error.to_string()))
}

fn fingerprint(certificate: &[u8]) -> String {
    format!("SHA256:{}", hex(&Sha256::digest(certificate)))
}

fn unread(problem: impl Into<String>) -> Error {
    Error::Key { what: "chain of certificates", problem: problem.into() }
}

/// Why a path does not hold.
fn text(error: webpki::Error) -> String {
    let days =
        |from: UnixTime, to: UnixTime| (to.as_secs().saturating_sub(from.as_secs())) / 86_400;
    match error {
        webpki::Error::CertExpired { time, not_after } => {
            format!("one of its chain is valid no more, for {} days now", days(not_after, time))
        }
        webpki::Error::CertNotValidYet { time, not_before } => {
            format!("one of its chain is not valid yet, for {} days more", days(time, not_before))
        }
        webpki::Error::UnknownIssuer => "none of the roots vouches for it".to_owned(),
        webpki::Error::InvalidSignatureForPublicKey => {
            "one of its chain was not signed by the one that it names".to_owned()
        }
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            "one of its chain is not for signing code".to_owned()
        }
        webpki::Error::CaUsedAsEndEntity => "it is one that vouches for others".to_owned(),
        webpki::Error::EndEntityUsedAsCa => {
            "one of its chain vouches for another, and may not".to_owned()
        }
        error => error.to_string(),
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Chain").field(&self.name()).finish()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roots").field(&self.fingerprint()).finish()
    }
}
