//! The mint: where records, and all else that needs one, get their ids.
//!
//! One lock a node: owners number records under it, services mint ids of accounts, uploads and tokens, and versions of
//! rows that follow from no record. What is no record is above everything that was minted before it, and below all that
//! is minted after. Records of different partitions are ordered only where somebody can tell: each goes on from its
//! partition's last, and none is at or below a horizon (`horizon.rs`). So partitions that take turns need no
//! millisecond of their own each.
//!
//! Ids that stand in no record are given out only up to an end that is stored (`moments.rs`), and a start begins above
//! that end: no clock that went back between makes one twice, or a version that is lower than one before. The end is
//! moved on inside of commits, or by a write of its own when somebody needs an id and nothing is committed; and where
//! other nodes reserve on the same engines, by compare-and-set (`reservation.rs`).

use std::sync::Arc;

use fanfare_engines::{Batch, EngineError, Partition, Tables};
use fanfare_protocol::Id;
use parking_lot::Mutex;

use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::id::{IdMint, first_id_at, following, number_of_others, unix_ms_of};
use crate::base::limits::{HEARTBEAT_MS, RESERVE_MS};
use crate::log::moments::{Moments, SweepTime};
use crate::log::pace::LogTime;
use crate::log::reservation;

/// Number in the ids that a node mints for what is no record: above those of all partitions, which records have.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// The number.
    pub others: u16,
}

impl Numbers {
    /// Of `node`.
    #[must_use]
    pub const fn of_node(node: u16) -> Self {
        Self { others: number_of_others(node) }
    }

    /// Name of the node in the log.
    #[must_use]
    pub fn node_name(&self) -> String {
        format!("node-{}", self.others)
    }
}

/// Handle of the mint; clones share it.
#[derive(Clone)]
pub struct Mint(Arc<Shared>);

struct Shared {
    time: LogTime,
    numbers: Numbers,
    tables: Arc<dyn Tables>,
    /// Whether nobody else reserves on these tables.
    is_alone: bool,
    sweep: SweepTime,
    state: Mutex<State>,
    /// Held while the row is written by a write of its own: one at a time.
    writing: tokio::sync::Mutex<()>,
}

struct State {
    /// The highest of all.
    ids: IdMint,
    /// Every id that comes is above this one.
    floor: Id,
    /// The last record of each partition that has one above the floor, or had.
    lasts: Vec<(u16, Id)>,
    /// The newest row that was made, which may be on its way. Each reserves as much as those before it.
    made: Moments,
    /// End of what is reserved in rows that are stored.
    reserved: Id,
    /// Moment of the next heartbeat, by the running clock.
    beats_at_ms: u64,
    is_closed: bool,
}

impl State {
    /// The next id of a record of `partition`.
    fn number(&mut self, at_ms: u64, partition: u16) -> Id {
        let place = self.lasts.iter().position(|(one, _)| *one == partition).unwrap_or_else(|| {
            self.lasts.push((partition, Id(0)));
            self.lasts.len() - 1
        });
        let (_, last) = &mut self.lasts[place];
        *last = following(self.floor.max(*last), at_ms, partition);
        self.ids.pass(*last);
        *last
    }

    /// Every id that comes is above `id`.
    fn pass(&mut self, id: Id) {
        self.ids.pass(id);
        self.floor = self.floor.max(id);
    }

    /// The next row, changed.
    fn row(&mut self, change: impl FnOnce(&mut Moments)) -> Moments {
        change(&mut self.made);
        self.made.writes += 1;
        self.made
    }

    /// The next row, with ids reserved for a while from `now_ms` on.
    fn reserve(&mut self, now_ms: u64) -> Moments {
        let end = end_of(self.ids.last(), now_ms);
        self.row(|row| row.reserved = row.reserved.max(end))
    }
}

/// Row on its way, in a commit.
#[derive(Debug)]
pub struct Reserving(Moments);

