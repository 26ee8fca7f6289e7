//! Items that the application has seen: delivery is at least once, the application sees each once. Pure.

use std::collections::{HashSet, VecDeque};

use fanfare_protocol::Stream;

/// Keys of a stream that are remembered; the oldest make room. A server repeats what the last ten seconds brought, and
/// at most 500 items of a stream when a session resumes, so this is more than it can repeat.
pub const KEYS_MAX: usize = 4_096;

/// The keys of the newest items of every stream.
#[derive(Debug, Default)]
pub struct Seen {
    streams: [Keys; Stream::ALL.len()],
}

#[derive(Debug, Default)]
struct Keys {
    set: HashSet<Box<str>>,
    order: VecDeque<Box<str>>,
}

impl Seen {
    /// Whether `key` is new; it is remembered.
    pub fn insert(&mut self, stream: Stream, key: &str) -> bool {
        let keys = &mut self.streams[stream as usize];
        if keys.set.contains(key) {
            return false;
        }
        if keys.order.len() == KEYS_MAX
            && let Some(oldest) = keys.order.pop_front()
        {
            keys.set.remove(&oldest);
        }
        keys.set.insert(key.into());
        keys.order.push_back(key.into());
        true
    }

    /// Forgets a stream: what it brings from now on is new.
    pub fn forget(&mut self, stream: Stream) {
        self.streams[stream as usize] = Keys::default();
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
        let keys = &seen.streams[Stream::Posts as usize];
        assert_eq!((keys.set.len(), keys.order.len()), (KEYS_MAX, KEYS_MAX));
        for key in 2 * KEYS_MAX..3 * KEYS_MAX {
            assert!(!seen.insert(Stream::Posts, &key.to_string()));
        }
    }
}
