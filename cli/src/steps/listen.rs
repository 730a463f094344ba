//! Listening, and serving a router until the user wants it to end.

use std::net::SocketAddr;

use anyhow::Context as _;
#[cfg(feature = "servers")]
use axum::Router;
#[cfg(feature = "servers")]
use registry::server::{ListenOptions, run};
use tokio::net::TcpListener;

use crate::failure::WithHint as _;
use crate::kind::Kind;
#[cfg(feature = "servers")]
use crate::ui::Ui;

/// Listens, and says what to do when somebody else does.
pub(crate) async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    let mut found = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("cannot look up {address}"))?;
    let address: SocketAddr = found.next().with_context(|| format!("{address} has no address"))?;
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
        .hint_if(&[Kind::Busy], "choose another port; port 0 takes a free one")
}

/// Serves a router until Ctrl-C, and does something beside it; the URL is the answer, so that port
/// 0 can be asked for.
#[cfg(feature = "servers")]
pub(crate) fn serve(
    address: &str,
    router: Router,
    options: ListenOptions,
    beside: impl Future<Output = ()>,
    ui: &Ui,
) -> anyhow::Result<()> {
    let interrupt = ui.interrupt().clone();
    ui.serve(async {
        let listener = bind(address).await?;
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", listener.local_addr()?);
        ui.answer(&url, &serde_json::json!({ "url": url }))?;
        tokio::select! {
            () = run(listener, router, options, async move { interrupt.wait().await }) => Ok(()),
            () = beside => Ok(()),
        }
    })
}
