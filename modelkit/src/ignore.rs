//! `.kitignore`: which files of the context are left out, in the syntax of `.dockerignore`.
//!
//! Patterns are anchored at the context. `*` and `?` stay within one name, `**` crosses folders,
//! `[a-z]` is a set, `\` takes the next character literally, `!` takes back what an earlier pattern
//! left out. A pattern that matches a folder leaves out all in it.

use std::ops::RangeInclusive;
use std::path::Path;

use fs_err as fs;

use crate::error::{Error, Result};

/// The ignore file's name.
pub const FILE_NAME: &str = ".kitignore";

/// What is left out whatever the ignore file says.
fn always() -> impl Iterator<Item = &'static str> {
    kitfile::FILE_NAMES.into_iter().chain([FILE_NAME])
}

/// Whether a path is left out whatever the ignore file says.
pub(crate) fn is_always(path: &str) -> bool {
    always().any(|name| name == path)
}

/// The patterns of one ignore file, followed by those that always hold.
///
/// ```
/// let ignore = modelkit::ignore::Ignore::parse("*.tmp\n!keep.tmp\n").unwrap();
/// assert!(ignore.matches("notes.tmp") && !ignore.matches("keep.tmp"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    patterns: Vec<Pattern>,
}

impl Ignore {
    /// Reads the context's ignore file, if there is one. The Kitfile's names and the ignore file
    /// itself are always left out.
    pub fn read(context: &Path) -> Result<Self> {
        let path = context.join(FILE_NAME);
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error.into()),
        };
        Self::parse(&text).map_err(|(line, pattern, problem)| Error::IgnorePattern {
            path,
            line,
            pattern,
            problem,
        })
    }

    /// Parses an ignore file's text; an error is the line, the pattern and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, (usize, String, &'static str)> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let pattern = Pattern::parse(line.trim())
                .map_err(|problem| (index + 1, line.trim().to_owned(), problem))?;
            patterns.push(pattern);
        }
        patterns.extend(always().map(Pattern::literal));
        Ok(Self { patterns })
    }

    /// Whether a path, or a folder it lies in, is left out. The last pattern that matches decides.
    pub fn matches(&self, path: &str) -> bool {
        self.patterns.iter().fold(false, |ignored, pattern| {
            // Only a pattern that could change the answer needs to be looked at.
            let decides = pattern.takes_back == ignored && pattern.matches_or_holds(path);
            if decides { !pattern.takes_back } else { ignored }
        })
    }

    /// Whether a later pattern may take back what an earlier one left out, so that ignored folders
    /// must be looked into.
    pub fn has_exclusions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.takes_back)
    }
}

#[derive(Debug, Clone)]
struct Pattern {
    takes_back: bool,
    glob: Glob,
}

/// A pattern for whole paths, without a meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    /// The one text that it matches, where it has no wildcards: most patterns have none, and every
    /// file meets every pattern.
    literal: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(char),
    /// `?`: any character but `/`.
    Any,
    /// `*`: any characters but `/`.
    Within,
    /// `**/`: any number of folders, also none. Where it is entered; always before `InFolders`.
    Folders,
    /// The same, once a character of the folders is taken.
    InFolders,
    /// `**` at the end: anything.
    All,
    Set {
        negated: bool,
        ranges: Vec<RangeInclusive<char>>,
    },
}

impl Pattern {
    fn literal(name: &str) -> Self {
        Self {
            takes_back: false,
            glob: Glob { tokens: Vec::new(), literal: Some(name.to_owned()) },
        }
    }

    fn parse(line: &str) -> Result<Self, &'static str> {
        let (takes_back, text) =
            line.strip_prefix('!').map_or((false, line), |rest| (true, rest.trim()));
        if text.is_empty() {
            return Err("nothing follows the `!`");
        }
        let text = clean(text);
        let text = text.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&text);
        Ok(Self { takes_back, glob: Glob::parse(text)? })
    }

    fn matches_or_holds(&self, path: &str) -> bool {
        if let Some(literal) = &self.glob.literal {
            let rest = path.strip_prefix(literal.as_str());
            return rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        }
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.glob.matches(path) || folders.into_iter().any(|folder| self.glob.matches(folder))
    }
}

impl Glob {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let tokens = tokens(text)?;
        let character =
            |token: &Token| if let Token::One(character) = token { Some(*character) } else { None };
        let literal = tokens.iter().map(character).collect();
        Ok(Self { tokens, literal })
    }

    /// Follows all readings of the pattern at once, so that no pattern takes more than `tokens ×
    /// characters` steps.
    pub(crate) fn matches(&self, path: &str) -> bool {
        if let Some(literal) = &self.literal {
            return path == literal;
        }
        let n_tokens = self.tokens.len();
        let mut at = vec![false; n_tokens + 1];
        at[0] = true;
        self.step_over(&mut at);
        for character in path.chars() {
            let mut next = vec![false; n_tokens + 1];
            for (index, token) in self.tokens.iter().enumerate().filter(|(index, _)| at[*index]) {
                next[index] |= token.repeats(character);
                next[index + 1] |= token.takes(character);
            }
            at = next;
            self.step_over(&mut at);
        }
        at[n_tokens]
    }

    /// Steps over the tokens that also match nothing.
    fn step_over(&self, at: &mut [bool]) {
        for (index, token) in
            self.tokens.iter().enumerate().filter(|(_, token)| token.is_optional())
        {
            at[index + 1] |= at[index];
            if matches!(token, Token::Folders) {
                at[index + 2] |= at[index];
            }
        }
    }
}

