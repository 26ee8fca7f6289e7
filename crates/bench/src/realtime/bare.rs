//! The least that a broadcast must do, to compare with: one thread that writes the same bytes to every socket.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::super::machine;
use super::client::protocol::Kind;
use super::client::{now_ns, wire};
use super::fleet::{Fleet, Wanted};
use super::{BenchError, Result};

/// Tells a connection that it was accepted: its own end cannot know.
const HELLO: &[u8] = br#"{"type":"hello"}"#;

/// Sockets, each registered with one epoll.
pub struct BareWriter {
    poll: Poll,
    sockets: Vec<mio::net::TcpStream>,
}

impl BareWriter {
    /// Accepts `count` connections of a process of its own.
    pub fn start(count: usize) -> Result<(Self, Fleet)> {
        let listener = listener()?;
        let address = listener.local_addr()?;
        let greeted = move |stream: std::io::Result<TcpStream>| {
            let mut stream = stream?;
            stream.write_all(&wire::text_frame(HELLO))?;
            Ok(stream)
        };
        let accepting = std::thread::spawn(move || {
            listener.incoming().take(count).map(greeted).collect::<std::io::Result<Vec<_>>>()
        });
        let fleet = Fleet::connected(&Wanted::new(address, Kind::Silent, count)).inspect_err(|_| stop(address))?;
        let accepted = accepting.join().map_err(|_| BenchError::Wrong("the listener panicked".to_owned()))??;
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(count);
        for (number, stream) in accepted.into_iter().enumerate() {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut socket = mio::net::TcpStream::from_std(stream);
            poll.registry().register(&mut socket, Token(number), Interest::READABLE | Interest::WRITABLE)?;
            sockets.push(socket);
        }
        Ok((Self { poll, sockets }, fleet))
    }

    /// Writes `bytes` to every socket; answers when it began (nanoseconds since 1970), and the processor time that it
    /// took.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(u64, Duration)> {
        let (began_ns, before) = (now_ns(), machine::on_cpu());
        let mut left: Vec<(usize, usize)> = Vec::new();
        for (number, socket) in self.sockets.iter_mut().enumerate() {
            let written = written(socket.write(bytes))?;
            if written < bytes.len() {
                left.push((number, written));
            }
        }
        let mut events = Events::with_capacity(1_024);
        while !left.is_empty() {
            self.poll.poll(&mut events, Some(Duration::from_millis(10)))?;
            for (number, from) in &mut left {
                *from += written(self.sockets[*number].write(&bytes[*from..]))?;
            }
            left.retain(|(_, from)| *from < bytes.len());
        }
        Ok((began_ns, machine::on_cpu() - before))
    }
}

/// A listener with a backlog above what a client opens at once: a connection that finds it full may be forgotten by
/// this end only, and this end speaks first.
fn listener() -> std::io::Result<TcpListener> {
    const BACKLOG: i32 = 4_096;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets a listener that waits for more than will come see its end.
fn stop(address: SocketAddr) {
    while TcpStream::connect_timeout(&address, Duration::from_millis(100)).is_ok() {}
}

fn written(result: std::io::Result<usize>) -> std::io::Result<usize> {
    match result {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        other => other,
    }
}
