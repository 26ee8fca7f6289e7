//! Routes of short links: of their owners below `/v1/links`, and of everybody at `/s/{code}`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fanfare_protocol::{Code, Link, NewLink, Page as Listed, PatchLink};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa::ToSchema;

use super::page::{self, Language, Page};
use super::qr;
use super::redirect::{Answer, wants_page};
use super::service::{Asked, Links, MadeLink, Visited};
use crate::base::error::{Error, Result};
use crate::base::limits::links::HOST_BYTES_MAX;
use crate::http::{Caller, Check, ClientAddr, Created, Form, Keyed, Located, NoContent, Paging, Path, Problems, Valid};

impl Check for NewLink {}
impl Check for PatchLink {}

impl Located for Link {
    fn location(&self) -> String {
        format!("/v1/links/{}", self.code)
    }
}

impl IntoResponse for MadeLink {
    fn into_response(self) -> Response {
        match self {
            Self::New(link) => Created(link).into_response(),
            Self::Replayed(link) => ([("idempotency-replayed", "true")], Created(link)).into_response(),
        }
    }
}

/// Password that a visitor sends.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPassword {
    /// The password.
    #[schema(examples("open sesame"))]
    pub password: String,
}

/// Make a short link.
///
/// Without an `alias` the server gives the shortest code that is free. With an `Idempotency-Key` the request can be
/// sent again until it is answered: the link is made once.
#[utoipa::path(post, path = "/v1/links", tag = "links", operation_id = "make_link", request_body = NewLink,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        description = "1 to 255 characters; a repeat within 24 h answers the first result")),
    responses((status = 201, body = Link), (status = 409, description = "the alias is taken"),
        (status = 410, description = "the link that the first request with this key made is deleted"), Problems))]
pub async fn make(
    State(links): State<Links>,
    caller: Caller,
    client: ClientAddr,
    new: Keyed<NewLink>,
) -> Result<MadeLink> {
    let key = new.key.map(|key| key.of_caller(caller.id));
    links.create(caller.id, new.body, key, client.0.into()).await
}

/// List the caller's links, newest first.
///
/// Deleted ones are not among them; those that have expired or are used up are.
#[utoipa::path(get, path = "/v1/links", tag = "links", operation_id = "list_links", params(Paging),
    responses((status = 200, body = Listed<Link>), Problems))]
pub async fn list(State(links): State<Links>, caller: Caller, paging: Paging) -> Result<Json<Listed<Link>>> {
    Ok(Json(links.page(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// All links of the caller as CSV, newest first.
///
/// A cell that begins like a formula has a `'` before it.
#[utoipa::path(get, path = "/v1/links.csv", tag = "links", operation_id = "export_links",
    responses((status = 200, description = "a line a link", body = String, content_type = "text/csv"), Problems))]
pub async fn export(State(links): State<Links>, caller: Caller) -> Response {
    let pieces = links.csv(caller.id).map_err(|error| axum::BoxError::from(error.to_string()));
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"links.csv\""),
        (header::CACHE_CONTROL, "private, no-store"),
    ];
    (headers, Body::from_stream(pieces)).into_response()
}

/// A link of the caller.
///
/// With its target, what limits it, and how often it was followed.
#[utoipa::path(get, path = "/v1/links/{code}", tag = "links", operation_id = "read_link",
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu")),
    responses((status = 200, body = Link), (status = 410, description = "the link was deleted"), Problems))]
pub async fn get(State(links): State<Links>, caller: Caller, Path(code): Path<String>) -> Result<Json<Link>> {
    Ok(Json(links.get(caller.id, &code).await?))
}

/// Change a link of the caller.
///
/// A JSON merge patch. Code and numbers stay; whoever follows the link from now on gets what it says then.
#[utoipa::path(patch, path = "/v1/links/{code}", tag = "links", operation_id = "change_link", request_body = PatchLink,
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu")),
    responses((status = 200, body = Link), (status = 410, description = "the link was deleted"), Problems))]
pub async fn change(
    State(links): State<Links>,
    caller: Caller,
    client: ClientAddr,
    Path(code): Path<String>,
    Valid(patch): Valid<PatchLink>,
) -> Result<Json<Link>> {
    Ok(Json(links.patch(caller.id, &code, patch, client.0.into()).await?))
}

