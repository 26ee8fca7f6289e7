//! Bounds of live sessions.

/// Characters of a title; a longer one is refused with 422.
pub const TITLE_CHARS_MAX: usize = 140;
/// Milliseconds by which a planned start may be past; older ones are refused with 422.
pub const STARTS_AT_PAST_MS_MAX: u64 = 60_000;
/// Milliseconds by which a planned start may be ahead; later ones are refused with 422.
pub const STARTS_AT_AHEAD_MS_MAX: u64 = 366 * 86_400_000;
/// Changes of the planned start of a session, each of which is remembered; one more is refused with 422.
pub const STARTS_AT_CHANGES_MAX: usize = 20;
/// Sessions of one host that are upcoming or live at once; one more is refused with 409.
pub const OPEN_MAX: usize = 100;
/// People who want to be reminded of one session; one more is refused with 409.
pub const REMINDERS_MAX: usize = 100_000;
/// Reminders of one person; one more is refused with 409.
pub const REMINDERS_OF_PERSON_MAX: usize = 1_000;
/// People whose reminders are kept in memory; those of others are read from rows.
pub const REMINDERS_CACHE_MAX: usize = 100_000;
/// People reminded by one record: each has a notification in the same commit. These are half of the rows that one
/// record may make (`RECORD_ROWS_MAX`, 8 a person), so that nobody's post waits long behind one.
pub const REMINDED_AT_ONCE: usize = 256;
/// Entries that a timeline of replays holds in memory; older ones are read from the hosts' rows.
pub const REPLAYS_CAP: usize = 100;
/// Newest replays of every host kept in memory to build and merge timelines from.
pub const REPLAYS_RECENT: usize = 50;
/// Days for which these recent replays are kept.
pub const REPLAYS_RECENT_DAYS: u64 = 366;
/// Replays kept in memory; others are read from rows.
pub const REPLAYS_CACHE_MAX: usize = 50_000;
/// Partitions of the table of open sessions, by a hash of the host.
pub const OPEN_PARTITIONS: u64 = 256;
/// Milliseconds between two looks at which sessions are due.
pub const DUE_PERIOD_MS: u64 = 1_000;
/// Sessions that are ended or removed, because they are due, by one look; the next goes on.
pub const DUE_AT_ONCE: usize = 256;
/// Milliseconds for which what ended is remembered longer than pages need it.
pub const FORGET_SLACK_MS: u64 = 2_000;
/// Changes of sessions that wait to be told; beyond, only the newest of each session is, and then the oldest are shed.
pub const CHANGES_MAX: usize = 16_384;
/// Sessions whose newest change is remembered for those who were not connected when it was told.
pub const LATELY_MAX: usize = 1_024;
/// Changes looked at for one of these; of more the newest. A poll's answer holds more frames than that.
pub const LATELY_LOOKED_AT: usize = 128;
/// Seconds until another try after a step in the background failed.
pub const AGAIN_S: u64 = 1;
