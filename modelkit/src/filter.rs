//! Filters: which parts of a ModelKit are meant, in the grammar of `kit unpack --filter`.

use std::fmt;
use std::str::FromStr;

use kitfile::Section;

use crate::error::{Error, Result};

const NAMES: [(&str, Part); 7] = [
    ("kitfile", Part::Kitfile),
    ("model", Part::Model),
    ("datasets", Part::Datasets),
    ("code", Part::Code),
    ("prompts", Part::Prompts),
    ("docs", Part::Docs),
    ("mcpservers", Part::McpServers),
];

/// A part of a ModelKit that a filter can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The Kitfile.
    Kitfile,
    /// The model and its parts.
    Model,
    /// The datasets.
    Datasets,
    /// The code.
    Code,
    /// The prompts.
    Prompts,
    /// The documentation.
    Docs,
    /// The MCP bundles.
    McpServers,
}

impl Part {
    /// The part that a section of the Kitfile belongs to.
    pub fn of(section: Section) -> Self {
        match section {
            Section::Model | Section::ModelPart => Self::Model,
            Section::Dataset => Self::Datasets,
            Section::Code => Self::Code,
            Section::Prompt => Self::Prompts,
            Section::Docs => Self::Docs,
            Section::McpServer => Self::McpServers,
        }
    }

    fn name(self) -> &'static str {
        NAMES.iter().find(|(_, part)| *part == self).map_or("", |(name, _)| name)
    }
}

/// One filter, `type[,type…][:name[,name…]]`: the layers of these parts, all of them or those with one of these names or paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    parts: Vec<Part>,
    names: Vec<String>,
}

impl Filter {
    /// The filter that means a part as a whole.
    pub fn part(part: Part) -> Self {
        Self { parts: vec![part], names: Vec::new() }
    }

    /// Whether an entry of the Kitfile is meant; `name` and `path` are compared as they are written there.
    pub fn matches(&self, section: Section, name: Option<&str>, path: &str) -> bool {
        let is_named = |wanted: &String| Some(wanted.as_str()) == name || wanted == path;
        self.parts.contains(&Part::of(section)) && (self.names.is_empty() || self.names.iter().any(is_named))
    }

    /// Whether the Kitfile itself is meant.
    pub fn matches_kitfile(&self) -> bool {
        self.parts.contains(&Part::Kitfile)
    }

    /// The same filter for one part only; none where it means other parts.
    pub fn narrowed(&self, part: Part) -> Option<Self> {
        self.parts.contains(&part).then(|| Self { parts: vec![part], names: self.names.clone() })
    }
}

/// Whether any of several filters means an entry; no filter at all means everything.
pub fn any_matches(filters: &[Filter], section: Section, name: Option<&str>, path: &str) -> bool {
    filters.is_empty() || filters.iter().any(|filter| filter.matches(section, name, path))
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::Filter { text: text.into(), problem };
        let (parts, names) = text.split_once(':').map_or((text, None), |(parts, names)| (parts, Some(names)));
        let names: Vec<String> = names.map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default();
        if names.iter().any(|name| name.is_empty() || name.contains(':')) {
            return Err(wrong("it should be <type>[,<type>…][:<name>[,<name>…]]".into()));
        }
        let part = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
        let parts = parts.split(',').map(|name| {
            let known = NAMES.map(|(name, _)| name).join(", ");
            part(name).ok_or_else(|| wrong(format!("`{name}` is none of the types {known}")))
        });
        Ok(Self { parts: parts.collect::<Result<_>>()?, names })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(","))?;
        if !self.names.is_empty() {
            write!(f, ":{}", self.names.join(","))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant(filter: &str, section: Section, name: &str, path: &str) -> bool {
        filter.parse::<Filter>().unwrap().matches(section, Some(name), path)
    }

    #[test]
    fn a_part_without_names_means_all_of_it() {
        assert!(meant("model,docs", Section::Docs, "n", "p"));
        assert!(meant("model", Section::ModelPart, "n", "p"));
        assert!(!meant("model", Section::Code, "n", "p"));
    }

    #[test]
    fn names_are_those_of_the_kitfile_or_its_paths() {
        assert!(meant("datasets:train,valid", Section::Dataset, "valid", "./data"));
        assert!(meant("datasets:./data", Section::Dataset, "valid", "./data"));
        assert!(!meant("datasets:data", Section::Dataset, "valid", "./data"));
        assert!(!meant("datasets:train", Section::Code, "train", "train"));
    }

    #[test]
    fn several_filters_add_up_and_none_means_everything() {
        let filters = ["model".parse().unwrap(), "docs".parse().unwrap()];
        assert!(any_matches(&filters, Section::Docs, None, "x"));
        assert!(!any_matches(&filters, Section::Code, None, "x"));
        assert!(any_matches(&[], Section::Code, None, "x"));
    }

    #[test]
    fn a_wrong_filter_says_what_is_wrong() {
        for (text, problem) in [
            ("models", "`models` is none of the types kitfile, model, datasets, code, prompts, docs, mcpservers"),
            ("Model", "`Model` is none of"),
            ("", "`` is none of"),
            ("model,", "`` is none of"),
            ("model:", "it should be <type>"),
            ("model:a:b", "it should be <type>"),
            ("model:a,,b", "it should be <type>"),
        ] {
            let error = text.parse::<Filter>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_filter_is_printed_as_it_is_read() {
        for text in ["model", "model,docs", "datasets:a,b/c"] {
            assert_eq!(text.parse::<Filter>().unwrap().to_string(), text);
        }
    }
}
