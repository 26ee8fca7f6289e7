//! Tickets: a person shows a token once, and opens a session by a word in the address within a minute, on any node.

use std::time::Duration;

use fanfare_protocol::{Code, Id, Ticket, Timestamp};
use serde::{Deserialize, Serialize};

use super::attach::Opener;
use super::service::Realtime;
use crate::base::error::{Error, Result};
use crate::base::limits::realtime::TICKET_S;
use crate::base::token;
use crate::data::rows::{from_json, to_json};

/// Difference between the clocks of two nodes that is allowed for, in milliseconds.
const CLOCKS_APART_MS: u64 = 2_000;

/// Value of a ticket.
#[derive(Debug, Serialize, Deserialize)]
struct TicketValue {
    user: Id,
    token: u64,
    since_ms: u64,
    expires_ms: Option<u64>,
    /// Start of the server that gave it, by whose running clock `since_ms` is.
    boot: u16,
    /// Moment at which it was given.
    made_ms: u64,
}

/// Moment at which a token was shown to another node `age_ms` ago, by the running clock of this one, which began to
/// hear of ended tokens at `began_ms`; none where it may have ended before that. Pure.
fn shown_here(age_ms: u64, began_ms: u64, now_ms: u64) -> Option<u64> {
    let since_ms = now_ms.saturating_sub(age_ms.min(TICKET_S * 1_000).saturating_add(CLOCKS_APART_MS));
    (since_ms >= began_ms).then_some(since_ms)
}

fn ticket_key(text: &str) -> Option<Vec<u8>> {
    token::hash_of(text).map(|hash| [b"ticket", &hash.0[..]].concat())
}

impl Realtime {
    /// A ticket for somebody who showed a token.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn ticket(&self, user: Id, opener: Opener) -> Result<Ticket> {
        let new = token::generate()?;
        let inner = self.inner();
        let made_ms = inner.core.clock.now_ms();
        let Opener { token, since_ms, expires_ms } = opener;
        let value = TicketValue { user, token, since_ms, expires_ms, boot: inner.shared.boot, made_ms };
        let key = ticket_key(&new.token).ok_or_else(|| Error::Internal("a ticket has no hash".to_owned()))?;
        let ephemeral = inner.core.store.ephemeral();
        ephemeral.put(&key, to_json(&value)?, Duration::from_secs(TICKET_S)).await?;
        Ok(Ticket { ticket: new.token, expires_at: Timestamp(made_ms + TICKET_S * 1_000) })
    }

    /// Person whom a ticket lets in; it lets nobody in after that.
    ///
    /// # Errors
    /// 401 when it is unknown, used, or too old.
    pub async fn redeem(&self, text: &str) -> Result<(Id, Opener)> {
        let refused =
            || Error::refused(Code::Unauthenticated, "the ticket is unknown, was used, or is older than a minute");
        let key = ticket_key(text).ok_or_else(refused)?;
        let inner = self.inner();
        let bytes = inner.core.store.ephemeral().take(&key).await?.ok_or_else(refused)?;
        let value: TicketValue = from_json(&bytes)?;
        let now_ms = inner.core.clock.now_ms();
        let since_ms = if value.boot == inner.shared.boot {
            value.since_ms
        } else {
            let run_ms = self.clock().run_ms();
            let ran_ms = u64::try_from(inner.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let age_ms = now_ms.saturating_sub(value.made_ms);
            shown_here(age_ms, run_ms.saturating_sub(ran_ms), run_ms).ok_or_else(refused)?
        };
        let opener = Opener { token: value.token, since_ms, expires_ms: value.expires_ms };
        let expired = opener.expires_ms.is_some_and(|at| at <= now_ms);
        if expired || inner.shared.ended.has_ended(value.user, opener) {
            return Err(refused());
        }
        inner.core.refuse_suspended(value.user)?;
        Ok((value.user, opener))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_was_shown_to_another_node_no_later_than_here_and_not_before_anything_was_heard() {
        assert_eq!(shown_here(5_000, 0, 100_000), Some(93_000));
        assert_eq!(shown_here(0, 0, 100_000), Some(98_000), "its clock may be ahead of this one's");
        assert_eq!(shown_here(u64::MAX, 0, 100_000), Some(38_000), "a ticket lives no longer");
        assert_eq!((shown_here(5_000, 93_000, 100_000), shown_here(5_000, 93_001, 100_000)), (Some(93_000), None));
    }
}
