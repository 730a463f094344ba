//! `kit-rs init`.

use std::path::{Path, PathBuf};

use fs_err as fs;
use kitfile::{FileInfo, InitOptions};
use serde_json::Value;

use crate::env;
use crate::failure::asked_wrongly;
#[cfg(feature = "full")]
use crate::steps::hub::Remote;
use crate::steps::survey;
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
    let yaml = kitfile.to_yaml();
    if !is_stdout(&output) {
        fs::write(&output, &yaml)?;
        ui.note(format_args!("wrote {}", output.display()));
    }
    ui.answer(yaml.trim_end(), &serde_json::from_str::<Value>(&kitfile.to_json())?)
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

#[cfg_attr(not(feature = "full"), expect(unused_variables, reason = "only a hub is worth a word"))]
fn subject(args: &Args, ui: &Ui) -> anyhow::Result<Subject> {
    #[cfg(feature = "full")]
    if args.remote.remote {
        let OfHub { revision, token, .. } = &args.remote;
        let remote =
            Remote::new(&args.path.to_string_lossy(), revision.as_deref(), token.as_deref(), ui)?;
        let files = survey::survey_remote(&remote, ui)?;
        return Ok(Subject { name: remote.id.name().to_owned(), files, output: "-".into() });
    }
    if !args.path.is_dir() {
        return Err(asked_wrongly(format!("{} is not a folder", args.path.display())));
    }
    let name = env::folder_name(&args.path).unwrap_or_default();
    Ok(Subject { name, files: survey::survey(&args.path)?, output: args.path.join("Kitfile") })
}
