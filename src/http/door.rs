//! Door in front of the router: requests whose answer is in memory are answered before anything is routed.
//!
//! Whoever stands at it knows the few requests that are worth it, and this room knows nothing of them. A request that
//! the door answers passes the same bounds as every other and leaves with the same headers, metrics and lines of the
//! log; where a bound is reached, or anything about it is unusual, it goes through the router, which refuses it or
//! answers it as it would have without a door. Plain requests come to it from `doorstep`, others in the service that
//! hyper calls.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::Response;

use super::HttpState;
use super::client_addr::{client_of_peer, client_of_proxy};
use super::heads;
use super::layer::{Begun, NO_ROUTE, OpenReferrer, common_headers, panicked, write_id};
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

/// Answer without a body that is made once and given often.
#[derive(Debug, Clone)]
pub struct Prepared {
    status: StatusCode,
    headers: Box<[(HeaderName, HeaderValue)]>,
    /// Whether browsers may tell the next page where they came from.
    opens_referrer: bool,
    /// Status line and headers, as they are sent.
    wire: Box<[u8]>,
}

impl Prepared {
    /// With `headers` that are none of those that all answers have. `opens_referrer`: browsers may tell the next page
    /// where they came from.
    #[must_use]
    pub fn new(
        status: StatusCode,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        opens_referrer: bool,
    ) -> Self {
        let headers: Box<[_]> = headers.into_iter().collect();
        let line = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
        let mut wire = line.into_bytes();
        headers.iter().for_each(|(name, value)| write_header(name, value, &mut wire));
        Self { status, headers, opens_referrer, wire: wire.into() }
    }

    /// The answer as routes give it.
    #[must_use]
    pub fn response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers.iter().cloned());
        if self.opens_referrer {
            response.extensions_mut().insert(OpenReferrer);
        }
        response
    }

    /// Status of the answer.
    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }
}

fn write_header(name: &HeaderName, value: &HeaderValue, into: &mut Vec<u8>) {
    for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        into.extend_from_slice(part);
    }
}

/// Answer of the door.
#[derive(Debug)]
pub struct DoorAnswer {
    /// The answer, without the headers that all have.
    pub prepared: Arc<Prepared>,
    /// Route whose answer it is, for metrics.
    pub route: &'static str,
}

/// Word of the door to a request.
#[derive(Debug)]
pub enum Opened {
    /// The answer.
    Answered(DoorAnswer),
    /// Nothing is in memory of what is asked for: it can be [learnt](Door::learn).
    Unknown,
    /// The request is the router's.
    Closed,
}

/// Whoever answers requests before the router.
#[async_trait]
pub trait Door: Send + Sync + 'static {
    /// Answers a request at once, exactly as its route would; whatever else it says, it has had no effect. Never waits.
    fn open(&self, knock: &Knock<'_>) -> Opened;

    /// Takes into memory what is at `path`, if there is anything; the next look tells.
    async fn learn(&self, path: &str);
}

/// The door of a server, and what all answers carry besides.
pub(super) struct Doorway {
    door: Arc<dyn Door>,
    /// Headers with which other origins are told what they may do, for requests that name none.
    always: HeaderMap,
    /// Headers of all answers, `always` among them, as they are sent; the second for answers that open the referrer.
    tails: [Vec<u8>; 2],
}

impl Doorway {
    /// `door` at a server with these settings.
    pub(super) fn new(door: Arc<dyn Door>, settings: &Http) -> Self {
        let always = cors_without_origin(settings);
        let tails = [false, true].map(|opens_referrer| {
            let mut tail = Vec::new();
            always.iter().for_each(|(name, value)| write_header(name, value, &mut tail));
            common_headers(opens_referrer).for_each(|(name, value)| write_header(name, value, &mut tail));
            tail
        });
        Self { door, always, tails }
    }

    /// Whoever stands at it.
    pub(super) fn door(&self) -> &dyn Door {
        &*self.door
    }

    /// Adds the bytes of an answer to a request with `headers` to `into`, with this `Date`.
    pub(super) fn write(&self, prepared: &Prepared, headers: &HeaderMap, date: &[u8], into: &mut Vec<u8>) {
        into.extend_from_slice(&prepared.wire);
        into.extend_from_slice(&self.tails[usize::from(prepared.opens_referrer)]);
        write_id(headers, into);
        for part in [b"content-length: 0\r\ndate: ", date, b"\r\n\r\n"] {
            into.extend_from_slice(part);
        }
    }

    /// Asks the door about a request that is plain.
    pub(super) fn ask(&self, http: &HttpState, asked: &AtDoor<'_>) -> Heard {
        let AtDoor { path, headers, peer, is_head } = *asked;
        let Ok(_place) = http.in_flight().try_acquire() else { return Heard::Closed };
        let own_place = match client_of_proxy(peer, headers, http) {
            None => None,
            Some(client) => match http.addresses().enter(client) {
                None => return Heard::Closed,
                place => place,
            },
        };
        let knock = Knock { path, headers, client: client_of_peer(peer, headers, http), is_head };
        let opened = catch_unwind(AssertUnwindSafe(|| self.door.open(&knock)));
        drop(own_place);
        match opened {
            Ok(Opened::Answered(answer)) => Heard::Answered(answer),
            Ok(Opened::Unknown) => Heard::Unknown,
            Ok(Opened::Closed) => Heard::Closed,
            Err(panic) => Heard::Panicked(panic),
        }
    }
}

/// Request at the door: its head was read, there is no body, and its `Host` is one.
#[derive(Clone, Copy)]
pub(super) struct AtDoor<'a> {
    /// Path, which [begins](BEGINS) as those do that a door may know.
    pub path: &'a str,
    /// Headers; none of another origin.
    pub headers: &'a HeaderMap,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// Whether only the head of the answer is wanted.
    pub is_head: bool,
}

/// Word of the door, with what may go wrong there.
pub(super) enum Heard {
    /// The answer.
    Answered(DoorAnswer),
    /// Nothing is in memory of what is asked for.
    Unknown,
    /// The request is the router's.
    Closed,
    /// Whoever stands at the door panicked.
    Panicked(Box<dyn Any + Send>),
}

/// Beginning of every path that a door may know.
pub(super) const BEGINS: &str = "/s/";

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
    let (mut response, route) = match door.ask(http, &AtDoor { path, headers, peer, is_head }) {
        Heard::Answered(DoorAnswer { prepared, route }) => (prepared.response(), route),
        Heard::Panicked(panic) => (panicked(&*panic), NO_ROUTE),
        Heard::Unknown | Heard::Closed => return None,
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

/// Whether a request that names `host` is one to the short host.
pub(super) fn is_short_host(short: &str, host: &str) -> bool {
    without_port(host).trim_end_matches('.').eq_ignore_ascii_case(short)
}

/// Takes a request to the short host to the routes of links: below it there is nothing else.
pub(super) fn on_short_host<B>(http: &HttpState, request: &mut Request<B>) {
    let Some(short) = http.short_host() else { return };
    let uri = request.uri();
    let named = || request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !uri.host().or_else(named).is_some_and(|host| is_short_host(short, host)) {
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
