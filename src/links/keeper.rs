//! Keeper of the codes: the key under which they are shuffled, and the numbers that this node has leased.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::{KeyRange, Order, Replaced, Unique};
use fanfare_protocol::Id;
use parking_lot::Mutex as ShortMutex;
use tokio::sync::{Mutex, Notify, OnceCell};
use tokio::time::Instant;

use super::code::Codes;
use super::lease::{LeasedNumbers, NumberLease};
use super::stretch;
use super::unclaimed::Unclaimed;
use crate::base::error::{Error, Result};
use crate::base::limits::links::{
    ALIASES_STEP_ROWS, FREE_NUMBERS_MIN, IDLE_MARKS, LEASE_TRIES_MAX, MARK_S, NUMBER_WAIT_MS,
};
use crate::data::rows::in_row;
use crate::data::tables;
use crate::log::core::Core;

/// Name of the row of the key.
const KEY: &[u8] = b"key";
/// Name of the row of the lease.
const LEASE: &[u8] = b"lease";
/// Bytes of the key.
const KEY_BYTES: usize = 16;
/// Pause before it is looked again whether a number may be given out, in milliseconds.
const NUMBER_PAUSE_MS: u64 = 5;

/// Codes of a server; clones share them.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    core: Core,
    /// Known once storage had room for the rows of them.
    codes: OnceCell<Codes>,
    /// Lease, known from then on too.
    held: Mutex<Option<Held>>,
    /// Numbers of this node's whose codes can be given out, the next first.
    free: ShortMutex<VecDeque<u64>>,
    /// Few are left of those.
    wanted: Notify,
    unclaimed: Arc<Unclaimed>,
    /// Whether this node leases all numbers.
    alone: bool,
}

/// Lease as this node holds it.
struct Held {
    /// The row, and the token under which it is held.
    row: NumberLease,
    token: u64,
    block: LeasedNumbers,
    /// Whether what could have been given out since the row was written was skipped by this process.
    is_begun: bool,
    /// Numbers were given out since the last mark.
    is_used: bool,
    idle_marks: u32,
}

/// Row of the lease with the token that holds it.
fn lease_value(row: NumberLease, token: u64) -> Vec<u8> {
    [&row.to_bytes()[..], &token.to_be_bytes()].concat()
}

fn lease_in(value: &[u8]) -> Option<(NumberLease, u64)> {
    let token = value.get(16..)?.first_chunk::<8>()?;
    Some((NumberLease::from_bytes(value)?, u64::from_be_bytes(*token)))
}

impl Keeper {
    /// The keeper of the folder's codes; the key and the first lease are made where there are none, as soon as there is
    /// room for them, and by a clock by hand when the first is needed. `alone`: this node leases all numbers, so that
    /// `unclaimed` can be told which were not.
    ///
    /// # Errors
    /// When the engine fails, or a row is damaged.
    pub async fn open(core: Core, unclaimed: Arc<Unclaimed>, alone: bool) -> Result<Self> {
        let (codes, held, free, wanted) = (OnceCell::new(), Mutex::new(None), ShortMutex::default(), Notify::new());
        let keeper = Self(Arc::new(Inner { core, codes, held, free, wanted, unclaimed, alone }));
        if keeper.0.core.clock.is_by_hand() {
            // An import that has not begun looks for ids that are later than its own: none is minted here for nothing.
            return Ok(keeper);
        }
        match keeper.ready().await {
            Err(error) if error.is_of_room() => tracing::warn!("there is no room for codes of short links"),
            done => done?,
        }
        Ok(keeper)
    }

    /// Makes what codes stand on, unless it is there.
    ///
    /// # Errors
    /// When the engine fails, has no room for it, or a row is damaged.
    pub async fn ready(&self) -> Result<()> {
        let Inner { core, codes, held, unclaimed, alone, .. } = &*self.0;
        if codes.initialized() {
            return Ok(());
        }
        let mut held = held.lock().await;
        if held.is_none() {
            // A clock by hand tells nothing of when the folder was written.
            let now_ms = if core.clock.is_by_hand() { 0 } else { core.clock.now_ms() };
            let first = NumberLease::first(now_ms);
            let (value, token, is_new) = unique(core, LEASE, |token| lease_value(first, token)).await?;
            let stored = in_row(&tables::link_keeper_row(LEASE), Some(value.into()), lease_in)?;
            let (row, token) = stored.unwrap_or((first, token));
            *held = Some(Held { row, token, block: 0..0, is_begun: is_new, is_used: false, idle_marks: 0 });
        }
        let Some(held) = held.as_mut() else { return Ok(()) };
        let made = Codes::new(&key_of_folder(core).await?);
        if *alone {
            tell_unclaimed(core, unclaimed, &made, held.row.next).await?;
        }
        // Last: whoever finds them finds the rest.
        let _ = codes.set(made);
        Ok(())
    }

