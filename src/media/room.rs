//! Memory for uploads while they arrive and are processed: shared by people, so that nobody's uploads stop all others.

use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::Id;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::error::{Error, Result};
use crate::fair::Shares;
use crate::limits::media::{ROOM_SHARE, ROOM_WAIT_S, UPLOAD_GRACE_S, UPLOAD_RATE_BYTES_MIN};

/// The room of all uploads; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shares: Mutex<Shares<Id>>,
    freed: Notify,
}

impl Rooms {
    /// So many bytes for everybody.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self(Arc::new(Inner { shares: Mutex::new(Shares::new(bytes_max, ROOM_SHARE)), freed: Notify::new() }))
    }

    /// Room for an upload of `owner` that begins to arrive.
    pub(super) fn room(&self, owner: Id) -> Room {
        Room(Arc::new(Held { rooms: self.clone(), owner, bytes: Mutex::new(0) }))
    }
}

/// Memory set aside for an upload while it arrives; grows as it does. Clones share it; the last one gives it back.
#[derive(Debug, Clone)]
pub struct Room(Arc<Held>);

#[derive(Debug)]
struct Held {
    rooms: Rooms,
    owner: Id,
    bytes: Mutex<u64>,
}

impl Room {
    /// Makes room for `more` bytes. [`Error::Overloaded`] when other uploads do not make way in time.
    pub async fn grow(&self, more: usize) -> Result<()> {
        let Inner { shares, freed } = &*self.0.rooms.0;
        let more = more as u64;
        let taken = async {
            loop {
                let freed = freed.notified();
                tokio::pin!(freed);
                // Before the look: what is given back after it wakes this one.
                freed.as_mut().enable();
                if shares.lock().take(self.0.owner, more) {
                    *self.0.bytes.lock() += more;
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(ROOM_WAIT_S), taken).await.map_err(|_| {
            metrics::counter!("fanfare_shed_total", "what" => "upload_memory").increment(1);
            Error::Overloaded { reason: "too many uploads at once", retry_after_s: ROOM_WAIT_S as u32 }
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Inner { shares, freed } = &*self.rooms.0;
        shares.lock().give_back(self.owner, *self.bytes.get_mut());
        freed.notify_waiters();
    }
}

/// Whether an upload that has brought so many bytes in the time that it was waited for is too slow to go on: a few bytes now
/// and then would hold its room for as long as an upload may take.
pub(super) fn is_too_slow(bytes: u64, waited: Duration) -> bool {
    let seconds = waited.as_secs();
    seconds >= UPLOAD_GRACE_S && bytes < seconds * UPLOAD_RATE_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Id = Id(1);
    const BOB: Id = Id(2);

    #[tokio::test]
    async fn one_person_leaves_room_for_another_whatever_they_hold() {
        let rooms = Rooms::new(1_000);
        let (first, second) = (rooms.room(ANN), rooms.room(ANN));
        first.grow(400).await.unwrap();
        second.grow(100).await.unwrap();
        let mut more = Box::pin(second.grow(1));
        assert!(futures_util::poll!(&mut more).is_pending(), "a person has half");
        rooms.room(BOB).grow(250).await.unwrap();
        drop(first);
        more.await.unwrap();
        drop(second);
        assert_eq!(rooms.0.shares.lock().used(), 0);
    }

    #[tokio::test]
    async fn who_waits_for_more_than_there_is_holds_nobody_up() {
        let rooms = Rooms::new(1_000);
        let (large, small) = (rooms.room(ANN), rooms.room(BOB));
        let mut large = Box::pin(large.grow(600));
        assert!(futures_util::poll!(&mut large).is_pending());
        small.grow(300).await.unwrap();
    }

    #[test]
    fn a_drip_is_too_slow_after_a_grace_and_a_slow_line_is_not() {
        let waited = |seconds| Duration::from_secs(seconds);
        assert!(!is_too_slow(0, waited(UPLOAD_GRACE_S - 1)));
        // The attack had 20 bytes a second, after as much as fits at once.
        assert!(is_too_slow(20 * UPLOAD_GRACE_S, waited(UPLOAD_GRACE_S)));
        assert!(is_too_slow((100 << 10) + 20 * 110, waited(110)));
        // 2G.
        for seconds in [10, 60, 600] {
            assert!(!is_too_slow(2_000 * seconds, waited(seconds)), "{seconds}");
        }
    }
}
