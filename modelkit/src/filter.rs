//! Filters: which parts of a ModelKit are meant, in the grammar of `kit unpack --filter`.

use std::fmt;
use std::str::FromStr;

use kitfile::Section;

use crate::error::{Error, Result};
use crate::ignore::Glob;
use crate::kit::{Layer, ModelKit};
use crate::parents::is_of_model;

/// So many names are shown where one means nothing.
const MAX_SHOWN: usize = 10;

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

/// One filter, `[!]type[,type…][:[!]name[,[!]name…]]`: the layers of these parts, all of them or
/// those with one of these names or paths. A name may be a pattern, as in `.kitignore`; one with a
/// `!` leaves out what the others mean. A filter that begins with `!` takes away from what the
/// other filters mean.
///
/// ```
/// use kitfile::Section;
///
/// let filter: modelkit::Filter = "datasets:train*".parse()?;
/// assert!(filter.matches(Section::Dataset, Some("training"), "./data"));
/// assert!(!filter.matches(Section::Dataset, Some("validation"), "./data"));
/// # Ok::<(), modelkit::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    takes_away: bool,
    parts: Vec<Part>,
    names: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    leaves_out: bool,
    text: String,
    /// None for a name without wildcards.
    glob: Option<Glob>,
}

impl Filter {
    /// The filter that means a part as a whole.
    pub fn part(part: Part) -> Self {
        Self { takes_away: false, parts: vec![part], names: Vec::new() }
    }

    /// Whether an entry of the Kitfile is meant; `name` and `path` are compared as they are written
    /// there.
    pub fn matches(&self, section: Section, name: Option<&str>, path: &str) -> bool {
        let mut wanted = self.names.iter().filter(|name| !name.leaves_out).peekable();
        let is_wanted = wanted.peek().is_none() || wanted.any(|wanted| wanted.matches(name, path));
        let is_left_out =
            self.names.iter().any(|unwanted| unwanted.leaves_out && unwanted.matches(name, path));
        self.parts.contains(&Part::of(section)) && is_wanted && !is_left_out
    }

    /// Whether the Kitfile itself is meant.
    pub fn matches_kitfile(&self) -> bool {
        self.parts.contains(&Part::Kitfile)
    }
}

impl Name {
    fn matches(&self, name: Option<&str>, path: &str) -> bool {
        let Some(glob) = &self.glob else {
            return name == Some(&self.text) || path == self.text;
        };
        let path = path.trim_start_matches("./").trim_end_matches('/');
        name.is_some_and(|name| glob.matches(name)) || glob.matches(path)
    }
}

/// Whether several filters together mean an entry; no filter at all means everything.
pub fn any_matches(filters: &[Filter], section: Section, name: Option<&str>, path: &str) -> bool {
    together(filters, |filter| filter.matches(section, name, path))
}

/// Whether several filters together mean the Kitfile.
pub fn any_matches_kitfile(filters: &[Filter]) -> bool {
    together(filters, Filter::matches_kitfile)
}

/// Whether several filters together could mean something of a part.
pub(crate) fn any_concerns(filters: &[Filter], part: Part) -> bool {
    together(filters, |filter| {
        filter.parts.contains(&part) && (!filter.takes_away || filter.names.is_empty())
    })
}

/// What no filter takes away, of what at least one means; of everything where none means something.
fn together(filters: &[Filter], matches: impl Fn(&Filter) -> bool) -> bool {
    let (away, wanted): (Vec<&Filter>, Vec<&Filter>) =
        filters.iter().partition(|filter| filter.takes_away);
    let is_wanted = wanted.is_empty() || wanted.into_iter().any(&matches);
    is_wanted && !away.into_iter().any(matches)
}

/// Says which parts and names of filters mean nothing in a ModelKit. `parents` are those that its
/// model comes from.
pub fn idle<'a>(
    filters: &[Filter],
    kit: &ModelKit,
    parents: impl Iterator<Item = &'a ModelKit>,
) -> Vec<String> {
    let own =
        kit.kitfile().entries().map(|entry| Named::new(entry.section, entry.name, entry.path));
    let inherited: Vec<Layer<'_>> =
        parents.flat_map(ModelKit::layers).filter(is_of_model).collect();
    let inherited =
        inherited.iter().map(|layer| Named::new(layer.section, layer.name, layer.written_path));
    let remote = kit.kitfile().datasets.iter().filter(|dataset| !dataset.remote_path.is_empty());
    let remote = remote.map(|it| Named::new(Section::Dataset, Some(&it.name), &it.path));
    let entries: Vec<Named> = own.chain(inherited).chain(remote).collect();
    filters.iter().flat_map(|filter| filter.idle(&entries, kit.has_kitfile())).collect()
}

/// An entry, as a filter sees it.
struct Named {
    part: Part,
    name: Option<String>,
    path: String,
}

impl Named {
    fn new(section: Section, name: Option<&str>, path: &str) -> Self {
        Self { part: Part::of(section), name: name.map(str::to_owned), path: path.to_owned() }
    }

    fn shown(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.path)
    }
}