    /// Number of a code, whoever has it; `None` for what is never given out.
    #[must_use]
    pub fn number(&self, code: &str) -> Option<u64> {
        self.0.codes.get()?.number(code)
    }

    /// The next code, of a number that was never given out; nobody else has it, and nobody will.
    ///
    /// # Errors
    /// 503 when more codes are wanted than there may be, or all are given out.
    pub async fn next(&self) -> Result<String> {
        loop {
            if let Some(number) = self.take() {
                let code = self.0.codes.get().and_then(|codes| codes.code(number));
                return code.ok_or_else(|| Error::Internal(format!("the number {number} has no code")));
            }
            self.fill(1).await?;
        }
    }

    /// The next free number, if one is in memory; more are made ready before the last is taken.
    fn take(&self) -> Option<u64> {
        let mut free = self.0.free.lock();
        let number = free.pop_front();
        if number.is_some() && free.len() + 1 == FREE_NUMBERS_MIN {
            self.0.wanted.notify_one();
        }
        number
    }

    /// Makes numbers ready until at least `least` are free.
    async fn fill(&self, least: usize) -> Result<()> {
        self.ready().await?;
        let mut held = self.0.held.lock().await;
        let (Some(held), Some(codes)) = (held.as_mut(), self.0.codes.get()) else {
            return Err(Error::Internal("codes are not ready".to_owned()));
        };
        while self.0.free.lock().len() < least {
            if held.block.is_empty() {
                self.begin(held).await?;
                self.lease(held).await?;
            }
            let part = stretch::first_part(&held.block);
            let attempt = self.0.core.log.mint().await?;
            let free = stretch::open(&self.0.core.store, codes, part.clone(), attempt).await?;
            held.block.start = part.end;
            held.is_used = true;
            self.0.free.lock().extend(free);
        }
        Ok(())
    }

    /// Makes numbers ready before they are wanted, for as long as the server runs.
    pub async fn keep_ready(self) {
        loop {
            self.0.wanted.notified().await;
            if let Err(error) = self.fill(FREE_NUMBERS_MIN).await {
                // Whoever finds none hears it.
                tracing::debug!(%error, "no more numbers of links are ready");
            }
        }
    }

