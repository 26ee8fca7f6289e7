//! People who come by JWT: whose account a token's subject enters, and how that account is made at first sight.
//!
//! In this order: the subject's row claims an id (whoever comes second finds that id), the account's row says whose it
//! will be, the handle is reserved for the id, the account is made. Each step finds what it did before, so the next
//! request of the person goes on wherever an earlier one was cut off, and nothing is made that would have to be
//! deleted. All of it is done in a task of its own: a client that hangs up cuts nothing off.

use fanfare_engines::{Replaced, RowKey, Unique};
use fanfare_protocol::{Code, Id};

use super::{NewAccount, Users, cut_off};
use crate::base::error::{Error, Result};
use crate::base::handle;
use crate::base::limits;
use crate::base::text;
use crate::data::store::Account;
use crate::data::tables;
use crate::users::jwt::Claims;

/// Handles tried for a person whose wish is taken.
const DERIVED_HANDLES_MAX: u32 = 16;

/// Ids that a request claims for a person before it gives up: each was burnt while it was at work.
const CLAIMS_MAX: u32 = 4;

/// A subject as it is kept: by a hash, since it may be longer than a key.
struct Subject {
    key: RowKey,
    /// The first eight bytes, never 0: whose an account is.
    id: Id,
}

impl Subject {
    fn of(claims: &Claims) -> Self {
        use sha2::Digest;
        let hash = sha2::Sha256::digest(claims.sub.as_bytes());
        let id = Id(Id::from_bytes(&hash[..8]).unwrap_or_default().0.max(1));
        Self { key: RowKey::single(tables::SUBJECTS, hash.to_vec()), id }
    }
}

/// Row that says whose an account is that no password enters.
fn account_row(user: Id) -> RowKey {
    RowKey::single(tables::SUBJECTS, [&b"account"[..], &user.to_bytes()].concat())
}

impl Users {
    /// The person a JWT names, made at first sight. A person without a password whose handle is the subject (from an
    /// import) is the one meant; a handle that somebody registered with a password is not given away.
    ///
    /// # Errors
    /// 401 when the account was deleted, 409 when no handle is free.
    pub(super) async fn of_subject(&self, claims: &Claims) -> Result<Id> {
        let claimed = self.core.store.get_id(&Subject::of(claims).key).await?;
        if let Some(user) = claimed
            && let Some(account) = self.core.store.account_or_gone(user).await?
            && !account.row.burnt
        {
            return standing(&account);
        }
        let closed = |_| Error::Internal("nobody is let in any more".to_owned());
        let place = self.newcomers.clone().acquire_owned().await.map_err(closed)?;
        let (users, claims) = (self.clone(), claims.clone());
        let made = tokio::spawn(async move {
            let _place = place;
            users.admit(&claims).await
        });
        made.await.map_err(cut_off)?
    }

    async fn admit(&self, claims: &Claims) -> Result<Id> {
        let subject = Subject::of(claims);
        let _held = self.core.locks.hold(&[("subject", subject.id.0, 0)]).await?;
        let mut user = self.claim_id(claims, &subject).await?;
        for _ in 0..CLAIMS_MAX {
            match self.core.store.account_or_gone(user).await? {
                Some(account) if account.row.burnt => user = self.claim_anew(user, &subject).await?,
                Some(account) => return standing(&account),
                None => {
                    if let Some(made) = self.make_for(user, claims, &subject).await? {
                        return Ok(made);
                    }
                }
            }
        }
        Err(Error::Overloaded { reason: "others take the handles of the subject", retry_after_s: 1 })
    }

    /// Claim of another id for a subject whose first one was burnt: this took so long that others have the handle.
    async fn claim_anew(&self, burnt: Id, subject: &Subject) -> Result<Id> {
        let user = self.core.log.mint_person_at(self.core.clock.now_ms()).await?;
        let value = tables::partition(user);
        match self.core.store.replace_unique(subject.key.clone(), value, burnt.0, user.0).await? {
            Replaced::Mine => Ok(user),
            Replaced::Taken(other) => {
                Id::from_bytes(&other).ok_or_else(|| Error::Internal("a subject's row holds no id".to_owned()))
            }
            Replaced::Free => Err(Error::Internal("a subject's row is gone".to_owned())),
        }
    }

