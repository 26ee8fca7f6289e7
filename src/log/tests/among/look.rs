//! Look at what nodes tell, once all is quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use fanfare_engines::hostile::Hostile;
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Engines};
use fanfare_protocol::Id;

use super::node::{Node, View, blank};
use super::{GROUP_AFTER, NODES, Pager};
use crate::app;
use crate::data::rows::{Counters, PostRecord, from_json};
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::feed::{Feed, PageQuery};
use crate::log::events::Event;
use crate::log::fold::Folds;
use crate::log::records;
use crate::log::spread::Spread;
use crate::log::tests::clients::{self, Heard, Verdict};
use crate::log::tests::people::{self, Logs, PEOPLE, Rows};

pub(super) struct Look<'a> {
    pub(super) world: &'a Hostile,
    pub(super) engines: Engines,
    pub(super) spread: Spread,
}

fn everybody() -> impl Iterator<Item = Id> {
    (0..PEOPLE).map(|number| Id(1_000 + number * 7))
}

/// All posts that were ever made.
fn posted(logs: &Logs) -> impl Iterator<Item = &PostRecord> {
    logs.values().flatten().filter_map(|(record, _)| match &record.event {
        Event::Posted { post, .. } => Some(post),
        _ => None,
    })
}

/// A whole feed in pages of three, each from the next of `feeds`.
async fn whole(person: Id, mut next: impl FnMut() -> Feed) -> Verdict<Vec<Id>> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = next().page(person, PageQuery { before, since: None, limit: 3 }).await;
        let page = page.map_err(|error| error.to_string())?;
        found.extend(page.entries.iter().map(|entry| entry.id));
        let Some(next) = page.next else { return Ok(found) };
        before = Some(next);
    }
}

