//! Heads of requests are read strictly: what two readers could take differently is refused before anything acts on it.

use axum::http::{HeaderName, HeaderValue, Request, Version, header};
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::Code;

use crate::base::error::Error;

/// The answer to a request whose head cannot be taken; `None` when all is well.
pub(super) fn refusal<B: http_body::Body>(request: &Request<B>) -> Option<Response> {
    let headers = request.headers();
    let count = |name: &HeaderName| headers.get_all(name).iter().take(2).count();
    let refused = |detail: &str| Some(Error::refused(Code::BadRequest, detail).into_response());
    match count(&header::HOST) {
        1 => {}
        // Before 1.1 there was no such header.
        0 if request.version() < Version::HTTP_11 => {}
        0 => return refused("the request has no Host header"),
        _ => return refused("the request has more than one Host header"),
    }
    if count(&header::AUTHORIZATION) > 1 {
        return refused("the request has more than one Authorization header");
    }
    let target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    if let (Some(target), Some(host)) = (target, host)
        && !bare_port(target).eq_ignore_ascii_case(bare_port(host))
    {
        return refused("the Host header names another host than the target");
    }
    let transfer = headers.get(header::TRANSFER_ENCODING);
    if transfer.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        || count(&header::TRANSFER_ENCODING) > 1
    {
        return refused("chunked is the only Transfer-Encoding that is read here");
    }
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    if !request.body().is_end_stream()
        && encodings.any(|encoding| !(encoding.is_empty() || encoding.as_bytes().eq_ignore_ascii_case(b"identity")))
    {
        let detail = "send the body without a Content-Encoding";
        let mut answer = Error::refused(Code::UnsupportedMediaType, detail).into_response();
        answer.headers_mut().insert(header::ACCEPT_ENCODING, axum::http::HeaderValue::from_static("identity"));
        return Some(answer);
    }
    None
}

/// A host without the port that `http` has anyway.
fn bare_port(host: &[u8]) -> &[u8] {
    host.strip_suffix(b":80").unwrap_or(host)
}
