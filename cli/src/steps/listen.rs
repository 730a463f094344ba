//! Listening, and serving a router until the user wants it to end.

#[cfg(feature = "serve")]
use std::io::ErrorKind;
use std::net::SocketAddr;
#[cfg(feature = "serve")]
use std::net::{Ipv4Addr, Ipv6Addr};

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

/// Listens on an address of this machine, or on all of them: `::` is every address of both
/// families, and those of IPv4 where the machine has no other.
#[cfg(feature = "serve")]
pub(crate) async fn bind_host(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let Ok(address) = bare.parse::<Ipv6Addr>() else {
        return bind(&format!("{host}:{port}")).await;
    };
    match both_families((address, port).into()) {
        Ok(listener) => Ok(listener),
        Err(error) if address.is_unspecified() && error.kind() != ErrorKind::AddrInUse => {
            bind(&format!("{}:{port}", Ipv4Addr::UNSPECIFIED)).await
        }
        Err(error) => explained(Err(error), (address, port).into()),
    }
}

/// Whether an IPv6 socket hears IPv4 is the system's choice, unless it is told.
#[cfg(all(unix, feature = "serve"))]
fn both_families(address: SocketAddr) -> std::io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, 1024)?;
    TcpListener::from_std(socket.into())
}

#[cfg(all(not(unix), feature = "serve"))]
fn both_families(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

fn explained(
    bound: std::io::Result<TcpListener>,
    address: SocketAddr,
) -> anyhow::Result<TcpListener> {
    bound
        .with_context(|| format!("cannot listen on {address}"))
        .hint_if(&[Kind::Busy], "choose another port; port 0 takes a free one")
}

/// Listens, and says what to do when somebody else does.
pub(crate) async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    let mut found = tokio::net::lookup_host(address)
        .await
        .with_context(|| format!("cannot look up {address}"))?;
    let address: SocketAddr = found.next().with_context(|| format!("{address} has no address"))?;
    explained(TcpListener::bind(address).await, address)
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

#[cfg(all(test, feature = "serve"))]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn every_address_is_of_both_families() {
        for host in ["::", "[::]"] {
            let listener = bind_host(host, 0).await.unwrap();
            let address = listener.local_addr().unwrap();
            TcpStream::connect((Ipv4Addr::LOCALHOST, address.port())).unwrap();
            if address.is_ipv6() {
                TcpStream::connect((Ipv6Addr::LOCALHOST, address.port())).unwrap();
            }
            let again = bind_host(host, address.port()).await.unwrap_err();
            assert!(format!("{again:#}").contains("cannot listen on"), "{again:#}");
        }
    }
}
