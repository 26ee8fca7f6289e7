//! Decision of a visit: from a link, the moment and what a request says to what is answered. Pure.
//!
//! The same for the door in front of the router and for the route behind it.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, header};
use fanfare_protocol::Id;

use crate::data::absent::Standing;
use crate::data::rows::LinkRow;
use crate::http::Prepared;

/// Programs that look at a link to show what is behind it, by a part of their user agents: they get no target of links
/// whose visits are few or whose visitors are asked for a password, and use nothing up.
const UNFURLERS: [&str; 24] = [
    "applebot",
    "bitlybot",
    "bluesky cardyb",
    "discordbot",
    "embedly",
    "facebookcatalog",
    "facebookexternalhit",
    "facebot",
    "iframely",
    "linkedinbot",
    "mastodon/",
    "meta-externalagent",
    "nuzzel",
    "pinterest/",
    "redditbot",
    "skypeuripreview",
    "slack-imgproxy",
    "slackbot",
    "snapchat",
    "telegrambot",
    "twitterbot",
    "viber",
    "vkshare",
    "whatsapp",
];

/// Link as visits need it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The row.
    pub row: LinkRow,
    /// Host of the target; none when the rules of today do not let anybody be sent there.
    pub host: Option<String>,
    /// The redirect.
    pub answer: Arc<Prepared>,
}

impl Loaded {
    /// Whether each visit has to be decided by somebody who can wait.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.row.password.is_some() || self.row.max_visits.is_some()
    }

    /// The link.
    #[must_use]
    pub fn id(&self) -> Id {
        self.row.id
    }
}

/// Facts about a visit beside the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Moment, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Standing of who made the link.
    pub owner: Standing,
    /// Whether the operator's list names the code or the host.
    pub is_blocked: bool,
    /// Whether the visitor only looks: a HEAD, a program that unfurls links, or a browser that fetches ahead.
    pub only_looks: bool,
    /// Whether the right password was sent.
    pub is_let_in: bool,
}

/// Answer to a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// No such code.
    Unknown,
    /// Deleted, with its owner or alone.
    Deleted,
    /// Past its end.
    Expired,
    /// Every visit that it had is used up.
    UsedUp,
    /// An operator turned it off.
    Blocked,
    /// The visitor is asked for the password.
    Ask,
    /// Page that says that there is a link, and not where it leads.
    Veiled,
    /// The visit takes one of those that are left, if there is one, and goes on.
    Claim,
    /// The redirect.
    Go,
}

/// Decides about a visit of `link`.
#[must_use]
pub fn decide(link: Option<&Loaded>, visit: Visit) -> Answer {
    let Some(link) = link else { return Answer::Unknown };
    let row = &link.row;
    if row.deleted || visit.owner == Standing::Gone {
        return Answer::Deleted;
    }
    if visit.is_blocked || visit.owner == Standing::Hidden || link.host.is_none() {
        return Answer::Blocked;
    }
    if row.expires_ms.is_some_and(|expires_ms| expires_ms <= visit.at_ms) {
        return Answer::Expired;
    }
    if link.is_guarded() && visit.only_looks {
        return Answer::Veiled;
    }
    if row.password.is_some() && !visit.is_let_in {
        return Answer::Ask;
    }
    if row.max_visits.is_some() { Answer::Claim } else { Answer::Go }
}

/// Whether the headers of a request are those of a program that unfurls links, or of a browser that fetches ahead.
#[must_use]
pub fn only_looks(headers: &HeaderMap) -> bool {
    let purpose = headers.get("sec-purpose").map(HeaderValue::as_bytes).unwrap_or_default();
    if purpose.starts_with(b"prefetch") {
        return true;
    }
    let agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let lower = agent.to_ascii_lowercase();
    UNFURLERS.iter().any(|name| memchr::memmem::find(&lower, name.as_bytes()).is_some())
}

/// Whether the visitor is a person at a browser, who reads a page; programs read problems.
#[must_use]
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_page = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/html"));
        is_page && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
