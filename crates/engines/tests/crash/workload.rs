//! A workload whose acknowledgements can be checked after any kind of crash.
//!
//! Writer `w` makes commits 0, 1, 2 and so on: each with three records and two rows in different partitions, and a
//! unique key now and then. So a look at the rows alone says which commits stand, and whether they are whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use fanfare_engines::claim::Claim;
use fanfare_engines::embedded::{self, Settings};
use fanfare_engines::{
    Batch, Claimant, EngineError, Engines, KeyRange, NewFamily, NewRecord, Order, Partition, Position, Row, RowKey,
    Table, Term, Turn, Unique,
};
use tokio::sync::Mutex;

/// Tables by family: each has a store of its own.
const LEFT: [Table; 2] = [Table { id: 1, name: "left" }, Table { id: 101, name: "left_there" }];
const RIGHT: [Table; 2] = [Table { id: 2, name: "right" }, Table { id: 102, name: "right_there" }];
const UNIQUE: [Table; 2] = [Table { id: 3, name: "unique" }, Table { id: 103, name: "unique_there" }];
const RECORDS: usize = 3;
pub const UNIQUE_EVERY: u64 = 7;
pub const WRITERS: u64 = 4;
/// Of the first family two, of the second one.
const PARTITIONS: u16 = 3;

/// Commit: writer, and number of the commit.
pub type Commit = (u64, u64);

/// Opened store, whose partitions are claimed by whoever writes to them first.
pub struct Opened {
    pub engines: Engines,
    claims: [Mutex<Option<Claim>>; PARTITIONS as usize],
}

pub fn open(folder: &Path) -> Result<Opened, EngineError> {
    open_with(folder, |_| ())
}

pub fn open_with(folder: &Path, change: impl FnOnce(&mut Settings)) -> Result<Opened, EngineError> {
    // Tiny write buffers, so that flushes and compactions happen all the time.
    let mut settings = Settings {
        cache_bytes: 8 * 1024 * 1024,
        write_buffer_bytes: 64 * 1024,
        families: families(),
        ..Settings::default()
    };
    change(&mut settings);
    Ok(Opened { engines: embedded::open(folder, &settings)?, claims: Default::default() })
}

fn families() -> Vec<NewFamily> {
    let here = NewFamily { name: "here", ..NewFamily::of_all(Some(2)) };
    vec![
        here,
        NewFamily { name: "there", partitions: Some(1), tables: |id| (100..=109).contains(&id), own_table: None },
    ]
}

fn partition(writer: u64) -> Partition {
    Partition((writer % u64::from(PARTITIONS)) as u16)
}

/// Table in which every commit of a writer has a row.
#[allow(dead_code, reason = "not all who share this file ask")]
pub fn left_of(writer: u64) -> Table {
    LEFT[family(writer)]
}

/// Family of a writer.
fn family(writer: u64) -> usize {
    usize::from(partition(writer).0 == 2)
}

fn id((writer, number): Commit) -> Vec<u8> {
    [writer.to_be_bytes(), number.to_be_bytes()].concat()
}

/// Bytes of a commit's rows and records: of lengths that cross block boundaries, and none of them zero.
fn payload(commit: Commit, part: usize) -> Bytes {
    let mut bytes = id(commit);
    bytes.push(part as u8);
    let filler = 1 + (commit.0 * 31 + commit.1 * 7 + part as u64) % 255;
    bytes.resize(bytes.len() + (commit.1 * 37 % 1_500) as usize, filler as u8);
    bytes.into()
}

/// Writes one commit; returns when it is acknowledged.
pub async fn write(opened: &Opened, commit: Commit) -> Result<(), EngineError> {
    let engines = &opened.engines;
    let (writer, number) = commit;
    let mut rows = Batch::default();
    for (part, table) in [(100, LEFT[family(writer)]), (101, RIGHT[family(writer)])] {
        let key = RowKey::new(table, writer.to_be_bytes().to_vec(), number.to_be_bytes().to_vec());
        rows.put_versioned(key, payload(commit, part), number + 1);
    }
    if number.is_multiple_of(UNIQUE_EVERY) {
        let key = RowKey::single(UNIQUE[family(writer)], id(commit));
        engines.tables.insert_unique(key, payload(commit, 102), writer + 1).await?;
    }
    let partition = partition(writer);
    let mut held = opened.claims[usize::from(partition.0)].lock().await;
    let claim = match &mut *held {
        Some(claim) => claim,
        none => {
            let claimant = Claimant { node: "workload".to_owned(), is_import: false };
            none.insert(Claim::take(engines.journal.clone(), partition, claimant).await?)
        }
    };
    let first = claim.position().last_id + 1;
    let payloads = (0..RECORDS).map(|part| payload(commit, part));
    let records: Vec<_> = (first..).zip(payloads).map(|(id, payload)| NewRecord { id, payload }).collect();
    let done = claim.append(&records, &rows).await;
    if done.is_err() {
        // What stands of it the next claim knows; its writer asks for the rows.
        *held = None;
    }
    done.map(drop)
}

