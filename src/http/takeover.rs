//! Sockets that leave the HTTP server: an answer that carries a [`TakeOver`] is not written; whoever made it gets the
//! connection instead, with the head of the answer as all layers have made it.
//!
//! So sessions of realtime delivery cost no HTTP connection: its buffers are freed when the socket leaves.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::header;
use axum::http::response::Parts;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// A connection that the HTTP server has let go of.
#[derive(Debug)]
pub struct LetGo {
    /// The socket, nonblocking.
    pub stream: std::net::TcpStream,
    /// The head of the answer without the empty line at its end; nothing of it was written.
    pub head: Vec<u8>,
    /// Bytes that the client has sent after its request.
    pub leftover: Bytes,
}

type Taker = Box<dyn FnOnce(LetGo) + Send>;

/// In an answer's extensions: the connection is to be handed to a function.
#[derive(Clone)]
pub struct TakeOver(Arc<Mutex<Option<Taker>>>);

impl TakeOver {
    /// `answer` without a body, whose connection goes to `taker`.
    pub fn answer(answer: Parts, taker: impl FnOnce(LetGo) + Send + 'static) -> Response {
        let mut response = Response::from_parts(answer, ()).map(|()| axum::body::Body::empty());
        response.extensions_mut().insert(Self(Arc::new(Mutex::new(Some(Box::new(taker))))));
        response.into_response()
    }

    /// Hands the connection over.
    pub(super) fn hand_over(&self, connection: LetGo) {
        if let Some(taker) = self.0.lock().take() {
            taker(connection);
        }
    }
}

/// Note of a connection's service that the connection is to be let go of.
#[derive(Default)]
pub(super) struct Word {
    left: Mutex<Option<(Vec<u8>, TakeOver)>>,
    told: Notify,
}

impl Word {
    /// The answer is not to be written.
    pub fn leave(&self, answer: &Response, to: TakeOver) {
        *self.left.lock() = Some((head(answer), to));
        self.told.notify_one();
    }

    /// Waits until it is so.
    pub async fn left(&self) -> (Vec<u8>, TakeOver) {
        loop {
            self.told.notified().await;
            if let Some(left) = self.left.lock().take() {
                return left;
            }
        }
    }
}

/// Status line and headers, each with its line end.
pub(super) fn head<B>(answer: &axum::http::Response<B>) -> Vec<u8> {
    let status = answer.status();
    let mut line = String::from("HTTP/1.1 ");
    // Writing to a string does not fail.
    let _ = write!(line, "{} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let mut head = line.into_bytes();
    for (name, value) in answer.headers() {
        if *name == header::CONTENT_LENGTH {
            continue;
        }
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head
}
