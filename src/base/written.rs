//! Memory of a request of whether it has written anything: what goes wrong after that may be half done.
//!
//! Storage can go away between two writes of a request, or between its write and its answer. "Nothing was done, try
//! again" would then be wrong: whoever repeats the request under another key has it twice. So every write of a service
//! is noted here, wherever it is made, and whoever answers the request (`http/layer.rs`) says what is true.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fanfare_protocol::Id;
use tokio::task::JoinHandle;

tokio::task_local! {
    static WROTE: Arc<Wrote>;
}

#[derive(Default)]
struct Wrote {
    any: AtomicBool,
    last: AtomicU64,
}

/// Writes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Anything was written.
    pub any: bool,
    /// The last record that was committed; 0 for none.
    pub last: Id,
}

/// The answer of `work`, and what it has written.
pub async fn telling<T>(work: impl Future<Output = T>) -> (T, Written) {
    let wrote = Arc::new(Wrote::default());
    let answer = WROTE.scope(Arc::clone(&wrote), work).await;
    (answer, Written { any: wrote.any.load(Ordering::SeqCst), last: Id(wrote.last.load(Ordering::SeqCst)) })
}

/// Something was written. Of what nobody asks for nothing is remembered.
pub fn note() {
    let _ = WROTE.try_with(|wrote| wrote.any.store(true, Ordering::SeqCst));
}

/// The record `id` was committed.
pub fn record(id: Id) {
    let _ = WROTE.try_with(|wrote| wrote.last.fetch_max(id.0, Ordering::SeqCst));
}

/// A task that does a part of the request: what it writes counts.
pub fn spawn<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    match WROTE.try_with(Arc::clone) {
        Ok(wrote) => tokio::spawn(WROTE.scope(wrote, work)),
        Err(_) => tokio::spawn(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_counts_for_the_request_that_it_is_made_for() {
        assert_eq!(telling(async { 7 }).await, (7, Written { any: false, last: Id(0) }));
        assert!(telling(async { note() }).await.1.any);
        assert_eq!(telling(async { [3, 5, 4].map(|id| record(Id(id))) }).await.1.last, Id(5));
        // In a task of its own too, and not in one that is somebody else's.
        assert!(telling(async { spawn(async { note() }).await.unwrap() }).await.1.any);
        assert!(!telling(async { tokio::spawn(async { note() }).await.unwrap() }).await.1.any);
        note();
        spawn(async { note() }).await.unwrap();
    }
}
