//! Takeover of a partition: whoever becomes its owner first writes the rows of every record past the head again.

use std::sync::Arc;

use fanfare_engines::{Batch, EngineError, Engines, Journal, Offset, Position};
use fanfare_protocol::Id;

use super::folding::Folding;
use super::owner::{Appender, CONSUMER, PARTITION};
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::forgotten::Forgotten;
use crate::log::records;

/// Place of a log's end when it was taken over.
pub(super) struct TakenOver {
    /// Position behind the last record.
    pub(super) next: Position,
    /// Highest id of a record.
    pub(super) last: Id,
    /// Record that cannot be read, if there is one: rows are written up to it, and nothing is appended.
    pub(super) unreadable: Option<Error>,
}

/// Refuses a head that is not within its log: rows and records are not of the same folder.
fn check_head(head: Offset, first: Offset, end: Offset) -> Result<()> {
    let place = match head {
        head if head > end => "beyond the log's end",
        head if head < first => "before the log's first record",
        _ => return Ok(()),
    };
    let (partition, head, first, end) = (PARTITION.0, head.0, first.0, end.0);
    let cause = format!(
        "journal partition {partition}: its head, at {head}, is {place} (it has {first} to {end}): restore the folder \
         from a backup"
    );
    Err(Error::Engine(EngineError::Corrupt(cause)))
}

/// Writes the rows of every record from the checkpoint to the claim again. Those of which storage may have forgotten
/// what followed are left out: they were answered, and a copy that came late would bring back what was deleted since.
pub(super) async fn take_over(engines: &Engines, folding: &Folding, appender: &mut Appender) -> Result<TakenOver> {
    let forgotten = Forgotten::read(&*engines.tables).await?.upto;
    let journal = Arc::clone(&engines.journal);
    let end = appender.position();
    let mut next = journal.checkpoint_of(CONSUMER, PARTITION).await?;
    let (first, _) = journal.bounds(PARTITION).await?;
    check_head(next.offset, first, end.offset)?;
    let mut unreadable = None;
    let mut last = forgotten.max(Id(end.last_id)).max(Id(next.last_id));
    if end.last_id == 0 && next.last_id == 0 {
        next = before_last(&*journal, next, end).await?;
    }
    while next.offset < end.offset {
        let found = journal.read(PARTITION, next, limits::GROUP_RECORDS_MAX).await?;
        next = found.next;
        let mut records = Vec::with_capacity(found.records.len());
        for one in &found.records {
            last = last.max(records::id(one).unwrap_or_default());
            if unreadable.is_some() {
                continue; // nothing is written past it
            }
            match records::read(PARTITION, one) {
                Ok(record) if record.id > forgotten => records.push(record),
                Ok(_) => {}
                Err(error) => unreadable = Some(error),
            }
        }
        if found.records.is_empty() {
            break;
        }
        let mut state = folding.load(records.iter()).await?;
        let mut batch = Batch::default();
        for record in &records {
            folding.fold(record, &mut state, &mut batch)?;
        }
        if !batch.rows.is_empty() {
            appender.append(&[], &batch).await?;
        }
        folding.keep(state);
    }
    let next = appender.position();
    // Of records from before there were claims the log does not tell the last id: the checkpoint does from now on.
    if unreadable.is_none() {
        appender.checkpoint(Position { last_id: last.0.max(next.last_id), ..next }).await?;
    }
    Ok(TakenOver { next, last, unreadable })
}

/// The checkpoint, or an earlier position with a record behind it: of records from before there were claims their
/// payload alone tells the id, and the mint begins above the last.
async fn before_last(journal: &dyn Journal, checkpoint: Position, end: Position) -> Result<Position> {
    let (first, _) = journal.bounds(PARTITION).await?;
    let mut back = 1;
    loop {
        let offset = Offset(end.offset.0.saturating_sub(back)).min(checkpoint.offset).max(first);
        let position = Position::at(offset);
        let is_found = !journal.read(PARTITION, position, 1).await?.records.is_empty();
        if is_found || offset == first {
            return Ok(position);
        }
        back *= 2;
    }
}
