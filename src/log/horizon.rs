//! Horizon: the id at or below which nothing can settle any more, one number a node.
//!
//! It is the last record that views have heard of, or what lies below everything that is on its way in any partition of
//! the family. While nothing happens it moves on with time, by burning ids: under the mint's lock, and only when
//! nothing that has an id is still on its way. So no clock leaves a cursor above ids that come. All partitions that a
//! node owns have their ids from its one mint, so none that is idle holds the horizon back.
//!
//! Where other nodes own some of the partitions no mint knows what comes. There it is the lowest of the last records
//! that views have heard of from each partition, and moves with records alone.
//!
//! Rows that follow from a record in other partitions are keyed by that record's id. So a record is *held* from when
//! it is settled until those are too: the horizon that is shown stays below it, and answers do not wait for that.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanfare_engines::Partition;
use fanfare_protocol::Id;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::base::id::unix_ms_of;
use crate::log::mint::Mint;

/// Milliseconds by which the horizon may be behind the time before whoever connects waits for it.
const BEHIND_MS_MAX: u64 = 10_000;
/// Least time between two reservations of a node that is asked and otherwise idle.
const RESERVE_PAUSE: Duration = Duration::from_millis(100);

/// Horizon of a family on a node; clones share it. Of a log that is not open yet it is 0.
#[derive(Clone, Default)]
pub struct Horizon(Arc<Shared>);

#[derive(Default)]
struct Shared {
    id: AtomicU64,
    /// Horizon without what is held.
    records: AtomicU64,
    /// Horizon that views were told of: they have not heard what burnt ids moved on.
    told: AtomicU64,
    /// Told when the horizon moves on.
    moved: Notify,
    /// Held while views are told.
    telling: Mutex<()>,
    /// Views that hear of it when the horizon moves on and nothing is committed.
    views: OnceLock<Views>,
    /// Changed under the mint's lock where something is added.
    under_way: Mutex<UnderWay>,
    /// Whether other nodes own some of the partitions.
    is_of_many: AtomicBool,
    mint: OnceLock<Mint>,
    /// Less than half is reserved of the time that somebody asks for.
    wants_more: Notify,
}

/// Views, as they are told of a horizon.
type Views = Box<dyn Fn(Id) + Send + Sync>;

/// Groups on their way, and the end of what was.
#[derive(Default)]
struct UnderWay {
    /// Groups that have ids and are not settled: the partition, and the first id.
    groups: Vec<(Partition, Id)>,
    /// Records that are settled, of which something follows that is not.
    held: Vec<HeldRecords>,
    /// The last id that was settled.
    top: Id,
    /// The last ids that were settled of each partition, where other nodes own some: there no mint knows what comes.
    lasts: Vec<(Partition, Id)>,
    /// Partitions of which what follows is told no further.
    untold: Vec<Partition>,
    /// The highest id of a record there that is more than a sign of life.
    news: Id,
    #[cfg(test)]
    shows_the_highest: bool,
}

/// Records of a partition that became settled together, of which something follows: the first whose effects may not be
/// settled, and the last.
struct HeldRecords {
    partition: Partition,
    first: Id,
    last: Id,
}

/// Reach of the horizon.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// Up to here records are settled, and views have heard of them.
    pub(super) records: Id,
    /// Up to here what follows from them is too.
    pub(super) all: Id,
}

impl UnderWay {
    /// Nothing that follows from records can settle below this any more.
    fn below_held(&self) -> Id {
        self.held.iter().map(|held| Id(held.first.0 - 1)).min().unwrap_or(Id(u64::MAX))
    }

    /// Nothing can settle at or below this any more, but for what `is_told` says of.
    fn below(&self, is_told: impl Fn(Partition, Id) -> bool) -> Id {
        let others = self.groups.iter().filter(|(partition, first)| !is_told(*partition, *first));
        others.map(|(_, first)| Id(first.0 - 1)).min().unwrap_or(Id(u64::MAX))
    }
}

impl Horizon {
    /// A horizon that stands at `id`.
    #[cfg(test)]
    pub(crate) fn at(id: Id) -> Self {
        let horizon = Self::default();
        horizon.reach(Reach { records: id, all: id });
        horizon
    }

    /// The horizon now, moved on with time where nothing is on its way. What is read after this call has all that is at
    /// or below the answer.
    #[must_use]
    pub fn now(&self) -> Id {
        if self.is_of_many() {
            return self.reached();
        }
        let quiet = || self.is_quiet();
        if let Some(mint) = self.0.mint.get()
            && let Some(burnt) = mint.burn_to_now(self.reached(), quiet)
        {
            self.pass(Reach { records: burnt, all: burnt });
            if !mint.is_reserved() {
                self.0.wants_more.notify_one();
            }
        }
        self.reached()
    }

