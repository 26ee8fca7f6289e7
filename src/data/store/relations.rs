//! Edges between people: their rows, and the cache of whom a reader does not see.

use std::sync::Arc;

use fanfare_engines::EngineError;
use fanfare_protocol::{Id, LastSeen, Relationship};

use super::Store;
use crate::base::error::Result;
use crate::base::limits;
use crate::data::coherent::Coherent;
use crate::data::rows::chat::PreferencesRow;
use crate::data::rows::from_json;
use crate::data::tables;
use crate::data::tables::chat;

/// People whom a reader does not see: blocked either way, and muted. Both sorted.
#[derive(Debug, Default)]
pub struct Hidden {
    /// People whom the reader blocks, and who block the reader.
    pub blocked: Vec<Id>,
    /// People whom the reader mutes.
    pub muted: Vec<Id>,
}

impl Hidden {
    /// Blocked either way.
    #[must_use]
    pub fn blocks(&self, person: Id) -> bool {
        self.blocked.binary_search(&person).is_ok()
    }

    /// Muted.
    #[must_use]
    pub fn mutes(&self, person: Id) -> bool {
        self.muted.binary_search(&person).is_ok()
    }

    /// Blocked either way, or muted.
    #[must_use]
    pub fn hides(&self, person: Id) -> bool {
        self.blocks(person) || self.mutes(person)
    }
}

/// Cache of edges.
pub(super) struct Relations {
    hidden: Coherent<Id, Arc<Hidden>>,
}

impl Default for Relations {
    fn default() -> Self {
        Self { hidden: Coherent::new(limits::MARKS_CACHE_MAX) }
    }
}

impl Store {
    /// People whom `reader` does not see.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn hidden(&self, reader: Id) -> Result<Arc<Hidden>, EngineError> {
        if let Some(hidden) = self.relations.hidden.get(&reader) {
            return Ok(hidden);
        }
        let epoch = self.relations.hidden.epoch(&reader);
        let mut blocked = self.ids_of(tables::BLOCKS, reader, limits::HIDDEN_MAX).await?;
        blocked.extend(self.ids_of(tables::BLOCKED_BY, reader, limits::HIDDEN_MAX).await?);
        blocked.sort_unstable();
        blocked.dedup();
        let muted = self.ids_of(tables::MUTES, reader, limits::HIDDEN_MAX).await?;
        let hidden = Arc::new(Hidden { blocked, muted });
        self.relations.hidden.keep(epoch, &reader, Arc::clone(&hidden));
        Ok(hidden)
    }

    /// Relationship of `viewer` to `other`. Across a block nobody follows, also while the end of a follow is on its
    /// way.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn relationship(&self, viewer: Id, other: Id) -> Result<Relationship> {
        let keys = [
            tables::pair(tables::FOLLOWS, viewer, other),
            tables::pair(tables::FOLLOWS, other, viewer),
            tables::pair(tables::BLOCKS, viewer, other),
            tables::pair(tables::MUTES, viewer, other),
            tables::pair(tables::BLOCKS, other, viewer),
        ];
        let rows = self.get_many(&keys).await?;
        let is = |index: usize| rows.get(index).is_some_and(Option::is_some);
        let apart = is(2) || is(4);
        Ok(Relationship { following: is(0) && !apart, followed_by: is(1) && !apart, blocking: is(2), muting: is(3) })
    }

    /// Followees of `person`, ascending.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn followees_of(&self, person: Id) -> Result<Vec<Id>, EngineError> {
        self.ids_of(tables::FOLLOWS, person, limits::FOLLOWS_READ_MAX).await
    }

    /// Takes in that blocks or mutes of `person` changed.
    pub fn hidden_changed(&self, person: Id) {
        self.relations.hidden.forget(&person);
    }

    /// Whether each of these (person, viewer) is a person who lets the viewer see whether they are there, in their
    /// order. Whether they see each other at all is another question.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn lets_see(&self, pairs: &[(Id, Id)]) -> Result<Vec<bool>> {
        let wanted: Vec<_> = pairs.iter().map(|(person, _)| tables::by_id(chat::PREFERENCES, *person)).collect();
        let mut seen = Vec::with_capacity(pairs.len());
        // Places of those who are seen by whom they follow.
        let mut asked = Vec::new();
        for ((person, viewer), row) in pairs.iter().zip(self.get_many(&wanted).await?) {
            let chosen = row.as_deref().map(from_json::<PreferencesRow>).transpose()?.unwrap_or_default().last_seen;
            if chosen == LastSeen::Followed && person != viewer {
                asked.push(seen.len());
            }
            seen.push(person == viewer || chosen == LastSeen::Everybody);
        }
        if asked.is_empty() {
            return Ok(seen);
        }
        let follows =
            |place: &usize| pairs.get(*place).map(|(person, viewer)| tables::pair(tables::FOLLOWS, *person, *viewer));
        let rows = self.get_many(&asked.iter().filter_map(follows).collect::<Vec<_>>()).await?;
        for (place, row) in asked.into_iter().zip(rows) {
            if let Some(seen) = seen.get_mut(place) {
                *seen = row.is_some();
            }
        }
        Ok(seen)
    }
}
