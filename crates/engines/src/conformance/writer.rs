//! Writer of a partition for the checks: repeats a call until it is answered, as callers must.

use bytes::Bytes;

use super::{TRIES_MAX, sure};
use crate::Engines;
use crate::claim::Claim;
use crate::ports::{Batch, Claimant, EngineError, JournalRecord, NewRecord, Partition, Position, Turn};

/// The partition that most checks are about.
pub(super) const P: Partition = Partition(0);

pub(super) fn claimant(node: &str) -> Claimant {
    Claimant { node: node.to_owned(), is_import: false }
}

/// Owner of a partition.
pub(super) struct Writer {
    claim: Claim,
    last_id: u64,
}

impl Writer {
    /// Claims the first partition. Ids go on above every id that stands there.
    pub(super) async fn new(engines: &Engines) -> Self {
        Self::of(engines, P).await
    }

    /// Claims `partition`.
    pub(super) async fn of(engines: &Engines, partition: Partition) -> Self {
        let claim = sure(|| Claim::take(engines.journal.clone(), partition, claimant("conformance"))).await;
        let last_id = claim.position().last_id;
        Self { claim, last_id }
    }

    /// The turn that is next.
    pub(super) fn turn(&self) -> Turn {
        Turn { term: self.claim.term(), number: self.claim.position().number }
    }

    pub(super) fn records(&mut self, payloads: impl IntoIterator<Item = Bytes>) -> Vec<NewRecord> {
        let record = |payload| {
            self.last_id += 1;
            NewRecord { id: self.last_id, payload }
        };
        payloads.into_iter().map(record).collect()
    }

    /// Appends records; answers the position behind them.
    pub(super) async fn append(&mut self, payloads: impl IntoIterator<Item = Bytes>) -> Position {
        self.commit(payloads, Batch::default()).await
    }

    /// Appends records and writes rows.
    pub(super) async fn commit(&mut self, payloads: impl IntoIterator<Item = Bytes>, rows: Batch) -> Position {
        let records = self.records(payloads);
        for _ in 0..TRIES_MAX {
            match self.claim.append(&records, &rows).await {
                Ok(next) => return next,
                Err(EngineError::Unavailable(_) | EngineError::Unknown(_)) => {}
                Err(error) => panic!("the only writer failed: {error}"),
            }
        }
        panic!("a commit was never answered");
    }
}

pub(super) async fn read_from(engines: &Engines, from: Position, limit: usize) -> (Vec<JournalRecord>, Position) {
    let page = sure(|| engines.journal.read(P, from, limit)).await;
    (page.records, page.next)
}

/// Every record, and the end.
pub(super) async fn read_to_end(engines: &Engines, from: Position) -> (Vec<JournalRecord>, Position) {
    let (mut records, mut next): (Vec<JournalRecord>, _) = (Vec::new(), from);
    loop {
        let (more, after) = read_from(engines, next, 7).await;
        next = after;
        if more.is_empty() {
            return (records, next);
        }
        records.extend(more);
    }
}

pub(super) async fn read_all(engines: &Engines) -> Vec<JournalRecord> {
    read_to_end(engines, Position::START).await.0
}

pub(super) fn payloads(records: &[JournalRecord]) -> Vec<Bytes> {
    records.iter().map(|record| record.payload.clone()).collect()
}
