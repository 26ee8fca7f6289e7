//! Request bodies: read within their limit, taken apart strictly, and checked before a handler sees them.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, FromRequest, MatchedPath, Request};
use axum::http::header;
use fanfare_protocol::{Code, FieldError, Id, Problem};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use sha2::{Digest as _, Sha256};

use super::HttpState;
use crate::error::Error;
use crate::events::IdempotencyKey;
use crate::limits::http::{BODY_IDLE_S, FIELD_MESSAGE_CHARS_MAX, IDEMPOTENCY_KEY_BYTES_MAX};

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

    /// Whether an array may stand for the object.
    const TAKES_LISTS: bool = false;
}

/// A JSON body that has been read, parsed and checked. Must be the last argument of a handler.
///
/// Refusals: 413 over `http.body_bytes_max`, 415 when it is not JSON by its content type, 400 when it is not JSON, 422
/// when it is not a `T` or fails its [`Check`].
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
        let bytes = read(request.into_body(), http.settings.body_bytes_max).await?;
        parse(&bytes, &http.checks).map(Self)
    }
}

/// A [`Valid`] body of a POST that creates, with the client's `Idempotency-Key` if it sent one.
#[derive(Debug, Clone)]
pub struct Keyed<T> {
    /// The body.
    pub body: T,
    /// What makes a repeat recognisable.
    pub key: Option<ClientKey>,
}

/// An `Idempotency-Key` with what it is bound to, but the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// Method and route, such as `POST /v1/posts`.
    pub route: String,
    /// What the client chose, 1 to 255 bytes.
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
        let bytes = read(request.into_body(), http.settings.body_bytes_max).await?;
        let body = parse(&bytes, &http.checks)?;
        let key = named.map(|(route, key)| ClientKey { route, key, body_hash: hexadecimal(&Sha256::digest(&bytes)) });
        Ok(Self { body, key })
    }
}

/// Route and `Idempotency-Key` of a request that has one.
///
/// # Errors
/// 422 when the key is empty, too long or not visible ASCII.
pub fn named_key(request: &Request) -> Result<Option<(String, String)>, Error> {
    let Some(value) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|text| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&text.len()));
    let key = text.ok_or_else(|| {
        Error::field("Idempotency-Key", format!("must be 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters"))
    })?;
    let route = request.extensions().get::<MatchedPath>().map_or(request.uri().path(), MatchedPath::as_str);
    Ok(Some((format!("{} {route}", request.method()), key.to_owned())))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn require_json(request: &Request) -> Result<(), Error> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json =
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    let refusal = || Error::refused(Code::UnsupportedMediaType, "send the body with `Content-Type: application/json`");
    if json { Ok(()) } else { Err(refusal()) }
}

/// The whole body, at most `bytes_max` of it. What is left of a refused one is drained by the layer above.
async fn read(mut body: Body, bytes_max: u64) -> Result<Bytes, Error> {
    let too_large = || Error::refused(Code::PayloadTooLarge, format!("the body is larger than {bytes_max} bytes"));
    let cut_short = || Error::refused(Code::BadRequest, "the body did not arrive whole");
    if body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    loop {
        let frame =
            tokio::time::timeout(Duration::from_secs(BODY_IDLE_S), body.frame()).await.map_err(|_| cut_short())?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| cut_short())?.into_data() else { continue };
        if (first.len() + all.len() + data.len()) as u64 > bytes_max {
            return Err(too_large());
        }
        // Most bodies are one frame, which is taken as it is.
        if first.is_empty() && all.is_empty() {
            first = data;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

fn parse<T: DeserializeOwned + Check>(bytes: &[u8], checks: &Checks) -> Result<T, Error> {
    // serde also reads structs from arrays, field by field in the order of the source; that is nobody's contract.
    if !T::TAKES_LISTS && bytes.trim_ascii_start().first() == Some(&b'[') {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| refusal(".", &error))?;
        return Err(Error::field("body", "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refusal(&path, &error.into_inner())
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
