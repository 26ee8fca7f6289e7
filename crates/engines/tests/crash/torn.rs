//! The end of the newest log is torn in every way a disk can tear it: everything before the tear is there, and what
//! was torn is whole or not there.
//!
//! This is also the portable power-loss test. A write is acknowledged after `fdatasync`, so a power loss can take
//! what was appended to the log after the last acknowledgement, and nothing else of the log: any of those pages may
//! have reached the disk or not, in any combination. Those states are made here from the log's length at each
//! acknowledgement. (`power.rs` drops the kernel's unsynced pages for real, but needs root.)
//!
//! And it is damaged anywhere else, which is refused, with file and offset, and changes nothing.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::Path;

use fanfare_engines::{EngineError, Offset, Partition, Position};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::files::{copy_folder, newest_log, overwrite, write_file};
use crate::workload::{self, Commit, UNIQUE_EVERY};

const COMMITS: u64 = 12;
/// The unit in which disks lose writes.
const PAGE_BYTES: usize = 512;

/// Length of a log before it is filled.
const LOG_BYTES: u64 = 64 * 1024 * 1024;

/// A store after some commits, and how long the log was after each.
struct Story {
    folder: tempfile::TempDir,
    log: Vec<u8>,
    ends: Vec<(Commit, usize)>,
}

impl Story {
    async fn write() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engines = workload::open(folder.path()).unwrap();
        let mut ends = Vec::new();
        for number in 0..COMMITS {
            workload::write(&engines, (0, number)).await.unwrap();
            ends.push(((0, number), newest_log(folder.path()).1.len()));
        }
        drop(engines);
        let log = newest_log(folder.path()).1;
        assert_eq!(log.len(), ends.last().unwrap().1, "closing wrote to the log");
        Self { folder, log, ends }
    }

    /// Opens a copy whose newest log `damage` was done to.
    async fn after(&self, damage: impl FnOnce(&Path)) -> Result<BTreeSet<Commit>, EngineError> {
        self.after_to(&newest_log(self.folder.path()).0, damage).await
    }

    /// Opens a copy one of whose logs `damage` was done to.
    async fn after_to(&self, log: &Path, damage: impl FnOnce(&Path)) -> Result<BTreeSet<Commit>, EngineError> {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(self.folder.path(), copy.path());
        damage(&copy.path().join(log.strip_prefix(self.folder.path()).unwrap()));
        workload::check_whole(&workload::open(copy.path())?).await;
        // Again, because opening repaired it.
        let engines = workload::open(copy.path())?;
        let kept = workload::check_whole(&engines).await;
        // And it goes on.
        workload::write(&engines, (1, 0)).await?;
        drop(engines);
        assert!(workload::check_whole(&workload::open(copy.path())?).await.contains(&(1, 0)));
        Ok(kept)
    }

    /// Commits that were acknowledged when the log was `bytes` long.
    fn acknowledged(&self, bytes: usize) -> BTreeSet<Commit> {
        self.ends.iter().filter(|(_, end)| *end <= bytes).map(|&(commit, _)| commit).collect()
    }
}

fn truncate(log: &Path, bytes: usize) {
    OpenOptions::new().write(true).open(log).unwrap().set_len(bytes as u64).unwrap();
}

#[tokio::test]
async fn a_log_that_was_cut_off_keeps_everything_before_the_cut() {
    let story = Story::write().await;
    let start = story.ends[8].1;
    let cuts = (start..story.log.len()).step_by(397).chain([0, 1, start + 1, story.log.len() - 1, story.log.len()]);
    for cut in cuts {
        let kept = story.after(|log| truncate(log, cut)).await.unwrap();
        assert_eq!(kept, story.acknowledged(cut), "cut at {cut}");
        let zeros = vec![0; story.log.len() - cut];
        let kept = story.after(|log| overwrite(log, cut, &zeros)).await.unwrap();
        assert_eq!(kept, story.acknowledged(cut), "zeros from {cut}");
    }
}

#[tokio::test]
async fn a_power_loss_takes_only_what_was_not_acknowledged() {
    let story = Story::write().await;
    // A commit with a unique key is two writes, the first of which was acknowledged before the second began.
    for synced in (4..story.ends.len() - 1).filter(|synced| !(*synced as u64 + 1).is_multiple_of(UNIQUE_EVERY)) {
        // Power fails while the next commit is on its way: each of its pages is there or not.
        let (from, to) = (story.ends[synced].1, story.ends[synced + 1].1);
        let pages: Vec<(usize, usize)> = (from / PAGE_BYTES..=to / PAGE_BYTES)
            .map(|page| ((page * PAGE_BYTES).max(from), ((page + 1) * PAGE_BYTES).min(to)))
            .collect();
        let mut seed = 0x5eed_u64;
        for _ in 0..4 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut log = story.log[..to].to_vec();
            for (bit, &(page, end)) in pages.iter().enumerate() {
                if seed >> (20 + bit % 40) & 1 == 0 {
                    log[page..end].fill(0);
                }
            }
            let kept = story.after(|path| write_file(path, &log, LOG_BYTES)).await.unwrap();
            assert!(kept.is_superset(&story.acknowledged(from)), "seed {seed:#x}: acknowledged and lost");
        }
    }
}

