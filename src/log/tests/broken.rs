//! Variants of the write path that lack one of its precautions, as a journal that undoes it.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::delegate::JournalDelegate;
use fanfare_engines::hostile::Hostile;
use fanfare_engines::{Appended, Batch, EngineError, Engines, Journal, NewRecord, Partition, Position, Turn};

/// Turns of others until rows come that were not waited for.
const LATE_TURNS: usize = 40;
/// Every so many calls come twice, to a log that does not notice.
const TWICE_EVERY: u64 = 5;
/// Tries to find the place in the log that nobody else takes meanwhile.
const TRIES_MAX: usize = 20;

/// The code as it is, or without one of its precautions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variant {
    Right,
    /// A record counts whatever its term.
    NoTermCheck,
    /// A record counts however long after its id it was appended: the history plays it.
    NoTimeCheck,
    /// An append that comes twice counts twice.
    NoIdCheck,
    /// Views and callers hear before rows are there.
    ToldBeforeSettled,
    /// Of two writes of a row the later one stands.
    RowsWithoutVersions,
    /// The mint knows the clock alone.
    MintBelowTheLastId,
    /// The horizon moves on with time although something is on its way.
    HorizonPastTheUnsettled,
}

/// The engines of `world` for one node.
pub(super) fn engines(world: &Hostile, variant: Variant) -> Engines {
    let engines = world.engines();
    let journal = Arc::new(Broken { journal: engines.journal, world: world.clone(), variant });
    Engines { journal, ..engines }
}

struct Broken {
    journal: Arc<dyn Journal>,
    world: Hostile,
    variant: Variant,
}

impl Broken {
    /// The turn of whoever appends next, if nobody asks who it is.
    fn any_turn(&self, partition: Partition) -> Option<(Turn, u64)> {
        let Position { term, number, last_id, .. } = self.world.log(partition).next;
        Some((Turn { term: term?, number }, last_id))
    }

    async fn commit_in_any_term(
        &self,
        partition: Partition,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        for _ in 0..TRIES_MAX {
            let (turn, _) = self.any_turn(partition).ok_or(EngineError::Fenced)?;
            if turn.number == u64::MAX {
                // A hole ended the term: nothing stands in it any more.
                return Err(EngineError::Fenced);
            }
            match self.journal.commit(partition, turn, records, rows).await {
                Err(EngineError::Fenced) => {}
                done => return done,
            }
        }
        Err(EngineError::Fenced)
    }

    /// Appends `records` once more, which count under ids that nobody compares.
    async fn repeat(&self, partition: Partition, records: &[NewRecord]) -> Option<Appended> {
        let (turn, last_id) = self.any_turn(partition)?;
        let again = (last_id + 1..).zip(records).map(|(id, record)| NewRecord { id, ..record.clone() });
        let again: Vec<NewRecord> = again.collect();
        self.journal.commit(partition, turn, &again, &Batch::default()).await.ok()
    }
}

#[async_trait]
impl JournalDelegate for Broken {
    fn behind(&self) -> &dyn Journal {
        &*self.journal
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        match self.variant {
            Variant::NoTermCheck => self.commit_in_any_term(partition, records, rows).await,
            Variant::NoIdCheck => {
                let done = self.journal.commit(partition, turn, records, rows).await?;
                let comes_twice = !records.is_empty() && done.next.offset.0.is_multiple_of(TWICE_EVERY);
                let twice = if comes_twice { self.repeat(partition, records).await } else { None };
                Ok(twice.unwrap_or(done))
            }
            Variant::ToldBeforeSettled if !records.is_empty() => {
                let appended = self.journal.commit(partition, turn, records, &Batch::default()).await?;
                let (journal, turn) = (Arc::clone(&self.journal), Turn { number: appended.next.number, ..turn });
                let rows = rows.clone();
                tokio::spawn(async move {
                    for _ in 0..LATE_TURNS {
                        tokio::task::yield_now().await;
                    }
                    // Whatever comes of it, nobody waits for it.
                    drop(journal.commit(partition, turn, &[], &rows).await);
                });
                Ok(appended)
            }
            Variant::RowsWithoutVersions => {
                let mut rows = rows.clone();
                rows.rows.iter_mut().for_each(|row| row.version = 0);
                self.journal.commit(partition, turn, records, &rows).await
            }
            _ => self.journal.commit(partition, turn, records, rows).await,
        }
    }
}
