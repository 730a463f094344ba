//! A checkpoint's own tokenizer, without the padding and truncation that its file may ask for.

mod class;
mod files;
mod sentencepiece;
mod settings;
mod vocabulary;
mod windows;

pub use files::TokenizerFiles;
use tokenizers::{
    ModelWrapper, NormalizerWrapper, PostProcessor as _, PreTokenizerWrapper, TruncationDirection,
    TruncationParams,
};
pub use windows::{Windower, Windows};

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
    splits_at_blanks: bool,
    /// How many kinds of tokens the network is told; 0 where it is told none.
    n_kinds: usize,
}

/// Which text of a pair that is too long is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Whichever is longer, token by token.
    Longest,
    /// The first one.
    First,
}

/// A text, or a pair of them, as tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Of the tokens, special ones included.
    pub ids: Vec<u32>,
    /// Which of the network's kinds each token is; empty where all are of the first.
    pub kinds: Vec<u32>,
    /// Whether there was more than the network takes.
    pub is_cut: bool,
}

impl Tokenizer {
    /// Of one that pads and cuts nothing by itself.
    fn new(
        inner: tokenizers::Tokenizer,
        [vocab_size, n_kinds]: [usize; 2],
        max_tokens: usize,
        direction: TruncationDirection,
    ) -> Result<Self, BoxError> {
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
        let splits_at_blanks = splits_at_blanks(&inner);
        let whole =
            Self { inner, vocab_size, max_tokens, n_special, direction, splits_at_blanks, n_kinds };
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

    /// Whether what stands before a blank (a space, a tab or a line end) has the same tokens
    /// whatever follows, so that the rest of a long text need not be looked at.
    #[must_use]
    pub fn splits_at_blanks(&self) -> bool {
        self.splits_at_blanks
    }

    /// Tokenizes one text.
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        let encoding = self.inner.encode_fast(text, true);
        self.encoded(&encoding.map_err(|source| Error::Tokenization { source })?)
    }

    /// Tokenizes a pair of texts.
    pub fn encode_pair(&self, text: &str, pair: &str, cut: Cut) -> Result<Encoded> {
        self.check_room_for_pairs()?;
        let encoded = match cut {
            Cut::Longest => self.inner.encode_fast((text, pair), true),
            Cut::First => return self.encode_cutting_first(text, pair),
        };
        self.encoded(&encoded.map_err(|source| Error::Tokenization { source })?)
    }

    fn encode_cutting_first(&self, text: &str, pair: &str) -> Result<Encoded> {
        let problem = |source| Error::Tokenization { source };
        let mut first = self.inner.encode_fast(text, false).map_err(problem)?;
        let second = self.inner.encode_fast(pair, false).map_err(problem)?;
        let added = self.inner.get_post_processor().map_or(0, |around| around.added_tokens(true));
        let Some(room) = self.max_tokens.checked_sub(added + second.len()) else {
            let found = format!(
                "the second text of a pair has {} tokens, which leaves no room",
                second.len()
            );
            return Err(problem(found.into()));
        };
        let is_cut = first.len() > room || !first.get_overflowing().is_empty();
        first.truncate(room, 0, self.direction);
        let whole = self.inner.post_process(first, Some(second), true);
        Ok(Encoded { is_cut, ..self.encoded(&whole.map_err(problem)?)? })
    }

