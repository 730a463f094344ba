//! What an embedder can choose about a client.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::Credentials;
use super::http::is_loopback;

/// How a [`Client`](super::Client) connects.
#[derive(Clone)]
pub struct ClientOptions {
    /// Whether registries are spoken to in plain HTTP. Unless it is said, loopback hosts are and
    /// others are not; and where something else is said of TLS (certificates, or that they are not
    /// verified), no host is.
    pub plain_http: Option<bool>,
    /// Verifies the certificates of servers.
    pub tls_verify: bool,
    /// Files with further root certificates, in PEM.
    pub tls_certs: Vec<PathBuf>,
    /// What this client shows of itself.
    pub client_cert: Option<ClientCertificate>,
    /// The proxy for everything but loopback.
    pub proxy: Proxy,
    /// How many blobs move at a time.
    pub concurrency: usize,
    /// How many connections bring blobs at a time. A big blob takes several of them, as long as
    /// they make it faster.
    pub connections: usize,
    /// What registries are shown who ask for credentials.
    pub credentials: Arc<dyn Credentials>,
    /// Hosts of token services that may see the credentials of a registry, by the registry's name.
    /// A token service on the registry's own host always may.
    pub token_hosts: BTreeMap<String, Vec<String>>,
    /// The name that this client gives itself.
    pub user_agent: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a transfer may stand still before it counts as broken.
    pub stall_timeout: Duration,
    /// How often a request is repeated when it fails in a way that may pass.
    pub retries: u32,
    /// The wait before the first repetition; it doubles with each.
    pub backoff: Duration,
    /// Is told, from any thread, before a wait that somebody may notice: why (in the server's own
    /// words where it has some), and how long. A server that asks to be left alone for more than a
    /// minute is not waited for.
    pub on_wait: OnWait,
}

/// Hears why a client waits, and how long.
pub type OnWait = Arc<dyn Fn(&str, Duration) + Send + Sync>;

/// The files of a client's certificate, in PEM.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The certificate chain.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Through what a client goes out.
#[derive(Clone, Debug, Default)]
pub enum Proxy {
    /// Nothing: a library does not read the environment unasked.
    #[default]
    None,
    /// What the environment and the system say.
    System,
    /// The proxy at this URL.
    Url(String),
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            plain_http: None,
            tls_verify: true,
            tls_certs: Vec::new(),
            client_cert: None,
            proxy: Proxy::None,
            concurrency: 5,
            connections: 8,
            credentials: Arc::new(BTreeMap::new()),
            token_hosts: BTreeMap::new(),
            user_agent: concat!("kit-rs/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
            retries: 5,
            backoff: Duration::from_millis(250),
            on_wait: Arc::new(|_, _| ()),
        }
    }
}

impl ClientOptions {
    /// Says whether a host is spoken to in plain HTTP.
    pub(super) fn is_plain(&self, url: &Url) -> bool {
        let says_tls = !self.tls_certs.is_empty() || self.client_cert.is_some() || !self.tls_verify;
        self.plain_http.unwrap_or_else(|| is_loopback(url) && !says_tls)
    }
}

impl fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientOptions")
            .field("user_agent", &self.user_agent)
            .finish_non_exhaustive()
    }
}
