//! Patterns that leave files out of an artifact, as Flux' source-controller reads them: like
//! `.gitignore`, by go-git's rules (plumbing/format/gitignore), which differ from Git's where a file
//! is taken in again below a folder that is left out.

/// One pattern, which counts below the folder of the file that it stands in.
pub(super) struct Pattern {
    domain: Vec<String>,
    parts: Vec<String>,
    takes_in: bool,
    only_folders: bool,
    /// Whether it is about a path; one without a slash is about any name in it.
    is_path: bool,
}

/// The patterns of a text that stands in a folder.
pub(super) fn patterns(text: &str, folder: &str) -> Vec<Pattern> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| Pattern::parse(line, folder)).collect()
}

/// Whether a file is left out: the last pattern that matches decides.
pub(super) fn is_left_out(patterns: &[Pattern], file: &str) -> bool {
    let path: Vec<&str> = file.split('/').collect();
    patterns.iter().rev().find(|it| it.matches(&path)).is_some_and(|it| !it.takes_in)
}

impl Pattern {
    fn parse(line: &str, folder: &str) -> Self {
        let (takes_in, mut text) = match line.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, line),
        };
        if !text.ends_with("\\ ") {
            text = text.trim_end_matches(' ');
        }
        let only_folders = text.ends_with('/');
        let text = text.strip_suffix('/').unwrap_or(text);
        Self {
            domain: folder.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            parts: text.split('/').map(str::to_owned).collect(),
            takes_in,
            only_folders,
            is_path: text.contains('/'),
        }
    }

    /// Whether it is about a file.
    fn matches(&self, path: &[&str]) -> bool {
        let is_below = path.len() > self.domain.len()
            && self.domain.iter().zip(path).all(|(domain, part)| domain == part);
        if !is_below {
            return false;
        }
        let path = &path[self.domain.len()..];
        match self.is_path {
            true => self.matches_path(path),
            false => self.matches_name(path),
        }
    }

    fn matches_name(&self, path: &[&str]) -> bool {
        match path.iter().position(|name| name_matches(&self.parts[0], name)) {
            Some(at) => !(self.only_folders && at == path.len() - 1),
            None => false,
        }
    }

    fn matches_path(&self, mut path: &[&str]) -> bool {
        let (mut matched, mut skips) = (false, false);
        for (n, part) in self.parts.iter().enumerate() {
            let is_last = n == self.parts.len() - 1;
            match part.as_str() {
                "" => skips = false,
                "**" if is_last => break,
                "**" => skips = true,
                part if part.contains("**") || path.is_empty() => return false,
                part if skips => {
                    skips = false;
                    let found = path.iter().position(|name| name_matches(part, name));
                    // What matched before does not count any more.
                    matched = found.is_some();
                    path = found.map_or(&[], |at| &path[at + 1..]);
                }
                part => {
                    if !name_matches(part, path[0]) {
                        return false;
                    }
                    path = &path[1..];
                    // A file is no folder on the way.
                    matched = !path.is_empty() || is_last;
                }
            }
        }
        matched && !(self.only_folders && path.is_empty())
    }
}

/// Whether a name matches a pattern as Go's `filepath.Match` has it; none matches a pattern that is
/// malformed.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    is_wellformed(&pattern) && matches(&pattern, &name)
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return name.is_empty() };
    if first == '*' {
        return (0..=name.len()).any(|n| matches(rest, &name[n..]));
    }
    let Some((&c, behind)) = name.split_first() else { return false };
    match first {
        '?' => matches(rest, behind),
        '[' => match class(rest) {
            Some((class, rest)) => class.has(c) && matches(rest, behind),
            None => false,
        },
        '\\' => rest.split_first().is_some_and(|(x, rest)| *x == c && matches(rest, behind)),
        x => x == c && matches(rest, behind),
    }
}

fn is_wellformed(mut pattern: &[char]) -> bool {
    while let Some((&first, rest)) = pattern.split_first() {
        pattern = match first {
            '[' => match class(rest) {
                Some((_, rest)) => rest,
                None => return false,
            },
            '\\' if rest.is_empty() => return false,
            '\\' => &rest[1..],
            _ => rest,
        };
    }
    true
}

/// `[a-z]`, or `[^a-z]`.
struct Class {
    ranges: Vec<(char, char)>,
    negated: bool,
}

impl Class {
    fn has(&self, c: char) -> bool {
        self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != self.negated
    }
}

/// The class behind an opening bracket, and what follows it.
fn class(pattern: &[char]) -> Option<(Class, &[char])> {
    let negated = pattern.first() == Some(&'^');
    let mut rest = &pattern[usize::from(negated)..];
    let mut ranges = Vec::new();
    loop {
        if rest.first() == Some(&']') && !ranges.is_empty() {
            return Some((Class { ranges, negated }, &rest[1..]));
        }
        let (low, after) = class_char(rest)?;
        let (high, after) = match after.first() {
            Some('-') => class_char(&after[1..])?,
            _ => (low, after),
        };
        ranges.push((low, high));
        rest = after;
    }
}

fn class_char(pattern: &[char]) -> Option<(char, &[char])> {
    match pattern {
        ['-' | ']', ..] | [] | ['\\'] => None,
        ['\\', c, rest @ ..] | [c, rest @ ..] if !rest.is_empty() => Some((*c, rest)),
        _ => None,
    }
}
