//! The write path over an engine in memory that keeps what each commit wrote.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare::app;
use fanfare::base::clock::Clock;
use fanfare::base::error::Result;
use fanfare::base::id::unix_ms_of;
use fanfare::data::families;
use fanfare::data::layout::Layout;
use fanfare::data::storage::Storage;
use fanfare::data::uncounted::Of;
use fanfare::log::counters;
use fanfare::log::events::{Event, Policy, Record};
use fanfare::log::fold::State;
use fanfare::log::handle::{Log, LogSetup, Proposal};
use fanfare::log::horizon::Horizon;
use fanfare::log::mint::Numbers;
use fanfare::log::owner::OwnerThreads;
use fanfare::log::product::{Prepare, Product};
use fanfare::log::roster::Alone;
use fanfare::log::spread::Spread;
use fanfare::log::{head, legacy};
use fanfare_engines::delegate::JournalDelegate;
use fanfare_engines::families::StoredFamily;
use fanfare_engines::{
    Appended, Batch, Claimant, EngineError, Engines, Families, Journal, NewRecord, Page, Partition, Position, RowWrite,
    Turn,
};
use fanfare_protocol::Id;
use parking_lot::Mutex;

use crate::story::{Pair, Story, lines, row};

/// Events of one kind that are listed one by one before they are grouped.
const GROUP_AFTER: u64 = 3;
/// Number in the ids of the stories, as earlier versions gave it to node 1: the partition whose records they are.
const NUMBER: u16 = 1;

/// Records and rows of a commit.
type Commit = (Vec<Bytes>, Vec<RowWrite>);

/// A journal that remembers commits, and gives out one record a read: so each repair is of one record.
struct Tape {
    journal: Arc<dyn Journal>,
    commits: Mutex<Vec<Commit>>,
    /// Held: no commit is made.
    gate: tokio::sync::Mutex<()>,
}

#[async_trait]
impl JournalDelegate for Tape {
    fn behind(&self) -> &dyn Journal {
        &*self.journal
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        let _open = self.gate.lock().await;
        let payloads = records.iter().map(|record| record.payload.clone()).collect();
        let mut kept = rows.rows.clone();
        // Of where the head stands no record tells.
        kept.retain(|row| row.key != head::row(partition));
        self.commits.lock().push((payloads, kept));
        self.journal.commit(partition, turn, records, rows).await
    }

    async fn read(&self, partition: Partition, from: Position, _limit: usize) -> Result<Page, EngineError> {
        self.journal.read(partition, from, 1).await
    }
}

/// Lets posts be pushed by how many follow their author.
struct Stamp;

impl Prepare for Stamp {
    fn prepare(&self, record: &mut Record, state: &State) -> Result<()> {
        if let Event::Posted { post, .. } = &mut record.event {
            post.policy = match counters::of(Of::User(post.author), state)?.values[0] {
                0 | 1 => Policy::Push,
                2 => Policy::PushLate,
                _ => Policy::Pull,
            };
        }
        Ok(())
    }
}

fn taped(story: &Story) -> (Engines, Arc<Tape>) {
    let engines = fanfare_engines::memory::open(story.partitions.max(NUMBER + 1)).unwrap();
    let name = families::SOCIAL.name;
    let first = if story.partitions == 1 { NUMBER } else { 0 };
    let stored = StoredFamily { name: name.to_owned(), first, count: story.partitions };
    let families = Families::settle(&[stored], &[families::SOCIAL]).unwrap();
    let tape =
        Arc::new(Tape { journal: engines.journal, commits: Mutex::default(), gate: tokio::sync::Mutex::default() });
    (Engines { journal: tape.clone(), families, ..engines }, tape)
}

/// A server over `engines`, whose rows are in the layout of the story.
async fn start(engines: &Engines, story: &Story) -> (Log, OwnerThreads) {
    Layout::default().begin(&*engines.tables, story.last_of_earlier_layout()).await.unwrap();
    let (mut products, _) = app::products_over(Spread::of(&engines.families).unwrap(), GROUP_AFTER);
    products.push(Product::default().prepares(Stamp));
    // By hand: the time of ids is reserved beside what a record gives only where the clock is the system's.
    let (clock, storage) = (Clock::by_hand(0), Storage::default());
    let setup = LogSetup {
        clock,
        numbers: Numbers { others: NUMBER },
        storage,
        roster: Arc::new(Alone),
        horizon: Horizon::default(),
    };
    Log::open(engines, products, setup).await.unwrap()
}

async fn give(engines: &Engines, pair: &Pair) {
    let rows = pair.given.iter().map(|line| row(line)).collect();
    engines.tables.write(Batch { rows }).await.unwrap();
}

/// Partition of the records.
const P: Partition = Partition(NUMBER);

/// Somebody of that partition.
fn somebody(story: &Story) -> Id {
    let spread = Spread::over(0, story.partitions);
    (1..).map(Id).find(|person| spread.is_one() || spread.partition_of(*person) == P).unwrap()
}

