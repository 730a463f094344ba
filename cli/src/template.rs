//! The part of Go's templates that lists are shown with: fields, `range`, `if`, `len`, `index`.
//! Source: Go's text/template, as `kit list --format` takes it. Whatever else a template asks for
//! is refused by name.

use std::str::FromStr;

use serde_json::Value;

use crate::shown;

/// A template, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(Expression),
    /// What is shown for each item, and what where there are none.
    Range(Expression, Vec<Self>, Vec<Self>),
    /// What is shown where the value is not empty, and what where it is.
    If(Expression, Vec<Self>, Vec<Self>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expression {
    /// `.`: the row, or in a `range` the item.
    Dot,
    Field(String),
    Literal(String),
    Len(Box<Self>),
    Index(Box<Self>, usize),
}

/// The fields of a row, by their names in `kit`.
pub(crate) const FIELDS: [&str; 7] =
    ["Repo", "Tags", "Digest", "ModelName", "Size", "Author", "Bytes"];

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut tokens = tokens(text)?.into_iter();
        let (pieces, end) = pieces(&mut tokens, false)?;
        match end {
            None => Ok(Self { pieces }),
            Some(word) => Err(format!("the template has a `{word}` without its beginning")),
        }
    }
}

impl Template {
    /// What it makes of a row, whose values are found by their fields.
    pub(crate) fn fill(&self, row: &dyn Fn(&str) -> Value) -> Result<String, String> {
        let mut text = String::new();
        fill(&self.pieces, row, &Value::Null, &mut text)?;
        Ok(text)
    }
}

enum Token {
    Text(String),
    Action(String),
}

/// Texts and actions by turns; `{{-` and `-}}` take the white space beside them away.
fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let (mut tokens, mut rest, mut trims) = (Vec::new(), text, false);
    loop {
        let (before, after) = match rest.split_once("{{") {
            Some((before, after)) => (before, Some(after)),
            None => (rest, None),
        };
        let before = if trims { before.trim_start() } else { before };
        let starts_trimming = after.and_then(|after| after.strip_prefix("- "));
        let before = if starts_trimming.is_some() { before.trim_end() } else { before };
        tokens.push(Token::Text(before.to_owned()));
        let Some(after) = starts_trimming.or(after) else { return Ok(tokens) };
        let (action, after) =
            after.split_once("}}").ok_or("the template has a `{{` without its `}}`")?;
        trims = action.ends_with(" -");
        let action = action.strip_suffix(" -").unwrap_or(action).trim();
        if !(action.starts_with("/*") && action.ends_with("*/")) {
            tokens.push(Token::Action(action.to_owned()));
        }
        rest = after;
    }
}

/// Reads on to an `end` or `else`, which is returned, or to the end of the template.
fn pieces(
    tokens: &mut std::vec::IntoIter<Token>,
    in_range: bool,
) -> Result<(Vec<Piece>, Option<String>), String> {
    let mut pieces = Vec::new();
    while let Some(token) = tokens.next() {
        let action = match token {
            Token::Text(text) => {
                pieces.push(Piece::Text(text));
                continue;
            }
            Token::Action(action) => action,
        };
        let (word, rest) = action.split_once(' ').unwrap_or((&action, ""));
        pieces.push(match word {
            "end" | "else" if rest.is_empty() => return Ok((pieces, Some(word.to_owned()))),
            "range" | "if" => {
                let over = expression(rest, in_range)?;
                let (inside, end) = self::pieces(tokens, in_range || word == "range")?;
                let (otherwise, end) = match end.as_deref() {
                    Some("else") => self::pieces(tokens, in_range)?,
                    _ => (Vec::new(), end),
                };
                if end.as_deref() != Some("end") {
                    return Err(format!("the template has a `{word}` without its `end`"));
                }
                match word {
                    "if" => Piece::If(over, inside, otherwise),
                    _ => Piece::Range(over, inside, otherwise),
                }
            }
            _ => Piece::Value(expression(&action, in_range)?),
        });
    }
    Ok((pieces, None))
}

fn expression(text: &str, in_range: bool) -> Result<Expression, String> {
    let text = text.trim();
    if let Some(literal) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        let quoted = serde_json::from_str(&format!("\"{literal}\""));
        return quoted.map(Expression::Literal).map_err(|_| format!("`{text}` is not a text"));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    match words[..] {
        ["."] if in_range => Ok(Expression::Dot),
        ["len", of] => Ok(Expression::Len(Box::new(expression(of, in_range)?))),
        ["index", of, n] => {
            let n = n.parse().map_err(|_| format!("`{n}` is not the number of an item"))?;
            Ok(Expression::Index(Box::new(expression(of, in_range)?), n))
        }
        [word]
            if word.starts_with("$.") || (word.len() > 1 && word.starts_with('.') && !in_range) =>
        {
            match word.trim_start_matches(['$', '.']) {
                field if FIELDS.contains(&field) => Ok(Expression::Field(field.to_owned())),
                _ => Err(format!("a row has no `{word}`: it has .{}", FIELDS.join(", ."))),
            }
        }
        [word] if word.starts_with('.') && in_range => {
            Err(format!("an item of a `range` has no `{word}`: write `${word}` for the row's"))
        }
        [] => Err("the template asks for nothing in a `{{}}`".to_owned()),
        _ if text.contains('|') => Err(format!("`{text}`: pipelines are not understood here")),
        [word, ..] => {
            Err(format!("`{word}` is not understood here: fields, range, if, len and index are"))
        }
    }
}

