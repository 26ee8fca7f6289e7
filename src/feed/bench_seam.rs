//! Interface of benchmarks beside the public one: timelines made without storage, fan-out in the calling thread, and
//! the raw lists, so that a bare loop can scatter the same entries over the same lists.

use fanfare_protocol::Id;

use super::interner::UserIndex;
use super::item::FeedItem;
use super::relations::ReaderRelations;
use super::ring::Entry;
use super::service::Feed;
use crate::base::slot_list::Slot;

/// Memory of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineUsage {
    /// Entries in the ring.
    pub entries: usize,
    /// Bytes: header, ring, relations, and four bytes and an eighth for each place in a slot list.
    pub bytes: usize,
}

impl<P: FeedItem> Feed<P> {
    /// Materialises a timeline for `reader` who follows `followees`, with `entries` (ascending ids) in it, and asks no
    /// table. Answers its slot. A reader is seeded once.
    pub fn bench_seed(&self, reader: Id, followees: &[Id], entries: &[(Id, Id)]) -> Slot {
        let authors = self.authors();
        let me = authors.intern(reader);
        let followees: Vec<UserIndex> = followees.iter().map(|followee| authors.intern(*followee)).collect();
        let entries: Vec<Entry> =
            entries.iter().map(|(id, author)| Entry { id: id.0, author: authors.intern(*author) }).collect();
        self.seed(me, ReaderRelations::new(me, followees, Vec::new(), Vec::new()), &entries)
    }

    /// Pushes a post into all timelines that follow `author`, in this thread and without the queue. `scratch` is kept
    /// between calls. Answers the deliveries.
    pub fn bench_fan_out(&self, author: Id, post: Id, scratch: &mut Vec<Slot>) -> usize {
        let Some(author) = self.authors().get(author) else { return 0 };
        self.scatter_all(Entry { id: post.0, author }, scratch)
    }

    /// Appends the slots that follow `author`, ascending.
    pub fn bench_slots(&self, author: Id, out: &mut Vec<Slot>) {
        if let Some(author) = self.authors().get(author) {
            self.authors().copy_slots(author, None, usize::MAX, out);
        }
    }

    /// A timeline's memory; `None` without one.
    #[must_use]
    pub fn bench_usage(&self, reader: Id) -> Option<TimelineUsage> {
        let (bytes, entries, followees) = self.timeline_usage(self.authors().get(reader)?)?;
        let slot_bytes = followees * size_of::<Slot>() * 9 / 8;
        Some(TimelineUsage { entries, bytes: bytes + slot_bytes })
    }
}
