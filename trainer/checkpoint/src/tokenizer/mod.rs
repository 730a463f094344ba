//! A checkpoint's own tokenizer, without the padding and truncation that its file may ask for.

mod files;
mod settings;
mod vocabulary;

pub use files::TokenizerFiles;
use tokenizers::{TruncationDirection, TruncationParams};

use crate::error::{Error, Result};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Turns text into token ids, cut to a length and never padded. Each id has an embedding.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// Ids are below it.
    vocab_size: usize,
    /// Of a text, with those that the tokenizer adds.
    max_tokens: usize,
    /// How many it adds to a text.
    n_special: usize,
    direction: TruncationDirection,
}

/// A text as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Of the tokens, special ones included.
    pub ids: Vec<u32>,
    /// Whether there was more than the network takes.
    pub is_cut: bool,
}

impl Tokenizer {
    fn new(
        mut inner: tokenizers::Tokenizer,
        vocab_size: usize,
        max_tokens: usize,
        direction: TruncationDirection,
    ) -> Result<Self, BoxError> {
        inner.with_padding(None);
        inner.with_truncation(None)?;
        let tokens = inner.get_vocab(true);
        if let Some((token, id)) = tokens.iter().find(|(_, id)| **id as usize >= vocab_size) {
            let problem = format!(
                "token {token:?} has number {id}, and config.json's vocab_size is {vocab_size}"
            );
            return Err(problem.into());
        }
        let n_special = inner.encode_fast("", true)?.len();
        if n_special == 0 || n_special >= max_tokens {
            let problem = format!(
                "it adds {n_special} tokens to a text, but the model needs [CLS] and has room for {max_tokens}"
            );
            return Err(problem.into());
        }
        let whole = Self { inner, vocab_size, max_tokens, n_special, direction };
        let tokenizer = whole.cut_to(max_tokens)?;
        tokenizer.encode("")?;
        Ok(tokenizer)
    }

    /// The same, with texts cut to this many tokens, special ones included, if that is fewer.
    pub fn cut_to(&self, max_tokens: usize) -> Result<Self> {
        let max_length = max_tokens.min(self.max_tokens);
        if max_length <= self.n_special {
            let problem = format!("{max_length} tokens leave no room for one of the text");
            return Err(Error::Tokenization { source: problem.into() });
        }
        let cut = TruncationParams {
            max_length,
            direction: self.direction,
            ..TruncationParams::default()
        };
        let mut inner = self.inner.clone();
        inner.with_truncation(Some(cut)).map_err(|source| Error::Tokenization { source })?;
        Ok(Self { inner, max_tokens: max_length, ..*self })
    }

    /// Tokens of the longest text, special ones included.
    #[must_use]
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Whether of a long text the end is kept, and not the beginning.
    #[must_use]
    pub fn keeps_end(&self) -> bool {
        self.direction == TruncationDirection::Left
    }