fn text(payload: &Bytes) -> String {
    String::from_utf8(payload.to_vec()).unwrap()
}

/// The story as a server commits it: each record proposed for the moment of its id.
pub async fn committed(story: &Story) -> Vec<Pair> {
    let (engines, tape) = taped(story);
    let (log, thread) = start(&engines, story).await;
    let mut found = Vec::new();
    for pair in &story.pairs {
        give(&engines, pair).await;
        tape.commits.lock().clear();
        let (id, proposal) = proposal(pair);
        let committed = log.commit(&log.decide(somebody(story), &[]).await.unwrap(), proposal).await;
        let committed = committed.unwrap_or_else(|error| panic!("{}: {error}", pair.name));
        assert_eq!(committed.id, id, "{}", pair.name);
        let (records, rows) = tape.commits.lock().pop().unwrap();
        found.push(Pair { name: pair.name.clone(), record: text(&records[0]), rows: lines(rows), ..Pair::default() });
    }
    drop(log);
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
    found
}

fn proposal(pair: &Pair) -> (Id, Proposal) {
    let Record { id, event, idempotency, import_line, audit } =
        serde_json::from_str(&pair.record).unwrap_or_else(|error| panic!("{}: {error}", pair.name));
    (id, Proposal { event, at_ms: Some(unix_ms_of(id)), idempotency, import_line, audit })
}

/// Rows at the end of the story when its records are committed together, as far as they gather: by line of the key, the
/// last one written.
pub async fn together(story: &Story) -> BTreeMap<String, String> {
    let (engines, tape) = taped(story);
    let (log, thread) = start(&engines, story).await;
    tape.commits.lock().clear();
    let closed = tape.gate.lock().await;
    let mut waiting = Vec::new();
    for pair in &story.pairs {
        waiting.push(log.submit(&log.decide(somebody(story), &[]).await.unwrap(), proposal(pair).1).await.unwrap());
    }
    drop(closed);
    for (pair, pending) in story.pairs.iter().zip(waiting) {
        pending.durable().await.unwrap_or_else(|error| panic!("{}: {error}", pair.name));
    }
    drop(log);
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
    let commits = std::mem::take(&mut *tape.commits.lock());
    // And one of the head, at the end.
    assert!(commits.len() <= 3 + story.pairs.len() / 256, "{} records in {} commits", story.pairs.len(), commits.len());
    last_written(commits.into_iter().filter(|(_, rows)| !rows.is_empty()).flat_map(|(_, rows)| lines(rows)))
}

/// Of rows' lines in the order in which they were written, the last of each key.
pub fn last_written(lines: impl Iterator<Item = String>) -> BTreeMap<String, String> {
    // Verb, table, partition, clustering: a delete takes the place of what was put.
    let key = |line: &str| line.split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ");
    lines.map(|line| (key(&line), line)).collect()
}

/// The story as a start writes its rows again: each record's bytes stand in the journal, and its rows are not written.
pub async fn repaired(story: &Story) -> Vec<Pair> {
    let mut found = Vec::new();
    let (engines, tape) = taped(story);
    let (log, thread) = start(&engines, story).await;
    drop(log);
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
    for pair in &story.pairs {
        give(&engines, pair).await;
        let payload = Bytes::from(pair.record.clone().into_bytes());
        let record = NewRecord { id: proposal(pair).0.0, payload };
        let claimant = Claimant { node: "before".to_owned(), is_import: false };
        let term = tape.journal.claim(P, &claimant).await.unwrap().term;
        tape.journal.commit(P, Turn::first(term), &[record], &Batch::default()).await.unwrap();
        tape.commits.lock().clear();
        let (log, thread) = start(&engines, story).await;
        drop(log);
        tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
        let rows = std::mem::take(&mut *tape.commits.lock()).into_iter().flat_map(|(_, rows)| rows).collect();
        found.push(Pair { name: pair.name.clone(), record: pair.record.clone(), rows: lines(rows), ..Pair::default() });
    }
    found
}

/// The story as a folder of format 1 is brought up: each record is folded over what is there.
pub async fn brought_up(story: &Story) -> Vec<Pair> {
    let mut found = Vec::new();
    let engines = fanfare_engines::memory::open(1).unwrap();
    let folds = app::products(GROUP_AFTER).0.into_iter().filter_map(|product| product.fold).collect();
    for pair in &story.pairs {
        give(&engines, pair).await;
        let record: Record = serde_json::from_str(&pair.record).unwrap();
        let batch = legacy::rows_of(&engines, &folds, &[record]).await.unwrap();
        engines.tables.write(batch.clone()).await.unwrap();
        let (name, record, rows) = (pair.name.clone(), pair.record.clone(), lines(batch.rows));
        found.push(Pair { name, record, rows, ..Pair::default() });
    }
    found
}
