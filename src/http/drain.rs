//! Reads what is left of a refused body, so that a client that is still sending gets to read the answer.
//!
//! Closing a socket with unread bytes resets it, and a reset can overtake the answer. So the body is lent to the
//! handler, comes back when the handler lets go of it, and is emptied before a refusal goes out.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::header;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;

use crate::base::limits::http::{DRAIN_BYTES_MAX, DRAIN_S};

/// The body that came back, and whether any of it had been asked for.
type Slot = Arc<Mutex<Option<(Body, bool)>>>;

/// Rest of a lent body, and where it comes back to.
pub(super) struct Remains {
    slot: Slot,
    /// The handler still waits for some of the body.
    awaited: Arc<AtomicBool>,
    /// The client waits for `100 Continue` before it sends: reading would only invite what is refused.
    waits: bool,
}

/// Puts a lent body in the place of the request's; `None` when the request has none.
pub(super) fn lend(request: &mut Request) -> Option<Remains> {
    if http_body::Body::is_end_stream(request.body()) {
        return None;
    }
    let slot = Arc::new(Mutex::new(None));
    let body = std::mem::take(request.body_mut());
    let awaited = Arc::new(AtomicBool::new(true));
    let lent = Lent { body: Some(body), touched: false, slot: Arc::clone(&slot), awaited: Arc::clone(&awaited) };
    *request.body_mut() = Body::new(lent);
    Some(Remains { slot, awaited, waits: request.headers().contains_key(header::EXPECT) })
}

impl Remains {
    /// Whether the handler still has the body, and has not read it to its end.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::Acquire)
    }

    /// Reads on for at most [`DRAIN_BYTES_MAX`] and [`DRAIN_S`]. Answers whether the connection can be used again.
    pub(super) async fn drain(self) -> bool {
        let Some((mut body, touched)) = self.slot.lock().take() else { return true };
        if self.waits && !touched {
            return false;
        }
        let emptied = async {
            let mut read = 0;
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { return false };
                read += frame.data_ref().map_or(0, Bytes::len) as u64;
                if read > DRAIN_BYTES_MAX {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(Duration::from_secs(DRAIN_S), emptied).await.unwrap_or(false)
    }
}

/// A body that returns to its slot when it is dropped unfinished.
struct Lent {
    body: Option<Body>,
    touched: bool,
    slot: Slot,
    awaited: Arc<AtomicBool>,
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.touched = true;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.body = None;
            self.awaited.store(false, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.awaited.store(false, Ordering::Release);
        if let Some(body) = self.body.take().filter(|body| !http_body::Body::is_end_stream(body)) {
            *self.slot.lock() = Some((body, self.touched));
        }
    }
}
