//! Signatures of model files, which hold wherever the files go: OpenSSF Model Signing, version 1.0
//! (ossf/model-signing-spec).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bundle::Bundle;
use crate::certificate::Chain;
use crate::key::hex;
use crate::statement::Statement;
use crate::{Error, PrivateKey, Result, Signer};

/// What the signature's file is called where nobody says otherwise.
pub const SIGNATURE: &str = "model.sig";
const PREDICATE: &str = "https://model_signing/signature/v1.0";
/// What is not looked at, at the root of the files.
const IGNORED: [&str; 4] = [".git", ".gitattributes", ".github", ".gitignore"];
/// How many differences an error tells.
const MAX_TOLD: usize = 5;

#[derive(Serialize, Deserialize)]
struct Predicate {
    serialization: Serialization,
    resources: Vec<Resource>,
}

#[derive(Serialize, Deserialize)]
struct Serialization {
    method: String,
    hash_type: String,
    #[serde(default)]
    allow_symlinks: bool,
    #[serde(default)]
    ignore_paths: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Resource {
    name: String,
    algorithm: String,
    digest: String,
}

/// Signs the files below a folder; returns the bundle, which belongs into a file such as
/// [`SIGNATURE`]. `name` is what the model is called, `signature` the file that will hold the
/// bundle: it is not signed itself.
pub fn sign(dir: &Path, name: &str, signature: &Path, key: &PrivateKey) -> Result<Vec<u8>> {
    let files = hashed(dir, &[signature.to_owned()])?;
    let resources = files.iter().map(|(name, digest)| Resource {
        name: name.clone(),
        algorithm: "sha256".to_owned(),
        digest: hex(digest),
    });
    let predicate = Predicate {
        serialization: Serialization {
            method: "files".to_owned(),
            hash_type: "sha256".to_owned(),
            allow_symlinks: false,
            ignore_paths: ignored(dir, signature),
        },
        resources: resources.collect(),
    };
    let predicate = serde_json::to_value(predicate).expect("it becomes JSON");
    let statement =
        Statement::new(name, ("sha256", &hex(&root(files.values()))), PREDICATE, predicate);
    let hint = hex(&Sha256::digest(key.public().to_pem()?));
    Ok(Bundle::with_hint(&statement.to_json(), key, hint).to_json())
}

/// Files that are those that were signed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedFiles {
    /// How many they are.
    pub n_files: usize,
    /// The fingerprint of the key.
    pub key: String,
    /// The name of the certificate, where they count by one.
    pub certificate: Option<String>,
}

/// Checks that the files below a folder are those that were signed: no more, no fewer, each to the
/// byte.
pub fn verify(
    dir: &Path,
    bundle: &[u8],
    signature: &Path,
    signer: impl Into<Signer>,
) -> Result<VerifiedFiles> {
    let (bundle, signer) = (Bundle::parse(bundle)?, signer.into());
    if let (Signer::Key(key), Some(found)) = (&signer, bundle.hint())
        && found != hex(&Sha256::digest(key.to_pem()?))
    {
        let key = key.fingerprint();
        return Err(Error::refused(format!("it names another key than {key}: {found}")));
    }
    let (statement, by) = bundle.open(&signer, "")?;
    let statement = Statement::parse(&statement, PREDICATE)?;
    let predicate: Predicate = serde_json::from_value(statement.predicate.clone())
        .map_err(|error| Error::refused(format!("it tells no files: {error}")))?;
    let signed = predicate.files()?;
    let told = statement.subject.first().and_then(|it| it.digest.get("sha256"));
    if statement.subject.len() != 1 || told != Some(&hex(&root(signed.values()))) {
        return Err(Error::refused("its digest is not that of its files"));
    }
    let found = hashed(dir, &[signature.to_owned()])?;
    let mut differences = differences(&signed, &found);
    match differences.len() {
        0 => Ok(VerifiedFiles {
            n_files: found.len(),
            key: by.key.fingerprint(),
            certificate: by.chain.as_ref().map(Chain::name),
        }),
        n => {
            differences.truncate(MAX_TOLD);
            if n > MAX_TOLD {
                differences.push(format!("and {} more", n - MAX_TOLD));
            }
            Err(Error::Files { differences })
        }
    }
}

impl Predicate {
    /// The files, if they were hashed as we do it.
    fn files(&self) -> Result<BTreeMap<String, [u8; 32]>> {
        let Serialization { method, hash_type, .. } = &self.serialization;
        if (method.as_str(), hash_type.as_str()) != ("files", "sha256") {
            let refused = format!("files hashed by {method:?} with {hash_type:?} are not compared");
            return Err(Error::refused(refused));
        }
        let mut files = BTreeMap::new();
        for Resource { name, algorithm, digest } in &self.resources {
            let digest = unhex(digest).filter(|_| algorithm == "sha256");
            let digest = digest
                .ok_or_else(|| Error::refused(format!("{name} has a digest that is no SHA-256")))?;
            if files.insert(name.clone(), digest).is_some() {
                return Err(Error::refused(format!("{name} stands there twice")));
            }
        }
        Ok(files)
    }
}

/// SHA-256 over the digests of the files, in the order of their names.
fn root<'a>(digests: impl Iterator<Item = &'a [u8; 32]>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    digests.for_each(|digest| hasher.update(digest));
    hasher.finalize().into()
}

fn differences(
    signed: &BTreeMap<String, [u8; 32]>,
    found: &BTreeMap<String, [u8; 32]>,
) -> Vec<String> {
    let missing = signed.keys().filter(|name| !found.contains_key(*name));
    let missing = missing.map(|name| format!("{name} is missing"));
    let changed = found.iter().filter_map(|(name, digest)| match signed.get(name) {
        None => Some(format!("{name} was not signed")),
        Some(expected) if expected != digest => Some(format!("{name} was changed")),
        Some(_) => None,
    });
    missing.chain(changed).collect()
}

/// The paths that were not looked at, as the signature tells them.
fn ignored(dir: &Path, signature: &Path) -> Vec<String> {
    let own = signature.strip_prefix(dir).ok().and_then(slashed);
    IGNORED.iter().map(|name| (*name).to_owned()).chain(own).collect()
}

/// Each file below a folder with the digest of its content, by its path.
fn hashed(dir: &Path, without: &[PathBuf]) -> Result<BTreeMap<String, [u8; 32]>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let is_ignored = folder == dir
                && entry.file_name().to_str().is_some_and(|name| IGNORED.contains(&name));
            if is_ignored || without.contains(&path) {
                continue;
            }
            let name = path.strip_prefix(dir).ok().and_then(slashed);
            let name = name.ok_or_else(|| {
                Error::refused(format!("{} has a name that is not UTF-8", path.display()))
            })?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.insert(name, digest_of(&path)?);
            } else {
                return Err(Error::refused(format!(
                    "{name} is a symbolic link, or no file at all: it cannot be signed"
                )));
            }
        }
    }
    Ok(files)
}

fn digest_of(path: &Path) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn slashed(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let is_hex = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = [0; 32];
    for (n, byte) in bytes.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    is_hex.then_some(bytes)
}
