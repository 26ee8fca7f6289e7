//! Calls over one blocking connection: what operators and authors send while a bench runs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::client::wire;
use super::{BenchError, Result};

/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;

/// A keep-alive connection.
pub struct Calls {
    stream: TcpStream,
    /// Came after the last answer.
    rest: Vec<u8>,
}

impl Calls {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self { stream, rest: Vec::new() })
    }

    /// Sends a request; answers the body.
    pub fn ask(&mut self, request: &[u8]) -> Result<String> {
        self.send(request)?;
        self.answer()
    }

    /// Sends a request, whose answer is read later.
    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(request)?)
    }

    /// The body of the next answer.
    pub fn answer(&mut self) -> Result<String> {
        let mut buffer = [0; READ_BYTES];
        loop {
            if let Some((status, length, head)) = wire::head(&self.rest) {
                let whole = head + length.unwrap_or(0);
                if self.rest.len() >= whole {
                    let body = String::from_utf8_lossy(&self.rest[head..whole]).into_owned();
                    self.rest.drain(..whole);
                    return match status {
                        200..=299 => Ok(body),
                        _ => Err(BenchError::Wrong(format!("answered {status}: {body}"))),
                    };
                }
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(BenchError::Wrong("the server closed a connection".to_owned())),
                count => self.rest.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// A request with a JSON body, or none.
pub fn request(method: &str, path: &str, authorization: &str, body: &str) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n{authorization}\r\n");
    if !body.is_empty() {
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// Connections for calls that are made at the same moment.
pub struct ManyCalls(Vec<Calls>);

impl ManyCalls {
    /// Opens `count` connections.
    pub fn open(address: SocketAddr, count: usize) -> Result<Self> {
        Ok(Self((0..count).map(|_| Calls::open(address)).collect::<Result<_>>()?))
    }

    /// Sends `request` on the first `times` connections, then waits for all answers.
    pub fn ask(&mut self, request: &[u8], times: usize) -> Result<()> {
        self.0.iter_mut().take(times).try_for_each(|calls| calls.send(request))?;
        self.0.iter_mut().take(times).try_for_each(|calls| calls.answer().map(drop))
    }
}
