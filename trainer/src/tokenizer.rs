//! A checkpoint's own tokenizer, without the padding and truncation that its file may ask for.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use crate::error::{Error, Result};

/// Turns text into token ids, cut to a length and never padded.
#[derive(Clone)]
pub(crate) struct TextTokenizer {
    inner: Tokenizer,
    /// Ids are below it.
    vocab_size: usize,
}

impl TextTokenizer {
    /// Parses `tokenizer.json`.
    /// Its own padding (many files say 128 tokens, always) and truncation are not ours.
    pub(crate) fn parse(
        bytes: &[u8],
        path: &Path,
        vocab_size: usize,
        max_length: usize,
    ) -> Result<Self> {
        let unusable = |source| Error::TokenizerFile { path: path.to_owned(), source };
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(unusable)?;
        tokenizer.with_padding(None);
        let tokens = tokenizer.get_vocab(true);
        if let Some((token, id)) = tokens.iter().find(|(_, id)| **id as usize >= vocab_size) {
            let problem = format!(
                "token {token:?} has number {id}, and config.json's vocab_size is {vocab_size}"
            );
            return Err(unusable(problem.into()));
        }
        Self { inner: tokenizer, vocab_size }.cut_to(max_length)
    }

    /// The same, with texts cut to this many tokens, special ones included.
    pub(crate) fn cut_to(&self, max_length: usize) -> Result<Self> {
        let mut tokenizer = self.inner.clone();
        let cut = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(cut)).map_err(|source| Error::Tokenization { source })?;
        Ok(Self { inner: tokenizer, ..*self })
    }

    /// One row of ids a text, special tokens included.
    pub(crate) fn encode<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<Vec<u32>>> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let encodings = self.inner.encode_batch_fast(texts, true);
        let encodings = encodings.map_err(|source| Error::Tokenization { source })?;
        // A template may put in what no vocabulary has.
        let mut ids = encodings.iter().flat_map(|encoding| encoding.get_ids());
        if let Some(id) = ids.find(|id| **id as usize >= self.vocab_size) {
            let problem = format!(
                "the tokenizer gives token {id}, and config.json's vocab_size is {}",
                self.vocab_size
            );
            return Err(Error::Tokenization { source: problem.into() });
        }
        Ok(encodings.iter().map(|encoding| encoding.get_ids().to_vec()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_transformers() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tiny-distilbert");
        let path = folder.join("tokenizer.json");
        let golden = fs_err::read(folder.join("golden.json")).expect("readable");
        let golden: serde_json::Value = serde_json::from_slice(&golden).expect("JSON");
        let texts: Vec<String> = serde_json::from_value(golden["texts"].clone()).expect("texts");
        let ids: Vec<Vec<u32>> = serde_json::from_value(golden["input_ids"].clone()).expect("ids");
        let bytes = fs_err::read(&path).expect("readable");
        let tokenizer = TextTokenizer::parse(&bytes, &path, 318, 64).expect("usable");
        assert_eq!(tokenizer.encode(&texts).expect("tokenized"), ids);

        let cut = tokenizer.cut_to(5).expect("cut").encode(&texts).expect("tokenized");
        assert_eq!(
            cut[0],
            [ids[0][0], ids[0][1], ids[0][2], ids[0][3], 3],
            "the last token is kept"
        );
    }
}
