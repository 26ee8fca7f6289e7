//! The catalogue of every table: what a row means, how its key is built, which partition keeps it together.
//!
//! Partitions are what a wide-column store keeps on one node, so they are small or bucketed by time: a bucket is about
//! 99 days of ids (`BUCKET_SHIFT`). Numbers are stored, so they never change meaning.

pub mod chat;
mod clicks;
mod keys;
mod links;
mod live;
pub mod notification_key;

use bytes::Bytes;
use fanfare_engines::{RowKey, Table};
use fanfare_protocol::Id;

pub use self::clicks::*;
pub use self::keys::*;
pub use self::links::*;
pub use self::live::*;
use crate::base::id::BELOW_MS_BITS;

/// Declares a table with its stored number.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Table = Table { id: $id, name: $text };)*
        /// Every table, for checks and operators.
        pub const ALL: &[Table] = &[$($name),*];
    };
}

tables! {
    /// user → `UserRow`, versioned by record.
    USERS = 1, "users";
    /// user → `CredentialsRow`, versioned, as earlier versions kept them. Nothing is written here any more, and what is
    /// here is moved to [`CREDENTIALS`].
    OLD_CREDENTIALS = 2, "credentials";
    /// user → `CredentialsRow`; inserted uniquely, and changed by compare-and-set under a number of its own each time.
    CREDENTIALS = 57, "held_credentials";
    /// lower-case handle → user id; inserted uniquely with the reservation's token. Stays for a while after a deletion.
    HANDLES = 3, "handles";
    /// first character of a name, (name, user) → nothing: people search by prefix.
    NAMES = 4, "names";
    /// token hash → `TokenRow`.
    TOKENS = 5, "tokens";
    /// subject of a foreign JWT → user id, which has no account until it was made; and "account", user → who enters it
    /// by JWT. Inserted uniquely.
    SUBJECTS = 6, "subjects";
    /// follower, followee → id of the `Followed` record; versioned.
    FOLLOWS = 7, "follows";
    /// (followee, bucket), `Followed` id → follower; versioned.
    FOLLOWERS = 8, "followers";
    /// blocker, blocked → record id; versioned.
    BLOCKS = 9, "blocks";
    /// blocked, blocker → record id; versioned.
    BLOCKED_BY = 10, "blocked_by";
    /// muter, muted → record id; versioned.
    MUTES = 11, "mutes";
    /// post → `PostRecord` in JSON; versioned: deletion leaves an empty record.
    POSTS = 12, "posts";
    /// (author, bucket), post → kind and related author; versioned.
    AUTHOR_POSTS = 13, "author_posts";
    /// post answered, reply → author; versioned.
    REPLIES = 14, "replies";
    /// post, `Liked` id → user; versioned.
    LIKERS = 15, "likers";
    /// user, post → `Liked` id; versioned.
    LIKED = 16, "liked";
    /// user, original → id of the bare repost; versioned.
    REPOSTED = 17, "reposted";
    /// post → like, reply and repost counts; versioned by the last record applied.
    POST_COUNTERS = 18, "post_counters";
    /// user → follower, following and post counts; versioned by the last record applied.
    USER_COUNTERS = 19, "user_counters";
    /// (journal partition, 2^24 ms), post → kind, author and related author; versioned. Every post, for the scan that
    /// warms the recents. Below the first id of that layout the partition is the bucket (`layout.rs`).
    TIMELINE = 20, "timeline";
    /// as in `TIMELINE`, post → nothing: what the public timeline shows, no replies and no bare reposts; versioned.
    PUBLIC = 40, "public";
    /// journal partition, 2^24 ms → nothing: which partitions of `TIMELINE` hold posts; one partition, bucket: the same
    /// of those below the first id of that layout.
    BUCKETS = 21, "buckets";
    /// user, state | memory of a group | item | place of a group | group → what `notifications` folds; versioned.
    NOTIFICATIONS = 22, "notifications";
    /// (user, which) → last read id; versioned by that id, so that it only moves forward.
    MARKERS = 23, "markers";
    /// caller, hash of route and key → `IdempotencyRow`; versioned.
    IDEMPOTENCY = 24, "idempotency";
    /// media → `MediaRow`.
    MEDIA = 25, "media";
    /// owner, media → nothing: for account deletion.
    MEDIA_OWNERS = 26, "media_owners";
    /// user, record → author the user liked, answered or passed on: affinity; versioned.
    INTERACTIONS = 27, "interactions";
    /// (hour, one of 64 shards), (table, partition, clustering) → nothing: rows that the janitor removes after that
    /// hour. Earlier versions had no shards.
    EXPIRY = 28, "expiry";
    /// one partition, user → nothing: deleted accounts whose data is still being removed; versioned.
    PURGES = 29, "purges";
    /// one partition, name → value: import watermark and the like; versioned.
    META = 30, "meta";
    /// one partition, name → value: heads of the chat's partitions; versioned.
    CHAT_META = 60, "chat_meta";
    /// one partition, name → value: heads of the clicks' partitions, and how far clicks were counted; versioned.
    CLICKS_META = 61, "clicks_meta";
    /// post, bare repost → who made it; versioned: so that they go when the post does.
    REPOSTERS = 36, "reposters";
    /// one partition, (record, post) → nothing: deleted posts of which something follows that is still to be done.
    UNSETTLED = 37, "unsettled";
    /// bucket, `PostDeleted` id → post and author, versioned: everybody's, as earlier versions kept them. Nothing is
    /// written here any more, and what is here is moved to [`AUTHOR_DELETIONS`].
    DELETIONS = 31, "deletions";
    /// (author, bucket), `PostDeleted` id → post: what sessions that resume must hear of; kept for a week.
    AUTHOR_DELETIONS = 45, "author_deletions";
    /// hour, author → nothing: whose posts were deleted in that hour; kept for a week.
    DELETERS = 46, "deleters";
    /// follower, `UserDeleted` id → whose account it was, for those who followed them; kept for a week.
    DEPARTURES = 47, "departures";
    /// one partition, user → `SuspensionRow`: who is suspended, the expired ones until the janitor comes; versioned.
    SUSPENSIONS = 33, "suspensions";
    /// session → `LiveRow`; versioned.
    LIVE = 70, "live";
    /// hash of a host, (host, session) → `LiveRow` as it was while it was open; versioned. Sessions that are upcoming
    /// or live, or were so lately: what the view in memory is made of.
    LIVE_OPEN = 71, "live_open";
    /// host, session → nothing: every session that was not removed; versioned.
    LIVE_OF_HOST = 72, "live_of_host";
    /// (host, bucket), `LiveEnded` id → session: replays; versioned.
    LIVE_REPLAYS = 73, "live_replays";
    /// `LiveEnded` id → session; versioned.
    LIVE_ENDS = 74, "live_ends";
    /// bucket, `LiveEnded` id → host; versioned. Every replay, for the scan that warms the recents.
    LIVE_TIMELINE = 75, "live_timeline";
    /// session, person → nothing: who wants to be reminded; versioned.
    LIVE_REMINDERS = 76, "live_reminders";
    /// person, session → nothing: of what somebody wants to be reminded; versioned.
    LIVE_REMINDERS_OF = 77, "live_reminders_of";
    /// one partition, session → host, and the last person who was reminded: sessions that began, or were removed, and
    /// whose reminders are still to be gone through; versioned.
    LIVE_REMINDING = 78, "live_reminding";
    /// bucket, record → `Act`: what operators did; kept for 400 days; versioned.
    AUDIT = 34, "audit";
    /// bucket, report → `ReportRow`: what people reported; kept for 400 days; its version is in the value.
    REPORTS = 65, "reports";
    /// bucket, report → nothing: reports that no operator has seen to; versioned.
    REPORTS_OPEN = 66, "reports_open";
    /// reporter, (kind, what is reported) → report, while it is open; versioned.
    REPORTS_OF = 67, "reports_of";
    /// hash of a JWT that does not say when it was issued → an id of when it was first shown; versioned by it.
    FIRST_SHOWN = 55, "first_shown";
    /// user, hash of a token → nothing: what the deletion of the account ends; versioned. Tokens of earlier versions
    /// have none.
    TOKENS_OF = 56, "tokens_of";
    /// partition of the clicks' log → position, and place reached in every source; versioned by the position.
    CLICK_HEADS = 90, "click_heads";
    /// link → all clicks ever; versioned by the last record counted, as are the other rows of clicks.
    CLICK_TOTALS = 91, "click_totals";
    /// (link, bucket), day → clicks of the day, and its lists.
    CLICK_DAYS = 92, "click_days";
    /// (link, bucket), day → sketch of the day's visitors.
    CLICK_VISITORS = 93, "click_visitors";
    /// (day, shard), link → clicks of each hour; kept for `links.hours_days`.
    CLICK_HOURS = 94, "click_hours";
    /// (hour, shard), link → clicks of each minute; kept for `links.minutes_days`.
    CLICK_MINUTES = 95, "click_minutes";
    /// one partition, day → salt by which its visitors are told apart, and the token that holds it; inserted uniquely,
    /// and released the day after.
    CLICK_SALTS = 96, "click_salts";
    /// one partition, (level, hour or day) → nothing: which hours and days there are rows of that are let go of.
    CLICK_TIMES = 97, "click_times";
    /// code → `LinkRow`; versioned. Of a deleted link a row stays, so that its code is never given out again.
    LINKS = 80, "links";
    /// code → attempt for which it is taken, and whose; inserted uniquely with the attempt's id.
    LINK_CLAIMS = 81, "link_claims";
    /// (owner, bucket), `LinkCreated` id → code; versioned.
    LINKS_OF = 82, "links_of";
    /// owner → number of links that are not deleted; versioned by the last record applied.
    LINK_COUNTS = 83, "link_counts";
    /// one partition, number → nothing: codes that would be of that number and are somebody's alias; versioned.
    LINK_ALIASES = 84, "link_aliases";
    /// one partition, name → key of the codes, and how far their numbers are leased; inserted uniquely.
    LINK_KEEPER = 85, "link_keeper";
    /// stretch of numbers → nothing: their codes are given out without a claim; inserted uniquely, and stays.
    LINK_STRETCHES = 87, "link_stretches";
    /// code, first visit → number of visits from there on, of links with a limit of visits; inserted uniquely, so that
    /// each visit is given out once.
    LINK_SLOTS = 86, "link_slots";
}

