//! Pages and unread counts: the ring's copy, what must be pulled merged in, deeper pages from all followees, the
//! filter last.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::walk::{Target, Walk};
use super::{Feed, FeedCore, FeedPage, PageQuery, Unread};
use crate::data::absent::Standing;
use crate::feed::authors::Absorbed;
use crate::feed::interner::UserIndex;
use crate::feed::item::FeedItem;
use crate::feed::relations::ReaderRelations;
use crate::feed::ring::{Entry, newest_first};
use crate::feed::timelines::View;
use crate::posts::entry::{FeedEntry, Original};
use crate::posts::visibility::Shown;

/// Unread entries are counted up to this.
pub const UNREAD_MAX: usize = 1_000;
/// Candidates fetched beyond what is missing of a page, as a share: some will be filtered.
const SPARE_DIVISOR: usize = 4;

/// Candidates of a feed, newest first: the ring, then all followees.
struct Candidates<'a, P: FeedItem> {
    core: &'a FeedCore<P>,
    view: View,
    next: usize,
    since: u64,
    before: u64,
    walk: Option<Walk<'a, P>>,
}

impl<'a, P: FeedItem> Candidates<'a, P> {
    fn new(core: &'a FeedCore<P>, view: View, before: u64, since: u64) -> Self {
        let next = view.entries.partition_point(|entry| entry.id >= before);
        Self { core, view, next, since, before, walk: None }
    }

    /// The next up to `max` candidates; empty at the end.
    async fn take(&mut self, max: usize) -> Result<Vec<Entry>, EngineError> {
        let rest = self.view.entries.get(self.next..).unwrap_or_default();
        let newer = rest.len().min(rest.partition_point(|entry| entry.id > self.since));
        if newer > 0 {
            let batch = rest[..newer.min(max)].to_vec();
            self.next += batch.len();
            return Ok(batch);
        }
        let mut batch = Vec::new();
        // Complete down to the floor: only at and below it there is anything else.
        if self.view.floor <= self.since {
            return Ok(batch);
        }
        let (before, lower) = (self.before.min(self.view.floor.saturating_add(1)), self.since.saturating_add(1));
        let (core, relations) = (self.core, &self.view.relations);
        let walk = self.walk.get_or_insert_with(|| {
            let authors: Vec<UserIndex> = relations.followees.iter().copied().chain([relations.me]).collect();
            Walk::new(core, authors.into_iter().map(|author| Target { author, before, lower }))
        });
        while batch.len() < max {
            let Some(entry) = walk.next().await? else { break };
            batch.push(entry);
        }
        Ok(batch)
    }
}

/// A read of one reader's feed.
pub struct Reading<'a, P: FeedItem> {
    core: &'a FeedCore<P>,
    view: View,
}

impl<P: FeedItem> Reading<'_, P> {
    /// Relations between the reader and others.
    #[must_use]
    pub fn relations(&self) -> &Arc<ReaderRelations> {
        &self.view.relations
    }

    /// The newest `max` visible entries below `before`.
    ///
    /// # Errors
    /// What the tables answered.
    pub async fn entries(self, before: Id, max: usize) -> Result<Vec<FeedEntry<P>>, EngineError> {
        self.core.visible(self.view, before.0, 0, max, |_| true).await
    }
}

impl<P: FeedItem> Feed<P> {
    /// Relations of a reader whose timeline is there, without a look at its entries.
    #[must_use]
    pub fn relations_now(&self, reader: Id) -> Option<Arc<ReaderRelations>> {
        let core = &self.core;
        let reader = core.authors.get(reader)?;
        core.timelines.relations(core.authors.timeline(reader)?, reader, core.now_ms())
    }
}

