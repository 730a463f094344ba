//! Any tree held against the schemas of Kubernetes and Flux, and against a list of named policies.
//!
//! Files are held against the schemas as they stand, so a fault has a line; policies judge what is
//! built of them, as a base need not be whole, and tell the file that an object came from. What no
//! build takes is judged as it stands.
//!
//! The policies are the union of what checkov, kube-linter and kube-score ask of a model that is
//! served, and what only who knows the model can ask ([`policies`] lists them).

mod file;
mod judge;
mod place;
mod pod;
mod policies;
mod scope;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use policies::{Policy, policies};

use crate::flux::FluxVersion;
use crate::{ObjectId, Severity, Tree};

/// The annotation of an object by which policies are not asked of it: their ids, with commas.
pub const IGNORE_ANNOTATION: &str = "lint.kit-rs/ignore";

/// What is asked of a tree.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only these policies; none: all that are asked by default.
    pub only: BTreeSet<String>,
    /// Also these, which are not asked by default.
    pub also: BTreeSet<String>,
    /// Not these.
    pub skip: BTreeSet<String>,
    /// The branches of the repository, where they are known.
    pub branches: Option<BTreeSet<String>>,
    /// How many bytes of weights the images have of which that is known, by the images as they stand
    /// in the tree.
    pub weights: BTreeMap<String, u64>,
    /// The version of Flux that is to take it.
    pub flux: FluxVersion,
}

impl Options {
    /// The first id of these options that is no policy's.
    pub fn unknown(&self) -> Option<&str> {
        let is_known = |id: &str| policies().iter().any(|policy| policy.id == id);
        let ids = self.only.iter().chain(&self.also).chain(&self.skip);
        ids.map(String::as_str).find(|id| !is_known(id))
    }

    pub(crate) fn asks(&self, policy: &Policy) -> bool {
        let is_asked = match self.only.is_empty() {
            true => policy.is_default || self.also.contains(policy.id),
            false => self.only.contains(policy.id),
        };
        is_asked && !self.skip.contains(policy.id)
    }
}

/// One thing that a policy has against a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The policy's id.
    pub policy: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The file; the folder where no file is known.
    pub path: String,
    /// The line, from 1; 0 where none is known.
    pub line: usize,
    /// The column, from 1; 0 where none is known.
    pub column: usize,
    /// The object.
    pub object: Option<ObjectId>,
    /// The field, as a JSON pointer; empty for the object as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "." } else { &self.path })?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, ": {severity}: ")?;
        if let Some(object) = &self.object {
            write!(f, "{object}")?;
            let field = dotted(&self.field);
            let separator = if field.is_empty() { "" } else { " " };
            write!(f, "{separator}{field}: ")?;
        }
        write!(f, "{} [{}]", self.message, self.policy)
    }
}

/// What was found in a tree.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of files and lines.
    pub findings: Vec<Finding>,
    /// Kinds that no schema is known for (API version and kind), and how many objects have them:
    /// they are not held against any.
    pub unknown: BTreeMap<(String, String), usize>,
    /// Images with a model of which it is not known how large it is: what follows from that was not
    /// asked.
    pub unweighed: BTreeSet<String>,
    /// How many files with objects there are.
    pub n_files: usize,
    /// How many objects were judged.
    pub n_objects: usize,
}

/// Holds a tree against the schemas and the policies.
pub fn lint(tree: &Tree, options: &Options) -> Report {
    judge::run(tree, options)
}

/// A JSON pointer as people write it: `spec.containers[0].image`.
fn dotted(pointer: &str) -> String {
    let mut text = String::new();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if step.bytes().all(|b| b.is_ascii_digit()) {
            text += &format!("[{step}]");
        } else if step.contains(['.', '/']) {
            text += &format!("[{step:?}]");
        } else {
            text += if text.is_empty() { "" } else { "." };
            text += &step;
        }
    }
    text
}