impl Filter {
    fn idle(&self, entries: &[Named], has_kitfile: bool) -> Vec<String> {
        let of_parts: Vec<&Named> =
            entries.iter().filter(|entry| self.parts.contains(&entry.part)).collect();
        let is_there = |part: &Part| match part {
            Part::Kitfile => has_kitfile,
            part => of_parts.iter().any(|entry| entry.part == *part),
        };
        let parts = self.parts.iter().filter(|part| !is_there(part));
        let parts = parts.map(|part| format!("filter `{self}`: there is no {}", part.name()));
        let is_meant = |name: &Name| {
            of_parts.iter().any(|entry| name.matches(entry.name.as_deref(), &entry.path))
        };
        let names = self.names.iter().filter(|name| !of_parts.is_empty() && !is_meant(name));
        let names = names.map(|name| {
            let there: Vec<&str> = of_parts.iter().take(MAX_SHOWN).map(|it| it.shown()).collect();
            let more = if of_parts.len() > there.len() { ", …" } else { "" };
            let (text, there) = (&name.text, there.join(", "));
            format!("filter `{self}`: nothing is called `{text}`; there is {there}{more}")
        });
        parts.chain(names).collect()
    }
}

impl FromStr for Filter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |problem: String| Error::Filter { text: text.into(), problem };
        let (takes_away, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (parts, names) =
            rest.split_once(':').map_or((rest, None), |(parts, names)| (parts, Some(names)));
        let names = names
            .map(|names| names.split(',').map(Name::parse).collect())
            .unwrap_or(Ok(Vec::new()));
        let part =
            |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
        let parts = parts.split(',').map(|name| {
            let known = NAMES.map(|(name, _)| name).join(", ");
            part(name).ok_or_else(|| wrong(format!("`{name}` is none of the types {known}")))
        });
        Ok(Self { takes_away, parts: parts.collect::<Result<_>>()?, names: names.map_err(wrong)? })
    }
}

impl Name {
    fn parse(text: &str) -> Result<Self, String> {
        let (leaves_out, text) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        if text.is_empty() || text.contains(':') {
            return Err("it should be [!]<type>[,<type>…][:[!]<name>[,[!]<name>…]]".into());
        }
        let glob = text.contains(['*', '?', '[', '\\']).then(|| Glob::parse(text)).transpose();
        let glob = glob.map_err(|problem| format!("`{text}` is not a pattern: {problem}"))?;
        Ok(Self { leaves_out, text: text.to_owned(), glob })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |is_set: bool| if is_set { "!" } else { "" };
        let parts = self.parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(",");
        write!(f, "{}{parts}", mark(self.takes_away))?;
        if !self.names.is_empty() {
            let names =
                self.names.iter().map(|name| format!("{}{}", mark(name.leaves_out), name.text));
            write!(f, ":{}", names.collect::<Vec<_>>().join(","))?;
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
    fn names_may_be_patterns() {
        assert!(meant("datasets:tr*", Section::Dataset, "train", "./data"));
        assert!(meant("datasets:data/*.csv", Section::Dataset, "", "./data/a.csv"));
        assert!(!meant("datasets:data/*.csv", Section::Dataset, "", "./data/x/a.csv"));
        assert!(meant("datasets:data/**", Section::Dataset, "", "data/x/a.csv"));
        assert!(meant("model:[a-c]*.bin", Section::ModelPart, "", "b1.bin"));
    }

    #[test]
    fn a_mark_leaves_out() {
        let all = |filters: &[&str]| {
            filters.iter().map(|filter| filter.parse().unwrap()).collect::<Vec<Filter>>()
        };
        assert!(meant("model:!*.bin", Section::Model, "", "w.safetensors"));
        assert!(!meant("model:!*.bin", Section::Model, "", "w.bin"));
        assert!(!meant("model:w*,!*.bin", Section::Model, "", "w.bin"));
        let but_docs = all(&["!docs"]);
        assert!(any_matches(&but_docs, Section::Code, None, "x") && any_matches_kitfile(&but_docs));
        assert!(!any_matches(&but_docs, Section::Docs, None, "x"));
        let small = all(&["model,kitfile", "!model:*.bin"]);
        assert!(
            any_matches(&small, Section::Model, None, "a") && any_concerns(&small, Part::Model)
        );
        assert!(!any_matches(&small, Section::Model, None, "a.bin"));
        assert!(!any_matches(&small, Section::Docs, None, "a"));
        assert!(!any_concerns(&but_docs, Part::Docs) && any_concerns(&but_docs, Part::Model));
    }

    #[test]
    fn a_wrong_filter_says_what_is_wrong() {
        for (text, problem) in [
            (
                "models",
                "`models` is none of the types kitfile, model, datasets, code, prompts, docs, mcpservers",
            ),
            ("Model", "`Model` is none of"),
            ("", "`` is none of"),
            ("model,", "`` is none of"),
            ("model:", "it should be [!]<type>"),
            ("model:a:b", "it should be [!]<type>"),
            ("model:a,,b", "it should be [!]<type>"),
            ("model:!", "it should be [!]<type>"),
            ("!!model", "`!model` is none of"),
            ("model:[a", "`[a` is not a pattern: its `[` is never closed"),
        ] {
            let error = text.parse::<Filter>().unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn a_filter_is_printed_as_it_is_read() {
        for text in ["model", "model,docs", "datasets:a,b/c", "!docs", "!model:*.bin,!a?"] {
            assert_eq!(text.parse::<Filter>().unwrap().to_string(), text);
        }
    }
}
