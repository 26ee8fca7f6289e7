//! Takeover of a partition: whoever becomes its owner first writes the rows of every record past the head again.

use std::sync::Arc;

use fanfare_engines::{Batch, EngineError, Engines, Offset};
use fanfare_protocol::Id;

use super::folding::Folding;
use super::owner::{Appender, CONSUMER, PARTITION};
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::forgotten::Forgotten;
use crate::log::records;

/// Place of a log's end when it was taken over.
pub(super) struct TakenOver {
    /// Offset after the last record.
    pub(super) next: Offset,
    /// Highest id of a record.
    pub(super) last: Id,
    /// Record that cannot be read, if there is one: rows are written up to it, and nothing is appended.
    pub(super) unreadable: Option<Error>,
}

/// Refuses a head that is not within its log: rows and records are not of the same folder.
fn check_head(head: Offset, first: Offset, end: Offset) -> Result<()> {
    let where_it_is = match head {
        head if head > end => "beyond the log's end",
        head if head < first => "before the log's first record",
        _ => return Ok(()),
    };
    let (head, first, end) = (head.0, first.0, end.0);
    let cause = format!(
        "journal partition {}: its head, at {head}, is {where_it_is} (it has {first} to {end}): restore the folder from a backup",
        PARTITION.0
    );
    Err(Error::Engine(EngineError::Corrupt(cause)))
}

/// Writes the rows of every record past the checkpoint again. Those of which storage may have forgotten what followed
/// are left out: they were answered, and a copy that came late would bring back what was deleted since.
pub(super) async fn take_over(engines: &Engines, folding: &Folding, appender: &Appender) -> Result<TakenOver> {
    let forgotten = Forgotten::read(&*engines.tables).await?.upto;
    let journal = Arc::clone(&engines.journal);
    let (first, end) = journal.bounds(PARTITION).await?;
    let checkpoint = journal.checkpoint_of(CONSUMER, PARTITION).await?;
    check_head(checkpoint, first, end)?;
    let (mut last, mut unreadable) = (forgotten, None);
    let mut next = checkpoint.max(first).min(Offset(end.0.saturating_sub(1)));
    while next < end {
        let found = journal.read(PARTITION, next, limits::GROUP_RECORDS_MAX).await?;
        let Some(newest) = found.last() else { break };
        next = Offset(newest.offset.0 + 1);
        let mut records = Vec::with_capacity(found.len());
        for one in &found {
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
        let mut state = folding.load(records.iter()).await?;
        let mut batch = Batch::default();
        for record in &records {
            folding.fold(record, &mut state, &mut batch)?;
        }
        if !batch.rows.is_empty() {
            appender.write_rows(batch).await?;
        }
        folding.keep(state);
    }
    if unreadable.is_none() {
        appender.checkpoint(end).await?;
    }
    Ok(TakenOver { next: end, last, unreadable })
}
