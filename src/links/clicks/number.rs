//! Numbers in seven bits a byte, the lowest first: small ones take one byte. Pure.

/// Writes a number.
pub fn write_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Reads what [`write_number`] wrote.
pub fn read_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Writes how far `to` lies from `from`, in either direction.
pub fn write_step(from: u64, to: u64, bytes: &mut Vec<u8>) {
    let step = to.wrapping_sub(from) as i64;
    write_number(((step << 1) ^ (step >> 63)) as u64, bytes);
}

/// Reads what [`write_step`] wrote: where it leads to from `from`.
pub fn read_step(from: u64, bytes: &mut &[u8]) -> Option<u64> {
    let number = read_number(bytes)?;
    Some(from.wrapping_add((number >> 1) ^ (number & 1).wrapping_neg()))
}

/// Writes a text behind its length.
pub fn write_text(text: &str, to: &mut Vec<u8>) {
    write_number(text.len() as u64, to);
    to.extend_from_slice(text.as_bytes());
}

/// Reads what [`write_text`] wrote.
pub fn read_text<'a>(from: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(read_number(from)?).ok()?;
    let (text, rest) = from.split_at_checked(length)?;
    *from = rest;
    std::str::from_utf8(text).ok()
}

/// Reads eight bytes, the lowest first.
pub fn read_u64(from: &mut &[u8]) -> Option<u64> {
    let (number, rest) = from.split_first_chunk::<8>()?;
    *from = rest;
    Some(u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_steps_and_texts_are_read_as_they_were_written(
            number in any::<u64>(), from in any::<u64>(), text in ".{0,200}",
        ) {
            let mut bytes = Vec::new();
            write_number(number, &mut bytes);
            write_step(from, number, &mut bytes);
            write_text(&text, &mut bytes);
            let mut left = &bytes[..];
            prop_assert_eq!(read_number(&mut left), Some(number));
            prop_assert_eq!(read_step(from, &mut left), Some(number));
            prop_assert_eq!(read_text(&mut left), Some(&*text));
            prop_assert!(left.is_empty());
        }
    }

    #[test]
    fn a_number_that_never_ends_is_none() {
        assert_eq!(read_number(&mut &[0xff; 20][..]), None);
        assert_eq!(read_number(&mut &[0x80][..]), None);
        assert_eq!(read_text(&mut &[3, b'a', b'b'][..]), None);
    }
}
