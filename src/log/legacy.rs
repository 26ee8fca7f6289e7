//! Records of format 1, which do not hold what folding them gave: their rows are written by folding them once more, the
//! last time when a data folder of format 1 is opened first. After that no record below the head is folded again.
//!
//! The steps: repair up to the log's end, store the head, and then the folder says format 2, which earlier versions
//! refuse. Cut off anywhere, all of it is done again, to no effect: state remembers the last record that was applied,
//! and no record of format 2 is made before the folder says so.

use std::sync::Arc;

use fanfare_engines::{Batch, Engines, Offset, Partition, RowKey};

use crate::base::error::Result;
use crate::base::limits;
use crate::data::forgotten::Forgotten;
use crate::data::rows::from_json;
use crate::log::events::Record;
use crate::log::fold::{Folds, Keys, State};
use crate::log::head::Head;
use crate::log::owner::CONSUMER;
use crate::log::product::Product;

/// Writes the rows of every record past the checkpoints again, and stores the heads: what a folder of format 1 needs
/// before it says that it is of format 2.
///
/// # Errors
/// When the engines fail, or a record does not decode; the next start does it again.
pub async fn bring_up(engines: &Engines, products: &[Product]) -> Result<()> {
    let folds: Folds = products.iter().filter_map(|product| product.fold.clone()).collect();
    for partition in 0..engines.journal.partitions() {
        let partition = Partition(partition);
        let head = repair(engines, &folds, partition).await?;
        let mut batch = Batch::default();
        head.write(partition, &mut batch)?;
        // By itself, once all the rows are durable.
        engines.journal.commit(partition, Vec::new(), batch).await?;
        engines.journal.checkpoint(CONSUMER, partition, head.next()).await?;
    }
    Ok(())
}

/// Folds every record past the checkpoint; answers the log's end. Those of which storage may have forgotten what
/// followed are left out: they were answered, and a copy that came late would bring back what was deleted since.
async fn repair(engines: &Engines, folds: &Folds, partition: Partition) -> Result<Head> {
    let forgotten = Forgotten::read(&*engines.tables).await?.upto;
    let journal = Arc::clone(&engines.journal);
    let (first, end) = journal.bounds(partition).await?;
    let checkpoint = journal.checkpoint_of(CONSUMER, partition).await?;
    let mut last = forgotten;
    // The last one at least, for its id.
    let mut next = checkpoint.max(first).min(Offset(end.0.saturating_sub(1)));
    while next < end {
        let found = journal.read(partition, next, limits::GROUP_RECORDS_MAX).await?;
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
        let mut state = load(engines, folds, &records).await?;
        let mut batch = Batch::default();
        for record in &records {
            folds.fold(record, &mut state, &mut batch)?;
        }
        engines.journal.commit(partition, Vec::new(), batch).await?;
    }
    Ok(Head::new(end, last))
}

/// State rows that `records` need.
async fn load(engines: &Engines, folds: &Folds, records: &[Record]) -> Result<State> {
    let mut keys = Keys::default();
    records.iter().for_each(|record| folds.keys(record, &mut keys));
    let mut state = State::default();
    let keys: Vec<(RowKey, bool)> = keys.into_iter().collect();
    if keys.is_empty() {
        return Ok(state);
    }
    let rows: Vec<RowKey> = keys.iter().map(|(key, _)| key.clone()).collect();
    let values = engines.tables.get_many(&rows).await?;
    for ((key, own), value) in keys.into_iter().zip(values) {
        state.load(key, value, own);
    }
    Ok(state)
}
