//! Claim of a partition, and what is appended under it: a writer that knows at every moment what stands.
//!
//! After an outcome that is not known it claims again, so that nothing of the call can come any more, and reads from
//! where it last knew everything: so each record stands once, and nothing is repeated blindly.

use std::sync::Arc;

use crate::ports::{Batch, Claimant, EngineError, Journal, NewRecord, NewTerm, Partition, Position, Term, Turn};

/// Claims in a row for one call: an earlier claim of the same writer may come late and fence it.
const CLAIMS_MAX: usize = 8;
/// Records that are read at once.
const READ_RECORDS_MAX: usize = 1_024;

/// Writer of a partition.
pub struct Claim {
    journal: Arc<dyn Journal>,
    partition: Partition,
    claimant: Claimant,
    turn: Turn,
    /// Everything below is known to the caller.
    known: Position,
    /// Of the records of the call under way, so many stand.
    standing: usize,
    /// Id of the first of them.
    first_id: Option<u64>,
    /// The log stamps what it takes, by a clock of its own.
    stamps: bool,
    /// Moment of what it last acknowledged.
    heard_ms: Option<u64>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The claim holds, as far as is known.
    Held,
    /// The outcome of the last call is not known.
    Unsure,
    /// Claim after which another owner wrote: what the caller holds in memory is old.
    Lost,
}

impl Claim {
    /// Claims `partition`. Everything below [`position`](Self::position) is decided, and the caller reads it before it
    /// appends.
    ///
    /// # Errors
    /// When the journal fails; a later try begins anew.
    pub async fn take(
        journal: Arc<dyn Journal>,
        partition: Partition,
        claimant: Claimant,
    ) -> Result<Self, EngineError> {
        let NewTerm { term, next: known, appended_ms } = journal.claim(partition, &claimant).await?;
        let (turn, stamps) = (Turn::first(term), appended_ms > 0);
        let heard_ms = stamps.then_some(appended_ms);
        let state = State::Held;
        Ok(Self { journal, partition, claimant, turn, known, standing: 0, first_id: None, stamps, heard_ms, state })
    }

    /// A writer that has claimed nothing: everything below `known` is known to the caller, who reads on from there and
    /// appends nothing ([`Fenced`](EngineError::Fenced)) before it [takes](Self::take) the partition.
    #[must_use]
    pub fn none(journal: Arc<dyn Journal>, partition: Partition, claimant: Claimant, known: Position) -> Self {
        let (turn, state) = (Turn::first(Term(u64::MAX)), State::Lost);
        let (standing, first_id, stamps, heard_ms) = (0, None, false, None);
        Self { journal, partition, claimant, turn, known, standing, first_id, stamps, heard_ms, state }
    }

    /// The term under which the next call is made.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.turn.term
    }

    /// Position behind the claim, or behind the last call that was acknowledged.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.known
    }

    /// The log's time when it last acknowledged a claim or records of this writer, in milliseconds since the Unix
    /// epoch; told once. Nothing where the log has no clock of its own.
    pub const fn heard_ms(&mut self) -> Option<u64> {
        self.heard_ms.take()
    }

    /// Appends `records` and writes `rows`; answers the position behind them, when all is durable. Either may be empty.
    ///
    /// After [`Unavailable`](EngineError::Unavailable) and [`Unknown`](EngineError::Unknown) the caller calls again
    /// with the same records and rows. What of them stands then is not appended again.
    ///
    /// # Errors
    /// [`Fenced`](EngineError::Fenced) when another owner wrote, now and from then on: nothing more is done, and the
    /// caller takes over anew. What the caller called again without an answer may stand; the log tells.
    pub async fn append(&mut self, records: &[NewRecord], rows: &Batch) -> Result<Position, EngineError> {
        let first_id = records.first().map(|record| record.id);
        if self.standing > 0 && self.first_id != first_id {
            // A call was given up of which a part stands: the caller does not know of it.
            self.state = State::Lost;
        }
        self.first_id = first_id;
        for _ in 0..CLAIMS_MAX {
            match self.state {
                State::Held => {}
                State::Unsure => self.look(records).await?,
                State::Lost => return Err(EngineError::Fenced),
            }
            let missing = &records[self.standing.min(records.len())..];
            match self.journal.commit(self.partition, self.turn, missing, rows).await {
                Ok(appended) => {
                    if self.stamps && appended.appended_ms > 0 {
                        self.heard_ms = Some(appended.appended_ms);
                    }
                    self.known = appended.next;
                    self.turn.number = self.known.number;
                    self.standing = 0;
                    return Ok(self.known);
                }
                // By a claim of its own that came late, or by another owner: reading tells.
                Err(EngineError::Fenced) => self.state = State::Unsure,
                Err(error @ EngineError::Unknown(_)) => {
                    self.state = State::Unsure;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        self.state = State::Lost;
        Err(EngineError::Fenced)
    }

    /// Claims again, and reads how many of `records` stand.
    async fn look(&mut self, records: &[NewRecord]) -> Result<(), EngineError> {
        let NewTerm { term, next: end, appended_ms } = self.journal.claim(self.partition, &self.claimant).await?;
        if self.stamps {
            self.heard_ms = Some(appended_ms);
        }
        self.standing = 0;
        let mut next = self.known;
        while next.offset < end.offset {
            let page = self.journal.read(self.partition, next, READ_RECORDS_MAX).await?;
            if page.records.is_empty() {
                break;
            }
            for found in page.records.iter().filter(|found| found.offset < end.offset) {
                // Another owner may have minted the same id, above the same last one.
                let is_ours = |record: &NewRecord| found.id == Some(record.id) && found.payload == record.payload;
                if !records.get(self.standing).is_some_and(is_ours) {
                    self.state = State::Lost;
                    return Err(EngineError::Fenced);
                }
                self.standing += 1;
            }
            next = page.next;
        }
        self.turn = Turn::first(term);
        self.state = State::Held;
        Ok(())
    }
}
