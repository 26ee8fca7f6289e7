//! A small typed client of Fanfare's native API, for tests and load generators.
//!
//! One [`Client`] is one caller on one server: a base address, maybe a token, and a pool of keep-alive connections that
//! its clones share. [`Client::send`] is the one way out; `calls` has a method for each call of the API, `admin` those
//! of operators. A refusal is [`ClientError::Problem`]. Where the server does not know what became of a request
//! (`outcome_unknown`), what may be sent twice is: GET, PUT, DELETE, and whatever carries an `Idempotency-Key`, up to
//! three times. What is still unknown then is the caller's to find out: read the thing, or repeat the call with the
//! same key. [`realtime`] listens, by whatever transport passes; [`conversations`] keeps a person's chat whole.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![warn(missing_docs)]

mod admin;
mod calls;
mod chat;
mod clicks;
pub mod conversations;
mod links;
mod live;
pub mod realtime;
mod repeats;

use std::time::Duration;

use bytes::Bytes;
use fanfare_protocol::{PROBLEM_JSON, Problem};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use calls::{FeedQuery, Order, Paging, Published, Upload};
pub use chat::{Made, MessagePlace, forwarding, media_message, text_message};
pub use clicks::StatsQuery;
pub use links::MadeLink;
pub use live::{LiveWatch, Watched};

/// Seconds after which a request without a whole answer is given up.
const REQUEST_S: u64 = 60;
/// Bytes of an answer; a larger one is an error.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Why a call did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused, and says why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The request or the answer was lost: nobody knows whether it happened.
    #[error("the server could not be asked: {0}")]
    Transport(String),
    /// The answer is not what the API promises.
    #[error("an answer of another shape (status {status}): {what}")]
    Shape {
        /// HTTP status.
        status: u16,
        /// Fault of the answer's body.
        what: String,
    },
}

impl ClientError {
    /// The problem, if the server refused.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}

/// Answer of a call.
pub type Result<T> = std::result::Result<T, ClientError>;

/// An answer as it came: for calls whose headers or status matter.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Answer {
    /// A header as text; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn shape(&self, what: &impl ToString) -> ClientError {
        ClientError::Shape { status: self.status.as_u16(), what: what.to_string() }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`ClientError::Shape`] when it is something else.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| self.shape(&error))
    }

    /// The answer if it is a success.
    ///
    /// # Errors
    /// The problem, if it is one.
    pub fn accepted(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        if self.header("content-type") != PROBLEM_JSON {
            return Err(self.shape(&String::from_utf8_lossy(&self.body)));
        }
        Err(ClientError::Problem(Box::new(self.json()?)))
    }
}

/// Caller of one server. Clones are cheap and share connections.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    base: String,
    token: Option<HeaderValue>,
}

impl Client {
    /// A caller without a token on the server at `base`, such as `http://127.0.0.1:7070`.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let mut connector = HttpConnector::new();
        // Requests are small and whole: waiting for more bytes to fill a packet only delays them.
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        Self { pool, base: base.trim_end_matches('/').to_owned(), token: None }
    }

    /// Client over the same connections with another token; one that cannot stand in a header is none.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).ok();
        if let Some(value) = &mut value {
            value.set_sensitive(true);
        }
        Self { token: value, ..self.clone() }
    }

    /// Client over the same connections without a token.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// The server's address, such as `http://127.0.0.1:7070`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends one request; `path` begins with `/`. Every status is an answer.
    ///
    /// # Errors
    /// [`ClientError::Transport`] when no whole answer came.
    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
        let lost = |error: &dyn std::error::Error| ClientError::Transport(with_sources(error));
        let uri: Uri =
            format!("{}{path}", self.base).parse().map_err(|error: hyper::http::uri::InvalidUri| lost(&error))?;
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).map_err(|error| lost(&error))?;
        let asked = async {
            let (head, body) = self.pool.request(request).await.map_err(|error| lost(&error))?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| lost(&*error))?;
            Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        let late = || ClientError::Transport(format!("no answer within {REQUEST_S} s"));
        tokio::time::timeout(Duration::from_secs(REQUEST_S), asked).await.map_err(|_| late())?
    }

    /// Sends a JSON body, or none; again while the outcome is unknown, if that does no harm.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_json<B: Serialize>(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&B>,
    ) -> Result<Answer> {
        let Some(body) = body else { return self.send_again(method, path, headers, Bytes::new()).await };
        let bytes = serde_json::to_vec(body).map_err(|error| ClientError::Transport(error.to_string()))?;
        let mut all = vec![(CONTENT_TYPE.as_str(), "application/json")];
        all.extend_from_slice(headers);
        self.send_again(method, path, &all, bytes.into()).await
    }

    async fn call<T: DeserializeOwned, B: Serialize>(&self, method: Method, path: &str, body: Option<&B>) -> Result<T> {
        self.send_json(method, path, &[], body).await?.accepted()?.json()
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None::<&()>).await
    }

    /// Sends a call that answers 204.
    async fn order<B: Serialize>(&self, method: Method, path: &str, body: Option<&B>) -> Result<()> {
        self.send_json(method, path, &[], body).await?.accepted().map(drop)
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
