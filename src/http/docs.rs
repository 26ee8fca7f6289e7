//! Documentation that the binary serves, without the internet: the API's pages and the list of problem codes.

use axum::http::{HeaderValue, header};
use axum::response::{Html, Response};
use axum::{Router, middleware, routing};
use fanfare_protocol::{Code, Problem};
use utoipa_swagger_ui::SwaggerUi;

/// Policy of the docs pages: they load only what this server serves. The API page sets styles and pictures inline.
const DOCS_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                           script-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// `/docs`, `/docs/problems` and `/openapi.json`.
pub(super) fn router<S: Clone + Send + Sync + 'static>(document: utoipa::openapi::OpenApi) -> Router<S> {
    // A token that is given under Authorize lives as long as the page: nobody finds it in the browser later.
    let page = utoipa_swagger_ui::Config::default().persist_authorization(false).try_it_out_enabled(true);
    let pages: Router<S> = SwaggerUi::new("/docs").config(page).url("/openapi.json", document).into();
    pages.route("/docs/problems", routing::get(problems)).layer(middleware::map_response(with_policy))
}

async fn with_policy(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(DOCS_POLICY));
    response
}

/// Every code that this server answers, with what a client does about it.
pub const CODES: [(Code, &str); 19] = [
    (
        Code::BadRequest,
        "Mend the request: the JSON, the cursor or a header cannot be read. Sending it again as it is will not help.",
    ),
    (Code::Unauthenticated, "Log in with POST /v1/sessions and send the token as Authorization: Bearer TOKEN."),
    (
        Code::InvalidCredentials,
        "Ask the person for handle and password again; which of them is wrong is not said. A new token does not help.",
    ),
    (Code::Forbidden, "The account may not do this. Another account may."),
    (
        Code::AccountSuspended,
        "An operator has suspended the account; the detail says until when, if it ends by itself. Logging in again does not help.",
    ),
    (
        Code::ChallengeRequired,
        "Solve the challenge that the answer names and send the request again with its solution.",
    ),
    (Code::NotFound, "Nothing is there, or not for you. Check the address and the id."),
    (Code::MethodNotAllowed, "The address is right, the method is not; the Allow header names those that are."),
    (
        Code::Conflict,
        "Something stands in the way, such as a handle that is taken. Read the detail, change the request.",
    ),
    (Code::Gone, "It was there and was deleted for good. Forget the id."),
    (Code::SnapshotExpired, "The ranking this cursor belongs to is gone. Start again without a cursor."),
    (Code::PayloadTooLarge, "Send less; the detail names the limit."),
    (Code::UnsupportedMediaType, "Send the content type that the call takes; for uploads, a format that is supported."),
    (
        Code::Misdirected,
        "Ask under an address that the server answers to; the demo answers to localhost and 127.0.0.1.",
    ),
    (Code::ValidationFailed, "The list under errors names each field and what would be right."),
    (Code::RateLimited, "Wait for as many seconds as Retry-After says, then send the request again."),
    (
        Code::Internal,
        "Not your fault. Sending the request again may help; the operator finds the cause by X-Request-Id.",
    ),
    (
        Code::Overloaded,
        "Wait for as many seconds as Retry-After says, then send the request again, POSTs with an Idempotency-Key.",
    ),
    (
        Code::OutcomeUnknown,
        "Perhaps it was done. After Retry-After send the same request again, a POST with the same Idempotency-Key: the answer is that of the first. While the first is still at work the answer is 409 conflict; wait again. Of a POST without a key look first whether it was done.",
    ),
];

async fn problems() -> Html<String> {
    let rows: String = CODES
        .iter()
        .map(|(code, advice)| {
            let kind = Problem::new(*code, "").kind;
            let slug = kind.rsplit('#').next().unwrap_or_default().to_owned();
            let (status, title) = (code.status(), code.title());
            format!("<section id=\"{slug}\"><h2><code>{slug}</code> <small>{status}</small></h2><p><b>{title}.</b> {advice}</p></section>\n")
        })
        .collect();
    Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Problems · Fanfare</title><style>body{{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;\
         padding:0 1rem;color-scheme:light dark}}h2{{margin:1.6rem 0 0;font-size:1.1rem}}p{{margin:.2rem 0}}:target{{outline:2px \
         solid;outline-offset:.5rem}}</style><h1>Problems</h1><p>A refused request is answered with \
         <code>application/problem+json</code> (RFC 9457). Its <code>code</code> is one of these; tolerate others. \
         <a href=\"/docs/\">The API</a></p>\n{rows}</html>"
    ))
}
