//! Where a training writes, looked at before it begins: nothing of it may be in the way of anything
//! else.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::args::Args;
use crate::failure::{WithHint as _, asked_wrongly};
use crate::steps::project::parent;

/// Refuses an OUTPUT whose replacing would take other things away, and files that cannot be written:
/// the report first.
pub(super) fn check(args: &Args, files: &[&Path]) -> anyhow::Result<()> {
    let output = &args.output;
    if output.file_name().is_none() {
        return Err(asked_wrongly(format!("{} is no name of a folder to make", output.display())));
    }
    fs::create_dir_all(parent(output))?;
    if output.exists() {
        check_replaced(args)?;
    }
    if files[0].extension().is_some_and(|extension| extension == "html") {
        return Err(asked_wrongly("--report names the JSON; the page beside it ends in .html"));
    }
    match files.iter().find(|file| !parent(file).is_dir() || file.is_dir()) {
        None => Ok(()),
        Some(file) => Err(asked_wrongly(format!("{} is no place for a file", file.display()))),
    }
}

/// What is replaced at the end has to be a model, and nothing that is needed may lie in it.
fn check_replaced(args: &Args) -> anyhow::Result<()> {
    let output = &args.output;
    if !trainer::is_replaceable(output) {
        let refused =
            asked_wrongly(format!("{} is there and is no model's folder", output.display()));
        return Err(refused).hint("it would be replaced: name another one, or move it away");
    }
    let place = fs::canonicalize(output)?;
    let [here, model] = [".", &args.model].map(PathBuf::from);
    let needed = [&here, &model].into_iter().chain(&args.dataset).chain(&args.validation);
    let needed = needed.chain(&args.kitfile);
    let inside = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|path| path.starts_with(&place));
    match needed.into_iter().find(|path| inside(path)) {
        Some(path) => {
            let refused =
                asked_wrongly(format!("{} is, or lies in, {}", path.display(), output.display()));
            Err(refused).hint("it would be replaced with all that is in it: name another folder")
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// A folder with a checkpoint in `model`, a dataset in `data/d.csv`, and something of a
    /// person's in `work`.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        for (name, content) in [
            ("model/config.json", "{}"),
            ("data/d.csv", "text,label\n"),
            ("work/notes.txt", "mine"),
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(parent(&path)).expect("a folder");
            fs::write(path, content).expect("written");
        }
        dir
    }

    fn checked(dir: &Path, output: &str, report: &str) -> Result<(), String> {
        let at = |name: &str| dir.join(name).to_str().expect("UTF-8").to_owned();
        let line = [
            "train",
            "--model",
            &at("model"),
            "--dataset",
            &at("data/d.csv"),
            "--output",
            &at(output),
        ];
        let Line { args } = Line::try_parse_from(line).map_err(|error| error.to_string())?;
        check(&args, &[&dir.join(report)])
            .map_err(|error| format!("{error:#}").replace(&at(""), ""))
    }

    #[test]
    fn nothing_of_the_users_is_replaced() {
        let dir = folder();
        fs::create_dir(dir.path().join("data/model")).expect("a folder");
        fs::write(dir.path().join("data/config.json"), "{}").expect("written");
        let refused = |output: &str, expected: &str| {
            let found = checked(dir.path(), output, "r.json").expect_err("refused");
            assert!(found.contains(expected), "{output}: {found}");
        };
        refused("work", "work is there and is no model's folder");
        refused("work/notes.txt", "is no model's folder");
        refused("model", "model is, or lies in, model");
        refused("data", "data/d.csv is, or lies in, data");
        refused("..", "is no name of a folder to make");
        fs::create_dir(dir.path().join("empty")).expect("a folder");
        for output in ["new", "deep/new", "empty"] {
            assert_eq!(checked(dir.path(), output, "r.json"), Ok(()), "{output}");
        }
    }

    #[test]
    fn a_report_has_a_place_before_there_is_one() {
        let dir = folder();
        assert_eq!(checked(dir.path(), "new", "work/r.json"), Ok(()));
        assert!(
            checked(dir.path(), "new", "nowhere/r.json")
                .is_err_and(|error| error.contains("no place for a file"))
        );
        assert!(checked(dir.path(), "new", "work").is_err());
        assert!(
            checked(dir.path(), "new", "r.html")
                .is_err_and(|error| error.contains("names the JSON"))
        );
    }
}
