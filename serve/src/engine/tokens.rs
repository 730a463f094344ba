//! From a text to token ids, of which only so much is looked at as the model takes.

use checkpoint::{Encoded, Tokenizer};

use crate::predictor::{BoxError, Prepared};

/// Bytes of text per possible token that are looked at first; long texts are mostly cut off unseen.
const BYTES_PER_TOKEN: usize = 16;

/// Tokenises one text. Only so much of it is looked at as fills the model's length: a prefix that
/// ends at whitespace has the same tokens as the whole text has there.
pub(super) fn prepare(tokenizer: &Tokenizer, text: &str) -> Result<Prepared<Vec<u32>>, BoxError> {
    let mut n_bytes = match tokenizer.keeps_end() {
        true => text.len(),
        false => tokenizer.max_tokens() * BYTES_PER_TOKEN,
    };
    loop {
        let prefix = prefix(text, n_bytes);
        let Encoded { ids, is_cut } = tokenizer.encode(prefix)?;
        if is_cut || prefix.len() == text.len() {
            return Ok(Prepared { n_tokens: ids.len(), input: ids, truncated: is_cut });
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
    use super::*;

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
