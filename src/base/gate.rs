//! A door in front of work that costs a core for milliseconds: password hashes, image decoding.
//!
//! Services call it at their edge. It keeps such work off the async threads, bounds how much runs and waits at once,
//! lets everybody who waits have their turn, and sheds the rest, first of who has most waiting.

use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::base::error::{Error, Result};
use crate::base::fair::{FairQueue, Pushed};

/// Seconds after which a caller who was shed may try again.
const RETRY_AFTER_S: u32 = 1;

/// Names of a gate when it sheds.
#[derive(Debug, Clone, Copy)]
pub struct Named {
    /// Reason that people read.
    pub reason: &'static str,
    /// The label of `fanfare_shed_total`.
    pub metric: &'static str,
}

/// Lets `running_max` pieces of blocking work run and `waiting_max` wait; more are refused at once. `K` is whom it
/// tells apart: those who wait have turns by it. Clones share it.
#[derive(Debug)]
pub struct Gate<K: Copy + Eq + Hash>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K: Copy + Eq + Hash> {
    state: Mutex<State<K>>,
    running_max: usize,
    named: Named,
}

/// Somebody waits only while as many run as may.
#[derive(Debug)]
struct State<K: Copy + Eq + Hash> {
    running: usize,
    waiting: FairQueue<K, Waiter<K>>,
    tickets: u64,
}

#[derive(Debug)]
struct Waiter<K: Copy + Eq + Hash> {
    ticket: u64,
    turn: oneshot::Sender<Permit<K>>,
}

/// A place among those that run; it goes to the next in turn when it is dropped.
#[derive(Debug)]
struct Permit<K: Copy + Eq + Hash>(Option<Gate<K>>);

impl<K: Copy + Eq + Hash> Clone for Gate<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Copy + Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let Some(gate) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = gate.0.state.lock();
                let next = state.waiting.pop();
                if next.is_none() {
                    state.running -= 1;
                }
                next
            };
            let Some(Waiter { turn, .. }) = next else { return };
            match turn.send(Permit(Some(gate.clone()))) {
                Ok(()) => return,
                // It has gone just now: the place is for the one after it.
                Err(mut unused) => drop(unused.0.take()),
            }
        }
    }
}

/// A place in the queue; given up when the waiting future is dropped.
struct Place<'a, K: Copy + Eq + Hash> {
    gate: &'a Gate<K>,
    of: K,
    ticket: u64,
}

impl<K: Copy + Eq + Hash> Drop for Place<'_, K> {
    fn drop(&mut self) {
        // Dropped after the lock: with the waiter goes the channel, and with that maybe a permit, whose drop takes the
        // lock.
        let left = self.gate.0.state.lock().waiting.remove(self.of, |waiter| waiter.ticket == self.ticket);
        drop(left);
    }
}