impl<P: FeedItem> FeedCore<P> {
    pub(super) async fn reading(&self, reader: Id) -> Result<Reading<'_, P>, EngineError> {
        Ok(Reading { core: self, view: self.fresh_view(reader).await? })
    }

    /// Bound at which a read from the top begins: what is above the horizon may still get neighbours below it.
    fn after_horizon(&self) -> u64 {
        self.horizon.load(Ordering::SeqCst).saturating_add(1)
    }

    pub(super) async fn page(&self, reader: Id, query: PageQuery) -> Result<FeedPage<P>, EngineError> {
        let before = query.before.map_or_else(|| self.after_horizon(), |before| before.0);
        let since = query.since.map_or(0, |since| since.0);
        let view = self.fresh_view(reader).await?;
        // One more than asked tells whether there is a next page.
        let mut entries = self.visible(view, before, since, query.limit.saturating_add(1), |_| true).await?;
        let mut next = None;
        if entries.len() > query.limit {
            entries.truncate(query.limit);
            next = entries.last().map(|entry| entry.id).or(Some(Id(before)));
        }
        Ok(FeedPage { entries, next })
    }

    pub(super) async fn unread(&self, reader: Id, marker: Id) -> Result<Unread, EngineError> {
        let before = self.after_horizon();
        let view = self.fresh_view(reader).await?;
        let mut newest_id = None;
        let others = |entry: &FeedEntry<P>| {
            newest_id.get_or_insert(entry.id);
            entry.post.author() != reader
        };
        let count = self.visible(view, before, marker.0, UNREAD_MAX, others).await?.len();
        if newest_id.is_none() {
            // Nothing is above the marker: the newest entry was read.
            let newest = self.page(reader, PageQuery { before: None, since: None, limit: 1 }).await?;
            newest_id = newest.entries.first().map(|entry| entry.id);
        }
        Ok(Unread { count, newest_id })
    }

    /// The newest `max` visible entries in `since + 1 .. before` that are `wanted`.
    pub(super) async fn visible(
        &self,
        view: View,
        before: u64,
        since: u64,
        max: usize,
        mut wanted: impl FnMut(&FeedEntry<P>) -> bool,
    ) -> Result<Vec<FeedEntry<P>>, EngineError> {
        let relations = Arc::clone(&view.relations);
        let mut candidates = Candidates::new(self, view, before, since);
        let fetch_max = self.settings.reads.posts_max.max(1);
        let mut found = Vec::with_capacity(max.min(fetch_max));
        let mut fetch = max.saturating_add(max / SPARE_DIVISOR).clamp(1, fetch_max);
        while found.len() < max {
            let batch = candidates.take(fetch).await?;
            if batch.is_empty() {
                break;
            }
            let ids: Vec<Id> = batch.iter().map(|entry| Id(entry.id)).collect();
            let entries = self.fetch(&relations, &ids).await?;
            found.extend(entries.into_iter().filter(|entry| wanted(entry)).take(max - found.len()));
            // Whoever filters much fetches more at a time.
            fetch = (fetch * 2).min(fetch_max);
        }
        Ok(found)
    }

    /// The posts of `ids`, in the same order, without what the reader may not see.
    pub(super) async fn fetch(&self, reader: &ReaderRelations, ids: &[Id]) -> Result<Vec<FeedEntry<P>>, EngineError> {
        let posts = self.source.posts(ids).await?;
        let original_ids: Vec<Id> = posts.iter().flatten().filter_map(|post| post.original()).collect();
        let originals = if original_ids.is_empty() { Vec::new() } else { self.source.posts(&original_ids).await? };
        let mut originals = originals.into_iter();
        let mut entries = Vec::with_capacity(ids.len());
        for post in posts.into_iter().flatten() {
            let original = if post.original().is_some() { originals.next().flatten() } else { None };
            let index = |user: Id| self.authors.get(user);
            let Some(author) = index(post.author()) else { continue };
            // What is not among the posts is gone.
            let of_original = original.as_ref().map_or(Standing::Gone, |original| self.source.standing(original));
            let standing = self.source.standing(&post);
            let original = match (post.shown(reader, author, standing, of_original, index), original) {
                (Shown::Nothing(_), _) => continue,
                (Shown::WithoutOriginal(why), _) => Original::Absent(why),
                (Shown::Whole, Some(original)) => Original::Shown(original),
                (Shown::Whole, None) => Original::None,
            };
            entries.push(FeedEntry { id: post.id(), post, original });
        }
        Ok(entries)
    }

    /// The reader's timeline with everything merged in that was not pushed: new follows and pulled authors.
    pub(super) async fn fresh_view(&self, id: Id) -> Result<View, EngineError> {
        let reader = self.authors.intern(id);
        let mut view = match self.copy_view(reader) {
            Some(view) => view,
            None => self.materialise(id, reader).await?,
        };
        let horizon = self.horizon.load(Ordering::SeqCst);
        let absorbed = Absorbed { changes: self.authors.pull_changes(), id: horizon };
        let targets = self.unmerged(&view, absorbed);
        if targets.is_empty() {
            if absorbed.changes > view.absorbed.changes {
                self.timelines.set_absorbed(view.lease, absorbed);
            }
        } else {
            let (entries, floor_min) =
                Walk::new(self, targets.into_iter()).collect(self.settings.timeline_cap.max(1)).await?;
            match self.timelines.absorb(view.lease, &entries, floor_min, &view.pending, absorbed) {
                Some(merged) => view = merged,
                // Evicted meanwhile: this read still ends on its copy.
                None => {
                    view.entries.extend(entries);
                    view.floor = view.floor.max(floor_min);
                }
            }
        }
        view.floor = newest_first(&mut view.entries, view.floor, usize::MAX);
        Ok(view)
    }

    fn unmerged(&self, view: &View, now: Absorbed) -> Vec<Target> {
        let lower = view.floor.saturating_add(1);
        let pending = view.pending.iter().map(|(author, _)| Target { author: *author, before: u64::MAX, lower });
        let mut targets: Vec<Target> = pending.collect();
        if now.changes > view.absorbed.changes {
            for followee in view.relations.followees.iter().filter(|followee| self.authors.is_pulled(**followee)) {
                if let Some((lower, before)) = self.authors.unabsorbed(*followee, view.absorbed, view.floor) {
                    targets.push(Target { author: *followee, before, lower });
                }
            }
        }
        targets
    }
}
