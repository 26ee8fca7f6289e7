//! Spools that are killed, cut off and full.

use std::sync::atomic::AtomicUsize;

use fanfare_protocol::Id;
use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;

/// A disk that takes what it is told to: all, a part, or nothing.
#[derive(Default)]
struct Faulty {
    left: AtomicU64,
    takes: AtomicUsize,
}

impl Faulty {
    const ALL: usize = usize::MAX;

    fn taking(takes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(u64::MAX), takes: AtomicUsize::new(takes) })
    }
}

impl Disk for Arc<Faulty> {
    fn make(&self, path: &Path, bytes: u64) -> io::Result<File> {
        let room = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        room.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        RealDisk.make(path, bytes)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let takes = self.takes.load(Ordering::Relaxed);
        if takes == 0 && offset > 0 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        // Heads and marks always fit.
        let takes = if offset == 0 || offset == SHIPPED_AT { Faulty::ALL } else { takes };
        RealDisk.write_at(file, &bytes[..bytes.len().min(takes)], offset)
    }
}

fn open(folder: &Path, disk: impl Disk, segment_bytes: u64, first: u64) -> Spool {
    let settings = SpoolSettings { segment_bytes, ..SpoolSettings::new(folder.to_owned(), 1, 1 << 30) };
    let mut next = first;
    let draw = || {
        next += 1;
        next
    };
    Spool::open(settings, Box::new(disk), draw).unwrap()
}

fn click(number: u64) -> Click<'static> {
    Click { referrer: Some("r".repeat((number % 40) as usize + 1).into()), ..Click::bare("code", Id(number), NOW_MS) }
}

/// Ships all that waits, and answers the links of it.
fn ship_all(spool: &Spool, bytes: usize) -> Vec<(u64, u64, u64)> {
    let mut all = Vec::new();
    loop {
        let waiting = spool.waiting(bytes).unwrap();
        if waiting.is_empty() {
            return all;
        }
        for part in waiting {
            for (place, body) in &part.clicks {
                all.push((part.source, *place, Click::decode(body).unwrap().link.0));
            }
            spool.shipped(part.source, part.upto);
        }
    }
}

fn links(shipped: &[(u64, u64, u64)]) -> Vec<u64> {
    shipped.iter().map(|(_, _, link)| *link).collect()
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn what_was_written_is_shipped_once_in_order_and_its_files_go() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), RealDisk, 4_096 + 1_000, 0);
    for number in 0..500 {
        assert!(spool.write(&click(number), NOW_MS));
    }
    assert!(files(folder.path()) > 3, "several segments");
    let shipped = ship_all(&spool, 700);
    assert_eq!(links(&shipped), (0..500).collect::<Vec<_>>());
    assert!(shipped.is_sorted() && shipped.windows(2).all(|pair| pair[0].1 < pair[1].1), "places rise");
    assert!(files(folder.path()) <= 1);
    assert!(spool.write(&click(500), NOW_MS));
    assert_eq!(links(&ship_all(&spool, 700)), [500]);
    assert_eq!(spool.counts().written.load(Ordering::Relaxed), 501);
}

#[test]
fn a_kill_leaves_what_was_written_under_its_old_source() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path(), RealDisk, 6_000, 0);
    (0..100).for_each(|number| assert!(spool.write(&click(number), NOW_MS)));
    let first = spool.waiting(300).unwrap().remove(0);
    spool.shipped(first.source, first.upto);
    drop(spool);
    let again = open(folder.path(), RealDisk, 6_000, 10);
    assert!(again.write(&click(100), NOW_MS));
    let shipped = ship_all(&again, 1_000);
    let before = first.clicks.len() as u64;
    assert_eq!(links(&shipped), (before..=100).collect::<Vec<_>>(), "what was shipped does not come again");
    assert!(shipped[..shipped.len() - 1].iter().all(|(source, _, _)| *source == first.source));
    assert_ne!(shipped.last().unwrap().0, first.source);
    drop(again);
    let third = open(folder.path(), RealDisk, 6_000, 20);
    assert!(ship_all(&third, 1_000).is_empty());
    assert_eq!(files(folder.path()), 0, "nothing of those before is left");
    assert_eq!(third.counts().held_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_click_that_was_written_in_part_is_lost_and_counted_and_the_next_stands_where_it_stood() {
    for takes in [0, 1, 5, 9, 30] {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Faulty::taking(Faulty::ALL));
        let spool = open(folder.path(), Arc::clone(&disk), 50_000, 0);
        assert!(spool.write(&click(0), NOW_MS));
        disk.takes.store(takes, Ordering::Relaxed);
        assert!(!spool.write(&click(39), NOW_MS));
        disk.takes.store(Faulty::ALL, Ordering::Relaxed);
        assert!(spool.write(&click(1), NOW_MS));
        assert_eq!(spool.counts().lost.load(Ordering::Relaxed), 1);
        drop(spool);
        assert_eq!(links(&ship_all(&open(folder.path(), RealDisk, 50_000, 5), 999)), [0, 1], "{takes}");
    }
}

