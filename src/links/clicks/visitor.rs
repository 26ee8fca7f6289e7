//! Visitors of a link on a day, each as a number that says nothing else: a keyed hash under a salt of that day. Pure.
//!
//! The salt is thrown away the day after. Then nobody can tell any more which address a number stood for, nor whether
//! two days' numbers are of the same person.

use std::net::IpAddr;

use fanfare_protocol::Id;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::click::Visitor;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;

/// Salt of a day, made ready for use.
#[derive(Clone)]
pub struct Salt(Hmac<Sha256>);

impl Salt {
    /// The salt with these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; SALT_BYTES]) -> Option<Self> {
        Hmac::new_from_slice(bytes).ok().map(Self)
    }

    /// Visitor of a link. The same person is another visitor of another link.
    #[must_use]
    pub fn visitor(&self, link: Id, address: IpAddr, agent: &[u8]) -> Visitor {
        let mut mac = self.0.clone();
        mac.update(&link.to_bytes());
        match address.to_canonical() {
            IpAddr::V4(address) => mac.update(&address.to_ipv6_mapped().octets()),
            IpAddr::V6(address) => mac.update(&address.octets()),
        }
        mac.update(agent);
        let hash = mac.finalize().into_bytes();
        Visitor(hash.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_is_the_same_within_link_day_address_and_agent_only() {
        let (monday, tuesday) = (Salt::new(&[1; SALT_BYTES]).unwrap(), Salt::new(&[2; SALT_BYTES]).unwrap());
        let (ada, ben) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = monday.visitor(Id(1), ada, b"Firefox");
        assert_eq!(first, monday.visitor(Id(1), "::ffff:192.0.2.1".parse().unwrap(), b"Firefox"));
        let others = [
            monday.visitor(Id(2), ada, b"Firefox"),
            monday.visitor(Id(1), ben, b"Firefox"),
            monday.visitor(Id(1), ada, b"Chrome"),
            tuesday.visitor(Id(1), ada, b"Firefox"),
        ];
        assert!(!others.contains(&first));
    }
}
