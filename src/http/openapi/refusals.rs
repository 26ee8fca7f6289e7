//! Refusals of a call, by what it takes: its token, its parameters, its body.
//!
//! A refusal that a handler describes itself stays as it is. Each becomes a problem with one example a code; a
//! description that names no code means the usual one of its status.

use axum::http::Method;
use fanfare_protocol::{Code, PROBLEM_JSON, Problem};
use serde_json::{Value, json};
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response};

use super::OPERATORS;
use crate::http::bounds::Body;
use crate::http::docs::CODES;
use crate::http::layer::UNBOUNDED;

/// The code of a status, where a description names no other.
const USUAL: [Code; 12] = [
    Code::BadRequest,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::NotFound,
    Code::Conflict,
    Code::Gone,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::ValidationFailed,
    Code::RateLimited,
    Code::Internal,
    Code::Overloaded,
];

/// Adds the refusals that follow from what the operation takes, and says what problems its answers are.
pub(super) fn add(method: &Method, path: &str, operation: &mut Operation) {
    for (code, words) in usual(method, path, operation) {
        let response = Response::new(words);
        operation.responses.responses.entry(code.status().to_string()).or_insert(RefOr::T(response));
    }
    if !matches!(tokens(operation), Tokens::Unread) && !operation.responses.responses.contains_key("101") {
        let refusal = operation.responses.responses.entry("403".to_owned());
        if let RefOr::T(response) = refusal.or_insert(RefOr::T(Response::new(""))) {
            tell_of_suspensions(response);
        }
    }
    if takes(operation, "Idempotency-Key") {
        let replayed = RefOr::Ref(Ref::new("#/components/headers/Replayed"));
        if let Some(RefOr::T(made)) = operation.responses.responses.get_mut("201") {
            made.headers.insert("Idempotency-Replayed".to_owned(), replayed);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        let (Ok(status), RefOr::T(response)) = (status.parse::<u16>(), response) else { continue };
        if let Some(usual) = USUAL.into_iter().find(|code| code.status() == status)
            && response.content.is_empty()
        {
            describe(response, usual);
        }
    }
}

/// Whatever changes something may be cut off where nobody knows whether it was done.
pub(super) fn tell_of_unknown_outcomes(operation: &mut Operation) {
    let Some(RefOr::T(response)) = operation.responses.responses.get_mut("503") else { return };
    let (busy, unknown) = (slug(Code::Overloaded), slug(Code::OutcomeUnknown));
    let words = std::mem::take(&mut response.description);
    response.description =
        format!("`{busy}`: {words}; `{unknown}`: perhaps it was done: repeat it with the same `Idempotency-Key`");
}

/// Every token can be that of somebody who is suspended.
fn tell_of_suspensions(response: &mut Response) {
    let suspended = format!("`{}`: an operator has suspended the account", slug(Code::AccountSuspended));
    let words = std::mem::take(&mut response.description);
    response.description = match words.as_str() {
        "" => suspended,
        words if words.starts_with('`') => format!("{words}; {suspended}"),
        words => format!("`{}`: {words}; {suspended}", slug(Code::Forbidden)),
    };
}

/// Refusals that come whatever the handler does.
fn usual(method: &Method, path: &str, operation: &Operation) -> Vec<(Code, String)> {
    let mut all: Vec<(Code, String)> = Vec::new();
    let mut add = |code, words: &str| all.push((code, words.to_owned()));
    let json = body_types(operation).any(|kind| kind == "application/json");
    let cursor = takes(operation, "cursor") && takes(operation, "limit");
    match (json, cursor) {
        (true, _) => add(Code::BadRequest, "the body is not JSON"),
        (false, true) => add(Code::BadRequest, "the cursor is not one of this list and caller"),
        (false, false) => {}
    }
    // A WebSocket is opened and closed again, with the reason as its code.
    let socket = operation.responses.responses.contains_key("101");
    match tokens(operation) {
        Tokens::Needed if !socket => add(Code::Unauthenticated, "the token is missing, unknown or has ended"),
        Tokens::Welcome if !socket => {
            add(
                Code::Unauthenticated,
                "the token is unknown or has ended, or this server wants one (`api.public_reads`)",
            );
        }
        _ => {}
    }
    if !socket && !UNBOUNDED.contains(&path) {
        add(Code::RateLimited, "too many requests of the client's address are under way");
    }
    if path.starts_with(OPERATORS) {
        add(Code::Forbidden, "the token is no operator's");
    }
    if path.contains('{') {
        add(Code::NotFound, "there is no such thing, or not for the caller");
    }
    if takes(operation, "Idempotency-Key") {
        add(Code::Conflict, "the first request with this key is still at work");
    }
    if json {
        let bound = Body::of(method, path).map_or("the body is larger than `http.body_bytes_max`", Body::words);
        add(Code::PayloadTooLarge, bound);
        add(Code::UnsupportedMediaType, "the body is not `application/json` by its content type");
    }
    let questions = parameters(operation).any(|parameter| parameter.parameter_in == ParameterIn::Query);
    if questions || body_types(operation).next().is_some() || takes(operation, "Idempotency-Key") {
        add(Code::ValidationFailed, "a field or a parameter has a value that is not allowed; `errors` names it");
    }
    all
}

/// Whether a call asks for a token.
enum Tokens {
    /// Refused without one.
    Needed,
    /// More, or an answer at all, to who has one.
    Welcome,
    /// Never looked at.
    Unread,
}

fn tokens(operation: &Operation) -> Tokens {
    let Some(security) = &operation.security else { return Tokens::Needed };
    let nothing = |requirement: &Value| requirement.as_object().is_none_or(serde_json::Map::is_empty);
    let requirements = serde_json::to_value(security).unwrap_or_default();
    let requirements = requirements.as_array().map(Vec::as_slice).unwrap_or_default();
    match (requirements.iter().all(nothing), requirements.iter().any(nothing)) {
        (true, _) => Tokens::Unread,
        (false, true) => Tokens::Welcome,
        (false, false) => Tokens::Needed,
    }
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

fn takes(operation: &Operation, name: &str) -> bool {
    parameters(operation).any(|parameter| parameter.name == name)
}

fn body_types(operation: &Operation) -> impl Iterator<Item = &str> {
    let body = operation.request_body.as_ref().and_then(|body| match body {
        RefOr::T(body) => Some(body),
        RefOr::Ref(_) => None,
    });
    body.into_iter().flat_map(|body| body.content.keys().map(String::as_str))
}

/// Makes a problem of an answer: its codes in its words, and an example of each.
fn describe(response: &mut Response, usual: Code) {
    let named = |code: &Code| response.description.contains(&format!("`{}`", slug(*code)));
    let mut codes: Vec<Code> =
        CODES.iter().map(|(code, _)| *code).filter(|code| code.status() == usual.status() && named(code)).collect();
    if codes.is_empty() {
        codes.push(usual);
        response.description = match response.description.as_str() {
            "" => format!("`{}`", slug(usual)),
            words => format!("`{}`: {words}", slug(usual)),
        };
    }
    let example = |code| (slug(code), RefOr::Ref(Ref::new(format!("#/components/examples/{}", slug(code)))));
    let examples: Vec<(String, RefOr<Example>)> = codes.into_iter().map(example).collect();
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    response.content.insert(PROBLEM_JSON.to_owned(), RefOr::T(content.examples_from_iter(examples).build()));
}

/// A problem of every code, for answers to point at.
pub(super) fn examples() -> impl Iterator<Item = (String, RefOr<Example>)> {
    CODES.iter().map(|(code, advice)| {
        let problem = match code {
            Code::ValidationFailed => Problem::field("handle", "must not be empty"),
            _ => Problem::new(*code, code.title().to_lowercase()),
        };
        let example = ExampleBuilder::new().summary(code.title()).description(*advice).value(Some(json!(problem)));
        (slug(*code), RefOr::T(example.build()))
    })
}

fn slug(code: Code) -> String {
    json!(code).as_str().unwrap_or_default().to_owned()
}
