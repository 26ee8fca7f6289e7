//! Takers: what settled records change for people of other partitions is told there, by records that follow from them.
//!
//! There is one a source. It reads the source's log in order, up to where that is settled and no further, hands what
//! follows to the owners of the other partitions, and waits for it. Each of those knows what it has taken (`taken.rs`):
//! so whatever comes between, the taker begins again at what it has durably done, and nothing is told twice or left
//! out. With one partition there are none.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_engines::{EngineError, Engines, Journal, Offset, Partition, Position, Tables};
use fanfare_protocol::Id;

use super::effects;
use super::ending::unless_ended;
use super::handle::{Guard, Log};
use super::hearing::ROSTER_PAUSE;
use super::records;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::locks::LockKey;
use crate::log::events::{Event, SourceRecord};
use crate::log::fold::Folds;
use crate::log::product::Product;
use crate::log::taken::SettledWatch;

/// Name of the journal's consumer that has told others what follows.
pub const CONSUMER: &str = "effects";
/// Pauses after something went wrong.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Decision of a product about an effect where it arrives: what it finds there was not known where it began.
#[async_trait]
pub trait Arrival: Send + Sync + 'static {
    /// Locks under which it is decided; none where there is nothing to decide.
    fn locks(&self, effect: &Event) -> Vec<LockKey>;

    /// Effect as the rows that are there make it; nothing if it is over already.
    ///
    /// # Errors
    /// When the engine fails.
    async fn decide(&self, effect: Event, tables: &dyn Tables) -> Result<Option<Event>>;
}

/// Surroundings of the takers of a node.
#[derive(Clone)]
pub struct Takers {
    log: Log,
    journal: Arc<dyn Journal>,
    tables: Arc<dyn Tables>,
    folds: Folds,
    arrivals: Vec<Arc<dyn Arrival>>,
}

impl Takers {
    /// Of the `products`, over the log that `engines` keep.
    #[must_use]
    pub fn new(log: Log, engines: &Engines, products: &[Product]) -> Self {
        let (journal, tables) = (Arc::clone(&engines.journal), Arc::clone(&engines.tables));
        let folds = products.iter().filter_map(|product| product.fold.clone()).collect();
        let arrivals = products.iter().filter_map(|product| product.arrival.clone()).collect();
        Self { log, journal, tables, folds, arrivals }
    }

    /// Log of the sources, and of those who are told.
    #[must_use]
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// A taker for each partition; none where there is one.
    ///
    /// # Errors
    /// When the engine fails, or what somebody has not been told is gone from a log.
    pub async fn each(&self) -> Result<Vec<Taker>> {
        let mut takers = Vec::new();
        if self.log.spread().is_one() {
            return Ok(takers);
        }
        for partition in self.log.spread().partitions() {
            let at = self.journal.checkpoint_of(CONSUMER, partition).await?;
            let (first, _) = self.journal.bounds(partition).await?;
            check(partition, at.offset, first)?;
            let settled = self.log.crossing(partition)?.watched();
            takers.push(Taker {
                around: self.clone(),
                partition,
                at,
                done: Id(0),
                since: 0,
                is_left_out: false,
                settled,
                #[cfg(test)]
                is_hasty: false,
            });
        }
        Ok(takers)
    }
}

/// Refuses a source of which something is gone that was not told yet.
fn check(Partition(partition): Partition, Offset(at): Offset, Offset(first): Offset) -> Result<()> {
    if at >= first {
        return Ok(());
    }
    Err(Error::Engine(EngineError::Corrupt(format!(
        "journal partition {partition}: others were told what follows up to {at}, and its first record is {first}: \
         restore the folder from a backup"
    ))))
}

/// Id up to which nothing is left to look at, after a page of which `looked_at` of its `count` records are at or below
/// `upto`, the last of them `last`. Beyond a whole page there may be more; what is settled can end between two records,
/// of which the later is not settled yet.
const fn looked_through(upto: Id, last: Id, (looked_at, count): (usize, usize)) -> Id {
    if looked_at == count && count > 0 { last } else { upto }
}

