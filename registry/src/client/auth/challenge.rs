//! What a server asks for in `WWW-Authenticate` (RFC 9110, section 11.6.1).

use std::collections::BTreeMap;

/// One way to authenticate that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme in lower case: `bearer`, `basic`.
    pub scheme: String,
    /// The parameters by lower-case name: `realm`, `service`, `scope`.
    pub parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// Reads one header value, which may hold several challenges. What cannot be read ends the
    /// list.
    pub fn parse(header: &str) -> Vec<Self> {
        let mut challenges: Vec<Self> = Vec::new();
        let mut rest = Scanner(header);
        loop {
            rest.skip(|c| c == ',' || c.is_ascii_whitespace());
            let Some(word) = rest.token() else { return challenges };
            match (rest.parameter_value(), challenges.last_mut()) {
                (Some(value), Some(challenge)) => {
                    challenge.parameters.entry(word.to_ascii_lowercase()).or_insert(value);
                }
                (Some(_), None) => return challenges,
                (None, _) => {
                    challenges.push(Self {
                        scheme: word.to_ascii_lowercase(),
                        parameters: BTreeMap::new(),
                    });
                    rest.skip_token68();
                }
            }
        }
    }

    /// Returns a parameter by its lower-case name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// The part of a header that is not read yet.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    fn skip(&mut self, what: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(what);
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_token(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// Reads `= value`, if that is what follows.
    fn parameter_value(&mut self) -> Option<String> {
        let after = self.0.trim_start().strip_prefix('=')?.trim_start();
        // `Negotiate a==` has no parameter named `a`: what follows is the padding of a token68.
        if after.is_empty() || after.starts_with(['=', ',']) {
            return None;
        }
        self.0 = after;
        match after.strip_prefix('"') {
            Some(quoted) => Some(self.quoted(quoted)),
            None => {
                let end = after
                    .find(|c: char| c == ',' || c.is_ascii_whitespace())
                    .unwrap_or(after.len());
                self.0 = &after[end..];
                Some(after[..end].to_owned())
            }
        }
    }

    fn quoted(&mut self, text: &'a str) -> String {
        let mut value = String::new();
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &text[at + 1..];
                    return value;
                }
                '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
                _ => value.push(c),
            }
        }
        self.0 = "";
        value
    }

    /// Skips the bare data that some schemes have instead of parameters.
    fn skip_token68(&mut self) {
        let text = self.0.trim_start_matches(' ');
        let end = text.find([',', ' ']).unwrap_or(text.len());
        let (word, after) = text.split_at(end);
        let is_data = word
            .trim_end_matches('=')
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        if is_data && (after.is_empty() || after.trim_start().starts_with(',')) {
            self.0 = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(header: &str, expected: &[(&str, &[(&str, &str)])]) {
        let found = Challenge::parse(header);
        let expected: Vec<Challenge> = expected
            .iter()
            .map(|(scheme, parameters)| Challenge {
                scheme: (*scheme).to_owned(),
                parameters: parameters
                    .iter()
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            })
            .collect();
        assert_eq!(found, expected, "{header}");
    }

    #[test]
    fn challenges_are_read_with_their_parameters() {
        let scope = "repository:a/b:pull,push";
        check(
            r#"Bearer realm="https://auth.test/token",service="r.test",scope="repository:a/b:pull,push""#,
            &[(
                "bearer",
                &[("realm", "https://auth.test/token"), ("service", "r.test"), ("scope", scope)],
            )],
        );
        check("BASIC Realm=x", &[("basic", &[("realm", "x")])]);
        check("Basic", &[("basic", &[])]);
    }

    #[test]
    fn several_challenges_may_share_one_header() {
        check(
            r#"Negotiate abc==, Basic realm="a, b" , Bearer realm = "q\"q\\",service=s"#,
            &[
                ("negotiate", &[]),
                ("basic", &[("realm", "a, b")]),
                ("bearer", &[("realm", "q\"q\\"), ("service", "s")]),
            ],
        );
        check("Negotiate, Basic realm=x", &[("negotiate", &[]), ("basic", &[("realm", "x")])]);
    }

    #[test]
    fn malformed_challenges_end_the_list() {
        check("", &[]);
        check("realm=\"x\"", &[]);
        check("\"", &[]);
        check(r#"Bearer realm="open"#, &[("bearer", &[("realm", "open")])]);
        check("Bearer realm=a realm=b", &[("bearer", &[("realm", "a")])]);
        check("Bearer ünicode", &[("bearer", &[])]);
    }
}
