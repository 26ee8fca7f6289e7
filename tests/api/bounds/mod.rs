//! Bounds of what one client may take of the server while others want it too.

mod bodies;
mod log_ins;
mod sessions;

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for an answer before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that a test drives byte by byte.
pub struct Wire(TcpStream);

impl Wire {
    /// To `address`, `host:port` with or without a scheme.
    pub async fn to(address: &str) -> Self {
        Self(TcpStream::connect(address.trim_start_matches("http://")).await.unwrap())
    }

    /// Writes what there is; a server that has gone is no failure, for its answer tells why.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let written = tokio::time::timeout(PATIENCE, self.0.write_all(bytes.as_ref())).await;
        let _ = written.expect("the server takes what is sent");
    }

    /// Reads one answer, or what comes until the end of the connection.
    pub async fn answer(&mut self) -> String {
        let mut text = Vec::new();
        let read = async {
            let mut piece = [0; 4096];
            loop {
                let seen = String::from_utf8_lossy(&text).into_owned();
                if let Some((head, body)) = seen.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| {
                        line.to_lowercase().strip_prefix("content-length: ").and_then(|bytes| bytes.parse().ok())
                    });
                    if body.len() >= length.unwrap_or(0) {
                        return seen;
                    }
                }
                match self.0.read(&mut piece).await {
                    Ok(0) | Err(_) => return seen,
                    Ok(bytes) => text.extend_from_slice(&piece[..bytes]),
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer comes")
    }
}

/// The status of an answer; 0 when none came.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// The head of a request with a JSON body.
pub fn head(method: &str, path: &str, headers: &str, bytes: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n{headers}\r\n"
    )
}
