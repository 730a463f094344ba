//! Shows a registry the credentials that it asks for, and nobody else (reference: distribution's
//! token authentication).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{
    Response,
    header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};
use tokio::sync::Mutex;

use super::{Challenge, Credential, Registry, http, location, token};
use crate::{Error, Result};

/// What is known of the registries so far. The lock is held while a token is fetched: the others
/// wait for it and take it.
#[derive(Debug, Default)]
pub(super) struct Authenticator(Mutex<HashMap<(String, String), Proof>>);

/// A header value that a registry has asked for.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) header: HeaderValue,
    pub(super) until: Option<Instant>,
    /// Whether a credential stands behind it, or it is anonymous.
    pub(super) is_known: bool,
}

impl Proof {
    pub(super) fn new(scheme: &str, secret: &str, lifetime: Option<Duration>) -> Option<Self> {
        let mut header = HeaderValue::from_str(&format!("{scheme} {secret}")).ok()?;
        header.set_sensitive(true);
        let until = lifetime.and_then(|lifetime| Instant::now().checked_add(lifetime));
        Some(Self { header, until, is_known: true })
    }

    pub(super) fn basic(username: &str, password: &str) -> Option<Self> {
        Self::new("Basic", &STANDARD.encode(format!("{username}:{password}")), None)
    }

    fn is_fresh(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() < until)
    }
}

/// Sends a request; when the registry asks for credentials, once more with them.
/// Only the registry's own origin ever sees them.
pub(super) async fn send(
    registry: &Registry,
    call: http::Call,
    scopes: &[String],
) -> Result<Response> {
    let shared = &registry.client.0;
    if !location::is_same_origin(&call.url, &registry.base) {
        return shared.http.follow(call).await;
    }
    let shown = shared.authenticator.known(registry, scopes).await;
    let response = shared.http.follow(with_proof(call.clone(), shown.as_ref())).await?;
    if !is_challenge(&response, registry) {
        return Ok(response);
    }
    let proof =
        shared.authenticator.answer(registry, &challenges(&response), scopes, shown).await?;
    let response = shared.http.follow(with_proof(call, Some(&proof))).await?;
    match is_challenge(&response, registry) {
        false => Ok(response),
        true => Err(refused(registry, &proof, shared.http.reasons(response).await)),
    }
}

fn is_challenge(response: &Response, registry: &Registry) -> bool {
    response.status() == 401 && location::is_same_origin(response.url(), &registry.base)
}

fn with_proof(mut call: http::Call, proof: Option<&Proof>) -> http::Call {
    if let Some(proof) = proof {
        call.headers.insert(AUTHORIZATION, proof.header.clone());
    }
    call
}

fn challenges(response: &Response) -> Vec<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
    headers.filter_map(|header| header.to_str().ok()).flat_map(Challenge::parse).collect()
}

fn refused(registry: &Registry, proof: &Proof, reasons: String) -> Error {
    let registry = registry.host.clone();
    match proof.is_known {
        true => Error::Denied { registry, reasons },
        false => Error::NotLoggedIn { registry },
    }
}

impl Authenticator {
    async fn known(&self, registry: &Registry, scopes: &[String]) -> Option<Proof> {
        let known = self.0.lock().await;
        let for_all = (registry.host.clone(), space(registry));
        let for_these = (registry.host.clone(), scopes.join(" "));
        known
            .get(&for_these)
            .or_else(|| known.get(&for_all))
            .filter(|proof| proof.is_fresh())
            .cloned()
    }

    /// Finds what to show, other than what was just refused.
    async fn answer(
        &self,
        registry: &Registry,
        challenges: &[Challenge],
        scopes: &[String],
        refused_proof: Option<Proof>,
    ) -> Result<Proof> {
        let bearer =
            challenges.iter().find(|it| it.scheme == "bearer" && it.parameter("realm").is_some());
        // Basic credentials are good for everything that they are kept for, a token for its scopes.
        let scope = if bearer.is_some() { scopes.join(" ") } else { space(registry) };
        let key = (registry.host.clone(), scope);
        let mut known = self.0.lock().await;
        let is_refused = |proof: &Proof| {
            refused_proof.as_ref().is_some_and(|refused| refused.header == proof.header)
        };
        if let Some(proof) = known.get(&key).filter(|proof| proof.is_fresh() && !is_refused(proof))
        {
            return Ok(proof.clone());
        }
        let credential = lookup(registry).await;
        let proof = match (bearer, credential) {
            (_, Some(Credential::Bearer(token))) => Proof::new("Bearer", &token, None),
            (Some(challenge), credential) => {
                match token::fetch(registry, challenge, scopes, credential.clone()).await {
                    // A registry that also takes the credentials itself need not send them
                    // anywhere.
                    Err(Error::UntrustedRealm { .. }) if has_basic(challenges) => {
                        basic(registry, challenges, credential)?
                    }
                    token => Some(token?),
                }
            }
            (None, credential) => basic(registry, challenges, credential)?,
        };
        let Some(proof) = proof else {
            return Err(Error::UnusableCredential { registry: registry.host.clone() });
        };
        if is_refused(&proof) {
            return Err(refused(registry, &proof, String::new()));
        }
        known.insert(key, proof.clone());
        Ok(proof)
    }
}

/// Under what Basic credentials are known: no scope looks like this.
fn space(registry: &Registry) -> String {
    format!("/{}", registry.space)
}

fn has_basic(challenges: &[Challenge]) -> bool {
    challenges.iter().any(|challenge| challenge.scheme == "basic")
}

fn basic(
    registry: &Registry,
    challenges: &[Challenge],
    credential: Option<Credential>,
) -> Result<Option<Proof>> {
    let registry = registry.host.clone();
    if !has_basic(challenges) {
        return Err(Error::UnknownChallenge { registry });
    }
    match credential {
        Some(Credential::Basic { username, password }) => Ok(Proof::basic(&username, &password)),
        Some(_) => Ok(None),
        None => Err(Error::NotLoggedIn { registry }),
    }
}

/// Looks a credential up on another thread: a helper program may take its time.
async fn lookup(registry: &Registry) -> Option<Credential> {
    let credentials = registry.client.0.options.credentials.clone();
    let (host, space) = (registry.host.clone(), registry.space.clone());
    let looking = tokio::task::spawn_blocking(move || match space.as_str() {
        "" => credentials.lookup(&host),
        repository => credentials.lookup_for(&host, repository),
    });
    looking.await.unwrap_or_else(|error| {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the lookup of credentials broke off"
        );
        None
    })
}
