//! Records of the past, as an import hands them in: they take the way of all others, and keep their own moments.

use super::Chat;
use crate::base::error::Result;
use crate::chat::family::{ChatCommitted, ChatFamily};
use crate::chat::fold::record::ChatRecord;
use crate::log::core::Owners as _;
use crate::log::owners::PendingIn;
use crate::log::writers::Writing;

/// A record that was handed in as it is.
pub struct Replayed(PendingIn<ChatFamily>, Writing);

impl Chat {
    /// Hands in a record that somebody else has checked. Records of a conversation are placed in the order in which
    /// they are handed in.
    ///
    /// # Errors
    /// When its actor has no account, or the log takes nothing.
    pub async fn replay(&self, record: ChatRecord) -> Result<Replayed> {
        let writing = self.core().writing(record.actor).await?;
        Ok(Replayed(self.0.owners.propose(record.conversation, record).await?, writing))
    }
}

impl Replayed {
    /// The record and what it gave, once it is durable; a refusal is an error.
    ///
    /// # Errors
    /// When it was refused, or the log failed.
    pub async fn durable(self) -> Result<ChatCommitted> {
        let Self(pending, _writing) = self;
        super::done(pending.durable().await?)
    }
}
