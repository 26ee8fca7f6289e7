//! Clicks: written to the spool, counted, caught up with after a kill, and asked for.

use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use fanfare::base::id::first_id_at;
use fanfare::data::families;
use fanfare::links::clicks::click::{Click, ClickOrigin, Visitor, write_line};
use fanfare::links::clicks::fold::{ClickFold, FoldError, OpenRows, key_of};
use fanfare::links::clicks::rollup::{DAY_MS, HOUR_MS, KeptLevels, RowNumbers, RowOf, RowPlace, RowTally};
use fanfare::links::clicks::spool::{RealDisk, Spool, SpoolSettings};
use fanfare::links::clicks::stats::{Question, StatsPlan, Subject};
use fanfare_engines::claim::Claim;
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Claimant, Engines, NewRecord, Partition, embedded};
use fanfare_protocol::{Id, Interval};

use super::report::{Goal, Row};
use super::{Bench, BenchError, Result, machine, percentile};

const NOW_MS: u64 = 1_800_000_000_000;
const KEPT: KeptLevels = KeptLevels { minutes_ms: 7 * DAY_MS, hours_ms: 90 * DAY_MS };
/// Clicks of a record.
const RECORD_CLICKS: u64 = 1_000;
/// Bytes of a commit beside the spool.
const COMMIT_BYTES: usize = 256 << 10;
/// Goals.
const FOLDED_RATE_MIN: f64 = 500_000.0;
const CATCH_UP_S_MAX: f64 = 5.0;
const STATS_P99_MS_MAX: f64 = 10.0;
const RAW_BYTES_MAX: f64 = 250.0;
const WRITE_P999_MS_MAX: f64 = 1.0;

/// Rows of clicks.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    bench.say("clicks: the spool");
    spool(bench)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        bench.say("clicks: counting");
        fold(bench).await?;
        bench.say("clicks: numbers");
        stats(bench).await
    })
}

/// A click on one of `links`, the popular ones more often (Zipf, s = 1), within the last hour.
fn click(random: &mut Random, links: u64) -> Click<'static> {
    let link = (links as f64).powf(random.unit()) as u64;
    let referrer = (random.below(3) > 0).then(|| format!("www.site-{}.example", random.below(40)).into());
    Click {
        referrer,
        device: Some("mobile".into()),
        browser: Some("Chrome".into()),
        os: Some("Android".into()),
        language: Some("en".into()),
        country: Some("GB".into()),
        is_bot: random.percent(10),
        visitor: Some(Visitor(random.next())),
        ..Click::bare("3x5pu", Id(first_id_at(NOW_MS - DAY_MS).0 + (link << 22)), NOW_MS - random.below(HOUR_MS))
    }
}

fn wrong(error: &impl std::fmt::Display) -> BenchError {
    BenchError::Wrong(error.to_string())
}

