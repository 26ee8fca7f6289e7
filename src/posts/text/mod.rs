//! Content of a text: its length, the people it names, the addresses it holds.
//!
//! Pure. Publishing a post parses its text here before anything is stored; handles found here are looked up afterwards.
//! `base::text` cleans it, `links` finds addresses (`hosts` decides what a host is, `ends` where an address ends),
//! `mentions` finds people. Every part reads a text once, from left to right; nothing looks up a property of an ASCII
//! character.

mod ends;
mod hosts;
mod links;
mod mentions;

use std::ops::Range;

use crate::base::limits::text::{LINK_BYTES_MAX, LINKS_MAX};
use crate::base::text::{TextError, normalise};
use links::link_spans;

pub use ends::UNICODE_VERSION;

/// A text fit to be stored, and what was found in it. Spans are byte ranges of `text`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedText {
    /// Trimmed, with `\n` as the only line end.
    pub text: String,
    /// People named, each once, in order, at most [`MENTIONS_MAX`](crate::base::limits::text::MENTIONS_MAX).
    pub mentions: Vec<MentionSpan>,
    /// Addresses, each once, in order, at most [`LINKS_MAX`].
    pub links: Vec<LinkSpan>,
}

/// `@handle` in a text; whether such a person exists is for the caller to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionSpan {
    /// Lowercase key of the handle, without `@`.
    pub handle_key: String,
    /// Range at which it first stands, `@` included.
    pub span: Range<usize>,
}

/// An `http` or `https` address in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpan {
    /// The address as written.
    pub url: String,
    /// Range at which it first stands.
    pub span: Range<usize>,
}

/// Normalises and checks `raw`, and finds mentions and links. An answer with an empty `text` is for the caller to
/// judge.
///
/// Characters are Unicode scalar values: what every client can count, without tables that change with each Unicode
/// version. A family emoji of seven scalar values counts as seven.
pub fn parse(raw: &str, chars_max: usize) -> Result<ParsedText, TextError> {
    let text = normalise(raw, chars_max)?;
    let spans = link_spans(&text);
    let mentions = mentions::find(&text, &spans);
    let mut links: Vec<LinkSpan> = Vec::new();
    for span in spans.into_iter().filter(|span| span.len() <= LINK_BYTES_MAX) {
        if links.len() == LINKS_MAX {
            break;
        }
        let url = &text[span.clone()];
        if links.iter().all(|link| link.url != url) {
            links.push(LinkSpan { url: url.to_owned(), span });
        }
    }
    Ok(ParsedText { text, mentions, links })
}

#[cfg(test)]
mod tests;
#[cfg(test)]
use tests::links_of;
