//! Visits: what a code answers, to whom, and what is counted.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;

use super::Links;
use crate::base::error::{Error, Result};
use crate::links::alias::is_code;
use crate::links::counting::RawClick;
use crate::links::redirect::{self, Answer, Loaded, Visit};
use crate::users::password::PasswordCheck;

/// Visitor as a request tells.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Code that was asked for.
    pub code: &'a str,
    /// Headers of the request.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub client: IpAddr,
    /// Whether only the head of the answer was asked for.
    pub is_head: bool,
}

/// Outcome of a visit.
#[derive(Debug)]
pub enum Visited {
    /// The visitor goes on.
    On(Arc<Loaded>),
    /// The visitor stays, for this reason.
    Here(Answer),
}

/// Outcome of a visit that cannot wait.
#[derive(Debug)]
pub enum AtOnce {
    /// The visitor goes on.
    On(Arc<Loaded>),
    /// The link is not in memory.
    Unknown,
    /// Somebody who can wait has to decide.
    Later,
}

impl Links {
    /// Decision about a visit of `link`.
    fn decided(&self, link: Option<&Loaded>, asked: &Asked<'_>, at_ms: u64, is_let_in: bool) -> Answer {
        let Some(found) = link else { return Answer::Unknown };
        let blocks = |host: &String| self.blocklist().blocks(asked.code, host);
        let visit = Visit {
            at_ms,
            owner: self.0.core.store.absent.standing(found.row.owner),
            is_blocked: found.host.as_ref().is_some_and(blocks),
            only_looks: found.is_guarded() && (asked.is_head || redirect::only_looks(asked.headers)),
            is_let_in,
        };
        redirect::decide(link, visit)
    }

    /// Visit that is decided by what is in memory, if it is a redirect; counted. Everything else has no effect, and is
    /// left to [`follow`](Self::follow).
    #[must_use]
    pub fn follow_now(&self, asked: &Asked<'_>) -> AtOnce {
        // Until it is counted; and before the link is looked at, which may be another once a gate has opened again.
        let Some(_passing) = self.0.gates.pass(asked.code) else { return AtOnce::Later };
        let Some(link) = self.hot().peek(asked.code) else { return AtOnce::Unknown };
        let at_ms = self.clock().now_ms();
        if self.decided(Some(&link), asked, at_ms, false) != Answer::Go {
            return AtOnce::Later;
        }
        self.count(&link, asked, at_ms);
        AtOnce::On(link)
    }

    /// Visit by anybody; counted if it is a redirect. With a `password` it is that of somebody who was asked for it.
    ///
    /// # Errors
    /// 429 for whoever asks for too many codes that are unknown, or tries too many passwords; 503 when visits of a link
    /// with a limit cannot be counted.
    pub async fn follow(&self, asked: &Asked<'_>, password: Option<String>) -> Result<Visited> {
        // Hash of the password that was sent, once it was the right one.
        let mut opens: Option<String> = None;
        loop {
            let shut_before = self.0.gates.times_shut(asked.code);
            let link = if is_code(asked.code) { self.hot().load(asked.code).await? } else { None };
            let at_ms = self.clock().now_ms();
            let Some(link) = link else {
                self.0.misses.count(asked.client.into())?;
                return Ok(Visited::Here(Answer::Unknown));
            };
            let is_let_in = opens.is_some() && opens == link.row.password;
            let mut answer = self.decided(Some(&link), asked, at_ms, is_let_in);
            if let (Answer::Ask, Some(password)) = (answer, &password) {
                if !self.is_right(&link, asked, password.clone()).await? {
                    return Ok(Visited::Here(answer));
                }
                opens.clone_from(&link.row.password);
                answer = self.decided(Some(&link), asked, at_ms, true);
            }
            if let (Answer::Claim, Some(max)) = (answer, link.row.max_visits) {
                if !self.0.parts.sink.is_counting() {
                    return Err(Error::Overloaded { reason: "visits cannot be counted now", retry_after_s: 1 });
                }
                let is_taken = self.0.slots.take(asked.code, max).await?;
                if is_taken {
                    self.count(&link, asked, at_ms);
                }
                return Ok(if is_taken { Visited::On(link) } else { Visited::Here(Answer::UsedUp) });
            }
            if answer != Answer::Go {
                return Ok(Visited::Here(answer));
            }
            if self.counted_open(&link, asked, at_ms, shut_before) {
                return Ok(Visited::On(link));
            }
            // Its limit is being set, or was meanwhile: what it says then is decided on anew.
            self.0.gates.opened(asked.code).await;
        }
    }

    /// Counts a visit of a link without a limit, unless its gate is shut or was since it had been shut `shut_before`
    /// times.
    fn counted_open(&self, link: &Loaded, asked: &Asked<'_>, at_ms: u64, shut_before: u64) -> bool {
        let passing = self.0.gates.pass(asked.code).filter(|passing| passing.times_shut() == shut_before);
        if passing.is_some() {
            self.count(link, asked, at_ms);
        }
        passing.is_some()
    }

    /// Whether it is the password of the link. Each try counts for the link and the visitor's network.
    async fn is_right(&self, link: &Loaded, asked: &Asked<'_>, password: String) -> Result<bool> {
        // Codes that differ in their case are different links.
        let attempt = self.0.guard.attempt(&link.id().to_string(), asked.client).await?;
        let stored = link.row.password.clone();
        let checked = self.0.parts.passwords.verify(password, stored, asked.client.into()).await?;
        let is_right = checked != PasswordCheck::Wrong;
        attempt.was(is_right);
        Ok(is_right)
    }

    /// Tells of a click whose answer is about to be written; a look at the head alone is none.
    fn count(&self, link: &Loaded, asked: &Asked<'_>, at_ms: u64) {
        if !asked.is_head {
            let &Asked { code, headers, client, .. } = asked;
            // What is lost is counted by whoever lost it.
            let _ = self.0.parts.sink.clicked(&RawClick { code, link: link.id(), at_ms, client, headers });
        }
    }
}
