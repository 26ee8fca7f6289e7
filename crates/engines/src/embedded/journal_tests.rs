//! Folders of before there were claims: what they hold is read, and the first claim goes on behind it.

use fjall::PersistMode;

use super::*;
use crate::Engines;
use crate::embedded::layout::PARTITIONS_KEY;
use crate::embedded::place::{Place, Shared};
use crate::embedded::store::Store;
use crate::embedded::{Settings, open};

const P: Partition = Partition(0);

/// A folder as the version before left it: records under their offsets alone, a mark of four numbers, and a checkpoint
/// of one.
fn folder_of_before(records: u64, marked: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shared = Shared::new(folder.path(), &settings());
    let store = Store::open(&Place::first(folder.path(), &settings(), &shared)).unwrap();
    let mut batch = store.db.batch().durability(Some(PersistMode::SyncAll));
    for offset in 0..records {
        batch.insert(&store.journal, layout::entry_key(P, Offset(offset)), payload(offset));
    }
    if marked > 0 {
        batch.insert(&store.meta, layout::mark_key(P), [0, 0, marked, marked * 8].map(u64::to_be_bytes).concat());
    }
    batch.insert(&store.meta, PARTITIONS_KEY, 1_u16.to_be_bytes());
    batch.insert(&store.meta, layout::checkpoint_key("projector", P), 2_u64.to_be_bytes());
    batch.commit().unwrap();
    folder
}

fn payload(number: u64) -> String {
    format!("{{\"id\":{number}}}")
}

fn settings() -> Settings {
    Settings { cache_bytes: 8 * 1024 * 1024, ..Settings::default() }
}

async fn read(engines: &Engines, from: Position) -> (Vec<(Option<u64>, Bytes)>, Position) {
    let page = engines.journal.read(P, from, 100).await.unwrap();
    (page.records.into_iter().map(|record| (record.id, record.payload)).collect(), page.next)
}

#[tokio::test]
async fn records_of_before_claims_are_read_and_gone_on_from() {
    for marked in [0, 3, 5] {
        let folder = folder_of_before(5, marked);
        let before: Vec<_> = (0..5).map(|number| (None, Bytes::from(payload(number)))).collect();
        for start in 0..3 {
            let engines = open(folder.path(), &settings()).unwrap();
            let checkpoint = engines.journal.checkpoint_of("projector", P).await.unwrap();
            assert_eq!(checkpoint, Position::at(Offset(2)));
            let (found, _) = read(&engines, checkpoint).await;
            assert_eq!(found[..3], before[2..]);
            let (found, _) = read(&engines, Position::START).await;
            assert_eq!(found[..5], before[..]);
            assert_eq!(found.len() as u64, 5 + start);

            let claimant = Claimant { node: "node-0".to_owned(), is_import: false };
            let NewTerm { term, next: position, .. } = engines.journal.claim(P, &claimant).await.unwrap();
            assert_eq!(position.last_id, if start == 0 { 0 } else { 99 + start });
            let new = NewRecord { id: 100 + start, payload: Bytes::from_static(b"new") };
            engines.journal.commit(P, Turn::first(term), &[new], &Batch::default()).await.unwrap();
            let (found, next) = read(&engines, position).await;
            assert_eq!(found, [(Some(100 + start), Bytes::from_static(b"new"))]);
            assert_eq!((next.term, next.last_id, next.number), (Some(term), 100 + start, 1));
        }
        let engines = open(folder.path(), &settings()).unwrap();
        let (_, end) = read(&engines, Position::START).await;
        assert_eq!(engines.journal.trim(P, 9, &[]).await.unwrap().records, 5, "the old go first, one by one");
        let (found, at_end) = read(&engines, Position::at(Offset(2))).await;
        assert_eq!((found.len(), at_end), (3, end));
    }
}
