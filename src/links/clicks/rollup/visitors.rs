//! Visitors of a link on a day: how many there were, by a sketch that is exact when they are few. Pure.
//!
//! The sketch is a HyperLogLog with 4,096 registers (an error of about 1.6 %). People and bots are counted apart, since
//! nobody is both: the user agent is part of what a visitor is.

use cardinality_estimator::CardinalityEstimator;

use super::super::number::{read_number, read_u64, write_number};

type Sketch = CardinalityEstimator<u64>;

/// Bits of a sketch's first word that say which kind it is; the others are an address where there is more.
const KIND: u64 = 3;
/// Most words of a sketch.
const WORDS_MAX: u64 = 4_096;

/// A sketch that nobody was counted in, as it is stored: most links have no bots on a day, or no people.
const EMPTY: [u8; 9] = [0; 9];

/// Visitors of a day.
#[derive(Clone, Default, PartialEq)]
pub struct Visitors {
    people: Sketch,
    bots: Sketch,
}

impl std::fmt::Debug for Visitors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Visitors({}, {})", self.people.estimate(), self.bots.estimate())
    }
}

impl Visitors {
    /// Counts a visitor, once however often.
    pub fn add(&mut self, visitor: u64, is_bot: bool) {
        let sketch = if is_bot { &mut self.bots } else { &mut self.people };
        // It is a keyed hash already.
        sketch.insert_hash(visitor);
    }

    /// Number of visitors.
    #[must_use]
    pub fn count(&self, with_bots: bool) -> u64 {
        (self.people.estimate() + if with_bots { self.bots.estimate() } else { 0 }) as u64
    }

    /// Bytes in memory beside its own.
    pub(super) fn bytes(&self) -> usize {
        self.people.size_of() + self.bots.size_of() - size_of::<Self>()
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        write_sketch(&self.people, to);
        write_sketch(&self.bots, to);
    }

    pub(super) fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self { people: read_sketch(from)?, bots: read_sketch(from)? })
    }
}

/// Parts of a sketch, as its crate tells them: a word, and more words unless it is small.
type Parts = (u64, Option<Vec<u32>>);

fn write_sketch(sketch: &Sketch, to: &mut Vec<u8>) {
    if sketch.estimate() == 0 {
        return to.extend_from_slice(&EMPTY);
    }
    let parts = serde_json::to_vec(sketch).and_then(|parts| serde_json::from_slice::<Parts>(&parts));
    let (word, more) = parts.unwrap_or_default();
    match more {
        None => {
            write_number(0, to);
            to.extend_from_slice(&word.to_le_bytes());
        }
        Some(more) => {
            write_number(more.len() as u64 + 1, to);
            to.push((word & KIND) as u8);
            more.iter().for_each(|word| to.extend_from_slice(&word.to_le_bytes()));
        }
    }
}

fn read_sketch(from: &mut &[u8]) -> Option<Sketch> {
    if let Some(rest) = from.strip_prefix(&EMPTY) {
        *from = rest;
        return Some(Sketch::default());
    }
    let parts: Parts = match read_number(from)? {
        0 => (read_u64(from)?, None),
        count if count <= WORDS_MAX => {
            let (&kind, rest) = from.split_first()?;
            let (words, rest) = rest.split_at_checked((count as usize - 1) * 4)?;
            *from = rest;
            let words =
                words.chunks_exact(4).filter_map(|word| word.first_chunk()).map(|word| u32::from_le_bytes(*word));
            (u64::from(kind), Some(words.collect()))
        }
        _ => return None,
    };
    serde_json::from_slice(&serde_json::to_vec(&parts).ok()?).ok()
}
