//! The flags of every command that talks to a registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use registry::{
    Client, ClientCertificate, ClientOptions, Credential, CredentialFile, Credentials, Proxy,
};

use crate::env;
use crate::ui::Ui;

/// How registries are reached.
#[derive(clap::Args, Clone)]
pub(crate) struct Network {
    #[command(flatten)]
    way: Way,
    /// The client's certificate (PEM file)
    #[arg(
        long,
        help_heading = "Network",
        value_name = "FILE",
        requires = "key",
        env = "KIT_RS_CLIENT_CERT"
    )]
    cert: Option<PathBuf>,
    /// The client certificate's key (PEM file)
    #[arg(
        long,
        help_heading = "Network",
        value_name = "FILE",
        requires = "cert",
        env = "KIT_RS_CLIENT_KEY"
    )]
    key: Option<PathBuf>,
}

/// The same for commands whose `--key` signs or checks.
#[derive(clap::Args, Clone)]
pub(crate) struct NetworkOfKeys {
    #[command(flatten)]
    way: Way,
    /// The client's certificate (PEM file)
    #[arg(
        long,
        help_heading = "Network",
        value_name = "FILE",
        requires = "client_key",
        env = "KIT_RS_CLIENT_CERT"
    )]
    client_cert: Option<PathBuf>,
    /// The client certificate's key (PEM file)
    #[arg(
        long,
        help_heading = "Network",
        value_name = "FILE",
        requires = "client_cert",
        env = "KIT_RS_CLIENT_KEY"
    )]
    client_key: Option<PathBuf>,
}

#[derive(clap::Args, Clone)]
struct Way {
    /// Speak plain HTTP [default: true of loopback addresses, unless another flag is about TLS]
    #[arg(long, help_heading = "Network", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    plain_http: Option<bool>,
    /// Whether TLS certificates are checked [default: true]
    #[arg(long, help_heading = "Network", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    tls_verify: Option<bool>,
    /// A further certificate authority, or a registry's own certificate (PEM file; repeatable)
    #[arg(long, help_heading = "Network", value_name = "FILE")]
    tls_cert: Vec<PathBuf>,
    /// A token service on another host that may see the credentials of a registry (repeatable)
    #[arg(long, help_heading = "Network", value_name = "REGISTRY=HOST", value_parser = token_host, env = "KIT_RS_TOKEN_HOST", value_delimiter = ',')]
    token_host: Vec<(String, String)>,
    /// How many blobs move at a time
    #[arg(long, help_heading = "Network", default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// How many connections bring blobs at a time: a big blob takes several, as long as they make
    /// it faster
    #[arg(long, help_heading = "Network", default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// A proxy, instead of the environment's
    #[arg(long, help_heading = "Network", value_name = "URL")]
    proxy: Option<String>,
}

impl Network {
    /// How many requests may run at a time.
    pub(crate) fn concurrency(&self) -> usize {
        usize::from(self.way.concurrency)
    }

    /// A client with the user's credentials.
    pub(crate) fn client(&self, ui: &Ui) -> anyhow::Result<Client> {
        self.client_with(Arc::new(Held(credentials(ui))), ui)
    }

    /// A client with the credentials given.
    pub(crate) fn client_with(
        &self,
        credentials: Arc<dyn registry::Credentials>,
        ui: &Ui,
    ) -> anyhow::Result<Client> {
        self.way.client(certificate(&self.cert, &self.key), credentials, ui)
    }
}

impl NetworkOfKeys {
    /// A client with the user's credentials.
    pub(crate) fn client(&self, ui: &Ui) -> anyhow::Result<Client> {
        let certificate = certificate(&self.client_cert, &self.client_key);
        self.way.client(certificate, Arc::new(Held(credentials(ui))), ui)
    }
}

impl Way {
    fn client(
        &self,
        client_cert: Option<ClientCertificate>,
        credentials: Arc<dyn registry::Credentials>,
        ui: &Ui,
    ) -> anyhow::Result<Client> {
        let client = Client::new(ClientOptions {
            // Who says anything of certificates means TLS, on loopback too.
            plain_http: self.plain_http.or(self.tls_verify.map(|_| false)),
            tls_verify: self.tls_verify.unwrap_or(true),
            tls_certs: self.tls_cert.clone(),
            client_cert,
            proxy: self.proxy.clone().map_or(Proxy::System, Proxy::Url),
            concurrency: usize::from(self.concurrency),
            connections: usize::from(self.connections),
            token_hosts: self.token_hosts(),
            credentials,
            on_wait: ui.on_wait(),
            ..ClientOptions::default()
        })?;
        ui.listen_to(&client);
        Ok(client)
    }

    fn token_hosts(&self) -> BTreeMap<String, Vec<String>> {
        let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (registry, host) in &self.token_host {
            hosts.entry(registry.clone()).or_default().push(host.clone());
        }
        hosts
    }
}

fn certificate(chain: &Option<PathBuf>, key: &Option<PathBuf>) -> Option<ClientCertificate> {
    let (chain, key) = chain.clone().zip(key.clone())?;
    Some(ClientCertificate { chain, key })
}

/// Reads `REGISTRY=HOST`.
fn token_host(text: &str) -> Result<(String, String), String> {
    let named =
        text.split_once('=').filter(|(registry, host)| !registry.is_empty() && !host.is_empty());
    named
        .map(|(registry, host)| (registry.to_owned(), host.to_owned()))
        .ok_or_else(|| "it is not REGISTRY=HOST".to_owned())
}

/// Credentials in a process that keeps what it holds to itself once it holds one.
struct Held(CredentialFile);

impl Credentials for Held {
    fn lookup(
        &self,
        registry: &str,
        repository: Option<&str>,
    ) -> registry::Result<Option<Credential>> {
        let found = self.0.lookup(registry, repository)?;
        if found.is_some() {
            env::hold_secrets();
        }
        Ok(found)
    }
}

/// The credentials of the environment, then those that `login` wrote, then those of other tools.
pub(crate) fn credentials(ui: &Ui) -> CredentialFile {
    CredentialFile::open(ui.home().credentials())
        .with_text(env::docker_auth_config())
        .with_fallbacks(env::foreign_credentials())
}
