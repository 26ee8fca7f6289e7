//! Horizon: the id at or below which nothing can settle any more, one number a node.
//!
//! It is the last record that views have heard of. While nothing happens it moves on with time, by burning ids: under
//! the mint's lock, and only when nothing that has an id is still on its way. So no clock leaves a cursor above ids
//! that come.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanfare_protocol::Id;
use tokio::sync::Notify;

use crate::base::id::unix_ms_of;
use crate::log::mint::Mint;

/// Milliseconds by which the horizon may be behind the time before whoever connects waits for it.
const BEHIND_MS_MAX: u64 = 10_000;
/// Least time between two reservations of a node that is asked and otherwise idle.
const RESERVE_PAUSE: Duration = Duration::from_millis(100);

/// Horizon of a node; clones share it. Of a log that is not open yet it is 0.
#[derive(Clone, Default)]
pub struct Horizon(Arc<Shared>);

#[derive(Default)]
struct Shared {
    id: AtomicU64,
    /// Groups that have ids and are not settled. Raised under the mint's lock.
    under_way: AtomicU64,
    mint: OnceLock<Mint>,
    /// Less than half is reserved of the time that somebody asks for.
    wants_more: Notify,
}

impl Horizon {
    /// The horizon now, moved on with time where nothing is on its way. What is read after this call has all that is at
    /// or below the answer.
    #[must_use]
    pub fn now(&self) -> Id {
        let quiet = || self.0.under_way.load(Ordering::Acquire) == 0;
        if let Some(mint) = self.0.mint.get()
            && let Some(burnt) = mint.burn_to_now(self.reached(), quiet)
        {
            self.0.id.fetch_max(burnt.0, Ordering::AcqRel);
            if !mint.is_reserved() {
                self.0.wants_more.notify_one();
            }
        }
        self.reached()
    }

    /// Comes up to now, with a reservation if nobody has asked for long. Where storage takes none, or something is on
    /// its way, the horizon stays where it is.
    pub async fn catch_up(&self) {
        let Some(mint) = self.0.mint.get() else { return };
        let behind_ms = mint.now_ms().saturating_sub(unix_ms_of(self.now()));
        if behind_ms > BEHIND_MS_MAX && self.0.under_way.load(Ordering::Acquire) == 0 {
            reserve(mint).await;
            let _ = self.now();
        }
    }

    /// Keeps time reserved for as long as somebody asks for the horizon. Without end.
    pub async fn keep_reserved(self) {
        loop {
            self.0.wants_more.notified().await;
            if let Some(mint) = self.0.mint.get() {
                reserve(mint).await;
            }
            tokio::time::sleep(RESERVE_PAUSE).await;
        }
    }

    /// The horizon as it was last moved.
    #[must_use]
    pub fn reached(&self) -> Id {
        Id(self.0.id.load(Ordering::Acquire))
    }

    /// A log was opened in which everything up to `last` is settled.
    pub(super) fn open(&self, mint: Mint, last: Id) {
        self.0.id.fetch_max(last.0, Ordering::AcqRel);
        // A handle is of one log for its life.
        let _ = self.0.mint.set(mint);
    }

    /// A group got its ids. To be called under the mint's lock.
    pub(super) fn numbered(&self) {
        self.0.under_way.fetch_add(1, Ordering::AcqRel);
    }

    /// Everything up to `last` is settled, and views have heard of it.
    pub(super) fn reach(&self, last: Id) {
        self.0.id.fetch_max(last.0, Ordering::AcqRel);
    }

    /// A group that got its ids is through: what is not settled of it never will be.
    pub(super) fn through(&self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn reserve(mint: &Mint) {
    if let Err(error) = mint.keep_reserved().await {
        tracing::debug!(%error, "no time is reserved: the horizon stands until something is committed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::base::id::{EPOCH_MS, first_id_at};
    use crate::log::mint::Numbers;

    async fn opened(clock: &Clock) -> (Mint, Horizon) {
        let engines = fanfare_engines::memory::open(1).unwrap();
        let mint = Mint::open(engines.tables, clock.clone(), Numbers::of_node(0), Id(0)).await.unwrap();
        let horizon = Horizon::default();
        horizon.open(mint.clone(), Id(7));
        (mint, horizon)
    }

    #[tokio::test]
    async fn it_moves_on_with_time_unless_something_is_on_its_way() {
        let start_ms = EPOCH_MS + 1_000_000;
        let clock = Clock::by_hand(start_ms);
        assert_eq!(Horizon::default().now(), Id(0), "before there is a log");
        let (mint, horizon) = opened(&clock).await;
        let number = || {
            mint.number(|next| {
                horizon.numbered();
                next(None)
            })
        };
        let first = horizon.now();
        assert!(first >= first_id_at(start_ms - 1));
        assert_eq!(horizon.now(), first, "no time has passed");

        clock.set(start_ms + 50);
        let record = number();
        assert!(record > first, "what is burnt is never minted");
        clock.set(start_ms + 90);
        assert_eq!(horizon.now(), first, "a record below now is not settled");
        horizon.reach(record);
        horizon.through();
        assert!(horizon.now() >= first_id_at(start_ms + 89));

        let after = horizon.now();
        clock.set(start_ms + 100);
        number();
        assert_eq!(horizon.now(), after);
        horizon.through();
        assert!(horizon.now() > after, "what was refused holds nothing up");
    }

    #[tokio::test]
    async fn it_stands_at_the_end_of_what_is_reserved_and_asks_for_more() {
        let start_ms = EPOCH_MS + 1_000_000;
        let clock = Clock::stand_in(start_ms);
        let (_, horizon) = opened(&clock).await;
        clock.pass(60_000);
        assert_eq!(horizon.now(), Id(7), "nothing is reserved");
        horizon.catch_up().await;
        assert!(horizon.now() >= first_id_at(start_ms + 60_000 - 1), "whoever connects waits for it");
        clock.pass(60_000);
        let keeping = tokio::spawn(horizon.clone().keep_reserved());
        while horizon.now() < first_id_at(start_ms + 120_000 - 1) {
            tokio::task::yield_now().await;
        }
        keeping.abort();
    }
}
