//! JSON as Python reads it.
//!
//! FastAPI's 422 answers say what Python's `json` module said, at which character, and echo the
//! input with its keys in their order. So this reader has the messages and positions of `json` in
//! Python 3.8–3.12. `NaN` and `Infinity`, which Python takes, are refused as the RFC asks.

mod reader;

use std::fmt::{self, Display, Formatter};

/// A JSON document with its keys in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As Python prints it.
    Number(String),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// What Python's `JSONDecodeError` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) message: &'static str,
    /// In characters from the start.
    pub(crate) position: usize,
}

impl Json {
    /// Reads one document.
    pub(crate) fn parse(text: &str) -> Result<Self, Invalid> {
        reader::read(text)
    }

    /// The value of a key; of several equal ones the last.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Object(entries) = self else { return None };
        entries.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The first key of an object that is none of these and has a value.
    pub(crate) fn unknown(&self, known: &[&str]) -> Option<&str> {
        let Self::Object(entries) = self else { return None };
        let is_unknown =
            |(key, value): &&(String, Self)| !known.contains(&key.as_str()) && *value != Self::Null;
        entries.iter().find(is_unknown).map(|(key, _)| key.as_str())
    }
}

/// Compact and in UTF-8, as FastAPI answers.
impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Number(text) => f.write_str(text),
            Self::String(text) => Quoted(text).fmt(f),
            Self::Array(items) => {
                f.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if n == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(entries) => {
                f.write_str("{")?;
                for (n, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}:{value}", if n == 0 { "" } else { "," }, Quoted(key))?;
                }
                f.write_str("}")
            }
        }
    }
}

/// A string in quotes, with the same escapes that Python makes.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self.0).map_err(|_| fmt::Error)?)
    }
}

/// A float as Python prints it: shortest digits that read back, an exponent below 1e-4 and from
/// 1e16 on.
pub(crate) fn float(value: f64) -> String {
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = value.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_what_was_read_gives_the_same() {
        for text in [
            r#"{"b":1,"a":[1.5,null,true,false,{}],"é":"\"\\\n\u0001€😀"}"#,
            "[]",
            "123456789012345678901234567890",
            r#""""#,
        ] {
            assert_eq!(Json::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn floats_print_as_in_python() {
        let cases = [
            (1.0, "1.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (-2.5e-7, "-2.5e-07"),
            (1.5e300, "1.5e+300"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
        assert_eq!(float(f64::from(0.585_905_7_f32)), "0.5859056711196899");
    }
}
