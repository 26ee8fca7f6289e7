//! Hosts, and where they end: a link must lead to the host that is written, or there is no link.
//!
//! UTS #46 decides what a host is, as in browsers. The longest one is meant, with one exception: Chinese, Japanese or
//! Korean text follows an address without a space, so where an ASCII label goes over into it, the label before ends in
//! a public suffix, and no further label follows, the host ends there. The same goes for an ideographic full stop,
//! which UTS #46 takes for a dot: it ends the sentence when what it makes has no public suffix, and what stands before
//! it has one.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::ends::{LinkEnd, is_cjk, is_ignorable, is_letter_mark_or_number, is_punctuation, link_end};
use crate::base::limits::text::HOST_BYTES_MAX;

/// ASCII that no host holds: all but letters, digits, `-`, `.`, and `_`, which browsers let pass.
const NOT_IN_HOSTS: AsciiDenyList = AsciiDenyList::new(true, "!\"#$%&'()*+,/:;<=>?@[\\]^`{|}~");
/// Punctuation that RFC 5892 (2.6) lets into labels all the same: middle dots, geresh, gershayim, tsheg, nakaguro.
const PUNCTUATION_OF_LABELS: [char; 5] = ['\u{b7}', '\u{5f3}', '\u{5f4}', '\u{f0b}', '\u{30fb}'];
/// Names that are kept for documents and tests (RFC 2606, RFC 6761): no list of public suffixes has them, and texts do.
const KEPT_NAMES: [&str; 4] = ["example", "invalid", "localhost", "test"];
/// Most bytes of an IPv6 address in brackets.
const IPV6_BYTES_MAX: usize = 47;

/// End of the host in what could be one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// All of it.
    Whole,
    /// After so many bytes, and the address with it.
    EndsAt(usize),
}

/// Bytes of `rest` that could be a host, by their characters alone.
pub(super) fn run_end(rest: &str) -> usize {
    let end = rest.find(|c| !may_stand_in_a_host(c)).unwrap_or(rest.len());
    // The next address begins within: `a.example❤https://…`.
    let next = rest[end..].starts_with("://").then(|| before_scheme(&rest[..end])).flatten();
    next.unwrap_or(end)
}

/// Start of the `http` or `https` at the end of `run`, unless letters run into it.
fn before_scheme(run: &str) -> Option<usize> {
    let start = ["https", "http"].iter().find_map(|scheme| {
        let start = run.len().checked_sub(scheme.len())?;
        run.get(start..)?.eq_ignore_ascii_case(scheme).then_some(start)
    })?;
    (!run[..start].ends_with(|c: char| c.is_ascii_alphanumeric())).then_some(start)
}

fn may_stand_in_a_host(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    }
    if is_dot(c) || is_ignorable(c) || PUNCTUATION_OF_LABELS.contains(&c) {
        return true;
    }
    // What ends an address because it is Chinese, Japanese or Korean is a letter of a host all the same.
    !is_punctuation(c) && (link_end(c) != LinkEnd::Hard || is_letter_mark_or_number(c))
}

/// A dot between labels, as UTS #46 has it.
const fn is_dot(c: char) -> bool {
    c == '.' || is_full_stop(c)
}

/// The dots that end sentences in Chinese and Japanese.
const fn is_full_stop(c: char) -> bool {
    matches!(c, '\u{3002}' | '\u{ff0e}' | '\u{ff61}')
}

/// Whether `after`, which follows what could be a host, makes it part of another one: of a user name (`host@other`), of
/// an escaped character (`host%2eother`), or of a name that goes on behind a mark that is easily overlooked.
pub(super) fn goes_on_unseen(after: &str) -> bool {
    let mut chars = after.chars();
    let overlooked = match chars.next() {
        Some('%') => chars.next().is_some_and(|c| c.is_ascii_hexdigit()),
        Some('/' | '?' | '#' | ':' | '\\' | '<' | '>') | None => false,
        Some(c) => {
            let seen = c.is_whitespace() || matches!(link_end(c), LinkEnd::Open(_) | LinkEnd::Close);
            !seen && chars.next().is_some_and(is_dot) && chars.next().is_some_and(is_letter_mark_or_number)
        }
    };
    overlooked || makes_a_user_name(after)
}

/// Whether a URL parser takes what stands before `after` for the name of a user, whatever stands between it and an `@`.
/// Only as far as there could be an authority: every `://` ends one, so each part of a text is read once.
fn makes_a_user_name(after: &str) -> bool {
    after.chars().find(|c| *c == '@' || ends_authority(*c)) == Some('@')
}

