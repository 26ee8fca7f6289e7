//! Codes of short links: numbers, shuffled within the codes of one length, so that no two are the same, neighbours look
//! unlike each other, and nobody counts through. Pure.
//!
//! The shuffle is a Feistel network of two halves that are added to modulo the size of each (Black and Rogaway 2002,
//! "Ciphers with Arbitrary Finite Domains", the generalised Feistel cipher): it maps the space onto itself exactly, so
//! there is nothing to reject and nothing to look up. A change of it, of the key or of the lengths would give codes out
//! twice: vectors are frozen in the tests.

use std::ops::RangeInclusive;

use siphasher::sip::SipHasher24;

/// Characters of codes, in the order of their values.
const DIGITS: &[u8; BASE as usize] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE: u64 = 62;
/// Lengths of codes that are given out, the shortest first.
pub const LENGTHS: RangeInclusive<u32> = 5..=7;
/// Rounds; each changes one half by a keyed function of the other.
const ROUNDS: u8 = 10;
/// Value of bytes that are no digits.
const NONE: u8 = u8::MAX;
/// Values of bytes as digits.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [NONE; 256];
    let mut value = 0;
    while value < DIGITS.len() {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
}

/// A shuffle of the numbers below `left` × `right`.
#[derive(Debug, Clone)]
pub struct Shuffle {
    hasher: SipHasher24,
    left: u64,
    right: u64,
    /// Makes shuffles of other spaces under the same key unlike this one.
    tweak: u8,
}

impl Shuffle {
    /// The shuffle of `left` × `right` numbers that `key` and `tweak` name; neither side is 0, nor above 2^32.
    #[must_use]
    pub fn new(key: &[u8; 16], left: u64, right: u64, tweak: u8) -> Self {
        debug_assert!((1..=1 << 32).contains(&left) && (1..=1 << 32).contains(&right));
        Self { hasher: SipHasher24::new_with_key(key), left, right, tweak }
    }

    /// The shuffle of all codes with `length` characters.
    #[must_use]
    pub fn of_length(key: &[u8; 16], length: u32) -> Self {
        Self::new(key, BASE.pow(length / 2), BASE.pow(length.div_ceil(2)), length as u8)
    }

    /// Keyed function of a round.
    fn mix(&self, round: u8, half: u64, size: u64) -> u64 {
        let mut words = [0; 16];
        words[0] = self.tweak;
        words[1] = round;
        words[8..].copy_from_slice(&half.to_le_bytes());
        // Of 2^64 values that are taken modulo at most 2^32, none is more than 2^-32 likelier than another.
        self.hasher.hash(&words) % size
    }

    /// Place of `number`, which is below `left` × `right`.
    #[must_use]
    pub fn shuffled(&self, number: u64) -> u64 {
        let (mut left, mut right) = (number / self.right, number % self.right);
        for round in 0..ROUNDS {
            if round % 2 == 0 {
                left = (left + self.mix(round, right, self.left)) % self.left;
            } else {
                right = (right + self.mix(round, left, self.right)) % self.right;
            }
        }
        left * self.right + right
    }

    /// The number that is at `place`.
    #[must_use]
    pub fn unshuffled(&self, place: u64) -> u64 {
        let (mut left, mut right) = (place / self.right, place % self.right);
        for round in (0..ROUNDS).rev() {
            if round % 2 == 0 {
                left = (left + self.left - self.mix(round, right, self.left)) % self.left;
            } else {
                right = (right + self.right - self.mix(round, left, self.right)) % self.right;
            }
        }
        left * self.right + right
    }
}

/// Codes of a server, by number: all of the shortest length first, then those of the next.
#[derive(Debug, Clone)]
pub struct Codes(Vec<Shuffle>);

impl Codes {
    /// The codes that `key` names.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self(LENGTHS.map(|length| Shuffle::of_length(key, length)).collect())
    }

    /// Code of a number; `None` when all are given out.
    #[must_use]
    pub fn code(&self, number: u64) -> Option<String> {
        let length = LENGTHS.rev().find(|length| number >= first_of(*length))?;
        let within = number - first_of(length);
        if within >= BASE.pow(length) {
            return None;
        }
        let mut place = self.0.get((length - LENGTHS.start()) as usize)?.shuffled(within);
        let mut code = vec![0; length as usize];
        for digit in code.iter_mut().rev() {
            *digit = DIGITS[(place % BASE) as usize];
            place /= BASE;
        }
        String::from_utf8(code).ok()
    }

    /// Number of a code; `None` for what no number has.
    #[must_use]
    pub fn number(&self, code: &str) -> Option<u64> {
        let length = u32::try_from(code.len()).ok().filter(|length| LENGTHS.contains(length))?;
        let mut place = 0;
        for byte in code.bytes() {
            let value = VALUES[usize::from(byte)];
            if value == NONE {
                return None;
            }
            place = place * BASE + u64::from(value);
        }
        let shuffle = self.0.get((length - LENGTHS.start()) as usize)?;
        Some(first_of(length) + shuffle.unshuffled(place))
    }
}

/// The lowest number whose code has `length` characters.
#[must_use]
pub fn first_of(length: u32) -> u64 {
    (*LENGTHS.start()..length).map(|shorter| BASE.pow(shorter)).sum()
}

/// Number of all codes.
#[must_use]
pub fn end() -> u64 {
    first_of(LENGTHS.end() + 1)
}

/// The lowest number above all of the length that `number` has.
#[must_use]
pub fn next_length(number: u64) -> u64 {
    LENGTHS.map(|length| first_of(length + 1)).find(|first| *first > number).unwrap_or_else(end)
}

#[cfg(test)]
#[path = "code_tests.rs"]
mod tests;
