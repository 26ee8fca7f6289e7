//! Answers as results leave: bodies with their headers, and errors as RFC 9457 problems.
//!
//! This is the one place that maps [`Error`] outward. Causes go to the log, by way of [`Cause`], and never to clients.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fanfare_engines::EngineError;
use fanfare_protocol::{Code, Media, PROBLEM_JSON, Post, Problem, Session};
use serde::Serialize;
use utoipa::openapi::{RefOr, ResponseBuilder};

use super::forward::DecidedBy;
use crate::base::error::{DAMAGED, Error};
use crate::base::limits::http::RETRY_AFTER_S;

/// Why the server failed, carried in the answer's extensions to the layer that logs it with the request id.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub String);

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(problem) => answer(&problem, RETRY_AFTER_S),
            Self::Overloaded { reason, retry_after_s } => {
                undone(answer(&Problem::new(Code::Overloaded, format!("{reason}; try again later")), retry_after_s))
            }
            Self::RateLimited { reason, retry_after_s } => {
                let detail = format!("{reason}; try again in {retry_after_s} s");
                answer(&Problem::new(Code::RateLimited, detail), retry_after_s)
            }
            Self::Elsewhere(node) => {
                let problem = Problem::new(Code::Overloaded, "another node decides about this now; try again");
                let answer = with_cause(answer(&problem, RETRY_AFTER_S), format!("node {node} decides about it"));
                let mut response = undone(answer);
                response.extensions_mut().insert(DecidedBy(node));
                response
            }
            Self::Engine(EngineError::Unavailable(cause)) => {
                let problem = Problem::new(Code::Overloaded, "the storage is not available; try again later");
                undone(with_cause(answer(&problem, RETRY_AFTER_S), cause))
            }
            // The causes of these were logged when they happened, once.
            Self::Engine(EngineError::Closed(_)) => logged(answer(
                &Problem::new(Code::Overloaded, "the storage has failed; the operator must look at it"),
                RETRY_AFTER_S,
            )),
            Self::Damaged(_) => logged(answer(&Problem::new(Code::Overloaded, DAMAGED), RETRY_AFTER_S)),
            Self::Engine(EngineError::Full(_)) => {
                let detail =
                    "the disk of the server is as good as full; deletes are taken, and this once there is room";
                logged(answer(&Problem::new(Code::Overloaded, detail), RETRY_AFTER_S))
            }
            Self::Engine(EngineError::Unknown(cause)) => with_cause(outcome_unknown(), cause),
            Self::Engine(EngineError::Corrupt(cause)) => {
                undone(with_cause(answer(&Problem::new(Code::Overloaded, DAMAGED), RETRY_AFTER_S), cause))
            }
            Self::Engine(error) => internal(error.to_string()),
            Self::Internal(cause) | Self::Setting(cause) => internal(cause),
        }
    }
}

/// The reason of a failure stands in the log already: a request that meets it adds no line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logged;

/// Marks [`outcome_unknown`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt;

/// Marks a refusal that says that nothing was done: untrue when the request had written something before.
#[derive(Debug, Clone, Copy)]
struct Undone;

/// Refusal of which the log tells already: nothing was done.
fn logged(mut response: Response) -> Response {
    response.extensions_mut().insert(Logged);
    undone(response)
}

fn undone(mut response: Response) -> Response {
    response.extensions_mut().insert(Undone);
    response
}

/// The `answer` to a request that has written something: what could not go on after that is perhaps done.
pub(super) fn after_a_write(answer: Response) -> Response {
    if answer.extensions().get::<Undone>().is_none() {
        return answer;
    }
    let mut response = outcome_unknown();
    if let Some(cause) = answer.extensions().get::<Cause>() {
        response.extensions_mut().insert(cause.clone());
    }
    response
}

/// 503: perhaps it was done.
pub(super) fn outcome_unknown() -> Response {
    let detail = "whether it was done is not known; send it again with the same Idempotency-Key";
    let mut response = answer(&Problem::new(Code::OutcomeUnknown, detail), RETRY_AFTER_S);
    response.extensions_mut().insert(Doubt);
    response
}

/// 500 that tells the client where to look and the log what happened.
pub(super) fn internal(cause: String) -> Response {
    let problem = Problem::new(Code::Internal, "the server failed; X-Request-Id names the lines of its log");
    with_cause(answer(&problem, RETRY_AFTER_S), cause)
}

fn with_cause(mut response: Response, cause: String) -> Response {
    response.extensions_mut().insert(Cause(cause));
    response
}

/// The problem with the headers that go with its status.
fn answer(problem: &Problem, retry_after_s: u32) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    match problem.code {
        Code::Unauthenticated | Code::InvalidCredentials => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"fanfare\""));
        }
        Code::RateLimited | Code::Overloaded | Code::OutcomeUnknown => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
        }
        _ => {}
    }
    response
}

/// Something that has an address of its own.
pub trait Located {
    /// Path or URL, for the `Location` header.
    fn location(&self) -> String;
}

impl Located for Post {
    fn location(&self) -> String {
        format!("/v1/posts/{}", self.id)
    }
}

impl Located for Session {
    fn location(&self) -> String {
        format!("/v1/users/{}", self.user.id)
    }
}

impl Located for Media {
    fn location(&self) -> String {
        self.url.clone()
    }
}

/// 201 with the body and its `Location`.
#[derive(Debug)]
pub struct Created<T>(pub T);

impl<T: Serialize + Located> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let location: [(HeaderName, String); 1] = [(header::LOCATION, self.0.location())];
        (StatusCode::CREATED, location, Json(self.0)).into_response()
    }
}

/// 204.
#[derive(Debug)]
pub struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// Answers for `responses(…)` of a route: what every call can answer. What follows from its token, parameters and body
/// is added where the description is completed, in `http/openapi`; a handler names the refusals that are its own.
#[derive(Debug)]
pub struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let failed = "the server failed; `X-Request-Id` names the lines of its log";
        let overloaded = "the server sheds load, starts or stops; `Retry-After` says when to come back";
        let response = |words| RefOr::T(ResponseBuilder::new().description(words).build());
        BTreeMap::from([("500".to_owned(), response(failed)), ("503".to_owned(), response(overloaded))])
    }
}
