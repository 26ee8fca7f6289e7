//! The merge with its reading: recents first, tables only for authors whose recents are used up.

use fanfare_engines::EngineError;
use fanfare_protocol::Id;
use futures_util::future::join_all;

use super::FeedCore;
use crate::feed::interner::UserIndex;
use crate::feed::item::FeedItem;
use crate::feed::merge::{Merge, Step, Want};
use crate::feed::recents::Older;
use crate::feed::ring::Entry;

/// The ids `lower..before` of an author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub author: UserIndex,
    pub before: u64,
    pub lower: u64,
}

struct Reading {
    author: UserIndex,
    lower: u64,
    next_read: usize,
}

/// Many authors' posts, newest first.
pub(super) struct Walk<'a, P: FeedItem> {
    core: &'a FeedCore<P>,
    merge: Merge,
    readings: Vec<Reading>,
    ids: Vec<u64>,
}

impl<'a, P: FeedItem> Walk<'a, P> {
    /// Takes what recents have; asks no table yet.
    pub fn new(core: &'a FeedCore<P>, targets: impl ExactSizeIterator<Item = Target>) -> Self {
        let (merge, readings) = (Merge::with_capacity(targets.len()), Vec::with_capacity(targets.len()));
        let mut walk = Self { core, merge, readings, ids: Vec::new() };
        for Target { author, before, lower } in targets {
            walk.ids.clear();
            let first = core.settings.reads.author_first.max(1);
            let older = core.authors.supply(author, before, lower, first, &mut walk.ids);
            walk.merge.add(&walk.ids, older.map_or(before, Older::bound));
            walk.readings.push(Reading { author, lower, next_read: first * 2 });
        }
        walk
    }

    /// The next entry, `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        loop {
            match self.merge.next() {
                Step::Item { id, source } => {
                    return Ok(Some(Entry { id, author: self.readings[source as usize].author }));
                }
                Step::End => return Ok(None),
                Step::More => self.read_on().await?,
            }
        }
    }

    /// Up to `max` entries, and the floor above which they are complete: 0 when nothing was left out.
    pub async fn collect(mut self, max: usize) -> Result<(Vec<Entry>, u64), EngineError> {
        let mut entries = Vec::new();
        while entries.len() < max {
            let Some(entry) = self.next().await? else { return Ok((entries, 0)) };
            entries.push(entry);
        }
        let lowest = entries.last().map_or(u64::MAX, |entry| entry.id);
        Ok((entries, if self.merge.is_done() { 0 } else { lowest.saturating_sub(1) }))
    }

    async fn read_on(&mut self) -> Result<(), EngineError> {
        let sizes = self.core.settings.reads;
        let mut from_tables: Vec<(Want, usize)> = Vec::new();
        for want in self.merge.wanting(sizes.tables_at_once.max(1)) {
            let reading = &mut self.readings[want.source as usize];
            let size = reading.next_read;
            reading.next_read = (size * 2).min(sizes.author_max).max(1);
            self.ids.clear();
            match self.core.authors.supply(reading.author, want.before, reading.lower, size, &mut self.ids) {
                Some(older) => self.merge.supply(want.source, &self.ids, older.bound()),
                None if want.before <= reading.lower => {}
                None => from_tables.push((want, size.max(sizes.table_min))),
            }
        }
        let core = self.core;
        let scans = from_tables.iter().map(|(want, size)| {
            let author = core.authors.id_of(self.readings[want.source as usize].author);
            core.source.author_entries(author, Id(want.before), *size)
        });
        for ((want, size), rows) in from_tables.iter().zip(join_all(scans).await) {
            let rows = rows?;
            let lower = self.readings[want.source as usize].lower;
            self.ids.clear();
            self.ids.extend(rows.iter().map(|row| row.id.0).filter(|id| (lower..want.before).contains(id)));
            let is_end = rows.len() < *size || self.ids.len() < rows.len();
            let below = if is_end { 0 } else { self.ids.last().copied().unwrap_or(0) };
            self.merge.supply(want.source, &self.ids, below);
        }
        Ok(())
    }
}
