//! Rows as everybody above reads and writes them: through bounded caches, one of each product, that listeners to
//! commits keep true.

mod absence;
mod credentials;
mod people;
mod posts;
mod relations;
mod table;
mod timeline;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_engines::{Engines, Ephemeral, Families, Journal, Scans};
use fanfare_protocol::Id;
use tokio::sync::Notify;

pub use self::people::Account;
pub use self::posts::Marks;
pub use self::relations::Hidden;
use crate::base::clock::Clock;
use crate::data::absent::Absent;
use crate::data::deletions::Deletions;
use crate::data::layout::Layout;
use crate::data::public::PublicTimeline;
use crate::data::uncounted::Uncounted;

/// Rows and caches.
pub struct Store {
    /// Engines below the caches: rooms above read and write rows by the methods of the store.
    pub(in crate::data) engines: Engines,
    /// More follows a deletion than was done before it was answered: for the janitor.
    pub unsettled: Notify,
    /// The public timeline, as memory has it.
    pub public: PublicTimeline,
    /// Keys of what is everybody's.
    pub layout: Layout,
    /// People who are not seen by anybody.
    pub absent: Absent,
    /// People who deleted posts lately.
    pub deletions: Deletions,
    /// Contributions of absent people to counters.
    pub uncounted: Uncounted,
    people: people::People,
    relations: relations::Relations,
    posts: posts::Posts,
    clock: Clock,
    /// Highest id of the folder when it was opened.
    newest_at_start: AtomicU64,
}

impl Store {
    /// Empty caches over `engines`; `clock` says who is suspended.
    #[must_use]
    pub fn new(engines: Engines, clock: Clock) -> Self {
        Self {
            engines,
            unsettled: Notify::new(),
            public: PublicTimeline::default(),
            layout: Layout::default(),
            absent: Absent::new(clock.clone()),
            deletions: Deletions::default(),
            uncounted: Uncounted::default(),
            people: people::People::default(),
            relations: relations::Relations::default(),
            posts: posts::Posts::default(),
            clock,
            newest_at_start: AtomicU64::new(0),
        }
    }

    /// The time.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Learns at the start that ids up to `newest` are in the folder.
    pub fn opened_at(&self, newest: Id) {
        self.newest_at_start.fetch_max(newest.0, Ordering::Relaxed);
    }

    /// Families of tables and of the log's partitions.
    #[must_use]
    pub fn families(&self) -> &Families {
        &self.engines.families
    }

    /// Records; `log` writes them.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.engines.journal
    }

    /// State with a time to live.
    #[must_use]
    pub fn ephemeral(&self) -> &Arc<dyn Ephemeral> {
        &self.engines.ephemeral
    }

    /// Cost of scans, where the engine counts it.
    #[must_use]
    pub fn scans(&self) -> &Scans {
        &self.engines.scans
    }
}