    /// Tokenizes pairs of texts, which are shared between all threads; of one that is too long
    /// whichever is longer is cut.
    pub fn encode_pairs<T: AsRef<str>>(&self, pairs: &[(T, T)]) -> Result<Vec<Encoded>> {
        self.check_room_for_pairs()?;
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(text, pair)| (text.as_ref(), pair.as_ref())).collect();
        let encodings = self.inner.encode_batch_fast(pairs, true);
        let encodings = encodings.map_err(|source| Error::Tokenization { source })?;
        encodings.iter().map(|encoding| self.encoded(encoding)).collect()
    }

    /// A pair gets more tokens put around it than a text.
    fn check_room_for_pairs(&self) -> Result<()> {
        let n_added = self.inner.get_post_processor().map_or(0, |around| around.added_tokens(true));
        if self.max_tokens > n_added + 1 {
            return Ok(());
        }
        let problem = format!("{} tokens leave no room for a pair of texts", self.max_tokens);
        Err(Error::Tokenization { source: problem.into() })
    }

    /// Tokenizes texts, which are shared between all threads.
    pub fn encode_all<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Encoded>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let encodings = self.inner.encode_batch_fast(texts, true);
        let encodings = encodings.map_err(|source| Error::Tokenization { source })?;
        encodings.iter().map(|encoding| self.encoded(encoding)).collect()
    }

    /// A template may put in what no vocabulary has.
    fn encoded(&self, encoding: &tokenizers::Encoding) -> Result<Encoded> {
        let ids = encoding.get_ids();
        match ids.iter().find(|id| **id as usize >= self.vocab_size) {
            Some(id) => {
                let problem = format!(
                    "the tokenizer gives token {id}, and config.json's vocab_size is {}",
                    self.vocab_size
                );
                Err(Error::Tokenization { source: problem.into() })
            }
            None => {
                let kinds = self.kinds(encoding.get_type_ids())?;
                let is_cut = !encoding.get_overflowing().is_empty();
                Ok(Encoded { ids: ids.to_vec(), kinds, is_cut })
            }
        }
    }

    fn kinds(&self, kinds: &[u32]) -> Result<Vec<u32>> {
        match kinds.iter().max() {
            None | Some(0) => Ok(Vec::new()),
            _ if self.n_kinds == 0 => Ok(Vec::new()),
            Some(kind) if *kind as usize >= self.n_kinds => {
                let problem = format!(
                    "a token is of kind {kind}, and config.json's type_vocab_size is {}",
                    self.n_kinds
                );
                Err(Error::Tokenization { source: problem.into() })
            }
            Some(_) => Ok(kinds.to_vec()),
        }
    }
}

