//! Listening, and what to do when somebody else does already.

use std::net::SocketAddr;

use anyhow::Context as _;

use crate::failure::WithHint as _;

/// Listens, and says what to do when somebody else does.
pub(super) async fn bind(address: &str) -> anyhow::Result<tokio::net::TcpListener> {
    let mut found = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("cannot look up {address}"))?;
    let address: SocketAddr = found.next().with_context(|| format!("{address} has no address"))?;
    tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
        .hint("choose another port; port 0 takes a free one")
}
