//! Bounds of short links, and of what anybody may be sent to.

/// Bytes of an address that somebody may be sent to, as given and as the parser writes it; a longer one is refused.
pub const TARGET_BYTES_MAX: usize = 2_048;
/// Numbers of codes that are leased at once; a crash loses what is left of them.
pub const LEASE_NUMBERS: u64 = 10_000;
/// Numbers whose codes are given out without a claim of their own once their stretch is open. A change would have
/// codes given out that are somebody's alias.
pub const STRETCH_NUMBERS: u64 = 2_048;
/// Free numbers in memory below which more are made ready, before anybody waits for them.
pub const FREE_NUMBERS_MIN: usize = 1_024;
/// Links made a millisecond, on all nodes together; further ones wait a moment and are then answered 503. A start on a
/// copy of the folder skips as many for the time since.
pub const NUMBERS_PER_MS: u64 = 20;
/// Milliseconds that a create waits for a number at most, when more are wanted than there may be.
pub const NUMBER_WAIT_MS: u64 = 1_000;
/// Seconds between two marks of how far numbers are leased, while links are made.
pub const MARK_S: u64 = 10;
/// Marks' ticks, without a link made in between, after which the mark is moved on all the same.
pub const IDLE_MARKS: u32 = 6;
/// Times that a change of the lease is tried while other nodes change it too; then a create is answered 503.
pub const LEASE_TRIES_MAX: u32 = 16;
/// Bytes of the host of a request that a QR code holds; with a longer one it holds the path alone.
pub const HOST_BYTES_MAX: usize = 255;
/// Bytes of an alias; a longer one is refused with 422.
pub const ALIAS_BYTES_MAX: usize = 64;
/// Visits that a link can be limited to; more are refused with 422.
pub const MAX_VISITS_MAX: u32 = 100_000;
/// Characters of the password of a link; a longer one is refused with 422.
pub const LINK_PASSWORD_CHARS_MAX: usize = 128;
/// Links in memory, by use; others are read from rows.
pub const HOT_LINKS_MAX: usize = 200_000;
/// Codes that lead nowhere and are remembered as such, by use.
pub const MISSING_LINKS_MAX: usize = 100_000;
/// Locks under which links are read: visitors of one link that is not in memory wait for one read.
pub const LOADING_STRIPES: usize = 1_024;
/// Aliases in memory that look like codes which were not given out yet; where there are more, every code that is not in
/// memory is looked for in rows.
pub const ALIASES_ABOVE_MAX: usize = 2_000_000;
/// Rows of aliases that are read at once at the start.
pub const ALIASES_STEP_ROWS: usize = 10_000;
/// Links with a limit whose next visit is in memory, by use; of others it is read from rows.
pub const COUNTED_LINKS_MAX: usize = 100_000;
/// Addresses of whom misses are remembered; when there are more, misses of further ones are refused with 429.
pub const MISSES_REMEMBERED_MAX: usize = 100_000;
/// Bytes of the file of blocked hosts and codes.
pub const BLOCKLIST_BYTES_MAX: u64 = 64 << 20;
/// Milliseconds between two looks at that file.
pub const BLOCKLIST_LOOK_MS: u64 = 1_000;
/// Wrong passwords for one link from one address within [`LINK_PASSWORDS_WINDOW_MS`]; further ones are answered 429.
pub const LINK_PASSWORDS_MAX: usize = 5;
/// Milliseconds for which a wrong password for a link counts.
pub const LINK_PASSWORDS_WINDOW_MS: u64 = 900_000;
/// Links of a list of all that are read at once.
pub const LINKS_STEP: usize = 500;
/// Latest end of a link, in milliseconds since the Unix epoch: the last moment of 2079.
pub const EXPIRES_MS_MAX: u64 = 3_471_292_799_999;
