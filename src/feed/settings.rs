//! The feed's settings and what an operator can look at. Plain values.

use fanfare_protocol::Id;

use super::policy::Thresholds;

/// Every bound of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSettings {
    /// Entries a timeline holds in memory; older ones are read from the tables.
    pub timeline_cap: usize,
    /// Locks over the timelines, 1 to 64. Few make fan-out faster (more slots a lock), many let more readers pass;
    /// twice the cores by default, at least 4.
    pub timeline_shards: usize,
    /// Materialised timelines; the least recently used makes room. Builds that run may exceed it by `builds_max`.
    pub timelines_max: usize,
    /// Bytes of all timelines; likewise.
    pub timeline_bytes_max: u64,
    /// A timeline that was not read for so long is dropped, in milliseconds.
    pub idle_ms: u64,
    /// Recent posts kept in memory for each author.
    pub recents_per_author: usize,
    /// Recent posts older than this are dropped from memory, in milliseconds.
    pub recents_age_ms: u64,
    /// Authors with fewer followers are pushed at once.
    pub push_below: u64,
    /// Authors with more followers are pulled.
    pub pull_above: u64,
    /// An author changes between push, push late and pull at most this often, in milliseconds.
    pub flip_interval_ms: u64,
    /// Slots served in one turn of the fan-out worker.
    pub push_slice: usize,
    /// Ordinary fan-out jobs that wait; what does not fit is pulled by readers.
    pub push_queue_max: usize,
    /// Late fan-out jobs that wait; what does not fit is pulled by readers.
    pub late_queue_max: usize,
    /// Timelines built at the same time; other first reads wait.
    pub builds_max: usize,
    /// Newest visible entries that `order=ranked` scores.
    pub ranked_candidates: usize,
    /// Follows of one reader that wait for the next read; beyond it the timeline is dropped and built again.
    pub pending_follows_max: usize,
    /// Changes of one reader recorded while a build loads relations; beyond it the build starts again.
    pub recorded_changes_max: usize,
    /// Sizes of what merges and pages read at once.
    pub reads: ReadSizes,
}

/// Sizes of what merges and pages read at once. Tests set them to 1 and 2, so that every seam is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadSizes {
    /// Ids a merge takes of each author at first; each further reading takes twice as many.
    pub author_first: usize,
    /// Ids a merge takes of an author in one reading at most.
    pub author_max: usize,
    /// Ids asked of the tables in one reading at least: a scan costs more to begin than to go on.
    pub table_min: usize,
    /// Authors read from the tables at the same time.
    pub tables_at_once: usize,
    /// Posts fetched at the same time.
    pub posts_max: usize,
}

impl Default for ReadSizes {
    fn default() -> Self {
        Self { author_first: 8, author_max: 256, table_min: 32, tables_at_once: 64, posts_max: 128 }
    }
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            timeline_cap: 800,
            timeline_shards: std::thread::available_parallelism().map_or(4, |cores| (cores.get() * 2).clamp(4, 64)),
            timelines_max: 1_000_000,
            timeline_bytes_max: 8 << 30,
            idle_ms: 7 * 24 * 3_600_000,
            recents_per_author: 100,
            recents_age_ms: 14 * 24 * 3_600_000,
            push_below: 10_000,
            pull_above: 1_000_000,
            flip_interval_ms: 60_000,
            push_slice: 10_000,
            push_queue_max: 65_536,
            late_queue_max: 4_096,
            builds_max: 64,
            ranked_candidates: 500,
            pending_follows_max: 256,
            recorded_changes_max: 4_096,
            reads: ReadSizes::default(),
        }
    }
}

impl FeedSettings {
    /// The thresholds to start with.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        Thresholds { push_below: self.push_below, pull_above: self.pull_above }
    }
}

/// Numbers by policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByPolicy {
    /// `push`.
    pub push: u64,
    /// `push_late`.
    pub push_late: u64,
    /// `pull`.
    pub pull: u64,
}

/// Cost of fan-out to an author's followers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AuthorCost {
    /// The author.
    pub author: Id,
    /// Materialised followers × posts a second, averaged over about ten minutes.
    pub deliveries_per_s: f64,
}

/// Fan-out lag: from the commit of a post to its last delivery, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LagStats {
    /// Jobs measured.
    pub jobs: u64,
    /// Half of the jobs took at most this.
    pub p50_us: u64,
    /// 99 of 100 took at most this.
    pub p99_us: u64,
    /// The slowest.
    pub max_us: u64,
}

/// The feed at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FeedStats {
    /// Materialised timelines.
    pub timelines: usize,
    /// Entries in them.
    pub timeline_entries: usize,
    /// Bytes of the timelines, without slot lists.
    pub timeline_bytes: usize,
    /// Users seen.
    pub users: usize,
    /// Recent posts in memory.
    pub recents: usize,
    /// Bytes of recents and slot lists.
    pub author_bytes: usize,
    /// Ordinary jobs that wait.
    pub push_queue: usize,
    /// Late jobs that wait.
    pub late_queue: usize,
    /// Age of the oldest job that waits, in microseconds.
    pub oldest_job_us: u64,
    /// Posts applied, by the policy that was used.
    pub posts: ByPolicy,
    /// Entries written into timelines, by policy.
    pub deliveries: ByPolicy,
    /// Posts whose queue was full, so that readers pull them.
    pub overflowed: u64,
    /// Policies changed.
    pub flips: u64,
    /// Timelines built.
    pub builds: u64,
    /// Timelines dropped.
    pub evictions: u64,
    /// Lag of ordinary jobs.
    pub push_lag: LagStats,
    /// Lag of late jobs.
    pub late_lag: LagStats,
    /// The most expensive authors, dearest first.
    pub costs: Vec<AuthorCost>,
    /// Ranked snapshots kept.
    pub snapshots: usize,
}
