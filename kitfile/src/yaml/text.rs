//! How one text is written: as it is, or in quotes.

use crate::scalar;

/// Where a text stands decides what may go unquoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Block,
    Flow,
    Key,
}

/// A text on one line, quoted only where it would be read as something else.
pub(super) fn text(value: &str, place: Place) -> String {
    let analysis = Analysis::of(value);
    let is_merge = place == Place::Key && value == "<<";
    let is_text = !is_merge && scalar::is_text(value) && !is_old_bool(value) && !is_base_60(value);
    if !is_text || analysis.lines || !analysis.single_quoted {
        return double_quoted(value);
    }
    let is_plain = match analysis.plain {
        Plain::Anywhere => true,
        Plain::OutsideFlow => place != Place::Flow,
        Plain::Nowhere => false,
    };
    if is_plain { value.to_owned() } else { format!("'{}'", value.replace('\'', "''")) }
}

/// Whether a text with line breaks may stand line by line as it is.
pub(super) fn fits_block(value: &str) -> bool {
    let analysis = Analysis::of(value);
    analysis.lines && !analysis.special && !analysis.loose_space
}

fn double_quoted(value: &str) -> String {
    let mut out = String::from('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\0' => out.push_str("\\0"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\x1b' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            _ if is_printable(c) => out.push(c),
            _ => out.push_str(&match u32::from(c) {
                code @ ..=0xFF => format!("\\x{code:02X}"),
                code @ ..=0xFFFF => format!("\\u{code:04X}"),
                code => format!("\\U{code:08X}"),
            }),
        }
    }
    out.push('"');
    out
}

/// Where a text may stand unquoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Plain {
    Anywhere,
    /// Not within `[]` and `{}`.
    OutsideFlow,
    Nowhere,
}

/// What a text is to YAML.
struct Analysis {
    plain: Plain,
    /// It may stand in single quotes.
    single_quoted: bool,
    /// It has line breaks.
    lines: bool,
    /// It ends with a space, or has one before a line break.
    loose_space: bool,
    special: bool,
}

impl Analysis {
    fn of(value: &str) -> Self {
        let lines = value.contains('\n');
        let special = value.chars().any(|c| {
            !is_printable(c) && c != '\n' && c != '\t' || matches!(c, '\u{2028}' | '\u{2029}')
        });
        let loose_space = value.ends_with(' ') || value.contains(" \n");
        let edge = value.starts_with(' ') || value.ends_with(' ');
        let single_quoted = !special && !lines && !value.contains('\t');
        Self {
            plain: if single_quoted && !edge { plain(value) } else { Plain::Nowhere },
            single_quoted,
            lines,
            loose_space,
            special,
        }
    }
}

/// Where a text may stand unquoted, by the characters that YAML gives a meaning to.
fn plain(value: &str) -> Plain {
    if value.starts_with("---") || value.starts_with("...") {
        return Plain::Nowhere;
    }
    let mut plain = Plain::Anywhere;
    let mut before = ' ';
    let mut chars = value.chars().enumerate().peekable();
    while let Some((i, c)) = chars.next() {
        let ends = chars.peek().is_none_or(|(_, next)| matches!(next, ' ' | '\t'));
        let here = match c {
            '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
            | '@' | '`'
                if i == 0 =>
            {
                Plain::Nowhere
            }
            '?' | '-' if i == 0 && ends => Plain::Nowhere,
            ':' if ends => Plain::Nowhere,
            '#' if matches!(before, ' ' | '\t' | '\n') => Plain::Nowhere,
            ',' | '?' | '[' | ']' | '{' | '}' | ':' => Plain::OutsideFlow,
            _ => Plain::Anywhere,
        };
        plain = plain.max(here);
        before = c;
    }
    plain
}

/// Printable in the basic plane; the rest is escaped, as `yaml.v3` does it.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        && c != '\u{feff}'
}

/// A truth value to a YAML 1.1 reader.
fn is_old_bool(value: &str) -> bool {
    const OLD: [&str; 6] = ["y", "yes", "on", "n", "no", "off"];
    let capital = |old: &str| old[..1].to_ascii_uppercase() + &old[1..];
    OLD.iter()
        .any(|old| value == *old || value == old.to_ascii_uppercase() || value == capital(old))
}

/// A number to a YAML 1.1 reader: `1:30`, by `[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?`.
fn is_base_60(value: &str) -> bool {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    let (sixties, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = sixties.split(':');
    let digit = |c: char| c.is_ascii_digit() || c == '_';
    let first = parts.next().unwrap_or_default();
    let sixty = |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    let rest: Vec<_> = parts.collect();
    first.starts_with(|c: char| c.is_ascii_digit())
        && first.chars().all(digit)
        && fraction.chars().all(digit)
        && !rest.is_empty()
        && rest.into_iter().all(sixty)
}
