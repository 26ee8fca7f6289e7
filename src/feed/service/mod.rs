//! The feed as the rest of the server sees it: records go in at [`Feed::apply`], pages come out.
//!
//! Locks: a reader's lock (`readers`) covers every change of that reader's timeline and subscriptions; inside it, and
//! everywhere else, the locks of authors, timelines and the queue are taken one at a time.

mod apply;
mod build;
mod catch_up;
mod fan_out;
mod ranked;
mod read;
mod walk;
mod warm;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fanfare_engines::EngineError;
use fanfare_protocol::Id;
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Semaphore;

use super::authors::Authors;
use super::interner::UserIndex;
use super::item::FeedItem;
use super::jobs::JobQueue;
use super::measure::{LagHistogram, TopCosts};
use super::policy::{Thresholds, choose};
use super::rank::{DefaultRanker, RankInputs, Ranker};
use super::recents::Recent;
use super::relations::ReaderRelations;
use super::ring::Entry;
use super::settings::{ByPolicy, FeedSettings, FeedStats};
use super::snapshots::{SNAPSHOT_BYTES_MAX, SNAPSHOTS_MAX, Snapshots};
use super::source::FeedSource;
use super::timelines::{TimelineBounds, Timelines};
use super::worker::Worker;
use crate::base::id_map::IdMap;
use crate::base::slot_list::Slot;
use crate::data::rows::{AuthorEntry, EntryKind, PostRecord};
use crate::log::events::{Policy, Record};
use crate::posts::entry::FeedEntry;

pub use self::catch_up::CatchUp;
pub use self::ranked::{FeedError, RankedNext, RankedPage};
pub use self::read::{Reading, UNREAD_MAX};

/// Locks over readers; a build holds one while it subscribes, some 100 µs for 2,000 followees.
const READER_LOCKS: usize = 1_024;
/// Timelines evicted by one call of [`Feed::evict_idle`].
const EVICT_IDLE_MAX: usize = 10_000;

/// Page of the feed to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageQuery {
    /// Only entries below this id.
    pub before: Option<Id>,
    /// Only entries above this id.
    pub since: Option<Id>,
    /// Entries at most.
    pub limit: usize,
}

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage<P = PostRecord> {
    /// At most the limit; fewer only at the end.
    pub entries: Vec<FeedEntry<P>>,
    /// Id below which the next page begins (its `before`); `None` at the end.
    pub next: Option<Id>,
}

impl<P> Default for FeedPage<P> {
    fn default() -> Self {
        Self { entries: Vec::new(), next: None }
    }
}

/// Entries that a reader has not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread {
    /// Number of others' visible entries newer than the marker, at most [`UNREAD_MAX`].
    pub count: usize,
    /// The newest visible entry of all, read or not.
    pub newest_id: Option<Id>,
}

/// Feeds of one node: of posts, or of what else [is an item](FeedItem). Cheap to clone.
pub struct Feed<P: FeedItem = PostRecord> {
    core: Arc<FeedCore<P>>,
}

impl<P: FeedItem> Clone for Feed<P> {
    fn clone(&self) -> Self {
        Self { core: Arc::clone(&self.core) }
    }
}

/// Inputs and formula of a ranked feed.
struct Ranking {
    inputs: Arc<dyn RankInputs>,
    ranker: Box<dyn Ranker>,
}

#[derive(Default)]
struct FeedCounters {
    posts: [AtomicU64; 3],
    deliveries: [AtomicU64; 3],
    overflowed: AtomicU64,
    flips: AtomicU64,
    builds: AtomicU64,
    evictions: AtomicU64,
}

struct FeedCore<P: FeedItem> {
    settings: FeedSettings,
    source: Arc<dyn FeedSource<P>>,
    /// Of a feed that is ranked.
    ranking: Option<Ranking>,
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    started: Instant,
    authors: Authors,
    timelines: Timelines,
    readers: Box<[Mutex<()>]>,
    queue: Mutex<JobQueue>,
    /// A job was queued, or the worker is told to stop.
    work: Condvar,
    /// A turn ended.
    turned: Condvar,
    /// Id at or below which every record was applied, and none comes any more.
    horizon: AtomicU64,
    /// Highest post seen, by records or warming: the age of recents counts from it, so that an import of old posts
    /// keeps its recents.
    newest: AtomicU64,
    push_below: AtomicU64,
    pull_above: AtomicU64,
    /// Locks of readers, so that one has one builder at a time; the others wait here.
    builders: Mutex<IdMap<UserIndex, Arc<tokio::sync::Mutex<()>>>>,
    builds: Semaphore,
    snapshots: Mutex<Snapshots>,
    counters: FeedCounters,
    lags: Mutex<[LagHistogram; 2]>,
    costs: Mutex<TopCosts>,
}