    /// Tokenizes one text.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        let encoding = self.inner.encode_fast(text, true);
        let encoding = encoding.map_err(|source| Error::Tokenization { source })?;
        let is_cut = !encoding.get_overflowing().is_empty();
        Ok(Encoded { ids: self.checked(encoding.get_ids())?, is_cut })
    }

    /// One row of ids a text; the texts are shared between all threads.
    pub fn encode_all<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let encodings = self.inner.encode_batch_fast(texts, true);
        let encodings = encodings.map_err(|source| Error::Tokenization { source })?;
        encodings.iter().map(|encoding| self.checked(encoding.get_ids())).collect()
    }

    /// A template may put in what no vocabulary has.
    fn checked(&self, ids: &[u32]) -> Result<Vec<u32>> {
        match ids.iter().find(|id| **id as usize >= self.vocab_size) {
            Some(id) => {
                let problem = format!(
                    "the tokenizer gives token {id}, and config.json's vocab_size is {}",
                    self.vocab_size
                );
                Err(Error::Tokenization { source: problem.into() })
            }
            None => Ok(ids.to_vec()),
        }
    }
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size)
            .field("max_tokens", &self.max_tokens)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use fs_err as fs;
    use serde::Deserialize;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Config;

    fn checkpoint(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
    }

    /// The tokenizer of a checkpoint with other files beside it. One more token has an embedding
    /// than the checkpoint knows.
    fn with(name: &str, files: &BTreeMap<String, Value>) -> Result<Tokenizer> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for file in ["config.json", "tokenizer.json", "vocab.txt"] {
            if let Ok(bytes) = fs::read(checkpoint(name).join(file)) {
                fs::write(folder.path().join(file), bytes).expect("written");
            }
        }
        for (file, document) in files {
            let (mut file, mut document) = (file.as_str(), document.clone());
            if file == "normalizer" {
                file = "tokenizer.json";
                let whole = fs::read(folder.path().join(file)).expect("readable");
                let mut whole: Value = serde_json::from_slice(&whole).expect("JSON");
                whole["normalizer"] = document;
                document = whole;
            }
            fs::write(folder.path().join(file), document.to_string()).expect("written");
        }
        let mut config = Config::read(folder.path())?;
        config.network.vocab_size = 319;
        TokenizerFiles::read(folder.path(), &config)?.tokenizer(&config.network)
    }

    fn one(file: &str, document: Value) -> BTreeMap<String, Value> {
        BTreeMap::from([(file.to_owned(), document)])
    }

    #[derive(Deserialize)]
    struct Golden {
        texts: Vec<String>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        checkpoint: String,
        files: BTreeMap<String, Value>,
        input_ids: Vec<Vec<u32>>,
    }

    #[test]
    fn ids_are_those_of_transformers_whatever_stands_beside_the_tokenizer() {
        let golden = include_bytes!("../../testdata/tokenizers/golden.json");
        let Golden { texts, cases } = serde_json::from_slice(golden).expect("JSON");
        for Case { name, checkpoint, files, input_ids } in cases {
            let tokenizer = with(&checkpoint, &files).expect("usable");
            assert_eq!(tokenizer.encode_all(&texts).expect("tokenized"), input_ids, "{name}");
        }
    }

    #[test]
    fn texts_are_cut_to_fewer_tokens_and_no_more() {
        let tokenizer = with("tiny-distilbert", &BTreeMap::new()).expect("usable");
        let whole = tokenizer.encode("the plot is thin").expect("tokenized");
        let cut = tokenizer.cut_to(4).expect("cut").encode("the plot is thin").expect("tokenized");
        let expected = vec![whole.ids[0], whole.ids[1], whole.ids[2], 3];
        assert_eq!(cut, Encoded { ids: expected, is_cut: true }, "the last token is kept");
        assert_eq!(tokenizer.cut_to(usize::MAX).expect("as it is").max_tokens(), 64);
        assert!(tokenizer.cut_to(2).is_err(), "there is room for [CLS] and [SEP] alone");
    }

    #[test]
    fn what_nobody_here_heeds_is_refused_by_name() {
        let refused = |name: &str, files: BTreeMap<String, Value>, expected: &str| {
            let error = with(name, &files).expect_err("it is refused");
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            let shown = format!("{error}: {}", cause.unwrap_or_default());
            assert!(shown.contains(expected), "{shown}");
        };
        let settings = |settings: Value| one("tokenizer_config.json", settings);
        for (key, value) in [
            ("tokenizer_class", json!("BertJapaneseTokenizer")),
            ("tokenizer_class", json!("PreTrainedTokenizerFast")),
            ("do_basic_tokenize", json!(false)),
            ("never_split", json!(["x"])),
            ("wordpieces_prefix", json!("@@")),
            ("truncation_side", json!("up")),
            ("do_lower_case", json!("no")),
        ] {
            refused("tiny-bert", settings(json!({ key: value })), key);
        }
        let japanese = json!({"tokenizer_class": "BertJapaneseTokenizer"});
        refused("tiny-distilbert", settings(japanese), "BertJapaneseTokenizer");
        let token = json!({"content": "<new>", "single_word": false, "lstrip": false,
                           "rstrip": false, "normalized": true, "special": false});
        let other = json!({"added_tokens_decoder": {"7": token}});
        refused("tiny-distilbert", settings(other), r#""<new>" has number 7"#);
        let more = json!({"<new>": 318, "<newer>": 319});
        let expected = r#"token "<newer>" has number 319, and config.json's vocab_size is 319"#;
        refused("tiny-bert", one("added_tokens.json", more), expected);
        let unknown = json!({"unk_token": "<unk>"});
        refused("tiny-bert", one("special_tokens_map.json", unknown), "vocab.txt has no <unk>");
    }
}
