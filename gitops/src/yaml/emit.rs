//! Prints YAML as kustomize does: sorted keys, and quotes where a reader would see another type.

use serde_json::Value;

use super::order::sorted;
use super::quote::means_something_else;
use super::resolve::is_ambiguous;

/// Prints a value as block YAML with sorted keys, the way kustomize prints objects.
pub(crate) fn emit(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(elements) if !elements.is_empty() => sequence(&mut out, elements, 0),
        leaf => {
            inline(&mut out, leaf, 0);
            out.push('\n');
        }
    }
    out
}

/// A text as a scalar on one line, quoted where any reader could mistake it: for files that people
/// go on with.
pub(crate) fn scalar(text: &str) -> String {
    match is_plain(text) && !is_ambiguous(text) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// The same as kustomize prints it: one text, one digest.
pub(crate) fn printed(text: &str) -> String {
    match is_plain(text) {
        // As a key it would be a merge to any reader, kustomize included.
        _ if text == "<<" => quoted(text),
        true if means_something_else(text) => double_quoted(text),
        true => text.to_owned(),
        false if text.is_empty() => double_quoted(text),
        false => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    match text.chars().all(is_printable) {
        true => format!("'{}'", text.replace('\'', "''")),
        false => double_quoted(text),
    }
}

/// Lines are broken at the first space behind this column, as libyaml does.
const WIDTH: usize = 80;

/// Puts a scalar that is written as one line onto the lines that libyaml gives it.
fn folded(out: &mut String, scalar: &str, indent: usize) {
    let column = out.rsplit('\n').next().unwrap_or_default().chars().count();
    if !scalar.contains(' ') || column + scalar.len() <= WIDTH {
        out.push_str(scalar);
        return;
    }
    let quote = scalar.chars().next().filter(|c| ['"', '\''].contains(c));
    // Neither the first nor the last character between quotes is where a line ends.
    let last = scalar.len() - 1 - usize::from(quote.is_some());
    let first = usize::from(quote.is_some());
    let (mut column, mut was_space) = (column, false);
    let mut chars = scalar.char_indices().peekable();
    while let Some((n, c)) = chars.next() {
        let next_is_space = chars.peek().is_some_and(|(_, next)| *next == ' ');
        let is_inside = quote.is_none() || (n > first && n < last);
        let breaks = c == ' ' && !was_space && column > WIDTH && is_inside;
        if breaks && (quote == Some('"') || !next_is_space) {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
            if next_is_space {
                out.push('\\');
                column += 1;
            }
        } else {
            out.push(c);
            column += 1;
        }
        was_space = c == ' ';
    }
}

fn mapping(out: &mut String, map: &serde_json::Map<String, Value>, indent: usize) {
    for (n, (key, value)) in sorted(map.iter().collect()).into_iter().enumerate() {
        if n > 0 {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&printed(key));
        out.push(':');
        nested(out, value, indent);
    }
}

/// A value behind `key:`; a sequence stands under its key without further indentation.
fn nested(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            out.push_str(&" ".repeat(indent + 2));
            mapping(out, map, indent + 2);
        }
        Value::Array(elements) if !elements.is_empty() => {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            sequence(out, elements, indent);
        }
        leaf => {
            out.push(' ');
            inline(out, leaf, indent + 2);
            out.push('\n');
        }
    }
}

fn sequence(out: &mut String, elements: &[Value], indent: usize) {
    for (n, element) in elements.iter().enumerate() {
        if n > 0 {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str("- ");
        match element {
            Value::Object(map) if !map.is_empty() => mapping(out, map, indent + 2),
            Value::Array(inner) if !inner.is_empty() => sequence(out, inner, indent + 2),
            leaf => {
                inline(out, leaf, indent + 2);
                out.push('\n');
            }
        }
    }
}

fn inline(out: &mut String, leaf: &Value, indent: usize) {
    match leaf {
        Value::String(text) if is_block(text) => block(out, text, indent),
        Value::String(text) => folded(out, &printed(text), indent),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        number_bool_null => out.push_str(&number_bool_null.to_string()),
    }
}

/// Whether a text of several lines stands as a literal block: libyaml takes none for one with a space
/// before the end of a line.
fn is_block(text: &str) -> bool {
    text.contains('\n')
        && text.chars().all(|c| c == '\n' || is_printable(c))
        && !text.contains(" \n")
        && !text.ends_with(' ')
}

fn block(out: &mut String, text: &str, indent: usize) {
    let chomping = match text {
        text if text == "\n" || text.ends_with("\n\n") => "+",
        text if text.ends_with('\n') => "",
        _ => "-",
    };
    out.push('|');
    if text.starts_with([' ', '\n']) {
        out.push('2');
    }
    out.push_str(chomping);
    let body = text.strip_suffix('\n').unwrap_or(text);
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
    }
}

