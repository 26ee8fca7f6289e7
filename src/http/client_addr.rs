//! Address that a request comes from: the peer, or the client that trusted proxies name.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};

use super::HttpState;
use crate::base::limits::http::FORWARDED_HOPS_MAX;
use crate::config::Subnet;

/// The client's address. Behind `http.trusted_proxies` it is the rightmost hop of `X-Forwarded-For` outside of them;
/// from any other peer that header is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

impl<S> FromRequestParts<S> for ClientAddr
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let http = HttpState::from_ref(state);
        Ok(Self(client_of(parts, &http)))
    }
}

/// The client's address of a request, see [`ClientAddr`].
#[must_use]
pub fn client_of(parts: &Parts, http: &HttpState) -> IpAddr {
    client(peer(&parts.extensions), &parts.headers, &http.settings().trusted_proxies)
}

/// Address of the client of a request that is whole yet.
pub(super) fn client_of_request(request: &Request, http: &HttpState) -> IpAddr {
    client(peer(request.extensions()), request.headers(), &http.settings().trusted_proxies)
}

/// Address of the client of a request on a connection of `peer`.
pub(super) fn client_of_peer(peer: SocketAddr, headers: &HeaderMap, http: &HttpState) -> IpAddr {
    client(peer.ip().to_canonical(), headers, &http.settings().trusted_proxies)
}

/// The other end of the connection of a request, if it came by one.
pub(super) fn peer_of(request: &Request) -> Option<SocketAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0)
}

/// The client of a request that a trusted proxy passes on; `None` when it comes from the client itself.
pub(super) fn client_of_proxy(peer: SocketAddr, headers: &HeaderMap, http: &HttpState) -> Option<IpAddr> {
    let trusted = &http.settings().trusted_proxies;
    if trusted.is_empty() {
        return None;
    }
    let peer = peer.ip().to_canonical();
    http.addresses().trusts(peer).then(|| client(peer, headers, trusted))
}

/// The other end of the connection; the unspecified address when the request came without one (tests).
fn peer(extensions: &Extensions) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.ip().to_canonical())
}

fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Subnet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.0.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or("?").rsplit(',')).take(FORWARDED_HOPS_MAX);
    let mut nearest = peer;
    for hop in hops {
        // What is not an address was not written by a trusted proxy: the last one that we know of stands.
        let Some(address) = hop_address(hop.trim()) else { return nearest };
        nearest = address;
        if !is_trusted(&address) {
            return address;
        }
    }
    nearest
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1` or `[2001:db8::1]:4711`.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse::<IpAddr>().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    bare.or_else(with_port).or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The client of a request from `peer` with these `X-Forwarded-For` lines, behind 10.0.0.0/8 and ::1.
    fn client_of(peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        lines.iter().for_each(|line| _ = headers.append("x-forwarded-for", line.parse().unwrap()));
        let trusted = ["10.0.0.0/8", "::1"].map(|network| network.parse().unwrap());
        client(peer.parse::<IpAddr>().unwrap().to_canonical(), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_cannot_name_another_address() {
        assert_eq!(client_of("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
    }

    #[test]
    fn behind_proxies_the_rightmost_hop_outside_of_them_is_the_client() {
        for (peer, lines, client) in [
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["203.0.113.66, 198.51.100.1, 10.2.3.4"], "198.51.100.1"),
            ("10.0.0.1", vec!["203.0.113.66", "198.51.100.1", "10.2.3.4"], "198.51.100.1"),
            ("10.0.0.1", vec!["198.51.100.1:4711"], "198.51.100.1"),
            ("::1", vec!["[2001:db8::1]:4711"], "2001:db8::1"),
            ("::ffff:10.0.0.1", vec!["::ffff:198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", vec!["10.9.9.9, 10.2.3.4"], "10.9.9.9"),
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            assert_eq!(client_of(peer, &lines), client, "{peer} {lines:?}");
        }
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_search_at_the_last_proxy() {
        assert_eq!(client_of("10.0.0.1", &["198.51.100.1, unknown, 10.2.3.4"]), "10.2.3.4");
        assert_eq!(client_of("10.0.0.1", &["<script>"]), "10.0.0.1");
    }
}
