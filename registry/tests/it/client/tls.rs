//! Who is trusted, and who this client says it is. The server is a few lines around rustls.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use kit_registry::{Client, ClientCertificate, ClientOptions, Error, HttpError};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::options;

/// A file that `testdata/tls/make.sh` made.
fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/testdata/tls", name].iter().collect()
}

fn certificate(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file(name)).unwrap()
}

/// Answers every request on TLS; asks clients for a certificate when it should.
fn serve(asks_for_certificates: bool) -> SocketAddr {
    serve_as("server.pem", "server.key", asks_for_certificates)
}

fn serve_as(shown: &str, key: &str, asks_for_certificates: bool) -> SocketAddr {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match asks_for_certificates {
        false => builder.with_no_client_auth(),
        true => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate("ca.pem")).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(file(key)).unwrap();
    let config = Arc::new(builder.with_single_cert(vec![certificate(shown)], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            // A client that does not trust this server goes away.
            let _ = answer(StreamOwned::new(connection, stream));
        }
    });
    address
}

fn answer(mut stream: impl Read + Write) -> std::io::Result<()> {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")?;
    stream.flush()
}

async fn ping(address: SocketAddr, options: ClientOptions) -> Result<bool, Error> {
    Client::new(options)?.ping(&address.to_string()).await
}

/// All that an error says, with its causes.
fn chain(error: &Error) -> String {
    let causes =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn only_servers_with_a_trusted_certificate_are_spoken_to() {
    let address = serve(false);
    ping(address, ClientOptions { tls_certs: vec![file("ca.pem")], ..options() }).await.unwrap();
    // Another root does not vouch for the server; the error says so, and at once.
    let started = std::time::Instant::now();
    let options_of_stranger = ClientOptions {
        tls_certs: vec![file("client.pem")],
        backoff: std::time::Duration::from_secs(9),
        ..options()
    };
    let error = ping(address, options_of_stranger).await.unwrap_err();
    assert!(
        matches!(error, Error::Http(HttpError::UntrustedCertificate { .. })),
        "{}",
        chain(&error)
    );
    assert!(started.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn a_certificate_that_is_named_itself_is_trusted_for_its_names_and_its_time() {
    // A registry's own certificate, made as an authority that signs itself; who names it byte for
    // byte means it (curl, crane and oras take it).
    let with = |name: &str| ClientOptions { tls_certs: vec![file(name)], ..options() };
    ping(serve_as("own.pem", "own.key", false), with("own.pem")).await.unwrap();
    for (shown, named, reason) in [
        ("own.pem", "elsewhere.pem", "CaUsedAsEndEntity"),
        ("own.pem", "ca.pem", "CaUsedAsEndEntity"),
        ("elsewhere.pem", "elsewhere.pem", "not valid for name"),
        ("old.pem", "old.pem", "expired"),
    ] {
        let error = ping(serve_as(shown, "own.key", false), with(named)).await.unwrap_err();
        assert!(matches!(error, Error::Http(HttpError::UntrustedCertificate { .. })), "{error:?}");
        assert!(chain(&error).contains(reason), "{shown}, {named}: {}", chain(&error));
    }
}

#[tokio::test]
async fn loopback_is_spoken_to_in_tls_where_something_is_said_of_tls() {
    let address = serve(false);
    ping(address, ClientOptions { tls_verify: false, ..options() }).await.unwrap();
    let in_tls = ClientOptions { plain_http: Some(false), ..options() };
    let error = ping(address, in_tls).await.unwrap_err();
    assert!(matches!(error, Error::Http(HttpError::UntrustedCertificate { .. })), "{error:?}");
    let plain = ClientOptions { tls_verify: false, plain_http: Some(true), ..options() };
    ping(address, plain).await.unwrap_err();
}

#[tokio::test]
async fn verification_can_be_turned_off() {
    let address = serve(false);
    let options =
        ClientOptions { tls_certs: vec![file("client.pem")], tls_verify: false, ..options() };
    ping(address, options).await.unwrap();
}

#[tokio::test]
async fn the_certificate_of_the_client_is_shown() {
    let address = serve(true);
    let tls_certs = vec![file("ca.pem")];
    let client_cert =
        Some(ClientCertificate { chain: file("client.pem"), key: file("client.key") });
    ping(address, ClientOptions { tls_certs: tls_certs.clone(), client_cert, ..options() })
        .await
        .unwrap();
    let error = ping(address, ClientOptions { tls_certs, ..options() }).await.unwrap_err();
    assert!(matches!(error, Error::Http(HttpError::Request { .. })), "{error:?}");
}

#[tokio::test]
async fn files_without_a_certificate_are_named() {
    for name in ["none.pem", "server.key"] {
        let error =
            Client::new(ClientOptions { tls_certs: vec![file(name)], ..options() }).unwrap_err();
        assert!(
            matches!(&error, Error::Certificate { path, .. } if *path == file(name)),
            "{error:?}"
        );
    }
}
