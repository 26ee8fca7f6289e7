//! Door in front of the router: requests whose answer is in memory are answered in the service that hyper calls.
//!
//! Whoever stands at it knows the few requests that are worth it, and this room knows nothing of them. A request that
//! the door answers passes the same bounds as every other and leaves with the same headers, metrics and lines of the
//! log; where a bound is reached, or anything about it is unusual, it goes through the router, which refuses it or
//! answers it as it would have without a door.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Method, Request, Uri, header};
use axum::response::Response;

use super::HttpState;
use super::client_addr::{client_of_peer, client_of_proxy};
use super::heads;
use super::layer::{Begun, NO_ROUTE, panicked};
use super::routes::cors_without_origin;
use crate::config::Http;

/// Request as the door is asked about it.
#[derive(Debug, Clone, Copy)]
pub struct Knock<'a> {
    /// Path, as it was sent.
    pub path: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub client: IpAddr,
    /// Whether only the head of the answer is wanted.
    pub is_head: bool,
}

/// Answer of the door.
#[derive(Debug)]
pub struct DoorAnswer {
    /// The answer, without the headers that all have.
    pub response: Response,
    /// Route whose answer it is, for metrics.
    pub route: &'static str,
}

/// Whoever answers requests before the router.
pub trait Door: Send + Sync + 'static {
    /// Answers a request at once, exactly as its route would; `None` leaves it to the router, and has no effect. Never
    /// waits.
    fn open(&self, knock: &Knock<'_>) -> Option<DoorAnswer>;
}

/// The door of a server, and what all answers carry besides.
pub(super) struct Doorway {
    door: Arc<dyn Door>,
    /// Headers with which other origins are told what they may do, for requests that name none.
    always: HeaderMap,
}

impl Doorway {
    /// `door` at a server with these settings.
    pub(super) fn new(door: Arc<dyn Door>, settings: &Http) -> Self {
        Self { door, always: cors_without_origin(settings) }
    }
}

/// Beginning of every path that a door may know.
const BEGINS: &str = "/s/";

/// The answer of the door to a request, if it has one.
pub(super) fn at_the_door<B>(http: &HttpState, request: &Request<B>, peer: SocketAddr) -> Option<Response>
where
    B: http_body::Body,
{
    let (method, headers) = (request.method(), request.headers());
    let path = request.uri().path();
    let is_head = method == Method::HEAD;
    let is_plain = (is_head || method == Method::GET) && path.starts_with(BEGINS) && request.body().is_end_stream();
    let door = http.door().filter(|_| is_plain && !headers.contains_key(header::ORIGIN))?;
    let begun = Begun::of(request);
    if heads::refusal(request).is_some() {
        return None;
    }
    let _place = http.in_flight().try_acquire().ok()?;
    let _own_place = match client_of_proxy(peer, headers, http) {
        None => None,
        Some(client) => Some(http.addresses().enter(client)?),
    };
    let knock = Knock { path, headers, client: client_of_peer(peer, headers, http), is_head };
    let opened = catch_unwind(AssertUnwindSafe(|| door.door.open(&knock)));
    let (mut response, route) = match opened {
        Ok(None) => return None,
        Ok(Some(DoorAnswer { response, route })) => (response, route),
        Err(panic) => (panicked(&*panic), NO_ROUTE),
    };
    if is_head && let Some(bytes) = http_body::Body::size_hint(response.body()).exact() {
        // As the router says it.
        response.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    }
    for (name, value) in &door.always {
        response.headers_mut().append(name, value.clone());
    }
    Some(begun.end(http, route, response))
}

/// Takes a request to the short host to the routes of links: below it there is nothing else.
pub(super) fn on_short_host<B>(http: &HttpState, request: &mut Request<B>) {
    let Some(short) = http.short_host() else { return };
    let uri = request.uri();
    let named = uri.host().or_else(|| {
        let host = request.headers().get(header::HOST)?.to_str().ok()?;
        Some(without_port(host))
    });
    if !named.is_some_and(|host| host.trim_end_matches('.').eq_ignore_ascii_case(short)) {
        return;
    }
    let below = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if let Ok(path) = PathAndQuery::try_from(format!("/s{below}")) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.path_and_query = Some(path);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}
