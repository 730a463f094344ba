//! `kit-rs hub`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use fs_err as fs;
use registry::Reference;
use registry::server::ListenOptions;
use tempfile::TempDir;

use crate::env;
use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::steps::listen;
use crate::steps::model::{self, ModelFolder};
use crate::ui::Ui;

/// Offer models the way Hugging Face's hub does
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
}

/// Serve folders of models (ROOT/ORG/NAME/…) and ModelKits as a Hugging Face endpoint
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// ModelKits that are offered as ORG/NAME, by their names' last two parts (pulled when they are
    /// not local)
    #[arg(value_name = "REFERENCE", required_unless_present = "root")]
    modelkits: Vec<Reference>,
    /// A folder of models
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// HOST:PORT to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    addr: String,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    let Command::Serve(args) = command;
    if let Some(root) = args.root.as_ref().filter(|root| !root.is_dir()) {
        return Err(asked_wrongly(format!("{} is not a folder", root.display())));
    }
    if args.modelkits.is_empty()
        && let Some(root) = &args.root
    {
        return serve(&args.addr, root, ui);
    }
    let offered = Offered::new(&args, ui)?;
    serve(&args.addr, offered.root.path(), ui)
}

fn serve(address: &str, root: &Path, ui: &Ui) -> anyhow::Result<()> {
    let options = ListenOptions { tls: None, grace: Duration::from_secs(10) };
    listen::serve(address, registry::hub::router(root), options, std::future::pending(), ui)
}

/// A folder of links to what is offered.
struct Offered {
    root: TempDir,
    /// What was unpacked lives as long as this.
    _sources: Vec<ModelFolder>,
}

impl Offered {
    fn new(args: &Serve, ui: &Ui) -> anyhow::Result<Self> {
        let root = env::temporary_folder()?;
        let mut sources = Vec::new();
        for reference in &args.modelkits {
            let source = model::open(&reference.to_string(), &args.network, ui)?;
            let name = name(reference);
            link(&fs::canonicalize(&source.dir)?, &root.path().join(&name))
                .with_context(|| format!("two ModelKits are called {name}"))?;
            ui.note(format_args!("{reference} is offered as {name}"));
            sources.push(source);
        }
        for (name, dir) in args.root.as_deref().map(folders).transpose()?.unwrap_or_default() {
            link(&fs::canonicalize(dir)?, &root.path().join(&name))
                .with_context(|| format!("two models are called {name}"))?;
        }
        Ok(Self { root, _sources: sources })
    }
}

/// The last two parts of a repository's name; tags are not told apart.
fn name(reference: &Reference) -> String {
    let repository = reference.repository();
    let mut parts: Vec<&str> = repository.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}

/// The repositories of a folder: `org/name`, or `name` where it holds files itself.
fn folders(root: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
        if !path.is_dir() || name.starts_with('.') {
            continue;
        }
        let inside: Vec<PathBuf> = fs::read_dir(&path)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        if name == "datasets" || inside.iter().any(|path| path.is_file()) {
            found.push((name, path));
            continue;
        }
        found.extend(inside.into_iter().filter(|path| path.is_dir()).map(|path| {
            let last = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (format!("{name}/{last}"), path)
        }));
    }
    Ok(found)
}

fn link(target: &Path, place: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(place.parent().context("it has a parent")?)?;
    Ok(std::os::unix::fs::symlink(target, place)?)
}
