//! Shows a registry the credentials that it asks for, and nobody else (reference: distribution's
//! token authentication).

mod authorization;
mod challenge;
mod credentials;
mod realm;
mod token;

use std::collections::HashMap;

use reqwest::Response;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use tokio::sync::Mutex;

use self::authorization::Authorization;
pub use self::challenge::Challenge;
pub use self::credentials::{Credential, CredentialFile, Credentials, Secret};
use crate::client::Registry;
use crate::client::http::{self, location};
use crate::{AuthError, Error, Result};

/// What is known of the registries so far. The lock is held while a token is fetched: the others
/// wait for it and take it.
#[derive(Debug, Default)]
pub(super) struct Authenticator(Mutex<HashMap<(String, String), Authorization>>);

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
    let response = shared.http.follow(with_authorization(call.clone(), shown.as_ref())).await?;
    if !is_challenge(&response, registry) {
        return Ok(response);
    }
    let authorization =
        shared.authenticator.answer(registry, &challenges(&response), scopes, shown).await?;
    let response = shared.http.follow(with_authorization(call, Some(&authorization))).await?;
    match is_challenge(&response, registry) {
        false => Ok(response),
        true => Err(refused(registry, &authorization, shared.http.reasons(response).await)),
    }
}

fn is_challenge(response: &Response, registry: &Registry) -> bool {
    response.status() == 401 && location::is_same_origin(response.url(), &registry.base)
}

fn with_authorization(mut call: http::Call, authorization: Option<&Authorization>) -> http::Call {
    if let Some(authorization) = authorization {
        call.headers.insert(AUTHORIZATION, authorization.header.clone());
    }
    call
}

fn challenges(response: &Response) -> Vec<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE).into_iter();
    headers.filter_map(|header| header.to_str().ok()).flat_map(Challenge::parse).collect()
}

fn refused(registry: &Registry, authorization: &Authorization, reasons: String) -> Error {
    let registry = registry.host.clone();
    match authorization.is_known {
        true => AuthError::Denied { registry, reasons }.into(),
        false => AuthError::NotLoggedIn { registry }.into(),
    }
}

impl Authenticator {
    /// Says whether a registry has asked for anything, and got it.
    pub(super) async fn has_answered(&self, registry: &Registry) -> bool {
        self.0.lock().await.keys().any(|(host, _)| *host == registry.host)
    }

    async fn known(&self, registry: &Registry, scopes: &[String]) -> Option<Authorization> {
        let known = self.0.lock().await;
        let for_all = (registry.host.clone(), basic_key(registry));
        let for_these = (registry.host.clone(), scopes.join(" "));
        known
            .get(&for_these)
            .or_else(|| known.get(&for_all))
            .filter(|authorization| authorization.is_fresh())
            .cloned()
    }

    /// Finds what to show, other than what was just refused.
    async fn answer(
        &self,
        registry: &Registry,
        challenges: &[Challenge],
        scopes: &[String],
        refused_before: Option<Authorization>,
    ) -> Result<Authorization> {
        let bearer =
            challenges.iter().find(|it| it.scheme == "bearer" && it.parameter("realm").is_some());
        // Basic credentials are good for everything that they are kept for, a token for its scopes.
        let scope = if bearer.is_some() { scopes.join(" ") } else { basic_key(registry) };
        let key = (registry.host.clone(), scope);
        let mut known = self.0.lock().await;
        let is_refused = |authorization: &Authorization| {
            refused_before.as_ref().is_some_and(|refused| refused.header == authorization.header)
        };
        if let Some(authorization) = known
            .get(&key)
            .filter(|authorization| authorization.is_fresh() && !is_refused(authorization))
        {
            return Ok(authorization.clone());
        }
        let credential = lookup(registry).await;
        let authorization = match (bearer, credential) {
            (_, Some(Credential::Bearer(token))) => Authorization::new("Bearer", &token, None),
            (Some(challenge), credential) => {
                match token::fetch(registry, challenge, scopes, credential.clone()).await {
                    // A registry that also takes the credentials itself need not send them
                    // anywhere.
                    Err(Error::Auth(AuthError::UntrustedRealm { .. })) if has_basic(challenges) => {
                        basic(registry, challenges, credential)?
                    }
                    token => Some(token?),
                }
            }
            (None, credential) => basic(registry, challenges, credential)?,
        };
        let Some(authorization) = authorization else {
            return Err(AuthError::UnusableCredential { registry: registry.host.clone() }.into());
        };
        if is_refused(&authorization) {
            return Err(refused(registry, &authorization, String::new()));
        }
        known.insert(key, authorization.clone());
        Ok(authorization)
    }
}

/// Under what Basic credentials are known: no scope looks like this.
fn basic_key(registry: &Registry) -> String {
    format!("/{}", registry.repository.as_deref().unwrap_or_default())
}

fn has_basic(challenges: &[Challenge]) -> bool {
    challenges.iter().any(|challenge| challenge.scheme == "basic")
}

fn basic(
    registry: &Registry,
    challenges: &[Challenge],
    credential: Option<Credential>,
) -> Result<Option<Authorization>> {
    let registry = registry.host.clone();
    if !has_basic(challenges) {
        return Err(AuthError::UnknownChallenge { registry }.into());
    }
    match credential {
        Some(Credential::Basic { username, password }) => {
            Ok(Authorization::basic(&username, &password))
        }
        Some(_) => Ok(None),
        None => Err(AuthError::NotLoggedIn { registry }.into()),
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Looks a credential up on another thread: a helper program may take its time.
async fn lookup(registry: &Registry) -> Option<Credential> {
    let credentials = registry.client.0.options.credentials.clone();
    let (host, repository) = (registry.host.clone(), registry.repository.clone());
    let looking =
        tokio::task::spawn_blocking(move || credentials.lookup(&host, repository.as_deref()));
    let why = match looking.await {
        Ok(Ok(found)) => return found,
        Ok(Err(error)) => with_causes(&error),
        Err(error) => error.to_string(),
    };
    registry.client.warn(format!("credentials were not read, and none are sent: {why}"));
    None
}
