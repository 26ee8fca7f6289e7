//! State of every author in the feed: who listens (slots), what was posted lately (recents), what readers must pull,
//! and how posts are to be delivered. Written by `apply`, read by fan-out, builds and reads.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fanfare_protocol::Id;
use parking_lot::Mutex;

use super::interner::{Interner, UserIndex};
use super::policy::{PolicyState, Thresholds};
use super::recents::{Older, Recent, Recents};
use crate::base::slot_list::{Slot, SlotList};
use crate::data::rows::{AuthorEntry, EntryKind};
use crate::log::events::Policy;

/// Locks over the authors; more than twice the cores.
const AUTHOR_SHARDS: usize = 64;
/// No timeline: the user is not an active reader.
const NO_SLOT: Slot = Slot::MAX;
/// Authors per lazily made piece of the bitmap of pulled authors: 8 KiB.
const PULLED_CHUNK: usize = 1 << 16;

/// Ids that a timeline may lack because they were not pushed.
///
/// One interval covers them all; it may cover pushed ones too, as merging drops repeats. It is never closed: each
/// timeline remembers what it has taken ([`Absorbed`]) and looks only at what came later.
#[derive(Debug, Clone, Copy)]
struct PullInterval {
    from: u64,
    to: u64,
    /// Number of the last change.
    changed: u64,
    /// Number of the last change by an id that was not above the horizon.
    irregular: u64,
}

/// State up to which a timeline has taken pull intervals in: every change up to number `changes`, and every id up to
/// `id` that was not irregular.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Absorbed {
    /// Number of the last change seen.
    pub changes: u64,
    /// Horizon then.
    pub id: u64,
}

#[derive(Debug)]
struct AuthorState {
    id: Id,
    slots: SlotList,
    recents: Recents,
    pull: Option<Box<PullInterval>>,
    policy: PolicyState,
    /// Slot of this user's own timeline.
    timeline: Slot,
}

impl Default for AuthorState {
    fn default() -> Self {
        let (slots, recents, policy) = (SlotList::default(), Recents::default(), PolicyState::default());
        Self { id: Id(0), slots, recents, pull: None, policy, timeline: NO_SLOT }
    }
}

/// Bounds of what is kept for an author.
#[derive(Debug, Clone, Copy)]
pub struct RecentBounds {
    /// Posts.
    pub count_max: usize,
    /// Posts with lower ids are dropped.
    pub oldest: u64,
}

/// All users, by index.
pub struct Authors {
    interner: Interner,
    shards: Box<[Mutex<Vec<AuthorState>>]>,
    /// Bits, one a user: whether there is a pull interval.
    pulled: Box<[OnceLock<Box<[AtomicU64]>>]>,
    pull_changes: AtomicU64,
    /// Flag that recents are warmed: until it is set, they claim nothing.
    warmed: AtomicBool,
    /// Start of the scan that warms the recents: of users older than this it may leave older posts out.
    horizon: AtomicU64,
}

