//! Records, commits, checkpoints and trimming.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::writer::{P, Writer, claimant, payloads, read_all, read_from, read_to_end};
use super::{TABLE, get, refused, sure, text};
use crate::Engines;
use crate::limits::{CONSUMER_BYTES_MAX, READ_BYTES_MAX, VALUE_BYTES_MAX};
use crate::ports::{Batch, JournalRecord, NewRecord, Offset, Partition, Position, RowKey, Turn};

async fn bounds(engines: &Engines) -> (Offset, Offset) {
    sure(|| engines.journal.bounds(P)).await
}

pub(super) async fn records_are_read_in_order(engines: Engines) {
    assert_eq!(bounds(&engines).await, (Offset(0), Offset(0)));
    assert_eq!(read_all(&engines).await, Vec::new());
    let mut writer = Writer::new(&engines).await;
    let payload = |number: u32| if number == 0 { Bytes::new() } else { text(number.to_string()) };
    let mut last = Offset(0);
    for batch in 0..10 {
        let next = writer.append((0..batch).map(|record| payload(batch * 10 + record))).await;
        assert!(batch == 0 || next.offset > last, "offsets do not grow");
        last = next.offset;
    }
    writer.append([payload(0)]).await;
    let records = read_all(&engines).await;
    assert!(records.is_sorted_by(|earlier, later| earlier.offset < later.offset && earlier.id < later.id));
    let mut expected: Vec<Bytes> =
        (0..10).flat_map(|batch| (0..batch).map(move |record| batch * 10 + record)).map(payload).collect();
    expected.push(payload(0));
    assert_eq!(payloads(&records), expected);
    let (first, next) = bounds(&engines).await;
    assert!(records.iter().all(|record| first <= record.offset && record.offset < next));
    assert_eq!(read_from(&engines, Position::at(next), 10).await.0, Vec::new());
    let other = Partition(engines.journal.partitions() - 1);
    if other != P {
        let page = sure(|| engines.journal.read(other, Position::START, 10)).await;
        assert_eq!((page.records, page.next), (Vec::new(), Position::START));
    }
}

pub(super) async fn reads_are_bounded(engines: Engines) {
    let large = |number: u8| Bytes::from(vec![number; VALUE_BYTES_MAX]);
    let mut writer = Writer::new(&engines).await;
    for number in 0..10 {
        writer.append([large(number)]).await;
    }
    let bytes = |records: &[JournalRecord]| records.iter().map(|record| record.payload.len()).sum::<usize>();
    let (records, _) = read_from(&engines, Position::START, 100).await;
    assert!(!records.is_empty() && bytes(&records) <= READ_BYTES_MAX, "{} records", records.len());
    assert_eq!(read_from(&engines, Position::START, 2).await.0.len(), 2);
    assert_eq!(read_from(&engines, Position::START, 0).await.0, Vec::new());
    assert_eq!(payloads(&read_all(&engines).await), (0..10).map(large).collect::<Vec<_>>());
}

/// Whoever sees a row finds its record.
pub(super) async fn a_commit_shows_records_before_rows(engines: Engines) {
    const ROUNDS: u32 = 200;
    let key = |round: u32| RowKey::new(TABLE, "committed", round.to_be_bytes().to_vec());
    let mut writer = Writer::new(&engines).await;
    let writing = tokio::spawn(async move {
        for round in 0..ROUNDS {
            let mut rows = Batch::default();
            rows.put(key(round), "row");
            writer.commit([text(format!("before {round}")), text(round.to_string())], rows).await;
        }
    });
    let mut seen = HashSet::new();
    let mut from = Position::START;
    for round in 0..ROUNDS {
        while get(&engines, &key(round)).await.is_none() {
            assert!(!writing.is_finished() || get(&engines, &key(round)).await.is_some(), "row {round} is missing");
            tokio::task::yield_now().await;
        }
        let (records, next) = read_to_end(&engines, from).await;
        from = next;
        seen.extend(records.into_iter().map(|record| record.payload));
        assert!(seen.contains(&text(round.to_string())), "row {round} is there without its record");
        assert!(seen.contains(&text(format!("before {round}"))), "row {round} is there without its first record");
    }
}

pub(super) async fn a_commit_may_lack_either_half(engines: Engines) {
    let mut writer = Writer::new(&engines).await;
    let mut rows = Batch::default();
    rows.put(RowKey::single(TABLE, "alone"), "row");
    writer.commit([], rows).await;
    assert_eq!(get(&engines, &RowKey::single(TABLE, "alone")).await, Some(text("row")));
    assert_eq!(read_all(&engines).await, Vec::new());
    writer.append([]).await;
    writer.append([text("record")]).await;
    assert_eq!(payloads(&read_all(&engines).await), [text("record")]);
}

pub(super) async fn many_tasks_of_one_owner_lose_nothing(engines: Engines) {
    const TASKS: u32 = 16;
    const COMMITS: u32 = 20;
    let writer = Arc::new(Mutex::new(Writer::new(&engines).await));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let writer = writer.clone();
        tasks.spawn(async move {
            for commit in 0..COMMITS {
                let mut rows = Batch::default();
                rows.put(RowKey::new(TABLE, task.to_be_bytes().to_vec(), commit.to_be_bytes().to_vec()), "");
                writer.lock().await.commit([text(format!("{task} {commit}"))], rows).await;
            }
        });
    }
    tasks.join_all().await;
    let records = payloads(&read_all(&engines).await);
    assert_eq!(records.len(), (TASKS * COMMITS) as usize);
    for task in 0..TASKS {
        let start = format!("{task} ");
        let of_task: Vec<_> = records.iter().filter(|record| record.starts_with(start.as_bytes())).cloned().collect();
        let expected: Vec<_> = (0..COMMITS).map(|commit| text(format!("{task} {commit}"))).collect();
        assert_eq!(of_task, expected, "the commits of a task changed order");
    }
}