impl Mint {
    /// A mint that continues after `last`, the highest id of a record, and above all that was reserved; `is_alone`
    /// where no other node reserves on the same tables.
    ///
    /// # Errors
    /// [`Setting`](crate::base::error::Error::Setting) when the clock is far behind what is stored; when the engine
    /// fails.
    pub async fn open(
        tables: Arc<dyn Tables>,
        time: impl Into<LogTime>,
        numbers: Numbers,
        last: Id,
        is_alone: bool,
    ) -> Result<Self> {
        let time = time.into();
        let clock = time.clock();
        let stored = reservation::read(&*tables).await?;
        let last = last.max(stored.reserved);
        stored.believe(clock, last)?;
        if last > Id(0) {
            time.stored(unix_ms_of(last));
        }
        let state = State {
            ids: IdMint::after(last),
            floor: last,
            lasts: Vec::new(),
            made: stored,
            reserved: stored.reserved,
            beats_at_ms: clock.run_ms().saturating_add(HEARTBEAT_MS),
            is_closed: false,
        };
        let sweep = SweepTime::begin(clock, stored.newest_ms(last));
        let (state, writing) = (Mutex::new(state), tokio::sync::Mutex::default());
        let mint = Self(Arc::new(Shared { time, numbers, tables, is_alone, sweep, state, writing }));
        if mint.clock().is_accepted() && !mint.clock().is_by_hand() {
            mint.accept(last).await?;
        }
        Ok(mint)
    }

    /// Remembers that the clock is right, whatever was stored before.
    async fn accept(&self, last: Id) -> Result<()> {
        let (now_ms, ids_ms) = (self.clock().now_ms(), unix_ms_of(last));
        let accept = |row: &mut Moments| {
            row.heartbeat_ms = now_ms;
            row.accepted_ms = if ids_ms > now_ms { ids_ms } else { 0 };
        };
        self.keep(accept).await
    }

    /// Stores the moments with a `change` that reserves nothing; `writing` is held, or nobody else has the mint yet.
    async fn keep(&self, change: impl Fn(&mut Moments)) -> Result<()> {
        if self.0.is_alone {
            let row = self.0.state.lock().row(change);
            return self.store(row).await;
        }
        let changed = |mut row: Moments| {
            change(&mut row);
            row
        };
        reservation::change(&*self.0.tables, self.0.numbers.others, changed).await?;
        Ok(())
    }

    async fn store(&self, row: Moments) -> Result<()> {
        let mut batch = Batch::default();
        row.write(&mut batch);
        self.0.tables.write(batch).await?;
        self.stored(row);
        Ok(())
    }

    fn stored(&self, row: Moments) {
        let mut state = self.0.state.lock();
        state.reserved = state.reserved.max(row.reserved);
    }

    /// The end of what may be given out now. A clock by hand is an import's, which never goes back and would have to
    /// reserve at every line.
    fn end(&self, state: &State) -> Id {
        if self.clock().is_by_hand() { Id(i64::MAX as u64) } else { state.reserved }
    }

    fn clock(&self) -> &Clock {
        self.0.time.clock()
    }

    /// Time of the log, which ids follow.
    pub(super) fn time(&self) -> &LogTime {
        &self.0.time
    }

