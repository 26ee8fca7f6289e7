//! Journal whose commits wait until they are let through, and then meet a fate.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::delegate::JournalDelegate;
use fanfare_engines::random::Random;
use fanfare_engines::{Appended, Batch, Claimant, EngineError, Journal, NewRecord, Partition, Turn};
use fanfare_protocol::Id;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::log::events::{Event, Record};
use crate::log::fold::Folds;
use crate::log::line;
use crate::log::outcome::Outcome;

/// Event of another node.
pub const FOREIGN: Event = Event::Unsuspended { user: Id(77) };

/// Fate of a call of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Done,
    /// Not done, and tried again.
    Away,
    /// Not done, or done; nobody hears which.
    Lost,
    Hidden,
    /// Refused; the owner goes on.
    Limit,
    Full,
    /// Refused, and the owner ends.
    Closed,
    /// Claimed first by another node, which writes nothing, or a record.
    Claimed,
    Fenced,
}

/// Journal whose commits wait to be let through, and then meet their fate.
pub struct Gate {
    inner: Arc<dyn Journal>,
    /// Commits that are let through.
    pub open: Semaphore,
    random: Mutex<Random>,
    /// Commits that fail, in percent.
    faulty: u8,
}

impl Gate {
    pub fn new(inner: &Arc<dyn Journal>, (seed, faulty): (u64, u8)) -> Arc<Self> {
        let (inner, random) = (Arc::clone(inner), Mutex::new(Random::new(seed)));
        Arc::new(Self { inner, open: Semaphore::new(0), random, faulty })
    }

    fn fate(&self) -> Fate {
        let mut random = self.random.lock();
        if !random.percent(self.faulty) {
            return Fate::Done;
        }
        match random.below(18) {
            0..=2 => Fate::Away,
            3..=4 => Fate::Lost,
            5..=6 => Fate::Hidden,
            7..=9 => Fate::Limit,
            10..=12 => Fate::Full,
            13 => Fate::Closed,
            14..=15 => Fate::Claimed,
            _ => Fate::Fenced,
        }
    }
}

/// Record of another node.
fn foreign(id: Id) -> NewRecord {
    let record = Record { id, event: FOREIGN, idempotency: None, import_line: None, audit: None };
    NewRecord { id: id.0, payload: line::encode(&record, &Outcome::default(), &Folds::default()).unwrap() }
}

#[async_trait]
impl JournalDelegate for Gate {
    fn behind(&self) -> &dyn Journal {
        &*self.inner
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        if records.is_empty() {
            return self.inner.commit(partition, turn, records, rows).await;
        }
        self.open.acquire().await.map_err(|_| EngineError::Closed("the gate".to_owned()))?.forget();
        let last_id = records.last().map_or(0, |record| record.id);
        let commit = self.inner.commit(partition, turn, records, rows);
        let cause = || "by the test".to_owned();
        match self.fate() {
            Fate::Done => commit.await,
            Fate::Away => Err(EngineError::Unavailable(cause())),
            Fate::Lost => Err(EngineError::Unknown(cause())),
            Fate::Hidden => {
                commit.await?;
                Err(EngineError::Unknown(cause()))
            }
            Fate::Limit => Err(EngineError::Limit(cause())),
            Fate::Full => Err(EngineError::Full(cause())),
            Fate::Closed => Err(EngineError::Closed(cause())),
            fate @ (Fate::Claimed | Fate::Fenced) => {
                let other = Claimant { node: "another".to_owned(), is_import: false };
                let term = self.inner.claim(partition, &other).await?.term;
                if fate == Fate::Fenced {
                    let foreign = [foreign(Id(last_id + 1))];
                    self.inner.commit(partition, Turn::first(term), &foreign, &Batch::default()).await?;
                }
                commit.await
            }
        }
    }
}
