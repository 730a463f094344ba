//! `vocab.txt`: the oldest form of a WordPiece tokenizer, one token a line.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The tokens that every text is wrapped in or cut by, and their keys in `tokenizer_config.json`.
const SPECIAL: [(&str, &str); 5] = [
    ("pad_token", "[PAD]"),
    ("unk_token", "[UNK]"),
    ("cls_token", "[CLS]"),
    ("sep_token", "[SEP]"),
    ("mask_token", "[MASK]"),
];

/// Makes the `tokenizer.json` that `transformers` makes of a `vocab.txt` and its
/// `tokenizer_config.json`. Source: `BertConverter` in `convert_slow_tokenizer.py`.
pub(crate) fn tokenizer_json(vocabulary: &str, config: Option<&[u8]>) -> Result<String, String> {
    let config: Map<String, Value> = match config {
        Some(bytes) => serde_json::from_slice(bytes)
            .map_err(|error| format!("tokenizer_config.json: {error}"))?,
        None => Map::new(),
    };
    // A token that is there twice has its last line's number.
    let ids: BTreeMap<&str, usize> =
        vocabulary.lines().enumerate().map(|(number, token)| (token, number)).collect();
    let mut special = BTreeMap::new();
    for (key, default) in SPECIAL {
        let token = named(&config, key).unwrap_or(default);
        let id = ids.get(token).ok_or_else(|| format!("vocab.txt has no {token}"))?;
        special.insert(key, (token, *id));
    }
    let mut added: Vec<(&str, usize)> = special.values().copied().collect();
    added.sort_by_key(|(_, id)| *id);
    let added = added.into_iter().map(|(content, id)| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    });
    let [(cls, cls_id), (sep, sep_id)] = ["cls_token", "sep_token"].map(|key| special[key]);
    let token = |id: &str, kind: u8| json!({"SpecialToken": {"id": id, "type_id": kind}});
    let text = |id: &str, kind: u8| json!({"Sequence": {"id": id, "type_id": kind}});
    let flag =
        |key: &str, default: bool| config.get(key).and_then(Value::as_bool).unwrap_or(default);
    let document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": flag("tokenize_chinese_chars", true),
            "strip_accents": config.get("strip_accents").and_then(Value::as_bool),
            "lowercase": flag("do_lower_case", true),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [token(cls, 0), text("A", 0), token(sep, 0)],
            "pair": [token(cls, 0), text("A", 0), token(sep, 0), text("B", 1), token(sep, 1)],
            "special_tokens": {
                cls: {"id": cls, "ids": [cls_id], "tokens": [cls]},
                sep: {"id": sep, "ids": [sep_id], "tokens": [sep]},
            },
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {
            "type": "WordPiece",
            "unk_token": special["unk_token"].0,
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    });
    Ok(format!("{document:#}\n"))
}

/// A special token of the configuration: a text, or an object with one.
fn named<'a>(config: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    let value = config.get(key)?;
    value.as_str().or_else(|| value.get("content")?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nfilm\n##s\n";

    #[test]
    fn a_vocabulary_becomes_a_tokenizer() {
        let json =
            tokenizer_json(VOCABULARY, Some(br#"{"do_lower_case": false}"#)).expect("complete");
        let tokenizer = tokenizers::Tokenizer::from_bytes(json).expect("usable");
        let ids = tokenizer.encode_fast("a films Film", true).expect("encoded").get_ids().to_vec();
        assert_eq!(ids, [2, 5, 6, 7, 1, 3]);
    }

    #[test]
    fn a_vocabulary_without_a_special_token_is_refused() {
        assert_eq!(tokenizer_json("a\nb\n", None), Err("vocab.txt has no [PAD]".to_owned()));
    }
}