fn fill(
    pieces: &[Piece],
    row: &dyn Fn(&str) -> Value,
    dot: &Value,
    text: &mut String,
) -> Result<(), String> {
    for piece in pieces {
        match piece {
            Piece::Text(piece) => *text += piece,
            Piece::Value(Expression::Literal(literal)) => *text += literal,
            Piece::Value(expression) => {
                *text += &shown::line(&printed(&value(expression, row, dot)?));
            }
            Piece::If(over, inside, otherwise) => {
                let is_empty = is_empty(&value(over, row, dot)?);
                fill(if is_empty { otherwise } else { inside }, row, dot, text)?;
            }
            Piece::Range(over, inside, otherwise) => match value(over, row, dot)? {
                Value::Array(items) if !items.is_empty() => {
                    items.iter().try_for_each(|item| fill(inside, row, item, text))?;
                }
                Value::Array(_) | Value::Null => fill(otherwise, row, dot, text)?,
                other => return Err(format!("`range` goes over lists, and {other} is none")),
            },
        }
    }
    Ok(())
}

fn value(
    expression: &Expression,
    row: &dyn Fn(&str) -> Value,
    dot: &Value,
) -> Result<Value, String> {
    Ok(match expression {
        Expression::Dot => dot.clone(),
        Expression::Field(field) => row(field),
        Expression::Literal(literal) => literal.as_str().into(),
        Expression::Len(of) => match value(of, row, dot)? {
            Value::Array(items) => items.len().into(),
            Value::String(text) => text.len().into(),
            other => return Err(format!("`len` is of texts and lists, and {other} is neither")),
        },
        Expression::Index(of, n) => {
            let list = value(of, row, dot)?;
            list.get(n).cloned().ok_or_else(|| format!("`index`: {list} has no item {n}"))?
        }
    })
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        other => printed(other).is_empty(),
    }
}

/// As Go prints it: a list is `[a b]`.
fn printed(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" "))
        }
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: &str) -> Result<String, String> {
        let row = |field: &str| match field {
            "Repo" => json!("q/r"),
            "Tags" => json!(["a", "b"]),
            "Size" => json!("2.0 KiB"),
            "Author" => json!("me\nq/forged"),
            _ => json!(""),
        };
        template.parse::<Template>()?.fill(&row)
    }

    /// The right values are what `kit` v1.15.0 printed.
    #[test]
    fn rows_are_filled_in_as_kit_does() {
        let check = |template: &str, expected: &str| {
            assert_eq!(filled(template).as_deref(), Ok(expected), "{template}");
        };
        check("{{ .Repo }}:{{.Tags}} {{.Size}}", "q/r:[a b] 2.0 KiB");
        check("{{range .Tags}}{{$.Repo}}:{{.}};{{end}}", "q/r:a;q/r:b;");
        check("{{index .Tags 0}}", "a");
        check("{{len .Tags}}", "2");
        check("{{- .Repo -}} x", "q/rx");
        check("{{if .Repo}}A{{end}}{{if .Digest}}B{{else}}C{{end}}", "AC");
        check("{{/* c */}}x{{\"\\t\"}}", "x\t");
        check("{{.Repo}}\\n", "q/r\\n");
    }

    #[test]
    fn a_value_begins_no_row() {
        assert_eq!(filled("{{.Author}}").as_deref(), Ok("me\\nq/forged"));
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let check = |template: &str, expected: &str| {
            let error = filled(template).expect_err(template);
            assert!(error.contains(expected), "{template}: {error}");
        };
        check("{{.Nope}}", "a row has no `.Nope`");
        check("{{printf \"%s\" .Repo}}", "`printf` is not understood");
        check("{{.Tags | len}}", "pipelines");
        check("{{.Repo", "without its `}}`");
        check("{{range .Tags}}", "`range` without its `end`");
        check("{{.}}", "`.` is not understood");
        check("{{range .Tags}}{{.Repo}}{{end}}", "write `$.Repo`");
        check("{{index .Tags 2}}", "has no item 2");
        check("{{end}}", "`end` without its beginning");
        check("{{join .Tags \",\"}}", "`join` is not understood");
    }
}