    /// The id of the subject's account, which may be still to be made.
    async fn claim_id(&self, claims: &Claims, subject: &Subject) -> Result<Id> {
        if let Some(user) = self.core.store.get_id(&subject.key).await? {
            return Ok(user);
        }
        let user = match self.found(claims, subject).await? {
            Some(user) => user,
            None => self.core.log.mint_person_at(self.core.clock.now_ms()).await?,
        };
        let port = &self.core.store;
        match port.insert_unique(subject.key.clone(), tables::partition(user), user.0).await? {
            Unique::Mine => Ok(user),
            Unique::Taken(other) => {
                Id::from_bytes(&other).ok_or_else(|| Error::Internal("a subject's row holds no id".to_owned()))
            }
        }
    }

    /// An account that is there already and is the subject's: one without a password whose handle is the subject; or
    /// one that an earlier version made for the subject and had no time to enter.
    async fn found(&self, claims: &Claims, subject: &Subject) -> Result<Option<Id>> {
        if let Some(account) = self.core.store.by_handle(&claims.sub).await?
            && account.row.handle == claims.sub
            && self.core.store.credentials(account.row.id).await?.password.is_none()
            && self.belongs(account.row.id, subject).await?
        {
            return Ok(Some(account.row.id));
        }
        for attempt in 0..DERIVED_HANDLES_MAX {
            let handle = handle::derive(wish(claims), &claims.sub, attempt);
            let Some(account) = self.core.store.by_handle(handle.as_str()).await? else { break };
            let user = account.row.id;
            if self.core.store.get_id(&account_row(user)).await? == Some(subject.id)
                && self.core.store.credentials(user).await?.password.is_none()
            {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    /// Gives an account to a subject, unless another one has it.
    async fn belongs(&self, user: Id, subject: &Subject) -> Result<bool> {
        let port = &self.core.store;
        let held = port.insert_unique(account_row(user), tables::partition(subject.id), subject.id.0).await?;
        Ok(held == Unique::Mine)
    }

    /// Makes the account `user` for the subject that has claimed this id; `None` when the id was burnt meanwhile.
    async fn make_for(&self, user: Id, claims: &Claims, subject: &Subject) -> Result<Option<Id>> {
        // Before anybody can find the account by its handle.
        if !self.belongs(user, subject).await? {
            return Err(Error::Internal(format!("the id {user} that a subject has claimed is another one's")));
        }
        let name = claims.name.as_deref();
        let display_name = name.and_then(|name| text::name_from_elsewhere(name, limits::DISPLAY_NAME_CHARS_MAX));
        for attempt in 0..DERIVED_HANDLES_MAX {
            let handle = handle::derive(wish(claims), &claims.sub, attempt);
            let new = NewAccount { id: user, handle, display_name: display_name.clone(), password: None, at_ms: None };
            match self.make(new).await {
                Err(Error::Refused(problem)) if problem.code == Code::Conflict => {
                    match self.core.store.account_or_gone(user).await? {
                        None => {}
                        Some(account) if account.row.burnt => return Ok(None),
                        // By another request of the person.
                        Some(account) => return standing(&account).map(Some),
                    }
                }
                made => return made.map(|account| Some(account.row.id)),
            }
        }
        Err(Error::refused(Code::Conflict, "no free handle was found for the subject of the token"))
    }
}

fn standing(account: &Account) -> Result<Id> {
    let gone = || Error::refused(Code::Unauthenticated, "the account of this subject was deleted");
    if account.row.deleted { Err(gone()) } else { Ok(account.row.id) }
}

fn wish(claims: &Claims) -> &str {
    claims.handle.as_deref().unwrap_or(&claims.sub)
}
