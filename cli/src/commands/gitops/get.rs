use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use serde_json::Value;

use crate::failure::WithHint as _;
use crate::ui::Ui;

/// How often `--watch` looks.
const PERIOD: Duration = Duration::from_millis(500);

/// Show what runs: Flux Kustomizations, Deployments or pods
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which objects
    #[arg(value_enum)]
    kind: Kind,
    /// The Kubernetes API (plain HTTP), such as the local cluster's [default: ask kubectl]
    #[arg(long, value_name = "URL", env = "KIT_RS_SERVER")]
    server: Option<String>,
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Keep looking, and show what changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    #[value(aliases = ["kustomization", "ks"])]
    Kustomizations,
    #[value(aliases = ["deployment", "deploy"])]
    Deployments,
    #[value(aliases = ["pod", "po"])]
    Pods,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Kustomizations => "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations",
            Self::Deployments => "/apis/apps/v1/deployments",
            Self::Pods => "/api/v1/pods",
        }
    }

    fn table(self, list: &Value, now: SystemTime) -> String {
        match self {
            Self::Kustomizations => gitops::get::kustomizations(list).to_string(),
            Self::Deployments => gitops::get::deployments(list, now).to_string(),
            Self::Pods => gitops::get::pods(list, now).to_string(),
        }
    }
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    // reqwest wants to know who does its cryptography; a second time is no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let list = fetch(&args, &http, ui)?;
    let mut shown = args.kind.table(&list, SystemTime::now());
    ui.answer(shown.trim_end(), &list)?;
    if !args.watch {
        return Ok(());
    }
    loop {
        ui.block_on(async {
            tokio::time::sleep(PERIOD).await;
            Ok(())
        })?;
        let list = fetch(&args, &http, ui)?;
        let table = args.kind.table(&list, SystemTime::now());
        for line in table.lines().filter(|line| !shown.lines().any(|before| before == *line)) {
            ui.answer(line, &list)?;
        }
        shown = table;
    }
}

fn fetch(args: &Args, http: &reqwest::Client, ui: &Ui) -> anyhow::Result<Value> {
    let path = match &args.namespace {
        Some(namespace) => {
            let (group, plural) = args.kind.path().rsplit_once('/').expect("paths have slashes");
            format!("{group}/namespaces/{namespace}/{plural}")
        }
        None => args.kind.path().to_owned(),
    };
    match &args.server {
        Some(server) => ui.block_on(from_server(http, format!("{}{path}", server.trim_end_matches('/')))),
        None => from_kubectl(&path),
    }
}

async fn from_server(http: &reqwest::Client, url: String) -> anyhow::Result<Value> {
    let ask = async { http.get(&url).send().await?.error_for_status()?.json::<Value>().await };
    ask.await
        .with_context(|| format!("cannot read {url}"))
        .hint("`cargo xtask e2e --keep` prints the address of its cluster")
}

fn from_kubectl(path: &str) -> anyhow::Result<Value> {
    let output = Command::new("kubectl")
        .args(["get", "--raw", path])
        .output()
        .context("cannot run kubectl")
        .hint("install kubectl, or name a server with --server URL")?;
    ensure!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("kubectl answered with something else than JSON")
}
