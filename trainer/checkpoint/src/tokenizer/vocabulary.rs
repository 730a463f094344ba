//! Tokenizers that are a vocabulary alone, in the forms from before `tokenizer.json`, of which that
//! is made.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::class::Class;
use super::sentencepiece::{Kind, Pieces};
use super::settings::{SPECIAL, Settings};

/// The files of each class, without which it is nothing.
pub(super) fn names(class: Class) -> &'static [&'static str] {
    match class {
        Class::Bert | Class::Mpnet => &["vocab.txt"],
        Class::Roberta => &["vocab.json", "merges.txt"],
        Class::XlmRoberta | Class::Camembert => &["sentencepiece.bpe.model"],
        Class::Albert => &["spiece.model"],
        Class::DebertaV2 => &["spm.model"],
        Class::AsWritten => &[],
    }
}

/// Makes the `tokenizer.json` that `transformers` makes of a class's files and its settings.
/// Source: `convert_slow_tokenizer.py`, and the classes themselves.
pub(super) fn tokenizer_json(settings: &Settings, files: &[&[u8]]) -> Result<String, String> {
    let text = |n: usize| {
        let bytes = files.get(n).copied().unwrap_or_default();
        std::str::from_utf8(bytes)
            .map_err(|error| format!("{} is no UTF-8: {error}", names(settings.class)[n]))
    };
    let made = match settings.class {
        Class::Bert | Class::Mpnet => Made::of_lines(text(0)?, settings),
        Class::Roberta => Made::of_merges(text(0)?, text(1)?)?,
        _ => Made::of_pieces(&Pieces::read(files.first().copied().unwrap_or_default())?, settings)?,
    };
    made.document(settings)
}

/// A model, and the numbers of its tokens.
struct Made {
    model: Value,
    ids: BTreeMap<String, usize>,
    charsmap: Option<Value>,
    /// Besides the special ones: tokens that stand in texts as they are.
    added: Vec<(String, bool)>,
}

impl Made {
    /// `vocab.txt`: a token a line. One that is there twice has its last line's number.
    fn of_lines(vocabulary: &str, settings: &Settings) -> Self {
        let ids: BTreeMap<String, usize> = vocabulary
            .lines()
            .enumerate()
            .map(|(number, token)| (token.to_owned(), number))
            .collect();
        let model = json!({
            "type": "WordPiece",
            "unk_token": settings.token("unk_token"),
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        });
        Self { model, ids, charsmap: None, added: Vec::new() }
    }

