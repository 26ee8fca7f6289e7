//! Entry of people: log-in and log-out, tokens, passwords.

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Code, Id, NewPassword, NewSession, Session};

use super::{Users, cut_off, refused_token};
use crate::base::error::{Error, Result};
use crate::base::token::{self, TokenHash};
use crate::base::written;
use crate::data::audit::Act;
use crate::data::rows::{CredentialsRow, TokenRow, from_json, to_json};
use crate::data::store::Account;
use crate::data::tables;
use crate::http::{Authenticate, Caller, Role};
use crate::log::core::Owners as _;
use crate::log::events::Event;
use crate::log::handle::Proposal;
use crate::users::password::{self, PasswordCheck};

/// Times that a log-in looks at the password: again when it was replaced between the look and the token, as by a second
/// log-in that hashes it anew.
const LOG_IN_TRIES: u32 = 2;

/// Role that the credentials give a person.
pub(super) fn role_of(credentials: &CredentialsRow) -> Role {
    if credentials.admin { Role::Admin } else { Role::User }
}

/// Whether a change was done, or perhaps was, or will be.
fn may_be_done(answer: &Result<()>) -> bool {
    answer.as_ref().err().is_none_or(Error::is_of_unknown_outcome)
}

#[async_trait]
impl Authenticate for Users {
    async fn authenticate(&self, bearer: &str) -> Result<Caller> {
        Self::authenticate(self, bearer).await
    }
}

impl Users {
    /// Logs in.
    ///
    /// # Errors
    /// [`Code::InvalidCredentials`] when handle and password do not belong together; which of them is wrong is not
    /// said. 429 after too many wrong ones. [`Code::AccountSuspended`] for a suspended account, once the password was
    /// right.
    pub async fn log_in(&self, new: NewSession, from: IpAddr) -> Result<Session> {
        let handle = new.handle.strip_prefix('@').unwrap_or(&new.handle);
        let attempt = self.guard.attempt(handle, from).await?;
        // What needs a write waits for no read where it could not be written.
        let account = self.core.log.unless_away(self.core.store.by_handle(handle)).await??;
        let refused = || Error::refused(Code::InvalidCredentials, "handle and password do not belong together");
        let Some(account) = account else {
            // As slow as for an account that is there.
            self.passwords.verify(new.password, None, from.into()).await?;
            attempt.was(false);
            return Err(refused());
        };
        let (mut attempt, user) = (Some(attempt), account.row.id);
        for _ in 0..LOG_IN_TRIES {
            let stored = self.core.log.unless_away(self.core.store.credentials(user)).await??.password.clone();
            let verdict = self.passwords.verify(new.password.clone(), stored.clone(), from.into()).await?;
            if let Some(attempt) = attempt.take() {
                attempt.was(verdict != PasswordCheck::Wrong);
            }
            let PasswordCheck::Right { rehash } = verdict else { break };
            self.core.refuse_suspended(user)?;
            let rehashed = match rehash {
                true => Some(self.passwords.hash(new.password.clone(), from.into()).await?),
                false => None,
            };
            if let Some(token) = self.let_in(user, stored, rehashed).await? {
                return Ok(Session { user: self.render(&account, Some(user)).await?, token });
            }
        }
        Err(refused())
    }

