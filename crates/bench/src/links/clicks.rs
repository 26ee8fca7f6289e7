//! Clicks: written to the spool, counted, caught up with after a kill, and asked for.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use fanfare::base::id::first_id_at;
use fanfare::config::ClickForm;
use fanfare::data::families;
use fanfare::links::clicks::click::{Click, Visitor};
use fanfare::links::clicks::fold::{ClickFold, FoldError, OpenRows, key_of};
use fanfare::links::clicks::record::RecordWriter;
use fanfare::links::clicks::rollup::{DAY_MS, HOUR_MS, KeptLevels, MINUTE_MS, RowOf, RowPlace, RowTally, places_of};
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
/// Bytes of a click in the spool, about.
const SPOOLED_BYTES: u64 = 90;
/// Bytes of a commit beside the spool.
const COMMIT_BYTES: usize = 256 << 10;
/// Clicks of a link on average, where there are very many.
const MANY_CLICKS: u64 = 100;
/// Distance of the sum of 1/n from its logarithm (Euler and Mascheroni).
const EULER: f64 = 0.577_215_664_9;
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

/// Numbers of very many links with very many clicks.
pub(super) fn run_many(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(many_stats(bench))
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
        let mut clicks = RecordWriter::new(ClickForm::Packed, 1);
        for place in record * RECORD_CLICKS..(record + 1) * RECORD_CLICKS {
            // About as far from each other as in a spool.
            clicks.add((place + 1) * SPOOLED_BYTES, &click(random, links)).map_err(|error| wrong(&error))?;
        }
        let payload = clicks.finish();
        bytes += payload.len();
        let record = NewRecord { id: first_id_at(NOW_MS).0 + record, payload: payload.into() };
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

/// Counts all that is in the log; rows are written where memory is short, as the counter does.
async fn count_all(fold: &mut ClickFold) -> Result<()> {
    while fold.step().await.map_err(|error| wrong(&error))? {
        if fold.is_full() {
            fold.flush_all().await.map_err(|error| wrong(&error))?;
        }
    }
    Ok(())
}

/// Appends `count` clicks, and counts them: in memory first, then to rows and head, as after a kill; then as many
/// again, whose rows are read from storage.
async fn fold(bench: &mut Bench) -> Result<()> {
    let (folder, count) = (bench.folder()?, bench.size(1_000_000_u64, 50_000));
    let (links, engines) = (count, engines(folder.path())?);
    let claimant = Claimant { node: "bench".to_owned(), is_import: false };
    let mut claim = Claim::take(Arc::clone(&engines.journal), partition_of(&engines)?, claimant).await?;
    let (mut random, before) = (Random::new(1), on_disk(folder.path())?);
    let bytes = append(&mut claim, (0, count, links), &mut random).await?;
    let packed = on_disk(folder.path())?.saturating_sub(before) as f64 / count as f64;
    bench.report.add(Row::new("a click in the log: its part of a record", bytes as f64 / count as f64, "bytes"));
    let row = Row::new("the same on disk, the engine's own log included", packed, "bytes");
    bench.report.add(row.goal(Goal::at_most(RAW_BYTES_MAX)));
    let (began, before) = (Instant::now(), machine::on_cpu());
    let mut fold = opened(&engines).await?;
    count_all(&mut fold).await?;
    let (counted_s, cold_s) = (began.elapsed().as_secs_f64(), (machine::on_cpu() - before).as_secs_f64());
    fold.flush_all().await.map_err(|error| wrong(&error))?;
    let written_s = began.elapsed().as_secs_f64();
    append(&mut claim, (count, count, links), &mut random).await?;
    let before = machine::on_cpu();
    count_all(&mut fold).await?;
    let warm_s = (machine::on_cpu() - before).as_secs_f64();
    let goal = || Goal::at_least(FOLDED_RATE_MIN);
    let name = format!("clicks counted a second of one core, {links} links, of no row");
    bench.report.add(Row::new(name, count as f64 / cold_s, "1/s").goal(goal()));
    let name = format!("clicks counted a second of one core, {links} links, rows read from storage");
    bench.report.add(Row::new(name, count as f64 / warm_s, "1/s").goal(goal()));
    let name = format!("{count} clicks caught up with after a kill, until they are in the numbers");
    bench.report.add(Row::new(name, counted_s, "s").goal(Goal::at_most(CATCH_UP_S_MAX)));
    bench.report.add(Row::new("the same, until rows and head are written", written_s, "s"));
    Ok(())
}

fn link_of(number: u64) -> Id {
    Id(first_id_at(NOW_MS - 2 * DAY_MS).0 + (number << 22))
}

/// Rows that clicks of a link come to.
fn rows_of(clicks: impl Iterator<Item = Click<'static>>) -> BTreeMap<RowPlace, RowTally> {
    let mut rows = BTreeMap::new();
    for click in clicks {
        for place in places_of(click.at_ms, NOW_MS, KEPT) {
            let row = rows.entry(place).or_insert_with(|| RowTally { upto: 1, ..RowTally::none(place) });
            row.numbers.add(&click);
        }
    }
    rows
}

/// Writes the rows of links, whose clicks `clicks_of` tells by their number; answers the mean bytes of a day's.
async fn write<C: Iterator<Item = Click<'static>>>(
    engines: &Engines,
    links: u64,
    mut clicks_of: impl FnMut(u64) -> C,
) -> Result<f64> {
    let (mut batch, mut days, mut day_bytes) = (Batch::default(), 0, 0);
    for number in 0..links {
        for (place, row) in rows_of(clicks_of(number)) {
            let value = row.to_bytes();
            if matches!(place, RowPlace::Day(_)) {
                (days, day_bytes) = (days + 1, day_bytes + value.len());
            }
            batch.put_versioned(key_of(RowOf { link: link_of(number), place }), value, 1);
        }
        if batch.rows.len() > 4_096 {
            engines.tables.write(std::mem::take(&mut batch)).await?;
        }
    }
    engines.tables.write(batch).await?;
    Ok(day_bytes as f64 / f64::from(days))
}

