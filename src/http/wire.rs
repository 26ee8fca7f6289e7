//! The socket of a connection, watched: who takes too little of what is written for them is let go of.
//!
//! The system takes what is written until its buffer is full, and no more until the other end reads. From the first
//! byte that has to wait, bytes that the other end acknowledged are counted over each `http.write_stall_s`: a phone on
//! a slow line goes on, a client that does not read ends its connection. What the system here takes says little: it
//! takes much at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use nix::{getsockopt_impl, libc, sockopt_impl};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::layer::shed;
use crate::base::limits::http::{READ_BYTES_MAX, UNSENT_BYTES_MAX, WRITE_RATE_BYTES_MIN};

/// Facts of the system about a connection (`struct tcp_info` of Linux) up to the count of acknowledged bytes, in words.
type TcpFacts = [u64; 16];
/// The word that counts the acknowledged bytes.
const ACKNOWLEDGED: usize = 15;

sockopt_impl!(
    /// Facts about a TCP connection.
    TcpInfo, GetOnly, libc::IPPROTO_TCP, libc::TCP_INFO, TcpFacts
);

/// Bytes that the other end has acknowledged so far; `None` where the system does not tell.
fn acknowledged(stream: &TcpStream) -> Option<u64> {
    nix::sys::socket::getsockopt(stream, TcpInfo).ok().map(|facts| facts[ACKNOWLEDGED])
}

/// A socket whose reader has to go on reading.
#[derive(Debug)]
pub(super) struct Watched {
    stream: TcpStream,
    stall: Duration,
    /// Since something had to wait to be written.
    waiting: Option<Waiting>,
    /// Bytes that were read before, and are read again first.
    unread: Bytes,
}

#[derive(Debug)]
struct Waiting {
    /// Moment by which enough must have been taken.
    until: Pin<Box<Sleep>>,
    /// Bytes that the other end had acknowledged when the time began.
    acknowledged: Option<u64>,
    /// Bytes that the system took since; they count where it does not tell what was acknowledged.
    written: u64,
    /// Bytes beyond those that had to be taken before, for one stretch at most: a system makes room in pieces, some
    /// larger than a slow line needs.
    credit: u64,
}

impl Waiting {
    fn new(stream: &TcpStream, stall: Duration) -> Self {
        Self { until: Box::pin(sleep(stall)), acknowledged: acknowledged(stream), written: 0, credit: 0 }
    }

    /// Whether enough was taken by now; if so the next stretch begins.
    fn goes_on(&mut self, stream: &TcpStream, stall: Duration) -> bool {
        let now = acknowledged(stream);
        let taken = self.acknowledged.zip(now).map_or(self.written, |(before, now)| now.saturating_sub(before));
        let least = WRITE_RATE_BYTES_MIN * stall.as_secs();
        let Some(credit) = (taken + self.credit).checked_sub(least) else {
            return false;
        };
        (self.acknowledged, self.written, self.credit) = (now, 0, credit.min(least));
        self.until.as_mut().reset(Instant::now() + stall);
        true
    }
}

impl Watched {
    /// Over a socket that was just accepted.
    pub(super) fn new(stream: TcpStream, stall: Duration) -> Self {
        // Answers are small and complete: waiting for more bytes to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY is not set");
        }
        // What waits in the system takes memory for somebody who may not read it.
        if let Err(error) = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
            tracing::debug!(%error, "TCP_NOTSENT_LOWAT is not set");
        }
        Self { stream, stall, waiting: None, unread: Bytes::new() }
    }

    /// Puts back what was read: it is read again before anything else.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// The socket, and what was put back and not read again.
    pub(super) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream, self.unread)
    }

    /// Whether a write may go on waiting.
    fn judge(&mut self, context: &mut Context<'_>, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match wrote {
            Poll::Ready(Ok(bytes)) => {
                if let Some(waiting) = &mut self.waiting {
                    waiting.written += bytes as u64;
                }
                return wrote;
            }
            Poll::Ready(Err(_)) => return wrote,
            Poll::Pending => {}
        }
        let stall = self.stall;
        let waiting = self.waiting.get_or_insert_with(|| Waiting::new(&self.stream, stall));
        while waiting.until.as_mut().poll(context).is_ready() {
            if !waiting.goes_on(&self.stream, stall) {
                shed("stalled_readers");
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client does not read its answer",
                )));
            }
        }
        Poll::Pending
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let bytes = self.unread.len().min(into.remaining());
            into.put_slice(&self.unread[..bytes]);
            self.unread.advance(bytes);
            if self.unread.is_empty() {
                // Its memory is let go of.
                self.unread = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        if into.remaining() <= READ_BYTES_MAX {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        // The buffer of a connection grows with what is read at once, and thousands can be in the middle of a body.
        let mut part = ReadBuf::new(into.initialize_unfilled_to(READ_BYTES_MAX));
        let read = Pin::new(&mut self.stream).poll_read(context, &mut part);
        let bytes = part.filled().len();
        into.advance(bytes);
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(context, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.judge(context, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for when all that there was is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waiting = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
