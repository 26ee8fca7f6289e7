//! Materialised timelines: one slot an active reader, in shards with a lock each.
//!
//! A slot is the shard in the high bits and the place in the low ones, so that fan-out over a sorted slot list takes
//! each shard's lock once. Rings stand apart from the rest of a timeline: the scatter loop touches nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use super::authors::Absorbed;
use super::interner::UserIndex;
use super::relations::{Change, ReaderRelations};
use super::ring::{Entry, Ring};
use crate::base::slot_list::Slot;

/// Bits of a slot that name the shard, most significant first.
const SHARD_BITS: u32 = 6;
const SHARD_SHIFT: u32 = Slot::BITS - SHARD_BITS;
/// Shards at most; fewer leave higher numbers unused.
const SHARDS_MAX: usize = 1 << SHARD_BITS;
/// Slots whose cache misses overlap in the scatter loop: their lines fit the nearest cache.
const SCATTER_GROUP: usize = 128;
/// Timelines looked at to find one to evict: the least recently used of so many.
const EVICT_SAMPLE: usize = 16;

/// Life of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Free,
    /// Relations are being loaded; changes are recorded.
    Loading,
    /// Subscribed; changes apply at once; entries are being collected.
    Collecting,
    Ready,
}

#[derive(Debug)]
struct Header {
    reader: UserIndex,
    state: State,
    /// Whether what was built is no longer right in a way that cannot be mended: build again.
    stale: bool,
    /// Grows with each use of any slot, so that what was meant for an earlier timeline is recognised.
    serial: u64,
    last_used_ms: u64,
    absorbed: Absorbed,
    relations: Arc<ReaderRelations>,
    /// Followees whose posts above the floor the next read merges in, each with the number of the follow.
    pending: Vec<(UserIndex, u32)>,
    follows_seen: u32,
    recorded: Vec<Change>,
}

#[derive(Default)]
struct Shard {
    rings: Vec<Ring>,
    headers: Vec<Header>,
    free: Vec<u32>,
    /// Bytes of all rings and relations.
    heap_bytes: usize,
}

/// Timeline at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Slot of the timeline.
    pub slot: Slot,
    /// Serial number of the timeline: each that ever was has its own.
    serial: u64,
}

/// A copy of a timeline to read from.
#[derive(Debug, Clone)]
pub struct View {
    /// The timeline it was copied from.
    pub lease: Lease,
    /// Unsorted and with repeats at first; sort with `ring::newest_first`.
    pub entries: Vec<Entry>,
    /// The entries are complete above this id.
    pub floor: u64,
    /// Relations that decide what the reader may see.
    pub relations: Arc<ReaderRelations>,
    /// State up to which pull intervals are in.
    pub absorbed: Absorbed,
    /// Followees to merge in, with the number of the follow.
    pub pending: Vec<(UserIndex, u32)>,
}

/// Effect of [`Timelines::change`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// No such timeline, a change that changed nothing, or one that was recorded for the build.
    Nothing,
    /// The relations are changed; subscriptions must follow.
    Relations,
    /// The relations are changed, and the timeline must be evicted: too much to mend.
    Stale,
}

/// Bounds of what one timeline keeps beside its entries.
#[derive(Debug, Clone, Copy)]
pub struct TimelineBounds {
    /// Follows that wait for the next read; beyond it the timeline goes stale.
    pub pending_follows_max: usize,
    /// Changes recorded while relations are loaded; beyond it the timeline goes stale.
    pub recorded_changes_max: usize,
}

/// All timelines.
pub struct Timelines {
    bounds: TimelineBounds,
    shards: Box<[Mutex<Shard>]>,
    cap: u32,
    count: AtomicUsize,
    serials: AtomicU64,
    hand: AtomicUsize,
}

impl Timelines {
    /// No timelines yet; each will hold up to `cap` entries (at least 1). With few shards fan-out visits more slots a
    /// lock, with many readers meet less.
    #[must_use]
    pub fn new(cap: usize, shards: usize, bounds: TimelineBounds) -> Self {
        Self {
            bounds,
            shards: (0..shards.clamp(1, SHARDS_MAX)).map(|_| Mutex::default()).collect(),
            cap: u32::try_from(cap).unwrap_or(u32::MAX).max(1),
            count: AtomicUsize::new(0),
            serials: AtomicU64::new(0),
            hand: AtomicUsize::new(0),
        }
    }

