//! News for people that follow from records of another family: told to their partitions by records there.
//!
//! The owner of such a record says what follows as it settles. That waits in memory, bounded, and a *bearer* a
//! partition hands it in to the owners of people's partitions, each of which knows what it has taken (`taken.rs`): so
//! whatever comes between, nothing is told twice, and nothing is left out. Partitions wait for no other: one that
//! refuses something is told no more in that round, to keep its order, and the others are told. What an earlier life
//! left, and what had no room, is read from the log. Neither side waits for the other: what is made of it has a number
//! of its own, which is above every horizon of people that was shown before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::{EngineError, Engines, Journal, JournalRecord, Partition, Position};
use fanfare_protocol::Id;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::effects::{self, Effects};
use super::ending::unless_ended;
use super::handle::{Log, Pending};
use super::owner::CONSUMER as WRITER;
use crate::base::error::{Error, Result};
use crate::base::limits::{self, ONWARD_WAITING_MAX};
use crate::log::events::{Event, SourceRecord};

/// Pauses after something went wrong.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Records of a partition from which something may follow. Clones share it; its owner tells, its bearer takes.
#[derive(Debug, Clone)]
pub struct Onward(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Records that wait in memory, at most.
    room: usize,
    state: Mutex<Waiting>,
    comes: Notify,
}

#[derive(Debug)]
struct Waiting {
    /// Records from which something follows, oldest first.
    records: VecDeque<(Id, Effects)>,
    /// Everything up to here was told by the owner.
    settled: Id,
    /// Records that were told since the bearer looked.
    count: usize,
    /// Some are not in memory: the log tells.
    is_behind: bool,
}

impl Default for Waiting {
    fn default() -> Self {
        // What an earlier life left is in the log.
        Self { records: VecDeque::new(), settled: Id(0), count: 0, is_behind: true }
    }
}

impl Default for Onward {
    fn default() -> Self {
        Self::with_room(ONWARD_WAITING_MAX)
    }
}

impl Onward {
    /// Nothing was told yet; at most `room` records wait in memory.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        Self(Arc::new(Inner { room, state: Mutex::default(), comes: Notify::new() }))
    }

    /// Leaves what an earlier life left unread: for a test that must notice.
    #[cfg(test)]
    pub(super) fn forget_past(&self) {
        self.take();
    }

    /// The owner begins, above the record `last`.
    pub fn opened(&self, last: Id) {
        let mut waiting = self.0.state.lock();
        waiting.settled = last.max(waiting.settled);
        waiting.is_behind = true;
        self.0.comes.notify_one();
    }

    /// Records are settled, in their order, with what follows from each. Never waits.
    pub fn settled(&self, records: impl Iterator<Item = (Id, Effects)>) {
        let mut waiting = self.0.state.lock();
        for (id, effects) in records {
            waiting.settled = id.max(waiting.settled);
            waiting.count += 1;
            if effects.is_empty() || waiting.is_behind {
                continue;
            }
            if waiting.records.len() >= self.0.room {
                waiting.records.clear();
                waiting.is_behind = true;
                metrics::counter!("fanfare_shed_total", "what" => "onward").increment(1);
                continue;
            }
            waiting.records.push_back((id, effects));
        }
        if waiting.is_behind || !waiting.records.is_empty() || waiting.count >= self.0.room {
            self.0.comes.notify_one();
        }
    }

    /// Number of records that wait in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.lock().records.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn take(&self) -> Waiting {
        let mut waiting = self.0.state.lock();
        let settled = waiting.settled;
        std::mem::replace(&mut *waiting, Waiting { settled, is_behind: false, ..Waiting::default() })
    }

    /// Records that were taken were not told: the log tells them again.
    fn give_back(&self) {
        let mut waiting = self.0.state.lock();
        waiting.records.clear();
        waiting.is_behind = true;
    }
}

/// Reader of one family's log, for the bearer.
pub trait OnwardSource: Send + Sync + 'static {
    /// Name of the journal's consumer that has told others what follows.
    fn consumer(&self) -> &'static str;

    /// The id of a record, and what follows from it.
    ///
    /// # Errors
    /// When it cannot be read.
    fn follows(&self, partition: Partition, one: &JournalRecord) -> Result<(Id, Effects)>;
}

/// Bearer of what follows from one partition.
pub struct Bearer {
    log: Log,
    journal: Arc<dyn Journal>,
    source: Arc<dyn OnwardSource>,
    partition: Partition,
    onward: Onward,
    /// Position below which everything that follows was told.
    at: Position,
    /// A partition that takes nothing more was not told: the position is remembered no further.
    is_left_out: bool,
    /// Partitions that refused something in this round, which are told nothing behind it.
    refusing: Vec<Partition>,
}

