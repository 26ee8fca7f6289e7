//! Memory for uploads while they arrive and are processed: shared by people, so that nobody's uploads stop all others,
//! and within a person in the order in which they came, so that none stops all others of theirs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::Id;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::base::error::{Error, Result};
use crate::base::fair::Shares;
use crate::base::limits::media::{
    ROOM_KEPT_PARTS, ROOM_SHARE, ROOM_WAIT_S, UPLOAD_GRACE_S, UPLOAD_RATE_BYTES_MIN, UPLOADS_OF_ONE_MAX,
};

/// The room of all uploads; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Rooms(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Mutex<Pool>,
    freed: Notify,
}

impl Rooms {
    /// Rooms of so many bytes for everybody.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self(Arc::new(Inner { pool: Mutex::new(Pool::new(bytes_max)), freed: Notify::new() }))
    }

    /// Room for an upload of `owner` that begins to arrive and will bring `announced` bytes, or at most so many.
    /// [`Error::Overloaded`] when as many of theirs are under way as may be.
    pub(super) fn room(&self, owner: Id, announced: u64) -> Result<UploadRoom> {
        let number = self.0.pool.lock().enter(owner, announced).ok_or_else(overloaded)?;
        Ok(UploadRoom(Arc::new(Held { rooms: self.clone(), owner, number })))
    }
}

fn overloaded() -> Error {
    metrics::counter!("fanfare_shed_total", "what" => "upload_memory").increment(1);
    Error::Overloaded { reason: "too many uploads at once", retry_after_s: ROOM_WAIT_S as u32 }
}

/// Memory set aside for an upload while it arrives; grows as it does. Clones share it; the last one gives it back.
#[derive(Debug, Clone)]
pub struct UploadRoom(Arc<Held>);

#[derive(Debug)]
struct Held {
    rooms: Rooms,
    owner: Id,
    number: u64,
}

impl UploadRoom {
    /// Makes room for `more` bytes. [`Error::Overloaded`] when uploads of others do not make way in time.
    ///
    /// Where it is an older upload of the same person that stands in the way, this one waits for as long as that takes:
    /// the older one ends, since it is cut when it is slow, and has a time in which others must make way for it.
    pub async fn grow(&self, more: usize) -> Result<()> {
        let Held { rooms, owner, number } = &*self.0;
        let mut oldest_since = None;
        loop {
            let freed = rooms.0.freed.notified();
            tokio::pin!(freed);
            // Before the look: what is given back after it wakes this one.
            freed.as_mut().enable();
            match rooms.0.pool.lock().take(*owner, *number, more as u64) {
                Taken::Yes => return Ok(()),
                Taken::NotYet { is_oldest: true } => {
                    oldest_since.get_or_insert_with(Instant::now);
                }
                Taken::NotYet { is_oldest: false } => {}
            }
            match oldest_since {
                Some(since) => {
                    let until = since + Duration::from_secs(ROOM_WAIT_S);
                    tokio::time::timeout_at(until, freed).await.map_err(|_| overloaded())?;
                }
                None => freed.await,
            }
        }
    }

    /// Everything has arrived, whatever was announced.
    pub fn arrived(&self) {
        let Held { rooms, owner, number } = &*self.0;
        rooms.0.pool.lock().arrived(*owner, *number);
        rooms.0.freed.notify_waiters();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Inner { pool, freed } = &*self.rooms.0;
        pool.lock().leave(self.owner, self.number);
        freed.notify_waiters();
    }
}

/// Memory that all uploads hold.
///
/// People get their shares of the pool. An upload gets more of its owner's share only while all older ones of theirs
/// could still end, one after the other, each with what those before it give back (the banker's rule, with age for the
/// order). So they never hold the share together without one that can go on.
///
/// People at their shares could hold each other up for all that. So the oldest upload of somebody who is at their share
/// gets the rest that it still needs at once, beyond the share, as long as a part of the pool stays free for who comes
/// next.
#[derive(Debug)]
struct Pool {
    shares: Shares<Id>,
    /// Uploads under way, by person, the oldest first.
    uploads: HashMap<Id, BTreeMap<u64, Upload>>,
    next: u64,
    /// Bytes that stay free when somebody gets more than their share.
    kept: u64,
}

