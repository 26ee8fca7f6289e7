//! A plain model that reads once what counts of the log: rows, views, answers and horizons are held against it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fanfare_engines::hostile::Hostile;
use fanfare_engines::{Batch, Offset, Partition, RowKey};
use fanfare_protocol::Id;
use parking_lot::Mutex;

use crate::base::error::Result;
use crate::data::rows::{Counters, OfUser, from_json};
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::log::counters::Changes;
use crate::log::events::{Event, Record};
use crate::log::fold::Fold;
use crate::log::outcome::Outcome;
use crate::log::product::{Committed, Listener};

pub(super) const P: Partition = Partition(0);

/// Two people, of whom one mutes the other or does not.
pub(super) type Pair = (Id, Id);

/// The row of a pair, there while one mutes the other.
pub(super) fn edge_row((muter, muted): Pair) -> RowKey {
    tables::pair(tables::MUTES, muter, muted)
}

/// The pair of a record, and whether one mutes the other from then on.
fn change(event: &Event) -> Option<(Pair, bool)> {
    match event {
        Event::Muted { muter, muted } => Some(((*muter, *muted), true)),
        Event::Unmuted { muter, muted } => Some(((*muter, *muted), false)),
        _ => None,
    }
}

/// The product: an edge that comes and goes, and how many there are of each person.
pub(super) struct Edges;

impl Fold for Edges {
    fn counts(&self, event: &Event, changes: &mut Changes) {
        if let Some(((_, muted), is_there)) = change(event) {
            changes.user(muted, OfUser::Followers, if is_there { 1 } else { -1 });
        }
    }

    fn rows(&self, record: &Record, _outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        match change(&record.event) {
            Some((pair, true)) => {
                batch.put_versioned(edge_row(pair), record.id.to_bytes().to_vec(), record.id.0);
            }
            Some((pair, false)) => batch.delete_versioned(edge_row(pair), record.id.0),
            None => {}
        }
        Ok(())
    }
}

/// Answer that a client heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Done(Id),
    Refused,
    Unknown,
}

/// An act, the node that was asked for it, and what it said.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answered {
    pub(super) act: u64,
    pub(super) node: usize,
    pub(super) answer: Heard,
}

/// Course of a history: what came of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Course {
    pub(super) done: u64,
    pub(super) refused: u64,
    pub(super) unknown: u64,
    /// Records that views heard of which others had been asked.
    pub(super) of_others: u64,
}

impl std::ops::AddAssign for Course {
    fn add_assign(&mut self, other: Self) {
        self.done += other.done;
        self.refused += other.refused;
        self.unknown += other.unknown;
        self.of_others += other.of_others;
    }
}

/// Observations of a history, and all that is wrong with them.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) world: Hostile,
    wrong: Arc<Mutex<Vec<String>>>,
    /// Ends of the log when ids were shown as the horizon.
    shown: Arc<Mutex<BTreeMap<Id, Offset>>>,
    /// Ids that stand in no record.
    minted: Arc<Mutex<BTreeSet<Id>>>,
}

impl Watch {
    pub(super) fn new(world: Hostile) -> Self {
        Self { world, wrong: Arc::default(), shown: Arc::default(), minted: Arc::default() }
    }

    pub(super) fn wrong(&self, what: String) {
        self.wrong.lock().push(what);
    }

    /// An id was minted that no record has.
    pub(super) fn minted(&self, id: Id) {
        if !self.minted.lock().insert(id) {
            self.wrong(format!("{id} was minted twice"));
        }
    }

    /// Counters of a person as they stand.
    fn counters(&self, person: Id) -> Counters {
        let row = self.world.row(&Of::User(person).row());
        row.and_then(|bytes| Counters::from_bytes(&bytes).ok()).unwrap_or_default()
    }

    /// Whether the rows of a record are there, or newer ones.
    fn is_settled(&self, record: &Record) -> bool {
        change(&record.event).is_none_or(|((_, muted), _)| self.counters(muted).applied >= record.id)
    }

    /// All records that count.
    fn records(&self) -> Vec<(Offset, Record)> {
        let read = |payload: &[u8]| from_json::<Record>(payload).map_err(|error| self.wrong(error.to_string())).ok();
        let log = self.world.log(P);
        log.records.iter().filter_map(|one| Some((one.offset, read(&one.payload)?))).collect()
    }

    /// Somebody was shown `horizon`: all at or below it is settled, and nothing comes there any more.
    pub(super) fn shows(&self, horizon: Id) {
        let early = self.records().into_iter().find(|(_, one)| one.id <= horizon && !self.is_settled(one));
        if let Some((offset, record)) = early {
            self.wrong(format!("{horizon} was shown, and {} at {offset:?} is not settled", record.id));
        }
        self.nothing_comes_below(Id(horizon.0 + 1));
    }

    /// From now on no record comes below `oldest`.
    pub(super) fn nothing_comes_below(&self, oldest: Id) {
        let end = self.world.log(P).next.offset;
        self.shown.lock().entry(Id(oldest.0 - 1)).or_insert(end);
    }

