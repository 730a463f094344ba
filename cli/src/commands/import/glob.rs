//! Patterns of paths, as huggingface_hub has them: Python's `fnmatch`, in which `*` matches slashes
//! too.

use std::str::FromStr;

/// A pattern of paths.
#[derive(Clone, Debug)]
pub(super) struct Glob(Vec<char>);

impl FromStr for Glob {
    type Err = String;

    fn from_str(pattern: &str) -> Result<Self, String> {
        match pattern {
            "" => Err("a pattern is not empty".to_owned()),
            // A folder is all that is in it.
            folder if folder.ends_with('/') => Ok(Self(folder.chars().chain(['*']).collect())),
            pattern => Ok(Self(pattern.chars().collect())),
        }
    }
}

impl Glob {
    pub(super) fn matches(&self, path: &str) -> bool {
        matches(&self.0, &path.chars().collect::<Vec<_>>())
    }
}

/// Goes back to the last star only, so that no pattern takes more than the product of both lengths.
fn matches(pattern: &[char], path: &[char]) -> bool {
    let (mut p, mut at, mut star) = (0, 0, None);
    while at < path.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, at));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], path[at]) {
            (p, at) = (p + length, at + 1);
        } else if let Some((star_at, begun)) = star {
            star = Some((star_at, begun + 1));
            (p, at) = (star_at + 1, begun + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether the beginning of the pattern matches a character; how long that beginning is.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match class(pattern) {
            Some((class, length)) => in_class(class, c).then_some(length),
            None => (c == '[').then_some(1),
        },
        plain => (*plain == c).then_some(1),
    }
}

/// What is between the brackets, and the length with them; `None` where they are never closed.
fn class(pattern: &[char]) -> Option<(&[char], usize)> {
    let skipped = if pattern.get(1) == Some(&'!') { 3 } else { 2 };
    let end = skipped + pattern.get(skipped..)?.iter().position(|c| *c == ']')?;
    Some((&pattern[1..end], end + 1))
}

fn in_class(class: &[char], c: char) -> bool {
    let (is_negated, mut rest) = match class {
        ['!', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut is_in = false;
    while let [first, after @ ..] = rest {
        match after {
            ['-', last, after @ ..] => {
                is_in |= (*first..=*last).contains(&c);
                rest = after;
            }
            after => {
                is_in |= *first == c;
                rest = after;
            }
        }
    }
    is_in != is_negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_fnmatch_does() {
        let check = |pattern: &str, path: &str, expected: bool| {
            assert_eq!(
                pattern.parse::<Glob>().expect("a pattern").matches(path),
                expected,
                "{pattern} {path}"
            );
        };
        check("*.json", "a/b.json", true);
        check("*.json", "a/b.jsonl", false);
        check("onnx/", "onnx/model.onnx", true);
        check("model-0000?-of-*", "model-00001-of-00002.safetensors", true);
        check("[!a-c]*", "d", true);
        check("[!a-c]*", "b", false);
        check("[]x]", "]", true);
        check("[x", "[x", true);
        check("a*b*c", "aXbXbXc", true);
        check(&"a*".repeat(30), &"a".repeat(29), false);
        assert!("".parse::<Glob>().is_err());
    }
}
