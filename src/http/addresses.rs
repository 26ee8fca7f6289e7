//! Shares that one address may take of what all share: connections, and bodies that arrive. Tables bounded by what they
//! count.
//!
//! An address is an IPv4 address or a /64 of IPv6, behind `http.trusted_proxies` that of the client. Whom the machine
//! itself and the proxies speak for is not known by their connections: those are not counted, requests through proxies
//! are. Bodies are always counted, where no client is named for the machine or the proxy itself: what they share has to
//! end somewhere.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::base::fair::Shares;
use crate::base::limits::http::{ARRIVING_SHARE, BODY_SHARE, CROWDED_WARNING_S};
use crate::base::network::Network;
use crate::config::{self, Http};

/// Counts by address; clones share them.
#[derive(Debug, Clone)]
pub struct Addresses(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    trusted: Vec<config::Subnet>,
    /// Connections of this machine are not counted.
    spares_loopback: bool,
    places_max: u32,
    /// Connections, and requests through proxies; nobody with none of them.
    places: Mutex<HashMap<Network, u32>>,
    bodies: Mutex<Shares<Network>>,
    /// Requests whose body is slow or an upload: they hold a place among all requests for as long as their client
    /// likes.
    arriving: Mutex<Shares<Network>>,
    began: Instant,
    /// Second of the last warning, from 1; 0 before there was one.
    warned_s: AtomicU64,
}

impl Addresses {
    /// Nobody is there. `body_bytes_max` is the largest body of any call.
    pub(super) fn new(settings: &Http, body_bytes_max: u64, spares_loopback: bool) -> Self {
        // The pool takes at least one body of the largest kind.
        let pool = settings.body_memory_bytes_max.max(body_bytes_max.saturating_mul(BODY_SHARE + 1));
        let requests = settings.requests_in_flight_max as u64;
        Self(Arc::new(Inner {
            trusted: settings.trusted_proxies.clone(),
            spares_loopback,
            places_max: u32::try_from(places_max(settings)).unwrap_or(u32::MAX),
            places: Mutex::default(),
            bodies: Mutex::new(Shares::new(pool, BODY_SHARE)),
            // At least one can arrive.
            arriving: Mutex::new(Shares::new(requests.max(ARRIVING_SHARE + 1), ARRIVING_SHARE)),
            began: Instant::now(),
            warned_s: AtomicU64::new(0),
        }))
    }

    /// Whether this is a proxy whose word about its clients is believed.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.0.trusted.iter().any(|network| network.0.contains(&peer))
    }

    /// Whether connections from there are not counted: this machine, and proxies, speak for people who are elsewhere.
    pub(super) fn spares(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.spares_loopback && address.is_loopback() || self.trusts(address)
    }

    /// A place for a connection from `peer`, or for a request of a client of a proxy; `None` when the address has as
    /// many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<AddressPlace> {
        let address = address.to_canonical();
        if self.spares(address) {
            return Some(AddressPlace(None));
        }
        let network = Network::from(address);
        let mut places = self.0.places.lock();
        let held = places.entry(network).or_insert(0);
        if *held >= self.0.places_max {
            drop(places);
            self.warn(address);
            return None;
        }
        *held += 1;
        Some(AddressPlace(Some((self.clone(), network))))
    }

    /// Says that an address is at its bound, now and then: an operator may have forgotten to name a proxy.
    fn warn(&self, address: IpAddr) {
        let now_s = self.0.began.elapsed().as_secs() + 1;
        let before_s = self.0.warned_s.load(Ordering::Relaxed);
        let due = before_s == 0 || now_s >= before_s + CROWDED_WARNING_S;
        let exchange = |now_s| self.0.warned_s.compare_exchange(before_s, now_s, Ordering::Relaxed, Ordering::Relaxed);
        if due && exchange(now_s).is_ok() {
            let places = self.0.places_max;
            tracing::warn!(%address, places, "an address has as many connections as it may; if it is a proxy, name it in http.trusted_proxies");
        }
    }

    /// A place for a request of `address` whose body takes its time; `None` where the address holds its part of them.
    pub(super) fn arrive(&self, address: IpAddr) -> Option<Arriving> {
        let network = Network::from(address);
        let taken = self.0.arriving.lock().take(network, 1);
        taken.then(|| Arriving(self.clone(), network))
    }

    /// Memory that bodies take now.
    #[cfg(test)]
    pub(super) fn memory_used(&self) -> u64 {
        self.0.bodies.lock().used()
    }

    /// Memory for a body of a client at `address` that is arriving; none yet.
    pub(super) fn memory(&self, address: IpAddr) -> Memory {
        Memory { addresses: self.clone(), network: Network::from(address), bytes: 0 }
    }
}

