use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;
use serve::engine::{Engine, EngineOptions};
use serve::{Handle, Lifecycle, ModelIdentity, ServeOptions};

use crate::network::Network;
use crate::ui::Ui;

/// Serve a model over HTTP
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A model folder, a folder with a Kitfile, or a ModelKit (pulled when it is not local)
    #[arg(value_name = "REF|DIR")]
    model: String,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", env = "KIT_RS_HOST")]
    host: String,
    /// Port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8000, env = "KIT_RS_PORT")]
    port: u16,
    /// The reference that the model is known by
    #[arg(long, env = "KIT_RS_MODELKIT", hide = true)]
    reference: Option<String>,
    /// Threads that compute [default: the processors that this process may use]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// After SIGTERM: seconds in which requests are still accepted, while not ready
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    drain_delay: u64,
    /// After that: seconds for requests in flight
    #[arg(long, default_value_t = 25, value_name = "SECONDS")]
    drain_timeout: u64,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let source = super::source::open(&args.model, &args.network, ui)?;
    let engine = Engine::load(&source.dir, &EngineOptions { n_threads: args.threads })
        .with_context(|| format!("cannot load the model in {}", source.dir.display()))?;
    let identity = ModelIdentity {
        digest: source.digest.clone(),
        reference: source.reference.clone().or(args.reference),
        kitfile: source.kitfile.clone(),
        manifest: source.manifest.clone(),
    };
    let options = ServeOptions {
        drain_delay: Duration::from_secs(args.drain_delay),
        drain_timeout: Duration::from_secs(args.drain_timeout),
        ..ServeOptions::default()
    };
    let interrupt = ui.interrupt().clone();
    ui.serve(async {
        let listener = super::listen::bind(&format!("{}:{}", args.host, args.port)).await?;
        let address = listener.local_addr()?;
        let (router, handle) = serve::server(engine, identity, options);
        ui.answer(format_args!("http://{address}"), &json!({ "url": format!("http://{address}"), "digest": source.digest }))?;
        let tried = handle.clone();
        tokio::select! {
            ended = serve::run(listener, router, handle, async move { interrupt.wait().await }) => ended.context("the server failed"),
            reason = failure(&tried) => bail!("the model does not pass its first trial: {reason}"),
        }
    })
}

/// Resolves when the model's first forward pass was wrong, with the reason.
async fn failure(handle: &Handle) -> std::sync::Arc<str> {
    match handle.started().await {
        Lifecycle::Failed(reason) => reason,
        _ => std::future::pending().await,
    }
}
