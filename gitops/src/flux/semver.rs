//! Ranges of versions, as Flux' controllers read them (`ref.semver`, `policy.semver.range`): the
//! grammar and the meaning of the Go package Masterminds/semver, which differ from Cargo's.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// A range of versions, `1.x`, `>=1.2 <2`, `^1.2.3 || 3.0.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SemverRange {
    text: String,
    /// One of them has to take a version.
    groups: Vec<Group>,
}

/// All of them have to take a version.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group(Vec<Comparator>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Comparator {
    op: Op,
    /// What it compares with; what was not said is 0.
    with: Version,
    said: Said,
}

/// How much of a version was said; an `x` says nothing, nor does what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Major,
    Minor,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// The longer ones first, of which the others are beginnings.
const OPS: [(&str, Op); 11] = [
    ("!=", Op::NotEqual),
    (">=", Op::GreaterEqual),
    ("=>", Op::GreaterEqual),
    ("<=", Op::LessEqual),
    ("=<", Op::LessEqual),
    ("~>", Op::Tilde),
    ("=", Op::Equal),
    (">", Op::Greater),
    ("<", Op::Less),
    ("~", Op::Tilde),
    ("^", Op::Caret),
];

/// A version; what follows its `+` says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    parts: [u64; 3],
    pre: String,
}

impl SemverRange {
    /// The tag with the newest version in this range; of tags that are no versions none is.
    pub fn newest<'a>(&self, tags: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        let versions = tags.into_iter().filter_map(|tag| Some((Version::of_tag(tag)?, tag)));
        let taken = versions.filter(|(version, _)| self.takes(version));
        taken.max_by(|(a, _), (b, _)| a.order(b)).map(|(_, tag)| tag)
    }

    fn takes(&self, version: &Version) -> bool {
        self.groups.iter().any(|Group(all)| {
            // Versions before a release are only for those who say one.
            let may_be_before = all.iter().any(|it| !it.with.pre.is_empty());
            (version.pre.is_empty() || may_be_before) && all.iter().all(|it| it.takes(version))
        })
    }
}

impl FromStr for SemverRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::Grammar {
            what: "range of versions",
            text: text.to_owned(),
            reason: "write 1.x, ~1.2, ^1.2.3, >=1.0.0 <2.0.0, or several with || between them",
        };
        let groups: Option<Vec<Group>> = text.split("||").map(Group::read).collect();
        Ok(Self { text: text.to_owned(), groups: groups.ok_or_else(refuse)? })
    }
}

impl fmt::Display for SemverRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Group {
    fn read(text: &str) -> Option<Self> {
        let mut all = Vec::new();
        let mut rest = text.trim_start();
        loop {
            let (op, after) = match OPS.iter().find(|(sign, _)| rest.starts_with(sign)) {
                Some((sign, op)) => (Some(*op), rest[sign.len()..].trim_start()),
                None => (None, rest),
            };
            let (first, after) = Comparator::read(op.unwrap_or(Op::Equal), after)?;
            rest = after;
            // `1.2 - 1.4` are both ends of a range.
            if op.is_none()
                && let Some(end) = after.trim_start().strip_prefix('-')
                && after.starts_with(char::is_whitespace)
                && end.starts_with(char::is_whitespace)
            {
                let (last, after) = Comparator::read(Op::LessEqual, end.trim_start())?;
                all.push(Comparator { op: Op::GreaterEqual, ..first });
                all.push(last);
                rest = after;
            } else {
                all.push(first);
            }
            let next = rest.trim_start();
            if next.is_empty() {
                return Some(Self(all));
            }
            rest = match next.strip_prefix(',') {
                Some(next) => next.trim_start(),
                None if next.len() < rest.len() => next,
                None => return None,
            };
        }
    }
}

impl Comparator {
    /// Reads what it compares with, and returns what follows.
    fn read(op: Op, text: &str) -> Option<(Self, &str)> {
        let end = |c: char| c.is_whitespace() || c == ',';
        let (word, rest) = text.split_at(text.find(end).unwrap_or(text.len()));
        let (core, pre) = Version::split(word)?;
        let mut parts = [0; 3];
        let mut said = 0;
        for (n, part) in core.split('.').enumerate() {
            let is_open = ["x", "X", "*"].contains(&part);
            match parts.get_mut(n)? {
                // What follows an x says nothing, but is looked at.
                _ if is_open || said < n => {
                    is_number(part).then_some(()).or(is_open.then_some(()))?
                }
                place => (*place, said) = (number(part)?, n + 1),
            }
        }
        let said = [Said::Nothing, Said::Major, Said::Minor, Said::All][said];
        Some((Self { op, with: Version { parts, pre: pre.to_owned() }, said }, rest))
    }

