//! Texts that are longer than the network takes, in windows that overlap.

use tokenizers::PostProcessor as _;

use super::{Encoded, Tokenizer};
use crate::error::{Error, Result};

/// How a long text is looked at in windows.
///
/// Each window is as long as the network takes, special tokens included, and begins where the one
/// before ends, less the overlap; the last one is as long as the rest. Of a tokenizer that keeps a
/// text's end they are counted from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Tokens of the text that two neighbours share; without it a quarter of a window: what is cut
    /// in two by one of them is whole in its neighbour.
    pub overlap: Option<usize>,
    /// The most windows of one text; what is behind them is cut off.
    pub most: usize,
}

impl Windows {
    /// One row of logits, of those of a text's windows: their mean, weighted by the tokens of the
    /// text in each. A text of one window has its logits, to the bit.
    #[must_use]
    pub fn combined(windows: &[(usize, &[f32])]) -> Vec<f32> {
        if let [(_, only)] = windows {
            return only.to_vec();
        }
        let total: usize = windows.iter().map(|(n_tokens, _)| n_tokens).sum();
        let n_labels = windows.first().map_or(0, |(_, logits)| logits.len());
        let mean = |label: usize| {
            let weighed =
                |(n_tokens, logits): &(usize, &[f32])| *n_tokens as f64 * f64::from(logits[label]);
            (windows.iter().map(weighed).sum::<f64>() / total as f64) as f32
        };
        (0..n_labels).map(mean).collect()
    }
}

impl Tokenizer {
    /// Tokens of a text that one window has room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.max_tokens - self.n_special
    }

    /// Those of a window's tokens that are the text's own.
    #[must_use]
    pub fn n_of_text(&self, n_tokens: usize) -> usize {
        n_tokens.saturating_sub(self.n_special)
    }

    /// The same, which gives texts in windows; an error where they cannot be made so.
    pub fn in_windows(&self, windows: Windows) -> Result<Windower> {
        let (room, overlap) = (self.room(), windows.overlap.unwrap_or(self.room() / 4));
        let problem = match windows.most {
            0 => "a text needs at least one window".to_owned(),
            _ if overlap >= room => {
                format!("windows of {room} tokens of the text cannot overlap by {overlap}")
            }
            _ => {
                // Whoever cuts by itself does not look at what it cuts off.
                let mut whole = self.clone();
                let uncut = whole.inner.with_truncation(None);
                uncut.map_err(|source| Error::Tokenization { source })?;
                return Ok(Windower { whole, overlap, most: windows.most });
            }
        };
        Err(Error::Tokenization { source: problem.into() })
    }
}

/// Turns texts into windows of tokens.
#[derive(Debug, Clone)]
pub struct Windower {
    whole: Tokenizer,
    overlap: usize,
    most: usize,
}

impl Windower {
    /// Tokenizes a text; each window says whether there was more than fits into all of them.
    pub fn encode(&self, text: &str) -> Result<Vec<Encoded>> {
        let Self { whole, overlap, most } = self;
        let problem = |source| Error::Tokenization { source };
        let mut first = whole.inner.encode_fast(text, false).map_err(problem)?;
        first.truncate(whole.room(), *overlap, whole.direction);
        let mut all = first.take_overflowing();
        all.insert(0, first);
        let is_cut = all.len() > *most;
        all.truncate(*most);
        let finished = |window| {
            let window = match whole.inner.get_post_processor() {
                Some(around) => around.process(window, None, true).map_err(problem)?,
                None => window,
            };
            Ok(Encoded { is_cut, ..whole.encoded(&window)? })
        };
        all.into_iter().map(finished).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Checkpoint, TokenizerFiles};

    fn tiny() -> Tokenizer {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tiny-distilbert");
        let config = Checkpoint::open(&dir).expect("a checkpoint").config;
        let files = TokenizerFiles::read(&dir, &config).expect("readable");
        files.tokenizer(&config.network).expect("usable").cut_to(7).expect("room for five tokens")
    }

    fn ids(windows: &[Encoded]) -> Vec<&[u32]> {
        windows.iter().map(|window| &window.ids[..]).collect()
    }

    #[test]
    fn windows_overlap_and_hold_every_token_of_the_text() {
        let tokenizer = tiny();
        let text = "the plot is thin but the music and the camera make every scene a joy";
        let whole = tokenizer.in_windows(Windows { overlap: None, most: 1 }).expect("room").whole;
        let whole = whole.inner.encode(text, false).expect("tokenized");
        let windows = Windows { overlap: Some(2), most: 100 };
        let found = tokenizer.in_windows(windows).expect("room").encode(text).expect("tokenized");
        let (cls, sep, whole) = (2, 3, whole.get_ids());
        let expected: Vec<Vec<u32>> = (0..)
            .map(|n| n * 3)
            .take_while(|start| *start == 0 || start + 2 < whole.len())
            .map(|start| [&[cls], &whole[start..(start + 5).min(whole.len())], &[sep]].concat())
            .collect();
        assert!(expected.len() > 3 && whole.len() > 14);
        assert_eq!(ids(&found), expected);
        assert!(found.iter().all(|window| !window.is_cut));
        let fewer = tokenizer.in_windows(Windows { most: 2, ..windows }).expect("room");
        let fewer = fewer.encode(text).expect("cut");
        assert_eq!(ids(&fewer), expected[..2]);
        assert!(fewer.iter().all(|window| window.is_cut));
    }

    #[test]
    fn a_short_text_is_one_window_as_it_would_be_without() {
        let tokenizer = tiny();
        for text in ["", "ok", "the plot is so"] {
            let windows = tokenizer.in_windows(Windows { overlap: Some(4), most: 8 });
            let found = windows.expect("room").encode(text).expect("tokenized");
            assert_eq!(found, [tokenizer.encode(text).expect("tokenized")], "{text:?}");
        }
        assert!(tokenizer.in_windows(Windows { overlap: Some(5), most: 8 }).is_err());
        assert!(tokenizer.in_windows(Windows { overlap: None, most: 0 }).is_err());
    }

    #[test]
    fn logits_are_weighed_by_tokens() {
        let (a, b) = ([1.0, -2.0], [4.0, 0.1]);
        assert_eq!(Windows::combined(&[(3, &a), (1, &b)]), [1.75, -1.475]);
        assert_eq!(Windows::combined(&[(0, &a)]), a);
    }
}
