//! Request bodies: read within their limit, taken apart strictly, and checked before a handler sees them.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequest, MatchedPath, Request};
use axum::http::header;
use axum::http::request::Parts;
use fanfare_protocol::{Code, FieldError, Id, Problem};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::addresses::{Arriving, Memory};
use super::layer::shed;
use super::{HttpState, client_of};
use crate::base::error::Error;
use crate::base::limits::http::{
    BODY_IDLE_S, BODY_SLOW_MS, FIELD_MESSAGE_CHARS_MAX, IDEMPOTENCY_KEY_BYTES_MAX, RETRY_AFTER_S,
};
use crate::log::events::IdempotencyKey;

/// Limits of the operator that requests are checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checks {
    /// `posts.text_max`, in Unicode scalar values.
    pub text_chars_max: usize,
}

/// A request that can say what is wrong with it without looking anything up.
pub trait Check {
    /// Every field that is not allowed; empty when all is well. By default nothing is checked here: the service does.
    fn check(&self, _limits: &Checks) -> Vec<FieldError> {
        Vec::new()
    }
}

/// A JSON body that has been read, parsed and checked. Must be the last argument of a handler.
///
/// Refusals: 413 over the bound of its call, 503 when too many bodies arrive at once, 415 when it is not JSON by its
/// content type, 400 when it is not JSON, 422 when it is not a `T` or fails its [`Check`].
#[derive(Debug, Clone, Copy)]
pub struct Valid<T>(pub T);

impl<T, S> FromRequest<S> for Valid<T>
where
    T: DeserializeOwned + Check,
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let http = HttpState::from_ref(state);
        require_json(&request)?;
        let body = Arrived::of(request, &http).await?;
        parse(&body.bytes, http.checks()).map(Self)
    }
}

/// A [`Valid`] body of a call that can also be made without one: that is the default then.
#[derive(Debug, Clone, Copy)]
pub struct OrDefault<T>(pub T);

impl<T, S> FromRequest<S> for OrDefault<T>
where
    T: DeserializeOwned + Check + Default,
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let http = HttpState::from_ref(state);
        let typed = require_json(&request);
        let body = Arrived::of(request, &http).await?;
        if body.bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        typed?;
        parse(&body.bytes, http.checks()).map(Self)
    }
}

/// A body of JSON as it came, within the bound of its call: for one that is looked at before it is parsed.
#[derive(Debug)]
pub struct Unparsed(Arrived);

impl Unparsed {
    /// Whole body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// A `T` that is written in `json`, the body or a part of it.
    ///
    /// # Errors
    /// 400 when it is not JSON, 422 when it is not a `T`.
    pub fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
        serde_json::from_slice(json).map_err(|error| refusal(".", &error))
    }
}

impl<S> FromRequest<S> for Unparsed
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        require_json(&request)?;
        Arrived::of(request, &HttpState::from_ref(state)).await.map(Self)
    }
}

/// Fields of a form (`application/x-www-form-urlencoded`), as browsers send them. Must be the last argument of a
/// handler.
///
/// Refusals: as those of [`Valid`], 422 for fields that are no `T`.
#[derive(Debug, Clone, Copy)]
pub struct Form<T>(pub T);

impl<T, S> FromRequest<S> for Form<T>
where
    T: DeserializeOwned,
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        if media_type(&request) != "application/x-www-form-urlencoded" {
            let detail = "send the fields with `Content-Type: application/x-www-form-urlencoded`";
            return Err(Error::refused(Code::UnsupportedMediaType, detail));
        }
        let body = Arrived::of(request, &HttpState::from_ref(state)).await?;
        let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(&body.bytes));
        let fields = serde_path_to_error::deserialize(pairs);
        fields.map(Self).map_err(|error| {
            let path = error.path().to_string();
            Error::fields(vec![field_error(&path, "body", &error.inner().to_string())])
        })
    }
}

/// A [`Valid`] body of a POST that creates, with the client's `Idempotency-Key` if it sent one.
#[derive(Debug, Clone)]
pub struct Keyed<T> {
    /// The body.
    pub body: T,
    /// Mark that makes a repeat recognisable.
    pub key: Option<ClientKey>,
}