    /// Timelines in use, those being built included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Bytes of all timelines, without their entries in slot lists.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            shard.heap_bytes
                + shard.headers.capacity() * size_of::<Header>()
                + shard.rings.capacity() * size_of::<Ring>()
        };
        self.shards.iter().map(bytes).sum()
    }

    /// Entries in all rings. Walks them: for operators.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().rings.iter().map(Ring::len).sum::<usize>()).sum()
    }

    /// Takes a slot for a timeline that is going to be built: its ring takes entries, its changes are recorded.
    pub fn allocate(&self, reader: UserIndex, now_ms: u64) -> Lease {
        let serial = self.serials.fetch_add(1, Ordering::Relaxed) + 1;
        let number = reader as usize % self.shards.len();
        let mut shard = self.shards[number].lock();
        let header = Header {
            reader,
            state: State::Loading,
            stale: false,
            serial,
            last_used_ms: now_ms,
            absorbed: Absorbed::default(),
            relations: Arc::default(),
            pending: Vec::new(),
            follows_seen: 0,
            recorded: Vec::new(),
        };
        let place = if let Some(place) = shard.free.pop() {
            shard.headers[place as usize] = header;
            shard.rings[place as usize] = Ring::default();
            place
        } else {
            shard.headers.push(header);
            shard.rings.push(Ring::default());
            shard.headers.len() as u32 - 1
        };
        self.count.fetch_add(1, Ordering::Relaxed);
        Lease { slot: (number as u32) << SHARD_SHIFT | place, serial }
    }

    /// Ends the recording: `loaded` with the recorded changes replayed. `None`: something changed that cannot be
    /// replayed, start again. The caller subscribes the slot and then calls [`subscribed`](Self::subscribed), all under
    /// the reader's lock, so that nothing changes in between.
    #[must_use]
    pub fn replay(&self, lease: Lease, mut loaded: ReaderRelations) -> Option<ReaderRelations> {
        let mut shard = self.shard(lease.slot);
        let header = shard.header(lease)?;
        if header.stale {
            return None;
        }
        for change in std::mem::take(&mut header.recorded) {
            loaded.apply(change);
        }
        Some(loaded)
    }

    /// The slot is subscribed to all followees: from now on changes apply at once.
    pub fn subscribed(&self, lease: Lease, relations: ReaderRelations) {
        let mut shard = self.shard(lease.slot);
        let Some(header) = shard.header(lease) else { return };
        header.relations = Arc::new(relations);
        header.state = State::Collecting;
        let bytes = header.relations.heap_bytes();
        shard.heap_bytes += bytes;
    }

    /// Merges what was collected with what was pushed meanwhile: the timeline is ready. `None`: it went stale.
    pub fn finish(&self, lease: Lease, collected: &[Entry], floor: u64, absorbed: Absorbed) -> Option<View> {
        let mut shard = self.shard(lease.slot);
        let header = shard.header(lease).filter(|header| !header.stale)?;
        header.state = State::Ready;
        header.absorbed = absorbed;
        shard.absorb(place_of(lease.slot), collected, floor, self.cap);
        Some(shard.view(lease))
    }

    /// A copy of the reader's timeline, if it is ready.
    #[must_use]
    pub fn view(&self, slot: Slot, reader: UserIndex, now_ms: u64) -> Option<View> {
        let mut shard = self.shard(slot);
        let serial = shard.used(slot, reader, now_ms)?.serial;
        Some(shard.view(Lease { slot, serial }))
    }

    /// Relations of `reader`, whose timeline is in `slot`, if it is ready.
    pub fn relations(&self, slot: Slot, reader: UserIndex, now_ms: u64) -> Option<Arc<ReaderRelations>> {
        Some(Arc::clone(&self.shard(slot).used(slot, reader, now_ms)?.relations))
    }

    /// Merges what a read gathered: entries of the `resolved` follows and of pull intervals up to `absorbed`. Answers a
    /// fresh copy, `None` when the timeline is gone.
    pub fn absorb(
        &self,
        lease: Lease,
        gathered: &[Entry],
        floor_min: u64,
        resolved: &[(UserIndex, u32)],
        absorbed: Absorbed,
    ) -> Option<View> {
        let mut shard = self.shard(lease.slot);
        let header = shard.header(lease).filter(|header| header.state == State::Ready)?;
        header.pending.retain(|follow| !resolved.contains(follow));
        if header.pending.is_empty() {
            header.pending = Vec::new();
        }
        header.absorb_intervals(absorbed);
        shard.absorb(place_of(lease.slot), gathered, floor_min, self.cap);
        Some(shard.view(lease))
    }

    /// The timeline lacks nothing of the pull intervals up to `absorbed`.
    pub fn set_absorbed(&self, lease: Lease, absorbed: Absorbed) {
        if let Some(header) = self.shard(lease.slot).header(lease) {
            header.absorb_intervals(absorbed);
        }
    }

    /// Applies a change of the relations of `reader`, whose timeline is in `slot`.
    pub fn change(&self, slot: Slot, reader: UserIndex, change: Change) -> Changed {
        let mut shard = self.shard(slot);
        let Some(header) = shard.headers.get_mut(place_of(slot)).filter(|header| header.reader == reader) else {
            return Changed::Nothing;
        };
        match header.state {
            State::Free => return Changed::Nothing,
            State::Loading => {
                header.recorded.push(change);
                header.stale |= header.recorded.len() > self.bounds.recorded_changes_max;
                return Changed::Nothing;
            }
            State::Collecting | State::Ready => {}
        }
        let before = header.relations.heap_bytes();
        let mut relations = ReaderRelations::clone(&header.relations);
        if !relations.apply(change) {
            return Changed::Nothing;
        }
        header.relations = Arc::new(relations);
        let after = header.relations.heap_bytes();
        if let Change::Follow(followee) = change {
            header.follows_seen = header.follows_seen.wrapping_add(1);
            header.pending.retain(|(pending, _)| *pending != followee);
            header.pending.push((followee, header.follows_seen));
            header.stale |= header.pending.len() > self.bounds.pending_follows_max;
        }
        let stale = header.stale;
        shard.heap_bytes = shard.heap_bytes + after - before;
        if stale { Changed::Stale } else { Changed::Relations }
    }

    /// Marks what is built for `reader` as to be built again. A timeline that is being built notices by itself; a ready
    /// one is the caller's to evict.
    pub fn mark_stale(&self, slot: Slot, reader: UserIndex) {
        let mut shard = self.shard(slot);
        if let Some(header) = shard.headers.get_mut(place_of(slot)).filter(|header| header.reader == reader) {
            header.stale = true;
        }
    }

    /// The relations and lease of the reader's ready timeline: the first step of its eviction, under the reader's lock.
    #[must_use]
    pub fn ready(&self, slot: Slot, reader: UserIndex) -> Option<(Lease, Arc<ReaderRelations>)> {
        let shard = self.shard(slot);
        let header = shard
            .headers
            .get(place_of(slot))
            .filter(|header| header.reader == reader && header.state == State::Ready)?;
        Some((Lease { slot, serial: header.serial }, Arc::clone(&header.relations)))
    }

    /// The relations of a timeline that a builder gives up.
    #[must_use]
    pub fn abandoned(&self, lease: Lease) -> Option<Arc<ReaderRelations>> {
        self.shard(lease.slot).header(lease).map(|header| Arc::clone(&header.relations))
    }

    /// Frees a slot, which must no longer be subscribed to anybody.
    pub fn free(&self, lease: Lease) {
        let mut shard = self.shard(lease.slot);
        let Some(header) = shard.header(lease) else { return };
        header.state = State::Free;
        header.serial = 0;
        let relations = std::mem::take(&mut header.relations);
        header.pending = Vec::new();
        header.recorded = Vec::new();
        let place = place_of(lease.slot);
        let ring = std::mem::replace(&mut shard.rings[place], Ring::closed());
        shard.heap_bytes -= ring.heap_bytes() + relations.heap_bytes();
        shard.free.push(place as u32);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Pushes one entry into the reader's own timeline.
    pub fn push_own(&self, slot: Slot, reader: UserIndex, entry: Entry) {
        let mut shard = self.shard(slot);
        let place = place_of(slot);
        if shard.headers.get(place).is_some_and(|header| header.reader == reader) {
            let grown = shard.rings[place].push(entry, self.cap);
            shard.heap_bytes += grown;
        }
    }

    /// Pushes one entry into many timelines; `slots` sorted. The hot loop of the product.
    ///
    /// Two passes over each group: the first only reads where the second will write, so that the cache misses of a
    /// group overlap instead of queueing up. A group spans shards where a list is short; only here several shards are
    /// locked at once, always in ascending order.
    pub fn scatter(&self, slots: &[Slot], entry: Entry) {
        for group in slots.chunks(SCATTER_GROUP) {
            let mut rest = group;
            let mut runs: SmallVec<[(MutexGuard<'_, Shard>, &[Slot]); 8]> = SmallVec::new();
            while let Some(first) = rest.first() {
                let number = first >> SHARD_SHIFT;
                let (run, others) = rest.split_at(rest.partition_point(|slot| slot >> SHARD_SHIFT == number));
                runs.push((self.shards[number as usize].lock(), run));
                rest = others;
            }
            let mut touched = 0;
            for (shard, run) in &runs {
                let rings = shard.rings.as_slice();
                for slot in *run {
                    touched ^= rings.get(place_of(*slot)).map_or(0, Ring::touch);
                }
            }
            std::hint::black_box(touched);
            for (shard, run) in &mut runs {
                let (mut grown, rings) = (0, shard.rings.as_mut_slice());
                for slot in *run {
                    if let Some(ring) = rings.get_mut(place_of(*slot)) {
                        grown += ring.push(entry, self.cap);
                    }
                }
                shard.heap_bytes += grown;
            }
        }
    }

    /// A ready timeline to evict: the least recently used of the next few, going round. `None`: none is ready nearby.
    #[must_use]
    pub fn victim(&self) -> Option<(UserIndex, Slot)> {
        let mut best: Option<(u64, UserIndex, Slot)> = None;
        let mut seen = 0;
        for _ in 0..self.shards.len() {
            let turn = self.hand.fetch_add(1, Ordering::Relaxed);
            let number = turn % self.shards.len();
            let shard = self.shards[number].lock();
            let len = shard.headers.len();
            for step in 0..len.min(EVICT_SAMPLE) {
                let place = (turn / self.shards.len() * EVICT_SAMPLE + step) % len;
                let header = &shard.headers[place];
                if header.state == State::Ready {
                    seen += 1;
                    if best.is_none_or(|(used, ..)| header.last_used_ms < used) {
                        best =
                            Some((header.last_used_ms, header.reader, (number as u32) << SHARD_SHIFT | place as u32));
                    }
                }
            }
            if seen >= EVICT_SAMPLE {
                break;
            }
        }
        best.map(|(_, reader, slot)| (reader, slot)).or_else(|| self.any_ready())
    }

    /// Up to `max` ready timelines that were last used before `before_ms`.
    #[must_use]
    pub fn idle(&self, before_ms: u64, max: usize) -> Vec<(UserIndex, Slot)> {
        let mut found = Vec::new();
        for (number, shard) in self.shards.iter().enumerate() {
            for (place, header) in shard.lock().headers.iter().enumerate() {
                if found.len() == max {
                    return found;
                }
                if header.state == State::Ready && header.last_used_ms < before_ms {
                    found.push((header.reader, (number as u32) << SHARD_SHIFT | place as u32));
                }
            }
        }
        found
    }

    fn any_ready(&self) -> Option<(UserIndex, Slot)> {
        self.idle(u64::MAX, 1).pop()
    }

    fn shard(&self, slot: Slot) -> MutexGuard<'_, Shard> {
        self.shards[(slot >> SHARD_SHIFT) as usize].lock()
    }

    /// Bytes on the heap and entries of one timeline, without its entries in slot lists.
    #[must_use]
    pub fn usage_of(&self, slot: Slot) -> (usize, usize) {
        let shard = self.shard(slot);
        let place = place_of(slot);
        let header = shard.headers.get(place).map_or(0, |header| {
            let pending = header.pending.capacity() * size_of::<(UserIndex, u32)>();
            size_of::<Header>() + size_of::<ReaderRelations>() + header.relations.heap_bytes() + pending
        });
        let ring = shard.rings.get(place).map_or((0, 0), |ring| (size_of::<Ring>() + ring.heap_bytes(), ring.len()));
        (header + ring.0, ring.1)
    }
}

impl Header {
    fn absorb_intervals(&mut self, absorbed: Absorbed) {
        // Both hold on their own: every change up to the number, every regular id up to the id.
        self.absorbed.changes = self.absorbed.changes.max(absorbed.changes);
        self.absorbed.id = self.absorbed.id.max(absorbed.id);
    }
}

impl Shard {
    fn header(&mut self, lease: Lease) -> Option<&mut Header> {
        self.headers.get_mut(place_of(lease.slot)).filter(|header| header.serial == lease.serial)
    }

    /// The timeline of `reader` if it is ready, of which use is made now.
    fn used(&mut self, slot: Slot, reader: UserIndex, now_ms: u64) -> Option<&Header> {
        let header = self.headers.get_mut(place_of(slot))?;
        if header.reader != reader || header.state != State::Ready || header.stale {
            return None;
        }
        header.last_used_ms = now_ms;
        Some(header)
    }

    fn absorb(&mut self, place: usize, entries: &[Entry], floor_min: u64, cap: u32) {
        let grown = self.rings[place].absorb(entries, floor_min, cap);
        self.heap_bytes = self.heap_bytes.saturating_add_signed(grown);
    }

    fn view(&self, lease: Lease) -> View {
        let place = place_of(lease.slot);
        let (header, ring) = (&self.headers[place], &self.rings[place]);
        let mut entries = Vec::new();
        ring.copy_into(&mut entries);
        View {
            lease,
            entries,
            floor: ring.floor(),
            relations: Arc::clone(&header.relations),
            absorbed: header.absorbed,
            pending: header.pending.clone(),
        }
    }
}

fn place_of(slot: Slot) -> usize {
    (slot & ((1 << SHARD_SHIFT) - 1)) as usize
}