/// Whether the grammar lets a text stand without quotes.
fn is_plain(text: &str) -> bool {
    const INDICATORS: &str = ",[]{}#&*!|>'\"%@` \t";
    // These begin something only before a space.
    let is_mark = text
        .strip_prefix(['-', '?', ':'])
        .is_some_and(|it| it.is_empty() || it.starts_with([' ', '\t']));
    let bad_start = is_mark || text.starts_with(|c: char| INDICATORS.contains(c));
    let bad_end = text.ends_with([' ', '\t', ':']);
    let inside =
        text.contains(": ") || text.contains(" #") || text.contains(|c: char| !is_printable(c));
    let marker = text.starts_with("---") || text.starts_with("...");
    !text.is_empty() && !bad_start && !bad_end && !inside && !marker
}

/// What libyaml prints as it is, in one line; of what it takes for line breaks nothing.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}'..)
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            '\x1b' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if is_printable(c) => out.push(c),
            c => match u32::from(c) {
                n @ ..=0xff => out.push_str(&format!("\\x{n:02X}")),
                n @ ..=0xffff => out.push_str(&format!("\\u{n:04X}")),
                n => out.push_str(&format!("\\U{n:08X}")),
            },
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::super::parse_all;
    use super::*;

    #[test]
    fn objects_look_as_kustomize_prints_them() {
        let value = json!({"spec": {"a": [], "list": [{"y": 1, "x": ["p", "q"]}, [1, 2]], "m": {}}, "kind": "K", "data": {"t": "a\nb\n", "v": "1.0", "b": "yes"}});
        expect![[r#"
            data:
              b: "yes"
              t: |
                a
                b
              v: "1.0"
            kind: K
            spec:
              a: []
              list:
              - x:
                - p
                - q
                "y": 1
              - - 1
                - 2
              m: {}
        "#]]
        .assert_eq(&emit(&value));
    }

    #[test]
    fn what_is_printed_is_read_back_by_both_readers() {
        let texts = [
            "",
            " ",
            "a",
            " a",
            "a ",
            "yes",
            "No",
            "0644",
            "0o644",
            "1.0.9",
            "1e3",
            "12:30",
            "a: b",
            "a #b",
            "#a",
            "- a",
            "-a",
            "?",
            "[a]",
            "{a}",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "%a",
            "@a",
            "`a`",
            "'",
            "\"",
            "it's",
            "a\nb",
            "a\nb\n",
            "a\nb\n\n",
            "\na",
            " a\nb",
            "a\n b\n",
            "a\n \nb",
            "\n",
            "\n\n",
            "a\tb",
            "\t",
            "a\r\nb",
            "é",
            "日本",
            "\u{1}",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "a\\b",
            "---",
            "--- a",
            "...",
            "null",
            "~",
            "true",
            "<<",
            "=",
            "key:",
            "a:b",
            "x@sha256:00",
            "2001-01-01",
            "1_0",
            "a\n---\nb\n",
            "a\n# b\n",
            "😀",
            "a,b",
            "}",
            "a\u{7f}",
        ];
        for text in texts {
            for value in
                [json!({"k": text, text: 1, "l": [text, {"m": text}]}), json!([text, [text]])]
            {
                let printed = emit(&value);
                assert_eq!(
                    parse_all(&printed).unwrap(),
                    std::slice::from_ref(&value),
                    "{text:?} as\n{printed}"
                );
                let other: Value = serde_yaml::from_str(&printed)
                    .unwrap_or_else(|error| panic!("{text:?}: {error}\n{printed}"));
                assert_eq!(other, value, "{text:?} as\n{printed}");
            }
        }
    }
}