/// That of BERT does: it drops and rewrites what stands between blanks and no blank, splits at them
/// first, and takes one word at a time. Added tokens could hold a blank, or get some from the
/// normalizer.
fn splits_at_blanks(tokenizer: &tokenizers::Tokenizer) -> bool {
    let normalizer = tokenizer.get_normalizer();
    let is_plain = |content: &str| content.bytes().all(|byte| byte.is_ascii_graphic());
    matches!(normalizer, None | Some(NormalizerWrapper::BertNormalizer(_)))
        && matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)))
        && matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_))
        && tokenizer.get_added_tokens_decoder().values().all(|token| is_plain(&token.content))
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
            if !file.contains('.') {
                let whole = fs::read(folder.path().join("tokenizer.json")).expect("readable");
                let mut whole: Value = serde_json::from_slice(&whole).expect("JSON");
                whole[file] = document;
                (file, document) = ("tokenizer.json", whole);
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
            let found = tokenizer.encode_all(&texts).expect("tokenized");
            let found: Vec<Vec<u32>> = found.into_iter().map(|encoded| encoded.ids).collect();
            assert_eq!(found, input_ids, "{name}");
        }
    }

    #[derive(Deserialize)]
    struct ClassCases {
        texts: Vec<String>,
        cases: Vec<ClassCase>,
    }

    #[derive(Deserialize)]
    struct ClassCase {
        name: String,
        checkpoint: String,
        settings: Option<Value>,
        is_whole: bool,
        parts: BTreeMap<String, Value>,
        input_ids: Vec<Vec<u32>>,
    }

    #[test]
    fn each_class_is_what_transformers_makes_of_it() {
        let golden = fs::read(checkpoint("architectures/tokenizers.json")).expect("readable");
        let ClassCases { texts, cases } = serde_json::from_slice(&golden).expect("JSON");
        let mut wrong = Vec::new();
        for case in cases {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let from = checkpoint("architectures").join(&case.checkpoint);
            for entry in fs::read_dir(&from).expect("readable") {
                let path = entry.expect("an entry").path();
                fs::copy(&path, folder.path().join(path.file_name().expect("a name")))
                    .expect("copied");
            }
            if case.is_whole {
                let whole = [from.join("whole.json"), from.join("tokenizer.json")];
                let whole = whole.iter().find(|path| path.exists()).expect("one of them");
                let whole = fs::read(whole).expect("readable");
                let mut whole: Value = serde_json::from_slice(&whole).expect("JSON");
                case.parts.iter().for_each(|(part, value)| whole[part] = value.clone());
                fs::write(folder.path().join("tokenizer.json"), whole.to_string())
                    .expect("written");
            }
            if let Some(settings) = &case.settings {
                let path = folder.path().join("tokenizer_config.json");
                fs::write(path, settings.to_string()).expect("written");
            }
            let config = Config::read(folder.path()).expect("supported");
            let tokenizer = TokenizerFiles::read(folder.path(), &config)
                .and_then(|files| files.tokenizer(&config.network));
            let found = tokenizer.and_then(|tokenizer| tokenizer.encode_all(&texts));
            let shown = format!("{} {}", case.checkpoint, case.name);
            match found {
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    wrong.push(format!("{shown}: {error}: {}", cause.unwrap_or_default()));
                }
                Ok(found) => {
                    for ((text, ours), theirs) in texts.iter().zip(found).zip(case.input_ids) {
                        if ours.ids != theirs {
                            wrong.push(format!("{shown}: {text:?} {:?} {theirs:?}", ours.ids));
                        }
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn texts_are_cut_to_fewer_tokens_and_no_more() {
        let tokenizer = with("tiny-distilbert", &BTreeMap::new()).expect("usable");
        let whole = tokenizer.encode("the plot is thin").expect("tokenized");
        let cut = tokenizer.cut_to(4).expect("cut").encode("the plot is thin").expect("tokenized");
        let ids = vec![whole.ids[0], whole.ids[1], whole.ids[2], 3];
        assert_eq!(cut, Encoded { ids, kinds: Vec::new(), is_cut: true }, "the last token is kept");
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
            ("model_max_length", json!("8")),
            ("max_len", json!(0)),
            ("cls_token", json!(5)),
            ("additional_special_tokens", json!(7)),
            ("extra_special_tokens", json!([{"token": "<new>"}])),
            ("do_lower_case", json!("no")),
        ] {
            refused("tiny-bert", settings(json!({ key: value })), key);
        }
        for class in ["BertJapaneseTokenizer", "GPT2TokenizerFast", "LlamaTokenizer"] {
            refused("tiny-distilbert", settings(json!({"tokenizer_class": class})), class);
        }
        for (class, expected) in [
            ("RobertaTokenizer", "its model is no BPE"),
            ("XLMRobertaTokenizerFast", "its model is no Unigram"),
            ("MPNetTokenizer", "its vocabulary has no </s>"),
        ] {
            refused("tiny-distilbert", settings(json!({"tokenizer_class": class})), expected);
        }
        // transformers makes nothing of these but what BERT's class is; `make.py` has seen it.
        let post = |cls: &str, number: u32| json!({"type": "BertProcessing", "cls": [cls, number], "sep": ["[SEP]", 3]});
        let model = json!({"type": "WordPiece", "vocab": {"[UNK]": 1}, "unk_token": "[UNK]",
                           "continuing_subword_prefix": "##", "max_input_chars_per_word": 3});
        for (part, value, expected) in [
            ("normalizer", json!({"type": "Lowercase"}), "its normalizer is not BERT's"),
            ("normalizer", json!(null), "its normalizer is not BERT's"),
            (
                "pre_tokenizer",
                json!({"type": "WhitespaceSplit"}),
                "its pre_tokenizer is not BERT's",
            ),
            ("post_processor", json!(null), "it does not put [CLS] before a text"),
            ("post_processor", post("[MASK]", 4), "it does not put [CLS] before a text"),
            ("model", model, "its model is not a WordPiece with ## and [UNK]"),
        ] {
            refused("tiny-distilbert", one(part, value), expected);
        }
        refused(
            "tiny-distilbert",
            settings(json!({"cls_token": "[MASK]"})),
            "[MASK] before a text",
        );
        refused("tiny-distilbert", settings(json!({"unk_token": "[MASK]"})), "with ## and [MASK]");
        let token = json!({"content": "<new>", "single_word": false, "lstrip": false,
                           "rstrip": false, "normalized": true, "special": false});
        let other = json!({"added_tokens_decoder": {"7": token}});
        refused("tiny-distilbert", settings(other), r#""<new>" has number 7"#);
        let more = json!({"<new>": 318, "<newer>": 319});
        let expected = r#"token "<newer>" has number 319, and config.json's vocab_size is 319"#;
        refused("tiny-bert", one("added_tokens.json", more), expected);
        let no_number = json!({"<new>": "318"});
        let expected = r#""<new>" has "318" for a number"#;
        refused("tiny-bert", one("added_tokens.json", no_number), expected);
        let unknown = json!({"unk_token": "<unk>"});
        refused("tiny-bert", one("special_tokens_map.json", unknown), "vocab.txt has no <unk>");
    }
}
