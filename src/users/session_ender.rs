//! What accounts ask of whoever keeps sessions open: to end those whose token has ended. A port of the accounts.

use async_trait::async_trait;
use fanfare_protocol::Id;

use crate::base::token::TokenHash;

/// Ends open sessions. When a call returns, no session that was opened before stays open, and none that is being opened
/// by such a token is let in.
#[async_trait]
pub trait SessionEnder: Send + Sync + 'static {
    /// One token of `user` has ended.
    async fn token_ended(&self, user: Id, token: TokenHash);

    /// All tokens of `user` have ended, but for one.
    async fn all_ended(&self, user: Id, except: Option<TokenHash>);

    /// `user` is suspended.
    async fn suspended(&self, user: Id);
}