    /// Compares everything in the end; an error is what is wrong.
    pub(super) fn look(&self, heard: &[Answered], views: &[View]) -> std::result::Result<Course, String> {
        let records = self.records();
        self.look_at_rows(&records);
        self.look_at_answers(&records, heard);
        views.iter().for_each(|view| self.look_at_view(&records, view));
        for (horizon, end) in &*self.shown.lock() {
            let late = records.iter().find(|(offset, record)| offset >= end && record.id <= *horizon);
            if let Some((offset, record)) = late {
                self.wrong(format!("{horizon} was shown at {end:?}, and {} came at {offset:?}", record.id));
            }
        }
        let wrong = self.wrong.lock();
        match wrong.first() {
            Some(first) => Err(format!("{first}; and {} more", wrong.len() - 1)),
            None => Ok(course(&records, heard, views)),
        }
    }

    /// Rows are those of a model that reads once; and each record was decided on what the one before it left.
    fn look_at_rows(&self, records: &[(Offset, Record)]) {
        let mut edges: BTreeMap<Pair, bool> = BTreeMap::new();
        let mut counts: BTreeMap<Id, (i64, Id)> = BTreeMap::new();
        let mut last = Id(0);
        for (offset, record) in records {
            if record.id <= last {
                self.wrong(format!("{} at {offset:?} is behind {last}", record.id));
            }
            last = record.id;
            let Some((pair, is_there)) = change(&record.event) else { continue };
            if edges.insert(pair, is_there).unwrap_or_default() == is_there {
                self.wrong(format!("{} at {offset:?} was decided on what was over", record.id));
            }
            let (count, applied) = counts.entry(pair.1).or_default();
            (*count, *applied) = (*count + if is_there { 1 } else { -1 }, record.id);
        }
        for (pair, is_there) in edges {
            if self.world.row(&edge_row(pair)).is_some() != is_there {
                self.wrong(format!("the row of {pair:?} is not as the log says: {is_there}"));
            }
        }
        for (person, (count, applied)) in counts {
            let row = self.counters(person);
            if (row.values[OfUser::Followers as usize] as i64, row.applied) != (count, applied) {
                self.wrong(format!("{person} has {count} up to {applied}, and the row says {row:?}"));
            }
        }
    }

    /// Acts that were answered as done stand once, refused ones do not.
    fn look_at_answers(&self, records: &[(Offset, Record)], heard: &[Answered]) {
        let mut standing: BTreeMap<u64, Vec<Id>> = BTreeMap::new();
        for (_, record) in records {
            standing.entry(record.import_line.unwrap_or_default()).or_default().push(record.id);
        }
        for Answered { act, answer, .. } in heard {
            let stands = standing.get(act).map(Vec::as_slice).unwrap_or_default();
            let is_right = match answer {
                Heard::Done(id) => stands == [*id],
                Heard::Refused => stands.is_empty(),
                Heard::Unknown => stands.len() <= 1,
            };
            if !is_right {
                self.wrong(format!("act {act} was answered {answer:?}, and stands as {stands:?}"));
            }
        }
    }

    /// A view heard everything once, in order, up to the last that it heard.
    fn look_at_view(&self, records: &[(Offset, Record)], view: &View) {
        let heard = view.heard.lock();
        let Some(last) = heard.last() else { return };
        let from = *view.opened.lock();
        let stands = records.iter().map(|(_, record)| record.id).filter(|id| *id > from && id <= last);
        let stands: Vec<Id> = stands.collect();
        if *heard != stands {
            self.wrong(format!("a view that began at {from} heard {heard:?} of {stands:?}"));
        }
    }
}

fn course(records: &[(Offset, Record)], heard: &[Answered], views: &[View]) -> Course {
    let mut course = Course::default();
    for one in heard {
        match one.answer {
            Heard::Done(_) => course.done += 1,
            Heard::Refused => course.refused += 1,
            Heard::Unknown => course.unknown += 1,
        }
    }
    let asked: BTreeMap<u64, usize> = heard.iter().map(|one| (one.act, one.node)).collect();
    let at = |record: &Record| record.import_line.and_then(|act| asked.get(&act).copied());
    let nodes: BTreeMap<Id, Option<usize>> = records.iter().map(|(_, record)| (record.id, at(record))).collect();
    for view in views {
        let heard = view.heard.lock();
        course.of_others += heard.iter().filter(|id| nodes.get(id) != Some(&Some(view.node))).count() as u64;
    }
    course
}

/// A node's views, which look at the rows of what they are told.
#[derive(Clone)]
pub(super) struct View {
    watch: Watch,
    node: usize,
    /// Everything up to here was there when it began.
    pub(super) opened: Arc<Mutex<Id>>,
    heard: Arc<Mutex<Vec<Id>>>,
}

impl View {
    pub(super) fn new(watch: Watch, node: usize) -> Self {
        Self { watch, node, opened: Arc::default(), heard: Arc::default() }
    }
}

impl Listener for View {
    fn committed(&self, committed: &[Committed], horizon: Id) {
        for one in committed {
            if !self.watch.is_settled(&one.record) {
                self.watch.wrong(format!("{} was told before its rows were there", one.record.id));
            }
            self.heard.lock().push(one.record.id);
        }
        self.watch.shows(horizon);
    }
}