fn spool(bench: &mut Bench) -> Result<()> {
    let (folder, count) = (bench.folder()?, bench.size(1_000_000_u64, 50_000));
    let mut next = 0;
    let draw = || {
        next += 1;
        next
    };
    let settings = SpoolSettings::new(folder.path().to_owned(), 2, 4 << 30);
    let spool = Spool::open(settings, Box::new(RealDisk), draw)?;
    let mut random = Random::new(1);
    let clicks: Vec<Click<'_>> = (0..1_000).map(|_| click(&mut random, 100_000)).collect();
    let write = || -> Result<Vec<f64>> {
        let mut times_ms = Vec::with_capacity(count as usize);
        for number in 0..count {
            let began = Instant::now();
            if !spool.write(&clicks[number as usize % clicks.len()], NOW_MS) {
                return Err(BenchError::Wrong("the spool took no more".to_owned()));
            }
            times_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(times_ms)
    };
    let mut quiet_ms = write()?;
    let (mut busy_ms, syncs) = while_syncing(folder.path(), write)?;
    let mean_us = quiet_ms.iter().sum::<f64>() * 1e3 / quiet_ms.len() as f64;
    bench.report.add(Row::new("a click written to the spool, one thread", mean_us, "µs"));
    let name =
        format!("a click written to the spool, while another thread writes and syncs, {syncs:.0} times a second");
    let row = Row::new(format!("{name}: p99.9"), percentile(&mut busy_ms, 99.9), "ms");
    bench.report.add(row.beside("alone", percentile(&mut quiet_ms, 99.9)).goal(Goal::at_most(WRITE_P999_MS_MAX)));
    Ok(())
}

/// Runs `meanwhile` while another thread writes and syncs a file of `folder` as commits do, as fast as the disk takes
/// it; with how many syncs there were a second.
fn while_syncing<T>(folder: &Path, meanwhile: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let (stop, began) = (AtomicBool::new(false), Instant::now());
    let commit = || -> std::io::Result<u64> {
        let (mut file, mut syncs) = (std::fs::File::create(folder.join("commits"))?, 0);
        while !stop.load(Ordering::Relaxed) {
            file.write_all(&[1; COMMIT_BYTES])?;
            file.sync_data()?;
            syncs += 1;
        }
        Ok(syncs)
    };
    std::thread::scope(|scope| {
        let commits = scope.spawn(commit);
        let done = meanwhile();
        stop.store(true, Ordering::Relaxed);
        let syncs = commits.join().map_err(|_| BenchError::Wrong("the commits panicked".to_owned()))??;
        Ok((done?, syncs as f64 / began.elapsed().as_secs_f64()))
    })
}

fn engines(folder: &Path) -> Result<Engines> {
    let settings = embedded::Settings { families: families::families(1), ..embedded::Settings::default() };
    Ok(embedded::open(folder, &settings)?)
}

fn partition_of(engines: &Engines) -> Result<Partition> {
    let family = engines.families.get(families::CLICKS.name);
    family.map(|family| family.first).ok_or_else(|| BenchError::Wrong("the engines have no clicks".to_owned()))
}

async fn opened(engines: &Engines) -> Result<ClickFold> {
    let (journal, tables) = (Arc::clone(&engines.journal), Arc::clone(&engines.tables));
    let fold = ClickFold::open(journal, tables, partition_of(engines)?, KEPT, Arc::new(OpenRows::default())).await;
    fold.map_err(|error: FoldError| wrong(&error))
}

/// Appends `count` clicks behind `from`; answers their bytes.
async fn append(claim: &mut Claim, (from, count, links): (u64, u64, u64), random: &mut Random) -> Result<usize> {
    let mut bytes = 0;
    for record in from / RECORD_CLICKS..(from + count) / RECORD_CLICKS {
        let mut lines = Vec::new();
        for place in record * RECORD_CLICKS..(record + 1) * RECORD_CLICKS {
            let origin = ClickOrigin { source: 1, place: place + 1 };
            write_line(origin, &click(random, links), &mut lines).map_err(|error| wrong(&error))?;
        }
        bytes += lines.len();
        let record = NewRecord { id: first_id_at(NOW_MS).0 + record, payload: lines.into() };
        claim.append(&[record], &Batch::default()).await?;
    }
    Ok(bytes)
}

/// Bytes that the files below `folder` take of the disk.
fn on_disk(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { on_disk(&entry.path())? } else { found.blocks() * 512 };
    }
    Ok(bytes)
}