/// Whether rows of `table` are `Counters`.
#[must_use]
pub fn holds_counters(table: Table) -> bool {
    table == USER_COUNTERS || table == POST_COUNTERS
}

/// Version of the delete of what never comes back: no write is above it.
pub const NEVER_AGAIN: u64 = i64::MAX as u64;

/// Bits of an id below its bucket: 22 below the milliseconds, and 33 of milliseconds (about 99 days).
const BUCKET_SHIFT: u32 = BELOW_MS_BITS + 33;

/// The lowest id of a bucket.
#[must_use]
pub const fn first_of_bucket(bucket: u16) -> Id {
    Id((bucket as u64) << BUCKET_SHIFT)
}

/// The bucket of an id.
#[must_use]
pub const fn bucket_of(id: Id) -> u16 {
    (id.0 >> BUCKET_SHIFT) as u16
}

/// The only row of an id's partition.
#[must_use]
pub fn by_id(table: Table, id: Id) -> RowKey {
    RowKey::single(table, partition(id))
}

/// The row of `second` in the partition of `first`.
#[must_use]
pub fn pair(table: Table, first: Id, second: Id) -> RowKey {
    RowKey::new(table, partition(first), partition(second))
}

/// An id as a partition or clustering key.
#[must_use]
pub fn partition(id: Id) -> Bytes {
    Bytes::copy_from_slice(&id.to_bytes())
}