/// Taker of one source.
pub struct Taker {
    around: Takers,
    partition: Partition,
    /// Position below which everything that follows was told.
    at: Position,
    /// The last record that was looked at.
    done: Id,
    /// Records since the position was remembered.
    since: usize,
    /// A partition that takes nothing more was not told: the position is remembered no further.
    is_left_out: bool,
    settled: SettledWatch,
    #[cfg(test)]
    is_hasty: bool,
}

/// Effects on one partition: records of the source with what each changes there.
type Told = (Partition, Vec<(Id, Event)>);

impl Taker {
    /// Tells what follows from everything that is settled now, and waits for it, also while storage is away. A
    /// partition that takes nothing more is not waited for, and told after a restart.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub async fn catch_up(&mut self) -> Result<()> {
        let mut pause = PAUSE_MIN;
        loop {
            match self.step().await {
                Ok(true) => pause = PAUSE_MIN,
                Ok(false) => return Ok(()),
                Err(error @ Error::Engine(EngineError::Corrupt(_))) => return Err(error),
                Err(Error::Engine(EngineError::Closed(_))) => {
                    // It stops nobody else: what others do shows.
                    self.around.log.horizon().release(self.partition, self.settled.look());
                    return Ok(());
                }
                Err(error) => {
                    tracing::debug!(partition = self.partition.0, %error, "what follows is told again");
                    tokio::time::sleep(pause).await;
                    pause = PAUSE_MAX.min(pause * 2);
                }
            }
        }
    }

    /// Tells what follows, as it settles. Ends when a record cannot be read.
    pub async fn run(mut self) {
        loop {
            if let Err(error) = self.catch_up().await {
                tracing::error!(partition = self.partition.0, %error, "what follows is told no further");
                self.around.log.horizon().let_go(self.partition);
                return;
            }
            self.settled.changed().await;
        }
    }

    /// Tells what follows from the next records; false when all that is settled was told.
    async fn step(&mut self) -> Result<bool> {
        let upto = self.settled.look();
        #[cfg(test)]
        let upto = if self.is_hasty { self.end().await? } else { upto };
        if upto <= self.done {
            return Ok(false);
        }
        let page = self.around.journal.read(self.partition, self.at, limits::GROUP_RECORDS_MAX).await?;
        let (mut told, mut last, mut looked_at) = (Vec::<Told>::new(), self.done, 0);
        for one in &page.records {
            if one.id.is_none_or(|id| id > upto.0) {
                break;
            }
            looked_at += 1;
            let (record, outcome) = records::read(self.partition, one, &self.around.folds)?;
            last = record.id.max(last);
            if record.id <= self.done {
                continue;
            }
            for (to, effect) in effects::of(&record, &outcome, self.around.log.spread()) {
                match told.iter_mut().find(|(known, _)| *known == to) {
                    Some((_, effects)) => effects.push((record.id, effect)),
                    None => told.push((to, vec![(record.id, effect)])),
                }
            }
        }
        self.tell(told).await?;
        let is_whole = looked_at == page.records.len();
        self.done = looked_through(upto, last, (looked_at, page.records.len()));
        self.around.log.horizon().release(self.partition, self.done);
        if is_whole {
            self.at = page.next;
            self.since += looked_at;
            if self.since >= limits::CHECKPOINT_EVERY as usize && !self.is_left_out {
                self.around.journal.checkpoint(CONSUMER, self.partition, self.at).await?;
                self.since = 0;
            }
        }
        Ok(true)
    }

    /// Lets it tell what is not settled yet: for a test that must notice.
    #[cfg(test)]
    pub(super) const fn is_hasty(&mut self, is_hasty: bool) {
        self.is_hasty = is_hasty;
    }

    /// The last record that is in the log.
    #[cfg(test)]
    async fn end(&self) -> Result<Id> {
        let page = self.around.journal.read(self.partition, self.at, limits::GROUP_RECORDS_MAX).await?;
        Ok(page.records.last().and_then(|one| one.id).map_or(self.done, Id))
    }

    /// Tells each partition what follows there, in order, and waits until all of it is durable.
    async fn tell(&mut self, told: Vec<Told>) -> Result<()> {
        let (mut pending, mut elsewhere) = (Vec::new(), Vec::new());
        let mut outcome = Ok(());
        let is_alone = self.around.log.is_alone();
        for (to, effects) in told {
            if !is_alone && !self.is_here(to) {
                elsewhere.extend(effects.last().map(|(last, _)| (to, *last)));
                continue;
            }
            let mut after = self.around.log.crossing(to)?.taken_of(self.partition.0);
            for (id, effect) in effects.into_iter().filter(|(id, _)| *id > after).collect::<Vec<_>>() {
                let from = SourceRecord { partition: self.partition.0, id, after };
                match unless_ended(self.hand_in(to, from, effect).await, &mut self.is_left_out) {
                    Ok(Some(Some(one))) => {
                        pending.push(one);
                        after = id;
                    }
                    Ok(Some(None)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
        }
        // Whatever happens, what was handed in is waited for: a second try finds it done.
        for one in pending {
            outcome = outcome.and(unless_ended(one.durable().await, &mut self.is_left_out).map(drop));
        }
        outcome?;
        // Own ones first: of two nodes that waited for each other's before, neither would tell any.
        self.told_elsewhere(elsewhere).await
    }

    fn is_here(&self, partition: Partition) -> bool {
        self.around.log.owns(partition)
    }

    /// Waits until the nodes that own these partitions have told them what follows from everything up to an id.
    ///
    /// # Errors
    /// When this node is to tell one of them, whichever it waits for: another node may be waiting for that one.
    async fn told_elsewhere(&self, mut waits: Vec<(Partition, Id)>) -> Result<()> {
        while let Some((first, _)) = waits.first() {
            let mut news = self.around.log.crossing(*first)?.watched();
            let mut left = Vec::with_capacity(waits.len());
            for (to, id) in waits {
                if self.around.log.crossing(to)?.taken_of(self.partition.0) >= id {
                    continue;
                }
                if self.is_here(to) {
                    return Err(EngineError::Unavailable("a partition came to this node".to_owned()).into());
                }
                left.push((to, id));
            }
            waits = left;
            if !waits.is_empty() {
                // The roster may change without news.
                let _ = tokio::time::timeout(ROSTER_PAUSE, news.changed()).await;
            }
        }
        Ok(())
    }

    /// Hands in what follows from a record for the partition `to`; nothing if that is over there already.
    async fn hand_in(
        &self,
        to: Partition,
        from: SourceRecord,
        effect: Event,
    ) -> Result<Option<super::handle::Pending>> {
        let Takers { log, tables, arrivals, .. } = &self.around;
        let mut found = None;
        for arrival in arrivals {
            let locks = arrival.locks(&effect);
            if !locks.is_empty() {
                found = Some((arrival, locks));
                break;
            }
        }
        let (guard, effect): (Guard, Event) = match found {
            None => (log.decide_in(to, &[]).await?, effect),
            Some((arrival, locks)) => {
                let guard = log.decide_in(to, &locks).await?;
                match arrival.decide(effect, &**tables).await? {
                    Some(effect) => (guard, effect),
                    // Other nodes wait for this too, and hear of it by its record alone.
                    None if !log.is_alone() => {
                        return Ok(Some(log.submit(&guard, effects::derived(None, to, from)).await?));
                    }
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(log.submit(&guard, effects::derived(Some(effect), to, from)).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_is_looked_through_also_where_it_ends_between_two_records() {
        let (upto, last) = (Id(20), Id(10));
        assert_eq!(looked_through(upto, last, (2, 2)), last, "there may be another page");
        assert_eq!(looked_through(upto, last, (0, 0)), upto);
        assert_eq!(looked_through(upto, last, (0, 1)), upto);
        // The record after `last` is above 20: to stay at 10 would be to read the same page for ever.
        assert_eq!(looked_through(upto, last, (1, 2)), upto);
    }

    #[test]
    fn a_source_of_which_something_is_gone_is_named() {
        let at = |at, first| check(Partition(7), Offset(at), Offset(first));
        assert!(at(5, 5).is_ok() && at(0, 0).is_ok());
        let error = at(4, 5).unwrap_err().to_string();
        assert!(error.contains("partition 7") && error.contains("restore the folder"), "{error}");
    }
}
