//! `vocab.txt`: the oldest form of a WordPiece tokenizer, one token a line.

use std::collections::BTreeMap;

use serde_json::json;

use super::settings::Settings;

/// The tokens that every text is wrapped in or cut by, and their keys in `tokenizer_config.json`.
pub(super) const SPECIAL: [(&str, &str); 5] = [
    ("pad_token", "[PAD]"),
    ("unk_token", "[UNK]"),
    ("cls_token", "[CLS]"),
    ("sep_token", "[SEP]"),
    ("mask_token", "[MASK]"),
];

/// Makes the `tokenizer.json` that `transformers` makes of a `vocab.txt` and its
/// settings. Source: `BertConverter` in `convert_slow_tokenizer.py`.
pub(super) fn tokenizer_json(vocabulary: &str, settings: &Settings) -> Result<String, String> {
    // A token that is there twice has its last line's number.
    let ids: BTreeMap<&str, usize> =
        vocabulary.lines().enumerate().map(|(number, token)| (token, number)).collect();
    let mut special = BTreeMap::new();
    for (key, default) in SPECIAL {
        let token = settings.special(key).unwrap_or(default);
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
    let document = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": settings.chinese_chars,
            "strip_accents": settings.strip_accents,
            "lowercase": settings.lower_case,
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
