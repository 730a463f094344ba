//! What can go wrong between a folder and its values.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{fmt, io};

use crate::tensors::TensorProblem;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says what was being done, to what; the cause is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the folder cannot be read.
    #[error("cannot read the model folder {}", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why not; it names the file.
        #[source]
        source: io::Error,
    },
    /// A JSON document of the folder cannot be parsed.
    #[error("cannot parse {}", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A file says what is not supported, or what cannot be.
    #[error("cannot use {}: {}", path.display(), Few(problems))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// All that is wrong with it.
        problems: Vec<String>,
    },
    /// A file of weights is damaged.
    #[error("cannot parse the weights {}", path.display())]
    WeightsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// Tensors are missing, unknown or of another shape than `config.json` says.
    #[error("the weights in {} do not fit its config.json: {}", dir.display(), Few(problems))]
    Tensors {
        /// The folder.
        dir: PathBuf,
        /// Every tensor that does not fit, by name.
        problems: Vec<TensorProblem>,
    },
    /// The tokenizer cannot be used.
    #[error("cannot use the tokenizer {}", path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A text cannot be turned into tokens.
    #[error("cannot tokenize the texts")]
    Tokenization {
        /// Why not.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The folder cannot be written.
    #[error("cannot write the model folder {}", dir.display())]
    Saved {
        /// The folder.
        dir: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The weights cannot be written.
    #[error("cannot write the weights {}", path.display())]
    SavedWeights {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: safetensors::SafeTensorError,
    },
}

/// Shows the first few of many problems, and how many more there are.
#[derive(Debug, Clone, Copy)]
pub struct Few<'a, T>(pub &'a [T]);

impl<T> Few<'_, T> {
    /// So many are shown.
    pub const SHOWN: usize = 20;
}

impl<T: fmt::Display> fmt::Display for Few<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().take(Self::SHOWN).enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{}", Clipped(&problem.to_string()))?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// Shows the beginning of a text that may be of any length and hold anything: what would steer a
/// terminal is not passed on.
#[derive(Debug, Clone, Copy)]
pub struct Clipped<'a>(pub &'a str);

impl fmt::Display for Clipped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 200;
        let mut chars = self.0.chars();
        for c in chars.by_ref().take(SHOWN) {
            f.write_char(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })?;
        }
        if chars.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_bounded_and_plain() {
        let names: Vec<String> =
            (0..1000).map(|n| format!("{n}\u{1b}[2J\u{9b}1m\n{}", "x".repeat(9999))).collect();
        let shown = Few(&names).to_string();
        assert!(shown.chars().count() < 20 * 210 && shown.ends_with("; and 980 more"), "{shown}");
        assert!(!shown.contains(char::is_control), "{shown:?}");
    }
}