pub(super) async fn checkpoints_never_move_back(engines: Engines) {
    let of = async |consumer: &str| sure(|| engines.journal.checkpoint_of(consumer, P)).await;
    assert_eq!(of("feed").await, Position::START);
    let mut writer = Writer::new(&engines).await;
    let mut positions = Vec::new();
    for number in 0..10 {
        positions.push(writer.append([text(number.to_string())]).await);
    }
    for (set, kept) in [(5, 5), (3, 5), (0, 5), (5, 5), (9, 9)] {
        sure(|| engines.journal.checkpoint("feed", P, positions[set])).await;
        assert_eq!(of("feed").await, positions[kept], "a position comes back whole");
    }
    assert_eq!(of("fee").await, Position::START);
    assert_eq!(of("feed-rows_2").await, Position::START);
}

pub(super) async fn trimming_keeps_what_is_needed(engines: Engines) {
    let mut writer = Writer::new(&engines).await;
    let mut positions = Vec::new();
    for number in 0..100 {
        positions.push(writer.append([text(format!("record {number:03}"))]).await);
    }
    let all = read_all(&engines).await;
    let payload = |records: &[JournalRecord]| records.iter().map(|record| record.payload.len() as u64).sum::<u64>();
    let trim = async |bytes_max: u64, consumers: &[&str]| {
        let trimmed = sure(|| engines.journal.trim(P, bytes_max, consumers)).await;
        let kept = payload(&read_all(&engines).await);
        assert!(trimmed.bytes_kept >= kept, "{} bytes are told, and {kept} are there", trimmed.bytes_kept);
        trimmed
    };
    assert_eq!(trim(u64::MAX, &[]).await.records, 0);
    assert_eq!(trim(0, &["never-seen"]).await.records, 0, "a consumer that has done nothing needs everything");

    let (fast, slow) = (positions[59], positions[19]);
    sure(|| engines.journal.checkpoint("fast", P, fast)).await;
    sure(|| engines.journal.checkpoint("slow", P, slow)).await;
    trim(0, &["fast", "slow"]).await;
    assert_eq!(read_to_end(&engines, slow).await.0, all[20..], "a record that a consumer needs is gone");

    assert!(trim(300, &[]).await.bytes_kept <= 300, "the limit gives way to a consumer only");
    let (kept, end) = read_to_end(&engines, Position::START).await;
    let bytes: usize = kept.iter().map(|record| record.payload.len()).sum();
    assert!(bytes <= 300, "{bytes} bytes stay");
    assert_eq!(kept, all[all.len() - kept.len()..], "other records than the oldest went");
    assert!(bounds(&engines).await.0 <= kept[0].offset);
    // A reader that comes from before sees the same as one that was past it.
    let (same, same_end) = read_to_end(&engines, slow).await;
    assert_eq!((same, same_end.last_id), (kept, end.last_id));
    assert_eq!(read_to_end(&engines, fast).await.1.last_id, end.last_id);

    let (_, before) = bounds(&engines).await;
    assert_eq!(trim(0, &[]).await.bytes_kept, 0);
    assert_eq!(read_all(&engines).await, Vec::new());
    assert!(writer.append([text("after")]).await.offset > before, "an offset was given twice");
    assert_eq!(payloads(&read_to_end(&engines, fast).await.0), [text("after")]);
    assert_eq!(payloads(&read_all(&engines).await), [text("after")]);
}

pub(super) async fn limits_are_refused(engines: Engines) {
    let beyond = Partition(engines.journal.partitions());
    let good = claimant("a");
    refused("claiming a partition that is not there", || engines.journal.claim(beyond, &good)).await;
    refused("its bounds", || engines.journal.bounds(beyond)).await;
    refused("reading it", || engines.journal.read(beyond, Position::START, 1)).await;
    refused("trimming it", || engines.journal.trim(beyond, 0, &[])).await;
    let long = "a".repeat(CONSUMER_BYTES_MAX + 1);
    for bad in ["", "A", "a b", &long] {
        refused("a bad consumer", || engines.journal.checkpoint(bad, P, Position::at(Offset(1)))).await;
        refused("asking for a bad consumer", || engines.journal.checkpoint_of(bad, P)).await;
        refused("trimming for a bad consumer", || engines.journal.trim(P, 0, std::slice::from_ref(&bad))).await;
        let bad = claimant(bad);
        refused("a bad claimant", || engines.journal.claim(P, &bad)).await;
    }
    assert_eq!(bounds(&engines).await, (Offset(0), Offset(0)));

    let term = sure(|| engines.journal.claim(P, &good)).await.term;
    let commit = async |partition: Partition, records: &[NewRecord]| {
        engines.journal.commit(partition, Turn::first(term), records, &Batch::default()).await
    };
    let record = |bytes: usize| NewRecord { id: 1, payload: Bytes::from(vec![0; bytes]) };
    let (large, many) = ([record(VALUE_BYTES_MAX + 1)], vec![record(0); Batch::ROWS_MAX + 1]);
    refused("a partition that is not there", || commit(beyond, &[])).await;
    refused("a large record", || commit(P, &large)).await;
    refused("many records", || commit(P, &many)).await;
    assert_eq!(read_all(&engines).await, Vec::new());
}