impl Feed {
    /// An empty feed of posts over `source`, with the default ranking. `clock` answers Unix milliseconds. Starts no
    /// thread: see [`start_worker`](Self::start_worker).
    pub fn new(
        settings: FeedSettings,
        source: Arc<dyn FeedSource>,
        rank_inputs: Arc<dyn RankInputs>,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self::with_ranker(settings, source, rank_inputs, Box::new(DefaultRanker), clock)
    }

    /// Feed with another formula for `order=ranked`.
    fn with_ranker(
        settings: FeedSettings,
        source: Arc<dyn FeedSource>,
        inputs: Arc<dyn RankInputs>,
        ranker: Box<dyn Ranker>,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self::open(settings, source, Some(Ranking { inputs, ranker }), clock)
    }

    /// Entries that a reader missed above `after`: the newest `max` visible ones, and whom the reader follows. Read
    /// from the authors, late pushes and all; makes no timeline.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn catch_up(&self, reader: Id, after: Id, max: usize) -> Result<CatchUp, EngineError> {
        self.core.catch_up(reader, after, max).await
    }

    /// A ranked page: of a new snapshot, or the one that `at` names from that position on.
    ///
    /// # Errors
    /// What the tables answered, and [`FeedError::SnapshotExpired`].
    pub async fn ranked(
        &self,
        reader: Id,
        at: Option<(super::SnapshotId, usize)>,
        limit: usize,
    ) -> Result<RankedPage, FeedError> {
        self.core.ranked(reader, at, limit).await
    }
}

impl<P: FeedItem> Feed<P> {
    /// An empty feed over `source` that is read newest first alone. As [`new`](Feed::new) else.
    pub fn unranked(
        settings: FeedSettings,
        source: Arc<dyn FeedSource<P>>,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self::open(settings, source, None, clock)
    }

    fn open(
        settings: FeedSettings,
        source: Arc<dyn FeedSource<P>>,
        ranking: Option<Ranking>,
        clock: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let bounds = TimelineBounds {
            pending_follows_max: settings.pending_follows_max,
            recorded_changes_max: settings.recorded_changes_max,
        };
        let core = FeedCore {
            authors: Authors::new(),
            timelines: Timelines::new(settings.timeline_cap, settings.timeline_shards, bounds),
            readers: (0..READER_LOCKS).map(|_| Mutex::new(())).collect(),
            queue: Mutex::new(JobQueue::new(settings.push_queue_max, settings.late_queue_max)),
            work: Condvar::new(),
            turned: Condvar::new(),
            horizon: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            push_below: AtomicU64::new(settings.push_below),
            pull_above: AtomicU64::new(settings.pull_above),
            builders: Mutex::default(),
            builds: Semaphore::new(settings.builds_max.max(1)),
            snapshots: Mutex::new(Snapshots::new(clock(), SNAPSHOTS_MAX, SNAPSHOT_BYTES_MAX)),
            counters: FeedCounters::default(),
            lags: Mutex::default(),
            costs: Mutex::default(),
            started: Instant::now(),
            settings,
            source,
            ranking,
            clock: Box::new(clock),
        };
        Self { core: Arc::new(core) }
    }

