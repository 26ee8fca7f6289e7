//! Queue in front of an owner.
//!
//! An owner that has nothing to do is woken by every proposal. One that waits for the log is woken only when several
//! have gathered: whoever hands one in pays for waking it, and alone it would come no earlier.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::base::limits;
use crate::log::family::Family;
use crate::log::owners::Proposed;

/// Proposals at the owner's door.
pub(in crate::log) struct Queue<F: Family> {
    proposals: mpsc::Receiver<Proposed<F>>,
    bell: Arc<Notify>,
    /// Taken from the queue, and in no group yet.
    pub(in crate::log) waiting: Vec<Proposed<F>>,
}

/// Way in to an owner's queue.
pub(in crate::log) struct Door<F: Family> {
    proposals: mpsc::Sender<Proposed<F>>,
    bell: Arc<Notify>,
}

/// Ways in to an owner's queue, of which none may be left.
pub(in crate::log) struct Handles<F: Family>(mpsc::WeakSender<Proposed<F>>);

impl<F: Family> Handles<F> {
    /// Whether nobody has.
    pub(in crate::log) fn are_gone(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// An empty queue, and the way in.
pub(in crate::log) fn queue<F: Family>() -> (Door<F>, Queue<F>) {
    let (sender, proposals) = mpsc::channel(limits::PROPOSALS_MAX);
    let bell = Arc::new(Notify::new());
    let waiting = Vec::with_capacity(limits::GROUP_RECORDS_MAX);
    (Door { proposals: sender, bell: Arc::clone(&bell) }, Queue { proposals, bell, waiting })
}

impl<F: Family> Door<F> {
    /// Handles of which this is one.
    pub(in crate::log) fn handles(&self) -> Handles<F> {
        Handles(self.proposals.downgrade())
    }

    /// Proposals that wait, about.
    pub(in crate::log) fn len(&self) -> usize {
        self.proposals.max_capacity().saturating_sub(self.proposals.capacity())
    }

    /// Hands a proposal in; waits for a place. False when there is no owner any more.
    pub(in crate::log) async fn send(&self, proposed: Proposed<F>) -> bool {
        let sent = self.proposals.send(proposed).await.is_ok();
        if self.len() >= limits::AHEAD_RECORDS_MIN {
            self.bell.notify_one();
        }
        sent
    }
}

impl<F: Family> Queue<F> {
    /// Waits for a proposal. False when none comes any more.
    pub(in crate::log) async fn wait(&mut self) -> bool {
        !self.waiting.is_empty() || self.proposals.recv_many(&mut self.waiting, limits::GROUP_RECORDS_MAX).await > 0
    }

    /// Takes what is there, as far as one group has room for it.
    pub(in crate::log) fn gather(&mut self) {
        while self.waiting.len() < limits::GROUP_RECORDS_MAX
            && let Ok(proposed) = self.proposals.try_recv()
        {
            self.waiting.push(proposed);
        }
    }

    /// Everything that is there.
    pub(in crate::log) fn drain(&mut self) -> impl Iterator<Item = Proposed<F>> {
        let come = std::iter::from_fn(|| self.proposals.try_recv().ok());
        self.waiting.drain(..).chain(come)
    }

    /// Waits until several wait; without end when none come any more. May be dropped at any time.
    pub(in crate::log) async fn gather_many(&mut self) {
        loop {
            self.gather();
            if self.waiting.len() >= limits::AHEAD_RECORDS_MIN {
                return;
            }
            self.bell.notified().await;
        }
    }
}
