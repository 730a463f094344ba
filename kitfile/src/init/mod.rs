//! Guesses a Kitfile from a list of files: kit's rules for names and folders, and a look at what
//! the files begin with.

mod card;
mod header;
mod kind;
mod model;

use std::collections::BTreeMap;

use card::Card;
use kind::Kind;

use crate::{Code, Dataset, Doc, Kitfile, McpServer, Package, Prompt};

/// Up to so many files that nobody knows become layers of their own; more become one layer, the
/// rest of the folder.
const MAX_LONE_FILES: usize = 5;

/// A file to guess from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Its path in the context folder, parts separated by `/`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its first bytes: 64 KiB tell all that is asked of them. They may be left out where
    /// [`needs_head`] says so.
    pub head: Vec<u8>,
}

/// How to guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InitOptions {
    /// Folders so many levels deep are gone through file by file (kit's `--depth`), deeper ones are
    /// one layer each; [`usize::MAX`] for all of them.
    pub depth: usize,
}

/// Whether the guess goes by what a file begins with; of other files the name tells all.
pub fn needs_head(path: &str) -> bool {
    let file = FileInfo { path: path.to_owned(), size: 0, head: Vec::new() };
    let is_told = matches!(
        Kind::of(&file),
        Kind::Ignored | Kind::McpServer | Kind::Docs | Kind::Dataset | Kind::Code
    );
    !is_told
}

/// Guesses the Kitfile of a folder with these files, all of them, also those in folders beneath.
///
/// `name` becomes the package's name; of a name such as `org/model`, as hubs have it, the first
/// part becomes its author.
///
/// ```
/// use kitfile::{FileInfo, InitOptions};
///
/// let file = |path: &str| FileInfo { path: path.to_owned(), size: 9, head: Vec::new() };
/// let files = [file("model/weights.gguf"), file("data/train.csv"), file("README.md")];
/// let kitfile = kitfile::init("org/sentiment", &files, &InitOptions::default());
/// assert_eq!(kitfile.package.authors, ["org"]);
/// assert_eq!(kitfile.model.unwrap().path, "model/weights.gguf");
/// assert_eq!(kitfile.datasets[0].path, "data/");
/// ```
pub fn init(name: &str, files: &[FileInfo], options: &InitOptions) -> Kitfile {
    let mut files: Vec<&FileInfo> = files.iter().collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut guess = Guess::default();
    let (author, short) = name.trim_end_matches('/').rsplit_once('/').unwrap_or(("", name));
    let author = author.rsplit('/').next().filter(|author| !author.is_empty()).map(str::to_owned);
    let package = Package {
        name: short.to_owned(),
        authors: author.into_iter().collect(),
        ..Package::default()
    };
    if let Some(skill) = files.iter().find(|file| file.path == "SKILL.md") {
        return whole_skill(package, Card::of(skill));
    }
    guess.root(files.iter().copied().filter(|file| !file.path.contains('/')));
    guess.folders("", &files, options.depth);
    guess.finish(package)
}

/// The files that a guess says nothing of because of their names, hidden ones mostly; what no model
/// is made of is not among them, such as a repository's own files. As parts of a folder they may be
/// packed all the same.
pub fn passed_over(files: &[FileInfo]) -> Vec<&str> {
    let is_passed =
        |file: &&FileInfo| Kind::of(file) == Kind::Ignored && !kind::is_idle(&file.path);
    files.iter().filter(is_passed).map(|file| &*file.path).collect()
}

/// The Kitfile of a folder that is a skill as a whole.
fn whole_skill(mut package: Package, card: Card) -> Kitfile {
    let Card { name, description, license, .. } = card;
    for (field, value) in [
        (&mut package.name, &name),
        (&mut package.description, &description),
        (&mut package.license, &license),
    ] {
        if field.is_empty() {
            field.clone_from(value);
        }
    }
    let prompt = Prompt { name, path: ".".to_owned(), description, ..Prompt::default() };
    Kitfile {
        manifest_version: "1.0.0".to_owned(),
        package,
        prompts: vec![prompt],
        ..Kitfile::default()
    }
}

/// The folders in a folder (its path ends in `/`, or is empty), with all the files beneath each.
fn folders<'a>(within: &str, files: &[&'a FileInfo]) -> BTreeMap<&'a str, Vec<&'a FileInfo>> {
    let mut folders: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in files {
        let rest = file.path.strip_prefix(within).unwrap_or_default();
        if let Some((folder, _)) = rest.split_once('/') {
            folders.entry(&file.path[..within.len() + folder.len()]).or_default().push(*file);
        }
    }
    folders
}

/// The Kitfile so far, and files that wait for a decision.
#[derive(Default)]
struct Guess<'a> {
    kitfile: Kitfile,
    weights: Vec<&'a FileInfo>,
    metadata: Vec<&'a FileInfo>,
    unknown: Vec<&'a FileInfo>,
    card: Card,
    license: String,
}

impl<'a> Guess<'a> {
    fn root(&mut self, files: impl Iterator<Item = &'a FileInfo>) {
        for file in files {
            match Kind::of(file) {
                Kind::Readme => self.card = Card::of(file),
                Kind::License => self.license = card::license_of(file),
                _ => {}
            }
            self.file(file);
        }
    }

