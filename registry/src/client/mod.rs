//! Push and pull over the distribution protocol.
//!
//! A request goes through four layers: `http` sends it, waits and repeats; `auth` adds the
//! credentials that a registry asks for; `blob`, `manifest`, `tags` and `referrers` are the
//! protocol's verbs, `download` and `upload` its long ways; [`push`], [`pull`] and [`copy`] walk a graph
//! with them.

use std::sync::Arc;

use url::Url;

mod copy;
mod options;
mod pull;
mod push;

mod blob;
mod manifest;
mod quirks;
mod referrers;
mod repository_blobs;
mod tags;

pub(crate) mod download;
mod upload;

mod auth;
pub(crate) mod http;

pub(crate) mod blocking;
mod event;

pub use auth::{Challenge, Credential, CredentialFile, Credentials, Secret};
pub use blob::Blob;
pub use copy::{Copied, copy};
pub use event::{Direction, Event, Listener, Outcome};
pub use options::{ClientCertificate, ClientOptions, OnWait, Proxy};
pub use pull::{Pulled, pull};
pub use push::{Pushed, push};
pub use repository_blobs::RepositoryBlobs;

use crate::error::without_userinfo;
use crate::{Error, HttpError, Reference, Result};

/// A client of registries. Clones share their connections and tokens.
#[derive(Clone, Debug)]
pub struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: ClientOptions,
    http: http::Http,
    authenticator: auth::Authenticator,
}

impl Client {
    /// Makes a client; reads the certificates that `options` names.
    pub fn new(options: ClientOptions) -> Result<Self> {
        let http = http::Http::new(&options)?;
        Ok(Self(Arc::new(Shared { options, http, authenticator: auth::Authenticator::default() })))
    }

    /// Asks a registry whether it speaks the protocol and takes the credentials there are for it.
    /// Returns whether it has asked for any: one that does not has checked nothing.
    pub async fn ping(&self, registry: &str) -> Result<bool> {
        let registry = self.registry(registry)?;
        let call = http::Call::new(reqwest::Method::GET, registry.url("/v2/")?);
        let response = registry.send(call, &[]).await?;
        self.0.http.expect(response, &[200]).await?;
        Ok(self.0.authenticator.has_answered(&registry).await)
    }

    /// Says whether a registry is spoken to in plain HTTP.
    pub fn is_plain(&self, registry: &str) -> Result<bool> {
        Ok(self.base(registry)?.scheme() == "http")
    }

    /// Returns the warnings that there were since this was last asked, mostly those that registries
    /// have sent, without repetitions. A push or a pull tells them as events itself.
    pub fn take_warnings(&self) -> Vec<String> {
        self.0.http.take_warnings()
    }

    /// Keeps a warning for whoever asks.
    fn warn(&self, text: String) {
        self.0.http.warn(text);
    }

    fn registry(&self, host: &str) -> Result<Registry> {
        Ok(Registry {
            client: self.clone(),
            host: host.to_owned(),
            repository: None,
            base: self.base(host)?,
        })
    }

    fn repository(&self, reference: &Reference) -> Result<Repository> {
        let name = reference.repository().to_owned();
        Ok(Repository {
            registry: Registry {
                repository: Some(name.clone()),
                ..self.registry(reference.registry())?
            },
            name,
        })
    }

    /// Returns the address of a registry.
    fn base(&self, host: &str) -> Result<Url> {
        let api_host = if host == "docker.io" || host == "index.docker.io" {
            "registry-1.docker.io"
        } else {
            host
        };
        let shown = without_userinfo(host);
        if let Some((_, host)) = shown.split_once("://") {
            let host = host.trim_end_matches('/').to_owned();
            return Err(HttpError::HasScheme { text: shown.clone(), host }.into());
        }
        let invalid = || {
            let text = host.rsplit_once('@').map_or(host, |(_, host)| host).to_owned();
            Error::from(HttpError::InvalidAddress { text })
        };
        let mut url = Url::parse(&format!("https://{api_host}/")).map_err(|_| invalid())?;
        if url.path() != "/"
            || url.query().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(invalid());
        }
        if self.0.options.is_plain(&url) {
            // Parsed anew: a URL that was parsed as `https` has dropped the port 443.
            url = Url::parse(&format!("http://{api_host}/")).map_err(|_| invalid())?;
        }
        Ok(url)
    }
}

/// A registry, as this client talks to it.
#[derive(Clone, Debug)]
struct Registry {
    client: Client,
    /// The name that references and credentials use.
    host: String,
    /// The repository that it is spoken to about, or none: credentials may be for a part of a
    /// registry.
    repository: Option<String>,
    /// The address of its API.
    base: Url,
}

impl Registry {
    fn url(&self, path: &str) -> Result<Url> {
        self.base.join(path).map_err(|_| HttpError::InvalidAddress { text: path.to_owned() }.into())
    }

    /// Sends a request with what the registry wants to see for these scopes; follows redirects of
    /// GET and HEAD.
    async fn send(&self, call: http::Call, scopes: &[String]) -> Result<reqwest::Response> {
        auth::send(self, call, scopes).await
    }
}

/// A repository of a registry.
#[derive(Clone, Debug)]
struct Repository {
    registry: Registry,
    name: String,
}

impl Repository {
    /// The address of something of this repository: `blobs/…`, `manifests/…`, `tags/list`.
    fn url(&self, rest: &str) -> Result<Url> {
        self.registry.url(&format!("/v2/{}/{rest}", self.name))
    }

    fn scope(&self, actions: &str) -> String {
        format!("repository:{}:{actions}", self.name)
    }

    async fn send(&self, call: http::Call, actions: &str) -> Result<reqwest::Response> {
        self.registry.send(call, &[self.scope(actions)]).await
    }

    fn http(&self) -> &http::Http {
        &self.registry.client.0.http
    }

    /// `host/repository`, as errors say it.
    fn shown(&self) -> String {
        format!("{}/{}", self.registry.host, self.name)
    }
}
