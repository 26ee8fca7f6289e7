//! Takeover of a partition: whoever becomes its owner first writes the rows of every record past the head again.

use std::sync::Arc;

use fanfare_engines::{Batch, Engines, Offset};
use fanfare_protocol::Id;

use super::folding::Folding;
use super::head::Head;
use super::owner::{Appender, PARTITION};
use crate::base::error::Result;
use crate::base::limits;
use crate::data::forgotten::Forgotten;

/// Place of a log's end when it was taken over.
pub(super) struct TakenOver {
    /// Offset after the last record.
    pub(super) next: Offset,
    /// Highest id of a record.
    pub(super) last: Id,
}

/// Writes the rows of every record past the head again, from the records alone. Those of which storage may have
/// forgotten what followed are left out: they were answered, and a copy that came late would bring back what was
/// deleted since.
pub(super) async fn take_over(engines: &Engines, folding: &Folding, appender: &Appender) -> Result<TakenOver> {
    let head = Head::read(&*engines.tables, PARTITION).await?;
    let forgotten = Forgotten::read(&*engines.tables).await?.upto;
    let journal = Arc::clone(&engines.journal);
    let (_, end) = journal.bounds(PARTITION).await?;
    let (mut next, mut last) = (head.next(), head.last().max(forgotten));
    while next < end {
        let found = journal.read(PARTITION, next, limits::GROUP_RECORDS_MAX).await?;
        let Some(newest) = found.last() else { break };
        next = Offset(newest.offset.0 + 1);
        let mut batch = Batch::default();
        for one in &found {
            last = last.max(folding.rows_again(&one.payload, forgotten, &mut batch)?);
        }
        appender.append(Vec::new(), batch).await?;
    }
    appender.settle(Head::new(end, last)).await?;
    Ok(TakenOver { next: end, last })
}