impl<K: Copy + Eq + Hash + Send + Sync + 'static> Gate<K> {
    /// A gate for at least one piece of work at a time; `named` is what people read when it sheds.
    #[must_use]
    pub fn new(running_max: usize, waiting_max: usize, named: Named) -> Self {
        let state = State { running: 0, waiting: FairQueue::new(waiting_max), tickets: 0 };
        Self(Arc::new(Inner { state: Mutex::new(state), running_max: running_max.max(1), named }))
    }

    /// Runs `work` of `of` on a blocking thread; who waits has their turn. [`Error::Overloaded`] when too many wait and
    /// nobody has more waiting than `of`, [`Error::Internal`] when `work` panics.
    ///
    /// A caller who goes away gives up its place in the queue, but work that has begun runs to its end and keeps its
    /// place until then: otherwise clients that hang up could have more running than the gate allows.
    pub async fn run<T, F>(&self, of: K, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let permit = self.enter(of).await?;
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(|cause| Error::Internal(format!("blocking work failed: {cause}")))
    }

    async fn enter(&self, of: K) -> Result<Permit<K>> {
        let (turn, granted) = oneshot::channel();
        let (ticket, pushed) = {
            let mut state = self.0.state.lock();
            if state.running < self.0.running_max {
                state.running += 1;
                return Ok(Permit(Some(self.clone())));
            }
            state.tickets += 1;
            let ticket = state.tickets;
            (ticket, state.waiting.push(of, Waiter { ticket, turn }))
        };
        match pushed {
            Pushed::Waits => {}
            // Dropping its channel tells the one who lost its place.
            Pushed::InPlaceOf(lost) => drop(lost),
            Pushed::Full(_) => return Err(self.shed()),
        }
        let _place = Place { gate: self, of, ticket };
        granted.await.map_err(|_| self.shed())
    }

    fn shed(&self) -> Error {
        let Named { reason, metric } = self.0.named;
        metrics::counter!("fanfare_shed_total", "what" => metric).increment(1);
        Error::Overloaded { reason, retry_after_s: RETRY_AFTER_S }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::task::JoinHandle;

    use super::*;

    const NAMED: Named = Named { reason: "test", metric: "test" };

    /// A gate whose only place is taken until the sender is dropped or used.
    async fn busy(waiting_max: usize) -> (Gate<u8>, mpsc::Sender<()>, JoinHandle<Result<bool>>) {
        let gate = Gate::new(1, waiting_max, NAMED);
        let (started, has_started) = oneshot::channel();
        let (release, wait) = mpsc::channel::<()>();
        let running = tokio::spawn({
            let gate = gate.clone();
            async move {
                let work = move || {
                    let _ = started.send(());
                    wait.recv().is_ok()
                };
                gate.run(0, work).await
            }
        });
        has_started.await.unwrap();
        (gate, release, running)
    }

    #[tokio::test]
    async fn work_beyond_the_queue_is_shed_and_a_waiter_that_leaves_frees_its_place() {
        let (gate, release, running) = busy(1).await;
        {
            let mut waiter = std::pin::pin!(gate.run(0, || ()));
            assert!(futures_util::poll!(waiter.as_mut()).is_pending());
            assert!(matches!(gate.run(0, || ()).await, Err(Error::Overloaded { .. })));
            assert!(matches!(gate.run(1, || ()).await, Err(Error::Overloaded { .. })), "all have one, and no more");
        }
        let mut second = std::pin::pin!(gate.run(0, || 7));
        assert!(futures_util::poll!(second.as_mut()).is_pending(), "the place of the waiter that left was not freed");
        release.send(()).unwrap();
        assert_eq!(second.await.unwrap(), 7);
        assert!(running.await.unwrap().unwrap());
        assert_eq!(gate.0.state.lock().running, 0);
    }

    #[tokio::test]
    async fn a_storm_of_one_sheds_the_storm_and_whoever_comes_is_served_next() {
        let (gate, release, running) = busy(4).await;
        let served = Arc::new(Mutex::new(Vec::new()));
        let enter = |of: u8| {
            let (gate, served) = (gate.clone(), Arc::clone(&served));
            Box::pin(async move { gate.run(of, move || served.lock().push(of)).await })
        };
        let mut storm: Vec<_> = (0..4).map(|_| enter(0)).collect();
        for one in &mut storm {
            assert!(futures_util::poll!(one).is_pending());
        }
        assert!(matches!(enter(0).await, Err(Error::Overloaded { .. })), "the storm itself gets no more");
        let (mut ann, mut bob) = (enter(1), enter(2));
        assert!(futures_util::poll!(&mut ann).is_pending() && futures_util::poll!(&mut bob).is_pending());
        // Two of the storm made way.
        for lost in storm.drain(2..) {
            assert!(matches!(lost.await, Err(Error::Overloaded { .. })));
        }
        release.send(()).unwrap();
        let all = storm.into_iter().chain([ann, bob]);
        futures_util::future::join_all(all).await.into_iter().for_each(|one| one.unwrap());
        running.await.unwrap().unwrap();
        assert_eq!(*served.lock(), [0, 1, 2, 0], "a turn for each");
        assert_eq!(gate.0.state.lock().running, 0);
    }

    #[tokio::test]
    async fn a_turn_that_comes_as_its_waiter_leaves_goes_to_the_next() {
        let (gate, release, running) = busy(4).await;
        let (mut first, mut second) = (Box::pin(gate.run(1, || 1)), Box::pin(gate.run(2, || 2)));
        assert!(futures_util::poll!(&mut first).is_pending() && futures_util::poll!(&mut second).is_pending());
        release.send(()).unwrap();
        running.await.unwrap().unwrap();
        // Its turn has come, and it has not looked yet.
        drop(first);
        assert_eq!(second.await.unwrap(), 2);
        assert_eq!(gate.0.state.lock().running, 0);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_internal_error_and_frees_the_gate() {
        let gate = Gate::new(1, 0, NAMED);
        assert!(matches!(gate.run(0, || panic!("on purpose")).await, Err::<(), _>(Error::Internal(_))));
        assert_eq!(gate.run(0, || 1).await.unwrap(), 1);
    }
}