/// Partition of one bucket of an id's rows.
#[must_use]
pub fn bucketed(id: Id, bucket: u16) -> Bytes {
    let mut bytes = Vec::with_capacity(10);
    bytes.extend_from_slice(&id.to_bytes());
    bytes.extend_from_slice(&bucket.to_be_bytes());
    bytes.into()
}

/// The row of `item` in the bucket of `owner` that its id falls into.
#[must_use]
pub fn bucketed_row(table: Table, owner: Id, item: Id) -> RowKey {
    RowKey::new(table, bucketed(owner, bucket_of(item)), partition(item))
}

/// Partition of an hour since the Unix epoch.
#[must_use]
pub fn hour_partition(hour: u32) -> Bytes {
    Bytes::copy_from_slice(&hour.to_be_bytes())
}

/// Whether rows of `table` that expire are written with versions, and so deleted with one.
#[must_use]
pub fn keeps_versions(table: Table) -> bool {
    ![AUTHOR_DELETIONS, DELETERS, DEPARTURES].contains(&table)
}

/// The partition of tables that have only one.
pub const ONE: Bytes = Bytes::from_static(b"1");

/// Row that makes the janitor delete `key` once `hour` (hours since the Unix epoch) has passed.
#[must_use]
pub fn expiry_row(hour: u32, key: &RowKey) -> RowKey {
    let mut clustering = vec![key.table.id, key.partition.len() as u8];
    clustering.extend_from_slice(&key.partition);
    clustering.extend_from_slice(&key.clustering);
    RowKey::new(EXPIRY, hour_partition(hour), clustering)
}

/// The row that an expiry row names, if it is well formed.
#[must_use]
pub fn expiring(clustering: &[u8]) -> Option<RowKey> {
    let (table, rest) = clustering.split_first()?;
    let (length, rest) = rest.split_first()?;
    let table = ALL.iter().find(|known| known.id == *table)?;
    let (partition, clustering) = rest.split_at_checked(usize::from(*length))?;
    Some(RowKey::new(*table, partition.to_vec(), clustering.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tables_share_a_number_or_a_name() {
        let all = [ALL, chat::ALL].concat();
        for (index, table) in all.iter().enumerate() {
            for other in &all[..index] {
                assert!(table.id != other.id && table.name != other.name, "{table:?} and {other:?}");
            }
        }
    }

    #[test]
    fn an_expiry_row_names_the_row_that_expires() {
        let row = idempotency_row(Id(7), "POST /v1/posts", "a");
        assert_eq!(expiring(&expiry_row(5, &row).clustering), Some(row));
    }
}