/// An `Idempotency-Key` with what it is bound to, but the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// Method and route, such as `POST /v1/posts`.
    pub route: String,
    /// Key that the client chose, 1 to 255 bytes.
    pub key: String,
    /// SHA-256 of the body, hexadecimal.
    pub body_hash: String,
}

impl ClientKey {
    /// The key as it is stored with the effect.
    #[must_use]
    pub fn of_caller(self, caller: Id) -> IdempotencyKey {
        IdempotencyKey { caller, route: self.route, key: self.key, body_hash: self.body_hash }
    }
}

impl<T, S> FromRequest<S> for Keyed<T>
where
    T: DeserializeOwned + Check,
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let http = HttpState::from_ref(state);
        require_json(&request)?;
        let named = named_key(&request)?;
        let arrived = Arrived::of(request, &http).await?;
        let body = parse(&arrived.bytes, http.checks())?;
        let hash = || hexadecimal(&Sha256::digest(&arrived.bytes));
        let key = named.map(|(route, key)| ClientKey { route, key, body_hash: hash() });
        Ok(Self { body, key })
    }
}

/// Route and `Idempotency-Key` of a request that has one.
///
/// # Errors
/// 422 when the key is empty, too long or not printable ASCII.
pub fn named_key(request: &Request) -> Result<Option<(String, String)>, Error> {
    let Some(value) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    let is_key = |text: &&str| {
        (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
    };
    let key = value.to_str().ok().filter(is_key).ok_or_else(|| {
        Error::field("Idempotency-Key", format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable ASCII characters"))
    })?;
    let route = request.extensions().get::<MatchedPath>().map_or(request.uri().path(), MatchedPath::as_str);
    Ok(Some((format!("{} {route}", request.method()), key.to_owned())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Media type of the body, without parameters, in lower case.
fn media_type(request: &Request) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn require_json(request: &Request) -> Result<(), Error> {
    let media_type = media_type(request);
    let json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let refusal = || Error::refused(Code::UnsupportedMediaType, "send the body with `Content-Type: application/json`");
    if json { Ok(()) } else { Err(refusal()) }
}

/// A whole body, and the memory that was set aside for it.
#[derive(Debug)]
struct Arrived {
    bytes: Bytes,
    _memory: Option<Memory>,
}

impl Arrived {
    /// Reads the body of a request within the bound of its call. What is left of a refused one is drained by the layer
    /// above.
    ///
    /// Most bodies come whole with their head, in the connection's buffer, and are taken as they are. One that is still
    /// on its way is gathered, and counts in the memory for bodies with what has been set aside for it.
    async fn of(request: Request, http: &HttpState) -> Result<Self, Error> {
        let bytes_max = http.bodies().bytes_max(&request);
        let (parts, body) = request.into_parts();
        let announced = body.size_hint().lower();
        if announced > bytes_max {
            return Err(too_large(bytes_max));
        }
        let mut body = Coming::new(body, &parts, http);
        let Some(first) = body.next().await? else { return Ok(Self { bytes: Bytes::new(), _memory: None }) };
        if first.len() as u64 > bytes_max {
            return Err(too_large(bytes_max));
        }
        if body.body.is_end_stream() {
            return Ok(Self { bytes: first, _memory: None });
        }
        gather(first, body, bytes_max).await
    }
}

fn too_large(bytes_max: u64) -> Error {
    Error::refused(Code::PayloadTooLarge, format!("the body is larger than {bytes_max} bytes"))
}

/// A body on its way.
struct Coming<'a> {
    body: Body,
    parts: &'a Parts,
    http: &'a HttpState,
    slow_at: Instant,
    /// Place of a request that takes its time: a client that sends little by little holds its request for as long as it
    /// likes.
    place: Option<Arriving>,
}

impl<'a> Coming<'a> {
    fn new(body: Body, parts: &'a Parts, http: &'a HttpState) -> Self {
        Self { body, parts, http, slow_at: Instant::now() + Duration::from_millis(BODY_SLOW_MS), place: None }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let cut_short = || Error::refused(Code::BadRequest, "the body did not arrive whole");
        let idle_at = Instant::now() + Duration::from_secs(BODY_IDLE_S);
        loop {
            let until = if self.place.is_none() { self.slow_at.min(idle_at) } else { idle_at };
            let Ok(frame) = timeout_at(until, self.body.frame()).await else {
                if self.place.is_some() {
                    return Err(cut_short());
                }
                let client = client_of(self.parts, self.http);
                self.place = Some(self.http.addresses().arrive(client).ok_or_else(too_many)?);
                continue;
            };
            let Some(frame) = frame else { return Ok(None) };
            if let Ok(data) = frame.map_err(|_| cut_short())?.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

fn too_many() -> Error {
    shed("bodies");
    Error::Overloaded { reason: "too many request bodies are arriving", retry_after_s: RETRY_AFTER_S }
}

/// Puts a body together that arrives in pieces.
async fn gather(first: Bytes, mut body: Coming<'_>, bytes_max: u64) -> Result<Arrived, Error> {
    let mut memory = body.http.addresses().memory(client_of(body.parts, body.http));
    let mut all = Vec::new();
    let mut piece = Some(first);
    while let Some(data) = piece {
        let bytes = all.len() + data.len();
        if bytes as u64 > bytes_max {
            return Err(too_large(bytes_max));
        }
        if bytes > all.capacity() {
            // Twice as much each time, and never more than there can be: what is set aside is what is counted.
            let most = usize::try_from(body.body.size_hint().upper().map_or(bytes_max, |left| bytes as u64 + left));
            let wanted = bytes.max(all.capacity() * 2).min(most.unwrap_or(usize::MAX)).max(bytes);
            if !memory.grow(wanted - all.capacity()) {
                return Err(too_many());
            }
            all.reserve_exact(wanted - all.len());
        }
        all.extend_from_slice(&data);
        // Before the wait: it may be a piece of a large buffer.
        drop(data);
        piece = body.next().await?;
    }
    Ok(Arrived { bytes: all.into(), _memory: Some(memory) })
}

fn parse<T: DeserializeOwned + Check>(bytes: &[u8], checks: &Checks) -> Result<T, Error> {
    // serde also reads structs from arrays, field by field in the order of the source; that is nobody's contract.
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| refusal(".", &error))?;
        return Err(Error::field("body", "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // serde_json takes `null` in place of a name for broken JSON.
        if error.to_string().starts_with("expected value")
            && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
        {
            return Error::Refused(Box::new(Problem::fields(vec![field_error(&path, "body", "is of the wrong type")])));
        }
        refusal(&path, &error)
    })?;
    json.end().map_err(|error| refusal(".", &error))?;
    let errors = value.check(checks);
    if errors.is_empty() { Ok(value) } else { Err(Error::fields(errors)) }
}

fn refusal(path: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&place).unwrap_or(&text);
    if error.classify() == Category::Data {
        return Error::Refused(Box::new(Problem::fields(vec![field_error(path, "body", message)])));
    }
    let detail = format!("the body is not JSON: {message} at line {}, column {}", error.line(), error.column());
    Error::refused(Code::BadRequest, detail)
}

/// Names the field itself where serde names only the object that it is, or should be, in.
///
/// `path` is as serde_path_to_error writes it; `root` is what the whole is called.
pub(super) fn field_error(path: &str, root: &str, message: &str) -> FieldError {
    let inside = |name: &str| match path {
        "." | "" => name.to_owned(),
        // Where a name itself was refused, the path may already end in it.
        _ if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        _ => format!("{path}.{name}"),
    };
    let named = |start: &str| {
        let rest = message.strip_prefix(start)?;
        let end = rest.find("`, ").or_else(|| rest.rfind('`'))?;
        Some((&rest[..end], rest[end + 1..].trim_start_matches([',', ' '])))
    };
    let (field, message) = if let Some((name, rest)) = named("unknown field `") {
        (inside(name), format!("is not a field of this request; {rest}"))
    } else if let Some((name, _)) = named("missing field `") {
        (inside(name), "is required".to_owned())
    } else if let Some((name, _)) = named("duplicate field `") {
        (inside(name), "is given twice".to_owned())
    } else {
        // The names of Rust types mean nothing to clients.
        let message = message
            .split_once("expected struct ")
            .map_or_else(|| message.to_owned(), |(before, _)| format!("{before}expected an object"));
        (if matches!(path, "." | "") { root.to_owned() } else { path.to_owned() }, message)
    };
    let cut = |text: String| text.chars().take(FIELD_MESSAGE_CHARS_MAX).collect::<String>();
    FieldError { field: cut(field), message: cut(message) }
}
