//! Items of feeds, and all that a feed asks of them: whose they are, whether they are there, what they pass on. Posts
//! in home feeds; the engine is the same for whatever else people follow each other for.

use fanfare_protocol::Id;

use super::filter::shows;
use super::interner::UserIndex;
use super::relations::ReaderRelations;
use crate::data::absent::Standing;
use crate::data::rows::{AuthorEntry, kind_of};
use crate::log::events::{Event, Policy, PostRecord, Record};
use crate::posts::visibility::Shown;

/// News of a record for a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemNews {
    /// An item is there.
    Published {
        /// Person whose followers get it.
        author: Id,
        /// Entry of the item.
        entry: AuthorEntry,
        /// Way in which it is delivered.
        policy: Policy,
    },
    /// An item is gone.
    Deleted {
        /// Person whose it was.
        author: Id,
        /// The item.
        id: Id,
    },
}

/// An item of a feed. Its id is that of the record that made it: id order is the order of the feed.
pub trait FeedItem: Send + Sync + Sized + 'static {
    /// Name in the label `source` of metrics.
    const SOURCE: &'static str;

    /// News of `record` for this feed, if any.
    fn happened(record: &Record) -> Option<ItemNews>;

    /// Id of the record that made it.
    fn id(&self) -> Id;

    /// Person whose followers get it.
    fn author(&self) -> Id;

    /// Whether it was deleted.
    fn is_deleted(&self) -> bool;

    /// The item that it passes on.
    fn original(&self) -> Option<Id>;

    /// Part of it that the reader's feed shows; `author` is the index of its author.
    ///
    /// `standing` and `original` say how the item stands, and the one that it passes on. `index` gives the index of a
    /// person; `None` for somebody never seen, who then is not followed, blocked or muted by anybody here.
    fn shown(
        &self,
        reader: &ReaderRelations,
        author: UserIndex,
        standing: Standing,
        original: Standing,
        index: impl Fn(Id) -> Option<UserIndex>,
    ) -> Shown;
}

impl FeedItem for PostRecord {
    const SOURCE: &'static str = "posts";

    fn happened(record: &Record) -> Option<ItemNews> {
        match &record.event {
            Event::Posted { post, .. } => {
                let (kind, related) = kind_of(post);
                let entry = AuthorEntry { id: post.id, kind, related };
                Some(ItemNews::Published { author: post.author, entry, policy: post.policy })
            }
            Event::PostDeleted { post, author, .. } => Some(ItemNews::Deleted { author: *author, id: *post }),
            _ => None,
        }
    }

    fn id(&self) -> Id {
        self.id
    }

    fn author(&self) -> Id {
        self.author
    }

    fn is_deleted(&self) -> bool {
        self.deleted
    }

    fn original(&self) -> Option<Id> {
        self.repost_of.map(|original| original.id)
    }

    fn shown(
        &self,
        reader: &ReaderRelations,
        author: UserIndex,
        standing: Standing,
        original: Standing,
        index: impl Fn(Id) -> Option<UserIndex>,
    ) -> Shown {
        shows(reader, author, self, standing, original, index)
    }
}