/// Delete a link of the caller.
///
/// Its code answers 410 from now on, for ever, and its numbers are gone.
#[utoipa::path(delete, path = "/v1/links/{code}", tag = "links", operation_id = "delete_link",
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu")),
    responses((status = 204), (status = 410, description = "the link was deleted before"), Problems))]
pub async fn delete(State(links): State<Links>, caller: Caller, Path(code): Path<String>) -> Result<NoContent> {
    links.delete(caller.id, &code).await?;
    Ok(NoContent)
}

/// The short address of a link as a QR code.
///
/// An SVG with the quiet zone that readers need; error correction level M. Where the settings name no address of the
/// server, it holds the one under which this request came.
#[utoipa::path(get, path = "/v1/links/{code}/qr.svg", tag = "links", operation_id = "draw_link",
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu")),
    responses((status = 200, description = "the picture", body = String, content_type = "image/svg+xml"),
        (status = 410, description = "the link was deleted"), Problems))]
pub async fn draw(
    State(links): State<Links>,
    caller: Caller,
    Path(code): Path<String>,
    asked: HeaderMap,
) -> Result<Response> {
    let link = links.get(caller.id, &code).await?;
    let address = absolute(link.short_url, &asked);
    let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "private, no-store")];
    Ok((headers, qr::svg(&address)?).into_response())
}

/// The address with the host that a request named, where it has none of its own: a camera knows of no server.
fn absolute(address: String, asked: &HeaderMap) -> String {
    let host = asked.get(header::HOST).and_then(|host| host.to_str().ok()).filter(|host| host.len() <= HOST_BYTES_MAX);
    match host.filter(|host| address.starts_with('/') && host.parse::<Authority>().is_ok()) {
        Some(host) => format!("http://{host}{address}"),
        None => address,
    }
}

/// Follow a short link.
///
/// A redirect for whoever may go on. Browsers, which accept `text/html`, get pages in English or Chinese where there is
/// none; other clients get problems. HEAD is answered and not counted. On the host of `links.short_url` the same is at
/// `/{code}`.
#[utoipa::path(get, path = "/s/{code}", tag = "links", operation_id = "follow_link", security(()),
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu")),
    responses((status = 200, description = "a page without the target, for programs that look at links", body = String,
            content_type = "text/html"),
        (status = 301, description = "the target, which browsers may remember"),
        (status = 302, description = "the target"), (status = 401, description = "the link asks for a password"),
        (status = 403, description = "the operator blocks the link"),
        (status = 404, description = "there is no such link"),
        (status = 410, description = "the link was deleted, has expired, or is used up"),
        (status = 429, description = "too many unknown codes were asked for"), Problems))]
pub async fn follow(
    State(links): State<Links>,
    client: ClientAddr,
    Path(code): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let asked = Asked { code: &code, headers: &headers, client: client.0, is_head: method == Method::HEAD };
    match links.follow(&asked, None).await {
        Ok(Visited::On(link)) => link.answer.response(),
        Ok(Visited::Here(answer)) => stay(answer, false, &headers),
        Err(error) => refused(error, &headers),
    }
}

/// Follow a short link that asks for a password.
///
/// The right one is answered with the redirect; after five wrong ones for one link from one address it is 429 for a
/// while.
#[utoipa::path(post, path = "/s/{code}", tag = "links", operation_id = "unlock_link", security(()),
    request_body(content = LinkPassword, content_type = "application/x-www-form-urlencoded"),
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu")),
    responses((status = 200, description = "a page without the target, for programs that look at links", body = String,
            content_type = "text/html"),
        (status = 303, description = "the target"), (status = 400, description = "the body did not arrive whole"),
        (status = 403, description = "that is not the password"),
        (status = 413, description = "the body is larger than 16 KiB"), (status = 415, description = "the body is no form"),
        (status = 422, description = "`password` is missing, or there is another field"),
        (status = 404, description = "there is no such link"),
        (status = 410, description = "the link was deleted, has expired, or is used up"),
        (status = 429, description = "too many wrong passwords"), Problems))]
pub async fn unlock(
    State(links): State<Links>,
    client: ClientAddr,
    Path(code): Path<String>,
    headers: HeaderMap,
    Form(sent): Form<LinkPassword>,
) -> Response {
    let asked = Asked { code: &code, headers: &headers, client: client.0, is_head: false };
    match links.follow(&asked, Some(sent.password)).await {
        Ok(Visited::On(link)) => {
            let mut response = link.answer.response();
            *response.status_mut() = StatusCode::SEE_OTHER;
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
            response
        }
        Ok(Visited::Here(answer)) => stay(answer, true, &headers),
        Err(error) => refused(error, &headers),
    }
}

