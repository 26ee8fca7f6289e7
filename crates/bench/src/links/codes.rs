//! Three ways to make codes, over the same rows: shuffled numbers; a hash of the address, looked up and repeated; a
//! pool of codes that were drawn before. And unknown codes: told by their number, or looked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fanfare::data::tables;
use fanfare::links::code::{Codes, Shuffle};
use fanfare::links::unclaimed::Unclaimed;
use fanfare_engines::{Engines, Tables, Unique, embedded};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use parking_lot::Mutex;

use super::report::{Goal, Row};
use super::svg::Bars;
use super::{Bench, BenchError, Result, machine, percentile};

const KEY: [u8; 16] = *b"a key of a bench";
/// Creates under way at once.
const AT_ONCE: usize = 256;
/// Characters of the codes: few, so that the space can be filled.
const LENGTH: u32 = 3;
const SPACE: u64 = 62 * 62 * 62;
/// Codes of the pool that are in memory at once; a kill loses them.
const POOL_BLOCK: u64 = 1_000;
/// Unknown codes that are asked for.
const MISSES: u64 = 200_000;
const MISS_US_MAX: f64 = 1.0;

/// Cost of a way to make codes.
#[derive(Debug, Default)]
struct Cost {
    rate: f64,
    /// Reads and inserts that came to nothing, a create.
    extra: f64,
}

/// Rows of codes.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let folder = bench.folder()?;
    let engines = embedded::open(folder.path(), &embedded::Settings::default())?;
    bench.say("codes: three ways");
    runtime.block_on(ways(bench, &engines))?;
    bench.say("codes: unknown ones");
    runtime.block_on(misses(bench, &engines))
}

fn code(place: u64) -> Vec<u8> {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut left = place;
    let mut code = vec![0; LENGTH as usize];
    for digit in code.iter_mut().rev() {
        *digit = DIGITS[(left % 62) as usize];
        left /= 62;
    }
    code
}

/// Takes a code; false when somebody has it.
async fn take(tables: &dyn Tables, place: u64, token: u64) -> Result<bool> {
    let row = fanfare_engines::RowKey::single(tables::LINK_CLAIMS, code(place));
    Ok(tables.insert_unique(row, bytes_of(token).into(), token).await? == Unique::Mine)
}

fn bytes_of(token: u64) -> Vec<u8> {
    token.to_be_bytes().to_vec()
}

async fn is_taken(tables: &dyn Tables, place: u64) -> Result<bool> {
    let row = fanfare_engines::RowKey::single(tables::LINK_CLAIMS, code(place));
    Ok(tables.get(&row).await?.is_some())
}

