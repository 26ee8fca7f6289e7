//! Social family: people, what they post and what they do to each other, folded by the products.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, JournalRecord, Partition, Table, Tables};
use fanfare_protocol::Id;

use super::folding::Folding;
use crate::base::error::{Error, Result};
use crate::data::forgotten::Forgotten;
use crate::data::layout::Layout;
use crate::data::swept::Swept;
use crate::data::{families, tables};
use crate::log::effects;
use crate::log::events::{Derived, Event, Record, Weight};
use crate::log::family::{Family, Past};
use crate::log::fold::{Folds, State};
use crate::log::handle::Proposal;
use crate::log::living::{self, AccountStanding, Living, Standings};
use crate::log::outcome::Outcome;
use crate::log::product::{Committed, Listener, Prepare, Product};
use crate::log::records;
use crate::log::spread::Spread;
use crate::log::taken::{Consumed, Crossing};

/// The products, as the owner of one social partition asks them.
pub struct Social {
    prepares: Vec<Arc<dyn Prepare>>,
    folding: Folding,
    living: Arc<Living>,
    listeners: Vec<Arc<dyn Listener>>,
    /// Partitions of people.
    spread: Spread,
    /// Part that takers look at.
    crossing: Crossing,
}

/// Grounds on which records happen: who lives, and what was taken of other partitions.
pub struct SocialStandings {
    accounts: Standings,
    taken: Consumed,
    #[cfg(test)]
    takes_twice: bool,
}

/// Changes of these grounds by records.
#[derive(Default)]
pub struct SocialChanges {
    accounts: Vec<(Id, AccountStanding)>,
    taken: Consumed,
}

impl Social {
    /// For one partition of `spread`, whose rows are in `tables`; the layout of rows, and who lives,
    /// are known to all together.
    pub(super) fn new(
        products: &[Product],
        tables: &Arc<dyn Tables>,
        (layout, living): (&Layout, &Arc<Living>),
        (spread, crossing): (Spread, Crossing),
    ) -> Self {
        let folds: Folds = products.iter().filter_map(|product| product.fold.clone()).collect();
        let folds = folds.in_layout(layout.clone());
        Self {
            prepares: products.iter().filter_map(|product| product.prepare.clone()).collect(),
            folding: Folding::new(folds, Arc::clone(tables)),
            living: Arc::clone(living),
            listeners: products.iter().filter_map(|product| product.listener.clone()).collect(),
            spread,
            crossing,
        }
    }
}

impl Family for Social {
    type Proposal = Proposal;
    type Record = Record;
    type Outcome = Outcome;
    type State = State;
    type Answer = Arc<Record>;
    type Standings = SocialStandings;
    type Changes = SocialChanges;

    const NAME: &'static str = families::SOCIAL.name;
    const OWN_TABLE: Table = tables::META;
    const HAS_CLOCK: bool = true;

    fn weight(proposal: &Proposal) -> Weight {
        proposal.weight()
    }

    fn at_ms(proposal: &Proposal) -> Option<u64> {
        proposal.at_ms
    }

    fn only_ends(proposal: &Proposal) -> bool {
        proposal.event.only_ends()
    }

    fn beat() -> Option<Proposal> {
        Some(Event::Operated.into())
    }

    fn is_beat(record: &Record) -> bool {
        let has_rows = record.audit.is_some() || record.idempotency.is_some() || record.import_line.is_some();
        matches!(record.event, Event::Operated) && !has_rows
    }

    fn number(proposal: Proposal, id: Id) -> Record {
        let Proposal { event, idempotency, import_line, audit, .. } = proposal;
        Record { id, event, idempotency, import_line, audit }
    }

    fn id(record: &Record) -> Id {
        record.id
    }

    fn stored_id(one: &JournalRecord) -> Option<Id> {
        records::id(one)
    }

    fn depends_on(changes: &Self::Changes, proposal: &Proposal) -> bool {
        let is_next = |derived: &Derived| changes.taken.of(derived.from.partition).0 > 0;
        let is_derived = matches!(&proposal.event, Event::Derived(derived) if is_next(derived));
        is_derived || living::depends_on(&changes.accounts, &proposal.event)
    }

