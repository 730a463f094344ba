//! Variables in objects, as Flux puts their values in after a build (`spec.postBuild`).
//! Source: `fluxcd/pkg/envsubst`, which is a shell's parameter expansion, less what stands under
//! [`Unsupported`](Wrong::Unsupported).

use std::collections::BTreeMap;

/// Values of variables by their names.
pub(crate) type Variables = BTreeMap<String, String>;

/// What is wrong with an expression, in Flux' words where it is an error there, too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    #[error("bad substitution")]
    Substitution,
    #[error("missing closing brace")]
    Brace,
    #[error("unable to parse variable name")]
    Name,
    #[error("unable to parse substitution within function")]
    Function,
    #[error("variable not set (strict mode): {0:?}")]
    Unset(String),
    #[error("'{0}' var name is invalid, must match '^[_[:alpha:]][_[:alpha:][:digit:]]*$'")]
    Variable(String),
    #[error("${{{0}}} takes a part away by a pattern, which is not supported")]
    Unsupported(String),
}

/// What becomes of variables that have no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unset {
    /// They are an error where the expression has no default for them.
    Refused,
    /// Expressions with them stay as they are: it is not known whether they have a value.
    Kept,
}

/// Puts values into a text: `${name}`, and what a shell can do to a value on the way.
pub(crate) fn substitute(text: &str, variables: &Variables, unset: Unset) -> Result<String, Wrong> {
    if let Some(name) = variables.keys().find(|name| !is_name(name)) {
        return Err(Wrong::Variable(name.clone()));
    }
    let mut reader = Reader { rest: text, variables, unset };
    let mut out = String::with_capacity(text.len());
    while let Some(dollar) = reader.rest.find('$') {
        out.push_str(&reader.rest[..dollar]);
        reader.rest = &reader.rest[dollar..];
        match reader.rest.as_bytes().get(1) {
            Some(b'{') => out.push_str(&reader.expression()?),
            // Two stand for one, which begins nothing.
            Some(b'$') => {
                out.push('$');
                reader.rest = &reader.rest[2..];
            }
            _ => {
                out.push('$');
                reader.rest = &reader.rest[1..];
            }
        }
    }
    out.push_str(reader.rest);
    Ok(out)
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

struct Reader<'a> {
    rest: &'a str,
    variables: &'a Variables,
    unset: Unset,
}

