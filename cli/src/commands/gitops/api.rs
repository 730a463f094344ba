//! A cluster's API, read: over plain HTTP where one is named, else by `kubectl`.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::failure::{WithHint as _, failure};
use crate::kind::{self, Kind};
use crate::ui::Ui;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to ask.
pub(super) enum Api {
    Server {
        http: reqwest::Client,
        url: String,
    },
    /// With the context of its own that is asked; none: the current one.
    Kubectl {
        context: Option<String>,
    },
}

impl Api {
    /// The API at a URL; without one that of `kubectl`.
    pub(super) fn new(server: Option<&str>) -> anyhow::Result<Self> {
        Self::of(server, None)
    }

    /// The same, with the context that `kubectl` is to ask.
    pub(super) fn of(server: Option<&str>, context: Option<&str>) -> anyhow::Result<Self> {
        let context = context.map(str::to_owned);
        let Some(url) = server else { return Ok(Self::Kubectl { context }) };
        // reqwest wants to know who does its cryptography; a second time is no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self::Server { http, url: url.trim_end_matches('/').to_owned() })
    }

    /// The document at a path.
    pub(super) fn get(&self, path: &str, ui: &Ui) -> anyhow::Result<Value> {
        match self {
            Self::Server { http, url } => ui.block_on(from_server(http, format!("{url}{path}"))),
            Self::Kubectl { context } => from_kubectl(path, context.as_deref()),
        }
    }
}

/// Whether the API has nothing at a path, or does not know the kind.
pub(super) fn is_not_there(error: &anyhow::Error) -> bool {
    kind::of(error) == Kind::NotFound
}

async fn from_server(http: &reqwest::Client, url: String) -> anyhow::Result<Value> {
    let answer = http.get(&url).send().await;
    if answer.as_ref().is_ok_and(|answer| answer.status() == reqwest::StatusCode::NOT_FOUND) {
        return Err(failure(Kind::NotFound, format!("there is nothing at {url}")));
    }
    let read = async { answer?.error_for_status()?.json::<Value>().await };
    read.await.with_context(|| format!("cannot read {url}")).hint_if(
        &[Kind::Unreachable],
        "`kit-rs gitops up` runs a cluster on this machine, and prints its address",
    )
}

fn from_kubectl(path: &str, context: Option<&str>) -> anyhow::Result<Value> {
    let patience = format!("--request-timeout={}s", PATIENCE.as_secs());
    let context = context.map(|name| format!("--context={name}"));
    let output = Command::new("kubectl")
        .args(["get", "--raw", path, &patience])
        .args(context)
        .output()
        .context("cannot run kubectl")
        .hint("install kubectl, or name a server with --server URL")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let is_absent = said.contains("(NotFound)")
            || said.contains("the server could not find the requested resource");
        let message = format!("kubectl: {said}");
        return Err(match is_absent {
            true => failure(Kind::NotFound, message),
            false => anyhow::anyhow!(message),
        });
    }
    serde_json::from_slice(&output.stdout).context("kubectl answered with something else than JSON")
}
