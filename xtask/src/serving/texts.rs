//! Texts of so many tokens for the benchmark's model, whose vocabulary has these syllables as
//! words.

const STARTS: &[u8] = b"bcdfghlmnprst";
const VOWELS: &[u8] = b"aeiou";

/// A text of so many tokens with `[CLS]` and `[SEP]`; another one for each `seed`.
pub(crate) fn of(n_tokens: usize, seed: usize) -> String {
    let word = |n: usize| {
        let place = n * 7 + seed * 13;
        let (start, vowel) =
            (STARTS[place % STARTS.len()], VOWELS[place / STARTS.len() % VOWELS.len()]);
        [char::from(start), char::from(vowel)].iter().collect::<String>()
    };
    (0..n_tokens.saturating_sub(2)).map(word).collect::<Vec<_>>().join(" ")
}

/// Lengths of 10, 50, 120 and 300 tokens in the ratio 4 : 3 : 2 : 1, in an order that mixes them.
pub(crate) fn mixed(seed: usize) -> String {
    const LENGTHS: [usize; 10] = [10, 50, 120, 10, 50, 10, 300, 50, 10, 120];
    of(LENGTHS[seed % LENGTHS.len()], seed)
}

/// The body of a `POST /predict`.
pub(crate) fn body(text: &str) -> String {
    serde_json::json!({ "text": text }).to_string()
}
