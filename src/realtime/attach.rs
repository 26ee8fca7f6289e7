//! A session that is about to begin: what the HTTP side found out, handed to a shard with the socket.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::{AUTHOR_DELETED, Id, ResetReason, Transport};
use parking_lot::Mutex;

use super::cursor::Watermarks;
use crate::feed::IdMap;

/// Where a session takes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// No cursor was given: from now on.
    Fresh,
    /// What was missed since the cursor follows.
    From,
    /// The cursor cannot be used.
    Broken(ResetReason),
}

/// Types of frames that not every client of version 1 understands, and this one does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Knows {
    /// `author.deleted`; who does not know it gets a `reset` of the posts in its place.
    pub author_deleted: bool,
}

impl Knows {
    /// From a list with commas; what this server does not know either is passed over.
    #[must_use]
    pub fn of(list: &str) -> Self {
        Self { author_deleted: list.split(',').any(|kind| kind.trim() == AUTHOR_DELETED) }
    }
}

/// Which token opened a session, so that its end closes the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opener {
    /// The first eight bytes of the token's hash; 0 for a JWT.
    pub token: u64,
    /// When it was issued or first seen, in milliseconds.
    pub since_ms: u64,
    /// When the token ends, in milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
}

/// Who opens which kind of session.
#[derive(Debug)]
pub struct Opening {
    /// Whose session.
    pub user: Id,
    /// By which token.
    pub opener: Opener,
    /// What carries it.
    pub transport: Transport,
    /// WebSocket messages may be compressed.
    pub deflate: bool,
    /// Newer types that its client understands.
    pub knows: Knows,
    /// The client's address.
    pub address: IpAddr,
    /// What `hello` says of the cursor.
    pub resume: Resume,
    /// Everything up to here the client has, or is told of by `reset`.
    pub from: Watermarks,
    /// The person's place among their sessions.
    pub place: Place,
    /// Of a waiting poll.
    pub poll: Option<PollWait>,
}

/// A poll that waits.
#[derive(Debug, Clone)]
pub struct PollWait {
    /// Milliseconds that it waits.
    pub wait_ms: u64,
    /// Items above the watermarks that the client has, by place of their stream.
    pub overlap: Vec<(usize, Id)>,
}

/// A socket taken over from the HTTP server.
#[derive(Debug)]
pub struct Taken {
    /// Nonblocking.
    pub stream: std::net::TcpStream,
    /// The head of the answer; nothing of it was written yet.
    pub head: Vec<u8>,
    /// What the client sent after its request.
    pub leftover: Bytes,
}

/// What becomes of a socket.
#[derive(Debug)]
pub enum Attach {
    /// A session.
    Session(Taken, Box<Opening>),
    /// A WebSocket that is told why it is closed.
    Refusal(Taken, u16, &'static str),
}

/// Sessions of each person, for the cap.
#[derive(Debug, Default)]
pub struct Places {
    people: Mutex<IdMap<u64, u32>>,
}

/// One session of one person, counted as long as it lives.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    user: Id,
}

impl Places {
    /// One more session of `user`; `None` at `max`.
    pub fn take(self: &Arc<Self>, user: Id, max: usize) -> Option<Place> {
        let mut people = self.people.lock();
        let sessions = people.entry(user.0).or_insert(0);
        if *sessions as usize >= max {
            return None;
        }
        *sessions += 1;
        Some(Place { places: Arc::clone(self), user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut people = self.places.people.lock();
        if let Some(sessions) = people.get_mut(&self.user.0) {
            *sessions -= 1;
            if *sessions == 0 {
                people.remove(&self.user.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_knows_stands_in_a_list() {
        for list in ["author.deleted", "x,author.deleted", " author.deleted , later.on"] {
            assert!(Knows::of(list).author_deleted, "{list}");
        }
        for list in ["", "author", "author.deleted.x", "AUTHOR.DELETED"] {
            assert!(!Knows::of(list).author_deleted, "{list}");
        }
    }

    #[test]
    fn a_person_has_so_many_places_and_gets_them_back() {
        let places = Arc::new(Places::default());
        let first = places.take(Id(1), 2).unwrap();
        let _second = places.take(Id(1), 2).unwrap();
        assert!(places.take(Id(1), 2).is_none() && places.take(Id(2), 2).is_some());
        drop(first);
        assert!(places.take(Id(1), 2).is_some());
        assert_eq!(places.people.lock().len(), 1);
    }
}
