//! Docker's `config.json`, which most tools of this field share.

use std::io::Write;
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Map, Value};

use super::entry::{self, Entry};
use super::{Credential, Credentials, helper};
use crate::{ContentError, Result};

/// A file of credentials with the schema of Docker's `config.json`, and further ones that are only
/// read.
///
/// Each call reads the files anew, so that a login in another terminal counts at once.
#[derive(Debug, Clone)]
pub struct CredentialFile {
    path: PathBuf,
    /// A document that goes before the file.
    text: Option<String>,
    fallbacks: Vec<PathBuf>,
}

impl CredentialFile {
    /// Takes a file; it need not exist.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), text: None, fallbacks: Vec::new() }
    }

    /// Adds a document of the same schema, which is asked first: what the environment says
    /// (`DOCKER_AUTH_CONFIG`) goes before files.
    pub fn with_text(self, text: Option<String>) -> Self {
        Self { text, ..self }
    }

    /// Adds files that are asked, in this order, for what the first does not know.
    pub fn with_fallbacks(self, fallbacks: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { fallbacks: fallbacks.into_iter().collect(), ..self }
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds the credential for a registry, in the file or by the helper program that the file
    /// names; for one of its repositories, of the keys that stand for it the one that says most of
    /// its name. A file of another program that is broken is an error where none has it.
    pub fn find(&self, registry: &str, repository: Option<&str>) -> Result<Option<Credential>> {
        let repository = repository.unwrap_or_default();
        if let Some(text) = &self.text {
            let config = Config::parse(text.as_bytes(), "the credentials from the environment")?;
            if let Some(found) = find_in(&config, registry, repository)? {
                return Ok(Some(found));
            }
        }
        if let Some(found) = find_in(&Config::read(&self.path)?, registry, repository)? {
            return Ok(Some(found));
        }
        let mut broken = None;
        for path in &self.fallbacks {
            match Config::read(path).and_then(|config| find_in(&config, registry, repository)) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                // A broken file of another program does not lock this one out.
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        broken.map_or(Ok(None), Err)
    }

    /// Keeps a credential: with the helper program that the file names, else in the file itself.
    pub fn store(&self, registry: &str, credential: &Credential) -> Result<()> {
        let mut config = Config::read(&self.path)?;
        let value = match config.helper(registry) {
            None => serde_json::to_value(Entry::new(credential)).expect("entries are JSON"),
            Some(name) => {
                helper::store(name, entry::key(registry), credential)?;
                Value::Object(Map::new())
            }
        };
        let auths = config.auths_mut(&self.path)?;
        auths.retain(|key, _| !entry::is_for(key, registry));
        auths.insert(entry::key(registry).to_owned(), value);
        config.write(&self.path)
    }

    /// Forgets the credential of a registry; false when there was none in this file.
    pub fn erase(&self, registry: &str) -> Result<bool> {
        let mut config = Config::read(&self.path)?;
        let mut was_there = match config.helper(registry) {
            Some(name) => helper::erase(name, entry::key(registry))?,
            None => false,
        };
        if config.0.contains_key("auths") {
            let auths = config.auths_mut(&self.path)?;
            let before = auths.len();
            auths.retain(|key, _| !entry::is_for(key, registry));
            let has_changed = auths.len() < before;
            if has_changed {
                config.write(&self.path)?;
            }
            was_there |= has_changed;
        }
        Ok(was_there)
    }
}

impl Credentials for CredentialFile {
    fn lookup(&self, registry: &str, repository: Option<&str>) -> Result<Option<Credential>> {
        self.find(registry, repository)
    }
}

fn find_in(config: &Config, registry: &str, repository: &str) -> Result<Option<Credential>> {
    if let Some(name) = config.helper(registry)
        && let Some(found) = helper::find(name, entry::key(registry))?
    {
        return Ok(Some(found));
    }
    let Some(Value::Object(auths)) = config.0.get("auths") else { return Ok(None) };
    let keys = auths
        .iter()
        .filter_map(|(key, value)| Some((entry::depth(key, registry, repository)?, key, value)));
    // The key that we would write goes before its other spellings.
    let best = keys.max_by_key(|(depth, key, _)| (*depth, *key == entry::key(registry)));
    let entry = best.and_then(|(_, _, value)| serde_json::from_value::<Entry>(value.clone()).ok());
    Ok(entry.and_then(Entry::credential))
}

/// The whole document: what is not understood here is kept.
struct Config(Map<String, Value>);

impl Config {
    fn read(path: &Path) -> Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self(Map::new()));
            }
            Err(error) => return Err(error.into()),
        };
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &[u8], what: &str) -> Result<Self> {
        if text.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        let document = serde_json::from_slice(text);
        document.map(Self).map_err(|source| {
            ContentError::InvalidDocument { what: what.to_owned(), source }.into()
        })
    }

    /// The helper program that keeps a registry's credential.
    fn helper(&self, registry: &str) -> Option<&str> {
        let own = match self.0.get("credHelpers") {
            Some(Value::Object(helpers)) => helpers
                .iter()
                .find(|(key, _)| entry::is_for(key, registry))
                .and_then(|(_, name)| name.as_str()),
            _ => None,
        };
        own.or_else(|| self.0.get("credsStore")?.as_str()).filter(|name| !name.is_empty())
    }

    fn auths_mut(&mut self, path: &Path) -> Result<&mut Map<String, Value>> {
        let auths = self.0.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        auths.as_object_mut().ok_or_else(|| {
            ContentError::InvalidDocument {
                what: path.display().to_string(),
                source: serde::de::Error::custom("`auths` is not an object"),
            }
            .into()
        })
    }

    /// Writes the file beside its place and moves it there, for nobody else to read.
    fn write(&self, path: &Path) -> Result<()> {
        // A link, as from a folder of dotfiles, stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        let mut text = serde_json::to_vec_pretty(&self.0).expect("it was read from JSON");
        text.push(b'\n');
        file.write_all(&text)?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}
