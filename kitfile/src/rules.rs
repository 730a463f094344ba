//! The rules that a Kitfile's values keep (kit's `Validate`).

use std::collections::{BTreeMap, HashSet};

use crate::{
    ContextPath, Dataset, Kitfile, McpServer, ModelPart, Problem, Problems, is_modelkit_reference,
};

/// The longest `type` of a part, in characters.
const MAX_PART_TYPE: usize = 64;

impl Kitfile {
    /// Checks all rules, and tells of every one that is broken.
    pub fn check(&self) -> Result<(), Problems> {
        Problems::or(self.findings().problems)
    }

    pub(crate) fn findings(&self) -> Findings {
        let mut findings = Findings::default();
        findings.version(&self.manifest_version);
        if let Some(model) = &self.model {
            findings.model_path(&model.path);
            model.parts.iter().enumerate().for_each(|(i, part)| findings.part(i, part));
        }
        let numbered = |section: &'static str| move |i: usize| format!("{section}[{i}].path");
        findings.paths(self.code.iter().map(|code| &*code.path), numbered("code"));
        self.datasets.iter().enumerate().for_each(|(i, dataset)| findings.dataset(i, dataset));
        findings.paths(self.docs.iter().map(|doc| &*doc.path), numbered("docs"));
        findings.paths(self.prompts.iter().map(|prompt| &*prompt.path), numbered("prompts"));
        findings.servers(&self.mcp_servers);
        findings.shared_paths();
        findings
    }
}

/// What the rules have to say.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// The places that use each path.
    places: BTreeMap<ContextPath, Vec<String>>,
    /// Where datasets from other ModelKits will lie.
    remote: HashSet<String>,
}

impl Findings {
    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    fn version(&mut self, version: &str) {
        // KitOps' own pages write it with a `v`.
        if !matches!(version, "1.0.0" | "v1.0.0") {
            let written =
                if version.is_empty() { "no version".to_owned() } else { format!("`{version}`") };
            let message = format!("{written} is read as 1.0.0, the only version there is");
            self.warnings.push(Problem::new("manifestVersion", message));
        }
    }

    fn model_path(&mut self, path: &str) {
        if !is_modelkit_reference(path) {
            self.local_path(path, "model.path".to_owned());
        }
    }

    fn part(&mut self, index: usize, part: &ModelPart) {
        self.local_path(&part.path, format!("model.parts[{index}].path"));
        let place = format!("model.parts[{index}].type");
        if !part.kind.is_empty() && !is_part_type(&part.kind) {
            self.problem(
                &place,
                "a type is made of letters, digits, `_`, `.` and `-`, and begins with none of `.` and `-`",
            );
        }
        if part.kind.len() > MAX_PART_TYPE {
            self.problem(place, format!("a type has at most {MAX_PART_TYPE} characters"));
        }
    }

    fn paths<'a>(&mut self, paths: impl Iterator<Item = &'a str>, place: impl Fn(usize) -> String) {
        for (i, path) in paths.enumerate() {
            self.local_path(path, place(i));
        }
    }

    fn dataset(&mut self, index: usize, dataset: &Dataset) {
        self.local_path(&dataset.path, format!("datasets[{index}].path"));
        let (remote, hash) = (&dataset.remote_path, &dataset.remote_hash);
        let (at_path, at_hash) =
            (format!("datasets[{index}].remotePath"), format!("datasets[{index}].remoteHash"));
        if remote.is_empty() {
            if !hash.is_empty() {
                self.problem(at_hash, "there is no remotePath that this could be the hash of");
            }
        } else if is_modelkit_reference(remote) {
            if !hash.is_empty() {
                self.warnings
                    .push(Problem::new(at_hash, "passed over: a ModelKit reference needs no hash"));
            }
            self.remote.extend(dataset.path.parse::<ContextPath>().map(|path| path.to_string()));
        } else if !remote.starts_with("s3://") {
            self.problem(at_path, "must be an s3:// address or a ModelKit reference");
        } else if hash.is_empty() {
            self.problem(at_path, "an s3:// address needs a remoteHash beside it");
        }
    }

    fn servers(&mut self, servers: &[McpServer]) {
        let mut names = HashSet::new();
        for (i, server) in servers.iter().enumerate() {
            let place = format!("mcpServers[{i}].path");
            if self.local_path(&server.path, place.clone()) && !server.path.ends_with(".mcpb") {
                self.problem(place, "must be a single .mcpb file");
            }
            let place = format!("mcpServers[{i}].name");
            if server.name.is_empty() {
                self.problem(place, "a server must have a name");
            } else if !names.insert(&server.name) {
                self.problem(place, format!("another server is called `{}` too", server.name));
            }
        }
    }

    /// Whether a path is a local one; it then counts as used at this place.
    fn local_path(&mut self, path: &str, place: String) -> bool {
        if let Some(message) = not_local(path) {
            self.problem(place, message);
            return false;
        }
        match path.parse::<ContextPath>() {
            Ok(clean) => self.places.entry(clean).or_default().push(place),
            Err(error) => self.problem(place, error.to_string()),
        }
        true
    }

    /// Each path belongs to one item, and none lies within a dataset that comes from elsewhere.
    fn shared_paths(&mut self) {
        let remote = std::mem::take(&mut self.remote);
        for (path, places) in std::mem::take(&mut self.places) {
            let (first, others) = places.split_first().expect("each path was used somewhere");
            for place in others {
                self.problem(place, format!("the same path as {first}: `{path}`"));
            }
            if let Some(around) = path.ancestors().find(|around| remote.contains(*around)) {
                places.iter().for_each(|place| {
                    self.problem(
                        place,
                        format!("`{path}` lies within `{around}`, which a remote dataset fills"),
                    );
                });
            }
        }
    }
}

/// Why a path is no path of this folder, by its look.
fn not_local(path: &str) -> Option<&'static str> {
    if is_modelkit_reference(path) {
        return Some(
            "must be a local path; only model.path and a dataset's remotePath may name a ModelKit",
        );
    }
    match path.split_once(':')?.0 {
        "http" | "https" => Some("HTTP addresses are not supported"),
        "s3" => Some("must be a local path; an s3:// address goes into a dataset's remotePath"),
        scheme if is_scheme(scheme) => Some("must be a local path, and this reads as an address"),
        _ => None,
    }
}

/// `\w[\w.-]*`
fn is_part_type(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(word) && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}