#[derive(Debug, Default)]
struct Upload {
    /// Bytes set aside, those that are to come included.
    held: u64,
    /// Bytes of those that are set aside for what is to come.
    ahead: u64,
    /// Bytes that it will bring in all, at most.
    whole: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Taken {
    Yes,
    NotYet { is_oldest: bool },
}

impl Pool {
    fn new(bytes_max: u64) -> Self {
        let (shares, kept) = (Shares::new(bytes_max, ROOM_SHARE), bytes_max / ROOM_KEPT_PARTS);
        Self { shares, uploads: HashMap::new(), next: 0, kept }
    }

    /// The number of one more upload of `owner`, if they may have one more.
    fn enter(&mut self, owner: Id, whole: u64) -> Option<u64> {
        let own = self.uploads.entry(owner).or_default();
        if own.len() >= UPLOADS_OF_ONE_MAX {
            return None;
        }
        self.next += 1;
        own.insert(self.next, Upload { held: 0, ahead: 0, whole });
        Some(self.next)
    }

    fn take(&mut self, owner: Id, number: u64, more: u64) -> Taken {
        let is_oldest = self.uploads.get(&owner).is_none_or(|own| own.range(..number).next().is_none());
        let (held, ahead, whole) = self.of(owner, number);
        let (taken, ahead) = if ahead >= more {
            (0, ahead - more)
        } else if self.older_can_end(owner, number, more) && self.shares.take(owner, more) {
            (more, ahead)
        } else {
            // At its part it gets what it still needs whole, or nothing: so it ends, whoever else is at theirs.
            let rest = whole.saturating_sub(held).max(more - ahead);
            if !is_oldest || !self.shares.take_beyond(owner, rest, self.kept) {
                return Taken::NotYet { is_oldest };
            }
            (rest, ahead + rest - more)
        };
        if let Some(upload) = self.uploads.get_mut(&owner).and_then(|own| own.get_mut(&number)) {
            (upload.held, upload.ahead) = (held + taken, ahead);
        }
        Taken::Yes
    }

    /// Bytes that an upload holds, those of them that are to come, and what it brings in all.
    fn of(&self, owner: Id, number: u64) -> (u64, u64, u64) {
        let upload = self.uploads.get(&owner).and_then(|own| own.get(&number));
        upload.map_or((0, 0, 0), |upload| (upload.held, upload.ahead, upload.whole))
    }

    /// Whether those of `owner` before `number` could end one after the other if that one took `more`.
    fn older_can_end(&self, owner: Id, number: u64, more: u64) -> bool {
        let Some(own) = self.uploads.get(&owner) else { return true };
        let mut free = self.shares.left_of(owner).saturating_sub(more);
        own.range(..number).all(|(_, upload)| {
            let can = upload.whole.saturating_sub(upload.held) <= free;
            free += upload.held;
            can
        })
    }

    fn arrived(&mut self, owner: Id, number: u64) {
        if let Some(upload) = self.uploads.get_mut(&owner).and_then(|own| own.get_mut(&number)) {
            let ahead = std::mem::take(&mut upload.ahead);
            upload.held -= ahead;
            upload.whole = upload.held;
            self.shares.give_back(owner, ahead);
        }
    }

