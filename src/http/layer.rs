//! The layer that every request passes: request id, bounds, panics, draining, headers, log and metrics.
//!
//! One function, so that the order is plain to see and a request pays for one boxed future, not for eight.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::Code;
use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, oneshot};

use super::answer::{Cause, Doubt, Logged, after_a_write, internal, outcome_unknown};
use super::client_addr::{client_of_proxy, client_of_request, peer_of};
use super::drain::Remains;
use super::{HttpState, drain, forward, heads};
use crate::base::error::Error;
use crate::base::limits::http::{REQUEST_ID_CHARS_MAX, RETRY_AFTER_S, UPLOAD_ROUTES, UPLOAD_TIMEOUT_S};
use crate::base::written;

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Headers that answers carry unless the handler chose otherwise.
static DEFAULT_HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
];
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Answers of 503 since the last line of the log that told of them: a storm of refusals is one line a second.
static SHED: Sampled = Sampled::new();
/// Paths that operators ask for: answered even when everything else is refused.
pub(super) const UNBOUNDED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The id of the request, in its answer's `X-Request-Id` and in the log: the client's own when it is sane, else a new
/// one.
#[derive(Debug, Clone)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as a header's value.
    pub(super) fn into_header(self) -> HeaderValue {
        self.0
    }

    fn of(headers: &HeaderMap) -> Self {
        Self(id_of_client(headers).cloned().unwrap_or_else(new_id))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self::of(&parts.headers)))
    }
}

/// The client's own id of a request, if it is sane.
fn id_of_client(headers: &HeaderMap) -> Option<&HeaderValue> {
    let sane = |value: &&HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=REQUEST_ID_CHARS_MAX).contains(&value.len()) && value.as_bytes().iter().all(plain)
    };
    headers.get(&X_REQUEST_ID).filter(sane)
}

/// Adds the line with the id of a request that has `headers`.
pub(super) fn write_id(headers: &HeaderMap, into: &mut Vec<u8>) {
    into.extend_from_slice(b"x-request-id: ");
    match id_of_client(headers) {
        Some(id) => into.extend_from_slice(id.as_bytes()),
        None => into.extend_from_slice(&new_digits()),
    }
    into.extend_from_slice(b"\r\n");
}

/// A new id.
pub(super) fn new_id() -> HeaderValue {
    HeaderValue::from_bytes(&new_digits()).unwrap_or(HeaderValue::from_static("none"))
}

/// Sixteen hexadecimal digits, unique in this process and unlikely in another.
fn new_digits() -> [u8; 16] {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(getrandom::u64().unwrap_or_default()));
    // The finalizer of SplitMix64 (Steele, Lea, Flood 2014) maps the count one to one, so that neighbours look
    // different.
    let mut mixed = NEXT.fetch_add(1, Ordering::Relaxed);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    std::array::from_fn(|place| b"0123456789abcdef"[(mixed >> (60 - 4 * place)) as usize & 15])
}

/// Name of the route of requests that have none.
pub(super) const NO_ROUTE: &str = "none";

/// Mark of an answer that does not tell browsers to keep from the next page where they came from.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenReferrer;

/// Headers that answers carry unless the handler chose otherwise.
pub(super) fn common_headers(
    opens_referrer: bool,
) -> impl Iterator<Item = (&'static HeaderName, &'static HeaderValue)> {
    let is_one = move |(name, _): &&(HeaderName, HeaderValue)| !(opens_referrer && *name == header::REFERRER_POLICY);
    DEFAULT_HEADERS.iter().filter(is_one).map(|(name, value)| (name, value))
}

/// Request whose answer is on its way: what its end needs.
pub(super) struct Begun {
    started: Instant,
    id: RequestId,
    method: Method,
    uri: Uri,
}

impl Begun {
    /// A request that arrives now.
    pub(super) fn of<B>(request: &axum::http::Request<B>) -> Self {
        let id = RequestId::of(request.headers());
        Self { started: Instant::now(), id, method: request.method().clone(), uri: request.uri().clone() }
    }

