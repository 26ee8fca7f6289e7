//! A session that is about to begin: what the HTTP side found out, handed to a shard with the socket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::{Id, ResetReason, Transport};
use parking_lot::Mutex;

use super::announced::AnnouncedDeletions;
use super::cursor::Watermarks;
use crate::base::id_map::IdMap;
use crate::base::network::Network;

/// Start of a session in its streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// No cursor was given: from now on.
    Fresh,
    /// Cursor of the client: what was missed since follows.
    From,
    /// The cursor cannot be used.
    Broken(ResetReason),
}

/// Newer types of frames that a client understands beside those of the first clients: a bit each, by the reason of the
/// `reset` that others get in their place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Knows(u8);

impl Knows {
    /// With the type in whose place a reset would say `reason`.
    #[must_use]
    pub fn with(self, reason: ResetReason) -> Self {
        Self(self.0 | Self::bit(reason))
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(self, reason: ResetReason) -> bool {
        self.0 & Self::bit(reason) != 0
    }

    /// Bit of a reason. A reason more is an error here until it has one, and so is one that does not fit.
    const fn bit(reason: ResetReason) -> u8 {
        match reason {
            ResetReason::Foreign => 0b1,
            ResetReason::Malformed => 0b10,
            ResetReason::Expired => 0b100,
            ResetReason::Slow => 0b1000,
            ResetReason::Overflow => 0b1_0000,
            ResetReason::AuthorDeleted => 0b10_0000,
            ResetReason::Unknown => 0b100_0000,
        }
    }
}

/// Token that opened a session, so that its end closes the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opener {
    /// The first eight bytes of the token's hash; 0 for a JWT.
    pub token: u64,
    /// Moment at which it was shown, in milliseconds by the running clock (`Clock::run_ms`).
    pub since_ms: u64,
    /// End of the token, in milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
}

/// Opening of a session: by whom, and of which kind.
#[derive(Debug)]
pub struct Opening {
    /// Person of the session.
    pub user: Id,
    /// Token that opens it.
    pub opener: Opener,
    /// Transport of the session.
    pub transport: Transport,
    /// WebSocket messages may be compressed.
    pub deflate: bool,
    /// Newer types that its client understands.
    pub knows: Knows,
    /// The client's address.
    pub address: IpAddr,
    /// Resumption, as `hello` tells it.
    pub resume: Resume,
    /// Everything up to here the client has, or is told of by `reset`.
    pub from: Watermarks,
    /// Deletions of accounts above that of which a reset told.
    pub told: AnnouncedDeletions,
    /// Counts it among the person's sessions.
    pub permit: SessionPermit,
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
    /// Bytes that the client sent after its request.
    pub leftover: Bytes,
}

/// Fate of a socket.
#[derive(Debug)]
pub enum Attach {
    /// A session.
    Session(Taken, Box<Opening>),
    /// A WebSocket that is told why it is closed.
    Refusal(Taken, u16, &'static str),
}

/// Sessions of each person and of each address, for the caps.
#[derive(Debug, Default)]
pub struct SessionCounts(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    people: IdMap<u64, u32>,
    networks: HashMap<Network, u32>,
}

/// Bound that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Sessions of the person.
    Person,
    /// Sessions from the address.
    Address,
}

/// Permit of one session of one person: counted as long as it lives.
#[derive(Debug)]
pub struct SessionPermit {
    counts: Arc<SessionCounts>,
    user: Id,
    network: Option<Network>,
}

impl SessionCounts {
    /// Counts one more session of `user` from `network`, unless there are `max` of the person or of the network
    /// already. Without a network only the person's are counted.
    ///
    /// # Errors
    /// Whose are too many.
    pub fn take(
        self: &Arc<Self>,
        user: Id,
        network: Option<Network>,
        max: (usize, usize),
    ) -> Result<SessionPermit, Full> {
        let mut counts = self.0.lock();
        let Counts { people, networks } = &mut *counts;
        let of_person = people.get(&user.0).copied().unwrap_or(0);
        let of_network = network.and_then(|network| networks.get(&network).copied()).unwrap_or(0);
        if of_person as usize >= max.0 {
            return Err(Full::Person);
        }
        if network.is_some() && of_network as usize >= max.1 {
            return Err(Full::Address);
        }
        people.insert(user.0, of_person + 1);
        if let Some(network) = network {
            networks.insert(network, of_network + 1);
        }
        Ok(SessionPermit { counts: Arc::clone(self), user, network })
    }
}

impl Drop for SessionPermit {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        let Counts { people, networks } = &mut *counts;
        if let Some(sessions) = people.get_mut(&self.user.0) {
            *sessions -= 1;
            if *sessions == 0 {
                people.remove(&self.user.0);
            }
        }
        if let Some(network) = self.network
            && let Some(sessions) = networks.get_mut(&network)
        {
            *sessions -= 1;
            if *sessions == 0 {
                networks.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_so_many_sessions_and_gets_their_permits_back() {
        let counted = Arc::new(SessionCounts::default());
        let take = |user| counted.take(Id(user), None, (2, 0));
        let first = take(1).unwrap();
        let _second = take(1).unwrap();
        assert_eq!((take(1).err(), take(2).err()), (Some(Full::Person), None));
        drop(first);
        assert!(take(1).is_ok());
        assert_eq!(counted.0.lock().people.len(), 1);
    }

    #[test]
    fn an_address_has_so_many_sessions_for_all_its_people() {
        let counted = Arc::new(SessionCounts::default());
        let network = |last| Some(Network::V4([192, 0, 2, last].into()));
        let take = |user, last| counted.take(Id(user), network(last), (9, 2));
        let (first, _second) = (take(1, 1).unwrap(), take(2, 1).unwrap());
        assert_eq!((take(3, 1).err(), take(3, 2).err()), (Some(Full::Address), None));
        assert!(counted.take(Id(3), None, (9, 2)).is_ok(), "who is not counted has no bound");
        drop(first);
        assert!(take(3, 1).is_ok());
        let counts = counted.0.lock();
        assert_eq!((counts.people.len(), counts.networks.len()), (1, 1));
    }
}
