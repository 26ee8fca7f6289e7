//! Reads of rows, through bounded caches that the sequencer keeps true. Every service reads here.

mod absence;

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{EngineError, Engines, KeyRange, Order, Row, RowKey, Table};
use fanfare_protocol::{Author, Id};
use tokio::sync::Notify;

use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::handle::Handle;
use crate::base::limits;
use crate::base::text::is_blank;
use crate::data::absent::Absent;
use crate::data::absent::Standing;
use crate::data::coherent::Coherent;
use crate::data::deletions::Deletions;
use crate::data::rows::{Counters, CredentialsRow, PostRecord, UserRow, from_json};
use crate::data::tables;
use crate::data::uncounted::{Of, Uncounted};
use crate::log::events::{Event, Record};
use crate::posts::public::Listed;

/// A person, with what posts and notifications show of them.
#[derive(Debug)]
pub struct Account {
    /// The profile.
    pub row: UserRow,
    /// Public short form.
    pub author: Author,
    /// Public short form as JSON.
    pub author_json: Box<str>,
}

impl Account {
    fn new(row: UserRow) -> Self {
        // Names of earlier versions may show nothing.
        let name = row.display_name.as_ref().filter(|name| !is_blank(name));
        let display_name = name.unwrap_or(&row.handle).clone();
        let avatar_url = row.avatar.as_ref().map(|media| media.thumbnail_url.as_ref().unwrap_or(&media.url).clone());
        let author = Author { id: row.id, handle: row.handle.clone(), display_name, avatar_url };
        let author_json = serde_json::to_string(&author).unwrap_or_default().into();
        Self { row, author, author_json }
    }
}

/// The newest posts that a reader likes and has passed on.
#[derive(Debug, Default)]
pub struct Marks {
    liked: Set,
    reposted: Set,
}

#[derive(Debug, Default)]
struct Set {
    /// Descending.
    ids: Vec<Id>,
    /// Complete at and above this id.
    complete_from: Id,
}

impl Set {
    fn holds(&self, id: Id) -> Option<bool> {
        let found = self.ids.binary_search_by(|probe| id.cmp(probe)).is_ok();
        (found || id >= self.complete_from).then_some(found)
    }
}

/// People whom a reader does not see: blocked either way, and muted. Both sorted.
#[derive(Debug, Default)]
pub struct Hidden {
    /// People whom the reader blocks, and who block the reader.
    pub blocked: Vec<Id>,
    /// People whom the reader mutes.
    pub muted: Vec<Id>,
}

impl Hidden {
    /// Blocked either way.
    #[must_use]
    pub fn blocks(&self, person: Id) -> bool {
        self.blocked.binary_search(&person).is_ok()
    }

    /// Muted.
    #[must_use]
    pub fn mutes(&self, person: Id) -> bool {
        self.muted.binary_search(&person).is_ok()
    }

    /// Blocked either way, or muted.
    #[must_use]
    pub fn hides(&self, person: Id) -> bool {
        self.blocks(person) || self.mutes(person)
    }
}

/// Rows and caches.
pub struct Store {
    /// Engines of the rows and records.
    pub engines: Engines,
    /// More follows a deletion than was done before it was answered: for the janitor.
    pub unsettled: Notify,
    posts: Coherent<Id, Arc<PostRecord>>,
    accounts: Coherent<Id, Arc<Account>>,
    credentials: Coherent<Id, Arc<CredentialsRow>>,
    counters: Coherent<(Table, Id), Counters>,
    marks: Coherent<Id, Arc<Marks>>,
    hidden: Coherent<Id, Arc<Hidden>>,
    /// Table that the public timeline is read from.
    pub public: Listed,
    /// People who are not seen by anybody.
    pub absent: Absent,
    uncounted: Uncounted,
    /// People who deleted posts lately.
    pub deletions: Deletions,
    clock: Clock,
}

