//! Threads of their own for async work, which end quietly when the runtime goes away.
//!
//! Work on a thread of its own uses the runtime's clock, and may live on for a moment when the runtime is dropped: at a
//! start that is refused, or in a test that ends. Its next wait would panic then. So the runtime holds a task that does
//! nothing, and which it drops before its clock: the work ends with the task, and the drop waits until nobody polls it.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// State between the thread and the runtime; it is locked while the work is polled.
#[derive(Default)]
struct Beat {
    is_over: bool,
    waker: Option<Waker>,
}

/// Runtime's end of a thread: dropped with the runtime.
struct End(Arc<Mutex<Beat>>);

impl Drop for End {
    fn drop(&mut self) {
        let waker = {
            let mut beat = self.0.lock();
            beat.is_over = true;
            beat.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Runs `work` on a thread of its own, until it is done or the present runtime is dropped.
///
/// # Errors
/// The operating system gave no thread.
pub fn spawn(name: impl Into<String>, work: impl Future<Output = ()> + Send + 'static) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new().name(name.into()).spawn(move || {
        let beat = Arc::new(Mutex::new(Beat::default()));
        let (done, is_done) = oneshot::channel::<()>();
        let end = End(Arc::clone(&beat));
        runtime.spawn(async move {
            let _end = end;
            let _ = is_done.await;
        });
        runtime.block_on(async {
            let mut work = pin!(work);
            poll_fn(|context| {
                let mut beat = beat.lock();
                if beat.is_over {
                    return Poll::Ready(());
                }
                beat.waker = Some(context.waker().clone());
                work.as_mut().poll(context)
            })
            .await;
        });
        drop(done);
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::runtime::Builder;

    use super::*;

    /// Waits again and again; what it holds tells when it is dropped.
    async fn wait_for_ever(_held: mpsc::Sender<()>) {
        loop {
            tokio::time::sleep(Duration::from_micros(10)).await; // poll
        }
    }

    #[test]
    fn work_ends_quietly_with_its_runtime() {
        for mut runtime in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            for _ in 0..50 {
                let runtime = runtime.enable_all().build().unwrap();
                let (held, dropped) = mpsc::channel();
                let thread = {
                    let _here = runtime.enter();
                    spawn("waits", wait_for_ever(held)).unwrap()
                };
                runtime.block_on(tokio::task::yield_now());
                drop(runtime);
                assert!(thread.join().is_ok(), "it panicked");
                assert!(dropped.recv().is_err());
            }
        }
    }

    #[test]
    fn work_that_is_done_leaves_no_task_behind() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _here = runtime.enter();
        spawn("is-done", async { tokio::task::yield_now().await }).unwrap().join().unwrap();
        while runtime.metrics().num_alive_tasks() > 0 {
            std::thread::yield_now();
        }
    }
}
