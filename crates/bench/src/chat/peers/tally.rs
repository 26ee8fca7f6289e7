//! Tally of a talk through a peer: messages that were sent, copies that came of them, and how long each took.
//!
//! A message has its number in its text, by which whoever gets it is known to have it.

use std::time::Instant;

use super::{CHARS, percentile};

/// Digits of a message's number, the first ones of its text.
pub const DIGITS: usize = 12;

/// Figures of what was said.
#[derive(Debug, Default)]
pub struct Said {
    /// Messages a second that were no more under way.
    pub rate: f64,
    /// Messages sent.
    pub sent: u64,
    /// Copies that others were to get.
    pub owed: u64,
    /// Copies that others got, each counted once.
    pub came: u64,
    /// Milliseconds until a copy was there.
    pub p95_ms: f64,
}

/// A message on its way.
struct Sent {
    at: Instant,
    sender: usize,
    is_direct: bool,
    /// Copies that have not come.
    left: u64,
}

/// Messages of a talk, numbered one after the other.
pub struct Tally {
    first: u64,
    sent: Vec<Sent>,
    done: u64,
    owed: u64,
    came: u64,
    waits_ms: Vec<f64>,
}

/// Text of the message `number`.
pub fn text(number: u64) -> String {
    let filling: String = " words".chars().cycle().take(CHARS - DIGITS).collect();
    format!("{number:012}{filling}")
}

/// Number of the message with this text, of which the beginning is enough.
pub fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text.get(..DIGITS)?).ok()?.parse().ok()
}

impl Tally {
    /// A tally whose messages are numbered from `first` on; what comes of older ones does not count.
    pub const fn numbered_from(first: u64) -> Self {
        Self { first, sent: Vec::new(), done: 0, owed: 0, came: 0, waits_ms: Vec::new() }
    }

    /// Notes a message that goes out now to a conversation of so many; answers its number.
    pub fn sends(&mut self, sender: usize, members: usize) -> u64 {
        let left = members as u64 - 1;
        self.owed += left;
        self.sent.push(Sent { at: Instant::now(), sender, is_direct: members == 2, left });
        self.next() - 1
    }

    /// Number of the next message.
    pub const fn next(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    /// Notes that the session got a message. True if its sender can know by that that it is with the others: it is the
    /// sender's own copy, or the one of the other of two.
    pub fn came(&mut self, session: usize, number: u64) -> bool {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let Some(sent) = place.and_then(|place| self.sent.get_mut(place)) else { return false };
        let is_own = sent.sender == session;
        if !is_own && sent.left > 0 {
            sent.left -= 1;
            self.came += 1;
            self.waits_ms.push(sent.at.elapsed().as_secs_f64() * 1e3);
        }
        is_own || sent.is_direct
    }

    /// Notes that a message is no more under way.
    pub const fn finishes(&mut self) {
        self.done += 1;
    }

    /// Messages that are no more under way.
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// Messages that are under way.
    pub const fn under_way(&self) -> u64 {
        self.sent.len() as u64 - self.done
    }

    /// Whether every copy has come.
    pub const fn is_whole(&self) -> bool {
        self.came == self.owed
    }

    /// The figures, with this rate.
    pub fn said(&mut self, rate: f64) -> Said {
        let (sent, p95_ms) = (self.sent.len() as u64, percentile(&mut self.waits_ms, 95.0));
        Said { rate, sent, owed: self.owed, came: self.came, p95_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_number_and_the_length_of_a_message() {
        for given in [0, 7, 999_999_999_999] {
            let text = text(given);
            assert_eq!((text.len(), number(text.as_bytes())), (CHARS, Some(given)));
        }
        assert_eq!(number(b"00000000007"), None, "cut off");
        assert_eq!(number(b"People talk here"), None);
    }

    #[test]
    fn a_copy_counts_once_and_the_sender_s_own_does_not() {
        let mut tally = Tally::numbered_from(100);
        assert_eq!((tally.sends(3, 2), tally.sends(4, 10), tally.next()), (100, 101, 102));
        assert_eq!(tally.under_way(), 2);
        assert!(tally.came(5, 100), "the other one of two");
        assert!(tally.came(3, 100), "its sender");
        assert!(!tally.came(5, 101), "one of ten");
        assert!(tally.came(4, 101), "its sender");
        assert!(!tally.is_whole());
        for session in 10..30 {
            tally.came(session, 101);
        }
        assert!(tally.is_whole());
        tally.finishes();
        assert_eq!((tally.under_way(), tally.done()), (1, 1));
        let said = tally.said(7.0);
        assert_eq!((said.sent, said.owed, said.came, said.rate), (2, 10, 10, 7.0));
        assert!(said.p95_ms >= 0.0);
    }

    #[test]
    fn messages_of_another_talk_do_not_count() {
        let mut tally = Tally::numbered_from(100);
        tally.sends(3, 2);
        assert!(!tally.came(5, 99));
        assert!(!tally.came(5, 101));
        assert_eq!(tally.said(0.0).came, 0);
    }
}