impl Store {
    /// Empty caches over `engines`; `clock` says who is suspended.
    #[must_use]
    pub fn new(engines: Engines, clock: Clock) -> Self {
        Self {
            engines,
            unsettled: Notify::new(),
            posts: Coherent::new(limits::POST_CACHE_MAX),
            accounts: Coherent::new(limits::USER_CACHE_MAX),
            credentials: Coherent::new(limits::USER_CACHE_MAX),
            counters: Coherent::new(limits::COUNTER_CACHE_MAX),
            marks: Coherent::new(limits::MARKS_CACHE_MAX),
            hidden: Coherent::new(limits::MARKS_CACHE_MAX),
            public: Listed::default(),
            absent: Absent::new(clock.clone()),
            uncounted: Uncounted::default(),
            deletions: Deletions::default(),
            clock,
        }
    }

    /// Value of a row.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn get(&self, key: &RowKey) -> Result<Option<Bytes>> {
        Ok(self.engines.tables.get(key).await?)
    }

    /// The id in a row's value.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn get_id(&self, key: &RowKey) -> Result<Option<Id>> {
        Ok(self.get(key).await?.as_deref().and_then(Id::from_bytes))
    }

    /// Rows of an id's partition with ids below `before`, newest first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn newest(&self, table: Table, of: Id, before: Option<Id>, limit: usize) -> Result<Vec<Row>> {
        let range = KeyRange { from: None, to: before.map(tables::partition) };
        Ok(self.engines.tables.scan(table, &tables::partition(of), range, Order::Descending, limit).await?)
    }

    /// Rows of an id's partition with ids above `after`, oldest first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn oldest(&self, table: Table, of: Id, after: Option<Id>, limit: usize) -> Result<Vec<Row>> {
        let range = KeyRange { from: after.map(|id| tables::partition(Id(id.0 + 1))), to: None };
        Ok(self.engines.tables.scan(table, &tables::partition(of), range, Order::Ascending, limit).await?)
    }

    /// Rows of a bucketed table with ids below `before`, newest first, from bucket to bucket down to the owner's age.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn newest_bucketed(
        &self,
        table: Table,
        owner: Id,
        before: Id,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        let mut found = Vec::new();
        let oldest = tables::bucket_of(owner);
        let mut bucket = tables::bucket_of(Id(before.0.saturating_sub(1)).min(Id(i64::MAX as u64)));
        let newest = self.newest_bucket();
        bucket = bucket.min(newest);
        while found.len() < limit && bucket >= oldest {
            let range = KeyRange { from: None, to: Some(tables::partition(before)) };
            let partition = tables::bucketed(owner, bucket);
            let wanted = limit - found.len();
            found.extend(self.engines.tables.scan(table, &partition, range, Order::Descending, wanted).await?);
            let Some(below) = bucket.checked_sub(1) else { break };
            bucket = below;
        }
        Ok(found)
    }

    /// No id is in a later bucket than the one that follows the later of the system's clock and the server's own, which
    /// an import turns by hand.
    fn newest_bucket(&self) -> u16 {
        let now_ms = Clock::system().now_ms().max(self.clock.now_ms());
        tables::bucket_of(crate::base::id::first_id_at(now_ms)).saturating_add(1)
    }

    /// A person; `None` when there never was such an account. Deleted ones are marked so.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn account_or_gone(&self, id: Id) -> Result<Option<Arc<Account>>> {
        if let Some(account) = self.accounts.get(&id) {
            return Ok(Some(account));
        }
        let epoch = self.accounts.epoch(&id);
        let Some(bytes) = self.get(&tables::by_id(tables::USERS, id)).await? else { return Ok(None) };
        let account = Arc::new(Account::new(from_json(&bytes)?));
        self.accounts.keep(epoch, &id, Arc::clone(&account));
        Ok(Some(account))
    }

    /// A person whose account exists.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn account(&self, id: Id) -> Result<Option<Arc<Account>>> {
        Ok(self.account_or_gone(id).await?.filter(|account| !account.row.deleted))
    }

    /// The person with this handle, whatever its case.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn by_handle(&self, handle: &str) -> Result<Option<Arc<Account>>> {
        // Nothing else is a handle, whatever Unicode makes of its case.
        let Ok(handle) = Handle::parse(handle) else { return Ok(None) };
        match self.get_id(&tables::handle_row(handle.as_str())).await? {
            // An account that was made with another handle may still hold this one.
            Some(id) => {
                let has = |account: &Arc<Account>| account.row.handle.eq_ignore_ascii_case(handle.as_str());
                Ok(self.account(id).await?.filter(has))
            }
            None => Ok(None),
        }
    }

    /// Credentials of a person; the default for people who came without a password.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn credentials(&self, id: Id) -> Result<Arc<CredentialsRow>> {
        if let Some(row) = self.credentials.get(&id) {
            return Ok(row);
        }
        let epoch = self.credentials.epoch(&id);
        let bytes = self.get(&tables::by_id(tables::CREDENTIALS, id)).await?;
        let row: Arc<CredentialsRow> = Arc::new(bytes.map(|bytes| from_json(&bytes)).transpose()?.unwrap_or_default());
        self.credentials.keep(epoch, &id, Arc::clone(&row));
        Ok(row)
    }

    /// The stored credentials changed.
    pub fn credentials_changed(&self, id: Id) {
        self.credentials.forget(&id);
    }

    /// A post, deleted ones included; `None` when there never was such a post.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn post_or_gone(&self, id: Id) -> Result<Option<Arc<PostRecord>>> {
        if let Some(post) = self.posts.get(&id) {
            return Ok(Some(post));
        }
        let epoch = self.posts.epoch(&id);
        let Some(bytes) = self.get(&tables::by_id(tables::POSTS, id)).await? else { return Ok(None) };
        let post: Arc<PostRecord> = Arc::new(from_json(&bytes)?);
        self.posts.keep(epoch, &id, Arc::clone(&post));
        Ok(Some(post))
    }

    /// The posts of `ids` in the same order; `None` for what is deleted or unknown.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let post = match self.posts.get(id) {
                Some(post) => Some(post),
                None => self.post_or_gone(*id).await?,
            };
            found.push(post.filter(|post| self.standing(post) != Standing::Gone));
        }
        Ok(found)
    }

    /// Whether a post that was read is there, whoever asks.
    #[must_use]
    pub fn standing(&self, post: &PostRecord) -> Standing {
        if post.deleted { Standing::Gone } else { self.absent.standing(post.author) }
    }

    /// Counters of a post or a person, without what absent people add to them.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn counters(&self, table: Table, id: Id) -> Result<Counters> {
        let stored = self.stored_counters(table, id).await?;
        let of = if table == tables::USER_COUNTERS { Of::User(id) } else { Of::Post(id) };
        Ok(self.uncounted.corrected(of, stored, |person| self.absent.holds(person)))
    }

    /// Counters of a post or a person as they are stored.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn stored_counters(&self, table: Table, id: Id) -> Result<Counters> {
        if let Some(counters) = self.counters.get(&(table, id)) {
            return Ok(counters);
        }
        let epoch = self.counters.epoch(&(table, id));
        let bytes = self.get(&tables::by_id(table, id)).await?;
        let counters = bytes.map(|bytes| Counters::from_bytes(&bytes)).transpose()?.unwrap_or_default();
        self.counters.keep(epoch, &(table, id), counters);
        Ok(counters)
    }

    /// Whether `reader` likes `post`, and has a bare repost of it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn marked(&self, reader: Id, marks: &Marks, post: Id) -> Result<(bool, bool)> {
        let liked = match marks.liked.holds(post) {
            Some(known) => known,
            None => self.get(&tables::pair(tables::LIKED, reader, post)).await?.is_some(),
        };
        let reposted = match marks.reposted.holds(post) {
            Some(known) => known,
            None => self.get(&tables::pair(tables::REPOSTED, reader, post)).await?.is_some(),
        };
        Ok((liked, reposted))
    }

    /// The newest likes and reposts of `reader`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn marks(&self, reader: Id) -> Result<Arc<Marks>> {
        if let Some(marks) = self.marks.get(&reader) {
            return Ok(marks);
        }
        let epoch = self.marks.epoch(&reader);
        let marks = Arc::new(Marks {
            liked: self.newest_marks(tables::LIKED, reader).await?,
            reposted: self.newest_marks(tables::REPOSTED, reader).await?,
        });
        self.marks.keep(epoch, &reader, Arc::clone(&marks));
        Ok(marks)
    }

    async fn newest_marks(&self, table: Table, reader: Id) -> Result<Set> {
        let rows = self.newest(table, reader, None, limits::MARKS_MAX).await?;
        let ids: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
        let complete_from = if ids.len() < limits::MARKS_MAX { None } else { ids.last().copied() };
        Ok(Set { ids, complete_from: complete_from.unwrap_or_default() })
    }

    /// People whom `reader` does not see.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn hidden(&self, reader: Id) -> Result<Arc<Hidden>, EngineError> {
        if let Some(hidden) = self.hidden.get(&reader) {
            return Ok(hidden);
        }
        let epoch = self.hidden.epoch(&reader);
        let mut blocked = self.ids_of(tables::BLOCKS, reader, limits::HIDDEN_MAX).await?;
        blocked.extend(self.ids_of(tables::BLOCKED_BY, reader, limits::HIDDEN_MAX).await?);
        blocked.sort_unstable();
        blocked.dedup();
        let muted = self.ids_of(tables::MUTES, reader, limits::HIDDEN_MAX).await?;
        let hidden = Arc::new(Hidden { blocked, muted });
        self.hidden.keep(epoch, &reader, Arc::clone(&hidden));
        Ok(hidden)
    }

    /// Followees of `person`, ascending.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn followees_of(&self, person: Id) -> Result<Vec<Id>, EngineError> {
        self.ids_of(tables::FOLLOWS, person, limits::FOLLOWS_READ_MAX).await
    }

    /// Clustering ids of a partition, ascending.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn ids_of(&self, table: Table, of: Id, limit: usize) -> Result<Vec<Id>, EngineError> {
        let partition = tables::partition(of);
        let rows = self.engines.tables.scan(table, &partition, KeyRange::ALL, Order::Ascending, limit).await?;
        Ok(rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect())
    }

    /// Brings the caches up to date with a durable record; called in commit order, before the caller hears of it.
    pub fn committed(&self, record: &Record) {
        self.uncounted.committed(record);
        match &record.event {
            Event::UserCreated { user } | Event::ProfileChanged { user, .. } => {
                self.accounts.put(user.id, Arc::new(Account::new(user.clone())));
            }
            Event::UserDeleted { user } => {
                self.accounts.forget(&user.id);
                self.credentials.forget(&user.id);
                // Last: who clears up after them begins at once, and must find what the rows say.
                self.absent.departed(user.id);
            }
            Event::Posted { post, .. } => {
                self.posts.put(record.id, Arc::new(post.clone()));
                if post.is_bare_repost() {
                    self.marks.forget(&post.author);
                }
            }
            Event::PostDeleted { post, author, reply_to, bare_repost, purged, .. } => {
                self.posts.put(*post, Arc::new(PostRecord::tombstone(*post, *author, *reply_to)));
                if !purged {
                    self.deletions.heard(*author, record.id);
                }
                if *bare_repost {
                    self.marks.forget(author);
                }
            }
            Event::Liked { user, .. } | Event::Unliked { user, .. } => self.marks.forget(user),
            Event::Blocked { blocker, blocked, .. } | Event::Unblocked { blocker, blocked } => {
                self.hidden.forget(blocker);
                self.hidden.forget(blocked);
            }
            Event::Muted { muter, .. } | Event::Unmuted { muter, .. } => self.hidden.forget(muter),
            Event::Suspended { user, until_ms, .. } => self.absent.suspend(*user, *until_ms),
            Event::Unsuspended { user } => self.absent.unsuspend(*user),
            _ => {}
        }
    }

    /// Brings a counter up to date.
    pub fn counted(&self, of: Of, counters: Counters) {
        let (table, id) = match of {
            Of::User(id) => (tables::USER_COUNTERS, id),
            Of::Post(id) => (tables::POST_COUNTERS, id),
        };
        self.counters.refresh(&(table, id), counters);
    }
}
