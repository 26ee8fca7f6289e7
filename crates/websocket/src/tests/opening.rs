//! The opening handshake: what is asked of a request, and what extensions and subprotocols are agreed on.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use crate::{Accepted, Refusal, accept};

/// The request of RFC 6455, 1.3, with `changes`: a value of "-" removes the header, "+…" adds a line, else it replaces.
fn request(changes: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let set = [
        ("host", "server.example"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];
    for (name, value) in set.iter().chain(changes) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        match value.strip_prefix('+') {
            Some(more) => drop(headers.append(name, HeaderValue::from_str(more).unwrap())),
            None if *value == "-" => drop(headers.remove(name)),
            None => drop(headers.insert(name, HeaderValue::from_str(value).unwrap())),
        }
    }
    headers
}

fn open(changes: &[(&str, &str)]) -> Result<Accepted, Refusal> {
    accept(&Method::GET, Version::HTTP_11, &request(changes), true, &["fanfare.v1"])
}

#[test]
fn the_example_of_the_rfc_is_accepted() {
    let accepted = open(&[]).unwrap();
    assert_eq!(accepted.key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!((accepted.deflate, accepted.subprotocol), (false, None));
    let headers = accepted.headers();
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["connection"], "Upgrade");
    assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(headers.len(), 3);
}

#[test]
fn names_and_tokens_are_found_in_lists_of_any_case() {
    assert!(open(&[("upgrade", "WebSocket"), ("connection", "keep-alive, UPGRADE")]).is_ok());
    assert!(open(&[("upgrade", "h2c"), ("upgrade", "+websocket"), ("connection", "close , upgrade,")]).is_ok());
}

#[test]
fn what_is_missing_or_wrong_is_refused_by_its_name() {
    let cases: &[(&[(&str, &str)], Refusal)] = &[
        (&[("host", "-")], Refusal::Host),
        (&[("upgrade", "-")], Refusal::Upgrade),
        (&[("upgrade", "h2c")], Refusal::Upgrade),
        (&[("upgrade", "websockets")], Refusal::Upgrade),
        (&[("connection", "-")], Refusal::Connection),
        (&[("connection", "keep-alive")], Refusal::Connection),
        (&[("sec-websocket-version", "-")], Refusal::Version),
        (&[("sec-websocket-version", "8")], Refusal::Version),
        (&[("sec-websocket-version", "013")], Refusal::Version),
        (&[("sec-websocket-version", "+13")], Refusal::Version),
        (&[("sec-websocket-key", "-")], Refusal::Key),
        (&[("sec-websocket-key", "")], Refusal::Key),
        (&[("sec-websocket-key", "c2hvcnQ=")], Refusal::Key),
        (&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")], Refusal::Key),
        (&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZSE=")], Refusal::Key),
        (&[("sec-websocket-key", "+dGhlIHNhbXBsZSBub25jZQ==")], Refusal::Key),
    ];
    for (changes, refusal) in cases {
        assert_eq!(open(changes), Err(*refusal), "{changes:?}");
    }
    let headers = request(&[]);
    assert_eq!(accept(&Method::POST, Version::HTTP_11, &headers, true, &[]), Err(Refusal::Method));
    assert_eq!(accept(&Method::GET, Version::HTTP_10, &headers, true, &[]), Err(Refusal::HttpVersion));
}

#[test]
fn a_wrong_version_is_told_the_right_one() {
    assert_eq!(Refusal::Version.headers()["sec-websocket-version"], "13");
    assert!(Refusal::Key.headers().is_empty());
}

#[test]
fn the_first_known_subprotocol_is_chosen() {
    let chosen = |offer: &str| open(&[("sec-websocket-protocol", offer)]).unwrap().subprotocol;
    assert_eq!(chosen("chat, fanfare.v1"), Some("fanfare.v1"));
    assert_eq!(chosen("chat"), None);
    assert_eq!(chosen("Fanfare.V1"), None, "these are case-sensitive");
    let accepted = open(&[("sec-websocket-protocol", "fanfare.v1")]).unwrap();
    assert_eq!(accepted.headers()["sec-websocket-protocol"], "fanfare.v1");
}

#[test]
fn compression_is_agreed_on_where_an_offer_can_be_met() {
    let offered = |offer: &str| open(&[("sec-websocket-extensions", offer)]).unwrap().deflate;
    for good in [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=10; server_no_context_takeover",
        "permessage-deflate;client_no_context_takeover ; client_max_window_bits=\"15\"",
        "x-webkit-deflate-frame, permessage-deflate",
        "permessage-deflate; server_max_window_bits=10, permessage-deflate",
    ] {
        assert!(offered(good), "{good}");
    }
    for bad in [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; server_max_window_bits=10",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=08",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; unknown",
        "permessage-deflate;",
    ] {
        assert!(!offered(bad), "{bad}");
    }
    let accepted = open(&[("sec-websocket-extensions", "permessage-deflate")]).unwrap();
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(accepted.headers()["sec-websocket-extensions"], agreed);
    let off = accept(
        &Method::GET,
        Version::HTTP_11,
        &request(&[("sec-websocket-extensions", "permessage-deflate")]),
        false,
        &[],
    );
    assert!(!off.unwrap().deflate, "the setting is off");
}
