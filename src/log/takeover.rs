//! Takeover of a partition: whoever becomes its owner first writes the rows of every record past the head again.

use std::sync::Arc;

use fanfare_engines::{Batch, EngineError, Engines, Offset, Partition, Position};
use fanfare_protocol::Id;

use super::head::Head;
use super::owner::{Appender, CONSUMER};
use crate::base::error::{Error, Result};
use crate::log::family::{Family, Past};

/// Place of a log's end when it was taken over.
pub(super) struct TakenOver {
    /// Position behind the last record.
    pub(super) next: Position,
    /// Highest id of a record.
    pub(super) last: Id,
    /// Record that cannot be read, if there is one: rows are written up to it, and nothing is appended.
    pub(super) unreadable: Option<Error>,
}

/// Refuses a head that is not within its log, or a checkpoint beyond its end: rows and records are not of the same
/// folder.
fn check_head(
    Partition(partition): Partition,
    (head, checkpoint): (Offset, Offset),
    (first, end): (Offset, Offset),
) -> Result<()> {
    let farthest = head.max(checkpoint);
    let (head, place) = if farthest > end {
        (farthest, "beyond the log's end")
    } else if head < first {
        (head, "before the log's first record")
    } else {
        return Ok(());
    };
    let (head, first, end) = (head.0, first.0, end.0);
    let cause = format!(
        "journal partition {partition}: its head, at {head}, is {place} (it has {first} to {end}): restore the folder \
         from a backup"
    );
    Err(Error::Engine(EngineError::Corrupt(cause)))
}

/// Writes the rows of every record from the head to the claim again, from the records alone. Those of which storage may
/// have forgotten what followed are left out: they were answered, and a copy that came late would bring back what was
/// deleted since. Of the others rows without versions come back that expired since, and expire again.
pub(super) async fn take_over<F: Family>(engines: &Engines, family: &F, appender: &mut Appender) -> Result<TakenOver> {
    let partition = appender.partition();
    let Past { forgotten, swept } = appender.ask(|| family.past()).await?;
    let journal = Arc::clone(&engines.journal);
    let end = appender.position();
    let head = appender.ask(|| Head::read_from(&*engines.tables, F::OWN_TABLE, partition)).await?;
    family.begin(head.taken());
    let mut next = head.position();
    let (first, _) = appender.ask(|| async { Ok(journal.bounds(partition).await?) }).await?;
    let checkpoint = appender.ask(|| async { Ok(journal.checkpoint_of(CONSUMER, partition).await?) }).await?;
    check_head(partition, (next.offset, checkpoint.offset), (first, end.offset))?;
    let mut unreadable = None;
    let mut last = forgotten.max(Id(end.last_id)).max(Id(next.last_id));
    while next.offset < end.offset {
        let found = appender.ask(|| appender.read(next)).await?;
        next = found.next;
        if found.records.is_empty() {
            break;
        }
        let mut batch = Batch::default();
        for one in &found.records {
            last = last.max(F::stored_id(one).unwrap_or_default());
            if unreadable.is_some() {
                continue; // nothing is written past it
            }
            match family.read(partition, one) {
                Ok((record, outcome)) => {
                    family.pass(&record);
                    if F::id(&record) > forgotten {
                        family.rows(&record, &outcome, &mut batch)?;
                    }
                }
                Err(error) => unreadable = Some(error),
            }
        }
        if let Some(swept) = swept {
            swept.expire_again(&mut batch);
        }
        if !batch.rows.is_empty() {
            appender.append(&[], &batch).await?;
        }
    }
    let next = appender.position();
    // Of records from before there were claims the log does not tell the last id: the head does.
    let next = Position { last_id: last.0.max(next.last_id), ..next };
    if unreadable.is_none() {
        appender.settle(Head::new(next).having(family.taken())).await?;
    }
    family.opened(last);
    Ok(TakenOver { next, last, unreadable })
}
