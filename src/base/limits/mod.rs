//! Every bound that is not a setting: its name, its unit, and what happens when it is reached.

pub mod chat;
pub mod clicks;
pub mod links;
pub mod live;
pub mod media;
pub mod nodes;
pub mod reports;

/// Days for which what operators did is kept (`api.md`); older lines are not shown, and the janitor removes them.
pub const AUDIT_DAYS: u32 = 400;
/// Milliseconds by which acts may be newer than the clock, which may have gone back; newer ones are not shown.
pub const AUDIT_AHEAD_MS: u64 = 31 * 86_400_000;
/// People suspended at once; one more is refused with 409.
pub const SUSPENDED_MAX: usize = 100_000;
/// Additions of suspended people to the counts of others (likes, replies, reposts, follows) that are kept in memory, to
/// take them off; those of people for whom there is no room stay in the counts.
pub const UNCOUNTED_MAX: usize = 1_000_000;
/// Bare reposts of what one suspended person wrote that are taken off the posts of who made them; where there are more,
/// none.
pub const UNCOUNTED_REPOSTS_MAX: usize = 100_000;
/// Characters of an operator's reason; a longer one is refused with 422.
pub const REASON_CHARS_MAX: usize = 500;
/// Characters of what the audit says of a change of settings; the rest is cut off.
pub const AUDIT_TARGET_CHARS_MAX: usize = 300;
/// Milliseconds by which the clock may be set forward at once while the server runs: further ones are not followed.
pub const STEP_MS_MAX: i64 = 10_000;
/// Milliseconds by which what is stored may be newer than the clock at a start; beyond, the start is refused.
pub const CLOCK_BEHIND_MS_MAX: u64 = 86_400_000;
/// Milliseconds of time that ids are reserved for in advance; half of it later more is reserved.
pub const RESERVE_MS: u64 = 2_000;
/// Milliseconds between two notes that the server runs.
pub const HEARTBEAT_MS: u64 = 3_600_000;
/// Milliseconds by which ids may be ahead of the time of a log that stamps what it takes: beyond, nothing is taken
/// until the log's time has come near. The log bears a second more (`engines/admission.rs`).
pub const LOG_AHEAD_MS_MAX: u64 = 4_000;
/// Seconds for which an owner counts as alive after its last sign of life.
pub const LEASE_S: u64 = 10;
/// Seconds between two signs of life.
pub const LEASE_RENEW_S: u64 = 3;
/// Milliseconds by which sweeping may be ahead of the newest stored moment and the time run since.
pub const SWEEP_AHEAD_MS: u64 = 86_400_000;
/// Milliseconds after which a server that runs believes its clock, and sweeps by it alone.
pub const SWEEP_BELIEVE_MS: u64 = 7 * 86_400_000;
/// Hours for which a request with an idempotency key is remembered; later it counts as a new one.
pub const IDEMPOTENCY_HOURS: u32 = 24;
/// Milliseconds of [`IDEMPOTENCY_HOURS`].
pub const IDEMPOTENCY_MS: u64 = IDEMPOTENCY_HOURS as u64 * 3_600_000;
/// Times that a change of credentials is tried on the row that others have left meanwhile; then it is answered 503.
pub const CREDENTIALS_TRIES_MAX: u32 = 16;
/// Rows of one kind (credentials, tokens) of which nobody knows whether a change will come; beyond, all of the kind are
/// read from rows until a restart.
pub const IN_DOUBT_MAX: usize = 10_000;
/// Rows of credentials of an earlier version that are moved at once.
pub const CREDENTIALS_MOVED_AT_ONCE: usize = 64;
/// Words of a display name, past the first, by which a person is found; further ones are not searched.
pub const NAME_WORDS_MAX: usize = 4;
/// Bytes of a key in the people search; of a longer name the rest is not searched.
pub const NAME_KEY_BYTES_MAX: usize = 400;
/// Key of the import watermark in the `meta` table.
pub const META_IMPORT_LINE: &[u8] = b"import_line";
/// Beginning of the key of a registered consumer of the log in the `meta` table.
pub const META_CONSUMER: &[u8] = b"consumer/";
/// Posts of the public timeline that are in memory: the newest.
pub const PUBLIC_IN_MEMORY: usize = 1_000;
/// Rows read at once that say which spans of the timeline hold posts.
pub const SPANS_STEP_ROWS: usize = 1_024;
/// Consumers of the log that are registered at once, beside the one that writes rows; one more is refused.
pub const CONSUMERS_MAX: usize = 64;
/// Partitions of people; the numbers up to 999 are for those of all families.
pub const CLUSTER_PARTITIONS_MAX: u16 = 512;
/// Beginning of the key of a partition's head in the own table of its family, such as `meta`.
pub const META_HEAD: &[u8] = b"head";

