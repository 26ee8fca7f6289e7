//! Shipments that fail, and logs that take records without saying so.

use fanfare_engines::random::Random;
use fanfare_engines::{EngineError, JournalRecord, Offset, Position};
use fanfare_protocol::Id;
use parking_lot::Mutex;

use super::super::head::FoldHead;
use super::super::spool::{RealDisk, SpoolSettings};
use super::*;
use crate::base::id::first_id_at;

const NOW_MS: u64 = 1_800_000_000_000;

/// Logs that take a record, take it without saying so, or take nothing.
struct Faulty {
    random: Mutex<Random>,
    logs: Mutex<Vec<Vec<Bytes>>>,
    percent: u8,
}

#[async_trait]
impl Blocks for Faulty {
    fn partition_of(&self, code: &str) -> Partition {
        Partition(code.len() as u16 % 3)
    }

    async fn append(&self, code: &str, payload: Bytes) -> Result<()> {
        let partition = self.partition_of(code);
        let (fails, takes) = {
            let mut random = self.random.lock();
            (random.percent(self.percent), random.percent(50))
        };
        tokio::task::yield_now().await;
        if !fails || takes {
            self.logs.lock()[usize::from(partition.0)].push(payload);
        }
        if fails { Err(EngineError::Unknown("a fault".to_owned()).into()) } else { Ok(()) }
    }
}

impl Faulty {
    fn new(seed: u64, percent: u8) -> Arc<Self> {
        Arc::new(Self { random: Mutex::new(Random::new(seed)), logs: Mutex::new(vec![Vec::new(); 3]), percent })
    }

    /// Links of the clicks that count.
    fn counted(&self) -> Vec<u64> {
        let mut links = Vec::new();
        for (partition, log) in self.logs.lock().iter().enumerate() {
            let mut head = FoldHead::default();
            for (offset, payload) in log.iter().enumerate() {
                let offset = Offset(offset as u64);
                let id = Some(first_id_at(NOW_MS).0 + offset.0);
                let record = JournalRecord { offset, id, payload: payload.clone(), appended_ms: NOW_MS };
                let (news, _) = head.admit(&record, Position::at(offset)).unwrap();
                for click in news.clicks.iter().map(|click| news.click(click)) {
                    assert_eq!(click.code.len() % 3, partition, "of one partition only");
                    links.push(click.link.0);
                }
            }
        }
        links.sort_unstable();
        links
    }
}

fn shipper(spool: &Arc<Spool>, blocks: &Arc<Faulty>, per_record: usize) -> Shipper {
    let settings = ShipperSettings { flush: Duration::from_millis(1), form: ClickForm::Packed, per_record };
    Shipper::new(Arc::clone(spool), Arc::clone(blocks) as _, Clock::stand_in(NOW_MS), settings, Arc::default())
}

fn spool(folder: &std::path::Path, lanes: usize, first: u64) -> Arc<Spool> {
    let settings = SpoolSettings { segment_bytes: 9_000, ..SpoolSettings::new(folder.to_owned(), lanes, 1 << 30) };
    let mut next = first;
    let draw = || {
        next += 1;
        next
    };
    Arc::new(Spool::open(settings, Box::new(RealDisk), draw).unwrap())
}

fn write(spool: &Spool, link: u64, at_ms: u64) {
    let code = "x".repeat((link % 7) as usize + 1);
    assert!(spool.write(&Click::bare(&code, Id(link), at_ms), NOW_MS));
}

#[tokio::test]
async fn every_click_of_the_spool_counts_once_whatever_becomes_of_its_blocks() {
    for seed in 0..60 {
        let (folder, blocks) = (tempfile::tempdir().unwrap(), Faulty::new(seed, 40));
        let mut random = Random::new(seed);
        let mut links = 0;
        for start in 0..4 {
            // Each round is a start after a kill.
            let spool = spool(folder.path(), 2, start * 10);
            let shipper = shipper(&spool, &blocks, random.below(9) as usize + 1);
            for _ in 0..random.below(12) {
                for _ in 0..random.below(40) {
                    write(&spool, links, NOW_MS);
                    links += 1;
                }
                let _ = shipper.ship_all().await;
            }
        }
        let last = spool(folder.path(), 2, 1_000);
        let shipper = shipper(&last, &blocks, 5);
        while shipper.ship_all().await.is_err() {}
        assert_eq!(blocks.counted(), (0..links).collect::<Vec<_>>(), "seed {seed}");
    }
}

#[tokio::test]
async fn what_waited_for_more_than_six_days_is_lost_and_counted() {
    let (folder, blocks) = (tempfile::tempdir().unwrap(), Faulty::new(1, 0));
    let spool = spool(folder.path(), 1, 0);
    write(&spool, 1, NOW_MS - SPOOL_DAYS_MAX * DAY_MS - 1);
    write(&spool, 2, NOW_MS - SPOOL_DAYS_MAX * DAY_MS);
    shipper(&spool, &blocks, 100).ship_all().await.unwrap();
    assert_eq!(blocks.counted(), [2]);
    assert_eq!(spool.counts().lost.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn nothing_is_shipped_while_the_log_holds_what_it_may() {
    let (folder, blocks) = (tempfile::tempdir().unwrap(), Faulty::new(1, 0));
    let spool = spool(folder.path(), 1, 0);
    write(&spool, 1, NOW_MS);
    let shipper = shipper(&spool, &blocks, 100);
    shipper.is_held.store(true, Ordering::Relaxed);
    assert!(shipper.ship_all().await.is_err() && blocks.counted().is_empty());
    shipper.is_held.store(false, Ordering::Relaxed);
    shipper.ship_all().await.unwrap();
    assert_eq!(blocks.counted(), [1]);
}

#[tokio::test]
async fn a_shipper_that_is_told_to_stop_ships_what_waits() {
    let (folder, blocks) = (tempfile::tempdir().unwrap(), Faulty::new(1, 0));
    let (spool, stop) = (spool(folder.path(), 1, 0), CancellationToken::new());
    let running = tokio::spawn(shipper(&spool, &blocks, 100).run(stop.clone()));
    write(&spool, 1, NOW_MS);
    stop.cancel();
    running.await.unwrap();
    assert_eq!(blocks.counted(), [1]);
}
