//! Visits of links that have only so many: each is taken once, durably, before it is answered.
//!
//! Rows are a chain: each begins at the visit where the one before it ended, and is inserted uniquely. So two nodes
//! that count on never give out the same visit: the second finds the row taken, and reads on from the end. All who
//! wait for one link share a row.

use std::sync::Arc;

use fanfare_engines::{KeyRange, Order, Unique};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::oneshot;

use crate::base::error::{Error, Result};
use crate::base::limits::links::COUNTED_LINKS_MAX;
use crate::data::rows::{slots_end, slots_token, slots_value};
use crate::data::tables;
use crate::log::core::Core;

/// Visits that were taken; clones share what is in memory.
#[derive(Clone)]
pub struct VisitSlots {
    core: Core,
    links: Arc<Cache<String, Arc<Counter>>>,
}

/// Visits of one link.
#[derive(Default)]
struct Counter {
    queue: Mutex<VisitQueue>,
    /// The next visit, where it is known; held by whoever takes visits for all that wait.
    next: tokio::sync::Mutex<Option<u32>>,
}

/// Visits that are wanted.
#[derive(Default)]
struct VisitQueue {
    waiting: Vec<Waiting>,
    /// A task takes visits for all that wait, and goes on until nobody does.
    is_served: bool,
}

/// A visit that is wanted, and how many there may be.
struct Waiting {
    max: u32,
    answer: oneshot::Sender<Result<bool>>,
}

/// Service of a queue; however it ends, the next who comes begins another.
struct Serving<'a> {
    queue: &'a Mutex<VisitQueue>,
    is_over: bool,
}

impl Serving<'_> {
    /// All that wait; none ends the service.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue.lock();
        let waiting = std::mem::take(&mut queue.waiting);
        self.is_over = waiting.is_empty();
        queue.is_served = !self.is_over;
        queue.is_served.then_some(waiting)
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            // It was cut off: who waits hears that.
            *self.queue.lock() = VisitQueue::default();
        }
    }
}

fn uncounted() -> Error {
    Error::Overloaded { reason: "visits of this link cannot be counted now", retry_after_s: 1 }
}

impl VisitSlots {
    /// Over the rows of `core`.
    #[must_use]
    pub fn new(core: Core) -> Self {
        Self { core, links: Arc::new(Cache::new(COUNTED_LINKS_MAX)) }
    }

    /// Takes one visit of the link with `code`, of `max`; false when all are taken. A task of its own takes visits for
    /// all that wait, so that nobody who goes away holds up others, and whoever is answered waits for nothing more.
    ///
    /// # Errors
    /// 503 when storage does not take it: the visit may be lost then, and is never given out twice.
    pub async fn take(&self, code: &str, max: u32) -> Result<bool> {
        let counter = self.counter(code);
        let (answer, told) = oneshot::channel();
        let is_served = {
            let mut queue = counter.queue.lock();
            queue.waiting.push(Waiting { max, answer });
            std::mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            tokio::spawn(self.clone().serve(code.to_owned(), counter));
        }
        told.await.unwrap_or_else(|_| Err(uncounted()))
    }

    /// Takes visits of one link until nobody waits for one.
    async fn serve(self, code: String, counter: Arc<Counter>) {
        let mut serving = Serving { queue: &counter.queue, is_over: false };
        loop {
            // Others who are about to come share the row: those who were answered just now, above all.
            tokio::task::yield_now().await;
            let Some(waiting) = serving.next() else { return };
            let mut next = counter.next.lock().await;
            let (mut taken, mut cause) = (Vec::new().into_iter(), None);
            match self.take_all(&code, &mut next, &waiting).await {
                Ok(all) => taken = all.into_iter(),
                Err(error) => cause = Some(error),
            }
            for Waiting { answer, .. } in waiting {
                // One hears the cause. Whoever went away leaves the visit unused.
                let _ = answer.send(taken.next().ok_or_else(|| cause.take().unwrap_or_else(uncounted)));
            }
        }
    }

    fn counter(&self, code: &str) -> Arc<Counter> {
        let made = self.links.get_or_insert_with(code, || Ok::<_, std::convert::Infallible>(Arc::default()));
        made.unwrap_or_default()
    }

    /// Takes a visit for each of `waiting`, as far as there are any; answers which have one.
    async fn take_all(&self, code: &str, next: &mut Option<u32>, waiting: &[Waiting]) -> Result<Vec<bool>> {
        loop {
            let first = match *next {
                Some(first) => first,
                None => self.end_of(code).await?,
            };
            let mut end = first;
            for one in waiting {
                end += u32::from(end < one.max);
            }
            // Nobody hears of a visit that is not durable.
            if end > first && !self.insert(code, first, end - first, next).await? {
                continue;
            }
            *next = Some(end);
            let mut at = first;
            let mut take = |max: u32| {
                let is_taken = at < max;
                at += u32::from(is_taken);
                is_taken
            };
            return Ok(waiting.iter().map(|one| take(one.max)).collect());
        }
    }

    /// Counts visits that were given out while the link had no limit: `visits` in all are taken from now on.
    ///
    /// # Errors
    /// When the engine fails; visits that were counted stay so.
    pub async fn passed(&self, code: &str, visits: u32) -> Result<()> {
        let counter = self.counter(code);
        let mut next = counter.next.lock().await;
        loop {
            let first = match *next {
                Some(first) => first,
                None => self.end_of(code).await?,
            };
            if first >= visits {
                *next = Some(first);
                return Ok(());
            }
            if self.insert(code, first, visits - first, &mut next).await? {
                *next = Some(visits);
                return Ok(());
            }
        }
    }

    /// Inserts the row of visits; false when another node has it.
    async fn insert(&self, code: &str, first: u32, count: u32, next: &mut Option<u32>) -> Result<bool> {
        // Until it is known what came of it.
        *next = None;
        let token = self.core.log.mint().await?.0;
        let row = tables::link_slots_row(code, first);
        Ok(self.core.store.insert_unique(row, slots_value(count, token), token).await? == Unique::Mine)
    }

    /// The visit after the last that was taken.
    async fn end_of(&self, code: &str) -> Result<u32> {
        let store = &self.core.store;
        let rows = store.scan(tables::LINK_SLOTS, code.as_bytes(), KeyRange::ALL, Order::Descending, 1).await?;
        let Some(row) = rows.first() else { return Ok(0) };
        let end = slots_end(&row.clustering, &row.value);
        end.ok_or_else(|| Error::Internal(format!("the last row of visits of {code} does not decode")))
    }

    /// Removes the rows of a link that is gone.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn forget(&self, code: &str) -> Result<()> {
        let store = &self.core.store;
        loop {
            let step = crate::base::limits::JANITOR_STEP_ROWS;
            let rows = store.scan(tables::LINK_SLOTS, code.as_bytes(), KeyRange::ALL, Order::Ascending, step).await?;
            for row in &rows {
                let first = row.clustering.first_chunk::<4>().map(|first| u32::from_be_bytes(*first));
                if let (Some(first), Some(token)) = (first, slots_token(&row.value)) {
                    store.release_unique(&tables::link_slots_row(code, first), token).await?;
                }
            }
            if rows.len() < step {
                self.links.remove(code);
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
