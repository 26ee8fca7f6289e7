//! Numbers of links for those who ask, and the threads behind them: one that ships, and one a partition that counts.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_engines::{Engines, Partition, Tables};
use fanfare_protocol::{Id, LinkStats};
use futures_util::future::OptionFuture;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::agent::Agents;
use super::counter::{Counter, Counting};
use super::fold::{ClickFold, FoldError, OpenRows};
use super::geo::Geo;
use super::log::{ClickLog, ClickRecords};
use super::rollup::{DAY_MS, HOUR_MS, KeptLevels, RowNumbers, RowOf, RowPlace};
use super::salts::Salts;
use super::shipper::{Blocks as _, Shipper, ShipperSettings};
use super::sink::{Reducer, Sink};
use super::spool::{RealDisk, Spool, SpoolSettings};
use super::stats::{Question, StatsPlan, Subject};
use super::sweep::{self, ClickBounds};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::limits::clicks::{CATCH_UP_LOOK_MS, CATCH_UP_MS, LANES_MAX};
use crate::base::threads;
use crate::config::{self, ClickForm};
use crate::data::families;
use crate::links::counting::{ClickSink, NobodyCounts, Totals};
use crate::log::handle::Log;
use crate::log::owner::OwnerThreads;

/// Partition of the log of clicks: its rows that are open, and its counter.
struct Part {
    partition: Partition,
    open: Arc<OpenRows>,
    seen: Arc<Counting>,
}

/// Clicks at this moment, for operators.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct ClickStatus {
    /// Clicks that were written since the start.
    pub written: u64,
    /// Clicks that were lost since the start: the spool had no room, or they waited in it for too long.
    pub lost: u64,
    /// Clicks that were counted since the start.
    pub counted: u64,
    /// Clicks that came more than once, and were counted once.
    pub repeated: u64,
    /// Bytes of the spool's files.
    spool_bytes: u64,
    /// Whether shipping is held up, for the log holds `links.clicks_bytes_max` that is not counted yet.
    pub is_held: bool,
    /// Whether a record of clicks cannot be read, so that none behind it is counted.
    pub is_stuck: bool,
}

/// Numbers of links.
pub struct Clicks {
    /// The log, if engines have clicks.
    log: Option<ClickLog>,
    engines: Engines,
    clock: Clock,
    spool: Arc<Spool>,
    parts: Vec<Part>,
    bounds: ClickBounds,
    is_held: Arc<AtomicBool>,
    settings: config::Links,
}

/// Threads of clicks.
pub struct ClickThreads {
    stop: CancellationToken,
    threads: Vec<JoinHandle<()>>,
    owners: OwnerThreads,
}

impl ClickThreads {
    /// Ships and counts what is there, and ends; answers the owners, which end when nobody can hand in any more.
    pub async fn stop(self) -> OwnerThreads {
        let Self { stop, threads, owners } = self;
        stop.cancel();
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join));
        if !matches!(joined.await, Ok(Ok(()))) {
            tracing::error!("a thread of clicks panicked");
        }
        owners
    }
}

/// Everything about clicks: who takes them in, their numbers, the keeper of their salts, and the threads.
pub struct OpenedClicks {
    /// Whoever takes clicks in.
    pub sink: Arc<dyn ClickSink>,
    /// Numbers.
    pub clicks: Arc<Clicks>,
    /// Salts of visitors.
    pub salts: Arc<Salts>,
    /// Threads, where engines have clicks.
    pub threads: Option<ClickThreads>,
}

fn thread(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Result<JoinHandle<()>> {
    threads::spawn(name, work).map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))
}

fn bounds_of(settings: &config::Links) -> ClickBounds {
    let (minutes_days, hours_days) = (u64::from(settings.minutes_days), u64::from(settings.hours_days));
    ClickBounds {
        kept: KeptLevels { minutes_ms: minutes_days * DAY_MS, hours_ms: hours_days * DAY_MS },
        records_ms: u64::from(settings.clicks_keep_hours) * HOUR_MS,
        records_bytes: settings.clicks_bytes_max,
    }
}

