//! What can go wrong, and what can be wrong with a repository.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{ObjectId, OciArtifact};

/// What this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of code that a caller brings along, such as a [`crate::reconcile::Cluster`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What could not be done, and to what.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder could not be read into a tree.
    #[error("cannot read the tree {}", dir.display())]
    Read {
        /// The folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A tree could not be written to a folder.
    #[error("cannot write {path} into {}", dir.display())]
    Write {
        /// The folder.
        dir: PathBuf,
        /// The file within.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A symbolic link stands where a file or folder should be written.
    #[error("{} is a symbolic link; nothing is written through one", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A symbolic link that something refers to leads out of the tree, or nowhere.
    #[error("{path} is a symbolic link that does not end within the tree")]
    LinkOut {
        /// The link, within the tree.
        path: String,
    },
    /// A file that something refers to is there and could not be read.
    #[error("cannot read {path}: {reason}")]
    Unread {
        /// The file within the tree.
        path: String,
        /// Why.
        reason: String,
    },
    /// A path is absolute or leaves the tree.
    #[error("the path {path:?} leaves the tree")]
    Outside {
        /// The path as written.
        path: String,
    },
    /// Two files of a tree have the same place.
    #[error("the tree has a file at {path:?} already")]
    Twice {
        /// The path of the second one, as written.
        path: String,
    },
    /// A text does not fit the grammar of what it should be.
    #[error("{text:?} is not a {what}: {reason}")]
    Grammar {
        /// What it should be.
        what: &'static str,
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A text is not YAML, or not YAML that Kubernetes reads.
    #[error("line {line}, column {column}: {message}")]
    Yaml {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A YAML document is no Kubernetes object.
    #[error("document {number} is not a Kubernetes object: {reason}")]
    NotAnObject {
        /// Which document of the text, from 1.
        number: usize,
        /// What it lacks.
        reason: String,
    },
    /// A file of a tree could not be understood.
    #[error("cannot read {path}")]
    File {
        /// The file within the tree.
        path: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A file or folder that something refers to is not in the tree.
    #[error("{path} is not in the tree")]
    Missing {
        /// The path.
        path: String,
    },
    /// The files of an artifact that a kustomization refers to could not be had.
    #[error("cannot fetch {artifact}")]
    Base {
        /// The artifact.
        artifact: Box<OciArtifact>,
        /// Why.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// A kustomization refers to an artifact, and nobody fetches any.
    #[error("{artifact} is remote; only what is in the tree is built here")]
    NoBases {
        /// The artifact.
        artifact: Box<OciArtifact>,
    },
    /// An edit found nothing to change.
    #[error("there is no {what} to set")]
    NothingToSet {
        /// What was looked for.
        what: String,
    },
    /// A value cannot be edited where it stands.
    #[error("line {line}: {what} cannot be edited in place: {reason}")]
    NotEditable {
        /// Line, from 1.
        line: usize,
        /// What should have been set.
        what: String,
        /// Why not.
        reason: &'static str,
    },
    /// A kustomization could not be built.
    #[error("cannot build {path}")]
    Build {
        /// The folder of the kustomization.
        path: String,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A kustomization asks for something impossible.
    #[error("{field}: {message}")]
    Kustomize {
        /// The field of the kustomization.
        field: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A kustomization uses a field that this build does not implement.
    #[error("the field {field} is not supported")]
    Unsupported {
        /// The field.
        field: String,
    },
    /// A patch could not be applied.
    #[error("cannot patch {id}")]
    Patch {
        /// The object to be patched.
        id: Box<ObjectId>,
        /// Why.
        #[source]
        source: Box<Self>,
    },
    /// A Flux object has a field that the reconciler here does not implement.
    #[error("{id}: spec.{field} is not supported")]
    FluxField {
        /// The object.
        id: Box<ObjectId>,
        /// The field.
        field: &'static str,
    },
    /// Values that Kubernetes or Flux would refuse.
    #[error("{}", violations.iter().map(Violation::to_string).collect::<Vec<_>>().join("; "))]
    Values {
        /// All of them.
        violations: Vec<Violation>,
    },
    /// Another application's namespace goes with that application.
    #[error(
        "{path} has the namespace {namespace}, which Flux deletes with all in it when that app leaves Git"
    )]
    NotShared {
        /// The namespace.
        namespace: String,
        /// The file that has it.
        path: String,
    },
    /// What is in a repository, or in a cluster, is not to be replaced.
    #[error("{place}: {message}")]
    Kept {
        /// The file, or what stands for the cluster.
        place: String,
        /// What is there, and why it stays.
        message: String,
    },
    /// The variables in an object could not be given their values.
    #[error("post build failed for '{name}': {reason}")]
    PostBuild {
        /// The object's name.
        name: String,
        /// Why.
        reason: String,
    },
    /// A Flux object has a field that is missing or wrong.
    #[error("{id}: {message}")]
    Flux {
        /// The object.
        id: Box<ObjectId>,
        /// What is wrong with it.
        message: String,
    },
}

impl Error {
    /// Names the file in which the error happened.
    pub(crate) fn in_file(self, path: &str) -> Self {
        Self::File { path: path.to_owned(), source: Box::new(self) }
    }
}

/// An error with all its causes in one line, as a status message shows it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A value that would be refused, or taken for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field of [`crate::Release`].
    pub field: &'static str,
    /// The value.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.field, self.value, self.reason)
    }
}

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It works, and could bite later.
    Warning,
    /// It cannot work.
    Error,
}

/// One thing that is wrong with a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file or folder concerned, or the empty text for the whole tree.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Everything that is wrong with a tree, warnings among it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