/// Proposals that wait for the owner; further callers wait for a place (requests are bounded before that).
pub const PROPOSALS_MAX: usize = 4_096;
/// Records of another family from which something follows for people, in memory, of each partition; of more the log
/// tells.
pub const ONWARD_WAITING_MAX: usize = 4_096;
/// Records in one commit; the rest waits for the next.
pub const GROUP_RECORDS_MAX: usize = 256;
/// Proposals that wait before the owner is woken for them while a commit is on its way: fewer are folded when that is
/// done, for a wake-up costs about as much as folding one.
pub const AHEAD_RECORDS_MIN: usize = 8;
/// Proposals that are folded at once while a commit is on its way: its callers wait for no more than these.
pub const AHEAD_RECORDS_MAX: usize = 32;
/// Milliseconds after which a write without an answer says that storage is away: what is on its way is waited for, and
/// nothing new is begun until it answers.
pub const STORAGE_SILENT_MS: u64 = 2_000;
/// Bytes a second that storage takes of an upload at least, on top of that; a slower one is away.
pub const OBJECT_BYTES_PER_S_MIN: u64 = 1024 * 1024;
/// Fold rows kept in memory by the owner; others are read from the tables when needed.
pub const FOLD_ROWS_MAX: usize = 262_144;
/// Stripes of the locks that order decisions on the same people or posts; two that share a stripe wait needlessly.
pub const LOCK_STRIPES: usize = 4_096;
/// Commits between two checkpoints of the rows; as many records are folded again after a crash, to no effect.
pub const CHECKPOINT_EVERY: u64 = 64;
/// Longest wait of an answer for what follows in other partitions from what was asked for.
pub const EFFECTS_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

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