/// Connections of one address: the setting, but never more than half of what all have together.
fn places_max(settings: &Http) -> usize {
    let whole = settings.connections_max.min(settings.requests_in_flight_max);
    settings.connections_per_address_max.min(whole / 2).max(1)
}

/// A connection or request that counts for its address until this is dropped.
#[derive(Debug)]
pub(super) struct AddressPlace(Option<(Addresses, Network)>);

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let Some((addresses, network)) = self.0.take() else { return };
        let mut places = addresses.0.places.lock();
        if let Some(held) = places.get_mut(&network) {
            *held -= 1;
            if *held == 0 {
                places.remove(&network);
            }
        }
    }
}

/// A request whose body takes its time, until this is dropped.
#[derive(Debug)]
pub(super) struct Arriving(Addresses, Network);

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.0.arriving.lock().give_back(self.1, 1);
    }
}

/// Memory of one body, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Memory {
    addresses: Addresses,
    network: Network,
    bytes: u64,
}

impl Memory {
    /// Takes so many bytes more; false where the pool has none for this address.
    pub(super) fn grow(&mut self, more: usize) -> bool {
        let more = more as u64;
        let taken = self.addresses.0.bodies.lock().take(self.network, more);
        self.bytes += if taken { more } else { 0 };
        taken
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.addresses.0.bodies.lock().give_back(self.network, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(change: impl FnOnce(&mut Http)) -> Addresses {
        let mut settings = Http { connections_per_address_max: 2, ..Http::default() };
        change(&mut settings);
        Addresses::new(&settings, 1 << 20, true)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let all = addresses(|_| ());
        let (one, _two) = (all.enter(ip("2001:db8::1")).unwrap(), all.enter(ip("2001:db8::2")).unwrap());
        assert!(all.enter(ip("2001:db8::3")).is_none(), "a /64 is one");
        assert!(all.enter(ip("192.0.2.1")).is_some() && all.enter(ip("2001:db8:0:1::1")).is_some());
        drop(one);
        assert!(all.enter(ip("2001:db8::3")).is_some());
        assert_eq!(all.0.places.lock().len(), 1);
    }

    #[test]
    fn this_machine_and_trusted_proxies_are_not_counted() {
        let all = addresses(|settings| settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]);
        for spared in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.1.2.3", "::ffff:10.1.2.3"] {
            let places: Vec<_> = (0..9).map(|_| all.enter(ip(spared))).collect();
            assert!(places.iter().all(Option::is_some), "{spared}");
        }
        assert!(all.0.places.lock().is_empty());
    }

    #[test]
    fn one_address_never_has_more_than_half_of_all() {
        for (whole, in_flight, own, places) in
            [(50, 1024, 512, 25), (10_000, 1024, 512, 512), (10_000, 100, 512, 50), (1, 1, 512, 1), (9, 9, 2, 2)]
        {
            let settings = Http {
                connections_max: whole,
                requests_in_flight_max: in_flight,
                connections_per_address_max: own,
                ..Http::default()
            };
            assert_eq!(places_max(&settings), places, "{whole} {in_flight} {own}");
        }
    }

    #[test]
    fn bodies_of_one_address_leave_room_for_those_of_another_and_give_it_back() {
        let all = addresses(|settings| settings.body_memory_bytes_max = 0);
        // Five of the largest body.
        let (mut one, mut other) = (all.memory(ip("192.0.2.1")), all.memory(ip("192.0.2.2")));
        assert!(one.grow(1 << 20) && !one.grow(1) && other.grow(838_860));
        drop((one, other));
        assert_eq!(all.0.bodies.lock().used(), 0);
    }

    #[test]
    fn slow_bodies_of_some_addresses_leave_places_for_those_of_others() {
        for requests in [1, 20, 1024] {
            let all = addresses(|settings| settings.requests_in_flight_max = requests);
            let of = |name: &str| std::iter::from_fn(|| all.arrive(ip(name))).collect::<Vec<_>>();
            let (one, other) = (of("192.0.2.1"), of("192.0.2.2"));
            assert!(!one.is_empty() && one.len() + other.len() <= requests.div_ceil(2), "{requests}");
            assert!(requests == 1 || all.arrive(ip("192.0.2.3")).is_some());
            drop((one, other));
            assert_eq!(all.0.arriving.lock().used(), 0);
        }
    }
}
