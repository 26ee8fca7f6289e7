//! The mint: where records, and all else that needs one, get their ids.
//!
//! One lock and one last id a node: the writer numbers a commit's records under it, services mint ids of accounts,
//! uploads and tokens, and versions of rows that follow from no record. So what is minted later is higher, whatever it
//! is for.

use std::sync::Arc;

use fanfare_protocol::Id;
use parking_lot::{Mutex, MutexGuard};

use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::id::{IdMint, following, number_of_others};

/// Numbers in the ids that a node mints.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// Of records: the partition's.
    pub records: u16,
    /// Of everything else: above those of all partitions.
    pub others: u16,
}

impl Numbers {
    /// Of `node`, which writes the first partition.
    #[must_use]
    pub const fn of_node(node: u16) -> Self {
        Self { records: 0, others: number_of_others(node) }
    }
}

/// Handle of the mint; clones share it.
#[derive(Clone)]
pub struct Mint(Arc<Shared>);

struct Shared {
    clock: Clock,
    numbers: Numbers,
    ids: Mutex<IdMint>,
}

impl Mint {
    /// A mint that continues after `last`, the highest id that is stored.
    #[must_use]
    pub fn new(clock: Clock, numbers: Numbers, last: Id) -> Self {
        Self(Arc::new(Shared { clock, numbers, ids: Mutex::new(IdMint::after(last)) }))
    }

    /// An id for something that is no record, such as media or an account.
    ///
    /// # Errors
    /// When storage takes no reservation of the time that the id is of.
    pub async fn mint(&self) -> Result<Id> {
        self.mint_at(self.0.clock.now_ms()).await
    }

    /// An id of a given moment (milliseconds), as [`mint`](Self::mint) gives one of now; for imports.
    ///
    /// # Errors
    /// As [`mint`](Self::mint).
    #[allow(clippy::unused_async, reason = "the time is reserved in storage")]
    pub async fn mint_at(&self, at_ms: u64) -> Result<Id> {
        Ok(self.0.ids.lock().mint(at_ms, self.0.numbers.others))
    }

    /// A version for a write that takes the place of what was read: above `floor`, the version or the id in the row that
    /// was read, and above every id that was minted before.
    ///
    /// A `floor` ahead of the clock, from a clock that was fast, does not take the mint along: only the row's own
    /// versions go on from there.
    ///
    /// # Errors
    /// As [`mint`](Self::mint).
    pub async fn mint_above(&self, floor: Id) -> Result<Id> {
        let minted = self.mint().await?;
        Ok(if minted > floor { minted } else { following(floor, 0, self.0.numbers.others) })
    }

    /// The last id that was minted; the next is above it.
    #[must_use]
    pub fn last(&self) -> Id {
        self.0.ids.lock().last()
    }

    /// The highest id of the moment of the last one: nothing that was minted so far is above it.
    #[must_use]
    pub fn newest(&self) -> Id {
        self.0.ids.lock().highest()
    }

    /// Numbers records while it is held: the ids of one commit have no others between them.
    #[must_use]
    pub fn numbering(&self) -> Numbering<'_> {
        Numbering { now_ms: self.0.clock.now_ms(), number: self.0.numbers.records, ids: self.0.ids.lock() }
    }
}

/// The mint, held for the records of one commit.
pub struct Numbering<'a> {
    now_ms: u64,
    number: u16,
    ids: MutexGuard<'a, IdMint>,
}

impl Numbering<'_> {
    /// The id of the next record, of the moment `at_ms` or of now.
    pub fn record(&mut self, at_ms: Option<u64>) -> Id {
        self.ids.mint(at_ms.unwrap_or(self.now_ms), self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{EPOCH_MS, unix_ms_of};

    #[tokio::test]
    async fn a_version_is_above_what_was_read_and_a_fast_one_does_not_take_the_mint_along() {
        let now_ms = EPOCH_MS + 1_000_000;
        let mint = Mint::new(Clock::by_hand(now_ms), Numbers::of_node(0), Id(0));
        let fast = crate::base::id::first_id_at(now_ms + 3_600_000);
        let above = mint.mint_above(fast).await.unwrap();
        assert!(above > fast && mint.mint_above(above).await.unwrap() > above);
        assert_eq!(unix_ms_of(mint.mint().await.unwrap()), now_ms, "posts keep the time");
        let read = mint.mint().await.unwrap();
        assert!(mint.mint_above(read).await.unwrap() > read);
    }
}
