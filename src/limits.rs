//! Every bound that is not a setting: its name, its unit, and what happens when it is reached.

/// Hours for which a request with an idempotency key is remembered; later it counts as a new one.
pub const IDEMPOTENCY_HOURS: u32 = 24;
/// Bytes of an idempotency key; a longer one is refused with 422.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Words of a display name, past the first, by which a person is found; further ones are not searched.
pub const NAME_WORDS_MAX: usize = 4;
/// Key of the import watermark in the `meta` table.
pub const META_IMPORT_LINE: &[u8] = b"import_line";

/// Items of a page when the client does not say.
pub const PAGE_DEFAULT: usize = 20;
/// Items of a page; asking for more is refused with 422.
pub const PAGE_MAX: usize = 100;

/// Proposals that wait for the sequencer; further callers wait for a place (requests are bounded before that).
pub const SEQUENCER_QUEUE_MAX: usize = 4_096;
/// Records in one commit; the rest waits for the next. With 50 notices each they stay below a batch's rows.
pub const SEQUENCER_GROUP_MAX: usize = 256;
/// Fold rows kept in memory by the sequencer; others are read from the tables when needed.
pub const FOLD_ROWS_MAX: usize = 262_144;
/// Stripes of the locks that order decisions on the same people or posts; two that share a stripe wait needlessly.
pub const LOCK_STRIPES: usize = 4_096;
/// Commits between two checkpoints of the projector; as many are projected again after a crash, to no effect.
pub const CHECKPOINT_EVERY: u64 = 64;

/// Posts kept in memory; the least used make room.
pub const POST_CACHE_MAX: usize = 400_000;
/// Accounts kept in memory; the least used make room.
pub const USER_CACHE_MAX: usize = 400_000;
/// Counters of posts and people kept in memory for readers; the least used make room.
pub const COUNTER_CACHE_MAX: usize = 500_000;
/// Readers whose newest likes and reposts are kept in memory; the least used make room.
pub const MARKS_CACHE_MAX: usize = 100_000;
/// Newest likes (and reposts) of a reader kept in memory; older posts are looked up.
pub const MARKS_MAX: usize = 256;
/// Tokens whose owner is kept in memory; the least used make room.
pub const TOKEN_CACHE_MAX: usize = 200_000;

/// Media of one post; more is refused with 422.
pub const POST_MEDIA_MAX: usize = 4;
/// People notified of one post by mention; further mentions stand in the text and notify nobody.
pub const POST_NOTICES_MAX: usize = 50;
/// Ancestors shown in a thread; older ones are reached from the oldest shown.
pub const THREAD_ANCESTORS_MAX: usize = 50;
/// Interactions of a reader that count for affinity; older ones do not.
pub const AFFINITY_INTERACTIONS_MAX: usize = 2_000;
/// Days for which an interaction counts for affinity (`api.md`).
pub const AFFINITY_DAYS: u64 = 90;
/// Rows that one step of the janitor handles.
pub const JANITOR_STEP_ROWS: usize = 512;
/// Characters of a display name; a longer one is refused with 422.
pub const DISPLAY_NAME_CHARS_MAX: usize = 50;
/// Characters of a bio; a longer one is refused with 422.
pub const BIO_CHARS_MAX: usize = 500;
/// Shortest and longest password, in characters.
pub const PASSWORD_CHARS: std::ops::RangeInclusive<usize> = 8..=128;
/// Characters of a search query; a longer one is refused with 422.
pub const SEARCH_CHARS_MAX: usize = 50;
/// Blocks, mutes or blockers of one person that are read; a person cannot block or mute more (422), and of more who
/// block the person the rest is not hidden from their feed.
pub const HIDDEN_MAX: usize = 10_000;
/// Followees of one person that are read; the follow limit (a setting) cannot be above.
pub const FOLLOWS_READ_MAX: usize = 50_000;
