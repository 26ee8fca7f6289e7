//! Lossless WebP (RFC 9649, 3), as far as needed to know what a decoder will set aside for it.
//!
//! A picture of a few pixels can ask for 65,536 groups of prefix codes, each of which decoders unfold into tables of
//! hundreds of times its size. So the codes are read here first, one at a time, and their tables added up. Pixels are
//! gone through only in the small pictures that come before the codes: of transforms, and of which group serves where.

use super::{Damage, TRUNCATED};
use crate::base::limits::media::PREFIX_TABLES_BYTES_MAX;

const WRONG: Damage = Damage("its compressed pixels are not what they should be");
const TOO_MANY: Damage = Damage("it has more prefix codes than pixels need");
const LITERALS: u16 = 256;
const LENGTHS: u16 = 24;
/// Codes of one group: green (with lengths and cached colours), red, blue, alpha, distances.
const ALPHABETS: [u16; 5] = [LITERALS + LENGTHS, LITERALS, LITERALS, LITERALS, 40];
const CODE_BITS_MAX: usize = 15;
/// Bits that decoders look up at once; longer codes go on in a tree.
const LOOK_UP_BITS: usize = 10;

/// An error when the tables of a `VP8L` chunk's codes would be too large.
pub fn check(chunk: &[u8]) -> Result<(), Damage> {
    let mut bits = Bits::of(chunk);
    bits.read(8)?;
    let (width, height) = (bits.read(14)? + 1, bits.read(14)? + 1);
    bits.read(4)?;
    picture(&mut bits, width, height)
}

/// An error when the tables of an `ALPH` chunk's codes would be too large, in a picture of `size`.
pub fn check_alpha(chunk: &[u8], size: (u32, u32)) -> Result<(), Damage> {
    let (head, data) = chunk.split_first().ok_or(TRUNCATED)?;
    if head & 3 == 1 { picture(&mut Bits::of(data), size.0, size.1) } else { Ok(()) }
}

fn picture(bits: &mut Bits<'_>, mut width: u32, height: u32) -> Result<(), Damage> {
    let mut seen = [false; 4];
    while bits.read(1)? == 1 {
        let kind = bits.read(2)?;
        if std::mem::replace(&mut seen[kind as usize], true) {
            return Err(WRONG);
        }
        match kind {
            0 | 1 => {
                let step = bits.read(3)? + 2;
                small_picture(bits, reduced(width, step), reduced(height, step))?;
            }
            3 => {
                let colours = bits.read(8)? + 1;
                small_picture(bits, colours, 1)?;
                let packed = match colours {
                    0..=2 => 3,
                    3..=4 => 2,
                    5..=16 => 1,
                    _ => 0,
                };
                width = reduced(width, packed);
            }
            _ => {}
        }
    }
    let cached = cached_colours(bits)?;
    let mut groups = 1;
    if bits.read(1)? == 1 {
        let step = bits.read(3)? + 2;
        groups = 1 + u32::from(small_picture(bits, reduced(width, step), reduced(height, step))?);
    }
    let mut table_bytes = 0;
    for _ in 0..groups {
        for code in group(bits, cached)? {
            table_bytes += code.table_bytes;
        }
        if table_bytes > PREFIX_TABLES_BYTES_MAX {
            return Err(TOO_MANY);
        }
    }
    Ok(())
}

fn reduced(side: u32, step: u32) -> u32 {
    side.div_ceil(1 << step)
}

fn cached_colours(bits: &mut Bits<'_>) -> Result<u16, Damage> {
    if bits.read(1)? == 0 {
        return Ok(0);
    }
    match bits.read(4)? {
        size @ 1..=11 => Ok(1 << size),
        _ => Err(WRONG),
    }
}

fn group(bits: &mut Bits<'_>, cached: u16) -> Result<[Code; 5], Damage> {
    let mut read = |at: usize| Code::read(bits, ALPHABETS[at] + if at == 0 { cached } else { 0 });
    Ok([read(0)?, read(1)?, read(2)?, read(3)?, read(4)?])
}

/// Goes through a picture with one group of codes, and answers the largest number in its red and green. Copies of
/// pixels and cached colours bring none that was not written out before.
fn small_picture(bits: &mut Bits<'_>, width: u32, height: u32) -> Result<u16, Damage> {
    let cached = cached_colours(bits)?;
    let [green, red, blue, alpha, distance] = group(bits, cached)?;
    let (mut left, mut most) = (u64::from(width) * u64::from(height), 0);
    while left > 0 {
        let symbol = green.next(bits)?;
        let pixels = match symbol {
            0..LITERALS => {
                most = most.max(red.next(bits)? << 8 | symbol);
                blue.next(bits)?;
                alpha.next(bits)?;
                // Where nothing is left to read, the rest is all the same.
                if [&green, &red, &blue, &alpha].iter().all(|code| code.only.is_some()) { left } else { 1 }
            }
            LITERALS..280 => {
                let length = copied(bits, symbol - LITERALS)?;
                let code = distance.next(bits)?;
                copied(bits, code)?;
                length
            }
            _ => 1,
        };
        left = left.checked_sub(pixels).ok_or(WRONG)?;
    }
    Ok(most)
}