/// Asks for a day of minutes of some link, so many times.
async fn ask(engines: &Engines, times: usize, mut some: impl FnMut() -> u64) -> Result<Vec<f64>> {
    let open = OpenRows::default();
    let question = Question { interval: Interval::Minute, ..Question::default() };
    let mut times_ms = Vec::with_capacity(times);
    for _ in 0..times {
        let subject = Subject { link: link_of(some()), made_ms: NOW_MS - 2 * DAY_MS };
        let began = Instant::now();
        let plan =
            StatsPlan::of(question, subject, NOW_MS, KEPT).map_err(|refusal| BenchError::Wrong(refusal.detail))?;
        std::hint::black_box(plan.answer(open.read(&*engines.tables, &plan.rows()).await?));
        times_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    Ok(times_ms)
}

/// A day of minutes of a link, of links with a click in every minute.
async fn stats(bench: &mut Bench) -> Result<()> {
    let (folder, links, asked) = (bench.folder()?, bench.size(20_000_u64, 500), bench.size(5_000, 300));
    let engines = engines(folder.path())?;
    let mut random = Random::new(1);
    let day_bytes = write(&engines, links, |_| {
        let minutes = (NOW_MS - DAY_MS) / MINUTE_MS..=NOW_MS / MINUTE_MS;
        let clicks: Vec<_> =
            minutes.map(|minute| Click { at_ms: minute * MINUTE_MS, ..click(&mut random, links) }).collect();
        clicks.into_iter()
    })
    .await?;
    let mut times_ms = ask(&engines, asked, || random.below(links)).await?;
    let name = format!("numbers of a link, a day of minutes, {links} links with a click in each minute: p99");
    bench.report.add(Row::new(name, percentile(&mut times_ms, 99.0), "ms").goal(Goal::at_most(STATS_P99_MS_MAX)));
    bench.report.add(Row::new("row of a link's day, lists and visitors", day_bytes, "bytes"));
    Ok(())
}

/// Numbers of a link among very many clicks of a day, by a Zipf distribution (s = 1): each link has as many as its
/// rank says.
async fn many_stats(bench: &mut Bench) -> Result<()> {
    let (folder, links, asked) = (bench.folder()?, bench.size(1_000_000_u64, 5_000), bench.size(20_000, 300));
    let clicks = links * MANY_CLICKS;
    let engines = engines(folder.path())?;
    let mut random = Random::new(1);
    let of_first = clicks as f64 / ((links as f64).ln() + EULER);
    let mut all = 0_u64;
    bench.say("clicks: very many, written");
    write(&engines, links, |number| {
        let count = (of_first / (number + 1) as f64).round() as u64;
        all += count;
        let mut random = Random::new(random.next());
        (0..count).map(move |_| {
            let at_ms = NOW_MS - random.below(DAY_MS);
            Click { at_ms, ..click(&mut random, links) }
        })
    })
    .await?;
    bench.say("clicks: very many, asked for");
    let mut times_ms = ask(&engines, asked, || (links as f64).powf(random.unit()) as u64 % links).await?;
    let name = format!("numbers of a link, a day of minutes, {all} clicks over {links} links: p99");
    bench.report.add(Row::new(name, percentile(&mut times_ms, 99.0), "ms").goal(Goal::at_most(STATS_P99_MS_MAX)));
    let bytes = on_disk(folder.path())? as f64 / (1 << 20) as f64;
    bench.report.add(Row::new("the rows of these clicks on disk", bytes, "MiB"));
    Ok(())
}
