//! What each class of tokenizers is, whatever `tokenizer.json` says besides the vocabulary.
//! `transformers` 5 makes most of them anew of it.
//! Source: `tokenization_*.py` of each model in `transformers`.

use serde_json::{Value, json};

use super::settings::Settings;

/// A class of tokenizers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// WordPiece, between `[CLS]` and `[SEP]`.
    Bert,
    /// The same, between `<s>` and `</s>`.
    Mpnet,
    /// Byte-level BPE.
    Roberta,
    XlmRoberta,
    Camembert,
    Albert,
    DebertaV2,
    /// What `tokenizer.json` says.
    AsWritten,
}

/// Names of the classes, without `Fast` behind.
const NAMES: [(&str, Class); 14] = [
    ("BertTokenizer", Class::Bert),
    ("DistilBertTokenizer", Class::Bert),
    ("ElectraTokenizer", Class::Bert),
    ("MobileBertTokenizer", Class::Bert),
    ("SqueezeBertTokenizer", Class::Bert),
    ("LxmertTokenizer", Class::Bert),
    ("MPNetTokenizer", Class::Mpnet),
    ("RobertaTokenizer", Class::Roberta),
    ("XLMRobertaTokenizer", Class::XlmRoberta),
    ("CamembertTokenizer", Class::Camembert),
    ("AlbertTokenizer", Class::Albert),
    ("DebertaV2Tokenizer", Class::DebertaV2),
    ("PreTrainedTokenizer", Class::AsWritten),
    ("TokenizersBackend", Class::AsWritten),
];

/// The tokens that a class has where the files name no others.
const WITH_BRACKETS: [(&str, &str); 7] = [
    ("pad_token", "[PAD]"),
    ("unk_token", "[UNK]"),
    ("cls_token", "[CLS]"),
    ("sep_token", "[SEP]"),
    ("mask_token", "[MASK]"),
    ("bos_token", "[CLS]"),
    ("eos_token", "[SEP]"),
];
const WITH_ANGLES: [(&str, &str); 7] = [
    ("pad_token", "<pad>"),
    ("unk_token", "<unk>"),
    ("cls_token", "<s>"),
    ("sep_token", "</s>"),
    ("mask_token", "<mask>"),
    ("bos_token", "<s>"),
    ("eos_token", "</s>"),
];