/// A length or distance from its prefix code.
fn copied(bits: &mut Bits<'_>, code: u16) -> Result<u64, Damage> {
    if code < 4 {
        return Ok(u64::from(code) + 1);
    }
    let extra = u32::from(code - 2) >> 1;
    Ok((u64::from(2 + (code & 1)) << extra) + u64::from(bits.read(extra)?) + 1)
}

/// A canonical prefix code.
struct Code {
    /// The symbol of a code that needs no bits.
    only: Option<u16>,
    /// Number of symbols of each length.
    counts: [u16; CODE_BITS_MAX + 1],
    /// Symbols by length, then by number.
    symbols: Vec<u16>,
    /// Bytes of a decoder's tables for this code.
    table_bytes: usize,
}

impl Code {
    fn read(bits: &mut Bits<'_>, alphabet: u16) -> Result<Self, Damage> {
        if bits.read(1)? == 0 {
            return Self::of(&code_lengths(bits, alphabet)?);
        }
        let two = bits.read(1)? == 1;
        let first_bits = if bits.read(1)? == 1 { 8 } else { 1 };
        let mut lengths = vec![0; usize::from(alphabet)];
        for width in [Some(first_bits), two.then_some(8)].into_iter().flatten() {
            *lengths.get_mut(bits.read(width)? as usize).ok_or(WRONG)? = 1;
        }
        Self::of(&lengths)
    }

    fn of(lengths: &[u8]) -> Result<Self, Damage> {
        let mut counts = [0_u16; CODE_BITS_MAX + 1];
        lengths.iter().for_each(|length| counts[usize::from(*length)] += 1);
        counts[0] = 0;
        let mut symbols: Vec<u16> = (0..).zip(lengths).filter(|(_, length)| **length > 0).map(|(at, _)| at).collect();
        symbols.sort_by_key(|symbol| lengths[usize::from(*symbol)]);
        if let [only] = symbols[..] {
            return Ok(Self { only: Some(only), counts, symbols, table_bytes: 0 });
        }
        let whole = 1_u32 << CODE_BITS_MAX;
        let taken: u32 = (1..=CODE_BITS_MAX).map(|length| u32::from(counts[length]) * (whole >> length)).sum();
        if taken != whole {
            return Err(WRONG);
        }
        const ENTRY_BYTES: usize = 4;
        const NODES_BYTES: usize = 32;
        let longest = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        let long: usize = counts[LOOK_UP_BITS + 1..].iter().map(|count| usize::from(*count)).sum();
        let table_bytes = (ENTRY_BYTES << longest.min(LOOK_UP_BITS)) + NODES_BYTES * long;
        Ok(Self { only: None, counts, symbols, table_bytes })
    }

    fn next(&self, bits: &mut Bits<'_>) -> Result<u16, Damage> {
        if let Some(only) = self.only {
            return Ok(only);
        }
        let (mut code, mut first, mut before) = (0, 0, 0);
        for count in &self.counts[1..] {
            code = code << 1 | bits.read(1)?;
            let count = u32::from(*count);
            if code - first < count {
                return self.symbols.get((before + code - first) as usize).copied().ok_or(WRONG);
            }
            before += count;
            first = (first + count) << 1;
        }
        Err(WRONG)
    }
}

/// The lengths of a code's symbols, which are written in a code of their own.
fn code_lengths(bits: &mut Bits<'_>, alphabet: u16) -> Result<Vec<u8>, Damage> {
    const ORDER: [usize; 19] = [17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut lengths = [0; ORDER.len()];
    let told = bits.read(4)? as usize + 4;
    for at in &ORDER[..told] {
        lengths[*at] = u8::try_from(bits.read(3)?).map_err(|_| WRONG)?;
    }
    let code = Code::of(&lengths)?;
    let mut left = u32::from(alphabet);
    if bits.read(1)? == 1 {
        let width = 2 + 2 * bits.read(3)?;
        left = 2 + bits.read(width)?;
    }
    let (mut found, mut last) = (Vec::with_capacity(alphabet.into()), 8);
    while found.len() < usize::from(alphabet) && left > 0 {
        left -= 1;
        let (length, times) = match code.next(bits)? {
            16 => (last, 3 + bits.read(2)?),
            17 => (0, 3 + bits.read(3)?),
            18 => (0, 11 + bits.read(7)?),
            length => (u8::try_from(length).map_err(|_| WRONG)?, 1),
        };
        last = if length == 0 { last } else { length };
        found.extend(std::iter::repeat_n(length, times as usize));
    }
    if found.len() > usize::from(alphabet) {
        return Err(WRONG);
    }
    found.resize(alphabet.into(), 0);
    Ok(found)
}

/// Bits from the lowest of each byte on.
struct Bits<'a> {
    bytes: &'a [u8],
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, held: 0, count: 0 }
    }

    /// Reads bits, at most 32 of them.
    fn read(&mut self, count: u32) -> Result<u32, Damage> {
        while self.count < count {
            let (byte, rest) = self.bytes.split_first().ok_or(TRUNCATED)?;
            self.held |= u64::from(*byte) << self.count;
            self.count += 8;
            self.bytes = rest;
        }
        let taken = self.held & ((1 << count) - 1);
        self.held >>= count;
        self.count -= count;
        u32::try_from(taken).map_err(|_| WRONG)
    }
}
