//! Takeover of a partition: whoever becomes its owner first writes the rows of every record past the head again.

use std::sync::Arc;

use fanfare_engines::{Batch, Engines, Position};
use fanfare_protocol::Id;

use super::folding::Folding;
use super::head::Head;
use super::owner::{Appender, PARTITION};
use crate::base::error::Result;
use crate::base::limits;
use crate::data::forgotten::Forgotten;

/// Place of a log's end when it was taken over.
pub(super) struct TakenOver {
    /// Position behind the last record.
    pub(super) next: Position,
    /// Highest id of a record.
    pub(super) last: Id,
}

/// Writes the rows of every record from the head to the claim again, from the records alone. Those of which storage may
/// have forgotten what followed are left out: they were answered, and a copy that came late would bring back what was
/// deleted since.
pub(super) async fn take_over(engines: &Engines, folding: &Folding, appender: &mut Appender) -> Result<TakenOver> {
    let forgotten = Forgotten::read(&*engines.tables).await?.upto;
    let journal = Arc::clone(&engines.journal);
    let end = appender.position();
    let mut next = Head::read(&*engines.tables, PARTITION).await?.position();
    let mut last = forgotten.max(Id(end.last_id)).max(Id(next.last_id));
    while next.offset < end.offset {
        let found = journal.read(PARTITION, next, limits::GROUP_RECORDS_MAX).await?;
        next = found.next;
        if found.records.is_empty() {
            break;
        }
        let mut batch = Batch::default();
        for one in &found.records {
            last = last.max(folding.rows_again(&one.payload, forgotten, &mut batch)?);
        }
        appender.append(&[], &batch).await?;
    }
    let next = appender.position();
    // Of records from before there were claims the log does not tell the last id: the head does.
    let next = Position { last_id: last.0.max(next.last_id), ..next };
    appender.settle(Head::new(next)).await?;
    Ok(TakenOver { next, last })
}