    async fn standings(&self, records: &[Record]) -> Result<SocialStandings> {
        Ok(SocialStandings {
            accounts: self.living.load(records).await?,
            taken: self.crossing.taken(),
            #[cfg(test)]
            takes_twice: self.crossing.takes_twice(),
        })
    }

    fn admit(
        records: Vec<Record>,
        standings: &SocialStandings,
        changes: &mut Self::Changes,
        admitted: &mut Vec<Record>,
    ) -> Vec<Option<Error>> {
        let SocialStandings { accounts, taken, .. } = standings;
        if !records.iter().any(|record| matches!(record.event, Event::Derived(_))) {
            return Living::admit(records, accounts, &mut changes.accounts, admitted);
        }
        let mut refusals = Vec::with_capacity(records.len());
        for record in records {
            if let Event::Derived(derived) = &record.event {
                let mut known = taken.clone();
                known.join(&changes.taken);
                let turn = known.take(&derived.from);
                #[cfg(test)]
                let turn = if standings.takes_twice { Ok(()) } else { turn };
                if let Err(error) = turn {
                    refusals.push(Some(error));
                    continue;
                }
                changes.taken.learn(&record.event);
            }
            refusals.extend(Living::admit(vec![record], accounts, &mut changes.accounts, admitted));
        }
        refusals
    }

    async fn load(&self, records: &[Record], state: &State, before: Option<(&State, &Batch)>) -> Result<State> {
        self.folding.load(records.iter(), state, before).await
    }

    fn take_in(state: &mut State, loaded: State, batch: &Batch) {
        state.take_in(loaded, batch);
    }

    fn fold(&self, record: &mut Record, state: &mut State, batch: &mut Batch) -> Result<Outcome> {
        for product in &self.prepares {
            product.prepare(record, state)?;
        }
        self.folding.fold(record, state, batch)
    }

    fn line(&self, record: &Record, outcome: &Outcome) -> Result<Bytes> {
        self.folding.line(record, outcome)
    }

    fn read(&self, partition: Partition, one: &JournalRecord) -> Result<(Record, Outcome)> {
        self.folding.read(partition, one)
    }

    fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        self.folding.rows(record, outcome, batch)
    }

    async fn past(&self) -> Result<Past> {
        // Rows that are written again are where they were.
        self.folding.layout().read(self.folding.tables()).await?;
        let forgotten = Forgotten::read(self.folding.tables()).await?.upto;
        Ok(Past { forgotten, swept: Swept::read(self.folding.tables()).await? })
    }

    fn keep(&self, state: State, changes: &Self::Changes) {
        self.folding.keep(state);
        self.living.committed(&changes.accounts);
        self.crossing.join(&changes.taken);
    }

    fn learn(&self, committed: &[Committed]) {
        self.living.committed(&living::changes(committed));
        self.crossing.learn(committed.iter().map(|one| &one.record.event));
        self.crossing.look_again();
    }

    fn held(&self, committed: &[Committed]) -> Option<(Id, Id)> {
        if self.spread.is_one() {
            return None;
        }
        let follows = |one: &&Committed| !effects::of(&one.record, &one.outcome, self.spread).is_empty();
        let mut held = committed.iter().filter(follows).map(|one| one.record.id);
        let first = held.next()?;
        Some((first, held.next_back().unwrap_or(first)))
    }

    fn taken(&self) -> Consumed {
        self.crossing.taken()
    }

    fn begin(&self, taken: &Consumed) {
        self.crossing.join(taken);
    }

    fn pass(&self, record: &Record) {
        self.crossing.learn(std::iter::once(&record.event));
    }

    fn opened(&self, last: Id) {
        self.crossing.settle(last);
    }

    fn forget(&self) {
        self.folding.forget();
        self.living.forget();
    }

    fn tell(&self, committed: &[Committed], horizon: Id) {
        for listener in &self.listeners {
            listener.committed(committed, horizon);
        }
        if let Some(last) = committed.last() {
            self.crossing.settle(last.record.id);
        }
    }

    fn answer(committed: Committed) -> Arc<Record> {
        committed.record
    }
}
