//! Takeover of a partition: whoever becomes its owner first writes the rows of every record past the head again.

use std::sync::Arc;

use fanfare_engines::{Batch, Engines, Offset};
use fanfare_protocol::Id;

use super::folding::Folding;
use super::owner::{Appender, CONSUMER, PARTITION};
use crate::base::error::Result;
use crate::base::limits;
use crate::data::forgotten::Forgotten;
use crate::data::rows::from_json;
use crate::log::events::Record;

/// Place of a log's end when it was taken over.
pub(super) struct TakenOver {
    /// Offset after the last record.
    pub(super) next: Offset,
    /// Highest id of a record.
    pub(super) last: Id,
}

/// Writes the rows of every record past the checkpoint again. Those of which storage may have forgotten what followed
/// are left out: they were answered, and a copy that came late would bring back what was deleted since.
pub(super) async fn take_over(engines: &Engines, folding: &Folding, appender: &Appender) -> Result<TakenOver> {
    let forgotten = Forgotten::read(&*engines.tables).await?.upto;
    let journal = Arc::clone(&engines.journal);
    let (first, end) = journal.bounds(PARTITION).await?;
    let checkpoint = journal.checkpoint_of(CONSUMER, PARTITION).await?;
    let mut last = forgotten;
    let mut next = checkpoint.max(first).min(Offset(end.0.saturating_sub(1)));
    while next < end {
        let found = journal.read(PARTITION, next, limits::GROUP_RECORDS_MAX).await?;
        let Some(newest) = found.last() else { break };
        next = Offset(newest.offset.0 + 1);
        let mut records = Vec::with_capacity(found.len());
        for one in &found {
            let record: Record = from_json(&one.payload)?;
            last = last.max(record.id);
            if record.id > forgotten {
                records.push(record);
            }
        }
        let mut state = folding.load(records.iter()).await?;
        let mut batch = Batch::default();
        for record in &records {
            folding.fold(record, &mut state, &mut batch)?;
        }
        appender.append(Vec::new(), batch).await?;
        folding.keep(state);
    }
    appender.checkpoint(end).await?;
    Ok(TakenOver { next: end, last })
}