/// Opens the clicks of this node; their spool is in `folder`. On engines without a family of clicks nothing is counted.
///
/// # Errors
/// When the engines fail, or the spool cannot be read.
pub async fn open(
    log: &Log,
    engines: &Engines,
    clock: &Clock,
    settings: &config::Links,
    folder: PathBuf,
) -> Result<OpenedClicks> {
    let spool = Arc::new(open_spool(folder, settings)?);
    let salts = Arc::new(Salts::new(Arc::clone(&engines.tables), clock.clone()));
    let mut clicks = Clicks {
        log: None,
        engines: engines.clone(),
        clock: clock.clone(),
        spool: Arc::clone(&spool),
        parts: Vec::new(),
        bounds: bounds_of(settings),
        is_held: Arc::default(),
        settings: settings.clone(),
    };
    let Some(family) = engines.families.get(families::CLICKS.name) else {
        return Ok(OpenedClicks { sink: Arc::new(NobodyCounts), clicks: Arc::new(clicks), salts, threads: None });
    };
    let news: HashMap<Partition, Arc<Notify>> = family.partitions().map(|one| (one, Arc::default())).collect();
    let news_of = |partition: Partition| news.get(&partition).map(Arc::clone).unwrap_or_default();
    let records = |partition| ClickRecords { news: news_of(partition) };
    let (owners, owner_threads) = log.open_family(engines, records).await?;
    let log = ClickLog(owners);
    let stop = CancellationToken::new();
    let mut threads = Vec::new();
    for partition in family.partitions() {
        let (part, counter) = clicks.count(partition, news_of(partition)).await?;
        threads.push(thread("click-counter", counter.run(stop.clone()))?);
        clicks.parts.push(part);
    }
    threads.push(thread("click-shipper", clicks.shipper(&log).run(stop.clone()))?);
    clicks.log = Some(log);
    let reducer = reducer(settings, Arc::clone(&salts));
    let sink = Arc::new(Sink::new(spool, reducer, clock.clone()));
    Ok(OpenedClicks {
        sink,
        clicks: Arc::new(clicks),
        salts,
        threads: Some(ClickThreads { stop, threads, owners: owner_threads }),
    })
}

fn open_spool(folder: PathBuf, settings: &config::Links) -> Result<Spool> {
    let lanes = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(LANES_MAX);
    let shown = folder.display().to_string();
    let settings = SpoolSettings::new(folder, lanes, settings.spool_bytes_max);
    let draw = || getrandom::u64().unwrap_or_default();
    Spool::open(settings, Box::new(RealDisk), draw)
        .map_err(|error| Error::Internal(format!("{shown}, where clicks wait for their log, cannot be used: {error}")))
}

fn reducer(settings: &config::Links, salts: Arc<Salts>) -> Reducer {
    Reducer { agents: Agents::default(), geo: open_geo(settings), salts, honours_gpc: settings.honour_gpc }
}

/// The file of addresses, if there is one that can be read: clicks are counted without it too.
fn open_geo(settings: &config::Links) -> Option<Geo> {
    let file = settings.geo_file.as_ref()?;
    let opened = Geo::open(file);
    opened
        .inspect_err(|error| {
            tracing::warn!(file = %file.display(), error, "links.geo_file cannot be used; countries are not counted");
        })
        .ok()
}

impl Clicks {
    /// A partition, and who counts its clicks.
    async fn count(&self, partition: Partition, news: Arc<Notify>) -> Result<(Part, Counter)> {
        let (open, seen) = (Arc::new(OpenRows::default()), Arc::new(Counting::new(news)));
        let (journal, tables) = (Arc::clone(&self.engines.journal), Arc::clone(&self.engines.tables));
        let fold = ClickFold::open(Arc::clone(&journal), tables, partition, self.bounds.kept, Arc::clone(&open)).await;
        let fold = fold.map_err(|error| match error {
            FoldError::Engine(error) => Error::Engine(error),
            FoldError::Unreadable(why) => Error::Internal(why),
        })?;
        let period = Duration::from_secs(self.settings.fold_s);
        let counter = Counter { fold, journal, partition, period, seen: Arc::clone(&seen) };
        Ok((Part { partition, open, seen }, counter))
    }

    fn shipper(&self, log: &ClickLog) -> Shipper {
        let flush = Duration::from_millis(self.settings.clicks_flush_ms);
        let settings =
            ShipperSettings { flush, form: self.settings.clicks_form, per_record: self.settings.clicks_per_record };
        let (spool, clock, is_held) = (Arc::clone(&self.spool), self.clock.clone(), Arc::clone(&self.is_held));
        Shipper::new(spool, Arc::new(log.clone()), clock, settings, is_held)
    }

    fn part_of(&self, code: &str) -> Option<&Part> {
        let partition = self.log.as_ref()?.partition_of(code);
        self.parts.iter().find(|part| part.partition == partition)
    }

    fn tables(&self) -> &dyn Tables {
        &*self.engines.tables
    }

    /// The log of clicks, for an import.
    ///
    /// # Errors
    /// On engines that have no clicks.
    pub fn log(&self) -> Result<&ClickLog> {
        self.log.as_ref().ok_or_else(|| Error::Internal("the engines have no family of clicks".to_owned()))
    }

    /// Time for which levels are kept.
    #[must_use]
    pub const fn kept(&self) -> KeptLevels {
        self.bounds.kept
    }

    /// Form of the records of clicks.
    #[must_use]
    pub const fn form(&self) -> ClickForm {
        self.settings.clicks_form
    }

    /// Salts for an import, which keeps those of the days that it is at.
    #[must_use]
    pub fn salts(&self) -> Arc<Salts> {
        Arc::new(Salts::new(Arc::clone(&self.engines.tables), self.clock.clone()))
    }

    /// Reduction of requests for an import, with salts of its own.
    #[must_use]
    pub fn reducer(&self, salts: Arc<Salts>) -> Reducer {
        reducer(&self.settings, salts)
    }