    /// A token for who proved to know the password `stored`, which is replaced by `rehashed` if that is given; `None`
    /// when another one is in force meanwhile. The token is of the epoch in which that password was in force, so that
    /// it outlives no change.
    async fn let_in(&self, user: Id, stored: Option<String>, rehashed: Option<String>) -> Result<Option<String>> {
        let _held = self.core.locks.hold(&[("credentials", user.0, 0)]).await?;
        let _writing = self.core.writing(user).await?;
        let mut epoch = None;
        match rehashed {
            None => {
                let now = self.core.store.credentials(user).await?;
                epoch = (now.password == stored).then_some(now.epoch);
            }
            Some(rehashed) => {
                let change = |row: &mut CredentialsRow| {
                    // By itself it is there already, where an earlier try happened unheard.
                    epoch = (row.password == stored || row.password.as_ref() == Some(&rehashed)).then_some(row.epoch);
                    if epoch.is_some() {
                        row.password = Some(rehashed.clone());
                    }
                };
                self.core.store.change_credentials(user, change).await?;
            }
        }
        match epoch {
            Some(epoch) => self.issue_in(user, epoch).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn session(&self, account: &Account) -> Result<Session> {
        let token = self.issue(account.row.id).await?;
        Ok(Session { user: self.render(account, Some(account.row.id)).await?, token })
    }

    /// A new token of `user`; also for the demo and for tools that made the account themselves.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn issue(&self, user: Id) -> Result<String> {
        let epoch = self.core.store.credentials(user).await?.epoch;
        self.issue_in(user, epoch).await
    }

    async fn issue_in(&self, user: Id, epoch: u64) -> Result<String> {
        let new = token::generate()?;
        self.write_token(new.hash, user, epoch).await?;
        Ok(new.token)
    }

    async fn write_token(&self, hash: TokenHash, user: Id, epoch: u64) -> Result<()> {
        let _writing = self.core.writing(user).await?;
        let now_ms = self.core.clock.now_ms();
        let expires_ms = now_ms + u64::from(self.settings.token_days) * 86_400_000;
        let issued = self.core.log.mint().await?;
        let row = TokenRow { user, issued, expires_ms, epoch: Some(epoch) };
        let key = RowKey::single(tables::TOKENS, hash.0.to_vec());
        let mut batch = Batch::default();
        let index = tables::token_of_row(user, &hash.0);
        let hour = (expires_ms / 3_600_000) as u32 + 2;
        batch.put(tables::expiry_row(hour, &key), Bytes::new());
        batch.put(tables::expiry_row(hour, &index), Bytes::new());
        batch.put_versioned(index, Bytes::new(), issued.0);
        batch.put_versioned(key, to_json(&row)?, issued.0);
        self.core.store.write(batch).await?;
        self.tokens.put(hash, row);
        Ok(())
    }

    /// A token ended on another node: that one, or it is not known which. It is read from its row again.
    pub fn token_ended_elsewhere(&self, hash: Option<TokenHash>) {
        match hash {
            Some(hash) => self.tokens.forget(&hash),
            None => self.tokens.forget_all(),
        }
    }

    /// Person who shows this bearer token.
    ///
    /// # Errors
    /// 401 when it is unknown, expired, ended by a log-out, or its account is gone; 403 when it is good and its account
    /// is suspended; 503 when its key may be a new one and too many wait for it.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller> {
        if let Some(hash) = token::hash_of(bearer) {
            let row = self.token(hash).await?.ok_or_else(refused_token)?;
            let credentials = self.core.store.credentials(row.user).await?;
            let ended = row.expires_ms <= self.core.clock.now_ms() || credentials.ended(&row, &hash);
            if ended || self.core.store.account(row.user).await?.is_none() {
                return Err(refused_token());
            }
            self.core.refuse_suspended(row.user)?;
            let expires_ms = Some(row.expires_ms);
            return Ok(Caller { id: row.user, role: role_of(&credentials), token_hash: Some(hash), expires_ms });
        }
        if self.jwt.enabled() { self.by_jwt(bearer).await } else { Err(refused_token()) }
    }

    async fn token(&self, hash: TokenHash) -> Result<Option<TokenRow>> {
        if let Some(row) = self.tokens.get(&hash) {
            return Ok(Some(row));
        }
        let epoch = self.tokens.epoch(&hash);
        let Some(bytes) = self.core.store.get(&RowKey::single(tables::TOKENS, hash.0.to_vec())).await? else {
            return Ok(None);
        };
        let row: TokenRow = from_json(&bytes)?;
        self.tokens.keep(epoch, &hash, row.clone());
        Ok(Some(row))
    }

    /// Ends one session.
    ///
    /// # Errors
    /// 409 for a JWT, which ends by itself or with all sessions.
    pub async fn log_out(&self, caller: &Caller) -> Result<()> {
        let Some(hash) = caller.token_hash else {
            return Err(Error::refused(
                Code::Conflict,
                "a JWT ends when it expires; DELETE /v1/sessions ends all of them",
            ));
        };
        let mut batch = Batch::default();
        batch.delete_versioned(RowKey::single(tables::TOKENS, hash.0.to_vec()), tables::NEVER_AGAIN);
        batch.delete_versioned(tables::token_of_row(caller.id, &hash.0), tables::NEVER_AGAIN);
        let ended = self.core.store.write(batch).await.map_err(Error::from);
        match &ended {
            // The row may go at any time: nobody stays logged in by what is remembered of it.
            Err(error) if error.is_of_unknown_outcome() => self.tokens.doubt(&hash),
            Err(_) => {}
            Ok(()) => self.tokens.sure(&hash),
        }
        if may_be_done(&ended) {
            self.sessions.token_ended(caller.id, hash).await;
        }
        ended
    }

