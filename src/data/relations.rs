//! Edges between people, as rows tell them.

use fanfare_protocol::{Id, Relationship};

use crate::base::error::Result;
use crate::data::store::Store;
use crate::data::tables;

impl Store {
    /// Relationship of `viewer` to `other`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn relationship(&self, viewer: Id, other: Id) -> Result<Relationship> {
        let keys = [
            tables::pair(tables::FOLLOWS, viewer, other),
            tables::pair(tables::FOLLOWS, other, viewer),
            tables::pair(tables::BLOCKS, viewer, other),
            tables::pair(tables::MUTES, viewer, other),
        ];
        let rows = self.engines.tables.get_many(&keys).await?;
        let is = |index: usize| rows.get(index).is_some_and(Option::is_some);
        Ok(Relationship { following: is(0), followed_by: is(1), blocking: is(2), muting: is(3) })
    }
}
