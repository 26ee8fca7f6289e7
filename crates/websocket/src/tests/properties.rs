//! Whatever the messages are and wherever the input is cut, the same is read; and no bytes at all do harm.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A message as frames that carry it, and what it is read as.
fn message() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<Got>)> {
    let control = || {
        let payload = vec(any::<u8>(), 0..=125);
        (payload, any::<bool>()).prop_map(|(payload, ping)| match ping {
            true => (frame(FIN | PING, &payload), Got::Ping(payload)),
            false => (frame(FIN | PONG, &payload), Got::Pong(payload)),
        })
    };
    let fragment = (vec(any::<char>(), 0..80), proptest::option::of(control()));
    (vec(fragment, 1..6), any::<bool>()).prop_map(|(fragments, is_text)| {
        let (mut frames, mut got, mut whole) = (Vec::new(), Vec::new(), String::new());
        let last = fragments.len() - 1;
        for (at, (chars, control)) in fragments.into_iter().enumerate() {
            let part: String = chars.into_iter().collect();
            let opcode = if at > 0 {
                CONTINUATION
            } else if is_text {
                TEXT
            } else {
                BINARY
            };
            frames.push(frame(if at == last { FIN | opcode } else { opcode }, part.as_bytes()));
            whole.push_str(&part);
            if let Some((bytes, message)) = control.filter(|_| at < last) {
                frames.push(bytes);
                got.push(message);
            }
        }
        got.push(if is_text { Got::Text(whole) } else { Got::Binary(whole.into_bytes()) });
        (frames, got)
    })
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn any_messages_cut_anywhere_read_the_same(messages in vec(message(), 0..8), sizes in vec(1_usize..300, 0..40)) {
        let (frames, got): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        let bytes = frames.concat().concat();
        let (read, outcome, kept) = read_in(&bytes, sizes, BYTES_MAX, false);
        prop_assert_eq!(read, got.concat());
        prop_assert_eq!((outcome, kept), (Ok(()), 0));
    }

    #[test]
    fn any_bytes_cut_anywhere_read_the_same(
        messages in vec(message(), 0..4),
        noise in vec(any::<u8>(), 0..200),
        sizes in vec(1_usize..50, 0..40),
        deflate in any::<bool>(),
    ) {
        let mut bytes: Vec<u8> = messages.into_iter().flat_map(|(frames, _)| frames.concat()).collect();
        bytes.extend(noise);
        let whole = read_in(&bytes, [], 1_000, deflate);
        let pieces = read_in(&bytes, sizes, 1_000, deflate);
        prop_assert_eq!((&whole.0, whole.1), (&pieces.0, pieces.1));
        prop_assert!(whole.2.max(pieces.2) <= 1_000 + 512);
    }

    #[test]
    fn one_changed_bit_is_never_a_panic(messages in vec(message(), 1..4), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes: Vec<u8> = messages.into_iter().flat_map(|(frames, _)| frames.concat()).collect();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        let whole = read_in(&bytes, [], BYTES_MAX, true);
        let pieces = read_in(&bytes, std::iter::repeat(1), BYTES_MAX, true);
        prop_assert_eq!((whole.0, whole.1), (pieces.0, pieces.1));
    }
}