    fn leave(&mut self, owner: Id, number: u64) {
        let Some(own) = self.uploads.get_mut(&owner) else { return };
        let held = own.remove(&number).unwrap_or_default().held;
        if own.is_empty() {
            self.uploads.remove(&owner);
        }
        self.shares.give_back(owner, held);
    }
}

/// Whether an upload that has brought so many bytes in the time that it was waited for is too slow to go on: a few
/// bytes now and then would hold its room for as long as an upload may take.
pub(super) fn is_too_slow(bytes: u64, waited: Duration) -> bool {
    let seconds = waited.as_secs();
    seconds >= UPLOAD_GRACE_S && bytes < seconds * UPLOAD_RATE_BYTES_MIN
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use proptest::prelude::*;

    use super::*;

    const ANN: Id = Id(1);
    const BOB: Id = Id(2);
    const MAX: u64 = 1_000;

    fn room(rooms: &Rooms, owner: Id, announced: u64) -> UploadRoom {
        rooms.room(owner, announced).unwrap()
    }

    #[tokio::test]
    async fn one_person_leaves_room_for_another_whatever_they_hold() {
        let rooms = Rooms::new(MAX);
        let (first, second) = (room(&rooms, ANN, 400), room(&rooms, ANN, 101));
        first.grow(400).await.unwrap();
        second.grow(100).await.unwrap();
        let mut more = Box::pin(second.grow(1));
        assert!(futures_util::poll!(&mut more).is_pending(), "a person has half");
        room(&rooms, BOB, 250).grow(250).await.unwrap();
        drop(first);
        more.await.unwrap();
        drop(second);
        let pool = rooms.0.pool.lock();
        assert!(pool.shares.used() == 0 && pool.uploads.is_empty());
    }

    #[tokio::test]
    async fn who_waits_for_more_than_there_is_holds_nobody_up() {
        let rooms = Rooms::new(MAX);
        let (large, small) = (room(&rooms, ANN, 960), room(&rooms, BOB, 300));
        let mut large = Box::pin(large.grow(960));
        assert!(futures_util::poll!(&mut large).is_pending());
        small.grow(300).await.unwrap();
    }

    /// Each brings its bytes a few at a time, in turns with the others, and lets go when it has all.
    #[tokio::test]
    async fn uploads_of_a_person_at_once_all_end_whatever_they_hold_together() {
        for sizes in [&[160_u64; 4][..], &[500; 4], &[100, 500, 30, 400, 160], &[500, 10, 499, 1]] {
            let rooms = Rooms::new(MAX);
            let uploads = sizes.iter().map(|size| {
                let room = room(&rooms, ANN, *size);
                async move {
                    for _ in 0..*size / 10 {
                        room.grow(10).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
            });
            let all = tokio::time::timeout(Duration::from_secs(ROOM_WAIT_S), join_all(uploads)).await;
            assert!(all.is_ok(), "{sizes:?} wait for each other");
        }
    }

    /// Each of two has more than a third of the room, so that both reach their shares before they have all.
    #[tokio::test]
    async fn two_people_with_large_uploads_at_once_do_not_hold_each_other_up() {
        for sizes in [[350_u64, 350], [400, 400], [390, 500]] {
            let rooms = Rooms::new(MAX);
            let uploads = [ANN, BOB].into_iter().zip(sizes).map(|(owner, size)| {
                let room = room(&rooms, owner, size);
                async move {
                    for _ in 0..size / 10 {
                        room.grow(10).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    // Nobody lets go before both have all.
                    room
                }
            });
            let all = tokio::time::timeout(Duration::from_secs(ROOM_WAIT_S), join_all(uploads)).await;
            assert!(all.is_ok(), "{sizes:?} hold each other up");
            drop(all);
            let pool = rooms.0.pool.lock();
            assert!(pool.shares.used() == 0 && pool.uploads.is_empty());
        }
    }

    #[tokio::test]
    async fn one_that_told_no_length_gives_way_when_it_has_arrived() {
        let rooms = Rooms::new(MAX);
        let (first, second) = (room(&rooms, ANN, 500), room(&rooms, ANN, 100));
        first.grow(10).await.unwrap();
        let mut more = Box::pin(second.grow(100));
        assert!(futures_util::poll!(&mut more).is_pending());
        first.arrived();
        more.await.unwrap();
    }

    #[test]
    fn a_person_has_so_many_uploads_at_once_and_no_more() {
        let rooms = Rooms::new(MAX);
        let mut held: Vec<UploadRoom> = (0..UPLOADS_OF_ONE_MAX).map(|_| room(&rooms, ANN, 1)).collect();
        assert!(matches!(rooms.room(ANN, 1), Err(Error::Overloaded { .. })));
        assert!(rooms.room(BOB, 1).is_ok());
        held.pop();
        assert!(rooms.room(ANN, 1).is_ok());
    }

    proptest! {
        /// Whatever they take in whatever order: the oldest of a person who is alone always goes on, up to its end.
        #[test]
        fn the_oldest_always_goes_on(
            sizes in prop::collection::vec(1..=MAX / 2, 1..8),
            steps in prop::collection::vec((0..8_usize, 1..200_u64), 0..200),
        ) {
            let mut pool = Pool::new(MAX);
            let mut left: BTreeMap<u64, u64> = BTreeMap::new();
            for size in sizes {
                left.insert(pool.enter(ANN, size).unwrap(), size);
            }
            for (which, more) in steps {
                let Some((number, wants)) = left.iter_mut().nth(which) else { continue };
                let more = more.min(*wants);
                if pool.take(ANN, *number, more) == Taken::Yes {
                    *wants -= more;
                }
            }
            for (number, wants) in left {
                prop_assert_eq!(pool.take(ANN, number, wants), Taken::Yes);
                pool.leave(ANN, number);
            }
            prop_assert!(pool.shares.used() == 0 && pool.uploads.is_empty());
        }
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
