//! The list of routes that belong to no capability, and the router that carries all of them.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRef, FromRequestParts as _, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::Response;
use axum::{Json, middleware};
use fanfare_protocol::Code;
use futures_util::FutureExt as _;
use serde::Serialize;
use tower::{Layer as _, ServiceExt as _};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Admin, Doors, HttpState, Phase, Problems, bearer, docs, doors, layer, openapi, scrapes, welcome};
use crate::base::error::Error;
use crate::base::limits::http::RETRY_AFTER_S;
use crate::config::Http;

/// Seconds for which a browser may remember the answer to a preflight.
const PREFLIGHT_S: u64 = 3600;

/// Health, readiness and metrics.
pub fn operations<S>() -> OpenApiRouter<S>
where
    HttpState: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    OpenApiRouter::new().routes(routes!(healthz)).routes(routes!(readyz)).routes(routes!(metrics))
}

fn described<S>(routes: OpenApiRouter<S>) -> (Router<S>, utoipa::openapi::OpenApi)
where
    HttpState: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    let described = OpenApiRouter::with_openapi(openapi::Description::openapi());
    let (router, document) = described.merge(operations()).merge(routes).split_for_parts();
    (router, openapi::complete(document))
}

/// Description at `/openapi.json`, without a server.
pub fn document<S>(routes: OpenApiRouter<S>) -> utoipa::openapi::OpenApi
where
    HttpState: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    described(routes).1
}

/// The whole router: `routes` of the capabilities, [`operations`], the docs of both, and the layer that all requests
/// pass.
pub fn router<S>(routes: OpenApiRouter<S>, state: S) -> Router
where
    HttpState: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    put_together(routes, state, None)
}

/// Router of the demo: with its page, and with what it asks of hosts and origins.
pub fn demo<S>(routes: OpenApiRouter<S>, state: S, doors: Doors) -> Router
where
    HttpState: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    put_together(routes, state, Some(doors))
}

fn put_together<S>(routes: OpenApiRouter<S>, state: S, doors: Option<Doors>) -> Router
where
    HttpState: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    let http = HttpState::from_ref(&state);
    let (router, document) = described(routes);
    let mut router = router
        .merge(docs::router(document))
        .merge(welcome::router(doors.is_some()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .with_state(state)
        .layer(DefaultBodyLimit::max(usize::try_from(http.settings().body_bytes_max).unwrap_or(usize::MAX)));
    if let Some(cors) = cors(http.settings(), doors.as_ref()) {
        router = router.layer(cors);
    }
    if let Some(doors) = doors {
        // It looks at every request before anything else does.
        http.shut_door();
        router = router.layer(middleware::from_fn_with_state(doors, doors::check_host));
    }
    router.layer(middleware::from_fn_with_state(http, layer::pass))
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// `ok`.
    status: &'static str,
}

impl Health {
    /// The only thing it says.
    pub(super) const OK: Json<Self> = Json(Self { status: "ok" });
}

/// The process is alive.
///
/// For whoever restarts it when it is not. Answered also while the server sheds load.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "check_health", security(()),
    responses((status = 200, body = Health)))]
async fn healthz() -> Json<Health> {
    Health::OK
}

/// The server wants requests.
///
/// For load balancers: 503 while it starts, drains, or its storage is away or has failed, all of it or a part.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "check_readiness", security(()),
    responses((status = 200, body = Health), Problems))]
async fn readyz(State(http): State<HttpState>) -> Result<Json<Health>, Error> {
    let overloaded = |reason| Err(Error::Overloaded { reason, retry_after_s: RETRY_AFTER_S });
    if http.storage().has_failed() {
        return overloaded("the storage has failed; see the log, and restart the server");
    }
    match http.readiness().phase() {
        Phase::Ready if !http.storage().serves() => overloaded("the storage is away; it is tried again by itself"),
        Phase::Ready if !http.storage().is_whole() => {
            overloaded("a part of the log cannot be read, and what belongs to it takes nothing; see the server's log")
        }
        Phase::Starting => overloaded("the server is starting"),
        Phase::Ready => Ok(Health::OK),
        Phase::Draining => overloaded("the server is stopping"),
    }
}

/// Metrics as Prometheus text.
///
/// For the token in `metrics.token`, which opens nothing else, the admin token, and people who are operators.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "read_metrics",
    security(("metrics" = []), ("admin" = []), ("bearer" = [])),
    responses((status = 200, description = "Counters, gauges and histograms", body = String,
            content_type = "text/plain"),
        (status = 403, description = "the token is no operator's"), Problems))]
async fn metrics(State(http): State<HttpState>, mut parts: Parts) -> Result<Response, Error> {
    match bearer(&parts.headers)? {
        Some(token) if http.metrics_token().matches(token) => {}
        Some(_) => _ = Admin::from_request_parts(&mut parts, &http).await?,
        None => {
            let detail = "send the token that is in metrics.token in the data folder, or open metrics.listen";
            return Err(Error::refused(Code::Unauthenticated, detail));
        }
    }
    Ok(scrapes::rendered(&http))
}

async fn nothing_here() -> Error {
    Error::refused(Code::NotFound, "there is no such path; /docs lists the calls")
}

pub(super) async fn wrong_method() -> Error {
    Error::refused(Code::MethodNotAllowed, "the path exists, the method does not; see the Allow header")
}

/// Headers that the CORS layer gives answers to requests without an `Origin`.
pub(super) fn cors_without_origin(settings: &Http) -> HeaderMap {
    let Some(layer) = cors(settings, None) else { return HeaderMap::new() };
    let bare = tower::service_fn(|_: Request| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
    let answer = layer.layer(bare).oneshot(Request::new(Body::empty())).now_or_never();
    answer.and_then(Result::ok).map(|answer| answer.headers().clone()).unwrap_or_default()
}

/// The CORS layer for `http.cors_origins` and the demo's doors; `None` when no other origin may call.
fn cors(settings: &Http, doors: Option<&Doors>) -> Option<CorsLayer> {
    let origins = &settings.cors_origins;
    let listed = || origins.iter().filter_map(|origin| HeaderValue::from_str(&origin.0).ok());
    let all = origins.iter().any(|origin| origin.0 == "*");
    let allowed = match (doors, all) {
        (Some(doors), _) => {
            let (doors, listed) = (doors.clone(), listed().collect::<Vec<_>>());
            AllowOrigin::predicate(move |origin, request| {
                doors.lets_call(origin, request.uri.path(), all || listed.contains(origin))
            })
        }
        (None, true) => AllowOrigin::from(Any),
        (None, false) => AllowOrigin::list(listed()),
    };
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    // The last two lines: what EventSource polyfills and HTTP libraries add by themselves, and what players of media
    // ask with.
    let sent = [
        "authorization",
        "content-type",
        "idempotency-key",
        "last-event-id",
        "x-request-id",
        "cache-control",
        "pragma",
        "x-requested-with",
        "range",
        "if-range",
        "if-none-match",
    ];
    let shown = [
        "x-request-id",
        "location",
        "retry-after",
        "idempotency-replayed",
        "etag",
        "accept-ranges",
        "content-range",
        "content-disposition",
    ];
    let layer = CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods(methods)
        .allow_headers(sent.map(HeaderName::from_static))
        .expose_headers(shown.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_secs(PREFLIGHT_S));
    (doors.is_some() || !origins.is_empty()).then_some(layer)
}