    /// `vocab.json` and `merges.txt`: numbers of tokens, and which two become one, the first first.
    fn of_merges(vocabulary: &str, merges: &str) -> Result<Self, String> {
        let vocabulary: Map<String, Value> =
            serde_json::from_str(vocabulary).map_err(|error| format!("vocab.json: {error}"))?;
        let number = |(token, id): (&String, &Value)| {
            let id = id.as_u64().and_then(|id| usize::try_from(id).ok());
            Ok((
                token.clone(),
                id.ok_or_else(|| format!("vocab.json has no number for {token:?}"))?,
            ))
        };
        let ids = vocabulary.iter().map(number).collect::<Result<BTreeMap<_, _>, String>>()?;
        let lines = merges.lines().filter(|line| !line.starts_with("#version"));
        let pairs = lines.enumerate().filter(|(_, line)| !line.is_empty()).map(|(n, line)| {
            let mut parts = line.split(' ');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(left), Some(right), None) => Ok(json!([left, right])),
                _ => Err(format!("merges.txt: merge {} is not two tokens", n + 1)),
            }
        });
        let model = json!({"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
            "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": ids, "merges": pairs.collect::<Result<Vec<_>, String>>()?});
        Ok(Self { model, ids, charsmap: None, added: Vec::new() })
    }

    /// SentencePiece's model, whose first pieces some classes replace by their own.
    fn of_pieces(pieces: &Pieces, settings: &Settings) -> Result<Self, String> {
        if !pieces.is_unigram {
            return Err("its SentencePiece model is no Unigram".to_owned());
        }
        let token = |key: &str| (settings.token(key).to_owned(), 0.0);
        let class = settings.class;
        let (mut vocabulary, n_replaced) = match class {
            Class::XlmRoberta => {
                (["bos_token", "pad_token", "eos_token", "unk_token"].map(token).to_vec(), 3)
            }
            Class::Camembert => {
                let unused = |name: &str, score| (name.to_owned(), score);
                let first =
                    vec![unused("<s>NOTUSED", 0.0), token("pad_token"), unused("</s>NOTUSED", 0.0)];
                ([first, vec![token("unk_token"), unused("<unk>NOTUSED", -100.0)]].concat(), 1)
            }
            _ => (Vec::new(), 0),
        };
        vocabulary.extend(
            pieces
                .iter()
                .skip(n_replaced)
                .map(|piece| (piece.text.clone(), f64::from(piece.score))),
        );
        if n_replaced > 0 {
            vocabulary.push(token("mask_token"));
        }
        let place = |wanted: &str| vocabulary.iter().position(|(text, _)| text == wanted);
        let unk_id = match class {
            Class::XlmRoberta | Class::Camembert => 3,
            Class::Albert => 1,
            _ => place(settings.token("unk_token")).unwrap_or(pieces.unk_id),
        };
        let ids = vocabulary.iter().enumerate().map(|(n, (text, _))| (text.clone(), n)).collect();
        let of_their_own = |kind: Kind| matches!(kind, Kind::Control | Kind::UserDefined);
        let added = pieces.iter().filter(|piece| of_their_own(piece.kind));
        let added = added.map(|piece| (piece.text.clone(), piece.kind == Kind::Control)).collect();
        let model = json!({"type": "Unigram", "unk_id": unk_id, "vocab": vocabulary, "byte_fallback": false});
        let charsmap =
            (!pieces.charsmap.is_empty()).then(|| Value::String(base64(&pieces.charsmap)));
        Ok(Self { model, ids, charsmap, added })
    }

    fn document(mut self, settings: &Settings) -> Result<String, String> {
        let class = settings.class;
        let [normalizer, pre_tokenizer] = class.parts(settings, self.charsmap.take());
        let added = self.added_tokens(settings)?;
        let id = |token: &str| self.ids.get(token).and_then(|id| u32::try_from(*id).ok());
        let post_processor = class.post_processor(settings, id)?;
        let decoder = match class {
            Class::Bert | Class::Mpnet => {
                json!({"type": "WordPiece", "prefix": "##", "cleanup": true})
            }
            Class::Roberta => {
                json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})
            }
            _ => {
                json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true})
            }
        };
        let document = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": added,
            "normalizer": normalizer,
            "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor,
            "decoder": decoder,
            "model": self.model,
        });
        Ok(format!("{document:#}\n"))
    }

    /// The special tokens and those of the vocabulary's own, by number; what is not in it yet comes
    /// behind.
    fn added_tokens(&mut self, settings: &Settings) -> Result<Vec<Value>, String> {
        let mut tokens: BTreeMap<usize, Value> = BTreeMap::new();
        let is_lenient = settings.class == Class::DebertaV2;
        let special = SPECIAL.iter().map(|key| (settings.token(key).to_owned(), true, *key));
        let own = self.added.iter().map(|(text, is_special)| (text.clone(), *is_special, ""));
        for (content, is_special, key) in special.chain(own).collect::<Vec<_>>() {
            let behind = self.ids.len();
            let id = match self.ids.get(&content) {
                Some(id) => *id,
                // DeBERTa's mask is in no vocabulary.
                None if is_lenient && key == "mask_token" => behind,
                None if key.is_empty() => continue,
                None => return Err(format!("{} has no {content}", names(settings.class)[0])),
            };
            self.ids.insert(content.clone(), id);
            let strips = settings.strips_left(key);
            tokens.entry(id).or_insert_with(|| {
                json!({"id": id, "content": content, "single_word": false, "lstrip": strips, "rstrip": false,
                       "normalized": false, "special": is_special})
            });
        }
        Ok(tokens.into_values().collect())
    }
}

/// RFC 4648, §4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            (0..3).fold(0_u32, |bits, n| bits << 8 | u32::from(three.get(n).copied().unwrap_or(0)));
        for n in 0..4_usize {
            let digit = DIGITS[(bits >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
