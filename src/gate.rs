//! A door in front of work that costs a core for milliseconds: password hashes, image decoding.
//!
//! Services call it at their edge. It keeps such work off the async threads, bounds how much runs and waits at once, and
//! sheds the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Seconds after which a caller who was shed may try again.
const RETRY_AFTER_S: u32 = 1;

/// Lets `running_max` pieces of blocking work run and `waiting_max` wait; more are refused at once.
#[derive(Debug, Clone)]
pub struct Gate {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    waiting_max: usize,
    reason: &'static str,
}

/// Counts one waiter for as long as it lives, also when the waiting future is dropped.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// A gate for at least one piece of work at a time; `reason` is what people read when it sheds.
    #[must_use]
    pub fn new(running_max: usize, waiting_max: usize, reason: &'static str) -> Self {
        let running = Arc::new(Semaphore::new(running_max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { running, waiting: Arc::new(AtomicUsize::new(0)), waiting_max, reason }
    }

    /// Runs `work` on a blocking thread, first come first served. [`Error::Overloaded`] when too many wait already,
    /// [`Error::Internal`] when `work` panics.
    ///
    /// A caller who goes away gives up its place in the queue, but work that has begun runs to its end and keeps its
    /// place until then: otherwise clients that hang up could have more running than the gate allows.
    pub async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let permit = match Arc::clone(&self.running).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                let _waiting = self.queue()?;
                let acquired = Arc::clone(&self.running).acquire_owned().await;
                acquired.map_err(|_| Error::Internal("a gate was closed".to_owned()))?
            }
        };
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|cause| Error::Internal(format!("blocking work failed: {cause}")))
    }

    fn queue(&self) -> Result<Waiting> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(Arc::clone(&self.waiting));
        if before < self.waiting_max {
            return Ok(waiting);
        }
        Err(Error::Overloaded { reason: self.reason, retry_after_s: RETRY_AFTER_S })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_beyond_the_queue_is_shed_and_a_waiter_that_leaves_frees_its_place() {
        let gate = Gate::new(1, 1, "test");
        let (started, has_started) = tokio::sync::oneshot::channel();
        let (release, wait) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let gate = gate.clone();
            async move {
                let work = move || {
                    let _ = started.send(());
                    wait.recv().is_ok()
                };
                gate.run(work).await
            }
        });
        has_started.await.unwrap();
        {
            let mut waiter = std::pin::pin!(gate.run(|| ()));
            assert!(futures_util::poll!(waiter.as_mut()).is_pending());
            assert!(matches!(gate.run(|| ()).await, Err(Error::Overloaded { .. })));
        }
        let mut second = std::pin::pin!(gate.run(|| 7));
        assert!(futures_util::poll!(second.as_mut()).is_pending(), "the place of the waiter that left was not freed");
        release.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 7);
        assert!(running.await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn work_that_panics_is_an_internal_error_and_frees_the_gate() {
        let gate = Gate::new(1, 0, "test");
        assert!(matches!(gate.run(|| panic!("on purpose")).await, Err::<(), _>(Error::Internal(_))));
        assert_eq!(gate.run(|| 1).await.unwrap(), 1);
    }
}
