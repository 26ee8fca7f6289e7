//! Port of whoever needs ids for things that are no records.

use async_trait::async_trait;
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::id::{BELOW_MS_BITS, EPOCH_MS};

// Engines read the moment of an append off the id.
const _: () = assert!(
    EPOCH_MS == fanfare_engines::admission::ID_EPOCH_MS
        && BELOW_MS_BITS == fanfare_engines::admission::ID_BELOW_MS_BITS
);

/// Mints ids for things that are no records, such as uploads. The write path does it, so that ids stay unique.
#[async_trait]
pub trait MintId: Send + Sync + 'static {
    /// A fresh id of this moment, higher than all before.
    ///
    /// # Errors
    /// When storage takes no reservation of the time that the id is of.
    async fn mint(&self) -> Result<Id>;
}

#[async_trait]
impl<F: Fn() -> Id + Send + Sync + 'static> MintId for F {
    async fn mint(&self) -> Result<Id> {
        Ok(self())
    }
}
