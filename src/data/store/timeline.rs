//! Rows of everybody's posts by age, whatever layout they were written in: for the scan that warms the recents, and for
//! the public timeline, whose newest posts are in memory.

use bytes::Bytes;
use fanfare_engines::{EngineError, FamilyPlace, KeyRange, Order, Row, Table};
use fanfare_protocol::Id;

use super::Store;
use crate::base::limits;
use crate::data::layout::{first_of_span, span_of, span_partition, spans_partition};
use crate::data::rows::number_in;
use crate::data::tables::{self, bucket_of, first_of_bucket};

/// Some rows, newest first, and the id below which the next ones are; `None` at the end.
pub type Stretch = (Vec<Row>, Option<Id>);

fn id_of(row: &Row) -> Option<Id> {
    Id::from_bytes(&row.clustering)
}

impl Store {
    /// Learns at the start in which layout rows are.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load_layout(&self) -> Result<(), EngineError> {
        self.layout.read(&*self.engines.tables).await.map(|_| ())
    }

    /// Partitions of the timeline that hold ids of `from` and above: of one author, older posts are in earlier ones.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn timeline_from(&self, from: Id) -> Result<Vec<Bytes>, EngineError> {
        let (mut found, first) = (Vec::new(), self.layout.first());
        if from < first {
            let buckets = self.buckets().await?.into_iter().filter(|bucket| *bucket >= bucket_of(from));
            found.extend(buckets.map(tables::timeline_partition));
        }
        for number in self.journal_partitions() {
            let partition = spans_partition(number);
            let mut next = span_of(from.max(first));
            loop {
                let range = KeyRange { from: Some(Bytes::copy_from_slice(&next.to_be_bytes())), to: None };
                let step = limits::SPANS_STEP_ROWS;
                let rows = self.scan(tables::BUCKETS, &partition, range, Order::Ascending, step).await?;
                let spans = || rows.iter().filter_map(|row| number_in(&row.clustering));
                found.extend(spans().map(|span| span_partition(number, span)));
                match spans().last() {
                    Some(last) if rows.len() == step => next = last.saturating_add(1),
                    _ => break,
                }
            }
        }
        Ok(found)
    }

    /// Numbers of the partitions of the journal that posts are records of, where they are of this layout.
    fn journal_partitions(&self) -> impl Iterator<Item = u16> + use<> {
        let is_wide = self.layout.first() < Id(u64::MAX);
        let first = self.engines.families.all().first().filter(|_| is_wide);
        first.map(FamilyPlace::partitions).into_iter().flatten().map(|partition| partition.0)
    }

    /// Posts of the public timeline below `before`: from memory, as far as that goes, and then from the tables, about
    /// `limit` rows at a time.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn public_below(&self, before: Id, limit: usize) -> Result<Stretch, EngineError> {
        if let Some((posts, next)) = self.public.below(before, limit) {
            let row = |post: &Id| Row { clustering: tables::partition(*post), value: Bytes::new() };
            return Ok((posts.iter().map(row).collect(), next));
        }
        self.public_stored_below(before, limit).await
    }

    /// Counterpart of [`public_below`](Self::public_below) that asks the tables alone.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn public_stored_below(&self, before: Id, limit: usize) -> Result<Stretch, EngineError> {
        let first = self.layout.first();
        if before > first
            && let Some(span) = self.newest_span(before, first).await?
        {
            return self.public_of_span(span, (first, before), limit).await;
        }
        self.public_of_buckets(before.min(first), limit).await
    }

    /// The newest span with posts of `first` and above that are below `before`.
    async fn newest_span(&self, before: Id, first: Id) -> Result<Option<u32>, EngineError> {
        let key = |span: u32| Some(Bytes::copy_from_slice(&span.to_be_bytes()));
        let upto = span_of(Id(before.0 - 1)).saturating_add(1);
        let mut newest = None;
        for number in self.journal_partitions() {
            let range = KeyRange { from: key(span_of(first)), to: key(upto) };
            let rows = self.scan(tables::BUCKETS, &spans_partition(number), range, Order::Descending, 1).await?;
            newest = newest.max(rows.first().and_then(|row| number_in(&row.clustering)));
        }
        Ok(newest)
    }

    /// Public posts of one span, of all partitions of the journal.
    async fn public_of_span(&self, span: u32, (first, before): (Id, Id), limit: usize) -> Result<Stretch, EngineError> {
        let (mut found, mut cut) = (Vec::new(), None);
        for number in self.journal_partitions() {
            let rows = self.newest_below(tables::PUBLIC, &span_partition(number, span), before, limit).await?;
            // What is below the last one of a partition that has more is not known of that partition.
            if rows.len() == limit {
                cut = cut.max(rows.last().and_then(id_of));
            }
            found.extend(rows);
        }
        found.sort_by(|one, other| other.clustering.cmp(&one.clustering));
        if let Some(cut) = cut {
            found.retain(|row| id_of(row).is_some_and(|id| id >= cut));
        }
        let end = first_of_span(span).max(first);
        Ok((found, Some(cut.unwrap_or(end))))
    }

    /// Public posts of the newest bucket below `before` that has any, as earlier versions wrote them.
    async fn public_of_buckets(&self, before: Id, limit: usize) -> Result<Stretch, EngineError> {
        if before == Id(0) {
            return Ok((Vec::new(), None));
        }
        let upto = bucket_of(Id(before.0 - 1)).saturating_add(1);
        let range = KeyRange { from: None, to: Some(Bytes::copy_from_slice(&upto.to_be_bytes())) };
        let buckets = self.scan(tables::BUCKETS, &tables::ONE, range, Order::Descending, 1).await?;
        let Some(bucket) = buckets.first().and_then(|row| tables::bucket_in(&row.clustering)) else {
            return Ok((Vec::new(), None));
        };
        let rows = self.newest_below(self.public.table(), &tables::timeline_partition(bucket), before, limit).await?;
        let last = if rows.len() == limit { rows.last().and_then(id_of) } else { None };
        let next = last.unwrap_or_else(|| first_of_bucket(bucket));
        Ok((rows, (next > Id(0)).then_some(next)))
    }

    async fn newest_below(
        &self,
        table: Table,
        partition: &[u8],
        before: Id,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        let range = KeyRange { from: None, to: Some(tables::partition(before)) };
        self.scan(table, partition, range, Order::Descending, limit).await
    }

    /// Fills the memory of the public timeline at the start, unless what an earlier version wrote is not listed yet.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load_public(&self) -> Result<(), EngineError> {
        if self.public.table() != tables::PUBLIC {
            return Ok(());
        }
        let (mut posts, mut next) = (Vec::new(), Some(Id(u64::MAX)));
        while let Some(before) = next.filter(|_| posts.len() < limits::PUBLIC_IN_MEMORY) {
            let (rows, below) = self.public_stored_below(before, limits::PUBLIC_IN_MEMORY).await?;
            posts.extend(rows.iter().filter_map(id_of));
            next = below;
        }
        self.public.load(&posts, next.unwrap_or_default());
        Ok(())
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
