//! The server put together: engines below, services above, and the state that routes see.

use async_trait::async_trait;
use axum::extract::FromRef;

use crate::error::Error;
use crate::follows::Follows;
use crate::http::{Authenticate, Caller, HttpState, Role};
use crate::notifications::Notifications;
use crate::posts::service::Posts;
use crate::users::service::{Identity, Users};

/// What handlers see. Clones are cheap.
#[derive(Clone)]
pub struct App {
    /// What every route stands on.
    pub http: HttpState,
    /// Accounts.
    pub users: Users,
    /// Edges between people.
    pub follows: Follows,
    /// Posts.
    pub posts: Posts,
    /// Notifications.
    pub notifications: Notifications,
}

impl FromRef<App> for HttpState {
    fn from_ref(app: &App) -> Self {
        app.http.clone()
    }
}

/// Accounts, as the HTTP layer asks for them.
pub struct Accounts(pub Users);

#[async_trait]
impl Authenticate for Accounts {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, Error> {
        let Identity { user, admin, token } = self.0.authenticate(bearer).await?;
        let role = if admin { Role::Admin } else { Role::User };
        Ok(Caller { id: user, role, token_hash: token.map(|hash| hash.0) })
    }
}

impl From<Caller> for Identity {
    fn from(caller: Caller) -> Self {
        let token = caller.token_hash.map(crate::users::token::TokenHash);
        Self { user: caller.id, admin: caller.role == Role::Admin, token }
    }
}

