//! Folders of families: made once, entered whole, and never taken for those of other data.

use std::fs;

use super::*;
use crate::embedded::open;
use crate::ports::{Batch, Claimant, NewRecord, Offset, Partition, RowKey, Turn};
use crate::{Engines, NewFamily};

const TALK: Table = Table { id: 100, name: "talk" };
const POST: Table = Table { id: 1, name: "post" };

fn social(partitions: Option<u16>) -> NewFamily {
    NewFamily { name: "social", partitions, tables: |_| true, own_table: None }
}

fn chat() -> NewFamily {
    NewFamily { name: "chat", partitions: None, tables: |id| (100..=139).contains(&id), own_table: None }
}

fn settings(families: &[NewFamily]) -> Settings {
    Settings { cache_bytes: 8 * 1024 * 1024, families: families.to_vec(), ..Settings::default() }
}

fn refusal(path: &Path, families: &[NewFamily]) -> String {
    open(path, &settings(families)).err().unwrap().to_string()
}

/// A record with a row of `table` in a partition.
async fn commit(engines: &Engines, partition: u16, table: Table) {
    let (partition, claimant) = (Partition(partition), Claimant { node: "one".to_owned(), is_import: false });
    let claimed = engines.journal.claim(partition, &claimant).await.unwrap();
    let mut rows = Batch::default();
    rows.put(RowKey::single(table, "p"), "v");
    let record = NewRecord { id: claimed.next.last_id + 1, payload: "record".into() };
    engines.journal.commit(partition, Turn::first(claimed.term), &[record], &rows).await.unwrap();
}

async fn has(engines: &Engines, partition: u16, table: Table) -> bool {
    let (_, end) = engines.journal.bounds(Partition(partition)).await.unwrap();
    let row = engines.tables.get(&RowKey::single(table, "p")).await.unwrap();
    assert_eq!(row.is_some(), end > Offset(0), "records and rows are kept together");
    row.is_some()
}

#[tokio::test]
async fn a_folder_of_before_has_its_partitions_and_takes_a_family_in_wherever_it_was_cut_off() {
    for cut_off in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let path = home.path();
        let alone = settings(&[social(None)]);
        let shared = Shared::new(path, &alone);
        let store = Store::open(&Place::first(path, &alone, &shared)).unwrap();
        store.meta.insert(PARTITIONS_KEY, 1_u16.to_be_bytes()).unwrap();
        drop(store);
        let engines = open(path, &alone).unwrap();
        commit(&engines, 0, POST).await;
        drop(engines);
        assert!(refusal(path, &[social(Some(3))]).contains("social has 1 partitions"));

        let both = [social(Some(1)), chat()];
        if cut_off {
            // The folder is made, and nobody knows it yet.
            let family = Families::settle(&[], &both).unwrap().get("chat").unwrap().clone();
            let settings = settings(&both);
            let place = Place::first(path, &settings, &Shared::new(path, &settings)).other(&family);
            drop(open_other(&place, &family, true, 7).unwrap());
        }
        let engines = open(path, &settings(&both)).unwrap();
        assert_eq!((engines.journal.partitions(), engines.families.get("chat").unwrap().first), (2, Partition(1)));
        assert!(has(&engines, 0, POST).await && !has(&engines, 1, TALK).await);
        commit(&engines, 1, TALK).await;
        drop(engines);
        assert!(refusal(path, &[social(None)]).contains("the family chat"), "who does not know it must not go on");
        let engines = open(path, &settings(&both)).unwrap();
        assert!(has(&engines, 0, POST).await && has(&engines, 1, TALK).await);
    }
}

#[tokio::test]
async fn a_folder_that_is_missing_or_of_other_data_is_named() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let both = [social(None), chat()];
    for path in [home.path(), other.path()] {
        let engines = open(path, &settings(&both)).unwrap();
        commit(&engines, 1, TALK).await;
    }
    let chat_of = |home: &tempfile::TempDir| home.path().join("store-chat");
    let aside = home.path().join("aside");
    fs::rename(chat_of(&home), &aside).unwrap();
    let missing = refusal(home.path(), &both);
    assert!(missing.contains("store-chat") && missing.contains("is missing"), "{missing}");
    fs::rename(chat_of(&other), chat_of(&home)).unwrap();
    let foreign = refusal(home.path(), &both);
    assert!(foreign.contains("store-chat is of another data folder"), "{foreign}");
    fs::remove_dir_all(chat_of(&home)).unwrap();
    fs::rename(aside, chat_of(&home)).unwrap();
    assert!(has(&open(home.path(), &settings(&both)).unwrap(), 1, TALK).await);
    // A first store of before the family was made, beside a folder of after that.
    fs::remove_dir_all(home.path().join("store")).unwrap();
    let newer = refusal(home.path(), &both);
    assert!(newer.contains("store-chat holds chat"), "{newer}");
    let first = home.path().join("store");
    assert!(newer.contains(&format!("of which {} knows nothing", first.display())), "{newer}");
}