    fn takes(&self, version: &Version) -> bool {
        let ([major, minor, patch], [of_major, of_minor, of_patch]) =
            (version.parts, self.with.parts);
        let order = version.order(&self.with);
        let (is_major, is_minor) = (major == of_major, minor == of_minor);
        match (self.op, self.said) {
            (Op::Equal, Said::All) => order.is_eq(),
            (Op::Equal | Op::Tilde, said) => {
                let is_any = self.with.parts == [0; 3] && matches!(said, Said::Nothing | Said::All);
                order.is_ge() && (is_any || is_major && (is_minor || said == Said::Major))
            }
            (Op::NotEqual, Said::Major) => !is_major,
            (Op::NotEqual, Said::Minor) => !is_major || !is_minor || version.pre != self.with.pre,
            (Op::NotEqual, Said::Nothing | Said::All) => order.is_ne(),
            (Op::Greater, Said::Nothing | Said::All) => order.is_gt(),
            (Op::Greater, Said::Major) => major > of_major,
            (Op::Greater, Said::Minor) => major > of_major || is_major && minor > of_minor,
            (Op::Less, _) => order.is_lt(),
            (Op::GreaterEqual, _) => order.is_ge(),
            (Op::LessEqual, Said::All) => order.is_le(),
            (Op::LessEqual, said) => {
                major < of_major || is_major && (minor <= of_minor || said == Said::Major)
            }
            (Op::Caret, said) => {
                let within = match (of_major, of_minor) {
                    _ if of_major > 0 || said == Said::Major => is_major,
                    (_, 1..) => is_major && is_minor,
                    _ if said == Said::Minor => is_major && is_minor,
                    _ => is_major && is_minor && patch == of_patch,
                };
                order.is_ge() && within
            }
        }
    }
}

impl Version {
    /// The version that a tag is; all three numbers have to be there.
    fn of_tag(tag: &str) -> Option<Self> {
        let (core, pre) = Self::split(tag)?;
        let parts: Vec<u64> = core.split('.').map(number).collect::<Option<_>>()?;
        Some(Self { parts: parts.try_into().ok()?, pre: pre.to_owned() })
    }

    /// The numbers of a version, and what follows its first `-`.
    fn split(text: &str) -> Option<(&str, &str)> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
        let (core, pre) = text.split_once('-').map_or((text, None), |(a, b)| (a, Some(b)));
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let are_words = |words: Option<&str>| words.is_none_or(|it| it.split('.').all(is_word));
        (are_words(pre) && are_words(build)).then_some((core, pre.unwrap_or_default()))
    }

    /// The order of versions: those before a release come before it, and of their words numbers
    /// come before others.
    fn order(&self, other: &Self) -> Ordering {
        let before = match (self.pre.as_str(), other.pre.as_str()) {
            (a, b) if a == b => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (a, b) => words(a).cmp(words(b)),
        };
        self.parts.cmp(&other.parts).then(before)
    }
}

/// The words of what comes before a release, so that they are ordered as they are meant.
fn words(pre: &str) -> impl Iterator<Item = (bool, u64, &str)> {
    pre.split('.').map(|word| match number(word) {
        Some(n) => (false, n, ""),
        None => (true, 0, word),
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn number(text: &str) -> Option<u64> {
    if is_number(text) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the package answers that Flux' controllers ask; `make.sh` beside it made the answers.
    const ASKED: &str = include_str!("../../testdata/flux/semver.txt");

    #[test]
    fn ranges_take_what_they_take_in_flux() {
        let cases = crate::flux::cases(ASKED);
        assert!(cases.len() > 50);
        for (asked, answer) in cases {
            let (range, tags) = asked.split_once('\n').expect("a range and tags");
            let ours = match range.parse::<SemverRange>() {
                Err(_) => "error".to_owned(),
                Ok(range) => {
                    let takes = |tag: &&str| range.newest([*tag]).is_some();
                    let taken: Vec<&str> = tags.split(' ').filter(takes).collect();
                    let newest = range.newest(tags.split(' ')).unwrap_or_default();
                    format!("{}: {newest}", taken.join(" "))
                }
            };
            assert_eq!(ours, answer, "{range}");
        }
    }
}