/// Rows of a list read at once, at least: a list with much that is hidden is passed in few steps.
pub const LIST_STEP_ROWS: usize = 64;
/// Estimated bytes of one commit, records and rows; the rest waits for the next. The port takes 64 MiB.
pub const GROUP_BYTES_MAX: usize = 8 << 20;
/// Rows of one commit, as its events say before they are folded; the rest waits for the next.
pub const GROUP_ROWS_MAX: usize = 16_384;
/// Rows of one record; an event that would make more is refused, and whoever has so much to do makes several records.
pub const RECORD_ROWS_MAX: usize = 4_096;
/// Media of one post; more is refused with 422.
pub const POST_MEDIA_MAX: usize = 4;
/// People notified of one post by mention; further mentions stand in the text and notify nobody.
pub const POST_NOTICES_MAX: usize = 50;
/// People of a notification that stands for many who are known by name, the newest; the others are a number. It stands
/// whole in the record of each event, so this bounds what a like costs in the journal.
pub const GROUP_NAMED_MAX: usize = 7;
/// People of such a notification beyond those who are known apart, where one can do it several times: up to so many
/// each counts once. Of replies.
pub const GROUP_REPLIERS_MAX: usize = 60;
/// People known apart in such a notification of reposts and quotes: who takes one back may be remembered, which stands
/// in the record too.
pub const GROUP_REPOSTERS_MAX: usize = 40;
/// People known by name in a group that a record of format 1 changes, which is in rows alone.
pub const GROUP_NAMED_FORMAT_1_MAX: usize = 16;
/// People known apart beyond those.
pub const GROUP_KNOWN_FORMAT_1_MAX: usize = 128;
/// People remembered who took back what a group of notifications is about while its hour lasts; when more do, what
/// others do in that hour rings no phone, and is unread.
pub const GROUP_LEFT_MAX: usize = 64;
/// People of those in one row: a record that changes it holds as many.
pub const GROUP_LEFT_PAGE: usize = 16;
/// Bytes of what a record says of one person's list of notifications.
pub const NOTICE_OUTCOME_BYTES_MAX: usize = 1_024;
/// Rows read at once to name somebody of a group when none of the newest may be named.
pub const GROUP_OTHERS_ROWS: usize = 64;
/// Reads for one group to name somebody; when all whom they find are hidden, so is the group.
pub const GROUP_OTHERS_STEPS: usize = 16;
/// Groups of one person's notifications in one hour that are read, of all kinds together: mentions first, then reposts,
/// replies, likes, follows, and of each those about the newest posts. They are in no order of time, so a page reads
/// those of its hours; beyond this bound groups of the hour are not listed.
pub const GROUPS_HOUR_MAX: usize = 1_024;
/// Groups of notifications read at once.
pub const GROUPS_STEP_ROWS: usize = 128;
/// Ancestors shown in a thread; older ones are reached from the oldest shown.
pub const THREAD_ANCESTORS_MAX: usize = 50;
/// Interactions of a reader that count for affinity; older ones do not.
pub const AFFINITY_INTERACTIONS_MAX: usize = 2_000;
/// Days for which an interaction counts for affinity (`api.md`).
pub const AFFINITY_DAYS: u64 = 90;
/// Rows that one step of the janitor handles.
pub const JANITOR_STEP_ROWS: usize = 512;
/// Seconds after which no call that wrote rows can be under way any more, many times over: then storage may let go of
/// deletes from before.
pub const FORGET_AFTER_S: u64 = 600;
/// Steps of one deleted account's purge before another's turn; then its place is kept.
pub const PURGE_STEPS_MAX: usize = 16;
/// Bare reposts of a deleted post that are deleted in one step.
pub const SETTLE_STEP_ROWS: usize = 32;
/// Steps that follow a deletion before it is answered; the janitor goes on at once.
pub const SETTLE_STEPS_MAX: usize = 8;
/// Rows of the public timeline in one step that looks for bare reposts which older versions did not list.
pub const OLD_REPOSTS_STEP_ROWS: usize = 512;
/// People whose notifications wait to be trimmed; further hints are dropped, and given again later.
pub const TRIM_QUEUE_MAX: usize = 1_024;
/// Seconds between two looks for timelines that can be dropped.
pub const EVICT_PERIOD_S: u64 = 5;
/// Rows of one step of the scan that fills the recents at the start.
pub const WARM_STEP_ROWS: usize = 4_096;
/// First characters of names that the janitor looks at between two notes of how far it is.
pub const NAME_PARTITIONS_STEP: u32 = 4_096;
/// Seconds between two rounds of the janitor.
pub const JANITOR_PERIOD_S: u64 = 30;
/// Hours by which the last hour that was swept may be in the future: a clock may have gone back a little.
pub const SWEPT_AHEAD_HOURS_MAX: u32 = 24;
/// Hours that are swept again when it is further in the future.
pub const SWEEP_AGAIN_HOURS: u32 = 90 * 24;
/// Hours that one round of the janitor sweeps; the next round goes on.
pub const JANITOR_HOURS_MAX: u32 = 20_000;
/// Characters of a display name; a longer one is refused with 422.
pub const DISPLAY_NAME_CHARS_MAX: usize = 50;
/// Characters of a bio; a longer one is refused with 422.
pub const BIO_CHARS_MAX: usize = 500;
/// Characters of a search query; a longer one is refused with 422.
pub const SEARCH_CHARS_MAX: usize = 50;
/// Blocks, mutes or blockers of one person that are read; a person cannot block or mute more (422), and of more who
/// block the person the rest is not hidden from their feed.
pub const HIDDEN_MAX: usize = 10_000;
/// Followees of one person that are read; the follow limit (a setting) cannot be above.
pub const FOLLOWS_READ_MAX: usize = 50_000;

