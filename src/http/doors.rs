//! Doors of the demo: under which hosts it answers, and pages of which origins may call it.
//!
//! A demo tells everybody who asks whom to log in as, and that person is an operator when it listens on this machine
//! only. A page of the internet must not get that far: it could point a name of its own at 127.0.0.1 (DNS rebinding),
//! so that the browser takes the demo for the page's own server. Such a request names the page's host, and is refused
//! by it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::Code;

use crate::base::error::Error;
use crate::config::Http;

/// Paths at which the demo tells whom to log in as, and what belongs to it: for its own page alone, whatever the
/// settings say.
const OWN: [&str; 2] = ["/demo.json", "/demo/"];
/// Operators' calls: other pages of this machine get them only by `http.cors_origins`.
const OPERATORS: &str = "/v1/admin";

/// Hosts and origins that the demo lets in.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Only this machine reaches it.
    local: bool,
    /// Host of `http.public_url`, in lower case.
    public_host: Option<String>,
}

impl Doors {
    /// The doors of a demo that listens on `address`. One that has a public URL is taken to be reached from elsewhere,
    /// through a proxy, whatever it listens on.
    #[must_use]
    pub fn of_demo(address: SocketAddr, settings: &Http) -> Self {
        let authority = settings.public_url.as_ref().and_then(|url| url.0.split("//").nth(1));
        let public_host = authority.and_then(|rest| rest.split('/').next()).and_then(name_of).map(str::to_lowercase);
        let local = address.ip().to_canonical().is_loopback() && public_host.as_deref().is_none_or(is_loopback_name);
        Self { local, public_host }
    }

    /// Whether only this machine reaches the demo, so that its visitor may be an operator.
    #[must_use]
    pub fn are_local(&self) -> bool {
        self.local
    }

    /// Whether a request for this authority is meant for the demo. Loopback names always are; on a public address also
    /// addresses, which no name service can turn, and the host of `http.public_url`.
    fn lets_in(&self, authority: &str) -> bool {
        let Some(name) = name_of(authority) else { return false };
        let named = || self.public_host.as_deref().is_some_and(|host| host.eq_ignore_ascii_case(name));
        is_loopback_name(name) || (!self.local && (address_of(name).is_some() || named()))
    }

    /// Whether scripts of `origin` may call `path`; `listed` says that the settings let them.
    pub(super) fn lets_call(&self, origin: &HeaderValue, path: &str, listed: bool) -> bool {
        if OWN.iter().any(|own| path.starts_with(own)) {
            return false;
        }
        listed || (is_of_this_machine(origin) && !path.starts_with(OPERATORS))
    }
}

/// The host of an authority, without port, brackets and the dot of the root; `None` when it is no `host` or
/// `host:port`.
fn name_of(authority: &str) -> Option<&str> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, after) = rest.split_once(']')?;
            name.parse::<Ipv6Addr>().ok()?;
            (name, if after.is_empty() { "" } else { after.strip_prefix(':')? })
        }
        None => {
            let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
            (name.strip_suffix('.').unwrap_or(name), port)
        }
    };
    let plain = !name.is_empty() && !name.contains(['@', '/', '\\', ' ']);
    (plain && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
}

fn address_of(name: &str) -> Option<IpAddr> {
    name.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn is_loopback_name(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || address_of(name).is_some_and(|address| address.is_loopback())
}

/// Origins as browsers write them: `http://localhost:5173`, on any port.
fn is_of_this_machine(origin: &HeaderValue) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
    let host = authority.map(|authority| match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    });
    matches!(host, Some("localhost" | "127.0.0.1" | "[::1]"))
}

