//! Records, commits, checkpoints and trimming.

use std::collections::HashSet;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{TABLE, get, refused, sure, text};
use crate::Engines;
use crate::limits::{CONSUMER_BYTES_MAX, READ_BYTES_MAX, VALUE_BYTES_MAX};
use crate::ports::{Batch, JournalRecord, Offset, Partition, RowKey};

const P: Partition = Partition(0);

async fn append(engines: &Engines, records: impl IntoIterator<Item = Bytes>) -> Offset {
    let records: Vec<Bytes> = records.into_iter().collect();
    sure(|| engines.journal.commit(P, records.clone(), Batch::default())).await
}

async fn read_all(engines: &Engines) -> Vec<JournalRecord> {
    let mut records: Vec<JournalRecord> = Vec::new();
    let mut from = Offset(0);
    loop {
        let more = sure(|| engines.journal.read(P, from, 7)).await;
        let Some(last) = more.last() else { return records };
        from = Offset(last.offset.0 + 1);
        records.extend(more);
    }
}

/// Payloads without the repeats that an append may leave after an error.
fn distinct(records: &[JournalRecord]) -> Vec<Bytes> {
    let mut seen = HashSet::new();
    records.iter().map(|record| record.payload.clone()).filter(|payload| seen.insert(payload.clone())).collect()
}

async fn bounds(engines: &Engines) -> (Offset, Offset) {
    sure(|| engines.journal.bounds(P)).await
}

pub(super) async fn records_are_read_in_order(engines: Engines) {
    assert_eq!(bounds(&engines).await, (Offset(0), Offset(0)));
    assert_eq!(read_all(&engines).await, Vec::new());
    let payload = |number: u32| if number == 0 { Bytes::new() } else { text(number.to_string()) };
    let mut last = None;
    for batch in 0..10 {
        let first = append(&engines, (0..batch).map(|record| payload(batch * 10 + record))).await;
        assert!(batch < 2 || last.is_none_or(|last| first > last), "offsets do not grow");
        last = Some(first);
    }
    append(&engines, [payload(0)]).await;
    let records = read_all(&engines).await;
    assert!(records.is_sorted_by(|earlier, later| earlier.offset < later.offset));
    let mut expected: Vec<Bytes> =
        (0..10).flat_map(|batch| (0..batch).map(move |record| batch * 10 + record)).map(payload).collect();
    expected.push(payload(0));
    assert_eq!(distinct(&records), expected);
    let (first, next) = bounds(&engines).await;
    assert_eq!(first, records[0].offset);
    assert!(records.iter().all(|record| record.offset < next));
    assert_eq!(sure(|| engines.journal.read(P, next, 10)).await, Vec::new());
    let other = Partition(engines.journal.partitions() - 1);
    if other != P {
        assert_eq!(sure(|| engines.journal.read(other, Offset(0), 10)).await, Vec::new());
    }
}

pub(super) async fn reads_are_bounded(engines: Engines) {
    let large = |number: u8| Bytes::from(vec![number; VALUE_BYTES_MAX]);
    for number in 0..10 {
        append(&engines, [large(number)]).await;
    }
    let (first, _) = bounds(&engines).await;
    let bytes = |records: &[JournalRecord]| records.iter().map(|record| record.payload.len()).sum::<usize>();
    let records = sure(|| engines.journal.read(P, first, 100)).await;
    assert!(!records.is_empty() && bytes(&records) <= READ_BYTES_MAX, "{} records", records.len());
    assert_eq!(sure(|| engines.journal.read(P, first, 2)).await.len(), 2);
    assert_eq!(sure(|| engines.journal.read(P, first, 0)).await, Vec::new());
    assert_eq!(distinct(&read_all(&engines).await), (0..10).map(large).collect::<Vec<_>>());
}

/// Whoever sees a row finds its record.
pub(super) async fn a_commit_shows_records_before_rows(engines: Engines) {
    const ROUNDS: u32 = 200;
    let key = |round: u32| RowKey::new(TABLE, "committed", round.to_be_bytes().to_vec());
    let writer = engines.clone();
    let writing = tokio::spawn(async move {
        for round in 0..ROUNDS {
            let mut rows = Batch::default();
            rows.put(key(round), "row");
            let records = vec![text(format!("before {round}")), text(round.to_string())];
            sure(|| writer.journal.commit(P, records.clone(), rows.clone())).await;
        }
    });
    let mut seen = HashSet::new();
    let mut from = Offset(0);
    for round in 0..ROUNDS {
        while get(&engines, &key(round)).await.is_none() {
            assert!(!writing.is_finished() || get(&engines, &key(round)).await.is_some(), "row {round} is missing");
            tokio::task::yield_now().await;
        }
        loop {
            let records = sure(|| engines.journal.read(P, from, 100)).await;
            let Some(last) = records.last() else { break };
            from = Offset(last.offset.0 + 1);
            seen.extend(records.into_iter().map(|record| record.payload));
        }
        assert!(seen.contains(&text(round.to_string())), "row {round} is there without its record");
        assert!(seen.contains(&text(format!("before {round}"))), "row {round} is there without its first record");
    }
}

