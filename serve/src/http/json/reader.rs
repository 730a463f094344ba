//! The reader. Its errors have the wording and the place of those of CPython's own reader.

use std::collections::HashMap;

use super::{Invalid, Json, float};

/// Deeper documents are refused; Python's limit is near 1000.
const MAX_DEPTH: usize = 500;

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Json, Invalid> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.skip_whitespace();
    let json = reader.value()?;
    reader.skip_whitespace();
    if reader.at < text.len() { Err(reader.invalid("Extra data", reader.at)) } else { Ok(json) }
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<Json, Invalid> {
        let start = self.at;
        let words =
            [("null", Json::Null), ("true", Json::Bool(true)), ("false", Json::Bool(false))];
        match self.peek() {
            Some(b'"') => Ok(Json::String(self.string()?)),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            _ => match words.into_iter().find(|(word, _)| self.text[self.at..].starts_with(word)) {
                Some((word, json)) => {
                    self.at += word.len();
                    Ok(json)
                }
                None => Err(self.invalid("Expecting value", start)),
            },
        }
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Json, Invalid>) -> Result<Json, Invalid> {
        if self.depth == MAX_DEPTH {
            return Err(self.invalid("Too many levels of nesting", self.at));
        }
        (self.depth, self.at) = (self.depth + 1, self.at + 1);
        self.skip_whitespace();
        let json = read(self)?;
        (self.depth, self.at) = (self.depth - 1, self.at + 1);
        Ok(json)
    }

    /// After `{`, up to its `}`.
    fn object(&mut self) -> Result<Json, Invalid> {
        let mut entries: Vec<(String, Json)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        while self.peek() != Some(b'}') || !entries.is_empty() {
            if self.peek() != Some(b'"') {
                return Err(
                    self.invalid("Expecting property name enclosed in double quotes", self.at)
                );
            }
            let key = self.string()?;
            self.skip_whitespace();
            self.expect(b':', "Expecting ':' delimiter")?;
            let value = self.value()?;
            match places.get(&key) {
                Some(&place) => entries[place].1 = value,
                None => {
                    places.insert(key.clone(), entries.len());
                    entries.push((key, value));
                }
            }
            self.skip_whitespace();
            if self.peek() == Some(b'}') {
                break;
            }
            self.expect(b',', "Expecting ',' delimiter")?;
        }
        Ok(Json::Object(entries))
    }

    /// After `[`, up to its `]`.
    fn array(&mut self) -> Result<Json, Invalid> {
        let mut items = Vec::new();
        while self.peek() != Some(b']') || !items.is_empty() {
            items.push(self.value()?);
            self.skip_whitespace();
            if self.peek() == Some(b']') {
                break;
            }
            self.expect(b',', "Expecting ',' delimiter")?;
        }
        Ok(Json::Array(items))
    }

    /// Integers keep all their digits; other numbers become what a float holds.
    fn number(&mut self) -> Result<String, Invalid> {
        let rest = &self.text.as_bytes()[self.at..];
        let n_digits =
            |from: usize| rest.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let sign = usize::from(rest[0] == b'-');
        let whole = if rest.get(sign) == Some(&b'0') { 1 } else { n_digits(sign) };
        if whole == 0 {
            return Err(self.invalid("Expecting value", self.at));
        }
        let integer = sign + whole;
        let mut end = integer;
        if rest.get(end) == Some(&b'.') && n_digits(end + 1) > 0 {
            end += 1 + n_digits(end + 1);
        }
        if matches!(rest.get(end), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
            let digits = n_digits(end + 1 + signed);
            end += if digits > 0 { 1 + signed + digits } else { 0 };
        }
        let text = &self.text[self.at..self.at + end];
        self.at += end;
        match text.parse::<f64>() {
            _ if text == "-0" => Ok("0".to_owned()),
            Ok(value) if end > integer && value.is_finite() => Ok(float(value)),
            _ if end == integer => Ok(text.to_owned()),
            _ => Err(self.invalid("Number out of range", self.at - end)),
        }
    }

    /// From the opening quote to behind the closing one. A lone surrogate becomes U+FFFD.
    fn string(&mut self) -> Result<String, Invalid> {
        let begin = self.at;
        let unterminated = "Unterminated string starting at";
        let mut string = String::new();
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let plain = rest
                .find(|c: char| matches!(c, '"' | '\\' | '\0'..='\x1f'))
                .ok_or_else(|| self.invalid(unterminated, begin))?;
            string.push_str(&rest[..plain]);
            self.at += plain;
            match (self.peek(), self.text.as_bytes().get(self.at + 1)) {
                (Some(b'"'), _) => {
                    self.at += 1;
                    return Ok(string);
                }
                (Some(b'\\'), None) => return Err(self.invalid(unterminated, begin)),
                (Some(b'\\'), Some(_)) => string.push(self.escape()?),
                _ => return Err(self.invalid("Invalid control character at", self.at)),
            }
        }
    }

    /// From a backslash to behind its escape.
    fn escape(&mut self) -> Result<char, Invalid> {
        let plain = match self.text.as_bytes()[self.at + 1] {
            b'u' => return self.unicode_escape(),
            same @ (b'"' | b'\\' | b'/') => char::from(same),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            _ => return Err(self.invalid("Invalid \\escape", self.at)),
        };
        self.at += 2;
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, Invalid> {
        let high = self.code_unit()?;
        let follows =
            self.text.as_bytes()[self.at..].starts_with(b"\\u") && self.at + 6 < self.text.len();
        if !(0xD800..0xDC00).contains(&high) || !follows {
            return Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        let low = self.code_unit()?;
        if (0xDC00..0xE000).contains(&low) {
            let joined = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    /// The four digits of `\uXXXX`; something must follow them, as a string has its closing quote.
    fn code_unit(&mut self) -> Result<u32, Invalid> {
        let digits = self
            .text
            .as_bytes()
            .get(self.at + 2..self.at + 6)
            .filter(|_| self.at + 6 < self.text.len());
        let digits = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let unit = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let unit = unit.ok_or_else(|| self.invalid("Invalid \\uXXXX escape", self.at + 1))?;
        self.at += 6;
        Ok(unit)
    }

    /// Takes a delimiter and the whitespace behind it.
    fn expect(&mut self, delimiter: u8, message: &'static str) -> Result<(), Invalid> {
        if self.peek() != Some(delimiter) {
            return Err(self.invalid(message, self.at));
        }
        self.at += 1;
        self.skip_whitespace();
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn invalid(&self, message: &'static str, at: usize) -> Invalid {
        Invalid { message, position: self.text[..at].chars().count() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_join_and_lone_ones_are_replaced() {
        assert_eq!(Json::parse(r#""\ud83d\ude00""#).unwrap(), Json::String("😀".to_owned()));
        assert_eq!(
            Json::parse(r#""\ud83d-\u0041""#).unwrap(),
            Json::String("\u{FFFD}-A".to_owned())
        );
        assert_eq!(Json::parse(r#""\ud83d\u0041""#).unwrap(), Json::String("\u{FFFD}A".to_owned()));
    }

    #[test]
    fn deep_documents_are_refused() {
        let deep = "[".repeat(1_000_000);
        assert_eq!(
            Json::parse(&deep),
            Err(Invalid { message: "Too many levels of nesting", position: MAX_DEPTH })
        );
        assert_eq!(
            Json::parse("[1e999]"),
            Err(Invalid { message: "Number out of range", position: 1 })
        );
    }
}
