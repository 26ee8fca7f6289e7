//! Clicks' family of partitions: records of many clicks, of which the owner makes no rows. Whoever counts them reads
//! the log as any other tool does.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::{Batch, JournalRecord, Partition, Table};
use fanfare_protocol::Id;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::shipper::Blocks;
use crate::base::error::Result;
use crate::data::{families, tables};
use crate::log::events::Weight;
use crate::log::family::{CommittedIn, Family};
use crate::log::owners::FamilyLog;

/// Record of clicks, as it is handed in.
#[derive(Debug, Clone)]
pub struct ClickBlock {
    /// The record, in either form.
    pub record: Bytes,
    /// Moment of the record, for an import; `None` is now.
    pub at_ms: Option<u64>,
}

/// Fold of a partition's records, which makes nothing of them, but tells of them.
pub struct ClickRecords {
    /// Hears when there are more.
    pub news: Arc<Notify>,
}

impl Family for ClickRecords {
    type Proposal = ClickBlock;
    type Record = (Id, Bytes);
    type Outcome = ();
    type State = ();
    type Answer = Id;
    type Standings = ();
    type Changes = ();

    const NAME: &'static str = families::CLICKS.name;
    const OWN_TABLE: Table = tables::CLICKS_META;

    fn weight(block: &ClickBlock) -> Weight {
        Weight { bytes: block.record.len(), rows: 0 }
    }

    fn at_ms(block: &ClickBlock) -> Option<u64> {
        block.at_ms
    }

    fn number(block: ClickBlock, id: Id) -> (Id, Bytes) {
        (id, block.record)
    }

    fn id(record: &(Id, Bytes)) -> Id {
        record.0
    }

    async fn standings(&self, _: &[(Id, Bytes)]) -> Result<()> {
        Ok(())
    }

    async fn load(&self, _: &[(Id, Bytes)], (): &(), _: Option<(&(), &Batch)>) -> Result<()> {
        Ok(())
    }

    fn take_in((): &mut (), (): (), _: &Batch) {}

    fn fold(&self, _: &mut (Id, Bytes), (): &mut (), _: &mut Batch) -> Result<()> {
        Ok(())
    }

    fn line(&self, (_, record): &(Id, Bytes), (): &()) -> Result<Bytes> {
        Ok(record.clone())
    }

    fn read(&self, _: Partition, one: &JournalRecord) -> Result<((Id, Bytes), ())> {
        Ok(((Id(one.id.unwrap_or_default()), one.payload.clone()), ()))
    }

    fn rows(&self, _: &(Id, Bytes), (): &(), _: &mut Batch) -> Result<()> {
        Ok(())
    }

    fn keep(&self, (): (), (): &()) {}

    fn learn(&self, _: &[CommittedIn<Self>]) {}

    fn forget(&self) {}

    fn tell(&self, _: &[CommittedIn<Self>], _: Id) {
        self.news.notify_one();
    }

    fn answer(committed: CommittedIn<Self>) -> Id {
        committed.record.0
    }
}

/// Log of clicks; clones are the same.
#[derive(Clone)]
pub struct ClickLog(pub FamilyLog<ClickRecords>);

impl ClickLog {
    /// Number that a code's clicks are spread by; the same for ever.
    fn number_of(code: &str) -> Id {
        let hash = Sha256::digest(code.as_bytes());
        Id::from_bytes(&hash).unwrap_or_default()
    }

    /// Appends a record whose clicks are all of `code`'s partition.
    ///
    /// # Errors
    /// When it is not known to stand.
    pub async fn append_at(&self, code: &str, record: Bytes, at_ms: Option<u64>) -> Result<()> {
        self.0.propose(Self::number_of(code), ClickBlock { record, at_ms }).await?.durable().await.map(|_| ())
    }
}

#[async_trait]
impl Blocks for ClickLog {
    fn partition_of(&self, code: &str) -> Partition {
        // One is most folders', and needs no hash.
        self.0.only_partition().unwrap_or_else(|| self.0.partition_of(Self::number_of(code)))
    }

    async fn append(&self, code: &str, record: Bytes) -> Result<()> {
        self.append_at(code, record, None).await
    }
}
