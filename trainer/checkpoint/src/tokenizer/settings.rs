//! What the files beside `tokenizer.json` and `vocab.txt` change of the tokenizer in them.
//! Source: `PreTrainedTokenizerFast` and `BertTokenizerFast` in `transformers`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::{
    AddedToken, ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, Tokenizer,
    TruncationDirection,
};

use super::BoxError;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::keys::Keys;

/// Classes that are BERT's tokenizer, whatever `tokenizer.json` says besides the vocabulary; with and
/// without `Fast` behind. No class is one of them: it is what the family has.
const BERT: [&str; 6] = [
    "BertTokenizer",
    "DistilBertTokenizer",
    "ElectraTokenizer",
    "MobileBertTokenizer",
    "SqueezeBertTokenizer",
    "LxmertTokenizer",
];

/// Classes that are what `tokenizer.json` says.
const AS_WRITTEN: [&str; 4] = [
    "PreTrainedTokenizerFast",
    "TokenizersBackend",
    "XLMRobertaTokenizerFast",
    "XLMRobertaTokenizer",
];

/// Keys of special tokens besides those that [`vocabulary`](super::vocabulary) needs.
const OTHER_SPECIAL: [&str; 2] = ["bos_token", "eos_token"];

/// Keys of lists of further ones.
const MORE_SPECIAL: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// What the other files say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Whether the class is one of BERT's, or not named.
    is_bert: bool,
    pub(super) lower_case: bool,
    pub(super) chinese_chars: bool,
    /// `None`: as it is with `lower_case`.
    pub(super) strip_accents: Option<bool>,
    splits_special: bool,
    /// The special tokens that are named, by their keys.
    special: BTreeMap<&'static str, AddedToken>,
    more_special: Vec<AddedToken>,
    /// By their numbers.
    added: BTreeMap<u32, AddedToken>,
    pub(super) max_tokens: Option<usize>,
    /// `None`: as `tokenizer.json` has it.
    pub(super) direction: Option<TruncationDirection>,
}

impl Settings {
    pub(super) fn of(
        files: &BTreeMap<&'static str, Vec<u8>>,
        config: &Config,
        dir: &Path,
    ) -> Result<Self> {
        let document = |name: &str| match files.get(name) {
            Some(bytes) => serde_json::from_slice::<Map<String, Value>>(bytes)
                .map_err(|source| Error::Document { path: dir.join(name), source }),
            None => Ok(Map::new()),
        };
        let mut own = document("tokenizer_config.json")?;
        for (key, value) in document("special_tokens_map.json")? {
            own.entry(key).or_insert(value);
        }
        if let (None, Some(class)) =
            (own.get("tokenizer_class"), config.document.get("tokenizer_class"))
        {
            own.insert("tokenizer_class".to_owned(), class.clone());
        }
        let mut keys = Keys::of(&own);
        check_class(&mut keys, files.contains_key("tokenizer.json"));
        let mut settings = Self::read(&own, &mut keys);
        let unsupported =
            |name, problems| Err(Error::Unsupported { path: dir.join(name), problems });
        if !keys.problems.is_empty() {
            return unsupported("tokenizer_config.json", keys.problems);
        }
        if settings.added.is_empty()
            && let Err(problem) = settings.add_old(document("added_tokens.json")?)
        {
            return unsupported("added_tokens.json", vec![problem]);
        }
        Ok(settings)
    }

