//! Forwarding: a request that another node decides about goes there, whole, once, and with the time that is left.
//!
//! Nodes try a request themselves. One that ends before anything was written, because another node decides about it, is
//! sent there as it came, with its idempotency key: the answer is that node's. What was forwarded is forwarded no
//! further. A node that is alone forwards nothing, and holds no body for it.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::{Code, Id};

use super::layer::RequestId;
use super::{HttpState, answer};
use crate::base::error::Error;
use crate::base::limits::http::RETRY_AFTER_S;
use crate::base::limits::nodes::FORWARD_MS_MIN;
use crate::base::written;

/// Header of a request that was forwarded: the milliseconds that are left for it.
static DEADLINE: HeaderName = HeaderName::from_static("fanfare-deadline-ms");
/// Header of an answer to whoever wrote: the record up to which others are to have come.
static POSITION: HeaderName = HeaderName::from_static("fanfare-position");
/// Header of a request: the record up to which whoever asks has seen.
static AFTER: HeaderName = HeaderName::from_static("fanfare-after");
static X_REQUEST_ID: LazyLock<HeaderName> = LazyLock::new(|| HeaderName::from_static("x-request-id"));

/// Way to other nodes.
#[async_trait]
pub trait Forwarding: Send + Sync + 'static {
    /// Answer of `node` to a whole request.
    ///
    /// # Errors
    /// When it cannot be reached, and nothing was begun there; [`Unknown`](fanfare_engines::EngineError::Unknown) when
    /// nobody can say what was.
    async fn forward(&self, node: &str, request: Request) -> Result<Response, Error>;
}

/// Mark of an answer: this node decides about it.
#[derive(Debug, Clone)]
pub(super) struct DecidedBy(pub(super) Arc<str>);

/// Time that a request has, of the `bound` for all: less where another node waits for it.
pub(super) fn bound_of(http: &HttpState, request: &Request, bound: Duration) -> Duration {
    let forwarded = http.forward().and_then(|_| deadline_of(request.headers()));
    forwarded.map_or(bound, |left| bound.min(left))
}

fn deadline_of(headers: &HeaderMap) -> Option<Duration> {
    let left_ms = headers.get(&DEADLINE)?.to_str().ok()?.parse().unwrap_or(FORWARD_MS_MIN);
    Some(Duration::from_millis(left_ms))
}

/// Says in an answer up to which record whoever wrote wants others to have come.
pub(super) fn say_position(response: &mut Response, last: Id) {
    if last.0 > 0 {
        response.headers_mut().insert(&POSITION, HeaderValue::from(last.0));
    }
}

fn id_in(headers: &HeaderMap, name: &HeaderName) -> Option<Id> {
    headers.get(name)?.to_str().ok()?.parse().ok().map(Id)
}

/// Record up to which whoever asks has seen, on whatever node; 0 where they do not say.
pub(super) fn seen(headers: &HeaderMap) -> Id {
    id_in(headers, &AFTER).unwrap_or_default()
}

/// The answer of the rest of the stack, or of the node that decides, to a request that may change something and has
/// `bound` for it.
pub(super) async fn answered(http: &HttpState, bound: Duration, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let Some(way) = http.forward().cloned().filter(|_| deadline_of(request.headers()).is_none()) else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let body_max = usize::try_from(http.settings().body_bytes_max).unwrap_or(usize::MAX);
    let Ok(body) = to_bytes(body, body_max).await else {
        return Error::refused(Code::PayloadTooLarge, format!("at most {body_max} bytes")).into_response();
    };
    let request = Request::from_parts(parts.clone(), Body::from(body.clone()));
    let (response, wrote) = written::telling(next.run(request)).await;
    if wrote.any {
        written::note();
        written::record(wrote.last);
        return response;
    }
    let Some(DecidedBy(node)) = response.extensions().get().cloned() else { return response };
    let left = bound.saturating_sub(started.elapsed());
    if left < Duration::from_millis(FORWARD_MS_MIN) {
        return response;
    }
    let mut forwarded = Request::new(Body::from(body));
    (*forwarded.method_mut(), *forwarded.uri_mut()) = (parts.method, parts.uri);
    *forwarded.headers_mut() = parts.headers;
    forwarded.headers_mut().insert(&DEADLINE, HeaderValue::from(left.as_millis() as u64));
    if let Some(id) = parts.extensions.get::<RequestId>() {
        forwarded.headers_mut().insert(&*X_REQUEST_ID, id.clone().into_header());
    }
    if let Some(peer) = parts.extensions.get::<ConnectInfo<SocketAddr>>() {
        forwarded.extensions_mut().insert(*peer);
    }
    match tokio::time::timeout(left, way.forward(&node, forwarded)).await {
        Ok(Ok(response)) => {
            // Whoever asked reads here.
            if let Some(position) = id_in(response.headers(), &POSITION) {
                http.followed(position).await;
            }
            response
        }
        Ok(Err(error)) => error.into_response(),
        Err(_) => answer::outcome_unknown(),
    }
}

/// The answer of a node to which there is no way now.
#[must_use]
pub fn no_way() -> Error {
    Error::Overloaded { reason: "the node that decides about this is not reached", retry_after_s: RETRY_AFTER_S }
}