#[tokio::test]
async fn garbage_after_the_last_write_is_dropped() {
    let story = Story::write().await;
    for fill in [1_u8, 2, 3, 4, 255] {
        let kept = story.after(|log| overwrite(log, story.log.len(), &[fill; 3_000])).await.unwrap();
        assert_eq!(kept, story.acknowledged(story.log.len()), "filled with {fill}");
    }
}

#[tokio::test]
async fn damage_to_acknowledged_data_is_reported_and_left_as_it_is() {
    let story = Story::write().await;
    // A byte of a value in the middle, which only the checksum covers.
    let (from, to) = (story.ends[5].1, story.ends[6].1);
    let value = story.log[from..to].windows(40).rposition(|bytes| bytes.iter().all(|&byte| byte == bytes[0])).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_folder(story.folder.path(), copy.path());
    let log = newest_log(copy.path()).0;
    overwrite(&log, from + value + 20, &[0]);
    let damaged = newest_log(copy.path()).1;
    let error = workload::open(copy.path()).err().unwrap();
    assert_names_the_place(&error);
    assert!(newest_log(copy.path()).1 == damaged, "a log that cannot be repaired was changed");
}

fn assert_names_the_place(error: &EngineError) {
    let EngineError::Corrupt(why) = error else { panic!("{error}") };
    assert!(why.contains(".jnl: the write-ahead log is damaged at byte "), "{why}");
}

/// Ways to damage bytes.
fn damages() -> impl Strategy<Value = (usize, Option<u8>)> {
    let bytes = prop_oneof![Just(1_usize), Just(16), Just(PAGE_BYTES), Just(4 * 1024)];
    // To zeros or other bytes of one kind; or each is flipped.
    let fill = prop_oneof![Just(Some(0_u8)), Just(Some(1)), Just(Some(2)), Just(Some(255)), Just(None)];
    (bytes, fill)
}

#[test]
fn damage_anywhere_is_refused_or_loses_nothing_acknowledged() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let story = runtime.block_on(Story::write());
    let (all, last_start) = (story.acknowledged(story.log.len()), story.ends[story.ends.len() - 2].1);
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let places = (0..story.log.len(), any::<bool>(), damages());
    runner
        .run(&places, |(at, is_page, (bytes, fill))| {
            let at = if is_page { at / bytes * bytes } else { at };
            let to = (at + bytes).min(story.log.len());
            let damaged: Vec<u8> = story.log[at..to].iter().map(|byte| fill.unwrap_or(byte ^ 0x5a)).collect();
            match runtime.block_on(story.after(|log| overwrite(log, at, &damaged))) {
                Err(error) => assert_names_the_place(&error),
                // What was damaged to its very end is as after a power loss.
                Ok(kept) if to > last_start => prop_assert!(kept.is_superset(&story.acknowledged(at))),
                Ok(kept) => prop_assert_eq!(&kept, &all),
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn damage_to_a_log_that_is_not_the_newest_is_refused() {
    let story = Story::write().await;
    let log = newest_log(story.folder.path()).0;
    let next = log.with_file_name("1.jnl");
    write_file(&next, &[], LOG_BYTES);
    // A log that was begun and never written to changes nothing.
    let cut = story.ends[10].1 + 40;
    let kept = story.after_to(&log, |log| truncate(log, cut)).await.unwrap();
    assert_eq!(kept, story.acknowledged(cut));
    write_file(&next, &story.log[..20], LOG_BYTES);
    let error = story.after_to(&log, |log| truncate(log, cut)).await.unwrap_err();
    assert_names_the_place(&error);
}

#[tokio::test]
async fn checkpoints_that_were_not_synced_may_be_torn_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let opened = workload::open(folder.path()).unwrap();
    workload::write(&opened, (0, 0)).await.unwrap();
    let mut ends = vec![newest_log(folder.path()).1.len()];
    for offset in 1..4 {
        opened.engines.journal.checkpoint("feed", Partition(0), Position::at(Offset(offset))).await.unwrap();
        ends.push(newest_log(folder.path()).1.len());
    }
    workload::write(&opened, (0, 1)).await.unwrap();
    drop(opened);
    let log = newest_log(folder.path()).1;
    let after = async |log: Vec<u8>| {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        write_file(&newest_log(copy.path()).0, &log, LOG_BYTES);
        Ok::<_, EngineError>(workload::check_whole(&workload::open(copy.path())?).await)
    };
    // The first of three is lost.
    let mut torn = log[..ends[3]].to_vec();
    torn[ends[0]..ends[1]].fill(0);
    assert_eq!(after(torn).await.unwrap(), BTreeSet::from([(0, 0)]));
    // And so was a part of the write that came after them.
    let mut torn = log.clone();
    torn[ends[1] - 20..ends[1]].fill(0);
    torn[ends[3] + 30..ends[3] + 60].fill(0);
    assert_eq!(after(torn).await.unwrap(), BTreeSet::from([(0, 0)]));
    // A whole write behind them may have been acknowledged.
    let mut torn = log;
    torn[ends[0]..ends[1]].fill(0);
    assert_names_the_place(&after(torn).await.unwrap_err());
}