    /// The answer as it leaves: with the headers that all have, counted under `route`, and in the log.
    pub(super) fn end(self, http: &HttpState, route: &str, mut response: Response) -> Response {
        let open_referrer = response.extensions().get::<OpenReferrer>().is_some();
        let headers = response.headers_mut();
        for (name, value) in common_headers(open_referrer) {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        headers.insert(&X_REQUEST_ID, self.id.0.clone());
        let took = self.started.elapsed();
        http.meter().record(route, &self.method, response.status(), took);
        log(&self.id, &self.method, &self.uri, &response, took);
        response
    }
}

/// Runs the rest of the stack for one request.
pub(super) async fn pass(State(http): State<HttpState>, mut request: Request, next: Next) -> Response {
    let begun = Begun::of(&request);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or(NO_ROUTE, MatchedPath::as_str);
    request.extensions_mut().insert(begun.id.clone());
    let remains = drain::lend(&mut request);

    let mut response = match heads::refusal(&request) {
        None => bounded(&http, route, request, next, remains.as_ref()).await,
        Some(refusal) => {
            // Its body comes back to be drained.
            drop(request);
            refusal
        }
    };
    if !response.status().is_success()
        && let Some(remains) = remains
        && !remains.drain().await
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    begun.end(&http, route, as_problem(response))
}

/// The answer of the rest of the stack, or of the bound that the request ran into.
///
/// A request that may change something runs in a task of its own: a client that hangs up would otherwise cut it off
/// anywhere, with its commit on the way but its locks, caches and idempotency key let go.
async fn bounded(http: &HttpState, route: &str, request: Request, next: Next, remains: Option<&Remains>) -> Response {
    let place = Arc::clone(http.in_flight()).try_acquire_owned();
    if place.is_err() && !UNBOUNDED.contains(&route) {
        shed("requests");
        return overloaded("too many requests are under way");
    }
    let client = peer_of(&request).and_then(|peer| client_of_proxy(peer, request.headers(), http));
    let client = client.filter(|_| !UNBOUNDED.contains(&route));
    let Some(own_place) = client.map_or(Some(None), |client| http.addresses().enter(client).map(Some)) else {
        shed("requests_of_address");
        let reason = "too many requests of this address are under way";
        return Error::RateLimited { reason, retry_after_s: RETRY_AFTER_S }.into_response();
    };
    let upload = UPLOAD_ROUTES.contains(&route);
    let arriving = upload.then(|| http.addresses().arrive(client_of_request(&request, http)));
    if matches!(arriving, Some(None)) {
        shed("bodies");
        return overloaded("too many uploads of this address are under way");
    }
    let seconds = if upload { UPLOAD_TIMEOUT_S } else { http.settings().request_timeout_s };
    let bound = Duration::from_secs(seconds);
    let only_reads = request.method().is_safe();
    let places = (place, own_place, arriving);
    let answered = if only_reads {
        let answer = unpanicked(read(http, request, next));
        let answered = tokio::time::timeout(bound, answer).await.ok();
        drop(places);
        // Reading changes nothing that the client asked for: it may ask again.
        match answered {
            Some(answer) if answer.extensions().get::<Doubt>().is_some() => None,
            answered => answered,
        }
    } else {
        let bound = forward::bound_of(http, &request, bound);
        let answer = changed(http.clone(), (upload, bound), request, next);
        let (tell, told) = oneshot::channel();
        let task = http.writes().spawn(holding(places, (bound, Arc::clone(http.late())), answer, tell));
        let answered = told.await.unwrap_or_else(|_| Some(internal("a request was cut off".to_owned())));
        if answered.is_none() {
            if !remains.is_some_and(Remains::is_awaited) {
                // It goes on, and may be done yet.
                return outcome_unknown();
            }
            // Nothing was begun while its body was still arriving.
            task.abort();
            let _ = task.await;
        }
        answered
    };
    answered.unwrap_or_else(|| overloaded("the request took too long, or storage did not answer"))
}

/// The answer to a request that only reads.
async fn read(http: &HttpState, request: Request, next: Next) -> Response {
    if http.forward().is_none() {
        return next.run(request).await;
    }
    // What they have seen elsewhere is here, or comes within a second.
    http.followed(forward::seen(request.headers())).await;
    let mut answer = next.run(request).await;
    forward::say_position(&mut answer, http.position());
    answer
}

/// The answer to a request that may change something, once what follows from that is there.
async fn changed(http: HttpState, (upload, bound): (bool, Duration), request: Request, next: Next) -> Response {
    let is_among_nodes = http.forward().is_some();
    let answer = async {
        match is_among_nodes && !upload {
            true => forward::answered(&http, bound, request, next).await,
            false => next.run(request).await,
        }
    };
    let (answer, wrote) = written::telling(unpanicked(answer)).await;
    http.followed(wrote.last).await;
    let mut answer = if wrote.any { after_a_write(answer) } else { answer };
    if is_among_nodes {
        forward::say_position(&mut answer, wrote.last);
    }
    answer
}

/// The answer that comes, or that of a panic.
async fn unpanicked(answer: impl Future<Output = Response>) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| panicked(&*panic))
}