    /// Goes through the folders in one: each as a whole, or, down to some depth, file by file.
    fn folders(&mut self, within: &str, files: &[&'a FileInfo], depth: usize) {
        for (folder, files) in folders(within, files) {
            let path = format!("{folder}/");
            let is_skill =
                files.iter().any(|file| file.path.strip_prefix(&path) == Some("SKILL.md"));
            if depth == 0 || is_skill {
                self.folder(folder, &files);
                continue;
            }
            let here = |file: &&&FileInfo| {
                file.path.strip_prefix(&path).is_some_and(|name| !name.contains('/'))
            };
            files.iter().filter(here).for_each(|file| self.file(file));
            self.folders(&path, &files, depth - 1);
        }
    }

    fn file(&mut self, file: &'a FileInfo) {
        let path = file.path.clone();
        match Kind::of(file) {
            Kind::Ignored => {}
            Kind::Prompt => self.kitfile.prompts.push(Prompt { path, ..Prompt::default() }),
            Kind::McpServer => {
                let name = path[..path.len() - ".mcpb".len()].to_owned();
                self.kitfile.mcp_servers.push(McpServer { name, path, ..McpServer::default() });
            }
            Kind::Readme => self.docs(path, "Readme file"),
            Kind::License => self.docs(path, "License file"),
            Kind::Docs => self.docs(path, ""),
            Kind::Model => self.weights.push(file),
            Kind::Metadata => self.metadata.push(file),
            Kind::Dataset => self.kitfile.datasets.push(Dataset { path, ..Dataset::default() }),
            Kind::Code | Kind::Unknown => self.unknown.push(file),
        }
    }

    /// A folder is one layer, but for models, which lie file by file.
    fn folder(&mut self, name: &str, files: &[&'a FileInfo]) {
        let path = format!("{name}/");
        if let Some(skill) =
            files.iter().find(|file| file.path.strip_prefix(&path) == Some("SKILL.md"))
        {
            return self.skill(path, Card::of(skill));
        }
        let kinds =
            || files.iter().map(|file| Kind::of(file)).filter(|kind| *kind != Kind::Ignored);
        let has = |kind: Kind| kinds().any(|other| other == kind);
        if kinds().next().is_none() {
            return;
        }
        let is_model = has(Kind::Model)
            && !has(Kind::Code)
            && !has(Kind::Unknown)
            && !has(Kind::Dataset)
            && !has(Kind::Prompt);
        let own_name = name.rsplit('/').next().unwrap_or(name);
        let named = Kind::of_folder(own_name).filter(|_| !has(Kind::Model));
        match named.unwrap_or_else(|| only_kind(kinds())) {
            _ if is_model => files.iter().for_each(|file| self.file(file)),
            Kind::McpServer => files.iter().for_each(|file| self.file(file)),
            Kind::Dataset => self.kitfile.datasets.push(Dataset { path, ..Dataset::default() }),
            Kind::Docs => self.docs(path, ""),
            Kind::Prompt => self.kitfile.prompts.push(Prompt { path, ..Prompt::default() }),
            _ => {
                self.weights.extend(files.iter().filter(|file| Kind::of(file) == Kind::Model));
                self.kitfile.code.push(Code { path, ..Code::default() });
            }
        }
    }

    fn skill(&mut self, path: String, card: Card) {
        let Card { name, description, .. } = card;
        self.kitfile.prompts.push(Prompt { name, path, description, ..Prompt::default() });
    }

    fn docs(&mut self, path: String, description: &str) {
        self.kitfile.docs.push(Doc { path, description: description.to_owned(), ..Doc::default() });
    }

    fn finish(mut self, package: Package) -> Kitfile {
        self.rest();
        let (card, license) = (self.card, self.license);
        let mut kitfile = Kitfile { manifest_version: "1.0.0".to_owned(), package, ..self.kitfile };
        if self.weights.is_empty() {
            let dataset =
                |file: &&FileInfo| Dataset { path: file.path.clone(), ..Dataset::default() };
            kitfile.datasets.extend(self.metadata.iter().map(dataset));
            let license = if card.license.is_empty() { license } else { card.license };
            *license_of_rest(&mut kitfile) = license;
        } else {
            let mut model = model::model(&kitfile.package.name, &self.weights, &self.metadata);
            if !license.is_empty() {
                model.license = license;
            }
            model::describe(&mut model, card);
            kitfile.model = Some(model);
        }
        kitfile
    }

    /// Files that are code, or that nobody knows.
    fn rest(&mut self) {
        let code = |path: &str| Code { path: path.to_owned(), ..Code::default() };
        if self.unknown.len() > MAX_LONE_FILES {
            self.kitfile.code.push(code("."));
        } else {
            self.kitfile.code.extend(self.unknown.iter().map(|file| code(&file.path)));
        }
    }
}

/// The one kind that all files of a folder have, metadata aside; several kinds together are code.
fn only_kind(kinds: impl Iterator<Item = Kind>) -> Kind {
    let mut kinds = kinds.filter(|kind| *kind != Kind::Metadata).map(|kind| match kind {
        Kind::Readme | Kind::License => Kind::Docs,
        kind => kind,
    });
    let first = kinds.next().unwrap_or(Kind::Code);
    if kinds.all(|kind| kind == first) { first } else { Kind::Code }
}

/// Where a licence goes when there is no model: to the only dataset or code, else to the package.
fn license_of_rest(kitfile: &mut Kitfile) -> &mut String {
    match (kitfile.datasets.as_mut_slice(), kitfile.code.as_mut_slice()) {
        ([dataset], _) => &mut dataset.license,
        (_, [code]) => &mut code.license,
        _ => &mut kitfile.package.license,
    }
}
