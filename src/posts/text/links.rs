//! Web addresses in a text: where they begin, and what of the text belongs to them.

use std::ops::Range;

use memchr::memmem;
use smallvec::SmallVec;

use super::ends::{LinkEnd, link_end};
use super::hosts::{self, Host};
use crate::base::limits::text::LINK_BRACKETS_MAX;

const SEPARATOR: &str = "://";

/// Byte ranges of all addresses, in order, longer ones than a link may have too.
pub(super) fn link_spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(at) = memmem::find(&text.as_bytes()[from..], SEPARATOR.as_bytes()) {
        let (separator, before) = (from + at, from);
        from = separator + SEPARATOR.len();
        let Some(start) = scheme_start(text, separator, before) else { continue };
        if let Some(length) = address_length(&text[from..]) {
            from += length;
            spans.push(start..from);
        }
    }
    spans
}

/// Start of the `http` or `https` that ends at `separator`, if it stands alone, not before `earliest`: where the
/// address before it ended, or its `://`.
fn scheme_start(text: &str, separator: usize, earliest: usize) -> Option<usize> {
    let start = ["https", "http"].iter().find_map(|scheme| {
        let start = separator.checked_sub(scheme.len()).filter(|start| *start >= earliest)?;
        text.get(start..separator)?.eq_ignore_ascii_case(scheme).then_some(start)
    })?;
    let of_a_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    // What stands between two addresses separates them, even where it could be part of a scheme's name.
    let between = earliest > 0 && start == earliest + 1 && !text[earliest..start].contains(char::is_alphanumeric);
    (between || !text[..start].trim_end_matches('_').ends_with(of_a_scheme)).then_some(start)
}

/// Bytes of host, port, path, query and fragment at the start of `rest`, which follows `://`. `None` when there is no
/// host, or when it cannot be told which host is meant.
fn address_length(rest: &str) -> Option<usize> {
    if rest.starts_with('[') {
        let end = hosts::ipv6_end(rest)?;
        if hosts::runs_on(&rest[end..]) || hosts::goes_on_unseen(&rest[end..]) {
            return None;
        }
        return Some(end + tail_length(&rest[end..]));
    }
    let run = hosts::run_end(rest);
    let after = &rest[run..];
    if run == 0 || hosts::goes_on_unseen(after) {
        return None;
    }
    // What follows is read only where there is a host: each part of a text once.
    match hosts::decide(&rest[..run], has_tail(after))? {
        Host::Whole => Some(run + tail_length(after)),
        Host::EndsAt(end) => Some(end),
    }
}

/// Whether a port, a path, a query or a fragment begins with `rest`, which is no mere end of a sentence.
fn has_tail(rest: &str) -> bool {
    let goes_on = || rest.chars().map(link_end).find(|end| *end != LinkEnd::Soft) == Some(LinkEnd::Include);
    rest.starts_with(['/', '#']) || port_length(rest) > 0 || (rest.starts_with('?') && goes_on())
}

/// Bytes of port, path, query and fragment at the start of `rest`, which follows a host.
fn tail_length(rest: &str) -> usize {
    let port = port_length(rest);
    if rest[port..].starts_with(['/', '?', '#']) { port + path_length(&rest[port..]) } else { port }
}

/// Bytes of a colon and the number of a port; a colon without one ends a sentence, not a host.
fn port_length(rest: &str) -> usize {
    let Some(number) = rest.strip_prefix(':') else { return 0 };
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    match number[..digits].parse::<u16>() {
        Ok(_) if !number[digits..].starts_with(|c: char| c.is_ascii_alphabetic()) => 1 + digits,
        _ => 0,
    }
}

/// Bytes of path, query and fragment: up to what ends an address, without what is soft at its end. A closing bracket
/// belongs to it only if it closes what was opened within.
fn path_length(rest: &str) -> usize {
    let mut open: SmallVec<[char; 8]> = SmallVec::new();
    let mut length = 0;
    for (at, c) in rest.char_indices() {
        match link_end(c) {
            LinkEnd::Include => length = at + c.len_utf8(),
            LinkEnd::Soft => {}
            LinkEnd::Open(closing) if open.len() < LINK_BRACKETS_MAX => open.push(closing),
            LinkEnd::Close if open.pop() == Some(c) => length = at + c.len_utf8(),
            LinkEnd::Hard | LinkEnd::Open(_) | LinkEnd::Close => break,
        }
    }
    length
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
