//! The fan-out thread: an OS thread of its own, so that a big fan-out never holds up the async runtime.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::item::FeedItem;
use super::service::Feed;
use crate::log::events::PostRecord;

/// A running fan-out thread. Stops and joins when dropped; what is queued stays queued.
pub struct Worker<P: FeedItem = PostRecord> {
    feed: Feed<P>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<P: FeedItem> Worker<P> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start(feed: Feed<P>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (thread_feed, thread_stop) = (feed.clone(), Arc::clone(&stop));
        let work = move || thread_feed.work_until(&thread_stop);
        let thread = std::thread::Builder::new().name("feed-fan-out".into()).spawn(work)?;
        Ok(Self { feed, stop, thread: Some(thread) })
    }

    /// Ends the thread after its present slice.
    pub fn stop(self) {
        drop(self);
    }
}

impl<P: FeedItem> Drop for Worker<P> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.feed.wake_worker();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the fan-out thread panicked");
        }
    }
}
