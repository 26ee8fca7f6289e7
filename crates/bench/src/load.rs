//! The load generator: keep-alive connections that each send the next request when the last is answered.
//!
//! It shares the machine with what it measures, so it does little: one write and one or two reads a request, a look at
//! status and length, no parsing of bodies, no copies.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{BenchError, Result, machine};

/// Bytes of a connection's read buffer: more than an answer.
const BUFFER_BYTES: usize = 64 << 10;

/// Digits in a request that are others each time.
pub const NUMBER: &str = "00000000000000000000";

/// Request that a connection sends again and again, and what must come back.
#[derive(Debug, Clone)]
pub struct Request {
    /// The whole request.
    pub bytes: Vec<u8>,
    /// Status of the answer.
    pub status: u16,
    /// Length of the answer's body, if it is always the same.
    pub body_bytes: Option<usize>,
}

/// Figures of a run of load.
#[derive(Debug, Default)]
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// Time of each answer, in milliseconds.
    pub latencies_ms: Vec<f64>,
}

/// Loads `address` with one connection for each of `requests`, for `time` after `warm_up`.
///
/// # Errors
/// When a connection breaks, or an answer is not what it must be.
pub fn run(address: SocketAddr, requests: &[Request], warm_up: Duration, time: Duration) -> Result<Load> {
    let threads = machine::cores().min(requests.len()).max(1);
    let begin = Instant::now() + warm_up;
    let end = begin + time;
    let requests: Arc<[Request]> = requests.into();
    let handles: Vec<_> = (0..threads)
        .map(|thread| {
            let requests = Arc::clone(&requests);
            std::thread::spawn(move || one_thread(address, &requests, thread, threads, begin, end))
        })
        .collect();
    let mut latencies_ms = Vec::new();
    for handle in handles {
        let found = handle.join().map_err(|_| BenchError::Wrong("a thread of the load panicked".to_owned()))?;
        latencies_ms.extend(found?);
    }
    Ok(Load { rate: latencies_ms.len() as f64 / time.as_secs_f64(), latencies_ms })
}

fn one_thread(
    address: SocketAddr,
    requests: &Arc<[Request]>,
    thread: usize,
    threads: usize,
    begin: Instant,
    end: Instant,
) -> Result<Vec<f64>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connections: Vec<_> = (thread..requests.len())
            .step_by(threads)
            .map(|number| tokio::spawn(one_connection(address, Arc::clone(requests), number, begin, end)))
            .collect();
        let mut latencies = Vec::new();
        for connection in connections {
            let found = connection.await.map_err(|error| BenchError::Wrong(error.to_string()))?;
            latencies.extend(found?);
        }
        Ok(latencies)
    })
}

async fn one_connection(
    address: SocketAddr,
    requests: Arc<[Request]>,
    number: usize,
    begin: Instant,
    end: Instant,
) -> Result<Vec<f64>> {
    let mut request = requests[number].clone();
    let place = memchr::memmem::find(&request.bytes, NUMBER.as_bytes());
    let mut turn = 0;
    let mut connection = Connection::open(address).await?;
    let mut latencies = Vec::new();
    loop {
        let started = Instant::now();
        if started >= end {
            return Ok(latencies);
        }
        if let Some(place) = place {
            turn += 1;
            let digits = format!("{number:08}{turn:012}");
            request.bytes[place..place + NUMBER.len()].copy_from_slice(digits.as_bytes());
        }
        let answer = connection.ask(&request.bytes).await?;
        if answer.status != request.status || request.body_bytes.is_some_and(|bytes| bytes != answer.body_bytes) {
            let said = connection.last_body(answer);
            return Err(BenchError::Wrong(format!("answered {answer:?} instead of {}: {said}", request.status)));
        }
        let ended = Instant::now();
        if started >= begin && ended <= end {
            latencies.push((ended - started).as_secs_f64() * 1e3);
        }
    }
}

/// Head of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Length of the body.
    pub body_bytes: usize,
    head_bytes: usize,
}

/// A keep-alive connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Connects from an address of this machine.
    pub async fn open_from(source: SocketAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(source)?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 4 << 10] })
    }

    /// Sends a request and reads its whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        let answer = loop {
            filled += self.read_at(filled).await?;
            if let Some(answer) = parse_head(&self.buffer[..filled])? {
                break answer;
            }
        };
        let whole = answer.head_bytes + answer.body_bytes;
        if whole > self.buffer.len() {
            self.buffer.resize(whole, 0);
        }
        while filled < whole {
            filled += self.read_at(filled).await?;
        }
        Ok(answer)
    }

    /// The body of the answer that was read last.
    pub fn last_body(&self, answer: Answer) -> String {
        let body = self.buffer.get(answer.head_bytes..answer.head_bytes + answer.body_bytes).unwrap_or_default();
        String::from_utf8_lossy(body).into_owned()
    }

    async fn read_at(&mut self, at: usize) -> Result<usize> {
        let count = match self.buffer.get_mut(at..).filter(|rest| !rest.is_empty()) {
            Some(rest) => self.stream.read(rest).await?,
            None => 0,
        };
        if count == 0 {
            return Err(BenchError::Wrong("the server closed a connection, or its answer has no end".to_owned()));
        }
        Ok(count)
    }
}

/// Status and lengths, once the whole head is there.
fn parse_head(bytes: &[u8]) -> Result<Option<Answer>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let wrong = || BenchError::Wrong(format!("not an answer: {}", String::from_utf8_lossy(&bytes[..end])));
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong())?;
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(wrong)?;
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some(Answer { status, body_bytes: length.ok_or_else(wrong)?, head_bytes: end + 4 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\nlocation: /x\r\nContent-Length: 12\r\n\r\n{";
        assert!(parse_head(&text[..30]).unwrap().is_none());
        let answer = parse_head(text).unwrap().unwrap();
        assert_eq!((answer.status, answer.body_bytes, answer.head_bytes), (201, 12, text.len() - 1));
        assert!(parse_head(b"nonsense\r\n\r\n").is_err());
    }
}
