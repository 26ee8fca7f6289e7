//! Callers with JWTs: whom they stand for, and whether a log-out has ended them.

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Code, Id};

use super::sessions::role_of;
use super::{Users, cut_off};
use crate::base::error::{Error, Result};
use crate::base::limits::auth::LEEWAY_S;
use crate::base::token::{TokenHash, digest};
use crate::data::rows::CredentialsRow;
use crate::data::tables;
use crate::http::Caller;
use crate::users::jwt::JwtError;
use crate::users::jwt_ends::{Judgement, LogOut};

const HOUR_S: u64 = 3_600;

/// Moment at which a token was issued.
#[derive(Debug, Clone, Copy)]
enum Issued {
    /// Said by the token itself, in seconds since the Unix epoch.
    Said(u64),
    /// Not said; it was first shown then.
    Shown(Id),
}

impl Users {
    /// Person who shows this JWT.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    pub(super) async fn by_jwt(&self, bearer: &str) -> Result<Caller> {
        let now_ms = self.core.clock.now_ms();
        let claims = self.jwt.verify(bearer, now_ms as f64 / 1_000.0).await.map_err(|error| match error {
            JwtError::Busy => Error::Overloaded { reason: "many wait for the keys of new tokens", retry_after_s: 1 },
            error => Error::refused(Code::Unauthenticated, error.to_string()),
        })?;
        // Before it is asked what a log-out ended: a token that was not seen before counts as issued now.
        let issued = match claims.iat {
            Some(iat) => Issued::Said(iat.saturating_mul(1_000)),
            None => Issued::Shown(self.first_shown(digest(bearer), claims.exp).await?),
        };
        if let Issued::Said(issued_ms) = issued {
            self.leads.note(issued_ms, now_ms);
        }
        let user = self.of_subject(&claims).await?;
        let credentials = self.core.store.credentials(user).await?;
        self.refuse_ended(user, &credentials, issued, now_ms).await?;
        self.core.refuse_suspended(user)?;
        // Whatever opens with this token ends when it is no longer taken, not before.
        let expires_ms = Some(claims.exp.saturating_add(LEEWAY_S as u64).saturating_mul(1_000));
        Ok(Caller { id: user, role: role_of(&credentials), token_hash: None, expires_ms })
    }

    /// Refuses a token from before the last log-out everywhere, or perhaps from before.
    async fn refuse_ended(&self, user: Id, credentials: &CredentialsRow, issued: Issued, now_ms: u64) -> Result<()> {
        let Some(log_out) = LogOut::of(credentials) else { return Ok(()) };
        let issued_ms = match issued {
            Issued::Said(issued_ms) => issued_ms,
            Issued::Shown(first) if first < credentials.tokens_from => return Err(super::refused_token()),
            Issued::Shown(_) => return Ok(()),
        };
        match log_out.judge(issued_ms, now_ms, self.jwt.ahead_ms()) {
            Judgement::Good => return Ok(()),
            Judgement::Ended => {}
            Judgement::Doubtful => {
                // Or the same token would be good as soon as its moment has come.
                let users = self.clone();
                let raised = tokio::spawn(async move {
                    users.change_credentials(user, |row| row.jwts_upto_ms = row.jwts_upto_ms.max(issued_ms)).await
                });
                raised.await.map_err(cut_off)??;
            }
        }
        let known = LogOut { upto_ms: log_out.upto_ms.max(issued_ms), ..log_out };
        Err(match known.wait_s(now_ms) {
            0 => super::refused_token(),
            wait_s => {
                let why = format!("issued too soon after a log-out everywhere: get a new token in {wait_s} s");
                Error::refused(Code::Unauthenticated, why)
            }
        })
    }

    /// Moment at which a token that does not say when it was issued was first shown, as an id. It is
    /// remembered for as long as the token is taken.
    async fn first_shown(&self, token: TokenHash, exp_s: u64) -> Result<Id> {
        if let Some(shown) = self.first_shown.get(&token) {
            return Ok(shown);
        }
        let epoch = self.first_shown.epoch(&token);
        let key = RowKey::single(tables::FIRST_SHOWN, token.0.to_vec());
        let shown = match self.core.store.get_id(&key).await? {
            Some(shown) => shown,
            None => {
                let users = self.clone();
                let noted = tokio::spawn(async move { users.note_first_shown(key, token, exp_s).await });
                noted.await.map_err(cut_off)??
            }
        };
        self.first_shown.keep(epoch, &token, shown);
        Ok(shown)
    }

    async fn note_first_shown(&self, key: RowKey, token: TokenHash, exp_s: u64) -> Result<Id> {
        let stripe = Id::from_bytes(&token.0).unwrap_or_default();
        let _held = self.core.locks.hold(&[("first shown", stripe.0, 0)]).await?;
        if let Some(shown) = self.core.store.get_id(&key).await? {
            return Ok(shown);
        }
        let shown = self.core.log.mint().await?;
        let hour = u32::try_from((exp_s.saturating_add(LEEWAY_S as u64)) / HOUR_S).unwrap_or(u32::MAX - 2);
        let mut batch = Batch::default();
        batch.put(tables::expiry_row(hour.saturating_add(2), &key), Bytes::new());
        batch.put_versioned(key.clone(), tables::partition(shown), shown.0);
        self.core.store.write(batch).await?;
        // Not there: it was swept, and has been shown again by a clock that went back.
        let gone = || Error::refused(Code::Unauthenticated, "the token has expired");
        self.core.store.get_id(&key).await?.ok_or_else(gone)
    }
}