    /// Starts the fan-out thread. It stops, leaving what is queued, when the worker is dropped or stopped.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start_worker(&self) -> std::io::Result<Worker<P>> {
        Worker::start(self.clone())
    }

    /// Chooses the policy of the author's next post. The owner stamps it on the record.
    #[must_use]
    pub fn stamp(&self, author: Id, followers: u64) -> Policy {
        self.core.stamp(author, followers)
    }

    /// Takes in a committed record: in commit order, from one thread, before the client is acknowledged. In memory,
    /// and never waits for I/O or for room in a queue.
    pub fn apply(&self, record: &Record) {
        self.core.apply(record);
    }

    /// Every record up to `horizon` was applied, and none comes at or below it any more: pages show what is up to it.
    pub fn settle(&self, horizon: Id) {
        self.core.horizon.fetch_max(horizon.0, Ordering::SeqCst);
    }

    /// Restart: one entry of the scan over authors' rows, ascending by id within an author. Records may be applied
    /// meanwhile, provided that the scan sees everything committed before the first of them.
    pub fn warm(&self, author: Id, entry: AuthorEntry) {
        self.core.add_recent(author, entry);
    }

    /// Restart, before everything else: the scan begins at `horizon`. Users made later have no older posts (ids of
    /// users are Snowflakes too); of others nothing is claimed below it.
    pub fn warm_from(&self, horizon: Id) {
        self.core.authors.set_horizon(horizon.0);
    }

    /// Restart: the scan leaves out the author's entries at and below `floor`.
    pub fn warm_floor(&self, author: Id, floor: Id) {
        self.core.authors.raise_recents_floor(self.core.authors.intern(author), floor.0);
    }

    /// Restart: the scan is through. Before it, reads ask the tables; from now on, what memory holds is trusted.
    pub fn warmed(&self) {
        self.core.authors.set_warmed();
    }

    /// The thresholds now in force.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        self.core.thresholds()
    }

    /// Policy of posts by an author with so many followers, and number of timelines in memory that listen to the
    /// author.
    #[must_use]
    pub fn reach(&self, author: Id, followers: u64) -> (Policy, usize) {
        let authors = &self.core.authors;
        let known = authors.get(author);
        let policy = known.and_then(|author| authors.policy(author));
        let policy = policy.unwrap_or_else(|| choose(None, followers, self.thresholds()));
        (policy, known.map_or(0, |author| authors.listeners(author)))
    }

    /// Changes the thresholds; authors flip with their next posts.
    pub fn set_thresholds(&self, thresholds: Thresholds) {
        self.core.push_below.store(thresholds.push_below, Ordering::Relaxed);
        self.core.pull_above.store(thresholds.pull_above, Ordering::Relaxed);
    }

    /// Holds an author's policy whatever the followers, or lets it go again.
    pub fn pin(&self, author: Id, policy: Option<Policy>) {
        self.core.authors.pin(self.core.authors.intern(author), policy);
    }

    /// Drops the reader's timeline; false when there was none, or it is being built.
    pub fn evict(&self, reader: Id) -> bool {
        self.core.authors.get(reader).is_some_and(|reader| self.core.evict(reader))
    }

    /// Drops timelines that were not read for the idle time, and more while there are too many or they are too big.
    /// Bounded work; to be called every few seconds. Answers how many.
    pub fn evict_idle(&self, now_ms: u64) -> usize {
        self.core.evict_idle(now_ms)
    }

    /// The author's newest posts below `before`, when memory has them all.
    #[must_use]
    pub fn recent_entries(&self, author: Id, before: Id, limit: usize) -> Option<Vec<AuthorEntry>> {
        self.core.authors.newest(self.core.authors.get(author)?, before.0, limit)
    }

    /// Whether the reader's timeline is materialised.
    #[must_use]
    pub fn is_materialised(&self, reader: Id) -> bool {
        let timeline = |reader| self.core.timelines.ready(self.core.authors.timeline(reader)?, reader);
        self.core.authors.get(reader).and_then(timeline).is_some()
    }

    /// Everything countable. Walks all authors and rings: for operators and reports, not for requests.
    #[must_use]
    pub fn stats(&self) -> FeedStats {
        self.core.stats()
    }

    /// Page of the reader's feed, newest first.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn page(&self, reader: Id, query: PageQuery) -> Result<FeedPage<P>, EngineError> {
        self.core.page(reader, query).await
    }

    /// Number of visible entries of others that are newer than `marker`, and the newest of the feed.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn unread(&self, reader: Id, marker: Id) -> Result<Unread, EngineError> {
        self.core.unread(reader, marker).await
    }

    /// A read that looks at whom the reader follows before it asks for entries.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn reading(&self, reader: Id) -> Result<Reading<'_, P>, EngineError> {
        self.core.reading(reader).await
    }

    /// The index of a person, made at first sight: the same in every [`ReaderRelations`] of this feed.
    #[must_use]
    pub fn index_of(&self, person: Id) -> UserIndex {
        self.core.authors.intern(person)
    }

    /// Does one slice of fan-out work in the calling thread; false when nothing waits.
    pub fn turn(&self) -> bool {
        self.core.turn(&mut Vec::new())
    }

    /// Works until nothing is queued and nothing runs, in the calling thread and beside the worker.
    pub fn quiesce(&self) {
        self.core.quiesce();
    }

    pub(super) fn authors(&self) -> &Authors {
        &self.core.authors
    }

    pub(super) fn seed(&self, reader: UserIndex, relations: ReaderRelations, entries: &[Entry]) -> Slot {
        self.core.seed(reader, relations, entries)
    }

    pub(super) fn scatter_all(&self, entry: Entry, slots: &mut Vec<Slot>) -> usize {
        self.core.scatter_all(entry, slots)
    }

    pub(super) fn timeline_usage(&self, reader: UserIndex) -> Option<(usize, usize, usize)> {
        let slot = self.core.authors.timeline(reader)?;
        let (_, relations) = self.core.timelines.ready(slot, reader)?;
        let (bytes, entries) = self.core.timelines.usage_of(slot);
        Some((bytes, entries, relations.followees.len()))
    }

    pub(super) fn work_until(&self, stop: &std::sync::atomic::AtomicBool) {
        self.core.work_until(stop);
    }

    pub(super) fn wake_worker(&self) {
        self.core.wake_worker();
    }
}

