//! Room on the disk under an engine: looked at before something is written, so that a full disk refuses writes instead
//! of breaking one in the middle.
//!
//! Two marks. Below the margin the server refuses what adds something, and goes on with what takes something away;
//! below half of it the engine itself takes nothing but deletes and what it cannot be opened without. The rest is for
//! what a store writes by itself: its log, sorted files, compactions.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time for which a look at the disk holds where nothing is written.
const LOOK_HOLDS: Duration = Duration::from_millis(100);
/// Time for which it holds where the engine writes: others may write there too.
const LOOK_HOLDS_WRITING: Duration = Duration::from_millis(10);
/// Part of the margin that the engine may write between two looks.
const MARGIN_PART: u64 = 16;

type Ask = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// Free bytes of a disk, and the margin that is kept free.
pub struct DiskRoom {
    /// Free bytes now; `None` when nobody can say.
    ask: Ask,
    margin_bytes: u64,
    begun: Instant,
    /// Milliseconds since `begun` at the last look, plus one; 0 before there was one.
    looked_ms: AtomicU64,
    free_bytes: AtomicU64,
    /// Bytes that the engine wrote since.
    written_bytes: AtomicU64,
}

impl DiskRoom {
    /// Room that never ends: for engines that do not write to a disk.
    #[must_use]
    pub fn endless() -> Self {
        Self::told_by(|| None, 0)
    }

    /// Room of the disks that hold `folders`, of each of which `margin_bytes` stay free: the one with the least counts.
    #[must_use]
    pub fn of_disks(folders: Vec<PathBuf>, margin_bytes: u64) -> Self {
        let free = |folder: &PathBuf| {
            let disk = rustix::fs::statvfs(folder).ok()?;
            // What is there for those who are not root.
            disk.f_bavail.checked_mul(disk.f_frsize)
        };
        Self::told_by(move || folders.iter().filter_map(free).min(), margin_bytes)
    }

    /// Room of which `ask` tells the free bytes.
    #[must_use]
    pub fn told_by(ask: impl Fn() -> Option<u64> + Send + Sync + 'static, margin_bytes: u64) -> Self {
        let (looked_ms, free_bytes) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let written_bytes = AtomicU64::new(0);
        Self { ask: Box::new(ask), margin_bytes, begun: Instant::now(), looked_ms, free_bytes, written_bytes }
    }

    /// Looks at the disk: some microseconds for each folder. Where nobody can say how much is free, there is room.
    pub fn look(&self) -> u64 {
        // Before it asks: what is written meanwhile counts, though it may be in the answer already.
        self.written_bytes.store(0, Ordering::Relaxed);
        let free = (self.ask)().unwrap_or(u64::MAX);
        self.free_bytes.store(free, Ordering::Relaxed);
        self.looked_ms.store(self.now_ms() + 1, Ordering::Relaxed);
        free
    }