/// Checks that every commit is whole or not there at all; answers those that stand.
pub async fn check_whole(opened: &Opened) -> BTreeSet<Commit> {
    let engines = &opened.engines;
    let mut commits = BTreeSet::new();
    for writer in 0..WRITERS {
        let scan = async |table: Table| -> Vec<Row> {
            let partition = writer.to_be_bytes();
            engines.tables.scan(table, &partition, KeyRange::ALL, Order::Ascending, usize::MAX).await.unwrap()
        };
        let (left, right) = (scan(LEFT[family(writer)]).await, scan(RIGHT[family(writer)]).await);
        assert_eq!(left.len(), right.len(), "writer {writer}: a batch is torn between its partitions");
        for (number, (left, right)) in (0_u64..).zip(left.into_iter().zip(right)) {
            assert_eq!(left.clustering, number.to_be_bytes().as_slice(), "writer {writer}: a commit is missing");
            assert_eq!(left.value, payload((writer, number), 100));
            assert_eq!(right.value, payload((writer, number), 101));
            commits.insert((writer, number));
        }
    }
    check_records(engines, &commits).await;
    commits
}

/// Records have no gaps, are whole, stand exactly where rows do, and term, last id and number are those of the last.
async fn check_records(engines: &Engines, commits: &BTreeSet<Commit>) {
    let mut counted: BTreeMap<Commit, usize> = BTreeMap::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let (mut ids, mut next) = (0, Position::START);
        loop {
            let page = engines.journal.read(partition, next, 1_000).await.unwrap();
            if page.records.is_empty() {
                break;
            }
            next = page.next;
            for record in page.records {
                ids += 1;
                assert_eq!(record.id, Some(ids), "a gap");
                let number = |at: usize| u64::from_be_bytes(record.payload[at..at + 8].try_into().unwrap());
                let commit = (number(0), number(8));
                let part = counted.entry(commit).or_default();
                assert_eq!(record.payload, payload(commit, *part), "records of {commit:?} are not in order");
                *part += 1;
            }
        }
        check_end(engines, partition, next).await;
    }
    assert!(counted.values().all(|&parts| parts == RECORDS), "a commit lacks records");
    assert!(counted.keys().eq(commits), "records and rows differ");
}

/// The engine knows the end as a reader of the whole log does: it takes the next turn of the term, and no other.
async fn check_end(engines: &Engines, partition: Partition, end: Position) {
    let Some(term) = end.term else { return };
    // A number that was given before, where there is one; one that is too high would end the term.
    for (other, number) in [(1, end.number), (0, end.number.saturating_sub(1))] {
        if other == 0 && number == end.number {
            continue;
        }
        let record = NewRecord { id: u64::MAX, payload: Bytes::new() };
        let turn = Turn { term: Term(term.0 + other), number };
        let answer = engines.journal.commit(partition, turn, &[record], &Batch::default()).await;
        assert!(matches!(answer, Err(EngineError::Fenced)), "{answer:?}");
    }
    let turn = Turn { term, number: end.number };
    let next = engines.journal.commit(partition, turn, &[], &Batch::default()).await.unwrap().next;
    assert_eq!(next.last_id, end.last_id);
    assert_eq!((next.term, next.number), (end.term, end.number));
}

/// Checks that everything acknowledged is there.
pub async fn check_kept(opened: &Opened, acknowledged: &BTreeSet<Commit>) {
    let (engines, kept) = (&opened.engines, check_whole(opened).await);
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    for &commit in acknowledged.iter().filter(|commit| commit.1.is_multiple_of(UNIQUE_EVERY)) {
        let key = RowKey::single(UNIQUE[family(commit.0)], id(commit));
        let taken = engines.tables.insert_unique(key, Bytes::new(), u64::MAX).await.unwrap();
        assert_eq!(taken, Unique::Taken(payload(commit, 102)), "a unique key is lost");
    }
}
