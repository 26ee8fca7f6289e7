//! Ended tokens: sessions that they opened are closed at once, and those that are just being opened are not.

use std::collections::VecDeque;

use fanfare_protocol::Id;
use fanfare_websocket::CLOSE_AWAY;
use parking_lot::Mutex;

use super::attach::Opener;
use super::codes;
use super::signals::{Command, SessionFilter, ShardHandle};

/// Ends of tokens that are remembered; by then whoever showed the token before has been let in or not.
const ENDS_MAX: usize = 65_536;
/// Milliseconds for which they are.
const ENDS_MS: u64 = 180_000;

/// Close code of sessions whose token has ended.
const ENDED: u16 = codes::UNAUTHENTICATED;

/// An end: of one token of a person, or of all but one.
#[derive(Debug, Clone, Copy)]
struct TokenEnd {
    /// By the running clock, which nobody sets back.
    at_ms: u64,
    which: SessionFilter,
}

/// The ends of the last minutes.
#[derive(Debug, Default)]
pub struct EndedTokens {
    recent: Mutex<VecDeque<TokenEnd>>,
}

/// The first eight bytes of a token's hash; never 0, which stands for a JWT.
#[must_use]
pub fn short(token_hash: &[u8; 32]) -> u64 {
    token_hash.first_chunk::<8>().map_or(1, |head| u64::from_be_bytes(*head)).max(1)
}

impl EndedTokens {
    fn add(&self, mut end: TokenEnd) {
        let mut recent = self.recent.lock();
        // In order of moments, whoever comes first: the search stops at the first that is too old.
        end.at_ms = end.at_ms.max(recent.back().map_or(0, |last| last.at_ms));
        while recent.len() >= ENDS_MAX || recent.front().is_some_and(|first| first.at_ms + ENDS_MS < end.at_ms) {
            recent.pop_front();
        }
        recent.push_back(end);
    }

    /// Whether the token that `opener` showed has ended since.
    #[must_use]
    pub fn has_ended(&self, user: Id, opener: Opener) -> bool {
        let recent = self.recent.lock();
        recent.iter().rev().take_while(|end| end.at_ms >= opener.since_ms).any(|end| match end.which {
            SessionFilter::Token { user: of, token } => of == user && token == opener.token,
            SessionFilter::Person { user: of, except } => of == user && except != Some(opener.token),
            SessionFilter::One(_) | SessionFilter::All => false,
        })
    }
}

/// Tells the shards.
#[derive(Clone)]
pub struct SessionCloser {
    shards: Vec<ShardHandle>,
    shared: std::sync::Arc<super::signals::SharedState>,
}

impl SessionCloser {
    /// Closer of sessions on these shards.
    #[must_use]
    pub fn new(shards: Vec<ShardHandle>, shared: std::sync::Arc<super::signals::SharedState>) -> Self {
        Self { shards, shared }
    }

    /// Ends the sessions of one token of `user`.
    pub async fn token_ended(&self, user: Id, token_hash: &[u8; 32]) {
        self.ended(SessionFilter::Token { user, token: short(token_hash) }, ENDED, "the token has ended").await;
    }

    /// All tokens of `user` have ended, but for one.
    pub async fn all_ended(&self, user: Id, except: Option<&[u8; 32]>) {
        self.ended(SessionFilter::Person { user, except: except.map(short) }, ENDED, "all tokens have ended").await;
    }

    /// `user` is suspended.
    pub async fn suspended(&self, user: Id) {
        self.ended(SessionFilter::Person { user, except: None }, codes::FORBIDDEN, codes::SUSPENDED).await;
    }

    /// Asks all sessions to come back, and show their token again: it may have ended.
    pub async fn come_back(&self) {
        let (which, code, reason) = (SessionFilter::All, CLOSE_AWAY, "show your token again; come back");
        for shard in &self.shards {
            shard.send(Command::Close { which, code, reason }).await;
        }
    }

    async fn ended(&self, which: SessionFilter, code: u16, reason: &'static str) {
        // Remembered first: a session that is opened after this is refused, one from before is closed.
        self.shared.ended.add(TokenEnd { at_ms: self.shared.clock.run_ms(), which });
        for shard in &self.shards {
            shard.send(Command::Close { which, code, reason }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_shown_before_it_ended_opens_nothing_after() {
        let ends = EndedTokens::default();
        let opener = |token, since_ms| Opener { token, since_ms, expires_ms: None };
        ends.add(TokenEnd { at_ms: 100, which: SessionFilter::Token { user: Id(1), token: 7 } });
        ends.add(TokenEnd { at_ms: 200, which: SessionFilter::Person { user: Id(2), except: Some(5) } });
        assert!(ends.has_ended(Id(1), opener(7, 90)) && !ends.has_ended(Id(1), opener(7, 101)));
        assert!(!ends.has_ended(Id(1), opener(8, 90)) && !ends.has_ended(Id(3), opener(7, 90)));
        assert!(ends.has_ended(Id(2), opener(0, 200)) && !ends.has_ended(Id(2), opener(5, 90)));
    }
}
