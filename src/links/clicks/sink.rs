//! Sink of redirects: reduces a request to a click, and writes that to the spool before the redirect is answered.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, header};

use super::agent::{Agents, is_prefetch, language, referrer_host};
use super::click::Click;
use super::geo::Geo;
use super::salts::Salts;
use super::spool::Spool;
use crate::base::clock::Clock;
use crate::links::counting::{ClickFate, ClickSink, RawClick};

const SEC_GPC: HeaderName = HeaderName::from_static("sec-gpc");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");

/// Whether the visitor asks not to be told apart: Global Privacy Control, or Do Not Track.
fn wants_privacy(headers: &HeaderMap) -> bool {
    [&SEC_GPC, &header::DNT].into_iter().any(|name| headers.get(name).is_some_and(|value| value == "1"))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Reduction of a request to a click.
pub struct Reducer {
    /// User agents that were seen.
    pub agents: Agents,
    /// Places of addresses.
    pub geo: Option<Geo>,
    /// Salts of days.
    pub salts: Arc<Salts>,
    /// Whether wishes not to be told apart are heard.
    pub honours_gpc: bool,
}

impl Reducer {
    /// The click of a request: its address and user agent end here.
    #[must_use]
    pub fn reduce<'a>(&'a self, raw: &RawClick<'a>) -> Click<'a> {
        let bare = Click::bare(raw.code, raw.link, raw.at_ms);
        let headers = raw.headers;
        if self.honours_gpc && wants_privacy(headers) {
            return bare;
        }
        let user_agent = text(headers, &header::USER_AGENT);
        let agent = self.agents.of(user_agent);
        let place = self.geo.as_ref().map(|geo| geo.whereabouts(raw.client)).unwrap_or_default();
        let purpose = [&SEC_PURPOSE, &PURPOSE].into_iter().filter_map(|name| text(headers, name)).any(is_prefetch);
        let agent_bytes = headers.get(header::USER_AGENT).map_or(&b""[..], |value| value.as_bytes());
        let owned = |name: &Option<Box<str>>| name.as_ref().map(|name| Cow::Owned(name.to_string()));
        Click {
            country: place.country.map(Cow::Borrowed),
            city: place.city.map(Cow::Borrowed),
            referrer: text(headers, &header::REFERER).and_then(referrer_host).map(Cow::Owned),
            device: agent.device.map(Cow::Borrowed),
            browser: owned(&agent.browser),
            os: owned(&agent.os),
            language: text(headers, &header::ACCEPT_LANGUAGE).and_then(language).map(Cow::Owned),
            is_bot: agent.is_bot || purpose,
            // Whoever fetches ahead may come yet.
            visitor: if purpose { None } else { self.salts.visitor(raw.at_ms, raw.link, raw.client, agent_bytes) },
            ..bare
        }
    }
}

/// Whoever takes clicks in.
pub struct Sink {
    spool: Arc<Spool>,
    reducer: Reducer,
    clock: Clock,
}

impl Sink {
    /// A sink that writes to `spool`.
    #[must_use]
    pub const fn new(spool: Arc<Spool>, reducer: Reducer, clock: Clock) -> Self {
        Self { spool, reducer, clock }
    }
}

impl ClickSink for Sink {
    fn clicked(&self, raw: &RawClick<'_>) -> ClickFate {
        if self.spool.write(&self.reducer.reduce(raw), raw.at_ms) { ClickFate::Kept } else { ClickFate::Lost }
    }

    fn is_counting(&self) -> bool {
        self.spool.takes(self.clock.now_ms())
    }
}

#[cfg(test)]
#[path = "sink_tests.rs"]
mod tests;