impl Class {
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = name.strip_suffix("Fast").unwrap_or(name);
        NAMES.iter().find_map(|(known, class)| (*known == name).then_some(*class))
    }

    /// The token of a key where the files name none.
    pub(super) fn default_token(self, key: &str) -> &'static str {
        match (self, key) {
            (Self::Mpnet, "unk_token") => return "[UNK]",
            (Self::Albert, "unk_token") => return "<unk>",
            (Self::Albert, "pad_token") => return "<pad>",
            _ => (),
        }
        let tokens = match self {
            Self::Bert | Self::Albert | Self::DebertaV2 | Self::AsWritten => WITH_BRACKETS,
            Self::Mpnet | Self::Roberta | Self::XlmRoberta | Self::Camembert => WITH_ANGLES,
        };
        tokens.into_iter().find_map(|(known, token)| (known == key).then_some(token)).unwrap_or("")
    }

    /// The kind of its model, as `tokenizer.json` calls it; `None` where the file says it.
    pub(super) fn model(self) -> Option<&'static str> {
        match self {
            Self::Bert | Self::Mpnet => Some("WordPiece"),
            Self::Roberta => Some("BPE"),
            Self::XlmRoberta | Self::Camembert | Self::Albert | Self::DebertaV2 => Some("Unigram"),
            Self::AsWritten => None,
        }
    }

    /// Whether its networks are told which text of a pair a token is of, where the files say nothing
    /// of it: ALBERT's are not since version 5.
    pub(super) fn tells_kinds(self) -> bool {
        matches!(self, Self::Bert | Self::DebertaV2 | Self::AsWritten)
    }

    /// Kinds of normalizers and pre-tokenizers that its files have had; what else one has would be
    /// lost on those who make the class anew.
    pub(super) fn known_parts(self) -> [&'static [&'static str]; 2] {
        match self {
            Self::Bert | Self::Mpnet => [&["BertNormalizer"], &["BertPreTokenizer"]],
            Self::Roberta => [&[], &["ByteLevel"]],
            Self::XlmRoberta | Self::Camembert => {
                [&["Precompiled", "Replace", "Strip"], &["WhitespaceSplit", "Metaspace"]]
            }
            Self::Albert => [
                &["Precompiled", "Replace", "Strip", "NFKD", "StripAccents", "Lowercase"],
                &["WhitespaceSplit", "Metaspace"],
            ],
            Self::DebertaV2 => [
                &["Precompiled", "Replace", "Strip", "NFC", "Lowercase"],
                &["Punctuation", "Metaspace"],
            ],
            Self::AsWritten => [&[], &[]],
        }
    }

    /// Its normalizer and its pre-tokenizer, as `tokenizer.json` writes them. `charsmap`: what
    /// SentencePiece compiled of its own normalizer.
    pub(super) fn parts(self, settings: &Settings, charsmap: Option<Value>) -> [Value; 2] {
        let precompiled =
            charsmap.map(|map| json!({"type": "Precompiled", "precompiled_charsmap": map}));
        let by_blanks = |always: bool| {
            let scheme = if always { "always" } else { "never" };
            sequence("pretokenizers", vec![json!({"type": "WhitespaceSplit"}), metaspace(scheme)])
        };
        let has_prefix = settings.add_prefix_space;
        match self {
            Self::AsWritten => [Value::Null, Value::Null],
            Self::Bert | Self::Mpnet => {
                let normalizer = json!({
                    "type": "BertNormalizer",
                    "clean_text": true,
                    "handle_chinese_chars": settings.chinese_chars,
                    "strip_accents": settings.strip_accents,
                    "lowercase": settings.lower_case.unwrap_or(true),
                });
                [normalizer, json!({"type": "BertPreTokenizer"})]
            }
            Self::Roberta => {
                let byte_level = json!({"type": "ByteLevel", "add_prefix_space": has_prefix.unwrap_or(false),
                    "trim_offsets": true, "use_regex": true});
                [Value::Null, byte_level]
            }
            Self::XlmRoberta | Self::Camembert => {
                [precompiled.unwrap_or(Value::Null), by_blanks(has_prefix.unwrap_or(true))]
            }
            Self::Albert => {
                let mut steps = vec![
                    replace(&json!({"String": "``"}), "\""),
                    replace(&json!({"String": "''"}), "\""),
                ];
                if !settings.keep_accents {
                    steps.extend([json!({"type": "NFKD"}), json!({"type": "StripAccents"})]);
                }
                steps.extend(
                    settings.lower_case.unwrap_or(true).then(|| json!({"type": "Lowercase"})),
                );
                steps.extend(precompiled);
                [sequence("normalizers", steps), by_blanks(has_prefix.unwrap_or(true))]
            }
            Self::DebertaV2 => {
                let mut steps = Vec::new();
                steps.extend(
                    settings.lower_case.unwrap_or(false).then(|| json!({"type": "Lowercase"})),
                );
                steps.extend([
                    replace(&json!({"Regex": r"\s{2,}|[\n\r\t]"}), " "),
                    json!({"type": "NFC"}),
                    json!({"type": "Strip", "strip_left": false, "strip_right": true}),
                ]);
                let mut splits = Vec::new();
                if settings.split_by_punct {
                    splits.push(json!({"type": "Punctuation", "behavior": "Isolated"}));
                }
                splits.push(metaspace(if has_prefix.unwrap_or(true) { "always" } else { "first" }));
                [sequence("normalizers", steps), sequence("pretokenizers", splits)]
            }
        }
    }

    /// What it puts around a text, as `tokenizer.json` writes it; `None` where the file's own counts.
    pub(super) fn post_processor(
        self,
        settings: &Settings,
        id: impl Fn(&str) -> Option<u32>,
    ) -> Result<Option<Value>, String> {
        let numbered = |key: &str| {
            let token = settings.token(key);
            let id = id(token).ok_or_else(|| format!("its vocabulary has no {token}"))?;
            Ok::<_, String>((token.to_owned(), id))
        };
        match self {
            Self::AsWritten => Ok(None),
            Self::Roberta | Self::Mpnet => {
                let has_prefix = self == Self::Roberta && settings.add_prefix_space == Some(true);
                let (sep, cls) = (numbered("sep_token")?, numbered("cls_token")?);
                Ok(Some(json!({"type": "RobertaProcessing", "sep": sep, "cls": cls,
                    "trim_offsets": true, "add_prefix_space": has_prefix})))
            }
            Self::XlmRoberta | Self::Camembert => {
                let (bos, eos) = (numbered("bos_token")?, numbered("eos_token")?);
                Ok(Some(template(&bos, &eos, true)))
            }
            Self::Bert | Self::Albert | Self::DebertaV2 => {
                Ok(Some(template(&numbered("cls_token")?, &numbered("sep_token")?, false)))
            }
        }
    }
}

fn sequence(of: &str, steps: Vec<Value>) -> Value {
    json!({"type": "Sequence", of: steps})
}

fn metaspace(scheme: &str) -> Value {
    json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true})
}

fn replace(pattern: &Value, content: &str) -> Value {
    json!({"type": "Replace", "pattern": pattern, "content": content})
}

/// One text between two tokens; the second of a pair behind one more, or two where `is_double`, and
/// of another kind where it is not.
fn template(first: &(String, u32), last: &(String, u32), is_double: bool) -> Value {
    let kind = u32::from(!is_double);
    let token =
        |of: &(String, u32), kind: u32| json!({"SpecialToken": {"id": of.0, "type_id": kind}});
    let text = |id: &str, kind: u32| json!({"Sequence": {"id": id, "type_id": kind}});
    let mut pair = vec![token(first, 0), text("A", 0), token(last, 0)];
    pair.extend(is_double.then(|| token(last, 0)));
    pair.extend([text("B", kind), token(last, kind)]);
    let named = |(token, id): &(String, u32)| json!({"id": token, "ids": [id], "tokens": [token]});
    json!({
        "type": "TemplateProcessing",
        "single": [token(first, 0), text("A", 0), token(last, 0)],
        "pair": pair,
        "special_tokens": {&first.0: named(first), &last.0: named(last)},
    })
}