/// The first page of the short host.
///
/// The redirect to `links.home_url`; on the host of `links.short_url` it is at `/`.
#[utoipa::path(get, path = "/s/", tag = "links", operation_id = "follow_home", security(()),
    responses((status = 302, description = "`links.home_url`"),
        (status = 404, description = "`links.home_url` is not set"), Problems))]
pub async fn home(State(links): State<Links>) -> Response {
    let leads = links.home_url().and_then(|url| HeaderValue::from_str(url).ok());
    match leads {
        Some(url) => (StatusCode::FOUND, [(header::LOCATION, url)]).into_response(),
        None => Error::not_found("page").into_response(),
    }
}

/// Rules for programs on the short host.
///
/// They may follow links, or they could not show what is behind them. On the host of `links.short_url` it is at
/// `/robots.txt`.
#[utoipa::path(get, path = "/s/robots.txt", tag = "links", operation_id = "read_robots", security(()),
    responses((status = 200, description = "rules for programs", body = String, content_type = "text/plain"),
        Problems))]
pub async fn robots() -> &'static str {
    "User-agent: *\nAllow: /\n"
}

/// Answer to a visitor who does not go on; `tried`: with a password.
fn stay(answer: Answer, tried: bool, headers: &HeaderMap) -> Response {
    let forbidden = |detail: &str| Error::refused(Code::Forbidden, detail);
    let gone = |detail: &str| Error::refused(Code::Gone, detail);
    let (page, error) = match answer {
        Answer::Unknown => (Page::Unknown, Error::not_found("link")),
        Answer::Deleted => (Page::Over, Error::gone("link")),
        Answer::Expired => (Page::Over, gone("the link has expired")),
        Answer::UsedUp => (Page::Over, gone("the link was used as often as it may be")),
        Answer::Blocked => (Page::Blocked, forbidden("the operator of this server blocks the link")),
        Answer::Ask if tried => (Page::AskAgain, forbidden("that is not the password of the link")),
        Answer::Ask => (Page::Ask, Error::refused(Code::Unauthenticated, "the link asks for a password: POST it here")),
        Answer::Veiled | Answer::Claim | Answer::Go => return shown(StatusCode::OK, Page::Veiled, headers),
    };
    if !wants_page(headers) {
        return problem(error);
    }
    // A browser would ask for a token at a 401; the page asks for the password.
    let status = match answer {
        Answer::Ask if !tried => StatusCode::OK,
        _ => status_of(&error),
    };
    shown(status, page, headers)
}

fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Refused(problem) => StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Problem whose page is another for browsers: caches must know.
fn problem(error: Error) -> Response {
    let mut response = error.into_response();
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-language"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

fn refused(error: Error, headers: &HeaderMap) -> Response {
    if !wants_page(headers) || !matches!(error, Error::RateLimited { .. }) {
        return problem(error);
    }
    let mut response = problem(error);
    let retry = response.headers_mut().remove(header::RETRY_AFTER);
    let mut page = shown(response.status(), Page::Wait, headers);
    retry.into_iter().for_each(|retry| _ = page.headers_mut().insert(header::RETRY_AFTER, retry));
    page
}

fn shown(status: StatusCode, page: Page, headers: &HeaderMap) -> Response {
    let language = Language::of(headers);
    (status, page::headers(language), page::html(page, language)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_host_gets_that_of_the_request() {
        let asked = |host: &str| HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
        let path = || "/s/3x5pu".to_owned();
        assert_eq!(absolute(path(), &asked("10.1.2.3:7070")), "http://10.1.2.3:7070/s/3x5pu");
        for odd in ["a b", "a/b", "", &"a".repeat(HOST_BYTES_MAX + 1)] {
            assert_eq!(absolute(path(), &asked(odd)), path(), "{odd}");
        }
        assert_eq!(absolute(path(), &HeaderMap::new()), path());
        let own = || "https://s.example.org/3x5pu".to_owned();
        assert_eq!(absolute(own(), &asked("evil.example")), own());
    }
}
