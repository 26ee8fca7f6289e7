//! Foundation of every service: rows, the log, locks, cursors, the clock.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_protocol::{Code, Id, Media, Timestamp};

use crate::base::clock::Clock;
use crate::base::cursor::Cursors;
use crate::base::error::{Error, Result};
pub use crate::data::locks::LockKey;
use crate::data::locks::Locks;
use crate::data::store::{Account, Store};
use crate::log::consumers::Consumers;
use crate::log::handle::Log;
use crate::log::living;
use crate::log::writers::{Writers, Writing};

/// Shared by all services of a server; clones are cheap.
#[derive(Clone)]
pub struct Core {
    /// Rows, through caches.
    pub store: Arc<Store>,
    /// Records.
    pub log: Log,
    /// Locks of decisions that end in no record; those that do begin with [`Log::decide`].
    pub locks: Locks,
    /// Consumers of the log.
    pub consumers: Consumers,
    /// Page cursors.
    pub cursors: Cursors,
    /// The time.
    pub clock: Clock,
    /// People whose rows are on the way.
    pub writers: Writers,
    /// The last record when the server started.
    pub opened: Id,
}

/// Guard of rows that follow from no record: they are written for people whose account is there.
#[async_trait]
pub trait Owners: Send + Sync + 'static {
    /// Rows of `person` are on the way until the answer is dropped; their account is there.
    ///
    /// # Errors
    /// 401 when the account was deleted.
    async fn writing(&self, person: Id) -> Result<Writing>;
}

#[async_trait]
impl Owners for Core {
    async fn writing(&self, person: Id) -> Result<Writing> {
        let writing = self.writers.begin(person);
        self.store.account(person).await?.map(|_| writing).ok_or_else(living::deleted)
    }
}

/// Uploads as other services see them: what can be attached to a post or a profile.
#[async_trait]
pub trait Attachments: Send + Sync + 'static {
    /// The upload `id` if it is there and `owner` made it.
    ///
    /// # Errors
    /// When the engine fails.
    async fn owned(&self, id: Id, owner: Id) -> Result<Option<Media>>;

    /// Removes every upload of `owner`, whose account was deleted.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    async fn forget_owner(&self, owner: Id) -> Result<()>;

    /// Removes uploads for messages that no message holds in time, or any more, as of `now_ms`.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    async fn forget_unused(&self, now_ms: u64) -> Result<()>;
}

/// Whoever has to know of a block before it is answered.
#[async_trait]
pub trait HearsBlocks: Send + Sync + 'static {
    /// `blocker` blocks `other`, or does no more: said by the record `source`, or read when nothing later was settled.
    /// Of what is said of a pair the highest source stands.
    ///
    /// # Errors
    /// When it cannot be taken in now; what the record says stands, and may be said again.
    async fn blocked(&self, blocker: Id, other: Id, on: bool, source: Id) -> Result<()>;
}

impl Core {
    /// For a server whose rows are in `store`.
    #[must_use]
    pub fn new(store: Arc<Store>, log: Log, cursors: Cursors, clock: Clock) -> Self {
        let (locks, opened) = (log.locks().clone(), log.settled());
        let consumers = Consumers::new(Arc::clone(&store));
        Self { store, log, locks, consumers, cursors, clock, writers: Writers::default(), opened }
    }

    /// The account of `id`.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn account(&self, id: Id) -> Result<Arc<Account>> {
        self.store.account(id).await?.ok_or_else(|| Error::not_found("user"))
    }

    /// The account of `id`, as far as `viewer` may know of it.
    ///
    /// # Errors
    /// 404 when there is none, when it is suspended, or when it blocks the viewer.
    pub async fn account_for(&self, viewer: Option<Id>, id: Id) -> Result<Arc<Account>> {
        let account = self.store.seen_account(id).await?.ok_or_else(|| Error::not_found("user"))?;
        if let Some(viewer) = viewer
            && self.blocks(id, viewer).await?
        {
            return Err(Error::not_found("user"));
        }
        Ok(account)
    }

    /// Lets in whoever is not suspended; to be asked once it is proven who they are.
    ///
    /// # Errors
    /// [`Code::AccountSuspended`], with the moment when it ends by itself.
    pub fn refuse_suspended(&self, user: Id) -> Result<()> {
        match self.store.absent.suspension(user) {
            None => Ok(()),
            Some(None) => Err(Error::refused(Code::AccountSuspended, "the account is suspended")),
            Some(Some(until_ms)) => {
                let detail = format!("the account is suspended until {}", Timestamp(until_ms));
                Err(Error::refused(Code::AccountSuspended, detail))
            }
        }
    }

    /// Whether `blocker` blocks `blocked`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn blocks(&self, blocker: Id, blocked: Id) -> Result<bool> {
        let hidden = self.store.hidden(blocked).await?;
        // At its bound the list does not know everybody.
        if hidden.blocked.len() < crate::base::limits::HIDDEN_MAX && !hidden.blocks(blocker) {
            return Ok(false);
        }
        let row = crate::data::tables::pair(crate::data::tables::BLOCKS, blocker, blocked);
        Ok(self.store.get(&row).await?.is_some())
    }
}