/// HTTP: bounds of the parts that every request passes.
pub mod http {
    /// Bytes of a refused request body that are read and thrown away so that the client gets to read the answer; beyond
    /// it the connection is closed.
    pub const DRAIN_BYTES_MAX: u64 = 8 << 20;
    /// Seconds that draining a refused body may take; then the connection is closed.
    pub const DRAIN_S: u64 = 10;
    /// Bytes of the body of a call that takes a few fields, such as a log-in; a larger one is answered 413.
    pub const SMALL_BODY_BYTES_MAX: u64 = 16 << 10;
    /// Bytes of JSON that one character of a text can take: two escapes of UTF-16.
    pub const POST_BODY_CHAR_BYTES_MAX: u64 = 12;
    /// Bytes of the body of a post beside its text: names of fields, ids, white space.
    pub const POST_BODY_BYTES_BESIDE: u64 = 4 << 10;
    /// Bytes of the body of an operator's event: its data, and as many ids as may be named.
    pub const EVENT_BODY_BYTES_MAX: u64 = 384 << 10;
    /// Divisor of the memory for arriving bodies that is free: one address holds at most that part; without it 503.
    pub const BODY_SHARE: u64 = 4;
    /// Requests whose body takes longer than [`BODY_SLOW_MS`], and uploads: one address has at most this part of the
    /// places in `http.requests_in_flight_max` that such requests leave free; without one 503.
    pub const ARRIVING_SHARE: u64 = 4;
    /// Milliseconds after which a body that is not there counts as slow.
    pub const BODY_SLOW_MS: u64 = 1_000;
    /// Seconds between two lines of the log that say that an address has as many connections as it may.
    pub const CROWDED_WARNING_S: u64 = 60;
    /// Seconds between two parts of a request body; a body that stops arriving is answered 400.
    pub const BODY_IDLE_S: u64 = 10;
    /// Seconds an upload may take in all, in place of `http.request_timeout_s`.
    pub const UPLOAD_TIMEOUT_S: u64 = 900;
    /// Routes whose body may be large and slow: [`UPLOAD_TIMEOUT_S`] holds for them.
    pub const UPLOAD_ROUTES: &[&str] = &["/v1/media"];
    /// Characters of an `X-Request-Id` that is taken from the client; a longer one is replaced.
    pub const REQUEST_ID_CHARS_MAX: usize = 64;
    /// Bytes of an `Idempotency-Key`; a longer one is refused with 422.
    pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
    /// Bytes of a cursor; a longer one is refused with 400.
    pub const CURSOR_BYTES_MAX: usize = 512;
    /// Items of a page; more is refused with 422.
    pub const PAGE_ITEMS_MAX: u16 = 100;
    /// Items of a page when the client names no limit.
    pub const PAGE_ITEMS_DEFAULT: u16 = 20;
    /// Bytes of a bearer token; a longer one is refused with 401 before anything looks at it.
    pub const BEARER_BYTES_MAX: usize = 8 << 10;
    /// Characters of a message that says what is wrong with a field; the rest is cut off, since it may quote the input.
    pub const FIELD_MESSAGE_CHARS_MAX: usize = 200;
    /// Hops of `X-Forwarded-For` that are looked at; the client is the outermost of them when all are trusted.
    pub const FORWARDED_HOPS_MAX: usize = 32;
    /// Bytes a second that a client must take of its answer, over each `http.write_stall_s` in which something waits;
    /// one that takes less is let go of. Taken is what its system has acknowledged.
    pub const WRITE_RATE_BYTES_MIN: u64 = 256;
    /// Unsent bytes in the system above which a socket counts as full (`TCP_NOTSENT_LOWAT`).
    pub const UNSENT_BYTES_MAX: u32 = 128 << 10;
    /// Bytes read from a connection in one go: its buffer grows to twice of that for bodies, whatever a head may have.
    pub const READ_BYTES_MAX: usize = 8 << 10;
    /// Bytes of a plain head, which may be answered before the connection is an HTTP library's; whoever sends more is
    /// served as everybody else.
    pub const PLAIN_HEAD_BYTES_MAX: usize = 4 << 10;
    /// Headers of such a head.
    pub const PLAIN_FIELDS_MAX: usize = 48;
    /// Bytes of a request head, and of the read buffer of a connection; a larger head is answered 431.
    pub const HEAD_BYTES_MAX: usize = 64 << 10;
    /// Seconds after which a client should come back when the server sheds load or is not ready.
    pub const RETRY_AFTER_S: u32 = 1;
    /// Milliseconds to wait before accepting again after the system had no file descriptor left.
    pub const ACCEPT_PAUSE_MS: u64 = 100;
    /// Connections at once to `metrics.listen`; further ones wait in the system's queue.
    pub const SCRAPES_MAX: usize = 32;
    /// Milliseconds that a scrape under way gets to finish when the server stops.
    pub const SCRAPE_GRACE_MS: u64 = 1_000;
    /// Seconds between two folds of the metrics' samples into their buckets, which bounds the memory they take.
    pub const METRICS_UPKEEP_S: u64 = 5;
}

