//! Records of format 1, which do not hold what folding them gave: their rows are written by folding them once more, the
//! last time when a data folder of format 1 is opened first. After that no record below the head is folded again.
//!
//! The steps: repair up to the log's end, store the head, and then the folder says format 2, which earlier versions
//! refuse. Cut off anywhere, all of it is done again, to no effect: state remembers the last record that was applied,
//! and no record of format 2 is made before the folder says so.

use std::sync::Arc;

use fanfare_engines::{Batch, Engines, FamilyPlace, Offset, Partition, Position};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::limits;
use crate::data::forgotten::Forgotten;
use crate::data::rows::from_json;
use crate::data::swept::Swept;
use crate::log::events::Record;
use crate::log::fold::{Folds, State};
use crate::log::folding::Folding;
use crate::log::head::Head;
use crate::log::owner::CONSUMER;
use crate::log::product::Product;

/// Writes the rows of every record past the checkpoints again, and stores the heads: what a folder of format 1 needs
/// before it says that it is of format 2. The log itself is not touched: until then an earlier version reads it.
///
/// # Errors
/// When the engines fail, or a record does not decode; the next start does it again.
pub async fn bring_up(engines: &Engines, products: &[Product]) -> Result<()> {
    let folds: Folds = products.iter().filter_map(|product| product.fold.clone()).collect();
    // Of a folder that was brought up before, and did not say so yet.
    folds.layout().read(&*engines.tables).await?;
    // Folders of that format have one family.
    for partition in engines.families.all().iter().take(1).flat_map(FamilyPlace::partitions) {
        let position = repair(engines, &folds, partition).await?;
        let mut batch = Batch::default();
        Head::new(position).write(partition, &mut batch)?;
        // By itself, once all the rows are durable.
        engines.tables.write(batch).await?;
    }
    Ok(())
}

/// Folds every record past the checkpoint; answers the log's end. Those of which storage may have forgotten what
/// followed are left out: they were answered, and a copy that came late would bring back what was deleted since.
async fn repair(engines: &Engines, folds: &Folds, partition: Partition) -> Result<Position> {
    let forgotten = Forgotten::read(&*engines.tables).await?.upto;
    let swept = Swept::read(&*engines.tables).await?;
    let (first, end) = engines.journal.bounds(partition).await?;
    let checkpoint = engines.journal.checkpoint_of(CONSUMER, partition).await?;
    let mut last = forgotten.max(Id(checkpoint.last_id));
    // The last one at least, for its id: only its payload tells.
    let from = checkpoint.offset.max(first).min(Offset(end.0.saturating_sub(1)));
    let mut next = Position::at(from);
    while next.offset < end {
        let found = engines.journal.read(partition, next, limits::GROUP_RECORDS_MAX).await?;
        if found.records.is_empty() {
            break;
        }
        next = found.next;
        let mut records = Vec::with_capacity(found.records.len());
        for one in &found.records {
            let record: Record = from_json(&one.payload)?;
            last = last.max(record.id);
            if record.id > forgotten {
                records.push(record);
            }
        }
        let mut batch = rows_of(engines, folds, &records).await?;
        if let Some(swept) = swept {
            swept.expire_again(&mut batch);
        }
        engines.tables.write(batch).await?;
    }
    Ok(Position { offset: end, last_id: last.0, ..next })
}

/// Rows of records of format 1, folded over what is stored.
///
/// # Errors
/// When the engines fail, or a row of the state does not decode.
pub async fn rows_of(engines: &Engines, folds: &Folds, records: &[Record]) -> Result<Batch> {
    let folding = Folding::new(folds.clone(), Arc::clone(&engines.tables));
    let loaded = folding.load(records.iter(), &State::default(), None).await?;
    let (mut state, mut batch) = (loaded.of_format_1(), Batch::default());
    for record in records {
        folding.fold(record, &mut state, &mut batch)?;
    }
    Ok(batch)
}
