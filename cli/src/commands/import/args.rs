//! What is to be imported.

use std::path::PathBuf;

use registry::Reference;

use super::glob::Glob;
use crate::failure::asked_wrongly;

/// Import a model or a dataset from Hugging Face's hub, or a Git repository, as a ModelKit
#[derive(clap::Args)]
pub(crate) struct Args {
    /// ORG/NAME, datasets/ORG/NAME, or a URL; HF_ENDPOINT overrides the host of a hub
    pub(super) repository: String,
    /// Branch, tag or commit [default: the URL's, else main; of a Git repository its HEAD]
    #[arg(long = "ref", value_name = "REVISION")]
    pub(super) revision: Option<String>,
    /// Access token [default: $HF_TOKEN, at HF_ENDPOINT and huggingface.co only]
    #[arg(long)]
    pub(super) token: Option<String>,
    /// Name of the ModelKit [default: org/name:latest, in lower case]
    #[arg(short, long, value_name = "REFERENCE")]
    pub(super) tag: Option<Reference>,
    /// The Kitfile to pack with, in place of the repository's own or a guessed one (`-`: from stdin)
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Where the Kitfile is guessed: so many levels of folders become entries file by file; a
    /// negative number: all of them
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true,
        conflicts_with = "file"
    )]
    pub(super) depth: i64,
    /// What brings the files [default: git for addresses that end with .git or lie at a forge, else
    /// hf]
    #[arg(long, value_enum)]
    pub(super) tool: Option<Tool>,
    /// Only files whose path matches; `*` matches slashes too (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(super) include: Vec<Glob>,
    /// No files whose path matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(super) exclude: Vec<Glob>,
    /// Make safetensors of pytorch_model.bin, which is read without executing anything
    #[arg(long)]
    pub(super) to_safetensors: bool,
    /// Files that are on their way at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(super) concurrency: u8,
}

/// What brings the files.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Tool {
    /// The hub's own interface: paged, resumed, verified.
    Hf,
    /// The program git.
    Git,
}

impl Args {
    /// Whether a file is wanted.
    pub(super) fn wants(&self, path: &str) -> bool {
        let matches = |globs: &[Glob]| globs.iter().any(|glob| glob.matches(path));
        let is_included = self.include.is_empty() || matches(&self.include);
        // Git's own, of no use outside it.
        path != ".gitattributes" && is_included && !matches(&self.exclude)
    }
}

/// Refuses an import of nothing.
pub(super) fn check_any(n_files: usize) -> anyhow::Result<()> {
    match n_files {
        0 => Err(asked_wrongly(
            "the repository has no files, or none that --include and --exclude leave",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What only the repository is said of.
    pub(crate) fn args(repository: &str) -> Args {
        Args {
            repository: repository.to_owned(),
            revision: None,
            token: None,
            tag: None,
            file: None,
            depth: 0,
            tool: None,
            include: Vec::new(),
            exclude: Vec::new(),
            to_safetensors: false,
            concurrency: 4,
        }
    }

    #[test]
    fn an_import_of_nothing_is_refused() {
        assert!(check_any(0).is_err());
        assert!(check_any(1).is_ok());
    }
}
