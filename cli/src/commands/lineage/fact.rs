//! What is known of how a model came to be: facts, each beneath what it led to.

use serde::Serialize;

/// How far a fact is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// Computed here and now.
    Proven,
    /// Said by the holder of a key that was asked for.
    Signed,
    /// Written down by somebody.
    Declared,
}

/// Something that led to what it stands beneath.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Fact {
    /// What kind of thing it is: `ModelKit`, `training`, …
    pub(super) what: &'static str,
    /// Which one.
    pub(super) name: String,
    pub(super) standing: Standing,
    /// What the standing hangs on, in words.
    pub(super) why: String,
    /// What led to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) from: Vec<Self>,
}

impl Standing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Signed => "signed",
            Self::Declared => "declared",
        }
    }
}

impl Fact {
    pub(super) fn new(
        what: &'static str,
        name: impl Into<String>,
        (standing, why): (Standing, impl Into<String>),
    ) -> Self {
        Self { what, name: name.into(), standing, why: why.into(), from: Vec::new() }
    }

    pub(super) fn from(mut self, facts: impl IntoIterator<Item = Self>) -> Self {
        self.from.extend(facts);
        self
    }

    /// As lines for a terminal.
    pub(super) fn tree(&self) -> String {
        let mut lines = vec![self.line()];
        self.branches("", &mut lines);
        lines.join("\n")
    }

    fn line(&self) -> String {
        let Self { what, name, standing, why, .. } = self;
        format!("{what} {name}  [{}: {why}]", standing.name())
    }

    fn branches(&self, indent: &str, lines: &mut Vec<String>) {
        for (n, fact) in self.from.iter().enumerate() {
            let (branch, beneath) =
                if n + 1 == self.from.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            lines.push(format!("{indent}{branch}{}", fact.line()));
            fact.branches(&format!("{indent}{beneath}"), lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_shows_what_is_beneath_what() {
        let fact = |name: &str| Fact::new("file", name, (Standing::Declared, "so"));
        let tree = fact("a").from([fact("b").from([fact("c")]), fact("d")]).tree();
        let expected = "file a  [declared: so]\n├─ file b  [declared: so]\n│  └─ file c  [declared: so]\n└─ file d  [declared: so]";
        assert_eq!(tree, expected);
    }
}
