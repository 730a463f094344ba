//! Listening, for the commands that serve a router as it is.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use serde_json::json;

use crate::failure::WithHint as _;
use crate::ui::Ui;

/// How long a transfer in flight may take to end after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

/// Serves a router until Ctrl-C; the URL is the answer, so that port 0 can be asked for.
pub(super) fn serve(address: &str, router: Router, ui: &Ui) -> anyhow::Result<()> {
    let interrupt = ui.interrupt().clone();
    ui.serve(async {
        let listener = bind(address).await?;
        let url = format!("http://{}", listener.local_addr()?);
        ui.answer(&url, &json!({ "url": url }))?;
        let asked = interrupt.clone();
        let server =
            axum::serve(listener, router).with_graceful_shutdown(async move { asked.wait().await }).into_future();
        let deadline = async {
            interrupt.wait().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            ended = server => ended.context("the server failed"),
            () = deadline => Ok(()),
        }
    })
}

/// Listens, and says what to do when somebody else does.
pub(super) async fn bind(address: &str) -> anyhow::Result<tokio::net::TcpListener> {
    let mut found = tokio::net::lookup_host(address).await.with_context(|| format!("cannot look up {address}"))?;
    let address: SocketAddr = found.next().with_context(|| format!("{address} has no address"))?;
    tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
        .hint("choose another port; port 0 takes a free one")
}