impl Authors {
    /// Nobody yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            interner: Interner::new(),
            shards: (0..AUTHOR_SHARDS).map(|_| Mutex::default()).collect(),
            pulled: (0..(1 << 32) / PULLED_CHUNK).map(|_| OnceLock::new()).collect(),
            pull_changes: AtomicU64::new(0),
            warmed: AtomicBool::new(false),
            horizon: AtomicU64::new(0),
        }
    }

    /// The index of `user`, if it was ever seen.
    #[must_use]
    pub fn get(&self, user: Id) -> Option<UserIndex> {
        self.interner.get(user)
    }

    /// The index of `user`, made at first sight.
    pub fn intern(&self, user: Id) -> UserIndex {
        self.interner.intern(user, |index| {
            self.with(index, |state| {
                state.id = user;
                let horizon = self.horizon.load(Ordering::Acquire);
                if user.0 < horizon {
                    state.recents.raise_floor(horizon - 1);
                }
            });
        })
    }

    /// The id behind an index.
    #[must_use]
    pub fn id_of(&self, user: UserIndex) -> Id {
        self.with(user, |state| state.id)
    }

    /// The scan begins at `horizon`; to be called before anybody is interned.
    pub fn set_horizon(&self, horizon: u64) {
        self.horizon.store(horizon, Ordering::Release);
    }

    /// Recents are complete from now on, down to their floors.
    pub fn set_warmed(&self) {
        self.warmed.store(true, Ordering::Release);
    }

    /// Keeps a post. Answers the author's own timeline slot and the number of followers' slots.
    pub fn add_recent(&self, author: UserIndex, recent: Recent, bounds: RecentBounds) -> (Option<Slot>, usize) {
        self.with(author, |state| {
            state.recents.insert(recent, bounds.count_max, bounds.oldest);
            ((state.timeline != NO_SLOT).then_some(state.timeline), state.slots.len())
        })
    }

    /// Claims no posts of `author` at or below `floor`.
    pub fn raise_recents_floor(&self, author: UserIndex, floor: u64) {
        self.with(author, |state| state.recents.raise_floor(floor));
    }

    /// Drops a deleted post.
    pub fn remove_recent(&self, author: UserIndex, id: u64) {
        self.with(author, |state| state.recents.remove(id));
    }

    /// Drops all posts of a deleted author.
    pub fn clear_recents(&self, author: UserIndex) {
        self.with(author, |state| state.recents.clear());
    }

    /// See [`Recents::supply`].
    pub fn supply(&self, author: UserIndex, before: u64, lower: u64, max: usize, out: &mut Vec<u64>) -> Option<Older> {
        if !self.warmed.load(Ordering::Acquire) {
            return None;
        }
        self.with(author, |state| state.recents.supply(before, lower, max, out))
    }

    /// The newest posts of an author below `before`, when they are all in memory.
    #[must_use]
    pub fn newest(&self, author: UserIndex, before: u64, limit: usize) -> Option<Vec<AuthorEntry>> {
        if !self.warmed.load(Ordering::Acquire) {
            return None;
        }
        let recents = self.with(author, |state| state.recents.newest(before, limit))?;
        let entry = |recent: Recent| {
            let related = if recent.kind == EntryKind::Plain { Id(0) } else { self.id_of(recent.related) };
            AuthorEntry { id: Id(recent.id), kind: recent.kind, related }
        };
        Some(recents.into_iter().map(entry).collect())
    }

    /// A timeline listens to `author`.
    pub fn subscribe(&self, author: UserIndex, slot: Slot) {
        self.with(author, |state| state.slots.insert(slot));
    }

    /// A timeline no longer listens.
    pub fn unsubscribe(&self, author: UserIndex, slot: Slot) {
        self.with(author, |state| state.slots.remove(slot));
    }

    /// See [`SlotList::copy_from`].
    pub fn copy_slots(&self, author: UserIndex, after: Option<Slot>, max: usize, out: &mut Vec<Slot>) -> usize {
        self.with(author, |state| state.slots.copy_from(after, max, out))
    }

    /// Slot of the user's own timeline, if there is one.
    #[must_use]
    pub fn timeline(&self, user: UserIndex) -> Option<Slot> {
        self.with(user, |state| (state.timeline != NO_SLOT).then_some(state.timeline))
    }

    /// The user's own timeline is there, or nowhere.
    pub fn set_timeline(&self, user: UserIndex, slot: Option<Slot>) {
        self.with(user, |state| state.timeline = slot.unwrap_or(NO_SLOT));
    }

    /// See [`PolicyState::stamp`].
    pub fn stamp(
        &self,
        author: UserIndex,
        followers: u64,
        thresholds: Thresholds,
        now_ms: u64,
        flip_interval_ms: u64,
    ) -> (Policy, bool) {
        self.with(author, |state| state.policy.stamp(followers, thresholds, now_ms, flip_interval_ms))
    }

    /// Policy of the author's last post, if there was one since the start.
    pub fn policy(&self, author: UserIndex) -> Option<Policy> {
        self.with(author, |state| state.policy.current())
    }

    /// Timelines that listen to the author.
    pub fn listeners(&self, author: UserIndex) -> usize {
        self.with(author, |state| state.slots.len())
    }

    /// See [`PolicyState::pin`].
    pub fn pin(&self, author: UserIndex, policy: Option<Policy>) {
        self.with(author, |state| state.policy.pin(policy));
    }

    /// Readers must pull this post: it is not pushed. Every record up to `horizon` was applied before.
    pub fn must_pull(&self, author: UserIndex, id: u64, horizon: u64) {
        self.with(author, |state| {
            // Inside the lock: a reader that loads the number first and looks at the author then misses nothing.
            let change = self.pull_changes.fetch_add(1, Ordering::SeqCst) + 1;
            let pull =
                state.pull.get_or_insert_with(|| Box::new(PullInterval { from: id, to: id, changed: 0, irregular: 0 }));
            pull.from = pull.from.min(id);
            pull.to = pull.to.max(id);
            pull.changed = change;
            if id <= horizon {
                pull.irregular = change;
            }
            self.set_pulled(author);
        });
    }

    /// Number of the last change of any pull interval.
    #[must_use]
    pub fn pull_changes(&self) -> u64 {
        self.pull_changes.load(Ordering::SeqCst)
    }

    /// Whether `author` has a pull interval at all: one bit, no lock.
    #[must_use]
    pub fn is_pulled(&self, author: UserIndex) -> bool {
        let author = author as usize;
        let chunk = self.pulled.get(author / PULLED_CHUNK).and_then(OnceLock::get);
        let word = chunk.and_then(|words| words.get(author % PULLED_CHUNK / 64));
        word.is_some_and(|word| word.load(Ordering::SeqCst) >> (author % 64) & 1 == 1)
    }

    /// The ids `lower..before` of `author` that a timeline with `floor` may lack after what it absorbed.
    #[must_use]
    pub fn unabsorbed(&self, author: UserIndex, absorbed: Absorbed, floor: u64) -> Option<(u64, u64)> {
        self.with(author, |state| {
            let pull = state.pull.as_ref().filter(|pull| pull.changed > absorbed.changes)?;
            let known = if pull.irregular > absorbed.changes { floor } else { floor.max(absorbed.id) };
            let lower = pull.from.max(known.saturating_add(1));
            (lower <= pull.to).then_some((lower, pull.to.saturating_add(1)))
        })
    }

    /// Users seen so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.interner.len()
    }

    /// Recent posts held and bytes of recents and slot lists. Walks all authors: for operators.
    #[must_use]
    pub fn usage(&self) -> (usize, usize) {
        let (mut posts, mut bytes) = (0, 0);
        for shard in &self.shards {
            for state in shard.lock().iter() {
                posts += state.recents.len();
                bytes += state.recents.heap_bytes() + state.slots.heap_bytes();
            }
        }
        (posts, bytes)
    }

    fn set_pulled(&self, author: UserIndex) {
        let author = author as usize;
        let Some(chunk) = self.pulled.get(author / PULLED_CHUNK) else { return };
        let words = chunk.get_or_init(|| (0..PULLED_CHUNK / 64).map(|_| AtomicU64::new(0)).collect());
        if let Some(word) = words.get(author % PULLED_CHUNK / 64) {
            word.fetch_or(1 << (author % 64), Ordering::SeqCst);
        }
    }

    fn with<T>(&self, user: UserIndex, act: impl FnOnce(&mut AuthorState) -> T) -> T {
        let mut shard = self.shards[user as usize % AUTHOR_SHARDS].lock();
        let place = user as usize / AUTHOR_SHARDS;
        if shard.len() <= place {
            shard.resize_with(place + 1, AuthorState::default);
        }
        act(&mut shard[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_pulls_only_what_came_after_it_absorbed() {
        let authors = Authors::new();
        let star = authors.intern(Id(9));
        assert!(!authors.is_pulled(star));
        authors.must_pull(star, 100, 90);
        assert!(authors.is_pulled(star) && !authors.is_pulled(star + 1));
        assert_eq!(authors.unabsorbed(star, Absorbed::default(), 0), Some((100, 101)));
        assert_eq!(authors.unabsorbed(star, Absorbed::default(), 100), None);
        let absorbed = Absorbed { changes: authors.pull_changes(), id: 100 };
        assert_eq!(authors.unabsorbed(star, absorbed, 0), None);
        authors.must_pull(star, 120, 110);
        assert_eq!(authors.unabsorbed(star, absorbed, 50), Some((101, 121)));
    }

    #[test]
    fn a_dropped_push_of_an_old_post_is_pulled_although_newer_ids_were_absorbed() {
        let authors = Authors::new();
        let star = authors.intern(Id(9));
        authors.must_pull(star, 100, 300);
        let absorbed = Absorbed { changes: authors.pull_changes(), id: 300 };
        authors.must_pull(star, 80, 300);
        assert_eq!(authors.unabsorbed(star, absorbed, 10), Some((80, 101)));
    }

    #[test]
    fn before_warming_recents_claim_nothing() {
        let authors = Authors::new();
        let author = authors.intern(Id(9));
        let bounds = RecentBounds { count_max: 9, oldest: 0 };
        authors.add_recent(author, Recent { id: 5, related: 0, kind: EntryKind::Plain }, bounds);
        let mut ids = Vec::new();
        assert_eq!(authors.supply(author, u64::MAX, 0, 9, &mut ids), None);
        authors.set_warmed();
        assert_eq!(authors.supply(author, u64::MAX, 0, 9, &mut ids), Some(Older::None));
        assert_eq!(ids, [5]);
    }
}
