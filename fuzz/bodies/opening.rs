//! Any request that asks for a WebSocket: no panic, and what is accepted is answered. Compiled by the fuzz target and
//! by the test that replays the seeds.
//!
//! The input is lines of `name: value`.

use fanfare_websocket::accept;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

/// Lines that are looked at; a server bounds them too.
const LINES_MAX: usize = 100;

pub fn run(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(LINES_MAX) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    match accept(&Method::GET, Version::HTTP_11, &headers, true, &["fanfare.v1"]) {
        Ok(accepted) => {
            let answer = accepted.headers();
            assert!(answer.contains_key("sec-websocket-accept"));
            assert_eq!(answer.contains_key("sec-websocket-extensions"), accepted.deflate);
            assert!(!accepted.deflate || headers.contains_key("sec-websocket-extensions"), "nobody offered");
        }
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}