/// SplitMix64 (Steele, Lea, Flood 2014): as even as a cut hash.
fn hash(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

async fn ways(bench: &mut Bench, engines: &Engines) -> Result<()> {
    let (shuffle, tables) = (Arc::new(Shuffle::of_length(&KEY, LENGTH)), engines.tables.clone());
    let (next, token, hashed) = (AtomicU64::new(0), AtomicU64::new(1), AtomicU64::new(0));
    let creates = bench.size(2_000, 500);
    for percent in [1, 10, 50, 90] {
        let until = SPACE * percent / 100;
        let fill = next.load(Ordering::Relaxed)..until;
        stream::iter(fill)
            .map(|number| take(&*tables, shuffle.shuffled(number), token.fetch_add(1, Ordering::Relaxed)))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| async { Ok(()) })
            .await?;
        next.fetch_max(until, Ordering::Relaxed);
        let name = |way: &str| format!("codes by {way}, {percent} % of 62^{LENGTH} taken");
        let ours = measured(creates, |_| async {
            let mut extra = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if take(&*tables, shuffle.shuffled(number), token.fetch_add(1, Ordering::Relaxed)).await? {
                    return Ok(extra);
                }
                extra += 1;
            }
        })
        .await?;
        let by_hash = measured(creates, |_| async {
            let mut extra = 0;
            loop {
                let place = hash(hashed.fetch_add(1, Ordering::Relaxed)) % SPACE;
                extra += 1;
                if !is_taken(&*tables, place).await?
                    && take(&*tables, place, token.fetch_add(1, Ordering::Relaxed)).await?
                {
                    return Ok(extra);
                }
                extra += 1;
            }
        })
        .await?;
        let pool = Mutex::new(drawn(&*tables, creates).await?);
        let by_pool = measured(creates, |number| {
            let place = pool.lock().pop();
            let (tables, token) = (&tables, &token);
            async move {
                let place = place.ok_or_else(|| BenchError::Wrong("the pool is empty".to_owned()))?;
                take(&**tables, place, token.fetch_add(1, Ordering::Relaxed)).await?;
                // A block of the pool is read and removed, durably, by who comes first.
                Ok(u64::from(number % POOL_BLOCK == 0) * 2)
            }
        })
        .await?;
        let shuffled = format!("{}: creates", name("a hash, looked up"));
        bench.report.add(
            Row::new(format!("{}: creates", name("shuffled numbers")), ours.rate, "1/s").beside(shuffled, by_hash.rate),
        );
        bench.report.add(
            Row::new(format!("{}: reads and retries a create", name("shuffled numbers")), ours.extra, "")
                .beside(name("a hash, looked up"), by_hash.extra),
        );
        if percent == 90 {
            let (ours, hash, pool) = (ours.rate, by_hash.rate, by_pool.rate);
            let bars = [("shuffled numbers", ours, true), ("a hash, looked up", hash, false), ("a pool", pool, false)];
            bench.bars.push(Bars::of("Codes made a second where 90 % are taken", &bars));
        }
        let row = Row::new(format!("{}: creates, filling it not counted", name("a pool")), by_pool.rate, "1/s");
        bench.report.add(row);
    }
    let row = Row::new("codes of a pool that a kill loses, of a block in memory", POOL_BLOCK as f64, "codes");
    bench.report.add(row.beside("shuffled numbers, of 3.6 × 10^12", 10_000.0));
    Ok(())
}

/// Places that nobody has, as a pool would hold them.
async fn drawn(tables: &dyn Tables, count: u64) -> Result<Vec<u64>> {
    let (mut pool, mut seed) = (std::collections::HashSet::new(), u64::MAX / 3);
    while (pool.len() as u64) < count {
        seed += 1;
        let place = hash(seed) % SPACE;
        if !is_taken(tables, place).await? {
            pool.insert(place);
        }
    }
    Ok(pool.into_iter().collect())
}

async fn measured<F: Future<Output = Result<u64>>>(creates: u64, one: impl Fn(u64) -> F) -> Result<Cost> {
    let began = Instant::now();
    let extra: u64 = stream::iter(0..creates)
        .map(one)
        .buffer_unordered(AT_ONCE)
        .try_fold(0, |sum, more| async move { Ok(sum + more) })
        .await?;
    let rate = creates as f64 / began.elapsed().as_secs_f64();
    Ok(Cost { rate, extra: extra as f64 / creates as f64 })
}

async fn misses(bench: &mut Bench, engines: &Engines) -> Result<()> {
    let (codes, unclaimed) = (Codes::new(&KEY), Unclaimed::default());
    unclaimed.open(codes.clone(), 1_000_000);
    let asked: Vec<String> = (0..MISSES).filter_map(|number| codes.code(2_000_000 + number * 977)).collect();
    let before = machine::on_cpu();
    let known = asked.iter().filter(|code| unclaimed.has(code)).count() as u64;
    let by_number = (machine::on_cpu() - before).as_secs_f64() * 1e6 / MISSES as f64;
    if known != MISSES {
        return Err(BenchError::Wrong(format!("{known} of {MISSES} unknown codes are known to be")));
    }
    let mut reads = Vec::new();
    for code in asked.iter().take(20_000) {
        let began = Instant::now();
        let found = engines.tables.get(&tables::link_row(code)).await?;
        reads.push(began.elapsed().as_secs_f64() * 1e6);
        debug_assert!(found.is_none());
    }
    let row =
        Row::new("an unknown code, by its number: processor time", by_number, "µs").goal(Goal::at_most(MISS_US_MAX));
    bench.report.add(row.beside("by a read, p50", percentile(&mut reads, 50.0)));
    Ok(())
}