/// Does a request that holds `places` while somebody waits for it, which is `bound` at most; tells the answer, or that
/// there is none yet. What goes on later, because storage hangs, keeps nobody else out.
async fn holding<T>(
    places: T,
    (bound, late): (Duration, Arc<Semaphore>),
    answer: impl Future<Output = Response>,
    tell: oneshot::Sender<Option<Response>>,
) {
    let mut answer = pin!(answer);
    if let Ok(answered) = tokio::time::timeout(bound, &mut answer).await {
        drop(places);
        let _ = tell.send(Some(answered)); // a client that hung up needs no answer
        return;
    }
    let late = late.try_acquire_owned();
    // However many go on, they are bounded.
    let _first = late.is_err().then_some(places);
    let _ = tell.send(None);
    answer.await;
}

/// Counts what was refused because a bound was reached.
pub fn shed(what: &'static str) {
    metrics::counter!("fanfare_shed_total", "what" => what).increment(1);
}

fn overloaded(reason: &'static str) -> Response {
    Error::Overloaded { reason, retry_after_s: RETRY_AFTER_S }.into_response()
}

/// The answer of a request that panicked.
pub(super) fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
    internal(format!("panic: {text}"))
}

/// Bare refusals of the libraries below (they carry no body of JSON) become problems too.
fn as_problem(response: Response) -> Response {
    let status = response.status();
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let bare = content_type.is_none_or(|value| value.as_bytes().starts_with(b"text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !bare {
        return response;
    }
    let code = match status {
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::Forbidden,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::UnsupportedMediaType,
        StatusCode::UNPROCESSABLE_ENTITY => Code::ValidationFailed,
        status if status.is_client_error() => Code::BadRequest,
        // 416 and the like keep their meaning only as they are.
        _ => return response,
    };
    if code.status() != status.as_u16() {
        return response;
    }
    let mut problem = Error::refused(code, code.title()).into_response();
    // `Allow` of a 405 and the like stay.
    for (name, value) in response.headers() {
        if *name != header::CONTENT_TYPE && *name != header::CONTENT_LENGTH {
            problem.headers_mut().append(name.clone(), value.clone());
        }
    }
    problem
}

/// A count that is told at most once a second.
struct Sampled {
    count: AtomicU64,
    /// Second of the last time, from 1; 0 before there was one.
    told_s: AtomicU64,
}

impl Sampled {
    const fn new() -> Self {
        Self { count: AtomicU64::new(0), told_s: AtomicU64::new(0) }
    }

    /// Counts one more in this second; answers the count when it is told.
    fn due(&self, now_s: u64) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let before_s = self.told_s.load(Ordering::Relaxed);
        let first = now_s + 1 != before_s
            && self.told_s.compare_exchange(before_s, now_s + 1, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        first.then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

/// Whether each request has a line in the log.
pub(super) fn is_logged() -> bool {
    tracing::enabled!(target: "fanfare::access", tracing::Level::DEBUG)
}

/// Failures as errors with their cause, the rest for those who ask for it. Queries are left out: they can hold tokens.
fn log(id: &RequestId, method: &Method, uri: &Uri, response: &Response, took: Duration) {
    let (status, took_us) = (response.status().as_u16(), took.as_micros());
    let (request_id, path) = (id.as_str(), uri.path());
    if response.extensions().get::<Logged>().is_some() {
        tracing::debug!(target: "fanfare::access", request_id, %method, path, status, took_us, "storage has failed");
    } else if let Some(Cause(cause)) = response.extensions().get::<Cause>().filter(|_| status != 503) {
        tracing::error!(target: "fanfare::access", request_id, %method, path, status, took_us, cause);
    } else if let Some(count) = (status == 503).then(|| SHED.due(BEGAN.elapsed().as_secs())).flatten() {
        let reason = "requests are refused for now; this line stands for as many as the count says";
        // One of the causes: while storage is away every request has the same.
        let cause = response.extensions().get::<Cause>().map(|Cause(cause)| cause.as_str());
        tracing::warn!(target: "fanfare::access", request_id, %method, path, status, took_us, count, cause, reason);
    } else if status >= 500 && status != 503 {
        tracing::warn!(target: "fanfare::access", request_id, %method, path, status, took_us);
    } else {
        tracing::debug!(target: "fanfare::access", request_id, %method, path, status, took_us);
    }
}

#[cfg(test)]
mod tests {
    use super::Sampled;

    #[test]
    fn a_storm_is_told_once_a_second_with_its_count() {
        let told = Sampled::new();
        let lines: Vec<_> = [0, 0, 0, 1, 1, 3].into_iter().filter_map(|now_s| told.due(now_s)).collect();
        assert_eq!(lines, [1, 3, 2]);
    }
}
