//! Addresses that people may be sent to: what a short link or a replay may point at. Pure.
//!
//! Asked when an address is given and again when it is taken out of a row, for settings change. Names are not resolved:
//! a name that leads to a private address passes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::base::limits::links::TARGET_BYTES_MAX;

/// Schemes that run or show something of their own instead of leading elsewhere; no setting allows them.
pub const NEVER: [&str; 8] = ["about", "blob", "data", "file", "filesystem", "javascript", "vbscript", "view-source"];
/// Endings of names that are never public (RFC 6761, RFC 6762, ICANN's `.internal`).
const LOCAL_ENDINGS: [&str; 3] = ["localhost", "local", "internal"];

/// Rules of a server about targets.
#[derive(Debug, Clone, Default)]
pub struct TargetRules {
    /// Schemes, in lower case.
    pub schemes: Vec<String>,
    /// Whether targets may be in networks that only some can reach.
    pub allow_private: bool,
    /// Hosts of the server itself, as [`host_key`] writes them: a link to a link would go round in circles.
    pub own_hosts: Vec<String>,
}

/// Address that somebody may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address as the parser writes it: ASCII, names in punycode.
    pub url: String,
    /// Host of the address, as [`host_key`] writes it.
    pub host: String,
}

/// Reason why nobody is sent to an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// Beyond the bound, as given or as written.
    #[error("is longer than {TARGET_BYTES_MAX} bytes")]
    Long,
    /// Characters that parsers drop without a word, or that end a header.
    #[error("contains a space, a line break or a control character; write it with a percent sign")]
    Characters,
    /// Not an address with a scheme.
    #[error("is no absolute URL, such as https://example.com/page")]
    NoUrl,
    /// A scheme that is not allowed.
    #[error("must begin with {0}")]
    Scheme(String),
    /// Nowhere to go.
    #[error("names no host")]
    NoHost,
    /// A secret that everybody would see, or a name made to look like a host.
    #[error("must not contain a user name or a password")]
    Credentials,
    /// A link to this server.
    #[error("leads to this server itself")]
    Own,
    /// A host that means another machine for everybody who follows it.
    #[error("leads to a private, local or reserved address")]
    Private,
}

/// Takes `text` as a target under `rules`.
///
/// # Errors
/// The first rule that it breaks.
pub fn check(text: &str, rules: &TargetRules) -> Result<Target, Forbidden> {
    if text.len() > TARGET_BYTES_MAX {
        return Err(Forbidden::Long);
    }
    // Before parsing: tabs, newlines and spaces at the ends are dropped there.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Forbidden::Characters);
    }
    let url = Url::parse(text).map_err(|_| Forbidden::NoUrl)?;
    if NEVER.contains(&url.scheme()) || !rules.schemes.iter().any(|scheme| scheme == url.scheme()) {
        let known: Vec<String> = rules.schemes.iter().map(|scheme| format!("{scheme}:")).collect();
        return Err(Forbidden::Scheme(known.join(" or ")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Credentials);
    }
    let host = host_of(&url)?;
    let key = key_of(&host);
    if rules.own_hosts.contains(&key) {
        return Err(Forbidden::Own);
    }
    if !rules.allow_private && is_private(&host, &key) {
        return Err(Forbidden::Private);
    }
    let written: String = url.into();
    // Percent signs make three bytes of one.
    if written.len() > TARGET_BYTES_MAX {
        return Err(Forbidden::Long);
    }
    Ok(Target { url: written, host: key })
}

/// The host in one spelling: lower case, punycode, addresses as such, without a dot at the end; `None` of what is no
/// host. Port and brackets are no part of it.
#[must_use]
pub fn host_key(host: &str) -> Option<String> {
    let bare = host.trim();
    if bare.is_empty() {
        return None;
    }
    let key = match bare.parse::<Ipv6Addr>() {
        Ok(address) => key_of(&Host::Ipv6(address)),
        Err(_) => key_of(&Host::parse(bare).ok()?),
    };
    (!key.is_empty()).then_some(key)
}

/// The host of an address, parsed as the web's schemes are: others leave it as it stands.
fn host_of(url: &Url) -> Result<Host<String>, Forbidden> {
    let host = match url.host() {
        None | Some(Host::Domain("")) => return Err(Forbidden::NoHost),
        Some(Host::Domain(name)) => Host::parse(name).map_err(|_| Forbidden::NoUrl)?,
        Some(host) => host.to_owned(),
    };
    if key_of(&host).is_empty() { Err(Forbidden::NoHost) } else { Ok(host) }
}

fn key_of(host: &Host<String>) -> String {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').to_ascii_lowercase(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => embedded(*address).map_or_else(|| address.to_string(), |inner| inner.to_string()),
    }
}

fn is_private(host: &Host<String>, key: &str) -> bool {
    match host {
        Host::Domain(_) => {
            let last_label = key.rsplit('.').next().unwrap_or_default();
            LOCAL_ENDINGS.contains(&last_label)
        }
        Host::Ipv4(address) => !is_public(IpAddr::V4(*address)),
        Host::Ipv6(address) => !is_public(IpAddr::V6(*address)),
    }
}

/// Whether an address means the same machine to everybody (IANA's registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // This network, shared by carriers, protocol assignments, benchmarks, reserved up to broadcast.
    let special = a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !(special || address.is_private() || address.is_loopback() || address.is_link_local() || address.is_multicast())
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    // Only 2000::/3 is given out; the local range of translators is outside of the rule that it is embedded.
    let given_out = first & 0xe000 == 0x2000;
    let teredo_or_benchmark = first == 0x2001 && (second == 0 || (second == 2 && third == 0));
    given_out && !teredo_or_benchmark
}

/// The address of IPv4 that one of IPv6 stands for: mapped, compatible, translated (RFC 6052), or 6to4.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

#[cfg(test)]
#[path = "target_tests.rs"]
mod tests;