/// A family whose stored number of partitions was another was believed, until something asked for one of them.
#[tokio::test]
async fn families_that_do_not_fit_together_are_named() {
    let both = [social(None), chat()];
    let (social, chat): (&[u8], &[u8]) = (b"social", b"chat");
    for (name, places) in [(chat, [0_u8, 1, 0, 5]), (chat, [0, 2, 0, 1]), (chat, [0, 1, 0, 0]), (social, [0, 0, 0, 2])]
    {
        let home = tempfile::tempdir().unwrap();
        drop(open(home.path(), &settings(&both)).unwrap());
        let alone = settings(&both);
        let store = Store::open(&Place::first(home.path(), &alone, &Shared::new(home.path(), &alone))).unwrap();
        store.meta.insert([layout::FAMILY_PREFIX, name].concat(), places).unwrap();
        drop(store);
        let refused = refusal(home.path(), &both);
        let first = home.path().join("store");
        assert!(refused.contains(&format!("{}: the families of its 2 partitions", first.display())), "{refused}");
        assert!(refused.contains("chat has") && refused.contains("restore all folders"), "{refused}");
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_in(&path) } else { vec![path] }).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files_in(from) {
        let there = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::copy(file, there).unwrap();
    }
}

/// Refusals said `Unrecoverable`, `InvalidVersion(None)` or `failed to fill whole buffer`, of no folder; and a first
/// store without its log blamed another, while one without its marker was made anew.
#[tokio::test]
async fn a_store_whose_file_is_missing_or_damaged_is_named_and_never_made_anew() {
    let (home, both) = (tempfile::tempdir().unwrap(), settings(&[social(None), chat()]));
    let engines = open(home.path(), &both).unwrap();
    commit(&engines, 0, POST).await;
    commit(&engines, 1, TALK).await;
    drop(engines);
    crate::embedded::compact(home.path(), &both).unwrap();
    let mut refused = 0;
    for file in files_in(home.path()) {
        for damage in [None, Some(&b""[..]), Some(b"\xff\xfe damaged")] {
            let folder = tempfile::tempdir().unwrap();
            copy(home.path(), folder.path());
            let damaged = folder.path().join(file.strip_prefix(home.path()).unwrap());
            match damage {
                None => fs::remove_file(&damaged).unwrap(),
                Some(bytes) => fs::write(&damaged, bytes).unwrap(),
            }
            let told = || format!("{} as {damage:?}", damaged.display());
            match open(folder.path(), &both) {
                Ok(engines) => {
                    // What nothing needs, or only reads need.
                    for (partition, table) in [(0, POST), (1, TALK)] {
                        let read = engines.tables.get(&RowKey::single(table, "p")).await;
                        assert!(!matches!(read, Ok(None)), "{}: partition {partition} is empty", told());
                        let Err(error) = read else { continue };
                        let error = error.to_string();
                        assert!(
                            error.contains(&folder.path().join("store").display().to_string()),
                            "{}: {error}",
                            told()
                        );
                    }
                }
                Err(error) => {
                    refused += 1;
                    let error = error.to_string();
                    let store = damaged.strip_prefix(folder.path()).unwrap().components().next().unwrap();
                    let store = folder.path().join(store);
                    let is_named = error.contains(&store.display().to_string());
                    assert!(is_named && error.contains("restore"), "{}: {error}", told());
                }
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[tokio::test]
async fn families_wait_for_no_other_and_their_tables_are_apart() {
    let home = tempfile::tempdir().unwrap();
    let engines = open(home.path(), &settings(&[social(Some(2)), chat()])).unwrap();
    for (partition, table) in [(0, POST), (1, POST), (2, TALK)] {
        commit(&engines, partition, table).await;
    }
    let logs = |folder: &str| {
        let files = fs::read_dir(home.path().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|ending| ending == "jnl")).count()
    };
    assert!(logs("store") > 0 && logs("store-chat") > 0, "each has a log of its own");
    let keys = [TALK, POST, POST, TALK].map(|table| RowKey::single(table, "p"));
    let found = engines.tables.get_many(&keys).await.unwrap();
    assert!(found.iter().all(Option::is_some));
}
