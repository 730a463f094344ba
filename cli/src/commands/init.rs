//! `kit-rs init`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use kitfile::{FileInfo, InitOptions};
use modelkit::Existing;
use serde_json::Value;

use crate::env;
use crate::failure::asked_wrongly;
use crate::output::{n_of, some_of};
#[cfg(feature = "full")]
use crate::steps::hub::Remote;
#[cfg(feature = "full")]
use crate::steps::survey::survey_remote;
use crate::steps::survey::{Surveyed, survey_following};
use crate::ui::Ui;

/// Write a Kitfile for the files of a folder, or of a repository on a hub
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder; with --remote, ORG/NAME, datasets/ORG/NAME or a URL
    path: PathBuf,
    /// Name of the package [default: the folder's, or the repository's]
    #[arg(long)]
    name: Option<String>,
    /// What the package is for
    #[arg(long)]
    desc: Option<String>,
    /// Who made it [default: with --remote, the repository's owner]
    #[arg(long)]
    author: Option<String>,
    /// Replace a Kitfile that is there
    #[arg(short, long)]
    force: bool,
    /// So many levels of folders become entries file by file; a negative number: all of them, for
    /// raw layers
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    depth: i64,
    /// Take symbolic links that end below this folder for what they lead to, as `pack` does; without
    /// it they are passed over
    #[arg(long, value_name = "ROOT")]
    #[cfg_attr(feature = "full", arg(conflicts_with = "remote"))]
    follow_links: Option<PathBuf>,
    /// Where the Kitfile is written; `-`: only to stdout [default: PATH/Kitfile; with --remote:
    /// `-`]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[cfg(feature = "full")]
    #[command(flatten)]
    remote: OfHub,
}

/// Where a repository on a hub is.
#[cfg(feature = "full")]
#[derive(clap::Args)]
struct OfHub {
    /// PATH is a repository on Hugging Face's hub, of which only what the guess needs is fetched;
    /// HF_ENDPOINT overrides the host
    #[arg(long)]
    remote: bool,
    /// Branch, tag or commit [default: the URL's, else main]
    #[arg(long = "ref", value_name = "REVISION", requires = "remote")]
    revision: Option<String>,
    /// Access token [default: $HF_TOKEN, at HF_ENDPOINT and huggingface.co only]
    #[arg(long, requires = "remote")]
    token: Option<String>,
}

/// What a Kitfile is guessed from.
struct Subject {
    /// What the package is called unless the user says.
    name: String,
    files: Vec<FileInfo>,
    /// Where the Kitfile goes unless the user says.
    output: PathBuf,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    // A file that is in the way is told before anything is fetched.
    if let Some(output) = &args.output {
        check_free(output, &args)?;
    }
    let Subject { name, files, output } = subject(&args, ui)?;
    let output = args.output.clone().unwrap_or(output);
    check_free(&output, &args)?;
    let depth = usize::try_from(args.depth).unwrap_or(usize::MAX);
    let name = match (args.name, name.rsplit_once('/')) {
        (Some(given), Some((owner, _))) => format!("{owner}/{given}"),
        (given, _) => given.unwrap_or(name),
    };
    let mut kitfile = kitfile::init(&name, &files, &InitOptions { depth });
    if let Some(description) = args.desc {
        kitfile.package.description = description;
    }
    if let Some(author) = args.author {
        kitfile.package.authors = vec![author];
    }
    ui.no_warnings()?;
    let yaml = kitfile.to_yaml();
    if !is_stdout(&output) {
        write(&output, yaml.as_bytes(), args.force)?;
        ui.note(format_args!("wrote {}", output.display()));
    }
    let document: Value = serde_json::from_str(&kitfile.to_json())?;
    ui.show(crate::output::yaml(&yaml, &document)?, &document)
}

/// Writes the Kitfile as a whole; into what is no file as into a pipe.
fn write(output: &Path, yaml: &[u8], force: bool) -> anyhow::Result<()> {
    let output = fs::canonicalize(output).unwrap_or_else(|_| output.to_owned());
    if output.exists() && !output.is_file() {
        return Ok(fs::write(output, yaml)?);
    }
    let existing = if force { Existing::Replace } else { Existing::Refuse };
    modelkit::write_file(&output, yaml, existing)
        .with_context(|| format!("cannot write {}", output.display()))
}

/// Says what the guess knows nothing of.
fn warn_of_passed(dir: &Path, found: &Surveyed, ui: &Ui) {
    let links = found.links.iter().map(String::as_str);
    if links.len() > 0 {
        ui.warn(format_args!(
            "{} passed over: {}; --follow-links ROOT takes those that end below ROOT for what they lead to",
            n_of(links.len() as u64, "symbolic link"),
            some_of(links)
        ));
    }
    let hidden = kitfile::passed_over(&found.files);
    if !hidden.is_empty() {
        let n = n_of(hidden.len() as u64, "hidden file");
        ui.warn(format_args!("{n} passed over: {}", some_of(hidden.into_iter())));
    }
    if found.files.is_empty() {
        ui.warn(format_args!("there are no files in {}: the Kitfile names none", dir.display()));
    }
}

fn is_stdout(output: &Path) -> bool {
    output == Path::new("-")
}

fn check_free(output: &Path, args: &Args) -> anyhow::Result<()> {
    match is_stdout(output) || args.force || !output.exists() {
        true => Ok(()),
        false => Err(asked_wrongly(format!(
            "{} is there already: --force replaces it",
            output.display()
        ))),
    }
}

fn subject(args: &Args, ui: &Ui) -> anyhow::Result<Subject> {
    #[cfg(feature = "full")]
    if args.remote.remote {
        let OfHub { revision, token, .. } = &args.remote;
        let remote =
            Remote::new(&args.path.to_string_lossy(), revision.as_deref(), token.as_deref(), ui)?;
        let files = survey_remote(&remote, ui)?;
        return Ok(Subject { name: remote.id.name().to_owned(), files, output: "-".into() });
    }
    if !args.path.is_dir() {
        return Err(asked_wrongly(format!("{} is not a folder", args.path.display())));
    }
    let name = env::folder_name(&args.path).unwrap_or_default();
    let found = survey_following(&args.path, args.follow_links.as_deref())?;
    warn_of_passed(&args.path, &found, ui);
    Ok(Subject { name, files: found.files, output: args.path.join("Kitfile") })
}