impl Token {
    /// Whether this token takes the character and is then done.
    fn takes(&self, character: char) -> bool {
        match self {
            Self::One(one) => *one == character,
            Self::Any => character != '/',
            Self::InFolders => character == '/',
            Self::Set { negated, ranges } => {
                *negated != ranges.iter().any(|range| range.contains(&character))
            }
            Self::Within | Self::All | Self::Folders => false,
        }
    }

    /// Whether this token takes the character and goes on.
    fn repeats(&self, character: char) -> bool {
        match self {
            Self::Within => character != '/',
            Self::All | Self::InFolders => true,
            Self::One(_) | Self::Any | Self::Set { .. } | Self::Folders => false,
        }
    }

    fn is_optional(&self) -> bool {
        matches!(self, Self::Within | Self::All | Self::Folders)
    }
}

/// Drops `.` and empty names and resolves `..` within the pattern, as Go's `filepath.Clean` does.
fn clean(text: &str) -> String {
    let rooted = text.starts_with('/');
    let mut names: Vec<&str> = Vec::new();
    for name in text.split('/').filter(|name| !matches!(*name, "" | ".")) {
        match (name, names.last()) {
            ("..", Some(last)) if *last != ".." => drop(names.pop()),
            ("..", None) if rooted => {}
            _ => names.push(name),
        }
    }
    let root = if rooted { "/" } else { "" };
    match names.is_empty() && !rooted {
        true => ".".to_owned(),
        false => format!("{root}{}", names.join("/")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                match rest.peek() {
                    None => tokens.push(Token::All),
                    Some(_) => tokens.extend([Token::Folders, Token::InFolders]),
                }
            }
            '*' => tokens.push(Token::Within),
            '?' => tokens.push(Token::Any),
            '[' => tokens.push(set(&mut rest)?),
            '\\' => tokens.push(Token::One(rest.next().ok_or("nothing follows the `\\`")?)),
            _ => tokens.push(Token::One(character)),
        }
    }
    Ok(tokens)
}

/// Reads a set up to its `]`; a leading `^` negates it.
fn set(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, &'static str> {
    const OPEN: &str = "its `[` is never closed";
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match rest.next().ok_or(OPEN)? {
            ']' if ranges.is_empty() => return Err("its set is empty"),
            ']' => return Ok(Token::Set { negated, ranges }),
            '\\' => rest.next().ok_or(OPEN)?,
            character => character,
        };
        let mut high = low;
        if rest.next_if_eq(&'-').is_some() {
            high = match rest.next().ok_or(OPEN)? {
                ']' => return Err("a range in its set has no end"),
                '\\' => rest.next().ok_or(OPEN)?,
                character => character,
            };
        }
        if high < low {
            return Err("a range in its set is upside down");
        }
        ranges.push(low..=high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line of `expected` is a path, with a `-` before it when the patterns leave it out.
    fn check(patterns: &str, expected: &str) {
        let ignore = Ignore::parse(patterns).unwrap();
        for line in expected.split_whitespace() {
            let (ignored, path) = line.strip_prefix('-').map_or((false, line), |path| (true, path));
            assert_eq!(ignore.matches(path), ignored, "{path} with {patterns:?}");
        }
    }

    #[test]
    fn patterns_are_anchored_at_the_context() {
        check("notes.md", "-notes.md docs/notes.md notes.md5");
        check("/notes.md", "-notes.md docs/notes.md");
        check("./data/", "-data -data/a -data/b/c database");
        check("docs//x/../y", "-docs/y docs/x");
    }

    #[test]
    fn a_star_stays_within_one_name() {
        check("*.md", "-a.md docs/a.md");
        check("docs/*/x", "-docs/a/x docs/x docs/a/b/x -docs/a/x/y");
        check("?.md", "-a.md ab.md /.md");
        check("*", "-a -a/b");
    }

    #[test]
    fn two_stars_cross_folders() {
        check("**/*.md", "-a.md -x/a.md -x/y/a.md a.txt");
        check("**/ignored", "-ignored -x/ignored -x/y/ignored -x/ignored/z notignored");
        check("data/**", "-data/a -data/a/b data database");
        check("data/**/x", "-data/x -data/a/x -data/a/b/x data/ax");
        check("a**b", "-ab -ac/b acb");
    }

    #[test]
    fn sets_and_escapes_are_read() {
        check("v[0-9].txt", "-v1.txt va.txt v.txt");
        check("v[^0-9].txt", "v1.txt -va.txt");
        check(r"\*.md", "-*.md a.md");
        check("a.b+(c)", "-a.b+(c) axb+(c)");
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        check("dir/*\n!dir/keep.md", "-dir/a dir/keep.md -dir/b/keep.md");
        check("dir\n!dir/keep.md", "-dir/a dir/keep.md");
        check("!dir/a\ndir", "-dir/a");
        check("# dir\n\n  dir  ", "-dir/a");
    }

    #[test]
    fn kitfiles_and_the_ignore_file_cannot_be_taken_back() {
        check("!Kitfile\n!.kitignore", "-Kitfile -kitfile -.kitfile -.kitignore x/Kitfile");
    }

    #[test]
    fn a_wrong_pattern_is_named_with_its_line() {
        for (text, problem) in [
            ("a\n[b", "its `[` is never closed"),
            ("a\n!", "nothing follows the `!`"),
            ("a\nb\\", "nothing follows the `\\`"),
            ("a\n[]", "its set is empty"),
            ("a\n[z-a]", "a range in its set is upside down"),
        ] {
            let (line, _, found) = Ignore::parse(text).unwrap_err();
            assert_eq!((line, found), (2, problem));
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_their_number() {
        let ignore = Ignore::parse(&format!("{}b", "*a".repeat(40))).unwrap();
        assert!(!ignore.matches(&"a".repeat(4000)));
    }
}
