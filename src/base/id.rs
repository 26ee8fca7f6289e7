//! Minting of Snowflake ids: 41 bits of milliseconds since 2010-01-01 UTC, 10 bits of number, 12 bits of sequence.
//!
//! The number is that of the journal's partition in ids of records, and above all partitions in others. Folders of
//! earlier versions have the number of the node there in all: ids rise all the same, for whole ids are compared.
//! Who mints is `log/mint.rs`: one mint a node, so that ids rise in commit order.

pub use fanfare_protocol::Id;

/// 2010-01-01T00:00:00Z in milliseconds since the Unix epoch.
pub const EPOCH_MS: u64 = 1_262_304_000_000;
/// Bits below the milliseconds: number and sequence.
pub const BELOW_MS_BITS: u32 = 22;
const NODE_BITS: u32 = 10;
const SEQUENCE_BITS: u32 = 12;
/// Highest number of a node, or of a partition.
pub const NODE_MAX: u16 = (1 << NODE_BITS) - 1;
/// Lowest number in ids that are no records: there are fewer partitions.
const OTHERS_FROM: u16 = 1_000;

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

/// Number in an id: of the journal's partition, in records of this version.
#[must_use]
pub const fn number_of(id: Id) -> u16 {
    (id.0 >> SEQUENCE_BITS) as u16 & NODE_MAX
}

/// Number in ids that are no records and are minted by `node`: nodes beyond the 24 that have one of their own share.
#[must_use]
pub const fn number_of_others(node: u16) -> u16 {
    OTHERS_FROM + node % (NODE_MAX + 1 - OTHERS_FROM)
}

/// Hours since the Unix epoch at which `id` was minted.
#[must_use]
pub const fn hour_of(id: Id) -> u32 {
    (unix_ms_of(id) / 3_600_000) as u32
}

/// Hands out ids that only rise, whatever number is in them: whole ids are compared.
#[derive(Debug, Clone, Copy)]
pub struct IdMint {
    last: Id,
}

impl IdMint {
    /// A mint that continues after `last`, the highest id so far, whoever minted it.
    #[must_use]
    pub const fn after(last: Id) -> Self {
        Self { last }
    }

    /// The last id.
    #[must_use]
    pub const fn last(&self) -> Id {
        self.last
    }

    /// The highest id of the moment of the last one: nothing that was handed out is above it, by whichever node.
    #[must_use]
    pub const fn highest(&self) -> Id {
        Id(self.last.0 | ((1 << BELOW_MS_BITS) - 1))
    }

    /// The next id with `number` in it. A clock that went back, or more than 4,096 ids in a millisecond, continues from
    /// the last id: ids then run ahead of the clock until it has caught up.
    pub fn mint(&mut self, unix_ms: u64, number: u16) -> Id {
        self.last = following(self.last, unix_ms, number);
        self.last
    }

    /// Moves on to `upto`; does nothing where that is behind.
    pub fn pass(&mut self, upto: Id) {
        self.last = self.last.max(upto);
    }
}

/// The id with `number` in it that follows `last`, at `unix_ms` or as soon after it as ids above `last` allow.
#[must_use]
pub fn following(last: Id, unix_ms: u64, number: u16) -> Id {
    let number = u64::from(number & NODE_MAX);
    let at = |ms: u64, sequence: u64| Id(ms << BELOW_MS_BITS | number << SEQUENCE_BITS | sequence);
    let now = at(unix_ms.saturating_sub(EPOCH_MS).min(MS_MAX), 0);
    if now > last {
        return now;
    }
    let last_ms = last.0 >> BELOW_MS_BITS;
    let first = at(last_ms, 0);
    if first > last {
        return first;
    }
    // Of the same number the next in line; after a higher number, or the last in line, the next millisecond.
    let next = Id(last.0 + 1);
    if next.0 >> SEQUENCE_BITS == first.0 >> SEQUENCE_BITS { next } else { at((last_ms + 1).min(MS_MAX), 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Built by itself, too, this file takes nothing from there.
    #[test]
    fn logs_that_admit_by_time_read_ids_as_they_are_minted() {
        use fanfare_engines::admission::{ID_BELOW_MS_BITS, ID_EPOCH_MS, unix_ms_of as admitted_ms_of};
        assert_eq!((EPOCH_MS, BELOW_MS_BITS), (ID_EPOCH_MS, ID_BELOW_MS_BITS));
        for id in [0, 1, 1 << BELOW_MS_BITS, u64::MAX >> 1] {
            assert_eq!(unix_ms_of(Id(id)), admitted_ms_of(id), "{id}");
        }
    }

    #[test]
    fn ids_rise_when_the_clock_goes_back_and_after_a_restart() {
        let mut mint = IdMint::after(Id(0));
        let first = mint.mint(EPOCH_MS + 5_000, 3);
        let second = mint.mint(EPOCH_MS + 1_000, 3);
        assert!(second > first);
        let mut restarted = IdMint::after(second);
        assert!(restarted.mint(EPOCH_MS + 1_000, 3) > second);
    }

    #[test]
    fn a_burst_beyond_4096_a_millisecond_borrows_from_the_future() {
        let mut mint = IdMint::after(Id(0));
        let ids: Vec<Id> = (0..10_000).map(|_| mint.mint(EPOCH_MS + 1, 0)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(unix_ms_of(ids[9_999]), EPOCH_MS + 3);
    }

    #[test]
    fn the_first_id_of_a_moment_is_below_every_id_of_it() {
        let mut mint = IdMint::after(Id(0));
        let id = mint.mint(EPOCH_MS + 77, NODE_MAX);
        assert!(first_id_at(EPOCH_MS + 77) <= id && id < first_id_at(EPOCH_MS + 78));
    }

    /// A folder of node 1023 whose last id is ahead of the clock: the partition's number is lower than the node's was.
    #[test]
    fn a_lower_number_goes_on_after_a_higher_one_in_the_next_millisecond() {
        let last = Id((5_000 << BELOW_MS_BITS) | (1_023 << SEQUENCE_BITS) | 7);
        let mut mint = IdMint::after(last);
        let record = mint.mint(EPOCH_MS + 1_000, 0);
        assert!(record > last);
        assert_eq!(unix_ms_of(record), EPOCH_MS + 5_001);
        let other = mint.mint(EPOCH_MS + 1_000, OTHERS_FROM);
        assert!(other > record && unix_ms_of(other) == EPOCH_MS + 5_001, "a higher number takes no new millisecond");
        assert!(mint.mint(EPOCH_MS + 1_000, 0) > other);
    }

    #[test]
    fn whole_ids_rise_whatever_numbers_and_clocks_do() {
        let mut random = fanfare_engines::random::Random::new(7);
        let mut mint = IdMint::after(Id(0));
        for _ in 0..20_000 {
            let (last, number) = (mint.last(), random.below(1_024) as u16);
            let id = mint.mint(EPOCH_MS + 5_000 + random.below(40), number);
            assert!(id > last && id.0 >> SEQUENCE_BITS & u64::from(NODE_MAX) == u64::from(number));
        }
    }
}