impl Look<'_> {
    fn folds(&self) -> Folds {
        let products = app::products_over(self.spread, GROUP_AFTER).0;
        products.into_iter().filter_map(|product| product.fold).collect()
    }

    /// Records that count, read once.
    pub(super) fn logs(&self) -> Logs {
        let folds = self.folds();
        let read = |partition| {
            let records = self.world.log(partition).records;
            records.iter().map(|one| records::read(partition, one, &folds).unwrap()).collect()
        };
        self.spread.partitions().map(|partition| (partition.0, read(partition))).collect()
    }

    /// Rows are those of the logs and of the model, and every act that was answered is there once.
    pub(super) async fn at_rows(&self, logs: &Logs, heard: &[(u64, Heard<Id>)]) -> Verdict<()> {
        let (folds, mut rows, mut standing) = (self.folds(), Rows::default(), BTreeMap::<u64, Vec<Id>>::new());
        folds.layout().read(&*self.engines.tables).await.map_err(|error| error.to_string())?;
        for (record, outcome) in logs.values().flatten() {
            let mut batch = Batch::default();
            folds.rows(record, outcome, &mut batch).unwrap();
            rows.write(batch);
            if let Some(act) = record.import_line {
                standing.entry(act).or_default().push(record.id);
            }
        }
        for log in logs.values() {
            if let Some(pair) = log.windows(2).find(|pair| pair[0].0.id >= pair[1].0.id) {
                return Err(format!("{} is followed by {}", pair[0].0.id, pair[1].0.id));
            }
        }
        // Of meta the acts that stand there are in the order of nothing.
        let mut of_people = rows.versioned().filter(|(key, _)| key.table != tables::META);
        if let Some((key, value)) = of_people.find(|(key, value)| self.world.row(key).as_ref() != *value) {
            return Err(format!("a row of {:?} is not as the log says: {value:?}", key.table));
        }
        people::look(self.spread, &rows, logs)?;
        clients::look_at_answers(heard, &standing)
    }

    /// The caches of a node hold what rows say.
    pub(super) async fn at_caches(&self, node: &Node, logs: &Logs) -> Verdict<()> {
        let (store, said) = (&node.store, |error: &dyn std::fmt::Display| error.to_string());
        let row = |of: Of| self.world.row(&of.row());
        let stored = |of: Of| row(of).map(|row| Counters::from_bytes(&row).unwrap()).unwrap_or_default();
        let (fresh, _) = blank(&self.engines, &node.clock, Id(0)).await.map_err(|error| said(&error))?;
        for person in everybody() {
            let of = Of::User(person);
            let cached = store.counters(of).await.map_err(|error| said(&error))?;
            if cached.values != stored(of).values {
                return Err(format!("{person} counts {:?} in a cache, and {:?}", cached.values, stored(of).values));
            }
            let (cached, row) = (store.hidden(person).await, fresh.hidden(person).await);
            let (cached, row) = (cached.map_err(|error| said(&error))?, row.map_err(|error| said(&error))?);
            if (&cached.blocked, &cached.muted) != (&row.blocked, &row.muted) {
                return Err(format!("{person} hides {cached:?} in a cache, and {row:?}"));
            }
        }
        for post in posted(logs) {
            let of = Of::Post(post.id);
            let cached = store.counters(of).await.map_err(|error| said(&error))?;
            let row = self.world.row(&tables::by_id(tables::POSTS, post.id));
            let row = row.map(|row| from_json::<PostRecord>(&row).unwrap());
            let known = store.post_or_gone(post.id).await.map_err(|error| said(&error))?;
            let is_gone = |post: Option<&PostRecord>| post.is_none_or(|post| post.deleted);
            if is_gone(known.as_deref()) != is_gone(row.as_ref()) {
                return Err(format!("post {} is {known:?} in a cache, and {row:?}", post.id));
            }
            if !is_gone(row.as_ref()) && cached.values != stored(of).values {
                return Err(format!("post {} counts {cached:?} in a cache, and {:?}", post.id, stored(of)));
            }
        }
        Ok(())
    }

    /// Every feed is what somebody sees who knows rows alone, on each node and on all of them in turns.
    pub(super) async fn at_feeds(&self, nodes: &[Node], random: &mut Random) -> Verdict<()> {
        let horizon = nodes[0].log.horizon().reached();
        let blank = blank(&self.engines, &nodes[0].clock, horizon).await.map_err(|error| error.to_string())?;
        for person in everybody() {
            let pulled = whole(person, || blank.1.clone()).await?;
            for node in nodes {
                let found = whole(person, || node.feed.clone()).await?;
                if found != pulled {
                    return Err(format!("{person} is fed {found:?}, and pulls {pulled:?}"));
                }
            }
            let found = whole(person, || nodes[random.index(NODES)].feed.clone()).await?;
            if found != pulled {
                return Err(format!("over nodes in turns {person} is fed {found:?}, and pulls {pulled:?}"));
            }
        }
        Ok(())
    }

    /// Cursors that went through somebody's posts saw each once, whatever nodes answered, but for those that are gone.
    pub(super) fn at_pagers(&self, pagers: &[Pager], logs: &Logs) -> Verdict<()> {
        let gone: BTreeSet<Id> = logs
            .values()
            .flatten()
            .filter_map(|(record, _)| match &record.event {
                Event::PostDeleted { post, .. } => Some(*post),
                _ => None,
            })
            .collect();
        for Pager { person, from, seen, is_through, before } in pagers {
            if let Some(pair) = seen.windows(2).find(|pair| pair[0] <= pair[1]) {
                return Err(format!("a cursor that saw {} sees {}", pair[0], pair[1]));
            }
            let reached = |post: &&PostRecord| post.id <= *from && (*is_through || post.id >= *before);
            let theirs = posted(logs).filter(|post| post.author == *person && !gone.contains(&post.id));
            if let Some(missed) = theirs.filter(reached).find(|post| !seen.contains(&post.id)) {
                return Err(format!("a cursor from {from} on did not see {}", missed.id));
            }
        }
        Ok(())
    }

    /// Number of all that came about: what stands in logs, where, and in which order views heard of it.
    pub(super) fn digest(&self, lives: &[(usize, Arc<View>)]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for partition in self.spread.partitions() {
            for one in self.world.log(partition).records {
                (one.offset, one.id, one.payload).hash(&mut hasher);
            }
        }
        for (node, view) in lives {
            (node, &*view.told.lock(), &*view.shown.lock()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Views heard of each record once and in order, and of none at or below a horizon that was shown. Answers how many
    /// they heard of.
    pub(super) fn at_views(
        &self,
        logs: &Logs,
        last: &[(usize, Arc<View>)],
        earlier: &[(usize, Arc<View>)],
    ) -> Verdict<usize> {
        let mut heard = 0;
        for (place, (node, view)) in last.iter().chain(earlier).enumerate() {
            let (told, from, shown) = (view.told.lock(), view.from.lock(), view.shown.lock());
            heard += told.len();
            for (partition, log) in logs {
                let from = from.get(partition).copied().unwrap_or_default();
                let right: Vec<Id> = log.iter().map(|(record, _)| record.id).filter(|id| *id > from).collect();
                let known: BTreeSet<Id> = log.iter().map(|(record, _)| record.id).collect();
                let found: Vec<Id> = told.iter().copied().filter(|id| known.contains(id)).collect();
                // A process that ended heard of the first of them.
                let is_right = if place < last.len() { found == right } else { right.starts_with(&found) };
                if !is_right {
                    return Err(format!("node {node} was told {found:?} of partition {partition}: {right:?}"));
                }
            }
            let of_logs: BTreeSet<Id> = logs.values().flatten().map(|(record, _)| record.id).collect();
            if let Some(unknown) = told.iter().find(|id| !of_logs.contains(id)) {
                return Err(format!("node {node} was told of {unknown}, which counts nowhere"));
            }
            let mut highest = (Id(0), 0);
            for (horizon, count) in shown.iter() {
                if let Some(id) = told[highest.1..*count].iter().find(|id| **id <= highest.0) {
                    return Err(format!("node {node} showed {}, and was told of {id} after", highest.0));
                }
                highest = (highest.0.max(*horizon), *count);
            }
            if let Some(id) = told[highest.1..].iter().find(|id| **id <= highest.0) {
                return Err(format!("node {node} showed {}, and was told of {id} after", highest.0));
            }
        }
        Ok(heard)
    }
}
