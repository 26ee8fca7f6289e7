//! Minting of Snowflake ids: 41 bits of milliseconds since 2010-01-01 UTC, 10 bits of node, 12 bits of sequence.
//!
//! One [`IdMint`] a node, inside a partition's owner: ids rise in commit order.

pub use fanfare_protocol::Id;

/// 2010-01-01T00:00:00Z in milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_262_304_000_000;
/// Bits below the milliseconds: node and sequence.
pub const BELOW_MS_BITS: u32 = 22;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
/// Highest node number.
pub const NODE_MAX: u16 = (1 << NODE_BITS) - 1;

/// Highest moment of an id, in milliseconds since 2010: ids stay below 2^63. In September 2079 they end.
const MS_MAX: u64 = (1 << 41) - 1;

/// Milliseconds since the Unix epoch at which `id` was minted.
#[must_use]
pub const fn unix_ms_of(id: Id) -> u64 {
    (id.0 >> BELOW_MS_BITS) + EPOCH_MS
}

/// The lowest id of the given moment: every id minted before it is lower. Moments before 2010 give 0.
#[must_use]
pub const fn first_id_at(unix_ms: u64) -> Id {
    Id(unix_ms.saturating_sub(EPOCH_MS) << BELOW_MS_BITS)
}

/// Hours since the Unix epoch at which `id` was minted.
#[must_use]
pub const fn hour_of(id: Id) -> u32 {
    (unix_ms_of(id) / 3_600_000) as u32
}

/// Mints ids for things that are no records, such as uploads. The owner does it, so that ids stay unique on a node.
pub trait MintId: Send + Sync + 'static {
    /// A fresh id of this moment, higher than all before.
    fn mint(&self) -> Id;
}

impl<F: Fn() -> Id + Send + Sync + 'static> MintId for F {
    fn mint(&self) -> Id {
        self()
    }
}

/// Hands out ids that only rise.
#[derive(Debug)]
pub struct IdMint {
    node: u16,
    last_ms: u64,
    sequence: u16,
}

impl IdMint {
    /// A mint for `node` (at most [`NODE_MAX`]) that continues after `last`, the highest id stored so far.
    #[must_use]
    pub fn new(node: u16, last: Id) -> Self {
        let sequence = (last.0 & ((1 << SEQUENCE_BITS) - 1)) as u16;
        Self { node: node & NODE_MAX, last_ms: last.0 >> BELOW_MS_BITS, sequence }
    }

    /// The highest id of the moment of the last one: nothing that was handed out is above it, by whichever node.
    #[must_use]
    pub const fn highest(&self) -> Id {
        Id(((self.last_ms + 1) << BELOW_MS_BITS) - 1)
    }

    /// The next id. A clock that went back, or more than 4,096 ids in a millisecond, continues from the last id: ids
    /// then run ahead of the clock until it has caught up.
    pub fn mint(&mut self, unix_ms: u64) -> Id {
        let now = unix_ms.saturating_sub(EPOCH_MS).min(MS_MAX);
        if now > self.last_ms {
            self.last_ms = now;
            self.sequence = 0;
        } else {
            self.sequence += 1;
            if self.sequence >= 1 << SEQUENCE_BITS {
                self.sequence = 0;
                self.last_ms += 1;
            }
        }
        Id(self.last_ms << BELOW_MS_BITS | u64::from(self.node) << SEQUENCE_BITS | u64::from(self.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_when_the_clock_goes_back_and_after_a_restart() {
        let mut mint = IdMint::new(3, Id(0));
        let first = mint.mint(EPOCH_MS + 5_000);
        let second = mint.mint(EPOCH_MS + 1_000);
        assert!(second > first);
        let mut restarted = IdMint::new(3, second);
        assert!(restarted.mint(EPOCH_MS + 1_000) > second);
    }

    #[test]
    fn a_burst_beyond_4096_a_millisecond_borrows_from_the_future() {
        let mut mint = IdMint::new(0, Id(0));
        let ids: Vec<Id> = (0..10_000).map(|_| mint.mint(EPOCH_MS + 1)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(unix_ms_of(ids[9_999]), EPOCH_MS + 3);
    }

    #[test]
    fn the_first_id_of_a_moment_is_below_every_id_of_it() {
        let mut mint = IdMint::new(NODE_MAX, Id(0));
        let id = mint.mint(EPOCH_MS + 77);
        assert!(first_id_at(EPOCH_MS + 77) <= id && id < first_id_at(EPOCH_MS + 78));
    }
}