pub(super) async fn a_commit_may_lack_either_half(engines: Engines) {
    let mut rows = Batch::default();
    rows.put(RowKey::single(TABLE, "alone"), "row");
    sure(|| engines.journal.commit(P, Vec::new(), rows.clone())).await;
    assert_eq!(get(&engines, &RowKey::single(TABLE, "alone")).await, Some(text("row")));
    assert_eq!(read_all(&engines).await, Vec::new());
    sure(|| engines.journal.commit(P, Vec::new(), Batch::default())).await;
    append(&engines, [text("record")]).await;
    assert_eq!(distinct(&read_all(&engines).await), [text("record")]);
}

pub(super) async fn concurrent_commits_lose_nothing(engines: Engines) {
    const TASKS: u32 = 16;
    const COMMITS: u32 = 20;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let engines = engines.clone();
        tasks.spawn(async move {
            for commit in 0..COMMITS {
                let mut rows = Batch::default();
                rows.put(RowKey::new(TABLE, task.to_be_bytes().to_vec(), commit.to_be_bytes().to_vec()), "");
                let records = vec![text(format!("{task} {commit}"))];
                let first = sure(|| engines.journal.commit(P, records.clone(), rows.clone())).await;
                let found = sure(|| engines.journal.read(P, first, 1)).await;
                assert_eq!(found[0].payload, records[0], "the record is not where the answer said");
            }
        });
    }
    tasks.join_all().await;
    let records = distinct(&read_all(&engines).await);
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
    assert_eq!(of("feed").await, Offset(0));
    for (set, kept) in [(5, 5), (3, 5), (0, 5), (5, 5), (9, 9)] {
        sure(|| engines.journal.checkpoint("feed", P, Offset(set))).await;
        assert_eq!(of("feed").await, Offset(kept));
    }
    assert_eq!(of("fee").await, Offset(0));
    assert_eq!(of("feed-rows_2").await, Offset(0));
}

pub(super) async fn trimming_keeps_what_is_needed(engines: Engines) {
    for number in 0..100 {
        append(&engines, [text(format!("record {number:03}"))]).await;
    }
    let all = read_all(&engines).await;
    let trim = async |bytes_max: u64, consumers: &[&str]| sure(|| engines.journal.trim(P, bytes_max, consumers)).await;
    assert_eq!(trim(u64::MAX, &[]).await, 0);
    assert_eq!(trim(0, &["never-seen"]).await, 0, "a consumer that has done nothing needs everything");

    let (fast, slow) = (all[60].offset, all[20].offset);
    sure(|| engines.journal.checkpoint("fast", P, fast)).await;
    sure(|| engines.journal.checkpoint("slow", P, slow)).await;
    trim(0, &["fast", "slow"]).await;
    let kept = read_all(&engines).await;
    assert!(all[20..].iter().all(|record| kept.contains(record)), "a record that a consumer needs is gone");

    // Repeats of appends that were answered with an error may still arrive, so only what stood before is counted.
    let (_, before) = bounds(&engines).await;
    trim(300, &[]).await;
    let kept = read_all(&engines).await;
    let bytes =
        |records: &mut dyn Iterator<Item = &JournalRecord>| records.map(|record| record.payload.len()).sum::<usize>();
    assert!(bytes(&mut kept.iter().filter(|record| record.offset < before)) <= 300);
    assert!(bytes(&mut kept.iter()) > 290, "more went than had to");
    let newest = all.iter().filter(|record| record.offset >= kept[0].offset);
    assert!(newest.into_iter().all(|record| kept.contains(record)), "other records than the oldest went");
    assert_eq!(bounds(&engines).await.0, kept[0].offset);
    assert_eq!(sure(|| engines.journal.read(P, Offset(0), 1)).await[..], kept[..1], "reading starts at the oldest");

    let (_, before) = bounds(&engines).await;
    trim(0, &[]).await;
    assert!(bounds(&engines).await.0 >= before);
    assert!(read_all(&engines).await.iter().all(|record| record.offset >= before));
    assert!(append(&engines, [text("after")]).await >= before, "an offset was given twice");
}

pub(super) async fn limits_are_refused(engines: Engines) {
    let beyond = Partition(engines.journal.partitions());
    let commit =
        |partition: Partition, records: Vec<Bytes>| engines.journal.commit(partition, records, Batch::default());
    refused("a partition that is not there", || commit(beyond, Vec::new())).await;
    refused("reading it", || engines.journal.read(beyond, Offset(0), 1)).await;
    refused("its bounds", || engines.journal.bounds(beyond)).await;
    refused("trimming it", || engines.journal.trim(beyond, 0, &[])).await;
    refused("a large record", || commit(P, vec![Bytes::from(vec![0; VALUE_BYTES_MAX + 1])])).await;
    refused("many records", || commit(P, vec![Bytes::new(); Batch::ROWS_MAX + 1])).await;
    let long = "a".repeat(CONSUMER_BYTES_MAX + 1);
    for bad in ["", "A", "a b", &long] {
        refused("a bad consumer", || engines.journal.checkpoint(bad, P, Offset(1))).await;
        refused("asking for a bad consumer", || engines.journal.checkpoint_of(bad, P)).await;
        refused("trimming for a bad consumer", || engines.journal.trim(P, 0, std::slice::from_ref(&bad))).await;
    }
    assert_eq!(bounds(&engines).await, (Offset(0), Offset(0)));
}