/// Passwords and JWTs, beside the settings of `[auth]`.
pub mod auth {
    use std::ops::RangeInclusive;
    use std::time::Duration;

    /// Wrong passwords that are remembered; beyond it the oldest is forgotten before its time.
    pub const WRONG_PASSWORDS_MAX: usize = 262_144;
    /// Hashes that may run at once; each takes `memory_kib`.
    pub const HASHES_RUNNING_MAX: usize = 4;
    /// Callers that may wait for a hash, by turns of their addresses; beyond that the address with most waiting is
    /// answered 503.
    pub const HASHES_WAITING_MAX: usize = 64;
    /// Requests of an address that wait because as many log-ins of it are under way as may be wrong; further ones
    /// get 429.
    pub const ATTEMPTS_WAITING_MAX: usize = 64;
    /// Most bytes of a token; longer ones are refused unread.
    pub const JWT_BYTES_MAX: usize = 8_192;
    /// People who come by JWT for the first time whose accounts are made at once; others wait.
    pub const NEWCOMERS_MAX: usize = 256;
    /// Most keys of the settings, of the JWKS file and of the JWKS address, each; also how many are tried against a
    /// token without `kid`.
    pub const KEYS_MAX: usize = 32;
    /// Most characters of `sub`.
    pub const SUBJECT_CHARS_MAX: usize = 200;
    /// Seconds by which clocks may differ.
    pub const LEEWAY_S: f64 = 60.0;
    /// Shortest HMAC secret, bytes: as long as the hash (RFC 7518, section 3.2).
    pub const SECRET_BYTES_MIN: usize = 32;
    /// Shortest time between two looks at the JWKS file.
    pub const JWKS_RELOAD_INTERVAL: Duration = Duration::from_secs(2);
    /// Largest key file that is read, bytes.
    pub const KEY_FILE_BYTES_MAX: u64 = 1 << 20;
    /// Time for fetching a JWKS, from the look-up of the name to the last byte.
    pub const JWKS_FETCH_TIME: Duration = Duration::from_secs(5);
    /// Time for one address of the host: one that does not answer leaves time for the next.
    pub const JWKS_CONNECT_TIME: Duration = Duration::from_secs(2);
    /// Largest JWKS that is fetched, bytes.
    pub const JWKS_BYTES_MAX: usize = 256 << 10;
    /// Largest head of the provider's answer, bytes.
    pub const JWKS_HEAD_BYTES_MAX: usize = 64 << 10;
    /// A JWKS is fetched for tokens of unknown keys at most this often, for all callers together.
    pub const JWKS_UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(30);
    /// Requests that wait for a fetch at once; further ones are answered 503, so that forged tokens hold no other
    /// caller up.
    pub const JWKS_WAITING_MAX: usize = 64;
    /// Time between two fetches of a JWKS when the provider does not say how long it lasts.
    pub const JWKS_REFRESH_INTERVAL: Duration = Duration::from_secs(600);
    /// Shortest and longest time that a provider's `Cache-Control: max-age` gives a JWKS.
    pub const JWKS_LIFE: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(3_600);
    /// Wait after a failed fetch; it doubles up to [`JWKS_REFRESH_INTERVAL`].
    pub const JWKS_RETRY_INTERVAL: Duration = Duration::from_secs(30);
}

