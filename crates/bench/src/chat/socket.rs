//! A session over one blocking socket.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::realtime::client::wire::{self, Frame, opcode};
use super::{BenchError, Result};

/// Longest wait for a frame.
const FRAME_MAX: Duration = Duration::from_secs(30);
/// Bytes read at a time.
const READ_BYTES: usize = 64 << 10;

/// A session.
pub struct Socket {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Socket {
    /// Opens a session; goes on where `cursor` stands.
    pub fn open(address: SocketAddr, authorization: &str, cursor: Option<&str>) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(FRAME_MAX))?;
        let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let head = format!("GET /v1/realtime?v=1{cursor} HTTP/1.1\r\nhost: bench\r\n{authorization}\r\n{upgrade}\r\n");
        stream.write_all(head.as_bytes())?;
        let mut socket = Self { stream, rest: Vec::new() };
        loop {
            if let Some((status, _, whole)) = wire::head(&socket.rest) {
                socket.rest.drain(..whole);
                return match status {
                    101 => Ok(socket),
                    other => Err(BenchError::Wrong(format!("a session was answered {other}"))),
                };
            }
            socket.more()?;
        }
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; READ_BYTES];
        match self.stream.read(&mut buffer)? {
            0 => Err(BenchError::Wrong("the server closed a session".to_owned())),
            count => {
                self.rest.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// The text of the next frame.
    pub fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some((code, payload, whole)) = wire::websocket_frame(&self.rest) {
                let text = (code == opcode::TEXT).then(|| payload.to_vec());
                self.rest.drain(..whole);
                if let Some(text) = text {
                    return Ok(text);
                }
                continue;
            }
            self.more()?;
        }
    }

    /// Cursor of the first frame.
    pub fn hello(&mut self) -> Result<String> {
        let text = self.next()?;
        let cursor = wire::cursor(&text).map(str::to_owned);
        cursor.ok_or_else(|| BenchError::Wrong(format!("no hello: {}", String::from_utf8_lossy(&text))))
    }

    /// Reads until `count` messages have come; a gap among them is wrong.
    pub fn messages(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let text = self.next()?;
            match wire::classify(&text) {
                Frame::Message => left -= 1,
                Frame::Gap | Frame::Reset => {
                    return Err(BenchError::Wrong(format!("{left} left: {}", String::from_utf8_lossy(&text))));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
