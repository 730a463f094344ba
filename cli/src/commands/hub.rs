//! `kit-rs hub`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use fs_err as fs;
use registry::Reference;
use registry::server::ListenOptions;
use tempfile::TempDir;

use crate::env;
use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::steps::listen;
use crate::steps::model::{self, ModelFolder};
use crate::steps::trusted::Trusted;
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
    /// Answer to this name too; repeatable. Addresses, localhost and a network's own names are known
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    let Command::Serve(args) = command;
    if let Some(root) = args.root.as_ref().filter(|root| !root.is_dir()) {
        return Err(asked_wrongly(format!("{} is not a folder", root.display())));
    }
    let offered = Offered::new(&args, ui)?;
    let options = ListenOptions {
        grace: Duration::from_secs(10),
        names: Some(args.allow_host),
        ..ListenOptions::default()
    };
    let router = registry::hub::router_with(&offered.root, offered.models);
    listen::serve(&args.addr, router, options, std::future::pending(), ui)
}

/// What is offered: a folder, and what lies elsewhere.
struct Offered {
    root: PathBuf,
    models: BTreeMap<String, PathBuf>,
    /// What was unpacked lives as long as this, and so does an empty root.
    _sources: (Vec<ModelFolder>, Option<TempDir>),
}

impl Offered {
    fn new(args: &Serve, ui: &Ui) -> anyhow::Result<Self> {
        let empty = if args.root.is_none() { Some(env::temporary_folder()?) } else { None };
        let root = args.root.clone().or(empty.as_ref().map(|it| it.path().to_owned()));
        let root = root.context("one of the two is there")?;
        let (mut models, mut sources) = (BTreeMap::new(), Vec::new());
        let trusted = Trusted::ambient(ui)?;
        for reference in &args.modelkits {
            let source = model::open(&reference.to_string(), &trusted, &args.network, ui)?;
            let name = name(reference);
            ensure!(!root.join(&name).exists(), "two models are called {name}");
            let place = fs::canonicalize(&source.dir)?;
            ensure!(
                models.insert(name.clone(), place).is_none(),
                "two ModelKits are called {name}"
            );
            ui.note(format_args!("{reference} is offered as {name}"));
            sources.push(source);
        }
        Ok(Self { root, models, _sources: (sources, empty) })
    }
}

/// The last two parts of a repository's name; tags are not told apart.
fn name(reference: &Reference) -> String {
    let repository = reference.repository();
    let mut parts: Vec<&str> = repository.rsplit('/').take(2).collect();
    parts.reverse();
    parts.join("/")
}