/// Bounds of what is found in the text of a post.
pub mod text {
    /// Most mentions of one text that notify; what follows stays text.
    pub const MENTIONS_MAX: usize = 50;
    /// Most links of one text; what follows stays text.
    pub const LINKS_MAX: usize = 20;
    /// Most bytes of one link; a longer one stays text.
    pub const LINK_BYTES_MAX: usize = 2_048;
    /// Brackets open within each other in a link; it ends at a deeper one.
    pub const LINK_BRACKETS_MAX: usize = 32;
    /// Bytes of a host as it is written; a longer one is no link. The DNS takes 253 characters, of four bytes at most.
    pub const HOST_BYTES_MAX: usize = 1_012;
}

/// Realtime delivery, beside the settings of `[realtime]`.
pub mod realtime {
    /// Signals (commits, sessions that come and go) that wait for the dispatcher. A commit that finds no room is
    /// dropped, and every session is told to read anew.
    pub const SIGNALS_MAX: usize = 65_536;
    /// News of records that wait for the horizon where people have several partitions. Beyond it they are dropped, and
    /// every session is asked to come back once the horizon has passed them.
    pub const NEWS_MAX: usize = 16_384;
    /// Commands that wait for a shard; renderers wait for room, and the dispatcher where a frame is urgent.
    pub const COMMANDS_MAX: usize = 16_384;
    /// Commands that frames leave room for which are not urgent.
    pub const COMMANDS_RESERVED: usize = 4_096;
    /// Frames that are not urgent, in slices of an audience, that the dispatcher holds for a full shard; the oldest are
    /// shed.
    pub const OUTBOX_MAX: usize = 4_096;
    /// Slices of followed posts that wait for a shard; the dispatcher keeps the others, and lets what is urgent pass.
    pub const POSTED_MAX: usize = 64;
    /// Followed posts that wait with the dispatcher; beyond it the oldest are shed, and a gap tells of them.
    pub const BACKLOG_MAX: usize = 65_536;
    /// Slices of them handed out before the dispatcher looks for other signals.
    pub const BACKLOG_SLICES: usize = 16;
    /// Items of large groups that wait with the dispatcher; beyond it the oldest are shed, and a gap tells of them.
    pub const GROUP_BACKLOG_MAX: usize = 8_192;
    /// Sessions of a large group that get an item at once; what is urgent overtakes between two such slices.
    pub const GROUP_SLICE: usize = 128;
    /// Slices of them handed out before the dispatcher looks for other signals.
    pub const GROUP_SLICES: usize = 16;
    /// Conversations in which changes to one message are gathered; of others each is told.
    pub const GATHERED_MAX: usize = 10_000;
    /// Sessions named in one command; a larger audience takes several.
    pub const AUDIENCE_SLICE: usize = 4_096;
    /// People of an audience who are judged at once; what is urgent overtakes between two such slices.
    pub const JUDGED_SLICE: usize = 512;
    /// Slices of audiences that wait to be judged; beyond it the oldest is shed, which holds current values alone.
    pub const UNJUDGED_MAX: usize = 4_096;
    /// Sessions that a shard serves before it looks for more urgent work.
    pub const FLUSH_SLICE: usize = 256;
    /// Bytes written to a socket in one turn.
    pub const WRITE_SLICE_BYTES: usize = 16 << 10;
    /// Unsent bytes in the kernel above which a socket counts as full (`TCP_NOTSENT_LOWAT`): what waits behind them
    /// cannot be overtaken by the urgent lane any more.
    pub const UNSENT_BYTES_MAX: u32 = 16 << 10;
    /// Bytes read from a socket in one go; the buffer is the shard's.
    pub const READ_BYTES: usize = 64 << 10;
    /// Reads of one socket in one turn.
    pub const READS_MAX: usize = 4;
    /// Frames of a lane that may go in a row while a lower lane waits.
    pub const LANE_RUN_MAX: usize = 16;
    /// Posts that wait for a session; older ones become a gap.
    pub const BULK_PENDING_MAX: usize = 50;
    /// Posts in one frame.
    pub const FRAME_POSTS_MAX: usize = 50;
    /// Milliseconds for which followed posts are gathered at most, when the machine is busy.
    pub const BULK_DELAY_MS_MAX: u64 = 5_000;
    /// Sessions whose posts are being rendered for one shard; others wait.
    pub const BULK_RENDERING_MAX: usize = 512;
    /// Jobs of one renderer of posts that are taken together, so that equal ones are rendered once.
    pub const BULK_BATCH: usize = 256;
    /// Tasks that render notifications; those of one person always go to the same.
    pub const RENDERERS: usize = 2;
    /// Renderers of messages of groups, which what is urgent never waits for.
    pub const RENDERERS_OF_GROUPS: usize = 1;
    /// Notifications that wait for one of them; the dispatcher waits for room.
    pub const RENDER_QUEUE_MAX: usize = 4_096;
    /// Items of one stream that a session gets when it resumes; older ones become a gap.
    pub const REPLAY_ITEMS_MAX: usize = 500;
    /// Counting of what a gap leaves out stops here.
    pub const GAP_COUNT_MAX: usize = 1_000;
    /// Keys of lost items that are remembered for a session, so that a replay which has them takes them back; of more
    /// only the ends and the number are known.
    pub const LOSS_KEYS_MAX: usize = 32;
    /// Deletions by those whom a person follows that a session gets when it resumes; with more of them the stream is
    /// read anew, which takes less.
    pub const REPLAY_DELETIONS_MAX: usize = 500;
    /// Everybody's deletions from before they were kept by author that are looked at when a session resumes, until they
    /// have been moved; with more of them the stream is read anew.
    pub const REPLAY_OLD_DELETIONS_MAX: usize = 10_000;
    /// Authors whose last deletion is known in memory; of one who was forgotten the rows are asked. 40 bytes each.
    pub const DELETERS_MAX: usize = 1 << 20;
    /// Replays at once; further sessions wait.
    pub const REPLAYS_AT_ONCE: usize = 64;
    /// Days after which a cursor is too old.
    pub const CURSOR_DAYS_MAX: u64 = 7;
    /// Milliseconds for which posts may be on their way into timelines: who reads anew gets those of the last ones
    /// again.
    pub const LATELY_MS: u64 = 10_000;
    /// Seconds a ticket lives.
    pub const TICKET_S: u64 = 60;
    /// Seconds that a poll may wait.
    pub const POLL_WAIT_S_MAX: u64 = 60;
    /// Frames in one answer of a poll; the rest comes with the next.
    pub const POLL_FRAMES_MAX: usize = 200;
    /// Messages that are no frames within a minute; then the socket is closed.
    pub const OFFENCES_MAX: u8 = 10;
    /// Seconds that a closing socket gets to take what was written and to close too.
    pub const CLOSING_S: u64 = 5;
    /// Client frames of the node that are being worked on, whatever they came by; further ones are answered
    /// `overloaded`.
    pub const CLIENT_FRAMES_MAX: usize = 8_192;
    /// Bytes that the texts of these have together; beyond, as above.
    pub const CLIENT_FRAMES_BYTES_MAX: usize = 32 << 20;
    /// Client frames of one session that are being worked on; beyond, as above.
    pub const SESSION_FRAMES_MAX: u8 = 64;
    /// Client frames in one `POST /v1/realtime/send`.
    pub const SEND_FRAMES_MAX: usize = 50;
    /// People who have sent frames in that way lately, and are counted; further ones are not.
    pub const PACED_MAX: usize = 65_536;
    /// People that one session watches, and that one request asks about.
    pub const WATCHED_MAX: usize = 200;
    /// People who were online and are not, whose last sign of life is kept.
    pub const LAST_SEEN_MAX: usize = 1_000_000;
    /// People named in one event of an operator.
    pub const PUBLISH_USERS_MAX: usize = 10_000;
    /// Bytes of the data of such an event.
    pub const PUBLISH_BYTES_MAX: usize = 64 << 10;
    /// Milliseconds of one tick of the timer wheel.
    pub const TICK_MS: u64 = 50;
    /// Ticks of the wheel's round; later moments come round again.
    pub const WHEEL_TICKS: usize = 1_024;
    /// Sessions told to drain, a second, at most: as many come back at the successor.
    pub const DRAIN_PER_S: u64 = 2_000;
}