impl<P: FeedItem> FeedCore<P> {
    fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    fn uptime_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn reader_lock(&self, reader: UserIndex) -> MutexGuard<'_, ()> {
        self.readers[reader as usize % READER_LOCKS].lock()
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds {
            push_below: self.push_below.load(Ordering::Relaxed),
            pull_above: self.pull_above.load(Ordering::Relaxed),
        }
    }

    fn stamp(&self, author: Id, followers: u64) -> Policy {
        let author = self.authors.intern(author);
        let flip_interval_ms = self.settings.flip_interval_ms;
        let (policy, flipped) =
            self.authors.stamp(author, followers, self.thresholds(), self.now_ms(), flip_interval_ms);
        if flipped {
            self.counters.flips.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("fanfare_feed_flips_total", "to" => policy_name(policy)).increment(1);
        }
        policy
    }

    fn recent(&self, entry: AuthorEntry) -> Recent {
        let related = if entry.kind == EntryKind::Plain { 0 } else { self.authors.intern(entry.related) };
        Recent { id: entry.id.0, related, kind: entry.kind }
    }

    fn stats(&self) -> FeedStats {
        let queue = self.queue.lock();
        let ((push_queue, late_queue), oldest_us) = (queue.lengths(), queue.oldest_us());
        drop(queue);
        let (recents, author_bytes) = self.authors.usage();
        let lags = self.lags.lock().each_ref().map(LagHistogram::stats);
        let costs = self.costs.lock().list(self.started.elapsed().as_secs_f64());
        let cost =
            |(author, deliveries_per_s)| super::AuthorCost { author: self.authors.id_of(author), deliveries_per_s };
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        FeedStats {
            timelines: self.timelines.count(),
            timeline_entries: self.timelines.entries(),
            timeline_bytes: self.timelines.bytes(),
            users: self.authors.len(),
            recents,
            author_bytes,
            push_queue,
            late_queue,
            oldest_job_us: oldest_us.map_or(0, |oldest| self.uptime_us().saturating_sub(oldest)),
            posts: by_policy(&self.counters.posts),
            deliveries: by_policy(&self.counters.deliveries),
            overflowed: count(&self.counters.overflowed),
            flips: count(&self.counters.flips),
            builds: count(&self.counters.builds),
            evictions: count(&self.counters.evictions),
            push_lag: lags[0],
            late_lag: lags[1],
            costs: costs.into_iter().map(cost).collect(),
            snapshots: self.snapshots.lock().len(),
        }
    }
}

fn by_policy(counters: &[AtomicU64; 3]) -> ByPolicy {
    let [push, push_late, pull] = counters.each_ref().map(|counter| counter.load(Ordering::Relaxed));
    ByPolicy { push, push_late, pull }
}

const fn policy_number(policy: Policy) -> usize {
    policy as usize
}

fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Push => "push",
        Policy::PushLate => "push_late",
        Policy::Pull => "pull",
    }
}
