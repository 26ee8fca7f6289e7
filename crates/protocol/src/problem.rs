//! Answer of every refused request: `application/problem+json`, RFC 9457.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Machine-readable reason of a refusal; clients must tolerate codes that they do not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// 400: the request could not be read.
    BadRequest,
    /// 401: no token, or one that is wrong or ended.
    Unauthenticated,
    /// 401: handle and password of a log-in do not belong together. No token is at fault, so none is to be renewed.
    InvalidCredentials,
    /// 403: known who asks, and not allowed.
    Forbidden,
    /// 403: the account is suspended; told only to who has shown its password or a valid token.
    AccountSuspended,
    /// 403: a bot challenge must be solved first.
    ChallengeRequired,
    /// 404: there is no such thing, or not for the caller.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 409: the state does not allow it, such as a taken handle.
    Conflict,
    /// 410: it was there and is gone.
    Gone,
    /// 410: the snapshot a ranked cursor names is gone; start again without a cursor.
    SnapshotExpired,
    /// 413: the body is larger than the call takes.
    PayloadTooLarge,
    /// 415: the content type, or the media itself, is not supported.
    UnsupportedMediaType,
    /// 421: the server is not at home under the host that the request names.
    Misdirected,
    /// 422: understood, but a value is not allowed; `errors` names the fields.
    ValidationFailed,
    /// 429: too many requests; see `Retry-After`.
    RateLimited,
    /// 500: a fault of the server; `X-Request-Id` names the log lines.
    Internal,
    /// 503: the server sheds load or is not ready; see `Retry-After`.
    Overloaded,
    /// 503: perhaps it was done; repeat it with the same `Idempotency-Key`, see `Retry-After`.
    OutcomeUnknown,
    /// Any code of a newer server.
    #[serde(other)]
    Unknown,
}

impl Code {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated | Self::InvalidCredentials => 401,
            Self::Forbidden | Self::AccountSuspended | Self::ChallengeRequired => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::Gone | Self::SnapshotExpired => 410,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Misdirected => 421,
            Self::ValidationFailed => 422,
            Self::RateLimited => 429,
            Self::Internal | Self::Unknown => 500,
            Self::Overloaded | Self::OutcomeUnknown => 503,
        }
    }

    /// Short English title, the same for every occurrence of the code.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::BadRequest => "The request could not be read",
            Self::Unauthenticated => "A valid token is needed",
            Self::InvalidCredentials => "Handle and password do not belong together",
            Self::Forbidden => "This is not allowed",
            Self::AccountSuspended => "The account is suspended",
            Self::ChallengeRequired => "A challenge must be solved first",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The method is not supported here",
            Self::Conflict => "The present state does not allow this",
            Self::Gone => "It is gone",
            Self::SnapshotExpired => "The snapshot has expired",
            Self::PayloadTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The media type is not supported",
            Self::Misdirected => "The server is not known by this host",
            Self::ValidationFailed => "A value is not allowed",
            Self::RateLimited => "Too many requests",
            Self::Internal | Self::Unknown => "The server failed",
            Self::Overloaded => "The server is overloaded",
            Self::OutcomeUnknown => "Whether it was done is not known",
        }
    }
}

/// Field of the request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Path of the field, such as `text` or `media_ids[2]`; for query parameters their name, such as `limit`.
    pub field: String,
    /// Fault of the field, and what would be right.
    pub message: String,
}

/// An RFC 9457 problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// URI reference that names the kind of problem.
    #[schema(examples("/docs/problems#not_found"))]
    #[serde(rename = "type")]
    pub kind: String,
    /// Title of the code, equal for every occurrence.
    pub title: String,
    /// HTTP status.
    #[schema(examples(404))]
    pub status: u16,
    /// Explanation of this occurrence, and what to do.
    pub detail: String,
    /// Machine-readable reason.
    pub code: Code,
    /// The refused fields, for `validation_failed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seconds until another try, in replies to frames: over HTTP the header `Retry-After` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem with the status and title of `code`.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let slug = serde_json::to_value(code).ok().and_then(|value| value.as_str().map(str::to_owned));
        Self {
            kind: format!("/docs/problems#{}", slug.unwrap_or_default()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            errors: Vec::new(),
            retry_after_s: None,
        }
    }

    /// A `validation_failed` that names one field.
    #[must_use]
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        let error = FieldError { field: field.into(), message: message.into() };
        Self::fields(vec![error])
    }

    /// A `validation_failed` that names several fields.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let named: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
        Self { errors, ..Self::new(Code::ValidationFailed, named.join("; ")) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.title, self.detail)
    }
}

impl std::error::Error for Problem {}
