//! Social family: people, what they post and what they do to each other, folded by the products.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, JournalRecord, Partition, Table, Tables};
use fanfare_protocol::Id;

use super::folding::Folding;
use crate::base::error::{Error, Result};
use crate::data::forgotten::Forgotten;
use crate::data::swept::Swept;
use crate::data::{families, tables};
use crate::log::events::{Record, Weight};
use crate::log::family::{Family, Past};
use crate::log::fold::State;
use crate::log::handle::Proposal;
use crate::log::living::{self, AccountStanding, Living, Standings};
use crate::log::outcome::Outcome;
use crate::log::product::{Committed, Listener, Prepare, Product};
use crate::log::records;

/// The products, as the owner of one social partition asks them.
pub struct Social {
    prepares: Vec<Arc<dyn Prepare>>,
    folding: Folding,
    living: Arc<Living>,
    listeners: Vec<Arc<dyn Listener>>,
}

impl Social {
    /// For one partition, whose rows are in `tables`; who lives is known to all together.
    pub(super) fn new(products: &[Product], tables: &Arc<dyn Tables>, living: &Arc<Living>) -> Self {
        let folds = products.iter().filter_map(|product| product.fold.clone()).collect();
        Self {
            prepares: products.iter().filter_map(|product| product.prepare.clone()).collect(),
            folding: Folding::new(folds, Arc::clone(tables)),
            living: Arc::clone(living),
            listeners: products.iter().filter_map(|product| product.listener.clone()).collect(),
        }
    }
}

impl Family for Social {
    type Proposal = Proposal;
    type Record = Record;
    type Outcome = Outcome;
    type State = State;
    type Answer = Arc<Record>;
    type Standings = Standings;
    type Changes = Vec<(Id, AccountStanding)>;

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
        living::depends_on(changes, &proposal.event)
    }

    async fn standings(&self, records: &[Record]) -> Result<Standings> {
        self.living.load(records).await
    }

    fn admit(
        records: Vec<Record>,
        standings: &Standings,
        changes: &mut Self::Changes,
        admitted: &mut Vec<Record>,
    ) -> Vec<Option<Error>> {
        Living::admit(records, standings, changes, admitted)
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
        let forgotten = Forgotten::read(self.folding.tables()).await?.upto;
        Ok(Past { forgotten, swept: Swept::read(self.folding.tables()).await? })
    }

    fn keep(&self, state: State, changes: &Self::Changes) {
        self.folding.keep(state);
        self.living.committed(changes);
    }

    fn learn(&self, committed: &[Committed]) {
        self.living.committed(&living::changes(committed));
    }

    fn forget(&self) {
        self.folding.forget();
        self.living.forget();
    }

    fn tell(&self, committed: &[Committed], horizon: Id) {
        for listener in &self.listeners {
            listener.committed(committed, horizon);
        }
    }

    fn answer(committed: Committed) -> Arc<Record> {
        committed.record
    }
}
