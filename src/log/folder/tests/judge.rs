//! Judge of a story: what is in the log, in the rows, and what was told and heard of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, Engines, Partition, Position, RowKey, Tables, memory};
use fanfare_protocol::Id;

use super::gate::FOREIGN;
use super::{GROUP_AFTER, Story, Told, policy};
use crate::app;
use crate::base::error::Error;
use crate::data::rows::UserRow;
use crate::data::tables;
use crate::log::events::Event;
use crate::log::fold::{Folds, Keys, State};
use crate::log::line;
use crate::log::living::{self, AccountStanding};

/// Reader who folds the log record by record, over rows of its own.
struct Plain {
    folds: Folds,
    tables: Arc<dyn Tables>,
    keys: BTreeSet<RowKey>,
}

impl Plain {
    fn new() -> Self {
        let folds = app::products(GROUP_AFTER).0.into_iter().filter_map(|product| product.fold).collect();
        Self { folds, tables: memory::open(1).unwrap().tables, keys: BTreeSet::new() }
    }

    /// Folds a record of the log; the fault in it, if there is one.
    async fn apply(&mut self, payload: &Bytes) -> Result<(Id, Event), String> {
        let (record, _) = line::decode(payload, &self.folds).unwrap();
        let (mut keys, mut state, mut batch) = (Keys::default(), State::default(), Batch::default());
        self.folds.keys(&record, &mut keys);
        for (key, own) in keys {
            let value = self.tables.get(&key).await.unwrap();
            state.load(key, value, own);
        }
        if let Event::Posted { post, .. } = &record.event {
            let expected = policy(post.author, &state);
            if post.policy != expected {
                return Err(format!("{}: its policy is {:?}, and not {expected:?}", record.id, post.policy));
            }
        }
        let outcome = self.folds.fold(&record, &mut state, &mut batch).unwrap();
        let expected = line::encode(&record, &outcome, &self.folds).unwrap();
        self.keys.extend(batch.rows.iter().map(|row| row.key.clone()));
        self.tables.write(batch).await.unwrap();
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        if *payload == expected {
            Ok((record.id, record.event))
        } else {
            Err(format!("{}\nand not\n{}", text(payload), text(&expected)))
        }
    }

    /// A row that differs from those of `engines`.
    async fn differs(&self, engines: &Engines) -> Option<String> {
        for key in &self.keys {
            let (theirs, ours) = (engines.tables.get(key).await.unwrap(), self.tables.get(key).await.unwrap());
            if theirs != ours {
                return Some(format!("{key:?}: {theirs:?}, and not {ours:?}"));
            }
        }
        None
    }
}

/// Everything in the log, in order.
async fn payloads(engines: &Engines) -> Vec<(Id, Bytes)> {
    let (mut from, mut found) = (Position::START, Vec::new());
    loop {
        let page = engines.journal.read(Partition(0), from, 100).await.unwrap();
        if page.records.is_empty() {
            return found;
        }
        found.extend(page.records.into_iter().map(|one| (Id(one.id.unwrap()), one.payload)));
        from = page.next;
    }
}

/// The fault in what was told and heard, beside what is in the log of `engines`.
pub async fn fault(story: &Story, heard: &[Id], engines: &Engines) -> Option<String> {
    let mut plain = Plain::new();
    plain.folds.layout().read(&*engines.tables).await.unwrap();
    let mut events = BTreeMap::new();
    for (_, payload) in payloads(engines).await {
        match plain.apply(&payload).await {
            Ok((id, event)) => drop(events.insert(id, event)),
            Err(fault) => return Some(fault),
        }
    }
    if let Some(fault) = plain.differs(engines).await {
        return Some(fault);
    }
    for (id, _) in &story.made {
        let row = tables::by_id(tables::POSTS, *id);
        if !plain.keys.contains(&row) && engines.tables.get(&row).await.unwrap().is_some() {
            return Some(format!("{id}: there is a post of no record"));
        }
    }
    let done: Vec<Id> = story
        .proposed
        .iter()
        .filter_map(|(_, told)| if let Told::Done(id) = told { Some(*id) } else { None })
        .collect();
    if !done.is_sorted() || done.iter().any(|id| !events.contains_key(id)) {
        return Some("what was answered as done is not in the log in its order".to_owned());
    }
    let unknown = story.proposed.iter().filter(|(_, told)| *told == Told::Unknown).count();
    let ours = events.values().filter(|event| **event != FOREIGN).count();
    if ours > done.len() + unknown {
        return Some(format!("{ours} are in the log, {} done and {unknown} unknown", done.len()));
    }
    if !heard.is_sorted()
        || heard.iter().any(|id| !events.contains_key(id))
        || done.iter().any(|id| !heard.contains(id))
    {
        return Some("views heard something else".to_owned());
    }
    if unknown == 0 { wrongly_refused(story) } else { None }
}

/// A refusal that is not true, or is missing, as accounts stood when the proposal's turn came.
fn wrongly_refused(story: &Story) -> Option<String> {
    let mut standings: BTreeMap<Id, AccountStanding> = BTreeMap::new();
    for (event, told) in &story.proposed {
        let standing = |person| standings.get(&person).copied().unwrap_or(AccountStanding::Unknown);
        let refusal = living::refusal(&mut event.clone(), standing);
        let expected = refusal.map(|error| match error {
            Error::Refused(problem) => problem.code,
            other => panic!("{other}"),
        });
        match (told, expected) {
            (Told::Not | Told::Unknown, _) => continue,
            (Told::Done(_), None) => {}
            (Told::Refused(code), Some(expected)) if *code == expected => continue,
            (_, expected) => return Some(format!("{event:?} was answered {told:?}, and not {expected:?}")),
        }
        match event {
            Event::UserCreated { user } => drop(standings.insert(user.id, AccountStanding::There)),
            Event::UserDeleted { user: UserRow { id, .. } } | Event::IdBurnt { user: id } => {
                standings.insert(*id, AccountStanding::Gone);
            }
            _ => {}
        }
    }
    None
}
