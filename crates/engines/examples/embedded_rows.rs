//! Durable rows a second of the embedded engine, by batch size and writers, while memory is watched.
//!
//! `cargo run --release -p fanfare-engines --example embedded_rows -- FOLDER [MILLION_ROWS]`; the folder must be new.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fanfare_engines::claim::Claim;
use fanfare_engines::embedded::{self, Settings};
use fanfare_engines::{
    Batch, Claimant, EngineError, Engines, KeyRange, NewFamily, NewRecord, Order, Partition, RowKey, Table,
};

const TABLE: Table = Table { id: 1, name: "bench" };
const VALUE_BYTES: usize = 300;
const PARTITIONS: u64 = 100_003;
/// Journal partitions, of which each writer has one.
const WRITERS_MAX: u16 = 64;

/// Load of one measurement.
#[derive(Clone, Copy)]
struct Load {
    batch: u64,
    writers: u64,
    rows: u64,
    versioned: bool,
    journal: bool,
}

fn rows(load: Load, numbers: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::default();
    for number in numbers {
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let partition = (mixed % PARTITIONS).to_be_bytes();
        let key = RowKey::new(TABLE, partition.to_vec(), number.to_be_bytes().to_vec());
        let mut value = mixed.to_be_bytes().repeat(8);
        value.resize(VALUE_BYTES, 7);
        if load.versioned { batch.put_versioned(key, value, 1 + number) } else { batch.put(key, value) }
    }
    batch
}

async fn run(engines: &Engines, next: &Arc<AtomicU64>, load: Load) -> Result<(), EngineError> {
    let (end, began) = (next.load(Ordering::Relaxed) + load.rows, Instant::now());
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..load.writers {
        let (engines, next) = (engines.clone(), next.clone());
        tasks.spawn(async move {
            let mut slowest = 0;
            // Each writer owns a partition.
            let claimant = Claimant { node: format!("writer-{writer}"), is_import: false };
            let mut claim = Claim::take(engines.journal.clone(), Partition(writer as u16), claimant).await?;
            loop {
                let from = next.fetch_add(load.batch, Ordering::Relaxed);
                if from >= end {
                    return Ok::<u128, EngineError>(slowest);
                }
                let (batch, began) = (rows(load, from..from + load.batch), Instant::now());
                if load.journal {
                    let first = claim.position().last_id + 1;
                    let record = |id| NewRecord { id, payload: vec![7; 100].into() };
                    let records: Vec<_> = (first..first + load.batch).map(record).collect();
                    claim.append(&records, &batch).await?;
                } else {
                    engines.tables.write(batch).await?;
                }
                slowest = slowest.max(began.elapsed().as_millis());
            }
        });
    }
    let mut slowest = 0;
    while let Some(done) = tasks.join_next().await {
        slowest = slowest.max(done.map_err(|error| EngineError::Unknown(error.to_string()))??);
    }
    let rate = load.rows as f64 / began.elapsed().as_secs_f64();
    println!(
        "batch {:>5} writers {:>3} versioned {:<5} journal {:<5} {:>8.0} rows/s, slowest call {slowest} ms, resident {} MiB",
        load.batch,
        load.writers,
        load.versioned,
        load.journal,
        rate,
        resident_mib()
    );
    Ok(())
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
}

async fn reads(engines: &Engines) -> Result<(), EngineError> {
    const SCANS: u64 = 20_000;
    let (mut took, mut found) = (Vec::new(), 0);
    for scan in 0..SCANS {
        let partition = (scan.wrapping_mul(0x9e37_79b9_7f4a_7c15) % PARTITIONS).to_be_bytes();
        let began = Instant::now();
        found += engines.tables.scan(TABLE, &partition, KeyRange::ALL, Order::Descending, 50).await?.len();
        took.push(began.elapsed().as_micros());
    }
    took.sort_unstable();
    let at = |percent: usize| took[took.len() * percent / 100];
    println!("newest 50: {found} rows in {SCANS} scans, median {} µs, 99 % {} µs", at(50), at(99));
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), EngineError> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "embedded-rows".into());
    let million: u64 = arguments.next().and_then(|rows| rows.parse().ok()).unwrap_or(4);
    let settings = Settings { families: vec![NewFamily::of_all(Some(WRITERS_MAX))], ..Settings::default() };
    let engines = embedded::open(Path::new(&folder), &settings)?;
    let next = Arc::new(AtomicU64::new(0));
    let load = Load { batch: 512, writers: 4, rows: million * 1_000_000 / 4, versioned: false, journal: false };
    for _ in 0..4 {
        run(&engines, &next, load).await?;
    }
    run(&engines, &next, Load { versioned: true, ..load }).await?;
    run(&engines, &next, Load { batch: 4_096, rows: 1_000_000, ..load }).await?;
    run(&engines, &next, Load { batch: 64, rows: 500_000, ..load }).await?;
    run(&engines, &next, Load { batch: 1, writers: 64, rows: 100_000, ..load }).await?;
    run(&engines, &next, Load { batch: 1, writers: 64, rows: 100_000, versioned: true, journal: true }).await?;
    run(&engines, &next, Load { batch: 1, writers: 1, rows: 2_000, ..load }).await?;
    reads(&engines).await?;
    drop(engines);
    let began = Instant::now();
    drop(embedded::open(Path::new(&folder), &settings)?);
    println!("opened again and closed in {} ms", began.elapsed().as_millis());
    Ok(())
}
