//! Metrics that Prometheus reads, and the listener of `metrics.listen`, which answers it without a token and answers
//! nothing else.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Router, middleware};
use fanfare_protocol::Code;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::routes::wrong_method;
use super::server::Connections;
use super::{HttpState, doors, layer};
use crate::base::error::Error;
use crate::base::limits::http::{SCRAPE_GRACE_MS, SCRAPES_MAX};

/// The numbers as Prometheus text.
pub(super) fn rendered(http: &HttpState) -> Response {
    let in_flight = http.settings().requests_in_flight_max.saturating_sub(http.in_flight().available_permits());
    metrics::gauge!("fanfare_http_requests_in_flight").set(u32::try_from(in_flight).unwrap_or(u32::MAX));
    http.storage().gauge();
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"))];
    (content_type, http.metrics().render()).into_response()
}

/// Answers `/metrics` on `listener` to everybody who reaches it, until `over`.
pub(super) async fn serve(listener: TcpListener, http: HttpState, over: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(async |State(http): State<HttpState>| rendered(&http)))
        .fallback(only_metrics)
        .method_not_allowed_fallback(wrong_method)
        .with_state(http.clone());
    let local = listener.local_addr().is_ok_and(|address| address.ip().to_canonical().is_loopback());
    let router = if local { router.layer(middleware::from_fn(check_host)) } else { router };
    let router = router.layer(middleware::from_fn_with_state(http.clone(), layer::pass));
    let connections = Connections::default();
    tokio::select! {
        () = connections.accept(&listener, &router, http.settings(), SCRAPES_MAX, http.addresses()) => {}
        () = over.cancelled() => {}
    }
    connections.end(Duration::from_millis(SCRAPE_GRACE_MS)).await;
}

/// Refuses names that are not this machine's: what is for it is not for pages that a browser on it shows.
async fn check_host(request: Request, next: Next) -> Response {
    if doors::is_for_this_machine(request.headers()) {
        return next.run(request).await;
    }
    let detail = "this address answers only to names of this machine, such as localhost and 127.0.0.1";
    Error::refused(Code::Misdirected, detail).into_response()
}

async fn only_metrics() -> Error {
    Error::refused(Code::NotFound, "this address has /metrics only; the API is at http.listen")
}
