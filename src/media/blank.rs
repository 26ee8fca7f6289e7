//! Ranges of a file that are overwritten with zeros, so that every other byte keeps its place.
//!
//! Pure. `isobmff` and `tiff` say what goes; offsets within such files need not be written anew, because nothing moves.

use std::ops::Range;

use super::strip::Damage;

/// Ranges in one file; one with more is not understood. A hidden track has one a chunk of samples.
const RANGES_MAX: usize = 1_000_000;

/// Ranges of a file of known length that are to be overwritten.
#[derive(Debug)]
pub struct Blanks {
    ranges: Vec<Range<usize>>,
    file_bytes: usize,
}

impl Blanks {
    /// No ranges yet, in a file of `file_bytes`.
    pub fn of(file_bytes: usize) -> Self {
        Self { ranges: Vec::new(), file_bytes }
    }

    /// Adds `length` bytes from `start` on; an error when the file ends before.
    pub fn add(&mut self, start: u64, length: u64) -> Result<(), Damage> {
        let outside = Damage("it speaks of bytes that it does not have");
        let end = start.checked_add(length).filter(|end| *end <= self.file_bytes as u64).ok_or(outside)?;
        let range = usize::try_from(start).map_err(|_| outside)?..usize::try_from(end).map_err(|_| outside)?;
        if self.ranges.len() >= RANGES_MAX {
            return Err(Damage("it speaks of too many parts"));
        }
        if !range.is_empty() {
            self.ranges.push(range);
        }
        Ok(())
    }

    /// Overwrites them all. Each byte is written once, however often it was named: a small file that names itself a
    /// million times costs no more than its size.
    pub fn apply(mut self, bytes: &mut [u8]) {
        self.ranges.sort_unstable_by_key(|range| range.start);
        let mut done = 0;
        for range in self.ranges {
            let start = range.start.max(done);
            if start < range.end {
                bytes[start..range.end].fill(0);
                done = range.end;
            }
        }
    }
}

/// `N` bytes at `at`.
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], Damage> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().ok_or(Damage("it ends too early"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_names_too_many_parts_is_not_understood() {
        let mut blanks = Blanks::of(10);
        (0..RANGES_MAX).for_each(|_| blanks.add(1, 1).unwrap());
        assert!(blanks.add(1, 1).is_err());
    }
}