    /// Ends every session of the person, JWTs that are out included.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn log_out_everywhere(&self, user: Id) -> Result<()> {
        let from = self.core.log.mint().await?;
        let ended = self.change_credentials(user, |row| self.end_tokens(row, from)).await;
        self.tell_ended(user, None, ended).await
    }

    /// Changes the password and ends every session but the caller's.
    ///
    /// # Errors
    /// 403 for a wrong current password, 429 after too many, 422 for a new one that is too short or too long, 409 for
    /// an account without one: people of the operator's own backend, and imported ones.
    pub async fn change_password(&self, caller: &Caller, new: NewPassword, from: IpAddr) -> Result<()> {
        if let Err(message) = password::check_new(&new.new_password) {
            return Err(Error::field("new_password", message));
        }
        let account = self.core.account(caller.id).await?;
        let stored = self.core.store.credentials(caller.id).await?.password.clone();
        if stored.is_none() {
            let detail = "this account is entered without a password; only the operator can give it one";
            return Err(Error::refused(Code::Conflict, detail));
        }
        let attempt = self.guard.attempt(&account.row.handle, from).await?;
        let verdict = self.passwords.verify(new.current_password, stored.clone(), from.into()).await?;
        attempt.was(verdict != PasswordCheck::Wrong);
        let wrong = || Error::refused(Code::Forbidden, "current_password is not the password of this account");
        if verdict == PasswordCheck::Wrong {
            return Err(wrong());
        }
        let password = Some(self.passwords.hash(new.new_password, from.into()).await?);
        let (mut still_right, from) = (false, self.core.log.mint().await?);
        let change = |row: &mut CredentialsRow| {
            // The new one is there already where an earlier try happened unheard.
            still_right = row.password == stored || row.password == password;
            if still_right {
                row.password.clone_from(&password);
                self.end_tokens(row, from);
                row.spared = caller.token_hash.map(|hash| hash.text());
            }
        };
        let changed = self.change_credentials(caller.id, change).await;
        if changed.is_ok() && !still_right {
            return Err(wrong());
        }
        self.tell_ended(caller.id, caller.token_hash, changed).await
    }

    /// Gives the person a password and ends every session, JWTs that are out included: an operator's act.
    ///
    /// # Errors
    /// 422 for a password that is too short or too long.
    pub async fn give_password(&self, user: Id, password: String, act: Act, from: IpAddr) -> Result<()> {
        if let Err(message) = password::check_new(&password) {
            return Err(Error::field("password", message));
        }
        let password = Some(self.passwords.hash(password, from.into()).await?);
        let (users, from) = (self.clone(), self.core.log.mint().await?);
        let change = move |row: &mut CredentialsRow| {
            row.password.clone_from(&password);
            // In the same change: the token of a log-in by the old password is of an epoch that has ended.
            users.end_tokens(row, from);
        };
        let changed = self.change_credentials_as(user, act, change).await;
        self.tell_ended(user, None, changed).await
    }

    /// Makes the person an operator, or a plain user again: an operator's act.
    ///
    /// # Errors
    /// When storage failed.
    pub async fn set_admin(&self, user: Id, admin: bool, act: Act) -> Result<()> {
        self.change_credentials_as(user, act, move |row| row.admin = admin).await
    }

    /// Leaves the line of the operator's act, and then changes credentials: there is no act without its line. In a task
    /// of its own, so that nobody cuts off the one from the other. What lets people in stands in no record.
    async fn change_credentials_as<F>(&self, user: Id, act: Act, change: F) -> Result<()>
    where
        F: FnMut(&mut CredentialsRow) + Send + 'static,
    {
        let core = self.core.clone();
        let whole = async move {
            let guard = core.log.decide(user, &[("credentials", user.0, 0)]).await?;
            let _writing = core.writing(user).await?;
            core.log.commit(&guard, Proposal { audit: Some(act), ..Event::Operated.into() }).await?;
            core.store.change_credentials(user, change).await
        };
        written::spawn(whole).await.map_err(cut_off)?
    }

    /// Ends the sessions of whoever's tokens were `ended`, or perhaps were: those whose token goes on come back.
    async fn tell_ended(&self, user: Id, spared: Option<TokenHash>, ended: Result<()>) -> Result<()> {
        if may_be_done(&ended) {
            self.sessions.all_ended(user, spared).await;
        }
        ended
    }

    /// Ends all tokens that are out; `from` is an id of now.
    fn end_tokens(&self, row: &mut CredentialsRow, from: Id) {
        row.epoch += 1;
        row.spared = None;
        row.tokens_from = from.max(Id(row.tokens_from.0 + 1));
        row.ended_at_ms = self.core.clock.now_ms();
        let seen_ms = self.leads.highest_ms(row.ended_at_ms);
        let lead_ms = seen_ms.unwrap_or(u64::MAX).min(self.jwt.ahead_ms());
        row.jwts_upto_ms = row.jwts_upto_ms.max(row.ended_at_ms + lead_ms);
    }

    pub(super) async fn change_credentials(&self, user: Id, change: impl FnMut(&mut CredentialsRow)) -> Result<()> {
        let _held = self.core.locks.hold(&[("credentials", user.0, 0)]).await?;
        let _writing = self.core.writing(user).await?;
        self.core.store.change_credentials(user, change).await
    }
}
