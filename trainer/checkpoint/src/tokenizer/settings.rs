//! What the files beside `tokenizer.json` or a vocabulary change of the tokenizer in them.
//! Source: `PreTrainedTokenizerFast` and `BertTokenizerFast` in `transformers`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::{
    AddedToken, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
    Tokenizer, TruncationDirection,
};

use super::BoxError;
use super::class::Class;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::keys::Keys;

/// Keys of special tokens.
pub(super) const SPECIAL: [&str; 7] =
    ["pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token"];

/// Keys of lists of further ones.
const MORE_SPECIAL: [&str; 2] = ["additional_special_tokens", "extra_special_tokens"];

/// What the other files say.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) class: Class,
    /// `None`: as the class does it.
    pub(super) lower_case: Option<bool>,
    pub(super) chinese_chars: bool,
    /// `None`: as it is with `lower_case`.
    pub(super) strip_accents: Option<bool>,
    pub(super) keep_accents: bool,
    pub(super) split_by_punct: bool,
    /// `None`: as the class does it.
    pub(super) add_prefix_space: Option<bool>,
    splits_special: bool,
    /// The special tokens that are named, by their keys.
    special: BTreeMap<&'static str, AddedToken>,
    more_special: Vec<AddedToken>,
    /// By their numbers.
    added: BTreeMap<u32, AddedToken>,
    pub(super) max_tokens: Option<usize>,
    /// Whether networks are told the kinds of tokens.
    pub(super) tells_kinds: bool,
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
        if let (None, Some(class)) = (
            own.get("tokenizer_class"),
            config.document.get("tokenizer_class").filter(|class| !class.is_null()),
        ) {
            own.insert("tokenizer_class".to_owned(), class.clone());
        }
        let mut keys = Keys::of(&own);
        let class = class(&mut keys, config.architecture.tokenizer);
        if !files.contains_key("tokenizer.json") {
            check_alone(&mut keys, class);
        }
        let mut settings = Self::read(class, &own, &mut keys);
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

    fn read(class: Class, own: &Map<String, Value>, keys: &mut Keys<'_>) -> Self {
        let direction = match keys.text("truncation_side") {
            Some("left") => Some(TruncationDirection::Left),
            Some(_) => Some(TruncationDirection::Right),
            None => None,
        };
        keys.only("truncation_side", &["left", "right"]);
        let (mut special, mut more_special) = (BTreeMap::new(), Vec::new());
        for key in SPECIAL {
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
            class,
            lower_case: keys.flag("do_lower_case"),
            chinese_chars: keys.flag("tokenize_chinese_chars").unwrap_or(true),
            strip_accents: keys.flag("strip_accents"),
            keep_accents: keys.flag("keep_accents").unwrap_or(false),
            split_by_punct: keys.flag("split_by_punct").unwrap_or(false),
            add_prefix_space: keys.flag("add_prefix_space"),
            splits_special: keys.flag("split_special_tokens").unwrap_or(false),
            special,
            more_special,
            added: BTreeMap::new(),
            max_tokens,
            tells_kinds: match keys.holds("model_input_names") {
                true => keys.words("model_input_names").iter().any(|name| name == "token_type_ids"),
                false => class.tells_kinds(),
            },
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

    /// The text of a special token: the one that the files name, or that of the class.
    pub(super) fn token(&self, key: &str) -> &str {
        let named = self.special.get(key).map(|token| token.content.as_str());
        named.unwrap_or_else(|| self.class.default_token(key))
    }

    /// Whether a special token takes the blanks before it, as its own entry or its class says.
    pub(super) fn strips_left(&self, key: &str) -> bool {
        match self.special.get(key) {
            Some(token) => token.lstrip,
            None => key == "mask_token" && matches!(self.class, Class::Mpnet | Class::Camembert),
        }
    }

    fn is_special(&self, content: &str) -> bool {
        self.special.values().chain(&self.more_special).any(|token| token.content == content)
    }

    /// Makes the tokenizer what `transformers` makes of it.
    pub(super) fn apply(&self, tokenizer: &mut Tokenizer) -> Result<(), BoxError> {
        match self.class {
            Class::AsWritten | Class::Bert => (),
            _ => self.make_anew(tokenizer)?,
        }
        if let Some(NormalizerWrapper::BertNormalizer(found)) = tokenizer.get_normalizer()
            && self.class == Class::Bert
        {
            let (chinese_chars, lower_case) = (self.chinese_chars, self.lower_case.unwrap_or(true));
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
            Some(problem) if self.class == Class::Bert => Err(contradiction(&problem)),
            _ => Ok(()),
        }
    }

    /// Puts the parts of the class into the place of the file's. What the file has otherwise than
    /// any version of the class wrote it is refused: older versions of `transformers` heed it.
    fn make_anew(&self, tokenizer: &mut Tokenizer) -> Result<(), BoxError> {
        let model = serde_json::to_value(tokenizer.get_model())?;
        let expected = self.class.model();
        if model.get("type").and_then(Value::as_str) != expected {
            let expected = expected.unwrap_or_default();
            return Err(contradiction(&format!(
                "its model is no {expected}, as its class makes it"
            )));
        }
        for key in [
            "dropout",
            "byte_fallback",
            "ignore_merges",
            "continuing_subword_prefix",
            "end_of_word_suffix",
        ] {
            let is_wordpiece = expected == Some("WordPiece") && key.starts_with("cont");
            let heeded = model.get(key).is_some_and(|value| {
                !(value.is_null()
                    || *value == Value::Bool(false)
                    || *value == ""
                    || is_wordpiece && *value == "##")
            });
            if heeded {
                return Err(contradiction(&format!("its model has {key}, which its class drops")));
            }
        }
        let found = [
            serde_json::to_value(tokenizer.get_normalizer())?,
            serde_json::to_value(tokenizer.get_pre_tokenizer())?,
        ];
        for (found, known) in found.iter().zip(self.class.known_parts()) {
            if let Some(other) =
                kinds(found).into_iter().find(|kind| !known.contains(&kind.as_str()))
            {
                return Err(contradiction(&format!("it has {other}, which its class drops")));
            }
        }
        // What stands around a text, and around none.
        let around = |tokenizer: &Tokenizer| {
            let [one, none] = ["a", ""].map(|text| tokenizer.encode_fast(text, true));
            let (one, none) = (one?, none?.get_ids().to_vec());
            Ok::<_, BoxError>((one.get_ids().first().copied(), one.get_ids().last().copied(), none))
        };
        let before = around(tokenizer)?;
        let has_own = tokenizer.get_post_processor().is_some();
        let [normalizer, pre_tokenizer] = self.class.parts(self, charsmap(&found[0]));
        let normalizer: Option<NormalizerWrapper> = serde_json::from_value(normalizer)?;
        let pre_tokenizer: Option<PreTokenizerWrapper> = serde_json::from_value(pre_tokenizer)?;
        tokenizer.with_normalizer(normalizer)?;
        tokenizer.with_pre_tokenizer(pre_tokenizer);
        let id = |token: &str| tokenizer.token_to_id(token);
        if let Some(processor) = self.class.post_processor(self, id)? {
            let processor: PostProcessorWrapper = serde_json::from_value(processor)?;
            tokenizer.with_post_processor(Some(processor));
        }
        match has_own && around(tokenizer)? != before {
            true => Err(contradiction("it does not put its class's tokens around a text")),
            false => Ok(()),
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
        let [unk, cls, sep] = ["unk_token", "cls_token", "sep_token"].map(|key| self.token(key));
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

/// The class that the files name, or that the architecture has.
fn class(keys: &mut Keys<'_>, default: &str) -> Class {
    // transformers knows that what ModernBERT's checkpoints name is wrong.
    let is_known_as_wrong = Class::named(default) == Some(Class::AsWritten);
    let named = keys.text("tokenizer_class").filter(|_| !is_known_as_wrong);
    let name = named.unwrap_or(default);
    Class::named(name).unwrap_or_else(|| {
        keys.problems.push(format!("tokenizer_class is {name:?}, which is not supported"));
        Class::AsWritten
    })
}

/// Refuses what only the tokenizers of a vocabulary alone heed.
fn check_alone(keys: &mut Keys<'_>, class: Class) {
    if class == Class::AsWritten {
        keys.problems.push("tokenizer_class needs a tokenizer.json, which is not there".to_owned());
    }
    keys.only("wordpieces_prefix", &["##"]);
    if keys.flag("do_basic_tokenize") == Some(false) {
        keys.problems.push("do_basic_tokenize is false, which is not supported".to_owned());
    }
    if keys.holds("never_split") {
        keys.problems.push("it has never_split, which is not supported".to_owned());
    }
}

fn contradiction(problem: &str) -> BoxError {
    format!(
        "{problem} (PreTrainedTokenizerFast as tokenizer_class in tokenizer_config.json says that the file is right)"
    )
    .into()
}

/// The kinds of a normalizer or a pre-tokenizer, and of all in it.
fn kinds(part: &Value) -> Vec<String> {
    let inner = ["normalizers", "pretokenizers"].iter().find_map(|name| part.get(name)?.as_array());
    match (inner, part.get("type").and_then(Value::as_str)) {
        (Some(inner), _) => inner.iter().flat_map(kinds).collect(),
        (None, Some(kind)) => vec![kind.to_owned()],
        (None, None) => Vec::new(),
    }
}

/// What SentencePiece compiled of its normalizer, as the file has it.
fn charsmap(normalizer: &Value) -> Option<Value> {
    match normalizer.get("normalizers").and_then(Value::as_array) {
        Some(inner) => inner.iter().find_map(charsmap),
        None => normalizer.get("precompiled_charsmap").cloned(),
    }
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
