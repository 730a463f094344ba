//! What an address asks for.

use percent_encoding::percent_decode_str;

/// A repository of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repo {
    /// `org/name`, or `name`.
    pub(super) name: String,
    pub(super) is_dataset: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) repo: Repo,
    pub(super) revision: String,
    pub(super) what: What,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The repository itself.
    Info,
    /// What lies beneath a path; the empty one is the top.
    Tree {
        path: String,
    },
    File {
        path: String,
    },
    /// Some of its paths, which the body names.
    PathsInfo,
    /// Its branches and tags.
    Refs,
    /// Its history.
    Commits,
}

impl Repo {
    /// The name of a repository becomes a path, so that its parts are plain words.
    pub(super) fn new(name: &str, is_dataset: bool) -> Option<Self> {
        let parts: Vec<&str> = name.split('/').collect();
        repo(&parts, is_dataset)
    }

    /// Whose it is, where it says.
    pub(super) fn author(&self) -> Option<&str> {
        self.name.split_once('/').map(|(author, _)| author)
    }
}

/// Says whether a path asks for the list of models, or with true for that of datasets.
pub(super) fn list(path: &str) -> Option<bool> {
    match path.trim_end_matches('/') {
        "/api/models" => Some(false),
        "/api/datasets" => Some(true),
        _ => None,
    }
}

impl Route {
    /// Reads the path of an address. Paths of files are looked up in a listing, never on the disk.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> =
            path.trim_start_matches('/').split('/').map(decoded).collect::<Option<_>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["api", "models", rest @ ..] => api(rest, false),
            ["api", "datasets", rest @ ..] => api(rest, true),
            ["datasets", rest @ ..] => file(rest, true),
            rest => file(rest, false),
        }
    }
}

/// Decodes one part of a path; `None` when it is not UTF-8.
fn decoded(part: &str) -> Option<String> {
    Some(percent_decode_str(part).decode_utf8().ok()?.into_owned())
}

/// What can be asked of a repository, between its name and a revision.
const VERBS: [&str; 5] = ["revision", "tree", "paths-info", "commits", "refs"];

fn api(parts: &[&str], is_dataset: bool) -> Option<Route> {
    let is_verb = |part: &&str| VERBS.contains(part);
    let verb = parts.iter().skip(1).position(is_verb).map(|at| at + 1);
    let repo = repo(&parts[..verb.unwrap_or(parts.len())], is_dataset)?;
    let Some(verb) = verb else {
        return Some(Route { repo, revision: "main".into(), what: What::Info });
    };
    if parts[verb..] == ["refs"] {
        return Some(Route { repo, revision: "main".into(), what: What::Refs });
    }
    let (revision, rest) = parts[verb + 1..].split_first()?;
    let what = match (parts[verb], rest) {
        ("revision", []) => What::Info,
        ("paths-info", []) => What::PathsInfo,
        ("commits", []) => What::Commits,
        ("tree", rest) => What::Tree { path: rest.join("/").trim_end_matches('/').to_owned() },
        _ => return None,
    };
    Some(Route { repo, revision: (*revision).to_owned(), what })
}

fn file(parts: &[&str], is_dataset: bool) -> Option<Route> {
    let verb = parts.iter().skip(1).position(|part| matches!(*part, "resolve" | "raw"))? + 1;
    let repo = repo(&parts[..verb], is_dataset)?;
    let (revision, path) = parts[verb + 1..].split_first()?;
    Some(Route {
        repo,
        revision: (*revision).to_owned(),
        what: What::File { path: path.join("/") },
    })
}

/// The name of a repository becomes a path, so that its parts are plain words.
fn repo(parts: &[&str], is_dataset: bool) -> Option<Repo> {
    let is_word = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let is_repo = (1..=2).contains(&parts.len()) && parts.iter().all(is_word);
    is_repo.then(|| Repo { name: parts.join("/"), is_dataset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<(&str, &str, What)>) {
        let found = Route::parse(path);
        let expected = expected.map(|(name, revision, what)| Route {
            repo: Repo {
                name: name.trim_start_matches("datasets:").into(),
                is_dataset: name.starts_with("datasets:"),
            },
            revision: revision.into(),
            what,
        });
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn addresses_of_the_hub_are_read() {
        check("/api/models/o/n", Some(("o/n", "main", What::Info)));
        check("/api/models/n", Some(("n", "main", What::Info)));
        check("/api/models/o/n/revision/main", Some(("o/n", "main", What::Info)));
        check(
            "/api/datasets/o/n/revision/refs%2Fpr%2F1",
            Some(("datasets:o/n", "refs/pr/1", What::Info)),
        );
        check("/api/models/o/n/paths-info/main", Some(("o/n", "main", What::PathsInfo)));
        check("/api/models/n/refs", Some(("n", "main", What::Refs)));
        check("/api/datasets/o/n/commits/main", Some(("datasets:o/n", "main", What::Commits)));
        check("/api/models/o/n/tree/abc", Some(("o/n", "abc", What::Tree { path: String::new() })));
        check(
            "/api/models/o/n/tree/main/a/b",
            Some(("o/n", "main", What::Tree { path: "a/b".into() })),
        );
        check(
            "/o/n/resolve/main/a/b%20c",
            Some(("o/n", "main", What::File { path: "a/b c".into() })),
        );
        check(
            "/datasets/o/n/resolve/main/x",
            Some(("datasets:o/n", "main", What::File { path: "x".into() })),
        );
    }

    #[test]
    fn names_of_repositories_cannot_climb_out() {
        for path in [
            "/../../resolve/main/x",
            "/%2e%2e/n/resolve/main/x",
            "/api/models/o/.git",
            "/a/b/c/resolve/main/x",
            "/",
            "/a%2Fb/c/resolve/main/x",
        ] {
            check(path, None);
        }
    }
}