/// The one `Host` of a request.
fn host_of(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Whether a request names this machine as its host, as no page of the internet can make a browser do for it.
pub(super) fn is_for_this_machine(headers: &HeaderMap) -> bool {
    host_of(headers).and_then(name_of).is_some_and(is_loopback_name)
}

/// Refuses what was sent to another host. A target with an authority of its own must be right as well.
pub(super) async fn check_host(State(doors): State<Doors>, request: Request, next: Next) -> Response {
    let host = host_of(request.headers());
    let target = request.uri().authority().map(axum::http::uri::Authority::as_str);
    if host.is_some_and(|host| doors.lets_in(host)) && target.is_none_or(|target| doors.lets_in(target)) {
        return next.run(request).await;
    }
    let detail = match doors.local {
        true => "the demo answers only to names of this machine, such as localhost and 127.0.0.1",
        false => "the demo answers to addresses, to localhost, and to the host of http.public_url",
    };
    Error::refused(Code::Misdirected, detail).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors(listen: &str, public_url: Option<&str>) -> Doors {
        let settings = Http { public_url: public_url.map(|url| url.parse().unwrap()), ..Http::default() };
        Doors::of_demo(listen.parse().unwrap(), &settings)
    }

    #[test]
    fn on_this_machine_only_loopback_names_are_let_in() {
        for listen in ["127.0.0.1:7070", "[::1]:7070"] {
            let doors = doors(listen, None);
            assert!(doors.are_local());
            for host in [
                "localhost",
                "localhost:7070",
                "LocalHost:80",
                "localhost.",
                "localhost.:7070",
                "127.0.0.1",
                "127.0.0.1:1",
            ]
            .into_iter()
            .chain([
                "127.8.9.1",
                "[::1]",
                "[::1]:7070",
                "[0:0:0:0:0:0:0:1]:2",
                "[::ffff:127.0.0.1]",
                "localhost:",
            ]) {
                assert!(doors.lets_in(host), "{host}");
            }
            for host in [
                "",
                ".",
                "evil.example",
                "evil.example:7070",
                "localhost.evil.example",
                "demo.example",
                "localhost..",
                "x",
            ]
            .into_iter()
            .chain(["192.0.2.1", "0.0.0.0", "[::]", "[2001:db8::1]:7070", "127.0.0.1.evil.example", "2130706433"])
            .chain([
                "localhost:x",
                "localhost@evil.example",
                "[::1]evil.example",
                "[localhost]",
                "::1",
                "local host",
            ]) {
                assert!(!doors.lets_in(host), "{host}");
            }
        }
    }

    #[test]
    fn on_a_public_address_no_name_is_let_in_that_nobody_wrote_down() {
        assert!(doors("127.0.0.1:7070", Some("http://localhost:9000")).are_local());
        // Behind a proxy on the same machine it is public all the same.
        for listen in ["0.0.0.0:7070", "[::]:7070", "192.0.2.7:7070", "127.0.0.1:7070"] {
            let doors = doors(listen, Some("https://Demo.example:8443/x"));
            assert!(!doors.are_local());
            for host in ["192.0.2.1:7070", "[2001:db8::1]", "localhost:7070", "demo.example", "DEMO.example:8443"] {
                assert!(doors.lets_in(host), "{host}");
            }
            for host in ["evil.example", "x.demo.example", ""] {
                assert!(!doors.lets_in(host), "{host}");
            }
        }
    }

    #[test]
    fn pages_of_this_machine_may_call_all_but_what_makes_an_operator() {
        let doors = doors("127.0.0.1:7070", None);
        let may = |origin: &'static str, path| doors.lets_call(&HeaderValue::from_static(origin), path, false);
        for origin in ["http://localhost", "http://localhost:5173", "http://127.0.0.1:1", "http://[::1]:65535"] {
            assert!(may(origin, "/v1/feed") && may(origin, "/v1/realtime/sse"), "{origin}");
            for closed in ["/demo.json", "/demo/engine.json", "/v1/admin/status", "/v1/admin"] {
                assert!(!may(origin, closed), "{origin} {closed}");
            }
        }
        for origin in [
            "null",
            "http://localhost.evil.example",
            "http://evil.example:5173",
            "https://localhost:5173",
            "http://localhost:x",
            "http://localhost@evil.example",
            "http://localhost:80@evil.example",
            "http://user@localhost",
            "http://127.0.0.1.evil.example",
            "http://192.0.2.1",
            "localhost:5173",
            "file://",
        ] {
            assert!(!may(origin, "/v1/feed"), "{origin}");
        }
        let listed = HeaderValue::from_static("https://app.example");
        assert!(doors.lets_call(&listed, "/v1/admin/status", true) && !doors.lets_call(&listed, "/demo.json", true));
    }
}
