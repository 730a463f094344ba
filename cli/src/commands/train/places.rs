//! Where a training writes, looked at before it begins: nothing of it may be in the way of anything else.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::Args;
use super::written::parent;
use crate::failure::{WithHint as _, asked_wrongly};

/// Refuses an OUTPUT whose replacing would take other things away, and a report that cannot be written.
pub(super) fn check(args: &Args, report: &Path) -> anyhow::Result<()> {
    let output = &args.output;
    if output.file_name().is_none() {
        return Err(asked_wrongly(format!("{} is no name of a folder to make", output.display())));
    }
    fs::create_dir_all(parent(output))?;
    if output.exists() {
        check_replaced(args)?;
    }
    if report.extension().is_some_and(|extension| extension == "html") {
        return Err(asked_wrongly("--report names the JSON; the page beside it ends in .html"));
    }
    match parent(report).is_dir() && !report.is_dir() {
        true => Ok(()),
        false => Err(asked_wrongly(format!("{} is no place for a file", report.display()))),
    }
}

/// What is replaced at the end has to be a model, and nothing that is needed may lie in it.
fn check_replaced(args: &Args) -> anyhow::Result<()> {
    let output = &args.output;
    let is_model = || output.join("config.json").is_file();
    let is_empty = || fs::read_dir(output).is_ok_and(|mut entries| entries.next().is_none());
    if !output.is_dir() || !(is_model() || is_empty()) {
        let refused = asked_wrongly(format!("{} is there and is no model's folder", output.display()));
        return Err(refused).hint("it would be replaced: name another one, or move it away");
    }
    let place = fs::canonicalize(output)?;
    let here = PathBuf::from(".");
    let needed = [Some(&here), Some(&args.model), Some(&args.dataset), args.validation.as_ref(), args.kitfile.as_ref()];
    let inside = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|path| path.starts_with(&place));
    match needed.into_iter().flatten().find(|path| inside(path)) {
        Some(path) => {
            let refused = asked_wrongly(format!("{} is, or lies in, {}", path.display(), output.display()));
            Err(refused).hint("it would be replaced with all that is in it: name another folder")
        }
        None => Ok(()),
    }
}
