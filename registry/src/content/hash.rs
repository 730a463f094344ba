//! Hashing with the algorithms that content can be stored under.

use sha2::{Digest as _, Sha256, Sha512};

use super::{Digest, DigestAlgorithm};
use crate::{ContentError, Result};

/// Hashes content in pieces, with SHA-256 unless told otherwise.
#[derive(Clone, Debug)]
pub struct Hasher(State);

#[derive(Clone, Debug)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// Starts a hash; an algorithm other than SHA-256 and SHA-512 is an error.
    pub fn new(algorithm: &DigestAlgorithm) -> Result<Self> {
        match algorithm {
            DigestAlgorithm::Sha256 => Ok(Self(State::Sha256(Sha256::new()))),
            DigestAlgorithm::Sha512 => Ok(Self(State::Sha512(Sha512::new()))),
            other => Err(ContentError::InvalidDigest {
                text: other.to_string(),
                reason: "only sha256 and sha512 are supported".into(),
            }
            .into()),
        }
    }

    /// The algorithm that it was started with.
    pub fn algorithm(&self) -> DigestAlgorithm {
        match self.0 {
            State::Sha256(_) => DigestAlgorithm::Sha256,
            State::Sha512(_) => DigestAlgorithm::Sha512,
        }
    }

    /// Adds a piece.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Ends the hash.
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        let hex = match self.0 {
            State::Sha256(state) => hex(&state.finalize()),
            State::Sha512(state) => hex(&state.finalize()),
        };
        format!("{algorithm}:{hex}").parse().expect("a hash in lower-case hex is a digest")
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self(State::Sha256(Sha256::new()))
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