/// Appends `count` clicks, and counts them: in memory first, then to rows and head, as after a kill; then as many
/// again, most of whose rows are in memory.
async fn fold(bench: &mut Bench) -> Result<()> {
    let (folder, count) = (bench.folder()?, bench.size(1_000_000_u64, 50_000));
    let (links, engines) = (count, engines(folder.path())?);
    let claimant = Claimant { node: "bench".to_owned(), is_import: false };
    let mut claim = Claim::take(Arc::clone(&engines.journal), partition_of(&engines)?, claimant).await?;
    let (mut random, before) = (Random::new(1), on_disk(folder.path())?);
    let bytes = append(&mut claim, (0, count, links), &mut random).await?;
    let packed = on_disk(folder.path())?.saturating_sub(before) as f64 / count as f64;
    bench.report.add(Row::new("a click in the log: its line", bytes as f64 / count as f64, "bytes"));
    let row = Row::new("the same on disk, the engine's own log included", packed, "bytes");
    bench.report.add(row.goal(Goal::at_most(RAW_BYTES_MAX)));
    let (began, before) = (Instant::now(), machine::on_cpu());
    let mut fold = opened(&engines).await?;
    while fold.step().await.map_err(|error| wrong(&error))? {}
    let (counted_s, cold_s) = (began.elapsed().as_secs_f64(), (machine::on_cpu() - before).as_secs_f64());
    fold.flush_all().await.map_err(|error| wrong(&error))?;
    let written_s = began.elapsed().as_secs_f64();
    append(&mut claim, (count, count, links), &mut random).await?;
    let before = machine::on_cpu();
    while fold.step().await.map_err(|error| wrong(&error))? {}
    let warm_s = (machine::on_cpu() - before).as_secs_f64();
    let goal = || Goal::at_least(FOLDED_RATE_MIN);
    let name = format!("clicks counted a second of one core, {links} links, no row in memory");
    bench.report.add(Row::new(name, count as f64 / cold_s, "1/s").goal(goal()));
    let name = format!("clicks counted a second of one core, {links} links, most rows in memory");
    bench.report.add(Row::new(name, count as f64 / warm_s, "1/s").goal(goal()));
    let name = format!("{count} clicks caught up with after a kill, until they are in the numbers");
    bench.report.add(Row::new(name, counted_s, "s").goal(Goal::at_most(CATCH_UP_S_MAX)));
    bench.report.add(Row::new("the same, until rows and head are written", written_s, "s"));
    Ok(())
}

/// A day of minutes of a link, of links with a click in every minute.
async fn stats(bench: &mut Bench) -> Result<()> {
    let (folder, links, asked) = (bench.folder()?, bench.size(20_000_u64, 500), bench.size(5_000, 300));
    let engines = engines(folder.path())?;
    let (mut random, mut day_bytes) = (Random::new(1), 0);
    let link_of = |number: u64| Id(first_id_at(NOW_MS - 2 * DAY_MS).0 + (number << 22));
    let hours = ((NOW_MS - DAY_MS) / HOUR_MS) as u32..=(NOW_MS / HOUR_MS) as u32;
    let (today, mut batch) = ((NOW_MS / DAY_MS) as u32, Batch::default());
    for number in 0..links {
        let link = link_of(number);
        let days = [today - 1, today].into_iter().flat_map(|day| [RowPlace::Day(day), RowPlace::Visitors(day)]);
        for place in hours.clone().map(RowPlace::Minutes).chain(days) {
            let mut tally = RowTally { upto: 1, ..RowTally::none(place) };
            for minute in 0..60_u64 {
                let at_ms = u64::from(*hours.start()) * HOUR_MS + minute * 60_000;
                tally.numbers.add(&Click { at_ms, ..click(&mut random, links) });
            }
            let value = tally.to_bytes();
            day_bytes += if matches!(tally.numbers, RowNumbers::Slots(_)) { 0 } else { value.len() };
            batch.put_versioned(key_of(RowOf { link, place }), value, 1);
        }
        if batch.rows.len() > 4_096 {
            engines.tables.write(std::mem::take(&mut batch)).await?;
        }
    }
    engines.tables.write(batch).await?;
    let open = OpenRows::default();
    let question = Question { interval: Interval::Minute, ..Question::default() };
    let mut times_ms = Vec::with_capacity(asked);
    for _ in 0..asked {
        let subject = Subject { link: link_of(random.below(links)), made_ms: NOW_MS - 2 * DAY_MS };
        let began = Instant::now();
        let plan =
            StatsPlan::of(question, subject, NOW_MS, KEPT).map_err(|refusal| BenchError::Wrong(refusal.detail))?;
        std::hint::black_box(plan.answer(open.read(&*engines.tables, &plan.rows()).await?));
        times_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let name = format!("numbers of a link, a day of minutes, {links} links with a click in each minute: p99");
    bench.report.add(Row::new(name, percentile(&mut times_ms, 99.0), "ms").goal(Goal::at_most(STATS_P99_MS_MAX)));
    let bytes = day_bytes as f64 / (links * 2) as f64;
    bench.report.add(Row::new("rows of a link's day, lists and visitors", bytes, "bytes"));
    Ok(())
}