    /// Numbers of a link.
    ///
    /// # Errors
    /// 422 for a time that is none, is too long, or is not kept any more; when the engine fails.
    pub async fn stats(&self, code: &str, subject: Subject, question: Question) -> Result<LinkStats> {
        let plan = StatsPlan::of(question, subject, self.clock.now_ms(), self.bounds.kept)
            .map_err(|refusal| Error::field(refusal.field, refusal.detail))?;
        let rows = plan.rows();
        let Some(part) = self.part_of(code) else { return Ok(plan.answer(vec![None; rows.len()])) };
        Ok(plan.answer(part.open.read(self.tables(), &rows).await?))
    }

    /// Rows of a link as they are counted, for who verifies an import.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn numbers(&self, code: &str, link: Id, places: &[RowPlace]) -> Result<Vec<Option<RowNumbers>>> {
        let rows: Vec<RowOf> = places.iter().map(|place| RowOf { link, place: *place }).collect();
        let Some(part) = self.part_of(code) else { return Ok(vec![None; places.len()]) };
        let found = part.open.read(self.tables(), &rows).await?;
        Ok(found.into_iter().map(|tally| tally.map(|tally| tally.numbers)).collect())
    }

    /// Waits until all that is in the log is counted, and written.
    pub async fn write_all(&self) {
        for part in &self.parts {
            part.seen.write_all().await;
        }
    }

    /// Clicks at this moment.
    #[must_use]
    pub fn status(&self) -> ClickStatus {
        let counts = self.spool.counts();
        let sum = |of: fn(&OpenRows) -> u64| self.parts.iter().map(|part| of(&part.open)).sum();
        ClickStatus {
            written: counts.written.load(Ordering::Relaxed),
            lost: counts.lost.load(Ordering::Relaxed),
            counted: sum(|open| open.counted.load(Ordering::Relaxed)),
            repeated: sum(|open| open.repeated.load(Ordering::Relaxed)),
            spool_bytes: counts.held_bytes.load(Ordering::Relaxed),
            is_held: self.is_held.load(Ordering::Relaxed),
            is_stuck: self.parts.iter().any(|part| part.seen.is_stuck.load(Ordering::Relaxed)),
        }
    }

    /// Tells operators of clicks.
    #[allow(clippy::cast_precision_loss, reason = "a gauge of bytes")]
    pub fn meter(&self) {
        let status = self.status();
        metrics::counter!("fanfare_clicks_total").absolute(status.written);
        metrics::counter!("fanfare_clicks_lost_total").absolute(status.lost);
        metrics::counter!("fanfare_clicks_counted_total").absolute(status.counted);
        metrics::counter!("fanfare_clicks_repeated_total").absolute(status.repeated);
        metrics::gauge!("fanfare_clicks_spool_bytes").set(status.spool_bytes as f64);
    }

    /// Lets go of what is kept no longer at `now_ms`: a step of the janitor.
    ///
    /// # Errors
    /// When the engine fails; the next round goes on.
    pub async fn sweep(&self, now_ms: u64) -> Result<()> {
        self.is_held.store(self.trim(now_ms).await?, Ordering::Relaxed);
        Ok(sweep::let_go(self.tables(), self.bounds.kept, now_ms).await?)
    }

    async fn trim(&self, now_ms: u64) -> Result<bool> {
        let mut is_held = false;
        for part in &self.parts {
            is_held |= sweep::trim(&self.engines.journal, part.partition, &part.seen, self.bounds, now_ms).await?;
        }
        Ok(is_held)
    }
}

#[async_trait]
impl Totals for Clicks {
    async fn visits(&self, links: &[(&str, Id)]) -> Result<Vec<u64>> {
        let mut visits = vec![0; links.len()];
        for part in &self.parts {
            let is_its = |at: &usize| self.part_of(links[*at].0).is_some_and(|its| its.partition == part.partition);
            let places: Vec<usize> = (0..links.len()).filter(is_its).collect();
            let rows: Vec<RowOf> =
                places.iter().map(|at| RowOf { link: links[*at].1, place: RowPlace::Total }).collect();
            for (at, tally) in places.into_iter().zip(part.open.read(self.tables(), &rows).await?) {
                if let Some(RowNumbers::Total(count, _)) = tally.map(|tally| tally.numbers) {
                    visits[at] = count.all;
                }
            }
        }
        Ok(visits)
    }

    async fn catch_up(&self) -> Result<()> {
        let caught_up = async {
            let ends = self.spool.ends();
            while !self.spool.is_shipped(&ends) {
                tokio::time::sleep(Duration::from_millis(CATCH_UP_LOOK_MS)).await;
            }
            self.write_all().await;
        };
        let is_counted = self.log.is_some();
        let waited = OptionFuture::from(is_counted.then_some(caught_up));
        let waited = tokio::time::timeout(Duration::from_millis(CATCH_UP_MS), waited).await;
        let reason = "visits that the link has had cannot be counted now";
        waited.map(|_| ()).map_err(|_| Error::Overloaded { reason, retry_after_s: 1 })
    }

    async fn forget(&self, code: &str, link: Id) -> Result<()> {
        if let Some(part) = self.part_of(code) {
            part.open.forget(link);
        }
        Ok(sweep::forget_link(self.tables(), link, self.bounds.kept, self.clock.now_ms()).await?)
    }
}