/// Whether the authority of an address ends at `c`, as URL parsers have it, or in the eyes of a reader.
pub(super) fn ends_authority(c: char) -> bool {
    matches!(c, '/' | '?' | '#' | '\\') || c.is_whitespace()
}

/// Whether letters or marks run into the end of an IPv6 address: there is no such host, and what follows could be taken
/// for it.
pub(super) fn runs_on(after: &str) -> bool {
    let mut chars = after.chars().filter(|c| !is_ignorable(*c));
    chars.next().is_some_and(|c| {
        matches!(c, '-' | '_')
            || is_letter_mark_or_number(c)
            || (is_dot(c) && chars.next().is_some_and(is_letter_mark_or_number))
    })
}

/// Bytes of an IPv6 address in brackets at the start of `rest`.
pub(super) fn ipv6_end(rest: &str) -> Option<usize> {
    let end = rest.bytes().take(IPV6_BYTES_MAX).position(|byte| byte == b']')?;
    rest[1..end].parse::<Ipv6Addr>().is_ok().then_some(end + 1)
}

/// Part of `run`, the longest that could be a host, that is the host. With an `address_behind` it (port, path) all of
/// it is, or the text goes on in it; without, what cannot end a host is cut off first. `None`: there is no host.
pub(super) fn decide(run: &str, address_behind: bool) -> Option<Host> {
    if run.len() > HOST_BYTES_MAX {
        return None;
    }
    let host = if address_behind { run } else { without_end_of_sentence(run) };
    let ends = if host.is_ascii() { None } else { text_begins(host, address_behind) };
    let host = ends.map_or(host, |end| &host[..end]);
    if !is_host(host) {
        return None;
    }
    Some(if host.len() == run.len() { Host::Whole } else { Host::EndsAt(host.len()) })
}

/// Cuts off marks and symbols: a host ends in a letter, a digit, or a mark on one.
fn without_end_of_sentence(run: &str) -> &str {
    run.trim_end_matches(|c: char| is_ignorable(c) || !is_letter_mark_or_number(c))
}

/// Start of Chinese, Japanese or Korean text that is no part of the host.
fn text_begins(host: &str, address_behind: bool) -> Option<usize> {
    if !address_behind
        && let Some((stop, _)) = host.char_indices().find(|(_, c)| is_full_stop(*c))
        && !has_public_suffix(host)
    {
        let before = without_end_of_sentence(&host[..stop]);
        let end = text_in_last_label(before).or_else(|| has_public_suffix(before).then_some(before.len()));
        if end.is_some() {
            return end;
        }
    }
    text_in_last_label(host)
}

/// The one exception: where the last label goes over from ASCII into Han, Kana or Hangul.
fn text_in_last_label(host: &str) -> Option<usize> {
    let label = host.char_indices().rev().find(|(_, c)| is_dot(*c)).map_or(0, |(at, c)| at + c.len_utf8());
    let begins = label + host[label..].find(is_cjk)?;
    let before = without_end_of_sentence(&host[..begins]);
    let ascii = before.len() > label && before[label..].is_ascii();
    (ascii && has_public_suffix(before)).then_some(before.len())
}

/// Whether `host` ends in a suffix under which names are registered.
fn has_public_suffix(host: &str) -> bool {
    let name = host.to_lowercase().replace(is_full_stop, ".");
    let last = name.rsplit('.').next().unwrap_or_default();
    KEPT_NAMES.contains(&last) || psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

/// Whether `host` is one: by UTS #46, with labels and lengths as the DNS takes them, and not a number that browsers
/// would read as another address than the one written.
fn is_host(host: &str) -> bool {
    let Some(ascii) = to_ascii(host) else { return false };
    let name = ascii.strip_suffix('.').unwrap_or(&ascii);
    let last = name.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    !number || name.parse::<Ipv4Addr>().is_ok()
}

fn to_ascii(host: &str) -> Option<Cow<'_, str>> {
    let plain = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.get(..4).is_none_or(|start| !start.eq_ignore_ascii_case("xn--"))
    };
    // Most hosts are plain; the rule they follow is short.
    if host.is_ascii() && host.len() <= 253 && host.split('.').all(plain) {
        return Some(Cow::Owned(host.to_ascii_lowercase()));
    }
    let length = DnsLength::VerifyAllowRootDot;
    Uts46::new().to_ascii(host.as_bytes(), NOT_IN_HOSTS, Hyphens::CheckFirstLast, length).ok()
}

#[cfg(test)]
#[path = "hosts_tests.rs"]
mod tests;
