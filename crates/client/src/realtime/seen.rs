//! Items that the application has seen: delivery is at least once, the application sees each once. Pure.

use std::collections::{HashSet, VecDeque};

use fanfare_protocol::Stream;

/// Keys of a stream that are remembered; the oldest make room. A server repeats what the last ten seconds brought, and
/// at most 500 items of a stream when a session resumes, so this is more than it can repeat.
pub const KEYS_MAX: usize = 4_096;

/// The keys of the newest items of every stream.
///
/// A reset forgets what its streams brought, but an application hears of it only after the events before it, and reads
/// over HTTP meanwhile. What it reads then belongs to what it is about to forget, so a stream has the keys of every
/// stretch between two resets that the application has not yet left behind. They are few: events that wait are bounded.
#[derive(Debug, Default)]
pub struct Seen {
    streams: [Stretches; Stream::ALL.len()],
}

/// The keys of a stream: first those of the stretch in which the application is, last those of the newest.
#[derive(Debug)]
struct Stretches(VecDeque<Keys>);

impl Default for Stretches {
    fn default() -> Self {
        Self(VecDeque::from([Keys::default()]))
    }
}

#[derive(Debug, Default)]
struct Keys {
    set: HashSet<Box<str>>,
    order: VecDeque<Box<str>>,
}

impl Keys {
    fn insert(&mut self, key: &str) -> bool {
        if self.set.contains(key) {
            return false;
        }
        if self.order.len() == KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        self.set.insert(key.into());
        self.order.push_back(key.into());
        true
    }
}

impl Seen {
    /// Whether `key`, which came by the connection, is new; it is remembered.
    pub fn insert(&mut self, stream: Stream, key: &str) -> bool {
        self.streams[stream as usize].0.back_mut().is_none_or(|keys| keys.insert(key))
    }

    /// Whether `key`, which the application read over HTTP, is new to it; it is remembered.
    pub fn insert_read(&mut self, stream: Stream, key: &str) -> bool {
        self.streams[stream as usize].0.front_mut().is_none_or(|keys| keys.insert(key))
    }

    /// Forgets a stream, whose reset came by the connection: what it brings from now on is new.
    pub fn forget(&mut self, stream: Stream) {
        self.streams[stream as usize].0.push_back(Keys::default());
    }

    /// The application has heard of a reset of the stream: what it reads from now on is new.
    pub fn forgotten(&mut self, stream: Stream) {
        let stretches = &mut self.streams[stream as usize].0;
        if stretches.len() > 1 {
            stretches.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_a_stream_until_the_stream_is_forgotten() {
        let mut seen = Seen::default();
        assert!(seen.insert(Stream::Posts, "1") && !seen.insert(Stream::Posts, "1"));
        assert!(seen.insert(Stream::Notifications, "1"));
        seen.forget(Stream::Posts);
        assert!(seen.insert(Stream::Posts, "1") && !seen.insert(Stream::Notifications, "1"));
    }

    #[test]
    fn memory_is_bounded_and_the_newest_are_kept() {
        let mut seen = Seen::default();
        for key in 0..3 * KEYS_MAX {
            assert!(seen.insert(Stream::Posts, &key.to_string()));
        }
        let keys = &seen.streams[Stream::Posts as usize].0[0];
        assert_eq!((keys.set.len(), keys.order.len()), (KEYS_MAX, KEYS_MAX));
        for key in 2 * KEYS_MAX..3 * KEYS_MAX {
            assert!(!seen.insert(Stream::Posts, &key.to_string()));
        }
    }
    #[test]
    fn what_is_read_before_a_reset_is_heard_of_is_new_again_after_it() {
        let mut seen = Seen::default();
        assert!(seen.insert(Stream::Posts, "1"));
        seen.forget(Stream::Posts);
        // A frame behind the reset, while the application still fills a gap before it.
        assert!(seen.insert(Stream::Posts, "3"));
        assert!(!seen.insert_read(Stream::Posts, "1") && seen.insert_read(Stream::Posts, "2"));
        seen.forget(Stream::Posts);
        assert!(!seen.insert_read(Stream::Posts, "2"));
        seen.forgotten(Stream::Posts);
        assert!(seen.insert_read(Stream::Posts, "2") && !seen.insert_read(Stream::Posts, "3"));
        seen.forgotten(Stream::Posts);
        assert!(seen.insert_read(Stream::Posts, "3") && !seen.insert(Stream::Posts, "3"));
        // None is left to be heard of.
        seen.forgotten(Stream::Posts);
        assert!(!seen.insert(Stream::Posts, "3"));
    }
}
