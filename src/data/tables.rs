//! The catalogue of every table: what a row means, how its key is built, which partition keeps it together.
//!
//! Partitions are what a wide-column store keeps on one node, so they are small or bucketed by time: a bucket is about
//! 99 days of ids (`BUCKET_SHIFT`). Numbers are stored, so they never change meaning.

use bytes::Bytes;
use fanfare_engines::{RowKey, Table};
use fanfare_protocol::{Id, NotificationKind};
use sha2::{Digest, Sha256};

use crate::base::handle::key_of;
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
    /// bucket, post → kind, author and related author; versioned. Every post, for the scan that warms the recents.
    TIMELINE = 20, "timeline";
    /// bucket, post → nothing: what the public timeline shows, no replies and no bare reposts; versioned.
    PUBLIC = 40, "public";
    /// one partition, bucket → nothing: which buckets of `TIMELINE` hold posts.
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
    /// hour, (table, partition, clustering) → nothing: rows that the janitor removes after that hour.
    EXPIRY = 28, "expiry";
    /// one partition, user → nothing: deleted accounts whose data is still being removed; versioned.
    PURGES = 29, "purges";
    /// one partition, name → value: import watermark and the like; versioned.
    META = 30, "meta";
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
    /// bucket, record → `Act`: what operators did; kept for 400 days; versioned.
    AUDIT = 34, "audit";
    /// hash of a JWT that does not say when it was issued → an id of when it was first shown; versioned by it.
    FIRST_SHOWN = 55, "first_shown";
    /// user, hash of a token → nothing: what the deletion of the account ends; versioned. Tokens of earlier versions
    /// have none.
    TOKENS_OF = 56, "tokens_of";
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

/// Row of what the public timeline shows.
#[must_use]
pub fn public_row(post: Id) -> RowKey {
    RowKey::new(PUBLIC, timeline_partition(bucket_of(post)), partition(post))
}

/// Row of every post, by age.
#[must_use]
pub fn timeline_row(post: Id) -> RowKey {
    RowKey::new(TIMELINE, timeline_partition(bucket_of(post)), partition(post))
}

/// Row that says a post of `author` was deleted in that hour.
#[must_use]
pub fn deleter_row(hour: u32, author: Id) -> RowKey {
    RowKey::new(DELETERS, hour_partition(hour), partition(author))
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

/// Row that says `record` left something to be done about `post`, which is gone.
#[must_use]
pub fn unsettled_row(record: Id, post: Id) -> RowKey {
    RowKey::new(UNSETTLED, ONE, [record.to_bytes(), post.to_bytes()].concat())
}

/// Record and post that an unsettled row names, if it is well formed.
#[must_use]
pub fn in_unsettled(clustering: &[u8]) -> Option<(Id, Id)> {
    Some((Id::from_bytes(clustering)?, Id::from_bytes(clustering.get(8..)?)?))
}

/// Row of a person's suspension.
#[must_use]
pub fn suspension_row(user: Id) -> RowKey {
    RowKey::new(SUSPENSIONS, ONE, partition(user))
}

/// Row of an operator's act.
#[must_use]
pub fn audit_row(record: Id) -> RowKey {
    RowKey::new(AUDIT, timeline_partition(bucket_of(record)), partition(record))
}

/// Partition of one bucket of the public timeline, of deletions, or of operators' acts.
#[must_use]
pub fn timeline_partition(bucket: u16) -> Bytes {
    Bytes::copy_from_slice(&bucket.to_be_bytes())
}

/// Row that says a bucket of the public timeline holds posts.
#[must_use]
pub fn bucket_row(bucket: u16) -> RowKey {
    RowKey::new(BUCKETS, ONE, Bytes::copy_from_slice(&bucket.to_be_bytes()))
}

/// The bucket that a row of `BUCKETS` names, if it is well formed.
#[must_use]
pub fn bucket_in(clustering: &[u8]) -> Option<u16> {
    clustering.first_chunk::<2>().map(|bucket| u16::from_be_bytes(*bucket))
}

/// The partition of tables that have only one.
pub const ONE: Bytes = Bytes::from_static(b"1");

/// Row that says a person has a token.
#[must_use]
pub fn token_of_row(user: Id, token_hash: &[u8]) -> RowKey {
    RowKey::new(TOKENS_OF, partition(user), token_hash.to_vec())
}

/// Row that says whose a handle is, whatever its case.
#[must_use]
pub fn handle_row(handle: &str) -> RowKey {
    RowKey::single(HANDLES, key_of(handle).into_bytes())
}

/// The name and the person of a row of the people search.
#[must_use]
pub fn name_of(clustering: &[u8]) -> Option<(&str, Id)> {
    let (name, rest) = clustering.split_at_checked(clustering.len().checked_sub(9)?)?;
    Some((std::str::from_utf8(name).ok()?, Id::from_bytes(&rest[1..])?))
}

/// Row of a name in the people search; `name` is a key of it already.
#[must_use]
pub fn name_row(name: &str, user: Id) -> RowKey {
    let mut clustering = name.as_bytes().to_vec();
    clustering.push(0);
    clustering.extend_from_slice(&user.to_bytes());
    RowKey::new(NAMES, name_partition(name), clustering)
}

/// Partition of the people search in which names that begin like `name` stand.
#[must_use]
pub fn name_partition(name: &str) -> Bytes {
    let first: String = name.chars().take(1).collect();
    first.into_bytes().into()
}

/// Read marker of a user.
#[must_use]
pub fn marker_row(user: Id, which: Marker) -> RowKey {
    RowKey::new(MARKERS, partition(user), Bytes::copy_from_slice(&[which as u8]))
}

/// Stream that a read marker belongs to.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub enum Marker {
    /// The home feed.
    Feed = 1,
    /// The notifications.
    Notifications = 2,
}

