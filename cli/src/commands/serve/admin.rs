//! The admin routes, on an address of their own: whoever can reach them decides what is served.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::ensure;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use registry::Reference;
use serde::Deserialize;
use serde_json::{Value, json};
use serve::ModelIdentity;

use super::follow::Follower;
use crate::steps::listen::bind;

/// What an order is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// `registry/repository:tag` or `…@sha256:…`.
    reference: String,
    /// Of the requests, for a canary: `"5%"`.
    share: Option<String>,
}

/// Listens and answers in the background.
pub(super) async fn start(
    address: &str,
    token: Option<String>,
    follower: Arc<Follower>,
) -> anyhow::Result<SocketAddr> {
    let listener = bind(address).await?;
    let address = listener.local_addr()?;
    let is_safe = address.ip().is_loopback() || token.is_some();
    ensure!(
        is_safe,
        "{address} can be reached by others: set KIT_RS_ADMIN_TOKEN, or listen on a loopback address"
    );
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router(token, follower)).await {
            tracing::error!("the admin routes broke off: {error}");
        }
    });
    Ok(address)
}

fn router(token: Option<String>, follower: Arc<Follower>) -> Router {
    Router::new()
        .route("/admin", get(state))
        .route("/admin/reload", post(reload))
        .route("/admin/canary", put(canary).delete(end_canary))
        .route("/admin/canary/promote", post(promote))
        .route("/admin/shadow", put(shadow).delete(end_shadow))
        .layer(from_fn_with_state(token.map(Arc::<str>::from), guard))
        .with_state(follower)
}

/// Lets in who has the token, where there is one, and no page of another site: a browser that was
/// led here names a host that is not an address, and cannot send JSON to another origin without
/// being asked for leave first.
async fn guard(State(token): State<Option<Arc<str>>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let has_token = token.as_ref().is_none_or(|token| {
        let given = given.and_then(|given| given.strip_prefix("Bearer ")).unwrap_or_default();
        // The time does not depend on how much of it is right.
        let differences =
            given.bytes().zip(token.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b));
        given.len() == token.len() && differences == 0
    });
    if !has_token {
        return refuse(StatusCode::UNAUTHORIZED, "a bearer token is needed");
    }
    if !is_address(request.headers()) || request.headers().contains_key(header::ORIGIN) {
        return refuse(StatusCode::FORBIDDEN, "not for pages in a browser");
    }
    next.run(request).await
}

fn is_address(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost"
        || host.parse::<SocketAddr>().is_ok()
        || host.parse::<std::net::IpAddr>().is_ok()
}

/// `GET /admin`
async fn state(State(follower): State<Arc<Follower>>) -> Response {
    let handle = &follower.handle;
    let canary = handle.canary_identity().map(|(identity, share)| {
        let mut canary = shown(&identity);
        canary["share"] = json!(format!("{}%", share * 100.0));
        canary
    });
    let shadow = handle.shadow_identity().map(|identity| shown(&identity));
    Json(json!({ "stable": shown(&handle.identity()), "canary": canary, "shadow": shadow }))
        .into_response()
}

/// `POST /admin/reload`
async fn reload(State(follower): State<Arc<Follower>>, Json(order): Json<Order>) -> Response {
    let Some(reference) = parsed(&order.reference) else { return not_a_reference(&order) };
    answer(follower.reload(&reference).await)
}

/// `PUT /admin/canary`
async fn canary(State(follower): State<Arc<Follower>>, Json(order): Json<Order>) -> Response {
    let Some(reference) = parsed(&order.reference) else { return not_a_reference(&order) };
    let Some(share) = order.share.as_deref().and_then(share) else {
        return refuse(
            StatusCode::UNPROCESSABLE_ENTITY,
            "a canary needs a \"share\" from \"0%\" to \"100%\"",
        );
    };
    answer(follower.canary(&reference, share).await)
}

/// `POST /admin/canary/promote`
async fn promote(State(follower): State<Arc<Follower>>) -> Response {
    match follower.handle.promote_canary() {
        true => Json(shown(&follower.handle.identity())).into_response(),
        false => refuse(StatusCode::CONFLICT, "there is no canary, or it has failed"),
    }
}

/// `DELETE /admin/canary`
async fn end_canary(State(follower): State<Arc<Follower>>) -> Response {
    follower.handle.end_canary();
    state(State(follower)).await
}

/// `PUT /admin/shadow`
async fn shadow(State(follower): State<Arc<Follower>>, Json(order): Json<Order>) -> Response {
    let Some(reference) = parsed(&order.reference) else { return not_a_reference(&order) };
    answer(follower.shadow(&reference).await)
}

/// `DELETE /admin/shadow`
async fn end_shadow(State(follower): State<Arc<Follower>>) -> Response {
    follower.handle.end_shadow();
    state(State(follower)).await
}

fn parsed(reference: &str) -> Option<Reference> {
    reference.parse::<Reference>().ok().map(|reference| reference.or_latest())
}

/// `5%` as 0.05.
pub(super) fn share(percent: &str) -> Option<f64> {
    let percent: f64 = percent.strip_suffix('%')?.trim().parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

fn not_a_reference(order: &Order) -> Response {
    refuse(StatusCode::UNPROCESSABLE_ENTITY, &format!("{:?} is not a reference", order.reference))
}

/// Says who it is now; or, when the new model could not be had or was refused, why, while the old
/// one keeps serving.
fn answer(done: anyhow::Result<ModelIdentity>) -> Response {
    match done {
        Ok(identity) => Json(shown(&identity)).into_response(),
        Err(error) => refuse(StatusCode::BAD_GATEWAY, &format!("{error:#}")),
    }
}

fn shown(identity: &ModelIdentity) -> Value {
    json!({ "digest": identity.digest, "reference": identity.reference })
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}