    /// Time that ids follow, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> u64 {
        self.0.time.now_ms()
    }

    /// Milliseconds until the log takes an id above the last one; nothing if it does now.
    pub(super) fn ahead_ms(&self) -> Option<u64> {
        self.0.time.ahead_ms(|| self.last())
    }

    /// An id for something that is no record, such as media or an account.
    ///
    /// # Errors
    /// When storage takes no reservation of the time that the id is of.
    pub async fn mint(&self) -> Result<Id> {
        self.mint_at(self.now_ms()).await
    }

    /// An id of a given moment (milliseconds), as [`mint`](Self::mint) gives one of now; for imports.
    ///
    /// # Errors
    /// As [`mint`](Self::mint).
    pub async fn mint_at(&self, at_ms: u64) -> Result<Id> {
        if let Some(id) = self.within(at_ms)? {
            return Ok(id);
        }
        let _one = self.0.writing.lock().await;
        loop {
            // Somebody may have reserved meanwhile.
            if let Some(id) = self.within(at_ms)? {
                return Ok(id);
            }
            self.reserve(at_ms).await?;
        }
    }

    /// The next id, if it is within what is reserved.
    fn within(&self, at_ms: u64) -> Result<Option<Id>> {
        let mut state = self.0.state.lock();
        if state.is_closed {
            return Err(EngineError::Closed("the server is stopping".to_owned()).into());
        }
        let next = following(state.ids.last(), at_ms, self.0.numbers.others);
        if next > self.end(&state) {
            return Ok(None);
        }
        state.pass(next);
        Ok(Some(next))
    }

    /// Reserves by a write of its own; `writing` is held.
    async fn reserve(&self, at_ms: u64) -> Result<()> {
        if self.0.is_alone {
            let row = self.0.state.lock().reserve(at_ms);
            return self.store(row).await;
        }
        let (last, known) = {
            let state = self.0.state.lock();
            (state.ids.last(), state.reserved)
        };
        // What another node of this number reserved meanwhile is its own: this one goes on above.
        let floor = |before: Moments| if before.reserved > known { before.reserved.max(last) } else { last };
        let extend =
            |before: Moments| Moments { reserved: before.reserved.max(end_of(floor(before), at_ms)), ..before };
        let (before, after) = reservation::change(&*self.0.tables, self.0.numbers.others, extend).await?;
        let mut state = self.0.state.lock();
        state.pass(floor(before));
        state.reserved = state.reserved.max(after.reserved);
        Ok(())
    }

    /// A version for a write that takes the place of what was read: above `floor`, the version or the id in the row
    /// that was read, and above every id that was minted before.
    ///
    /// A `floor` ahead of the clock, from a clock that was fast, does not take the mint along: only the row's own
    /// versions go on from there.
    ///
    /// # Errors
    /// As [`mint`](Self::mint).
    pub async fn mint_above(&self, floor: Id) -> Result<Id> {
        let minted = self.mint().await?;
        Ok(if minted > floor { minted } else { following(floor, 0, self.0.numbers.others) })
    }

    /// Goes on above `last`, and above all that is stored as reserved: another owner of the partition minted.
    ///
    /// # Errors
    /// When the engine fails.
    pub(super) async fn go_on_above(&self, last: Id) -> Result<()> {
        let stored = reservation::read(&*self.0.tables).await?;
        let mut state = self.0.state.lock();
        state.made = state.made.latest(stored);
        state.pass(last.max(stored.reserved));
        Ok(())
    }

    /// Forgets what was minted: for a test that must notice.
    #[cfg(test)]
    pub(super) fn forget_last(&self) {
        let mut state = self.0.state.lock();
        (state.ids, state.floor) = (IdMint::after(Id(0)), Id(0));
        state.lasts.clear();
    }

    /// The last id that was minted; the next is above it.
    #[must_use]
    pub fn last(&self) -> Id {
        self.0.state.lock().ids.last()
    }

    /// The highest id of the moment of the last one: nothing that was minted so far is above it.
    #[must_use]
    pub fn newest(&self) -> Id {
        self.0.state.lock().ids.highest()
    }

    /// Burns ids up to now, but not beyond what is reserved, and answers the last: every id that comes is above it,
    /// whatever the clock does. Nothing where that is not above `known`, nor unless it is `quiet`, which is asked under
    /// the lock under which records are numbered.
    #[must_use]
    pub fn burn_to_now(&self, known: Id, quiet: impl FnOnce() -> bool) -> Option<Id> {
        let now = Id(first_id_at(self.now_ms()).0.saturating_sub(1));
        if now <= known {
            return None;
        }
        let mut state = self.0.state.lock();
        if !quiet() {
            return None;
        }
        let end = self.end(&state);
        state.ids.pass(now.min(end));
        let burnt = state.ids.last();
        state.pass(burnt);
        // Records whose commit is under way, or failed, may have ids beyond the end.
        Some(state.ids.last().min(end))
    }

    /// Reserves more by a write of its own where less than half is left: for whoever needs ids of now
    /// ([`burn_to_now`](Self::burn_to_now)) while nothing is committed.
    ///
    /// # Errors
    /// When storage takes no reservation.
    pub async fn keep_reserved(&self) -> Result<()> {
        let now_ms = self.now_ms();
        if self.has_reserved(now_ms) {
            return Ok(());
        }
        let _one = self.0.writing.lock().await;
        if self.has_reserved(now_ms) { Ok(()) } else { self.reserve(now_ms).await }
    }

    /// Whether [`keep_reserved`](Self::keep_reserved) has nothing to do.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        self.has_reserved(self.now_ms())
    }

    fn has_reserved(&self, now_ms: u64) -> bool {
        let state = self.0.state.lock();
        state.is_closed || has_half(state.ids.last(), now_ms, self.end(&state))
    }

    /// Lets every id that comes be above what `reached` answers, which is asked under the lock under which records are
    /// numbered.
    pub(super) fn raise(&self, reached: impl FnOnce() -> Id) -> Id {
        let mut state = self.0.state.lock();
        let reached = reached();
        state.floor = state.floor.max(reached);
        reached
    }

    /// Numbers records of `partition`: their ids have no others between them. `number` is told each record's moment, or
    /// none for now.
    pub fn number<T>(
        &self,
        Partition(partition): Partition,
        number: impl FnOnce(&mut dyn FnMut(Option<u64>) -> Id) -> T,
    ) -> T {
        let now_ms = self.now_ms();
        let mut state = self.0.state.lock();
        number(&mut |at_ms| state.number(at_ms.unwrap_or(now_ms), partition))
    }

    /// Reserves more inside of a commit, where less than half is left and no other node reserves. Records need no
    /// reservation: they are stored.
    pub fn reserve_in(&self, batch: &mut Batch) -> Option<Reserving> {
        let now_ms = self.now_ms();
        let mut state = self.0.state.lock();
        if !self.0.is_alone || has_half(state.ids.last(), now_ms, self.end(&state)) {
            return None;
        }
        let row = state.reserve(now_ms);
        row.write(batch);
        Some(Reserving(row))
    }

    /// The commit is durable.
    pub fn reserved(&self, reserving: Option<&Reserving>) {
        if let Some(Reserving(row)) = reserving {
            self.stored(*row);
        }
    }

    /// Remembers every hour, by the running clock, that somebody runs here. An import's time is none of ours.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn beat(&self) -> Result<()> {
        let (now_ms, run_ms) = (self.clock().now_ms(), self.clock().run_ms());
        let _one = self.0.writing.lock().await;
        {
            let mut state = self.0.state.lock();
            if self.clock().is_by_hand() || run_ms < state.beats_at_ms || state.is_closed {
                return Ok(());
            }
            state.beats_at_ms = run_ms.saturating_add(HEARTBEAT_MS);
        }
        self.keep(|row| row.heartbeat_ms = row.heartbeat_ms.max(now_ms)).await
    }

    /// Moment by which what has expired may be removed.
    #[must_use]
    pub fn sweep_ms(&self) -> u64 {
        self.0.sweep.now_ms(self.clock())
    }

    /// Ends the mint, and stores where exactly: the next start need not run ahead of its clock.
    ///
    /// # Errors
    /// When the engine fails; the next start then begins above what is reserved.
    pub async fn close(&self) -> Result<()> {
        let _one = self.0.writing.lock().await;
        let (last, known) = {
            let mut state = self.0.state.lock();
            state.is_closed = true;
            if self.clock().is_by_hand() || state.ids.last() == state.made.reserved {
                return Ok(());
            }
            (state.ids.last(), state.reserved)
        };
        let is_alone = self.0.is_alone;
        // Where another node of this number reserved after this one the end is not this one's to move.
        self.keep(|row| {
            if is_alone || row.reserved == known {
                row.reserved = last;
            }
        })
        .await
    }
}

/// The end of what is reserved at `now_ms`, after `last`.
fn end_of(last: Id, now_ms: u64) -> Id {
    first_id_at(now_ms.max(unix_ms_of(last)).saturating_add(RESERVE_MS))
}

/// Whether half of the time is left until `end`.
fn has_half(last: Id, now_ms: u64, end: Id) -> bool {
    first_id_at(now_ms.max(unix_ms_of(last)).saturating_add(RESERVE_MS / 2)) <= end
}

#[cfg(test)]
#[path = "mint_tests.rs"]
mod tests;