    fn read(own: &Map<String, Value>, keys: &mut Keys<'_>) -> Self {
        let class = keys.text("tokenizer_class");
        let direction = match keys.text("truncation_side") {
            Some("left") => Some(TruncationDirection::Left),
            Some(_) => Some(TruncationDirection::Right),
            None => None,
        };
        keys.only("truncation_side", &["left", "right"]);
        let special_keys = super::vocabulary::SPECIAL.iter().map(|(key, _)| *key);
        let (mut special, mut more_special) = (BTreeMap::new(), Vec::new());
        for key in special_keys.chain(OTHER_SPECIAL) {
            let value = own.get(key).filter(|value| !value.is_null());
            if let Some(token) = value.and_then(|value| token_of(key, value, keys)) {
                special.insert(key, token);
            }
        }
        for key in MORE_SPECIAL {
            let more: Vec<&Value> = match own.get(key) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(items)) => items.iter().collect(),
                Some(Value::Object(named)) => named.values().collect(),
                Some(other) => vec![other],
            };
            more_special.extend(more.into_iter().filter_map(|value| token_of(key, value, keys)));
        }
        let max_tokens = keys.length(&["model_max_length", "max_len"]);
        let mut settings = Self {
            is_bert: class.is_none_or(is_bert),
            lower_case: keys.flag("do_lower_case").unwrap_or(true),
            chinese_chars: keys.flag("tokenize_chinese_chars").unwrap_or(true),
            strip_accents: keys.flag("strip_accents"),
            splits_special: keys.flag("split_special_tokens").unwrap_or(false),
            special,
            more_special,
            added: BTreeMap::new(),
            max_tokens,
            direction,
        };
        let added = own.get("added_tokens_decoder").and_then(Value::as_object);
        for (number, token) in added.into_iter().flatten() {
            match (number.parse(), serde_json::from_value::<AddedToken>(token.clone())) {
                (Ok(number), Ok(mut token)) => {
                    token.special |= settings.is_special(&token.content);
                    settings.added.insert(number, token);
                }
                _ => {
                    let problem = format!("added_tokens_decoder has {token} for {number}");
                    keys.problems.push(problem);
                }
            }
        }
        settings
    }

    /// The tokens of `added_tokens.json`, which older versions wrote.
    fn add_old(&mut self, tokens: Map<String, Value>) -> Result<(), String> {
        let numbered = tokens.into_iter().map(|(content, value)| {
            let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
            let number = number.ok_or_else(|| format!("{content:?} has {value} for a number"))?;
            let is_special = self.is_special(&content);
            Ok((number, AddedToken::from(content, is_special)))
        });
        self.added = numbered.collect::<Result<_, String>>()?;
        Ok(())
    }

    /// The text of a special token, if the files name it.
    pub(super) fn special(&self, key: &str) -> Option<&str> {
        self.special.get(key).map(|token| token.content.as_str())
    }

    fn is_special(&self, content: &str) -> bool {
        self.special.values().chain(&self.more_special).any(|token| token.content == content)
    }

    /// Makes the tokenizer what `transformers` makes of it.
    pub(super) fn apply(&self, tokenizer: &mut Tokenizer) -> Result<(), BoxError> {
        if let Some(NormalizerWrapper::BertNormalizer(found)) = tokenizer.get_normalizer()
            && self.is_bert
        {
            let (chinese_chars, lower_case) = (self.chinese_chars, self.lower_case);
            let (strip_accents, clean_text) = (self.strip_accents, found.clean_text);
            let named = BertNormalizer::new(clean_text, chinese_chars, strip_accents, lower_case);
            tokenizer.with_normalizer(Some(named))?;
        }
        let known = tokenizer.get_added_tokens_decoder();
        let is_new = |token: &&AddedToken| {
            !known.values().chain(self.added.values()).any(|other| other.content == token.content)
        };
        let special = self.special.values().chain(&self.more_special).filter(is_new);
        tokenizer.add_tokens(self.added.values().chain(special).cloned())?;
        tokenizer.set_encode_special_tokens(self.splits_special);
        for (number, AddedToken { content, .. }) in &self.added {
            let found = tokenizer.token_to_id(content);
            if found != Some(*number) {
                let found = found.map_or("no number".to_owned(), |found| found.to_string());
                return Err(format!(
                    "{content:?} has number {number} in the files beside it, and {found} here"
                )
                .into());
            }
        }
        match self.contradiction(tokenizer)? {
            Some(problem) if self.is_bert => Err(format!(
                "{problem} (PreTrainedTokenizerFast as tokenizer_class in tokenizer_config.json says that the file is right)"
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// What a tokenizer has otherwise than BERT's class makes it: `transformers` 5 makes it anew of
    /// the vocabulary, and older versions took it from the file.
    fn contradiction(&self, tokenizer: &Tokenizer) -> Result<Option<String>, BoxError> {
        let is_clean = matches!(
            tokenizer.get_normalizer(),
            Some(NormalizerWrapper::BertNormalizer(found)) if found.clean_text
        );
        if !is_clean {
            return Ok(Some("its normalizer is not BERT's, as its class makes it".to_owned()));
        }
        let pre_tokenizer = tokenizer.get_pre_tokenizer();
        if !matches!(pre_tokenizer, Some(PreTokenizerWrapper::BertPreTokenizer(_))) {
            return Ok(Some("its pre_tokenizer is not BERT's, as its class makes it".to_owned()));
        }
        let [unk, cls, sep] =
            [("unk_token", "[UNK]"), ("cls_token", "[CLS]"), ("sep_token", "[SEP]")]
                .map(|(key, default)| self.special(key).unwrap_or(default));
        let is_plain = matches!(
            tokenizer.get_model(),
            ModelWrapper::WordPiece(model) if model.unk_token == unk
                && model.continuing_subword_prefix == "##" && model.max_input_chars_per_word == 100
        );
        if !is_plain {
            return Ok(Some(format!(
                "its model is not a WordPiece with ## and {unk}, as its class makes it"
            )));
        }
        let ends = [cls, sep].map(|token| tokenizer.token_to_id(token));
        let ids =
            |text: &str| Ok::<_, BoxError>(tokenizer.encode_fast(text, true)?.get_ids().to_vec());
        let (empty, one) = (ids("")?, ids("a")?);
        let is_wrapped = empty.iter().copied().map(Some).eq(ends)
            && [one.first(), one.last()].map(Option::<&u32>::copied) == ends;
        Ok((!is_wrapped).then(|| {
            format!("it does not put {cls} before a text and {sep} behind it, as its class does")
        }))
    }
}

/// Refuses what is no tokenizer of BERT's, and what only some of its tokenizers heed.
fn check_class(keys: &mut Keys<'_>, is_whole: bool) {
    if let Some(class) = keys.text("tokenizer_class") {
        let is_supported = match is_whole {
            true => is_bert(class) || AS_WRITTEN.contains(&class),
            false => is_bert(class),
        };
        if !is_supported {
            keys.problems.push(format!("tokenizer_class is {class:?}, which is not supported"));
        }
    }
    if is_whole {
        return;
    }
    keys.only("wordpieces_prefix", &["##"]);
    if keys.flag("do_basic_tokenize") == Some(false) {
        keys.problems.push("do_basic_tokenize is false, which is not supported".to_owned());
    }
    if keys.holds("never_split") {
        keys.problems.push("it has never_split, which is not supported".to_owned());
    }
}

fn is_bert(class: &str) -> bool {
    BERT.contains(&class.strip_suffix("Fast").unwrap_or(class))
}

/// A special token, or the problem that its key has another value.
fn token_of(key: &str, value: &Value, keys: &mut Keys<'_>) -> Option<AddedToken> {
    let token = special_token(value);
    if token.is_none() {
        keys.problems.push(format!("{key} has {value}, and should have a token"));
    }
    token
}

/// A special token of the configuration: a text, or an object with one.
fn special_token(value: &Value) -> Option<AddedToken> {
    match value {
        Value::String(content) => Some(AddedToken::from(content.clone(), true)),
        Value::Object(token) => {
            let flag = |key: &str| token.get(key).and_then(Value::as_bool).unwrap_or(false);
            let content = token.get("content")?.as_str()?.to_owned();
            Some(
                AddedToken::from(content, true)
                    .single_word(flag("single_word"))
                    .lstrip(flag("lstrip"))
                    .rstrip(flag("rstrip"))
                    .normalized(flag("normalized")),
            )
        }
        _ => None,
    }
}