#[test]
fn a_full_disk_loses_clicks_until_there_is_room() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), Faulty::taking(Faulty::ALL));
    disk.left.store(4_999, Ordering::Relaxed);
    let spool = open(folder.path(), Arc::clone(&disk), 5_000, 0);
    assert!(!spool.write(&click(0), NOW_MS));
    disk.left.store(5_000, Ordering::Relaxed);
    assert!(!spool.write(&click(0), NOW_MS + SPOOL_RETRY_MS - 1), "not asked again at each click");
    assert!(spool.write(&click(1), NOW_MS + SPOOL_RETRY_MS));
    assert_eq!(links(&ship_all(&spool, 999)), [1]);
    assert_eq!(spool.counts().lost.load(Ordering::Relaxed), 2);
}

#[test]
fn the_spool_is_bounded_and_takes_clicks_again_when_a_part_was_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { segment_bytes: 5_000, ..SpoolSettings::new(folder.path().to_owned(), 1, 10_000) };
    let spool = Spool::open(settings, Box::new(RealDisk), || 3).unwrap();
    let taken = (0..1_000).filter(|number| spool.write(&click(*number), NOW_MS)).count();
    assert!((50..200).contains(&taken), "{taken}");
    assert_eq!(files(folder.path()), 2);
    assert_eq!(spool.counts().lost.load(Ordering::Relaxed), 1_000 - taken as u64);
    assert_eq!(ship_all(&spool, 999).len(), taken);
    assert!(spool.write(&click(7), NOW_MS + SPOOL_RETRY_MS));
    assert_eq!(links(&ship_all(&spool, 999)), [7]);
}

#[test]
fn many_threads_write_and_nothing_is_lost_while_it_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { segment_bytes: 20_000, ..SpoolSettings::new(folder.path().to_owned(), 3, 1 << 30) };
    let mut next = 0;
    let draw = || {
        next += 1;
        next
    };
    let spool = Arc::new(Spool::open(settings, Box::new(RealDisk), draw).unwrap());
    let writers: Vec<_> = (0..6_u64)
        .map(|thread| {
            let spool = Arc::clone(&spool);
            std::thread::spawn(move || {
                (0..500).for_each(|number| assert!(spool.write(&click(thread * 1_000 + number), NOW_MS)));
            })
        })
        .collect();
    let mut shipped = Vec::new();
    while writers.iter().any(|writer| !writer.is_finished()) {
        shipped.extend(ship_all(&spool, 2_000));
    }
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    shipped.extend(ship_all(&spool, 2_000));
    let mut found = links(&shipped);
    found.sort_unstable();
    let expected: Vec<u64> = (0..6).flat_map(|thread| (0..500).map(move |number| thread * 1_000 + number)).collect();
    assert_eq!(found, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Kills at any point: what was answered is shipped, in order, and only what was not told of as shipped again.
    #[test]
    fn kills_and_cut_off_tails_lose_nothing_that_was_answered(
        runs in proptest::collection::vec((0_usize..250, 0_usize..5, 0_usize..30), 1..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut answered, mut next, mut shipped) = (Vec::new(), 0_u64, Vec::new());
        for (run, (writes, ships, torn)) in runs.iter().enumerate() {
            let disk = Faulty::taking(Faulty::ALL);
            let spool = open(folder.path(), Arc::clone(&disk), 5_500, run as u64 * 10);
            for _ in 0..*writes {
                prop_assert!(spool.write(&click(next), NOW_MS));
                answered.push(next);
                next += 1;
            }
            for _ in 0..*ships {
                for part in spool.waiting(400).unwrap() {
                    shipped.extend(part.clicks.iter().map(|(_, body)| Click::decode(body).unwrap().link.0));
                    spool.shipped(part.source, part.upto);
                }
            }
            // The kill comes in the middle of a write, whose zeros are not written either.
            disk.takes.store(*torn, Ordering::Relaxed);
            prop_assert!(*torn > 0 || !spool.write(&click(39), NOW_MS));
        }
        shipped.extend(links(&ship_all(&open(folder.path(), RealDisk, 5_500, 1_000), 999)));
        shipped.sort_unstable();
        prop_assert_eq!(shipped, answered);
    }
}