    /// Lets an alias have the code of `number`, for which it is claimed already; false when the code is given out, or
    /// may be.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn cede(&self, number: u64) -> Result<bool> {
        if !stretch::is_open(&self.0.core.store, number).await? {
            return Ok(true);
        }
        let mut free = self.0.free.lock();
        let place = free.iter().position(|one| *one == number);
        Ok(place.is_some_and(|place| free.remove(place).is_some()))
    }

    /// Skips what could have been given out by whoever had this folder, or one that it is a copy of, before.
    async fn begin(&self, held: &mut Held) -> Result<()> {
        while !held.is_begun {
            let row = held.row.begun(self.now_ms(held));
            held.is_begun = self.change(held, row).await?;
        }
        Ok(())
    }

    /// Moment by which numbers are given out. A clock by hand may be years behind the folder: it never takes the codes
    /// to another length.
    fn now_ms(&self, held: &Held) -> u64 {
        let clock = &self.0.core.clock;
        if clock.is_by_hand() { held.row.through_ms } else { clock.now_ms() }
    }

    /// Leases the next block.
    async fn lease(&self, held: &mut Held) -> Result<()> {
        let until = Instant::now() + Duration::from_millis(NUMBER_WAIT_MS);
        for _ in 0..LEASE_TRIES_MAX {
            let (row, block) = loop {
                if held.row.is_used_up() {
                    let reason = "every code of the server has been given out; links.md says what that means";
                    return Err(Error::Overloaded { reason, retry_after_s: 3_600 });
                }
                if let Some(leased) = held.row.leased(self.now_ms(held)) {
                    break leased;
                }
                if Instant::now() >= until {
                    return Err(Error::Overloaded { reason: "too many links are being made", retry_after_s: 1 });
                }
                tokio::time::sleep(Duration::from_millis(NUMBER_PAUSE_MS)).await;
            };
            if self.change(held, row).await? {
                held.block = block;
                return Ok(());
            }
        }
        Err(Error::Overloaded { reason: "other nodes lease numbers too fast", retry_after_s: 1 })
    }

    /// Replaces the row by `row` if this node knows what it holds; false when another node changed it, which is known
    /// then.
    async fn change(&self, held: &mut Held, row: NumberLease) -> Result<bool> {
        let Inner { core, unclaimed, .. } = &*self.0;
        let (name, token) = (tables::link_keeper_row(LEASE), core.log.mint().await?.0);
        let value = lease_value(row, token);
        // Before it is durable: what is leased is not free, also when nobody hears of it.
        unclaimed.leased(row.next);
        match core.store.replace_unique(name.clone(), value.into(), held.token, token).await? {
            Replaced::Mine => {
                (held.row, held.token) = (row, token);
                Ok(true)
            }
            Replaced::Taken(value) => {
                (held.row, held.token) = in_row(&name, Some(value), lease_in)?.unwrap_or((held.row, held.token));
                Ok(false)
            }
            Replaced::Free => Err(Error::Internal("the row of leased numbers is gone".to_owned())),
        }
    }

    /// Marks now and then how far numbers are leased, for as long as the server runs.
    pub async fn mark_now_and_then(self) {
        let mut tick = tokio::time::interval(Duration::from_secs(MARK_S));
        tick.tick().await;
        loop {
            tick.tick().await;
            let mut held = self.0.held.lock().await;
            let Some(held) = held.as_mut() else { continue };
            held.idle_marks += 1;
            if (held.is_used || held.idle_marks >= IDLE_MARKS)
                && let Err(error) = self.mark(held).await
            {
                tracing::debug!(%error, "how far numbers of links are leased was not marked");
            }
        }
    }

    /// Marks how far numbers are leased, so that a start on this folder skips no more than has passed since.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn end(&self) -> Result<()> {
        match self.0.held.lock().await.as_mut() {
            // Who never began gave nothing out, and a start whose clock is wrong leaves nothing behind.
            Some(held) if held.is_begun => self.mark(held).await,
            _ => Ok(()),
        }
    }

    async fn mark(&self, held: &mut Held) -> Result<()> {
        if !self.0.core.clock.is_by_hand() {
            // What was not begun says nothing of what came before.
            self.begin(held).await?;
            let row = held.row.idle(self.0.core.clock.now_ms());
            if row != held.row {
                self.change(held, row).await?;
            }
            (held.is_used, held.idle_marks) = (false, 0);
        }
        Ok(())
    }
}

/// Tells `unclaimed` that numbers from `next` on were not leased, and which codes of those are aliases.
async fn tell_unclaimed(core: &Core, unclaimed: &Unclaimed, codes: &Codes, next: u64) -> Result<()> {
    let mut from = next;
    loop {
        let range = KeyRange { from: Some(tables::link_alias_key(from)), to: None };
        let (step, order) = (ALIASES_STEP_ROWS, Order::Ascending);
        let rows = core.store.scan(tables::LINK_ALIASES, &tables::ONE, range, order, step).await?;
        rows.iter().filter_map(|row| tables::in_link_alias(&row.clustering)).for_each(|one| unclaimed.taken(one));
        match rows.last().and_then(|row| tables::in_link_alias(&row.clustering)) {
            Some(last) if rows.len() == step => from = last + 1,
            _ => break,
        }
    }
    unclaimed.open(codes.clone(), next);
    Ok(())
}

/// The key, which the first node on a folder makes.
async fn key_of_folder(core: &Core) -> Result<[u8; KEY_BYTES]> {
    let mut random = [0; KEY_BYTES];
    getrandom::fill(&mut random).map_err(|cause| Error::Internal(format!("no randomness: {cause}")))?;
    let (value, ..) = unique(core, KEY, |_| random.to_vec()).await?;
    let name = tables::link_keeper_row(KEY);
    let key = in_row(&name, Some(value.into()), |value| value.try_into().ok())?;
    key.ok_or_else(|| Error::Internal("there is no key of codes".to_owned()))
}

/// Value of the row `name`, which is made with a new token where there is none; with the token, and whether it is new.
async fn unique(core: &Core, name: &'static [u8], new: impl Fn(u64) -> Vec<u8>) -> Result<(Vec<u8>, u64, bool)> {
    let row = tables::link_keeper_row(name);
    if let Some(value) = core.store.get(&row).await? {
        return Ok((value.to_vec(), 0, false));
    }
    let Id(token) = core.log.mint().await?;
    let value = new(token);
    match core.store.insert_unique(row, value.clone().into(), token).await? {
        Unique::Mine => Ok((value, token, true)),
        Unique::Taken(value) => Ok((value.to_vec(), 0, false)),
    }
}