impl Reader<'_> {
    /// The value of an expression, which begins here with `${`.
    fn expression(&mut self) -> Result<String, Wrong> {
        let whole = self.rest;
        self.rest = &self.rest[2..];
        if self.take("#") {
            let name = self.name().ok_or(Wrong::Substitution)?;
            self.close().map_err(|_| Wrong::Substitution)?;
            let value = self.value(&name)?;
            return Ok(value.map_or_else(|| self.since(whole), |value| value.len().to_string()));
        }
        let name = self.name().ok_or(Wrong::Name)?;
        let made = match self.rest.chars().next() {
            Some(':') if self.rest[1..].starts_with(['=', '-', '?', '+']) => {
                self.rest = &self.rest[2..];
                return self.or_default(&name, whole);
            }
            Some('=') => {
                self.rest = &self.rest[1..];
                return self.or_default(&name, whole);
            }
            Some(':') => self.part(&name)?,
            Some(',' | '^') => self.casing(&name)?,
            Some('/') => self.replaced(&name)?,
            Some('#' | '%') => return Err(Wrong::Unsupported(name + &self.rest[..1])),
            _ => {
                self.close()?;
                self.value(&name)?
            }
        };
        Ok(made.unwrap_or_else(|| self.since(whole)))
    }

    /// `${name:-text}`: the text where the variable is empty. All of its kinds are one to Flux.
    fn or_default(&mut self, name: &str, whole: &str) -> Result<String, Wrong> {
        let mut default = String::new();
        while !self.rest.starts_with('}') {
            if self.rest.is_empty() {
                return Err(Wrong::Function);
            }
            if self.rest.starts_with("${") {
                default.push_str(&self.expression()?);
                continue;
            }
            let end = [self.rest.find("${"), self.rest.find('}')].into_iter().flatten().min();
            let end = end.unwrap_or(self.rest.len());
            default.push_str(&self.rest[..end]);
            self.rest = &self.rest[end..];
        }
        self.close()?;
        match self.variables.get(name) {
            Some(value) if !value.is_empty() => Ok(value.clone()),
            None if self.unset == Unset::Kept => Ok(self.since(whole)),
            _ => Ok(default),
        }
    }

    /// `${name:offset}` and `${name:offset:length}`, in bytes.
    fn part(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        self.rest = &self.rest[1..];
        let offset = self.argument(&[':', '}'])?;
        let length = match self.rest.starts_with(':') {
            true => {
                self.rest = self.rest.trim_start_matches(':');
                Some(self.argument(&['}'])?)
            }
            false => None,
        };
        self.close().map_err(|_| Wrong::Substitution)?;
        Ok(self.value(name)?.map(|value| sliced(&value, &offset, length.as_deref())))
    }

    /// `${name^}`, `${name^^}`, `${name,}` and `${name,,}`.
    fn casing(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        let n = self.rest.chars().take_while(|c| [',', '^'].contains(c)).take(2).count();
        let kind = &self.rest[..n];
        self.rest = &self.rest[n..];
        self.close().map_err(|_| Wrong::Substitution)?;
        let Some(value) = self.value(name)? else { return Ok(None) };
        let mut chars = value.chars();
        let first = chars.next();
        Ok(Some(match kind {
            "^^" => value.to_uppercase(),
            ",," => value.to_lowercase(),
            "^" => first.into_iter().flat_map(char::to_uppercase).chain(chars).collect(),
            "," => first.into_iter().flat_map(char::to_lowercase).chain(chars).collect(),
            _ => value,
        }))
    }

    /// `${name/from/to}`; `//` for all, `/#` at the beginning, `/%` at the end.
    fn replaced(&mut self, name: &str) -> Result<Option<String>, Wrong> {
        self.rest = &self.rest[1..];
        let kind = self.rest.chars().next().filter(|c| ['/', '#', '%'].contains(c));
        self.rest = &self.rest[usize::from(kind.is_some())..];
        let from = self.argument(&['/'])?;
        if !self.rest.starts_with('/') {
            return Err(Wrong::Substitution);
        }
        self.rest = self.rest.trim_start_matches('/');
        let to = match self.rest.starts_with('}') {
            true => None,
            false => Some(self.argument(&['}'])?),
        };
        self.close().map_err(|_| Wrong::Substitution)?;
        let Some(value) = self.value(name)? else { return Ok(None) };
        let with = to.as_deref().unwrap_or_default();
        Ok(Some(match kind {
            Some('/') => value.replace(&from, with),
            Some(_) if to.is_none() => value,
            Some('#') if value.starts_with(&from) => value.replacen(&from, with, 1),
            Some('%') => match value.strip_suffix(from.as_str()) {
                Some(before) => format!("{before}{with}"),
                None => value,
            },
            Some(_) => value,
            None => value.replacen(&from, with, 1),
        }))
    }

    /// An argument up to one of these, or an expression in its place. `\/`, `\\` and `$$` stand for
    /// their last character where a replacement is read.
    fn argument(&mut self, ends: &[char]) -> Result<String, Wrong> {
        if self.rest.starts_with("${") {
            return self.expression();
        }
        let is_replacement = ends != [':', '}'];
        let (mut text, mut is_begun) = (String::new(), false);
        loop {
            let escaped = ["\\/", "\\\\", "$$"].into_iter().find(|it| self.rest.starts_with(it));
            let c = match (escaped, self.rest.chars().next()) {
                (_, None) => break,
                (Some(two), _) if is_replacement => {
                    self.rest = &self.rest[1..];
                    two.chars().last()
                }
                (_, Some(c)) if ends.contains(&c) || self.rest.starts_with("${") => break,
                (_, c) => c,
            };
            text.extend(c);
            self.rest = &self.rest[c.map_or(0, char::len_utf8)..];
            is_begun = true;
        }
        if is_begun { Ok(text) } else { Err(Wrong::Function) }
    }

    /// The value of a variable; none where it stays as it is.
    fn value(&self, name: &str) -> Result<Option<String>, Wrong> {
        match (self.variables.get(name), self.unset) {
            (Some(value), _) => Ok(Some(value.clone())),
            (None, Unset::Kept) => Ok(None),
            (None, Unset::Refused) => Err(Wrong::Unset(name.to_owned())),
        }
    }

    fn name(&mut self) -> Option<String> {
        let is_part = |c: char| c == '_' || c.is_alphabetic() || c.is_numeric();
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn close(&mut self) -> Result<(), Wrong> {
        if self.take("}") { Ok(()) } else { Err(Wrong::Brace) }
    }

    /// What was read since then.
    fn since(&self, whole: &str) -> String {
        whole[..whole.len() - self.rest.len()].to_owned()
    }
}

/// Some bytes of a text; all of it where the numbers are none, as Flux has it.
fn sliced(text: &str, offset: &str, length: Option<&str>) -> String {
    let number = |text: &str| text.parse::<i64>().ok();
    let (Some(offset), n) = (number(offset), text.len() as i64) else { return text.to_owned() };
    let start = if offset < 0 { (n + offset).max(0) } else { offset };
    let end = match length {
        None => n,
        Some(length) => match number(length) {
            None => return text.to_owned(),
            Some(length) if length < 0 => n + length,
            Some(length) => start.saturating_add(length).min(n),
        },
    };
    if start >= end {
        return String::new();
    }
    // A character that is cut in two is none any more.
    String::from_utf8_lossy(&text.as_bytes()[start as usize..end as usize]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flux::cases;

    fn variables() -> Variables {
        let all = [
            ("a", "one"),
            ("empty", ""),
            ("long", "Hello, Wörld"),
            ("path", "x/y/x"),
            ("n", "42"),
            ("_u1", "under"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// `testdata/flux/make.sh` asked Flux' own packages.
    #[test]
    fn expressions_are_what_flux_makes_of_them() {
        let cases = cases(include_str!("../../testdata/flux/substitute.txt"));
        assert!(cases.len() > 25, "only {} cases", cases.len());
        for (asked, expected) in cases {
            let made = substitute(asked, &variables(), Unset::Refused)
                .unwrap_or_else(|wrong| format!("error: {wrong}"));
            assert_eq!(made, expected, "{asked}");
        }
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        let text = "${a} ${x} ${x:-${a}} ${#x} ${x^^} ${x/a/b} ${x:1} $${x}";
        let made = substitute(text, &variables(), Unset::Kept).unwrap();
        assert_eq!(made, "one ${x} ${x:-${a}} ${#x} ${x^^} ${x/a/b} ${x:1} ${x}");
    }

    #[test]
    fn a_pattern_and_a_name_that_is_none_are_refused() {
        let wrong = substitute("${a%e}", &variables(), Unset::Refused).unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "${a%} takes a part away by a pattern, which is not supported"
        );
        let names = [("a-b".to_owned(), String::new())].into();
        assert!(substitute("", &names, Unset::Refused).is_err());
    }
}
