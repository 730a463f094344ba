//! The tokenizer's files: they are carried from the checkpoint to the trained model as they are.

use std::collections::BTreeMap;
use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use fs_err as fs;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::normalizers::Precompiled;

use super::settings::Settings;
use super::{BoxError, Tokenizer, vocabulary};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::network::Network;
use crate::tensors::{IS_LFS_POINTER, LFS_POINTER};

const NAMES: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "spm.model",
];

/// The files that a tokenizer is, with a `tokenizer.json` among them.
#[derive(Debug, Clone)]
pub struct TokenizerFiles {
    dir: PathBuf,
    files: BTreeMap<&'static str, Vec<u8>>,
    settings: Settings,
}

impl TokenizerFiles {
    /// Reads those of a folder that are there. Where there is only a vocabulary, such as the old
    /// `vocab.txt`, `tokenizer.json` is made of it.
    pub fn read(dir: &Path, config: &Config) -> Result<Self> {
        let unreadable = |source| Error::Folder { dir: dir.to_owned(), source };
        let mut files = BTreeMap::new();
        for name in NAMES {
            match fs::read(dir.join(name)) {
                Ok(bytes) if bytes.starts_with(LFS_POINTER) => {
                    let problems = vec![IS_LFS_POINTER.to_owned()];
                    return Err(Error::Unsupported { path: dir.join(name), problems });
                }
                Ok(bytes) => drop(files.insert(name, bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => (),
                Err(source) => return Err(unreadable(source)),
            }
        }
        let settings = Settings::of(&files, config, dir)?;
        if !files.contains_key("tokenizer.json") {
            let names = vocabulary::names(settings.class);
            let found: Vec<&[u8]> =
                names.iter().filter_map(|name| files.get(name).map(Vec::as_slice)).collect();
            if found.len() < names.len() || found.is_empty() {
                let missing = format!("there is no tokenizer.json and no {}", names.join(" with "));
                return Err(unreadable(IoError::new(ErrorKind::NotFound, missing)));
            }
            let made = vocabulary::tokenizer_json(&settings, &found);
            let path = dir.join(names[0]);
            let made =
                made.map_err(|problem| Error::TokenizerFile { path, source: problem.into() })?;
            files.insert("tokenizer.json", made.into_bytes());
        }
        Ok(Self { dir: dir.to_owned(), files, settings })
    }

    /// The tokenizer that `transformers` makes of them.
    pub fn tokenizer(&self, network: &Network) -> Result<Tokenizer> {
        let bytes = self.files.get("tokenizer.json").map_or(&[][..], Vec::as_slice);
        let tokenizer = parsed(bytes).and_then(|mut tokenizer| {
            let of_its_own = tokenizer.get_truncation().map(|cut| cut.direction);
            tokenizer.with_padding(None);
            tokenizer.with_truncation(None)?;
            self.settings.apply(&mut tokenizer)?;
            let max_tokens = self.settings.max_tokens.unwrap_or(usize::MAX);
            let max_tokens = max_tokens.min(network.max_tokens());
            let direction = self.settings.direction.or(of_its_own).unwrap_or_default();
            let n_kinds = if self.settings.tells_kinds { network.type_vocab_size } else { 0 };
            Tokenizer::new(tokenizer, [network.vocab_size, n_kinds], max_tokens, direction)
        });
        let path = || self.dir.join("tokenizer.json");
        tokenizer.map_err(|source| Error::TokenizerFile { path: path(), source })
    }

    /// Names and bytes, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (*name, &bytes[..]))
    }
}

/// Reads `tokenizer.json`. What SentencePiece compiled is looked at before: the parser of the whole
/// panics where that is broken.
fn parsed(bytes: &[u8]) -> Result<tokenizers::Tokenizer, BoxError> {
    #[derive(Deserialize)]
    struct Document {
        #[serde(default)]
        normalizer: Value,
    }
    if let Ok(Document { normalizer }) = serde_json::from_slice(bytes) {
        check_compiled(&normalizer)?;
    }
    tokenizers::Tokenizer::from_bytes(bytes)
}

fn check_compiled(normalizer: &Value) -> Result<(), BoxError> {
    if let Some(inner) = normalizer.get("normalizers").and_then(Value::as_array) {
        return inner.iter().try_for_each(check_compiled);
    }
    if normalizer.get("type").is_some_and(|kind| kind == "Precompiled") {
        Precompiled::deserialize(normalizer)?;
    }
    Ok(())
}