/// Row of an idempotency key: the route and the key are hashed to a fixed size.
#[must_use]
pub fn idempotency_row(caller: Id, route: &str, key: &str) -> RowKey {
    let mut hash = Sha256::new();
    hash.update(route.as_bytes());
    hash.update([0]);
    hash.update(key.as_bytes());
    RowKey::new(IDEMPOTENCY, partition(caller), hash.finalize()[..16].to_vec())
}

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

/// Clustering keys within a user's partition of [`NOTIFICATIONS`].
pub mod notification_key {
    use super::{Bytes, Id, NotificationKind};

    /// Key of the fold's state of the whole list.
    pub const STATE: Bytes = Bytes::from_static(&[0]);
    /// First byte of what is remembered of groups.
    const GROUP: u8 = 1;
    /// First byte of items.
    pub const ITEM: u8 = 2;
    /// First byte of where groups stand: items that stand for many.
    pub const LISTED: u8 = 3;
    /// First byte of what is in groups.
    pub const GROUPED: u8 = 4;

    /// Stored number of a kind.
    const fn code(kind: NotificationKind) -> u8 {
        match kind {
            NotificationKind::Unknown => 0,
            NotificationKind::Follow => 1,
            NotificationKind::Like => 2,
            NotificationKind::Reply => 3,
            NotificationKind::Repost => 4,
            NotificationKind::Mention => 5,
            NotificationKind::Message => 6,
            NotificationKind::Live => 7,
        }
    }

    /// Key of the fact that there is an item which stands for many events: same kind, same subject, same hour. Byte
    /// order is that of the hours. It is written once: a scan steps over every version of a row that was not compacted
    /// yet, so what changes with each event is in a row of its own.
    #[must_use]
    pub fn listed(hour: u32, kind: NotificationKind, subject: Id) -> Bytes {
        let mut bytes = listed_from(hour).to_vec();
        bytes.push(code(kind));
        bytes.extend_from_slice(&subject.to_bytes());
        bytes.into()
    }

    /// Key of what is in the group that stands at [`listed`].
    #[must_use]
    pub fn grouped(listed: &[u8]) -> Bytes {
        let mut bytes = listed.to_vec();
        if let Some(first) = bytes.first_mut() {
            *first = GROUPED;
        }
        bytes.into()
    }

    /// Below all of [`listed`] in this hour and later ones, above all before.
    #[must_use]
    pub fn listed_from(hour: u32) -> Bytes {
        let mut bytes = vec![LISTED];
        bytes.extend_from_slice(&hour.to_be_bytes());
        bytes.into()
    }

    /// Hour and subject of [`listed`], and of [`grouped`].
    #[must_use]
    pub fn of_listed(clustering: &[u8]) -> Option<(u32, Id)> {
        let hour = u32::from_be_bytes(*clustering.get(1..)?.first_chunk::<4>()?);
        Some((hour, Id::from_bytes(clustering.get(6..)?)?))
    }

    /// Key of what is remembered of like events while the hour lasts: same kind, same subject, same hour.
    #[must_use]
    pub fn group(kind: NotificationKind, subject: Id, hour: u32) -> Bytes {
        let mut bytes = vec![GROUP, code(kind)];
        bytes.extend_from_slice(&subject.to_bytes());
        bytes.extend_from_slice(&hour.to_be_bytes());
        bytes.into()
    }

    /// Key of a page of those who took back what [`group`] is about.
    #[must_use]
    pub fn left(group: &[u8], page: usize) -> Bytes {
        let mut bytes = group.to_vec();
        bytes.push(u8::try_from(page).unwrap_or(u8::MAX));
        bytes.into()
    }

    /// A notification; byte order is id order.
    #[must_use]
    pub fn item(id: Id) -> Bytes {
        let mut bytes = vec![ITEM];
        bytes.extend_from_slice(&id.to_bytes());
        bytes.into()
    }

    /// Id of [`item`].
    #[must_use]
    pub fn of_item(clustering: &[u8]) -> Option<Id> {
        clustering.get(1..).and_then(Id::from_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tables_share_a_number_or_a_name() {
        for (index, table) in ALL.iter().enumerate() {
            for other in &ALL[..index] {
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
