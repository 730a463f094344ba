//! A folder with a Kitfile: finding it and reading it.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use kitfile::Kitfile;

use crate::env;
use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;
use crate::ui::Ui;

/// Reads, checks and warns.
pub(crate) fn read_kitfile(
    context: &Path,
    file: Option<&Path>,
    ui: &Ui,
) -> anyhow::Result<Kitfile> {
    let (name, text) = match file {
        Some(path) if path == Path::new("-") => ("stdin".to_owned(), from_stdin()?),
        Some(path) => (path.display().to_string(), fs::read_to_string(path)?),
        None => {
            let path = find_kitfile(context)?;
            (path.display().to_string(), fs::read_to_string(path)?)
        }
    };
    let parsed = Kitfile::parse(&text).with_context(|| format!("{name} is not a valid Kitfile"))?;
    for warning in &parsed.warnings {
        ui.warn(format_args!("{name}:{warning}"));
    }
    ui.no_warnings()?;
    Ok(parsed.kitfile)
}

/// The Kitfile of a folder, by the first of its accepted names; none where there is none.
pub(crate) fn kitfile_in(dir: &Path) -> Option<PathBuf> {
    kitfile::FILE_NAMES.iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

/// The Kitfile that a folder has to have.
fn find_kitfile(dir: &Path) -> anyhow::Result<PathBuf> {
    if !dir.is_dir() {
        return Err(asked_wrongly(format!("{} is not a folder", dir.display())));
    }
    kitfile_in(dir)
        .ok_or_else(|| failure(Kind::NotFound, format!("there is no Kitfile in {}", dir.display())))
        .hint(format!("kit-rs init {}", dir.display()))
}

fn from_stdin() -> anyhow::Result<String> {
    if env::stdin_is_terminal() {
        return Err(asked_wrongly("--file - reads the Kitfile from stdin, which is a terminal"));
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .context("cannot read the Kitfile from stdin")?;
    Ok(text)
}

/// The folder that holds a path.
#[cfg(feature = "full")]
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
