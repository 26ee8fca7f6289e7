//! Ports of rooms, held by services of others.

use async_trait::async_trait;
use fanfare_protocol::{Id, Media};

use crate::base::error::Result;
use crate::base::mint_id::MintId;
use crate::base::token::TokenHash;
use crate::log::core::Attachments;
use crate::log::handle::Log;
use crate::media::Uploads;
use crate::realtime::SessionCloser;
use crate::users::session_ender::SessionEnder;

#[async_trait]
impl SessionEnder for SessionCloser {
    async fn token_ended(&self, user: Id, token: TokenHash) {
        Self::token_ended(self, user, &token.0).await;
    }

    async fn all_ended(&self, user: Id, except: Option<TokenHash>) {
        Self::all_ended(self, user, except.as_ref().map(|token| &token.0)).await;
    }

    async fn suspended(&self, user: Id) {
        Self::suspended(self, user).await;
    }
}

#[async_trait]
impl Attachments for Uploads {
    async fn owned(&self, id: Id, owner: Id) -> Result<Option<Media>> {
        Ok(Uploads::owned(self, &[id], owner).await?.pop())
    }

    async fn forget_owner(&self, owner: Id) -> Result<()> {
        self.delete_of(owner).await
    }

    async fn forget_unused(&self, now_ms: u64) -> Result<()> {
        self.clean(now_ms).await
    }
}

/// Mints ids of uploads.
pub(super) struct Mint(pub(super) Log);

#[async_trait]
impl MintId for Mint {
    async fn mint(&self) -> Result<Id> {
        self.0.mint().await
    }
}