impl Bearer {
    /// Of `partition`, whose owner tells `onward`; people are in `log`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn open(
        engines: &Engines,
        log: Log,
        source: Arc<dyn OnwardSource>,
        (partition, onward): (Partition, Onward),
    ) -> Result<Self> {
        let journal = Arc::clone(&engines.journal);
        let mut at = journal.checkpoint_of(source.consumer(), partition).await?;
        let (first, _) = journal.bounds(partition).await?;
        if at.offset < first {
            // A version that tells nothing let go of it.
            at = journal.checkpoint_of(WRITER, partition).await?;
        }
        Ok(Self { log, journal, source, partition, onward, at, is_left_out: false, refusing: Vec::new() })
    }

    /// Tells what follows, as it settles. Ends when a record cannot be read, or the log is no more.
    pub async fn run(mut self) {
        loop {
            if let Err(error) = self.catch_up().await {
                tracing::error!(partition = self.partition.0, %error, "what follows for people is told no further");
                return;
            }
            self.onward.0.comes.notified().await;
        }
    }

    /// Tells what follows from everything that is settled now, also while storage is away. A partition that takes
    /// nothing more is told after a restart.
    ///
    /// # Errors
    /// When a record cannot be read, or the log is no more.
    pub async fn catch_up(&mut self) -> Result<()> {
        let mut pause = PAUSE_MIN;
        loop {
            let error = match self.step().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            self.onward.give_back();
            match error {
                error @ Error::Engine(EngineError::Corrupt(_) | EngineError::Closed(_)) => return Err(error),
                error => tracing::debug!(partition = self.partition.0, %error, "what follows is told again"),
            }
            tokio::time::sleep(pause).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    async fn step(&mut self) -> Result<()> {
        let Waiting { records, settled, count, is_behind } = self.onward.take();
        self.refusing.clear();
        if is_behind {
            self.read(settled).await?;
        } else {
            self.tell(records.into()).await?;
        }
        if (is_behind || count >= self.onward.0.room) && !self.is_left_out {
            self.remember(settled).await?;
        }
        Ok(())
    }

    /// Tells what follows from the records of the log up to `upto`; what a partition refused is told again from there.
    async fn read(&mut self, upto: Id) -> Result<()> {
        let (mut at, mut outcome) = (self.at, Ok(()));
        loop {
            let page = self.journal.read(self.partition, at, limits::GROUP_RECORDS_MAX).await?;
            let mut follows = Vec::new();
            let mut looked_at = 0;
            for one in page.records.iter().take_while(|one| one.id.is_none_or(|id| id <= upto.0)) {
                looked_at += 1;
                let (id, effects) = self.source.follows(self.partition, one)?;
                if !effects.is_empty() {
                    follows.push((id, effects));
                }
            }
            let told = self.tell(follows).await;
            if let Err(error @ Error::Engine(EngineError::Closed(_))) = told {
                return Err(error);
            }
            outcome = outcome.and(told);
            if looked_at < page.records.len() || looked_at == 0 {
                return outcome;
            }
            at = page.next;
            if outcome.is_ok() {
                self.at = at;
            }
        }
    }

    /// Tells each partition what follows there, in order, and waits until all of it is durable.
    async fn tell(&mut self, follows: Vec<(Id, Effects)>) -> Result<()> {
        let mut pending: Vec<(Partition, Pending)> = Vec::new();
        let handed_in = self.hand_in(follows, &mut pending).await;
        // Whatever happens, what was handed in is waited for: a second try finds it done.
        let mut outcome = handed_in;
        for (to, one) in pending {
            let told = unless_ended(one.durable().await, &mut self.is_left_out).map(drop);
            if told.is_err() {
                self.refusing.push(to);
            }
            outcome = outcome.and(told);
        }
        outcome
    }

    async fn hand_in(&mut self, follows: Vec<(Id, Effects)>, pending: &mut Vec<(Partition, Pending)>) -> Result<()> {
        // The last record of the source of which each partition was handed something.
        let (mut last, mut outcome): (Vec<(Partition, Id)>, _) = (Vec::new(), Ok(()));
        for (id, effects) in follows {
            for (to, effect) in effects {
                if self.refusing.contains(&to) {
                    continue;
                }
                let known = last.iter().position(|(partition, _)| *partition == to);
                let after = match known.and_then(|place| last.get(place)) {
                    Some((_, after)) => *after,
                    None => self.log.crossing(to)?.taken_of(self.partition.0),
                };
                if id <= after {
                    continue;
                }
                let from = SourceRecord { partition: self.partition.0, id, after };
                let derived = effects::derived(Some(effect), to, from);
                let one = match unless_ended(self.submit(to, derived).await, &mut self.is_left_out) {
                    Ok(Some(one)) => one,
                    Ok(None) => continue,
                    Err(error) => {
                        self.refusing.push(to);
                        outcome = outcome.and(Err(error));
                        continue;
                    }
                };
                pending.push((to, one));
                match known.and_then(|place| last.get_mut(place)) {
                    Some(known) => known.1 = id,
                    None => last.push((to, id)),
                }
            }
        }
        outcome
    }

    async fn submit(&self, to: Partition, derived: Event) -> Result<Pending> {
        let guard = self.log.decide_in(to, &[]).await?;
        self.log.submit(&guard, derived).await
    }

    /// Remembers that everything up to `told` was told, as far as the log's own head has come.
    async fn remember(&mut self, told: Id) -> Result<()> {
        let head = self.journal.checkpoint_of(WRITER, self.partition).await?;
        if head.last_id <= told.0 && head.offset > self.at.offset {
            self.at = head;
        }
        Ok(self.journal.checkpoint(self.source.consumer(), self.partition, self.at).await?)
    }
}