    /// Free bytes, as of a moment ago at most.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        self.free_bytes_within(LOOK_HOLDS)
    }

    /// Free bytes, as of so long ago at most.
    fn free_bytes_within(&self, holds: Duration) -> u64 {
        let looked_ms = self.looked_ms.load(Ordering::Relaxed);
        let holds = u64::try_from(holds.as_millis()).unwrap_or(u64::MAX);
        if looked_ms > 0 && self.now_ms() < looked_ms + holds {
            return self.free_bytes.load(Ordering::Relaxed);
        }
        self.look()
    }

    /// Whether something of `bytes` may be added.
    #[must_use]
    pub fn has(&self, bytes: u64) -> bool {
        self.margin_bytes == 0 || self.free_bytes() >= self.margin_bytes.saturating_add(bytes)
    }

    /// Looks whether the engine takes writes at all, of which the next are `bytes`; answers the free bytes if not.
    /// There are thousands of commits a second, and a look costs more than some of them: so one holds for a moment.
    /// What the engine wrote since counts, and nothing is refused but after a look of its own.
    pub(crate) fn lacks(&self, bytes: u64) -> Option<u64> {
        if self.margin_bytes == 0 {
            return None;
        }
        let mut free = self.free_bytes_within(LOOK_HOLDS_WRITING);
        let written = self.written_bytes.load(Ordering::Relaxed);
        // A store writes more than it is given, and later: so little of it may come between two looks.
        if written > self.margin_bytes / MARGIN_PART || free.saturating_sub(written) < self.margin_bytes / 2 {
            free = self.look();
        }
        if free < self.margin_bytes / 2 {
            return Some(free);
        }
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        None
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_adds_ends_at_the_margin_and_the_engine_at_half_of_it() {
        let free = Arc::new(AtomicU64::new(0));
        let told = Arc::clone(&free);
        let room = DiskRoom::told_by(move || Some(told.load(Ordering::Relaxed)), 100);
        for (bytes, adds, adds_much, takes) in
            [(200, true, true, true), (100, true, false, true), (99, false, false, true), (49, false, false, false)]
        {
            free.store(bytes, Ordering::Relaxed);
            // So much is written that it looks again at once.
            room.written_bytes.store(100, Ordering::Relaxed);
            assert_eq!(room.lacks(1).is_none(), takes, "{bytes}");
            assert_eq!((room.has(0), room.has(100)), (adds, adds_much), "{bytes}");
        }
        assert!(DiskRoom::endless().has(u64::MAX) && DiskRoom::endless().lacks(u64::MAX).is_none());
    }

    /// Of a disk on which each look takes a hold of its own, with a margin of 1,600 bytes.
    fn counted(free_bytes: u64) -> (DiskRoom, Arc<AtomicU64>, Arc<AtomicU64>) {
        let (free, looks) = (Arc::new(AtomicU64::new(free_bytes)), Arc::new(AtomicU64::new(0)));
        let (told, asked) = (Arc::clone(&free), Arc::clone(&looks));
        let ask = move || {
            asked.fetch_add(1, Ordering::Relaxed);
            Some(told.load(Ordering::Relaxed))
        };
        let mut room = DiskRoom::told_by(ask, 1_600);
        // Its time stands nearly still for the test: a look was a moment ago.
        room.begun = Instant::now() + Duration::from_secs(3_600);
        (room, free, looks)
    }

    #[test]
    fn a_look_holds_until_much_was_written() {
        let (room, _, looks) = counted(10_000);
        for (bytes, looked) in [(60, 1), (40, 1), (1, 1), (8_000, 2), (1, 3), (1, 3)] {
            assert_eq!(room.lacks(bytes), None);
            assert_eq!(looks.load(Ordering::Relaxed), looked, "{bytes}");
        }
    }

    #[test]
    fn what_was_written_since_the_look_counts_and_a_refusal_is_looked_for() {
        let (room, free, looks) = counted(850);
        assert_eq!((room.lacks(50), looks.load(Ordering::Relaxed)), (None, 1));
        assert_eq!((room.lacks(1), looks.load(Ordering::Relaxed)), (None, 1), "just half of the margin is left");
        assert_eq!((room.lacks(1), looks.load(Ordering::Relaxed)), (None, 2), "it may be less by now: it is not");
        free.store(799, Ordering::Relaxed);
        assert_eq!(room.lacks(1), None, "nobody told");
        room.written_bytes.fetch_add(60, Ordering::Relaxed);
        assert_eq!(room.lacks(0), Some(799));
        assert_eq!(room.lacks(0), Some(799), "what is refused is not written: but it is looked for each time");
        assert_eq!(looks.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn a_look_of_ten_milliseconds_ago_is_old_for_the_engine_and_none_of_them_for_others() {
        let (mut room, free, _) = counted(10_000);
        room.begun = Instant::now();
        assert_eq!(room.lacks(1), None);
        free.store(1, Ordering::Relaxed);
        room.begun -= LOOK_HOLDS_WRITING + Duration::from_millis(1);
        assert_eq!(room.lacks(1), Some(1));
    }

    #[test]
    fn a_disk_says_how_much_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let room = DiskRoom::of_disks(vec![folder.path().to_owned()], 1);
        assert!(room.free_bytes() < u64::MAX);
        let gone = DiskRoom::of_disks(vec![folder.path().join("gone")], 1);
        assert_eq!(gone.free_bytes(), u64::MAX);
    }
}
