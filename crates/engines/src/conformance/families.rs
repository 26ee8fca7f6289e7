//! Checks of families: partitions and tables that are apart from all others.

use bytes::Bytes;

use super::writer::Writer;
use super::{get, refused, sure};
use crate::ports::{Batch, Offset, Partition, Position, RowKey, Table};
use crate::{Engines, NewFamily};

const HERE: Table = Table { id: 1, name: "conformance" };
const THERE: Table = Table { id: 100, name: "conformance_there" };

fn first(partitions: Option<u16>) -> NewFamily {
    NewFamily { name: "first", partitions, tables: |_| true, own_table: None }
}

fn second(partitions: Option<u16>) -> NewFamily {
    NewFamily { name: "second", partitions, tables: |id| (100..=109).contains(&id), own_table: None }
}

/// Families that [`a_batch_stays_within_one`] asks for.
pub(super) fn two() -> Vec<NewFamily> {
    vec![first(Some(2)), second(Some(1))]
}

fn rows(tables: &[Table], value: &'static str) -> Batch {
    let mut batch = Batch::default();
    tables.iter().for_each(|table| batch.put(RowKey::single(*table, value), value));
    batch
}

pub(super) async fn a_batch_stays_within_one(engines: Engines) {
    assert_eq!(engines.journal.partitions(), 3);
    refused("a batch of two families", || engines.tables.write(rows(&[HERE, THERE], "spans"))).await;
    for (partition, table, other) in [(0, HERE, THERE), (1, HERE, THERE), (2, THERE, HERE)] {
        let mut writer = Writer::of(&engines, Partition(partition)).await;
        let turn = writer.turn();
        for tables in [&[other][..], &[table, other]] {
            let spans = rows(tables, "spans");
            let commit = || engines.journal.commit(Partition(partition), turn, &[], &spans);
            refused("a commit with rows of another family", commit).await;
        }
        let value: &'static str = ["zero", "one", "two"][usize::from(partition)];
        writer.commit([Bytes::from(value)], rows(&[table], value)).await;
        assert_eq!(get(&engines, &RowKey::single(table, value)).await, Some(Bytes::from(value)));
        let page = sure(|| engines.journal.read(Partition(partition), Position::START, 10)).await;
        assert_eq!(page.records.iter().map(|one| one.payload.clone()).collect::<Vec<_>>(), [Bytes::from(value)]);
    }
    for table in [HERE, THERE] {
        assert_eq!(get(&engines, &RowKey::single(table, "spans")).await, None, "what was refused was done");
    }
    let keys = [(THERE, "two"), (HERE, "zero"), (THERE, "none"), (HERE, "one")];
    let keys = keys.map(|(table, key)| RowKey::single(table, key));
    let found = sure(|| engines.tables.get_many(&keys)).await;
    assert_eq!(found, [Some(Bytes::from("two")), Some(Bytes::from("zero")), None, Some(Bytes::from("one"))]);
}

/// Opens the same data with families; an error is what was said about them.
pub type OpenAgain<'a> = &'a dyn Fn(&[NewFamily]) -> Result<Engines, crate::EngineError>;

pub(super) async fn families_come_and_stay(open: OpenAgain<'_>) {
    let opened = |families: &[NewFamily]| open(families).unwrap_or_else(|error| panic!("{families:?}: {error}"));
    let engines = opened(&[first(Some(2))]);
    assert_eq!(engines.journal.partitions(), 2);
    let mut writer = Writer::of(&engines, Partition(1)).await;
    writer.append([Bytes::from("before")]).await;
    drop((writer, engines));
    for bad in [&[first(Some(5))][..], &[first(Some(1))], &[second(None)]] {
        assert!(open(bad).is_err(), "{bad:?} goes with what is there");
    }
    let engines = opened(&[first(None), second(Some(3))]);
    assert_eq!(engines.journal.partitions(), 5);
    let last = Partition(4);
    assert_eq!(sure(|| engines.journal.bounds(last)).await, (Offset(0), Offset(0)));
    let mut writer = Writer::of(&engines, last).await;
    writer.append([Bytes::from("in the last")]).await;
    drop((writer, engines));
    assert!(open(&[first(None), second(Some(1))]).is_err(), "what is made stays");
    let engines = opened(&[first(Some(2)), second(None)]);
    for (partition, payload) in [(Partition(1), "before"), (last, "in the last")] {
        let page = sure(|| engines.journal.read(partition, Position::START, 10)).await;
        assert_eq!(page.records.iter().map(|one| one.payload.clone()).collect::<Vec<_>>(), [Bytes::from(payload)]);
    }
}
