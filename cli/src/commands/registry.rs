//! `kit-rs registry`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use registry::server::{Htpasswd, ListenOptions, ReadyImages, Registry, ServerOptions, tls};
use registry::{Error, Layout, LayoutError};
use serde_json::json;

use crate::output::human_size;
use crate::steps::listen;
use crate::steps::ready::Images;
use crate::steps::runtime::runtime;
use crate::ui::Ui;

/// How often uploads are looked at that nobody goes on with.
const EXPIRY_ROUND: Duration = Duration::from_secs(10 * 60);
/// How long a transfer in flight may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

/// Run a registry of one's own
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    Gc(Gc),
}

/// Serve a folder as an OCI registry
#[derive(clap::Args)]
pub(crate) struct Serve {
    /// HOST:PORT to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "HOST:PORT")]
    addr: String,
    /// The folder: an OCI image layout; made when it is not there
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Refuse uploads and deletes
    #[arg(long)]
    read_only: bool,
    /// Let in only the users of this file (`htpasswd -B`); it is read anew when it changes
    #[arg(long, value_name = "FILE")]
    htpasswd: Option<PathBuf>,
    /// Speak TLS, with this certificate chain (PEM file)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM file)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Mount a blob from any repository that has it when the client names none: whoever knows a
    /// digest can read the blob
    #[arg(long)]
    anonymous_mount: bool,
    /// Without users and without TLS: answer to this name too; repeatable. Addresses, localhost and
    /// a network's own names are known
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Collect garbage every so many seconds; 0 never does
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    gc_interval: u64,
    /// How long a blob may wait for its manifest before it is garbage
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    gc_grace: u64,
    /// How long an upload may lie untouched before it is thrown away
    #[arg(long, default_value_t = 86400, value_name = "SECONDS")]
    upload_expiry: u64,
    /// The static program in the images that are there of every ModelKit, as REPOSITORY/kit-rs:TAG,
    /// although nobody has pushed them [default: kit-rs-runtime beside kit-rs, else kit-rs itself
    /// where it is static, else there are no such images]
    #[arg(long, value_name = "FILE", conflicts_with = "no_images")]
    runtime: Option<PathBuf>,
    /// Have no images but those that were pushed
    #[arg(long)]
    no_images: bool,
}

/// Take away what no manifest of a registry's folder names; nobody may be adding to it
#[derive(clap::Args)]
pub(crate) struct Gc {
    /// The folder
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// How long a blob may wait for its manifest before it is garbage
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    gc_grace: u64,
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve(&args, ui),
        Command::Gc(args) => collect(&args, ui),
    }
}

fn serve(args: &Serve, ui: &Ui) -> anyhow::Result<()> {
    let layout = Layout::init(&args.root)?;
    let users = args.htpasswd.as_ref().map(Htpasswd::open).transpose()?.map(Arc::new);
    let tls = args
        .tls_cert
        .as_ref()
        .zip(args.tls_key.as_ref())
        .map(|(chain, key)| tls(chain, key))
        .transpose()?;
    let images = images(args)?.map(|images| Arc::new(images) as Arc<dyn ReadyImages>);
    let options = ServerOptions {
        images,
        read_only: args.read_only,
        anonymous_mount: args.anonymous_mount,
        upload_expiry: Duration::from_secs(args.upload_expiry),
        garbage_grace: Duration::from_secs(args.gc_grace),
        users,
        ..ServerOptions::default()
    };
    let registry = Registry::new(layout, options);
    let tidying = async {
        if !args.read_only {
            tokio::join!(expire_uploads(&registry), collect_garbage(&registry, args.gc_interval));
        }
        std::future::pending::<()>().await;
    };
    // A page in a browser that was led here by a name of its own (DNS rebinding) has no password,
    // and does not get past the certificate.
    let is_open = args.htpasswd.is_none() && tls.is_none();
    let names = is_open.then(|| args.allow_host.clone());
    let options = ListenOptions { tls, grace: GRACE, names, ..ListenOptions::default() };
    listen::serve(&args.addr, registry.router(), options, tidying, ui)
}

/// What makes images of ModelKits, where there is a program for them.
fn images(args: &Serve) -> anyhow::Result<Option<Images>> {
    if args.no_images {
        return Ok(None);
    }
    match (runtime(args.runtime.clone()), &args.runtime) {
        (Ok(program), _) => Images::new(program).map(Some),
        (Err(error), Some(_)) => Err(error),
        (Err(error), None) => {
            tracing::info!("there are no images but those that are pushed: {error:#}");
            Ok(None)
        }
    }
}

async fn expire_uploads(registry: &Arc<Registry>) {
    loop {
        let registry = registry.clone();
        match tokio::task::spawn_blocking(move || registry.expire_uploads()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(n_expired)) => {
                tracing::info!(n_expired, "uploads were thrown away that nobody went on with")
            }
            Ok(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "uploads could not be thrown away"
                )
            }
            Err(error) => tracing::error!(%error, "the round of uploads broke off"),
        }
        tokio::time::sleep(EXPIRY_ROUND).await;
    }
}

async fn collect_garbage(registry: &Arc<Registry>, interval: u64) {
    if interval == 0 {
        return;
    }
    loop {
        tokio::time::sleep(Duration::from_secs(interval)).await;
        let registry = registry.clone();
        match tokio::task::spawn_blocking(move || registry.collect_garbage()).await {
            Ok(Ok(collected)) => {
                tracing::info!(
                    blobs = collected.blobs,
                    bytes = collected.bytes,
                    "garbage was collected"
                )
            }
            Ok(Err(Error::Layout(LayoutError::InUse { .. }))) => {
                tracing::info!("garbage waits: another process adds to the folder")
            }
            Ok(Err(error)) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "garbage was not collected"
            ),
            Err(error) => tracing::error!(%error, "the garbage collection broke off"),
        }
    }
}

fn collect(args: &Gc, ui: &Ui) -> anyhow::Result<()> {
    let options = ServerOptions {
        garbage_grace: Duration::from_secs(args.gc_grace),
        ..ServerOptions::default()
    };
    let collected = Registry::new(Layout::init(&args.root)?, options)
        .collect_garbage()
        .with_context(|| format!("cannot collect garbage in {}", args.root.display()))?;
    ui.answer(
        format_args!("freed {} in {} blobs", human_size(collected.bytes), collected.blobs),
        &json!({ "freed_bytes": collected.bytes, "blobs": collected.blobs }),
    )
}
