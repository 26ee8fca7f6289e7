//! Bounds of clicks: what one may hold, what rows of numbers keep, and how much is on its way at once.

/// Most bytes of a name that is counted (a referrer's host, a city, a browser); the rest is cut off.
pub const NAME_BYTES_MAX: usize = 60;
/// Referrers' hosts, cities and languages that are counted by name for a link and a day; what comes later is `other`.
pub const NAMES_MAX: usize = 100;
/// Browsers, systems and devices that are counted by name for a link and a day.
pub const BROWSERS_MAX: usize = 30;
/// Countries that are counted by name for a link and a day: there are fewer codes than that.
pub const COUNTRIES_MAX: usize = 300;
/// Names in a list of an answer, the most frequent first; the rest is `other`.
pub const LISTED_MAX: usize = 100;
/// Points of a series; a longer one is refused.
pub const POINTS_MAX: u64 = 1_500;

/// User agents that are remembered with what they are.
pub const AGENTS_MAX: usize = 10_000;
/// Bytes of a user agent that are looked at.
pub const AGENT_BYTES_MAX: usize = 1_024;

/// Bytes of a segment of the spool.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// Files of the spool that are written in turn, at most: one a processor.
pub const LANES_MAX: usize = 64;
/// Milliseconds after which a spool that has no room tries again.
pub const SPOOL_RETRY_MS: u64 = 100;
/// Days after which clicks that still wait in the spool are lost: a source is remembered for one day more.
pub const SPOOL_DAYS_MAX: u64 = 6;
/// Days after which a source that nothing was heard of leaves the head.
pub const SOURCE_DAYS: u64 = 7;

/// Bytes of a block's clicks, as the spool has them.
pub const BLOCK_BYTES_MAX: usize = 2 << 20;
/// Bytes of one record of clicks, as long as one click alone has no more.
pub const RECORD_BYTES_MAX: usize = 512 << 10;
/// Records that the fold reads at once.
pub const FOLD_RECORDS: usize = 64;
/// Clicks that are folded before those who ask for numbers get their turn.
pub const FOLD_SLICE: usize = 500;
/// Rows of numbers in memory, five of a link that is visited now; beyond, they are written and let go of.
pub const OPEN_ROWS_MAX: usize = 1_000_000;
/// Bytes of rows of numbers in memory, roughly.
pub const OPEN_BYTES_MAX: usize = 256 << 20;
/// Rows that are written at once.
pub const FLUSH_ROWS: usize = 4_096;
/// Bytes of rows that are written at once.
pub const FLUSH_BYTES: usize = 8 << 20;
/// Milliseconds after which the fold looks for records that nobody told it of.
pub const FOLD_LOOK_MS: u64 = 1_000;
/// Milliseconds before a step that storage refused is tried again; doubled up to thirty times as much.
pub const RETRY_MS: u64 = 100;

/// Milliseconds that somebody waits for clicks to be counted who has to know all of a link's; beyond, they get a 503.
pub const CATCH_UP_MS: u64 = 5_000;
/// Milliseconds between two looks whether they are in the log.
pub const CATCH_UP_LOOK_MS: u64 = 10;

/// Milliseconds that a server which stops gives its shipper and its fold to end; the next start does what is left.
pub const LAST_SHIP_MS: u64 = 2_000;

/// Hours of records that a partition's head remembers the beginning of, so that old ones can be let go of.
pub const MARKS_MAX: usize = 24 * 32;
/// Shards of the partition of an hour's minutes, and of a day's hours.
pub const TIME_SHARDS: u8 = 64;
/// Rows that the janitor removes at once.
pub const SWEEP_ROWS: usize = 1_000;
/// Milliseconds between two looks at the salts of days.
pub const SALT_LOOK_MS: u64 = 30_000;
/// Clicks of one record of an import.
pub const IMPORT_CLICKS: usize = 500;
