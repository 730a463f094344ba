//! tokenizer.json: from a text to token ids.

use std::path::Path;

use fs_err as fs;
use tokenizers::{Tokenizer, TruncationParams};

use crate::error::{Error, Result};
use crate::predictor::{BoxError, Prepared};

/// Bytes of text per possible token that are looked at first; long texts are mostly cut off unseen.
const BYTES_PER_TOKEN: usize = 16;

/// A tokenizer that never pads, and cuts at the model's length.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    max_tokens: usize,
    vocab_size: usize,
}

impl Tokens {
    /// Reads `tokenizer.json` of a model folder. Its own padding and truncation are switched off:
    /// some pad each text to 128 tokens.
    pub(super) fn read(dir: &Path, max_tokens: usize, vocab_size: usize) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        let bytes = fs::read(&path)?;
        let with_truncation = |mut tokenizer: Tokenizer| {
            tokenizer.with_padding(None);
            let special = tokenizer.encode_fast("", true)?.len();
            if special == 0 || special >= max_tokens {
                return Err(format!(
                    "it adds {special} tokens to a text, but the model needs [CLS] and has room for {max_tokens}"
                )
                .into());
            }
            tokenizer.with_truncation(Some(TruncationParams {
                max_length: max_tokens,
                ..Default::default()
            }))?;
            Ok::<_, BoxError>(tokenizer)
        };
        let tokenizer = Tokenizer::from_bytes(bytes).and_then(|mut tokenizer| {
            tokenizer.with_truncation(None)?;
            with_truncation(tokenizer)
        });
        let tokenizer = tokenizer.map_err(|source| Error::Tokenizer { path, source })?;
        Ok(Self { tokenizer, max_tokens, vocab_size })
    }

    /// Tokenises one text. Only so much of it is looked at as fills the model's length: a prefix
    /// that ends at whitespace has the same tokens as the whole text has there.
    pub(super) fn prepare(&self, text: &str) -> Result<Prepared<Vec<u32>>, BoxError> {
        let mut n_bytes = self.max_tokens * BYTES_PER_TOKEN;
        loop {
            let prefix = prefix(text, n_bytes);
            let encoding = self.tokenizer.encode_fast(prefix, true)?;
            let truncated = !encoding.get_overflowing().is_empty();
            if truncated || prefix.len() == text.len() {
                return self.checked(encoding.get_ids().to_vec(), truncated);
            }
            n_bytes *= 4;
        }
    }

    fn checked(&self, ids: Vec<u32>, truncated: bool) -> Result<Prepared<Vec<u32>>, BoxError> {
        match ids.iter().find(|id| **id as usize >= self.vocab_size) {
            Some(id) => Err(format!(
                "the tokenizer gave the token {id}, but the model knows {}",
                self.vocab_size
            )
            .into()),
            None => Ok(Prepared { n_tokens: ids.len(), input: ids, truncated }),
        }
    }
}

/// At least so many bytes of a text, up to the next whitespace, or all of it.
fn prefix(text: &str, n_bytes: usize) -> &str {
    let start = (n_bytes..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    let rest = &text[start..];
    &text[..start + rest.find(char::is_whitespace).unwrap_or(rest.len())]
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
    }
}