    /// Comes up to now, with a reservation if nobody has asked for long. Where storage takes none, or something is on
    /// its way, the horizon stays where it is.
    pub async fn catch_up(&self) {
        let Some(mint) = self.0.mint.get().filter(|_| !self.is_of_many()) else { return };
        let behind_ms = mint.now_ms().saturating_sub(unix_ms_of(self.now()));
        if behind_ms > BEHIND_MS_MAX && self.is_quiet() {
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
        let reached = match self.is_of_many() {
            true => self.lowest(|_| {}),
            false => Reach { records: last, all: last },
        };
        self.reach(reached);
        // A handle is of one log for its life.
        let _ = self.0.mint.set(mint);
    }

    /// Learns that other nodes own some of the partitions: the horizon is the lowest of the last ids that were settled
    /// of each, for within a partition ids rise, whoever owns it. It moves with records alone.
    /// To be said before the log is [opened](Self::open).
    pub(super) fn of_many(&self, lasts: &[(Partition, Id)]) {
        let mut under_way = self.0.under_way.lock();
        under_way.lasts = lasts.to_vec();
        // The highest may be news of before: nobody else lets the partitions that are owned here come up to it.
        under_way.news = lasts.iter().map(|(_, last)| *last).max().unwrap_or_default();
        self.0.is_of_many.store(true, Ordering::Release);
    }

    /// Whether other nodes own some of the partitions.
    pub(super) fn is_of_many(&self) -> bool {
        self.0.is_of_many.load(Ordering::Acquire)
    }

    /// Horizon of many nodes, after a `change`.
    fn lowest(&self, change: impl FnOnce(&mut UnderWay)) -> Reach {
        let mut under_way = self.0.under_way.lock();
        change(&mut under_way);
        let records = under_way.lasts.iter().map(|(_, last)| *last).min().unwrap_or_default();
        #[cfg(test)]
        if under_way.shows_the_highest {
            let highest = under_way.lasts.iter().map(|(_, last)| *last).max().unwrap_or_default();
            return Reach { records: highest, all: highest };
        }
        Reach { records, all: records.min(under_way.below_held()) }
    }

    /// Views hear of the record `id`, which is more than a sign of life: the others are to come up to it.
    pub(super) fn has_news(&self, id: Id) {
        let mut under_way = self.0.under_way.lock();
        under_way.news = id.max(under_way.news);
    }

    /// Shows the highest id that was settled anywhere: for a test that must notice.
    #[cfg(test)]
    pub(super) fn show_the_highest(&self) {
        self.0.under_way.lock().shows_the_highest = true;
    }

    /// Lets every id that comes be above `id`.
    pub(super) fn raise_mint(&self, id: Id) {
        if let Some(mint) = self.0.mint.get() {
            let _ = mint.raise(|| id);
        }
    }

    /// Partitions that are behind what was heard of others, and the id that they are to come up to.
    pub(super) fn behind(&self) -> (Vec<Partition>, Id) {
        let under_way = self.0.under_way.lock();
        let behind = under_way.lasts.iter().filter(|(_, last)| *last < under_way.news);
        (behind.map(|(partition, _)| *partition).collect(), under_way.news)
    }

    /// Whether nothing that has an id is on its way, and views know it.
    pub(super) fn is_quiet(&self) -> bool {
        let under_way = self.0.under_way.lock();
        let is_told = self.0.told.load(Ordering::Acquire) >= under_way.top.0;
        under_way.groups.is_empty() && under_way.held.is_empty() && is_told
    }

    /// The horizon of what is answered: up to here records are settled.
    pub(super) fn reached_by_records(&self) -> Id {
        Id(self.0.records.load(Ordering::Acquire))
    }

    /// Something follows from the records `first` to `last` of `partition`, which are being settled.
    pub(super) fn hold(&self, partition: Partition, (first, last): (Id, Id)) {
        let mut under_way = self.0.under_way.lock();
        if !under_way.untold.contains(&partition) {
            under_way.held.push(HeldRecords { partition, first, last });
        }
    }

    /// A partition of which nothing more is told before a restart: nobody waits for what follows from its records.
    pub(super) fn let_go(&self, partition: Partition) {
        self.0.under_way.lock().untold.push(partition);
        self.release(partition, Id(u64::MAX));
    }

    /// Everything that follows from records of `partition` up to `upto` is settled.
    pub(super) fn release(&self, partition: Partition, upto: Id) {
        {
            let mut under_way = self.0.under_way.lock();
            let mut is_news = false;
            // A part of them may be told of before the rest.
            under_way.held.retain_mut(|held| {
                if held.partition == partition && held.first <= upto {
                    is_news = true;
                    held.first = Id(upto.0.saturating_add(1));
                }
                held.first <= held.last
            });
            if !is_news {
                return;
            }
        }
        let freed = match self.is_of_many() {
            true => self.lowest(|_| {}),
            false => self.raised(|under_way| under_way.below(|_, _| false)),
        };
        self.move_on(freed);
    }

    /// Waits until the horizon has come to `id`, or for as long as `bound`.
    pub async fn comes_to(&self, id: Id, bound: Duration) {
        let comes = async {
            loop {
                let mut moved = pin!(self.0.moved.notified());
                moved.as_mut().enable();
                if self.reached() >= id {
                    return;
                }
                moved.await;
            }
        };
        let _ = tokio::time::timeout(bound, comes).await;
    }

    /// A group of `partition` got its ids, of which `first` is the first. To be called under the mint's lock.
    pub(super) fn numbered(&self, partition: Partition, first: Id) {
        self.0.under_way.lock().groups.push((partition, first));
    }

    /// The horizon once everything of `partition` up to `last` is settled: below what is on its way elsewhere, and
    /// below all that comes.
    pub(super) fn with(&self, partition: Partition, last: Id) -> Reach {
        if self.is_of_many() {
            let under_way = self.0.under_way.lock();
            let settled = |(one, known): &(Partition, Id)| if *one == partition { last.max(*known) } else { *known };
            let records = under_way.lasts.iter().map(settled).min().unwrap_or_default();
            return Reach { records, all: records.min(under_way.below_held()) };
        }
        self.raised(|under_way| {
            under_way.top = under_way.top.max(last);
            // The next group of the same partition may be on its way too.
            under_way.below(|one, first| one == partition && first <= last)
        })
    }

    /// Views have heard of everything of `partition` up to `last`, where other nodes own some. To be said while views
    /// are told.
    pub(super) fn told_of_many(&self, partition: Partition, last: Id) {
        let reached = self.lowest(|under_way| {
            for (_, known) in under_way.lasts.iter_mut().filter(|(one, _)| *one == partition) {
                *known = last.max(*known);
            }
        });
        self.tell_views(reached);
        self.reach(reached);
    }

    /// End of what is settled, as far as it lies below what `change` answers. No id at or below it comes from now on.
    fn raised(&self, change: impl FnOnce(&mut UnderWay) -> Id) -> Reach {
        let mut held = Id(u64::MAX);
        let reached = || {
            let mut under_way = self.0.under_way.lock();
            let below = change(&mut under_way);
            held = under_way.below_held();
            under_way.top.min(below)
        };
        let records = match self.0.mint.get() {
            Some(mint) => mint.raise(reached),
            None => reached(),
        };
        Reach { records, all: records.min(held) }
    }

    /// Views have heard of everything up to there.
    pub(super) fn reach(&self, reach: Reach) {
        self.0.told.fetch_max(reach.all.0, Ordering::AcqRel);
        self.pass(reach);
    }

    fn pass(&self, Reach { records, all }: Reach) {
        self.0.records.fetch_max(records.0, Ordering::AcqRel);
        self.0.id.fetch_max(all.0, Ordering::AcqRel);
        self.0.moved.notify_waiters();
    }

    /// The group of `partition` whose first id is `first` is through: what is not settled of it never will be.
    pub(super) fn through(&self, partition: Partition, first: Id) {
        let end = |under_way: &mut UnderWay| {
            if let Some(place) = under_way.groups.iter().position(|group| *group == (partition, first)) {
                under_way.groups.swap_remove(place);
            }
        };
        let freed = match self.is_of_many() {
            true => self.lowest(end),
            false => self.raised(|under_way| {
                end(under_way);
                under_way.below(|_, _| false)
            }),
        };
        // What it held back, of others.
        self.move_on(freed);
    }

    /// Views hear that all that they were told of up to there is settled, and then whoever waits for it. A page that
    /// follows an answer begins at the views' horizon: without this it lacked what was answered, until something else
    /// was committed.
    fn move_on(&self, reach: Reach) {
        {
            let _one = self.telling();
            self.tell_views(reach);
        }
        self.reach(reach);
    }

    /// Views hear of it if it is news to them.
    fn tell_views(&self, Reach { all, .. }: Reach) {
        if all.0 > self.0.told.load(Ordering::Acquire)
            && let Some(views) = self.0.views.get()
        {
            views(all);
            self.0.told.fetch_max(all.0, Ordering::AcqRel);
        }
    }

    /// Views are told by one at a time.
    pub(super) fn telling(&self) -> MutexGuard<'_, ()> {
        self.0.telling.lock()
    }

    /// Lets `views` hear when the horizon moves on and nothing is committed.
    pub(super) fn tells(&self, views: impl Fn(Id) + Send + Sync + 'static) {
        // A handle is of one log for its life.
        let _ = self.0.views.set(Box::new(views));
    }
}

async fn reserve(mint: &Mint) {
    if let Err(error) = mint.keep_reserved().await {
        tracing::debug!(%error, "no time is reserved: the horizon stands until something is committed");
    }
}

#[cfg(test)]
#[path = "horizon_tests.rs"]
mod tests;
