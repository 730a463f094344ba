//! From a text to tokens, of which only so much is looked at as the model takes.

use checkpoint::{Cut, Encoded, Tokenizer, Windower};

use crate::predictor::{BoxError, Prepared};

/// Bytes of text per possible token that are looked at first; long texts are mostly cut off unseen.
const BYTES_PER_TOKEN: usize = 16;

/// The tokens of a text, or of a pair of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Each one's row among the words' embeddings.
    pub ids: Vec<u32>,
    /// Each one's row among those of kinds; empty where all are of the first.
    pub kinds: Vec<u32>,
}

/// Prepares one sequence; the model's input are one or several.
fn prepared(Encoded { ids, kinds, is_cut }: Encoded) -> Prepared<Vec<Tokens>> {
    let n_tokens = ids.len();
    Prepared { input: vec![Tokens { ids, kinds }], n_tokens, truncated: is_cut }
}

/// Tokenises a pair of texts.
pub(super) fn prepare_pair(
    tokenizer: &Tokenizer,
    text: &str,
    pair: &str,
    cut: Cut,
) -> Result<Prepared<Vec<Tokens>>, BoxError> {
    Ok(prepared(tokenizer.encode_pair(text, pair, cut)?))
}

/// Tokenises one text. Where the tokenizer takes what stands between blanks for itself, only so
/// much of it is looked at as fills the model's length.
pub(super) fn prepare(
    tokenizer: &Tokenizer,
    text: &str,
) -> Result<Prepared<Vec<Tokens>>, BoxError> {
    let mut n_bytes = match tokenizer.keeps_end() || !tokenizer.splits_at_blanks() {
        true => text.len(),
        false => tokenizer.max_tokens() * BYTES_PER_TOKEN,
    };
    loop {
        let prefix = prefix(text, n_bytes);
        let encoded = tokenizer.encode(prefix)?;
        if encoded.is_cut || prefix.len() == text.len() {
            return Ok(prepared(encoded));
        }
        n_bytes *= 4;
    }
}

/// Tokenises one text in windows, of which no more is looked at than they hold.
pub(super) fn prepare_windows(
    tokenizer: &Tokenizer,
    text: &str,
    windows: &Windower,
) -> Result<Prepared<Vec<Tokens>>, BoxError> {
    let mut n_bytes = match tokenizer.keeps_end() || !tokenizer.splits_at_blanks() {
        true => text.len(),
        false => tokenizer.max_tokens() * BYTES_PER_TOKEN,
    };
    loop {
        let prefix = prefix(text, n_bytes);
        let encoded = windows.encode(prefix)?;
        let truncated = encoded.first().is_some_and(|window| window.is_cut);
        if truncated || prefix.len() == text.len() {
            let n_tokens = encoded.iter().map(|window| window.ids.len()).sum();
            let tokens = |Encoded { ids, kinds, .. }| Tokens { ids, kinds };
            return Ok(Prepared {
                input: encoded.into_iter().map(tokens).collect(),
                n_tokens,
                truncated,
            });
        }
        n_bytes *= 4;
    }
}

/// Whitespace that every normalizer keeps: others, such as a form feed, are dropped by BERT's, and
/// what is around them becomes one word.
const KEPT: [char; 4] = [' ', '\t', '\n', '\r'];

/// At least so many bytes of a text, up to the next whitespace, or all of it.
fn prefix(text: &str, n_bytes: usize) -> &str {
    let start = (n_bytes..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let rest = &text[start..];
    &text[..start + rest.find(KEPT).unwrap_or(rest.len())]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use checkpoint::{Checkpoint, TokenizerFiles};
    use serde_json::json;

    use super::*;

    /// A tiny checkpoint's tokenizer with another part; its ids of a text in one piece.
    fn check(part: &str, value: serde_json::Value, splits: bool) {
        let tiny =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/testdata/tiny-distilbert");
        let config = Checkpoint::open(&tiny).expect("a checkpoint").config;
        let mut document: serde_json::Value =
            serde_json::from_slice(&std::fs::read(tiny.join("tokenizer.json")).expect("readable"))
                .expect("JSON");
        if !part.is_empty() {
            document[part] = value;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("tokenizer.json"), document.to_string())
            .expect("written");
        let settings = json!({"tokenizer_class": "PreTrainedTokenizerFast"}).to_string();
        std::fs::write(folder.path().join("tokenizer_config.json"), settings).expect("written");
        let files = TokenizerFiles::read(folder.path(), &config).expect("readable");
        let tokenizer = files.tokenizer(&config.network).expect("usable");
        assert_eq!(tokenizer.splits_at_blanks(), splits, "{part}");
        for between in [
            " ", "\t", "\n", "\r\n", "\u{c}", "\u{a0}", "\u{3000}", "\u{2028}", "\u{0} ",
            " \u{301}", "",
        ] {
            // Longer than what is looked at first, in words that are longer than a token's bytes.
            let text = format!("film{between}plot{between}wonderfulwonderful{between}").repeat(200);
            let whole = tokenizer.encode(&text).expect("tokenized");
            let Prepared { input, truncated, .. } = prepare(&tokenizer, &text).expect("tokenized");
            let [Tokens { ids, .. }] = &input[..] else { panic!("one sequence") };
            assert_eq!((ids, truncated), (&whole.ids, whole.is_cut), "{part} {between:?}");
        }
    }

    #[test]
    fn a_text_is_cut_after_tokenizing_whatever_the_tokenizer_does_with_blanks() {
        check("", json!(null), true);
        let dropped = json!({"type": "Replace", "pattern": {"String": " "}, "content": ""});
        check(
            "normalizer",
            json!({"type": "Sequence", "normalizers": [{"type": "Lowercase"}, dropped]}),
            false,
        );
        check(
            "normalizer",
            json!({"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": ""}),
            false,
        );
        check("pre_tokenizer", json!({"type": "Punctuation", "behavior": "Isolated"}), false);
        check("pre_tokenizer", json!(null), false);
    }

    #[test]
    fn a_prefix_ends_at_whitespace_or_with_the_text() {
        for (n_bytes, expected) in [
            (0, "né"),
            (1, "né"),
            (2, "né"),
            (3, "né"),
            (4, "né plus"),
            (7, "né plus"),
            (9, "né plus"),
            (100, "né plus"),
        ] {
            assert_eq!(prefix("né plus", n_bytes), expected, "{n_bytes}");
        }
        assert_eq!(prefix("one\u{c}word next", 1), "one\u{c}word");
    }
}
