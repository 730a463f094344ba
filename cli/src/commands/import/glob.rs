//! Patterns of paths, as huggingface_hub has them: `*` matches slashes too.

use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

/// A pattern of paths. It knows more than Python's `fnmatch`: `{a,b}` is either, `**/` any folders
/// or none.
#[derive(Clone, Debug)]
pub(super) struct Glob(GlobMatcher);

impl FromStr for Glob {
    type Err = String;

    fn from_str(pattern: &str) -> Result<Self, String> {
        let pattern = match pattern {
            "" => return Err("a pattern is not empty".to_owned()),
            // A folder is all that is in it.
            folder if folder.ends_with('/') => format!("{folder}*"),
            pattern => pattern.to_owned(),
        };
        let glob = GlobBuilder::new(&pattern)
            .backslash_escape(false)
            .allow_unclosed_class(true)
            .build()
            .map_err(|error| error.kind().to_string())?;
        Ok(Self(glob.compile_matcher()))
    }
}

impl Glob {
    pub(super) fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
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
        check("a?c", "a/c", true);
        check(r"a\*", r"a\b", true);
        check("*.{json,txt}", "a/vocab.txt", true);
        check(&"a*".repeat(30), &"a".repeat(29), false);
        for wrong in ["", "[z-a]", "{a"] {
            assert!(wrong.parse::<Glob>().is_err(), "{wrong}");
        }
    }
}
