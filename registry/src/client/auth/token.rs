//! Exchanges a credential for a token.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, Response};
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::authorization::Authorization;
use super::realm;
use crate::client::http::{self, location, resolver};
use crate::client::{Challenge, Credential, Registry};
use crate::{AuthError, Error, HttpError, Result};

/// The largest answer of a token service that is read, in bytes.
const MAX_ANSWER: u64 = 1024 * 1024;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

/// Asks the token service that a challenge names for a token with these scopes.
pub(super) async fn fetch(
    registry: &Registry,
    challenge: &Challenge,
    scopes: &[String],
    credential: Option<Credential>,
) -> Result<Authorization> {
    let realm = realm(registry, challenge, credential.is_some())?;
    let is_known = credential.is_some();
    let call = match credential {
        Some(Credential::Identity(token)) => refresh(realm, challenge, scopes, &token),
        Some(Credential::Basic { username, password }) => {
            let authorization = Authorization::basic(&username, &password);
            let mut call = ask(realm, challenge, scopes);
            call.headers
                .extend(authorization.map(|authorization| (AUTHORIZATION, authorization.header)));
            call
        }
        _ => ask(realm, challenge, scopes),
    };
    let url = call.url.clone();
    let response = registry.client.0.http.send(&call).await?;
    let answer = read(registry, response, &url, is_known).await?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    // A tenth is left for the way: a token must not end while a request is under way.
    let lifetime = Duration::from_secs(answer.expires_in.unwrap_or(60)).mul_f32(0.9);
    let authorization =
        Authorization::new("Bearer", &token, Some(lifetime)).filter(|_| !token.is_empty());
    let authorization = authorization.ok_or_else(|| broken(registry, &url, "gives no token"))?;
    Ok(Authorization { is_known, ..authorization })
}

/// Checks where the credentials would go.
fn realm(registry: &Registry, challenge: &Challenge, has_credential: bool) -> Result<Url> {
    let text = challenge.parameter("realm").unwrap_or_default();
    let invalid =
        || HttpError::InvalidAddress { text: crate::client::http::envelope::printable(text) };
    let realm = Url::parse(text).map_err(|_| invalid())?;
    let named =
        registry.client.0.options.token_hosts.get(&registry.host).map_or(&[][..], Vec::as_slice);
    let is_own = realm.host_str() == registry.base.host_str();
    let is_allowed = match has_credential {
        true => realm::is_trusted(&realm, &registry.base, &registry.host, named),
        false => {
            realm::is_reachable(&realm, &registry.base)
                && (is_own || !resolver::is_forbidden_host(&realm))
        }
    };
    match is_allowed {
        true => Ok(realm),
        false => Err(AuthError::UntrustedRealm {
            registry: registry.host.clone(),
            realm: location::shown(&realm),
        }
        .into()),
    }
}

/// All scopes: those that this client needs, and those that the registry said.
fn scopes<'a>(challenge: &'a Challenge, wanted: &'a [String]) -> Vec<&'a str> {
    let mut all: Vec<&str> = wanted.iter().map(String::as_str).collect();
    for scope in challenge.parameter("scope").unwrap_or_default().split_ascii_whitespace() {
        if !all.contains(&scope) {
            all.push(scope);
        }
    }
    all
}

fn ask(mut realm: Url, challenge: &Challenge, wanted: &[String]) -> http::Call {
    {
        let mut query = realm.query_pairs_mut();
        query.extend_pairs(challenge.parameter("service").map(|service| ("service", service)));
        query.extend_pairs(scopes(challenge, wanted).into_iter().map(|scope| ("scope", scope)));
    }
    http::Call::get(realm)
}

fn refresh(realm: Url, challenge: &Challenge, wanted: &[String], token: &str) -> http::Call {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", challenge.parameter("service").unwrap_or_default())
        .append_pair("client_id", "kit-rs")
        .append_pair("scope", &scopes(challenge, wanted).join(" "))
        .append_pair("refresh_token", token)
        .finish();
    http::Call::new(Method::POST, realm)
        .with(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .carrying(http::Payload::Bytes(form.into()))
}

/// Reads the answer. Nothing of it is ever shown: it may be a page from inside a network
/// (CVE-2026-33990).
async fn read(
    registry: &Registry,
    response: Response,
    url: &Url,
    is_known: bool,
) -> Result<Answer> {
    let status = response.status();
    match (status.as_u16(), is_known) {
        (200, _) => {}
        (401 | 403, true) => {
            return Err(AuthError::Denied {
                registry: registry.host.clone(),
                reasons: String::new(),
            }
            .into());
        }
        (401 | 403, false) => {
            return Err(AuthError::NotLoggedIn { registry: registry.host.clone() }.into());
        }
        (300..=399, _) => return Err(broken(registry, url, "redirects, which is not followed")),
        (status, _) => return Err(broken(registry, url, &format!("answered {status}"))),
    }
    let body = registry.client.0.http.read(response, MAX_ANSWER).await?;
    serde_json::from_slice(&body).map_err(|_| broken(registry, url, "gives no token document"))
}

fn broken(registry: &Registry, url: &Url, reason: &str) -> Error {
    AuthError::Token {
        registry: registry.host.clone(),
        realm: location::shown(url),
        reason: reason.to_owned(),
    }
    .into()
}
