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
        Self { ask: Box::new(ask), margin_bytes, begun: Instant::now(), looked_ms, free_bytes }
    }

    /// Looks at the disk: about a microsecond. Where nobody can say how much is free, there is room.
    pub fn look(&self) -> u64 {
        let free = (self.ask)().unwrap_or(u64::MAX);
        self.free_bytes.store(free, Ordering::Relaxed);
        self.looked_ms.store(self.now_ms() + 1, Ordering::Relaxed);
        free
    }

    /// Free bytes, as of a moment ago at most.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let looked_ms = self.looked_ms.load(Ordering::Relaxed);
        let holds = u64::try_from(LOOK_HOLDS.as_millis()).unwrap_or(u64::MAX);
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

    /// Looks whether the engine takes writes at all; answers the free bytes if not.
    pub(crate) fn lacks(&self) -> Option<u64> {
        let free = self.look();
        (free < self.margin_bytes / 2).then_some(free)
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
            assert_eq!(room.lacks().is_none(), takes, "{bytes}");
            assert_eq!((room.has(0), room.has(100)), (adds, adds_much), "{bytes}");
        }
        assert!(DiskRoom::endless().has(u64::MAX) && DiskRoom::endless().lacks().is_none());
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
