//! Port of the accounts: the end of open sessions whose token has ended.

use async_trait::async_trait;
use fanfare_protocol::Id;

use crate::base::token::TokenHash;

/// Ends open sessions. When a call returns, no session that was opened before stays open, and none that is being opened
/// by such a token is let in.
#[async_trait]
pub trait SessionEnder: Send + Sync + 'static {
    /// Ends sessions of `user` that one token opened.
    async fn token_ended(&self, user: Id, token: TokenHash);

    /// Ends sessions of `user`, but for those that `except` opened.
    async fn all_ended(&self, user: Id, except: Option<TokenHash>);

    /// Ends sessions of `user`, who is suspended.
    async fn suspended(&self, user: Id);
}
