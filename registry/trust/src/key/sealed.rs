//! A private key under a password, as cosign keeps it: scrypt makes a key of the password, and
//! NaCl's secretbox (XSalsa20, Poly1305) closes the box (sigstore/sigstore, `pkg/cryptoutils` and
//! go-securesystemslib's `encrypted`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Error, Result};

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
/// What cosign writes today; 64 MiB of memory.
const LOG_N: u8 = 16;
/// The most that is spent on somebody's file: 128 MiB of memory.
const MAX_LOG_N: u8 = 17;

#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

pub(super) fn seal(secret: &[u8], password: &str) -> Result<Zeroizing<String>> {
    let (mut salt, mut nonce) = ([0; 32], [0; 24]);
    for bytes in [&mut salt[..], &mut nonce[..]] {
        getrandom::fill(bytes).map_err(|error| unsealed(&error))?;
    }
    let cipher = cipher(password, &salt, LOG_N)?;
    let ciphertext = cipher.encrypt(Nonce::from_slice(&nonce), secret);
    let sealed = Sealed {
        kdf: Kdf {
            name: "scrypt".to_owned(),
            params: Params { n: 1 << LOG_N, r: 8, p: 1 },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(ciphertext.map_err(|error| unsealed(&error))?),
    };
    let body = STANDARD.encode(serde_json::to_vec(&sealed).expect("it becomes JSON"));
    let mut pem = format!("-----BEGIN {LABEL}-----\n");
    for line in body.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem.push_str(&format!("-----END {LABEL}-----\n"));
    Ok(pem.into())
}

pub(super) fn open(pem: &str, password: &str) -> Result<Zeroizing<Vec<u8>>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let body = STANDARD.decode(body.trim()).map_err(|error| unsealed(&error))?;
    let sealed: Sealed = serde_json::from_slice(&body).map_err(|error| unsealed(&error))?;
    let Params { n, r, p } = sealed.kdf.params;
    if (sealed.kdf.name.as_str(), sealed.cipher.name.as_str()) != ("scrypt", "nacl/secretbox") {
        return Err(unsealed(&"it is encrypted in a way that is not known"));
    }
    if !n.is_power_of_two() || n > 1 << MAX_LOG_N || (r, p) != (8, 1) {
        return Err(unsealed(&format_args!("scrypt with N={n}, r={r}, p={p} is not done")));
    }
    let decoded = |text: &str| STANDARD.decode(text).map_err(|error| unsealed(&error));
    let (salt, nonce) = (decoded(&sealed.kdf.salt)?, decoded(&sealed.cipher.nonce)?);
    if nonce.len() != 24 {
        return Err(unsealed(&"its nonce has another length"));
    }
    let cipher = cipher(password, &salt, n.trailing_zeros() as u8)?;
    let opened = cipher.decrypt(Nonce::from_slice(&nonce), decoded(&sealed.ciphertext)?.as_slice());
    opened.map(Zeroizing::new).map_err(|_| Error::WrongPassword)
}

fn cipher(password: &str, salt: &[u8], log_n: u8) -> Result<XSalsa20Poly1305> {
    let params = scrypt::Params::new(log_n, 8, 1).map_err(|error| unsealed(&error))?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password.as_bytes(), salt, &params, &mut *key)
        .map_err(|error| unsealed(&error))?;
    XSalsa20Poly1305::new_from_slice(&*key).map_err(|error| unsealed(&error))
}

fn unsealed(problem: &dyn std::fmt::Display) -> Error {
    Error::Key { what: "private key of cosign's", problem: problem.to_string() }
}
