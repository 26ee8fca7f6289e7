//! Heads that could be read in two ways, or are too large, on a real socket.

use tokio::io::AsyncWriteExt as _;

use super::connections::{answer, running};

/// The status of the answer to these bytes, and all of it.
async fn sent(server: &super::connections::Running, request: &str) -> (u16, String) {
    let mut stream = server.connect().await;
    let _ = stream.write_all(request.as_bytes()).await;
    let text = answer(&mut stream).await;
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, text)
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_refused() {
    let server = running(|_| ()).await;
    for (request, status, detail) in [
        ("GET /items/1 HTTP/1.1\r\n\r\n", 400, "no Host"),
        ("GET /healthz HTTP/1.1\r\n\r\n", 400, "no Host"),
        ("GET /items/1 HTTP/1.1\r\nhost: x\r\nhost: x\r\n\r\n", 400, "more than one Host"),
        ("GET /items/1 HTTP/1.1\r\nhost: x\r\nHost: y\r\n\r\n", 400, "more than one Host"),
        ("GET /items/1 HTTP/1.0\r\nhost: x\r\nhost: x\r\n\r\n", 400, "more than one Host"),
        (
            "GET /me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer person\r\nauthorization: Bearer person\r\n\r\n",
            400,
            "more than one Authorization",
        ),
        ("GET http://y/items/1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, "another host"),
        ("GET http://x:81/items/1 HTTP/1.1\r\nhost: x\r\n\r\n", 400, "another host"),
        ("GET http://X:80/items/1 HTTP/1.1\r\nhost: x\r\n\r\n", 200, ""),
        (
            "POST /notes HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            400,
            "chunked is the only",
        ),
        (
            "POST /notes HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "chunked is the only",
        ),
        ("GET /items/1 HTTP/1.0\r\n\r\n", 200, ""),
        ("GET /items/1 HTTP/1.1\r\nhost:\r\n\r\n", 200, ""),
        ("GET /me HTTP/1.1\r\nhost: x\r\nauthorization: Bearer person\r\n\r\n", 200, ""),
    ] {
        let (found, text) = sent(&server, request).await;
        assert!(found == status && text.contains(detail), "{request:?}: {text}");
        let problem = text.contains("content-type: application/problem+json") && text.contains("x-request-id: ");
        assert_eq!(problem, status != 200, "{text}");
    }
}

#[tokio::test]
async fn a_body_in_an_encoding_that_nobody_here_reads_is_415_and_the_connection_goes_on() {
    let server = running(|_| ()).await;
    let mut stream = server.connect().await;
    let body = r#"{"text": "a"}"#;
    for (encoding, status) in [
        ("content-encoding: gzip\r\n", 415),
        ("content-encoding: identity\r\ncontent-encoding: br\r\n", 415),
        ("content-encoding: gzip, identity\r\n", 415),
        ("content-encoding: Identity\r\n", 200),
        ("", 200),
    ] {
        let head = "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
        let request = format!("{head}content-length: {}\r\n{encoding}\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{encoding}: {text}");
        assert_eq!(text.contains("accept-encoding: identity"), status == 415, "{text}");
    }
}

#[tokio::test]
async fn a_head_may_have_64_kib() {
    let server = running(|_| ()).await;
    let head = |bytes: usize| {
        let (start, end) = ("GET /items/1 HTTP/1.1\r\nhost: x\r\nx-filler: ", "\r\n\r\n");
        format!("{start}{}{end}", "f".repeat(bytes - start.len() - end.len()))
    };
    for (bytes, status) in
        [(60 << 10, 200), (64 << 10, 200), ((64 << 10) + 1, 431), (66 << 10, 431), (100 << 10, 431), (1 << 20, 431)]
    {
        assert_eq!(sent(&server, &head(bytes)).await.0, status, "{bytes}");
    }
    // As many lines as fit, up to a hundred.
    for (lines, status) in [(98, 200), (101, 431)] {
        let request = format!("GET /items/1 HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-line: y\r\n".repeat(lines));
        assert_eq!(sent(&server, &request).await.0, status, "{lines} lines");
    }
}
