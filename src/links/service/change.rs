//! Making, changing and deleting links. Each is decided one at a time a code, and is one record.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_engines::Unique;
use fanfare_protocol::{Code, FieldError, Id, Link, NewLink, PatchLink, Problem, RedirectKind, Timestamp};
use parking_lot::Mutex;

use super::{Links, lock};
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::IDEMPOTENCY_MS;
use crate::base::limits::links::{EXPIRES_MS_MAX, LINK_PASSWORD_CHARS_MAX, MAX_VISITS_MAX};
use crate::base::network::Network;
use crate::base::target;
use crate::base::written;
use crate::data::audit::Act;
use crate::data::rows::{LinkAsMade, LinkRow, claim_in, claim_value, link_count_in};
use crate::data::tables;
use crate::links::alias;
use crate::log::events::{Event, IdempotencyKey};
use crate::log::handle::{Guard, Proposal};
use crate::log::idempotency::KeyUse;

/// Times that an alias is tried to be taken while others give it up.
const CLAIM_TRIES_MAX: u32 = 4;

/// Answer to making a link.
#[derive(Debug)]
pub enum MadeLink {
    /// Made now.
    New(Link),
    /// Result of an earlier request with the same key.
    Replayed(Link),
}

/// Links that are being made, by owner: they count before their records do. Bounded by the requests under way.
#[derive(Default)]
pub(super) struct Places(Mutex<HashMap<Id, u64>>);

/// Place of a link that is being made.
struct Place<'a>(&'a Places, Id);

impl Places {
    fn enter(&self, owner: Id) -> Place<'_> {
        *self.0.lock().entry(owner).or_default() += 1;
        Place(self, owner)
    }

    fn of(&self, owner: Id) -> u64 {
        self.0.lock().get(&owner).copied().unwrap_or(0)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut owners = self.0.0.lock();
        if let Some(count) = owners.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                owners.remove(&self.1);
            }
        }
    }
}

/// A link to be made, checked.
struct Draft {
    row: LinkRow,
    alias: Option<String>,
    idempotency: Option<IdempotencyKey>,
    at_ms: Option<u64>,
}

fn wrong(errors: &mut Vec<FieldError>, field: &str, message: impl Into<String>) {
    errors.push(FieldError { field: field.to_owned(), message: message.into() });
}

fn taken(alias: &str) -> Error {
    let errors = vec![FieldError { field: "alias".to_owned(), message: "is taken".to_owned() }];
    Error::Refused(Box::new(Problem { errors, ..Problem::new(Code::Conflict, format!("alias: {alias} is taken")) }))
}

impl Links {
    /// Makes a link of `owner`, who is at `from`, once per idempotency key.
    ///
    /// # Errors
    /// 409 for a taken alias and while the same key is at work, 422 for what is malformed, forbidden or too much, 410
    /// when what the first request with the key made is gone.
    pub async fn create(
        &self,
        owner: Id,
        new: NewLink,
        key: Option<IdempotencyKey>,
        from: Network,
    ) -> Result<MadeLink> {
        let Some(key) = key else { return Ok(MadeLink::New(self.create_once(owner, new, None, from).await?)) };
        let claimed = match self.0.idempotency.claim(&key, self.clock().now_ms()).await? {
            KeyUse::Fresh(claimed) => claimed,
            KeyUse::Repeat { made, .. } => return self.first_result(owner, made).await,
        };
        let made = self.create_once(owner, new, Some(key), from).await;
        drop(claimed);
        made.map(MadeLink::New)
    }

    /// Answer to the first request with a key, which made the link `made`, as it was when it was new.
    async fn first_result(&self, owner: Id, made: Id) -> Result<MadeLink> {
        let code =
            self.0.core.store.get(&tables::link_of_row(owner, made)).await?.ok_or_else(|| Error::gone("link"))?;
        let code = String::from_utf8_lossy(&code).into_owned();
        let link = self.own(owner, &code).await?;
        let LinkAsMade { url, permanent, expires_ms, max_visits, has_password } = match &link.row.made {
            Some(made) => LinkAsMade::clone(made),
            None => LinkAsMade::from(&link.row),
        };
        let password = has_password.then(String::new);
        let row = LinkRow { url, permanent, expires_ms, max_visits, password, ..LinkRow::clone(&link.row) };
        Ok(MadeLink::Replayed(self.rendered(&code, &row, 0)))
    }

    async fn create_once(
        &self,
        owner: Id,
        new: NewLink,
        idempotency: Option<IdempotencyKey>,
        from: Network,
    ) -> Result<Link> {
        let mut row = self.drafted(owner, &new)?;
        if let Some(password) = new.password {
            row.password = Some(self.0.parts.passwords.hash(password, from).await?);
        }
        self.make(Draft { row, alias: new.alias, idempotency, at_ms: None }).await
    }

    /// Makes a link at a given moment, in milliseconds: an import's, whose clicks have times of their own.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_at(&self, owner: Id, new: NewLink, at_ms: u64) -> Result<Link> {
        let row = self.drafted(owner, &new)?;
        self.make(Draft { row, alias: new.alias, idempotency: None, at_ms: Some(at_ms) }).await
    }

    /// Checks what somebody wants to link to.
    fn drafted(&self, owner: Id, new: &NewLink) -> Result<LinkRow> {
        let mut errors = Vec::new();
        let now_ms = self.clock().now_ms();
        if let Some(alias) = &new.alias {
            errors.extend(alias::check(alias).err());
        }
        let own_expiry = matches!(new.expires_at, Some(Some(_)));
        let row = LinkRow {
            owner,
            url: self.target(&new.url, new.alias.as_deref(), &mut errors).unwrap_or_default(),
            permanent: new.redirect == Some(RedirectKind::Permanent),
            expires_ms: match new.expires_at {
                Some(asked) => expiry(asked, now_ms, &mut errors),
                None => Some(now_ms.saturating_add(self.0.settings.expiry_ms).min(EXPIRES_MS_MAX)),
            },
            own_expiry,
            max_visits: new.max_visits.and_then(|max| limit(max, &mut errors)),
            ..LinkRow::default()
        };
        if let Some(password) = &new.password {
            check_password(password, &mut errors);
        }
        check_permanent(&row, new.password.is_some(), &mut errors);
        if errors.is_empty() { Ok(row) } else { Err(Error::fields(errors)) }
    }

    /// The target as it is stored.
    fn target(&self, url: &str, code: Option<&str>, errors: &mut Vec<FieldError>) -> Option<String> {
        match target::check(url, self.hot().rules()) {
            Ok(target) if self.blocklist().blocks("", &target.host) => {
                wrong(errors, "url", "leads to a host that this server blocks");
                None
            }
            Ok(_) if code.is_some_and(|code| self.blocklist().blocks(code, "")) => {
                wrong(errors, "alias", "is blocked on this server");
                None
            }
            Ok(target) => Some(target.url),
            Err(forbidden) => {
                wrong(errors, "url", forbidden.to_string());
                None
            }
        }
    }

    /// Makes a link, in a task of its own: from the claim of the code to the record nobody can cut it off.
    async fn make(&self, draft: Draft) -> Result<Link> {
        let links = self.clone();
        let made = written::spawn(async move { links.make_whole(draft).await }).await;
        made.map_err(|cause| Error::Internal(format!("a link was cut off: {cause}")))?
    }

    async fn make_whole(&self, draft: Draft) -> Result<Link> {
        let (core, owner) = (&self.0.core, draft.row.owner);
        let _place = self.0.places.enter(owner);
        let counted = core.store.get_as(&tables::link_count_row(owner), link_count_in).await?.unwrap_or(0);
        let per_user_max = self.0.settings.per_user_max;
        if counted.saturating_add(self.0.places.of(owner)) > per_user_max {
            let message = format!("you have {counted} links, and {per_user_max} is the limit; delete some first");
            return Err(Error::field("url", message));
        }
        let (guard, code, claim) = match &draft.alias {
            Some(alias) => {
                let (guard, claim) = self.claim_alias(owner, alias).await?;
                (guard, alias.clone(), Some(claim))
            }
            // Nobody has it and nobody will: there is nothing to claim.
            None => (core.log.decide(owner, &[]).await?, self.next_code().await?, None),
        };
        let number = draft.alias.as_ref().and_then(|alias| self.keeper().number(alias));
        let event = Event::LinkCreated { code: code.clone(), claim, link: draft.row.clone(), number };
        let proposal = Proposal { idempotency: draft.idempotency, at_ms: draft.at_ms, ..event.into() };
        match core.log.commit(&guard, proposal).await {
            Ok(record) => Ok(self.rendered(&code, &LinkRow { id: record.id, ..draft.row }, 0)),
            Err(Error::Refused(problem)) => {
                // Nothing was made, and nothing will be: an alias is free again.
                if let Some(claim) = claim {
                    core.store.release_unique(&tables::link_claim_row(&code), claim.0).await?;
                }
                let is_burnt = problem.code == Code::Conflict;
                Err(if is_burnt { taken(&code) } else { Error::Refused(problem) })
            }
            Err(error) => Err(error),
        }
    }

    /// The next code of the server's own that is not blocked.
    async fn next_code(&self) -> Result<String> {
        loop {
            let code = self.keeper().next().await?;
            if !self.blocklist().blocks(&code, "") {
                return Ok(code);
            }
        }
    }

    /// Takes an alias. One that is held for no link, left by whoever was cut off before it was made, is taken over once
    /// a record says that it never will be.
    async fn claim_alias(&self, owner: Id, alias: &str) -> Result<(Guard, Id)> {
        let core = &self.0.core;
        // What it would be the code of has to be known.
        self.keeper().ready().await?;
        let guard = core.log.decide(owner, &[lock(alias)]).await?;
        let row = tables::link_claim_row(alias);
        for _ in 0..CLAIM_TRIES_MAX {
            let claim = core.log.mint().await?;
            match core.store.insert_unique(row.clone(), claim_value(claim, owner), claim.0).await? {
                Unique::Mine if self.is_ceded(alias).await? => return Ok((guard, claim)),
                Unique::Mine => {
                    core.store.release_unique(&row, claim.0).await?;
                    break;
                }
                Unique::Taken(holder) => {
                    let Some((held, by)) = claim_in(&holder) else { break };
                    if self.is_link(alias).await? || !self.burn(held, by).await? || self.is_link(alias).await? {
                        break;
                    }
                    core.store.release_unique(&row, held.0).await?;
                }
            }
        }
        Err(taken(alias))
    }

    /// Whether an alias that is claimed is no code that somebody gives out.
    async fn is_ceded(&self, alias: &str) -> Result<bool> {
        match self.keeper().number(alias) {
            Some(number) => self.keeper().cede(number).await,
            None => Ok(true),
        }
    }

    async fn is_link(&self, code: &str) -> Result<bool> {
        Ok(self.0.core.store.get(&tables::link_row(code)).await?.is_some())
    }

    /// Has the log say that no link will ever be made of the attempt `claim` of `owner`; false when that is not known.
    /// No clock tells whether whoever was about to make it is still at work.
    async fn burn(&self, claim: Id, owner: Id) -> Result<bool> {
        let guard = self.0.core.log.decide(owner, &[]).await?;
        match self.0.core.log.commit(&guard, Event::IdBurnt { user: claim }).await {
            Err(Error::Refused(problem)) if problem.code == Code::Conflict => Ok(false),
            Err(error) => Err(error),
            Ok(_) => Ok(true),
        }
    }

    /// Changes a link of `owner`, who is at `from`. Code and numbers stay.
    ///
    /// # Errors
    /// 404 when there is none, or it is somebody else's, 410 when it was deleted, 422 for what does not fit together.
    pub async fn patch(&self, owner: Id, code: &str, patch: PatchLink, from: Network) -> Result<Link> {
        // Before the lock: it takes its time.
        let mut errors = Vec::new();
        let password = match patch.password.clone() {
            Some(Some(password)) => {
                check_password(&password, &mut errors);
                match errors.is_empty() {
                    true => Some(Some(self.0.parts.passwords.hash(password, from).await?)),
                    false => None,
                }
            }
            Some(None) => Some(None),
            None => None,
        };
        let guard = self.0.core.log.decide(owner, &[lock(code)]).await?;
        let link = self.own(owner, code).await?;
        let row = self.patched(&link.row, code, &patch, password, errors)?;
        let mut shut = None;
        if link.row.max_visits.is_none() && row.max_visits.is_some() {
            // Those that it had count: so many are given out in all. There are none until it has its limit.
            shut = Some(self.0.gates.shut(code));
            self.0.parts.totals.catch_up().await?;
            let visits = self.0.parts.totals.visits(&[(code, link.id())]).await?;
            let visits = visits.first().copied().unwrap_or(0).min(MAX_VISITS_MAX.into());
            self.0.slots.passed(code, u32::try_from(visits).unwrap_or(MAX_VISITS_MAX)).await?;
        }
        if row != link.row {
            let row = LinkRow { made: self.as_made(&link.row), ..row.clone() };
            let event = Event::LinkChanged { code: code.to_owned(), link: row };
            self.0.core.log.commit(&guard, event).await?;
        }
        drop(shut);
        self.render(code, &row).await
    }

    /// The link as it was made, as long as the request that made it is answered again.
    fn as_made(&self, before: &LinkRow) -> Option<Box<LinkAsMade>> {
        let is_asked_again = self.clock().now_ms() < unix_ms_of(before.id).saturating_add(IDEMPOTENCY_MS);
        is_asked_again.then(|| before.made.clone().unwrap_or_else(|| Box::new(before.into())))
    }

    fn patched(
        &self,
        before: &LinkRow,
        code: &str,
        patch: &PatchLink,
        password: Option<Option<String>>,
        mut errors: Vec<FieldError>,
    ) -> Result<LinkRow> {
        let mut row = before.clone();
        if let Some(url) = &patch.url {
            row.url = self.target(url, Some(code), &mut errors).unwrap_or_default();
        }
        if let Some(asked) = patch.expires_at {
            row.expires_ms = expiry(asked, self.clock().now_ms(), &mut errors);
            row.own_expiry = asked.is_some();
        }
        if let Some(redirect) = patch.redirect {
            row.permanent = redirect == RedirectKind::Permanent;
        }
        match patch.max_visits {
            Some(Some(max)) => row.max_visits = limit(max, &mut errors),
            Some(None) => row.max_visits = None,
            None => {}
        }
        if let Some(password) = password {
            row.password = password;
        }
        check_permanent(&row, row.password.is_some(), &mut errors);
        if errors.is_empty() { Ok(row) } else { Err(Error::fields(errors)) }
    }

    /// Deletes a link of `owner`: its code leads nowhere from now on, and is never given out again.
    ///
    /// # Errors
    /// 404 when there is none, or it is somebody else's, 410 when it was deleted before.
    pub async fn delete(&self, owner: Id, code: &str) -> Result<()> {
        self.own(owner, code).await?;
        self.remove(code, None).await
    }

    /// Deletes a link, whoever made it; `act` is the operator's who does it.
    ///
    /// # Errors
    /// 404 when there is none, 410 when it was deleted before.
    pub async fn remove(&self, code: &str, act: Option<Act>) -> Result<()> {
        let core = &self.0.core;
        let found = |link: Option<Arc<super::Loaded>>| link.ok_or_else(|| Error::not_found("link"));
        let owner = found(self.hot().load(code).await?)?.row.owner;
        let guard = core.log.decide(owner, &[lock(code)]).await?;
        let link = found(self.hot().load(code).await?)?;
        if link.row.deleted {
            return Err(Error::gone("link"));
        }
        let event = Event::LinkDeleted { code: code.to_owned(), link: link.id(), owner };
        core.log.commit(&guard, Proposal { audit: act, ..event.into() }).await?;
        self.forget_numbers(code, link.id()).await
    }

    /// Removes what was counted of a link that is gone.
    async fn forget_numbers(&self, code: &str, link: Id) -> Result<()> {
        self.0.slots.forget(code).await?;
        self.0.parts.totals.forget(code, link).await
    }
}

/// The end that was asked for.
fn expiry(asked: Option<Timestamp>, now_ms: u64, errors: &mut Vec<FieldError>) -> Option<u64> {
    let Timestamp(at_ms) = asked?;
    if at_ms <= now_ms {
        wrong(errors, "expires_at", "is in the past");
    } else if at_ms > EXPIRES_MS_MAX {
        wrong(errors, "expires_at", "is beyond 2079; null means never");
    }
    Some(at_ms)
}

/// The limit of visits that was asked for.
fn limit(max: u32, errors: &mut Vec<FieldError>) -> Option<u32> {
    if !(1..=MAX_VISITS_MAX).contains(&max) {
        wrong(errors, "max_visits", format!("must be 1 to {MAX_VISITS_MAX}"));
    }
    Some(max)
}

fn check_password(password: &str, errors: &mut Vec<FieldError>) {
    if !(1..=LINK_PASSWORD_CHARS_MAX).contains(&password.chars().count()) {
        wrong(errors, "password", format!("must have 1 to {LINK_PASSWORD_CHARS_MAX} characters"));
    } else if password.chars().any(char::is_control) {
        wrong(errors, "password", "holds a control character");
    }
}

/// Nothing that ends goes with what browsers remember: that cannot be taken back.
fn check_permanent(row: &LinkRow, has_password: bool, errors: &mut Vec<FieldError>) {
    if !row.permanent {
        return;
    }
    let mut forbids = |what: &str| wrong(errors, "redirect", format!("301 does not go with {what}; use 302"));
    if has_password {
        forbids("a password");
    }
    if row.max_visits.is_some() {
        forbids("a limit of visits");
    }
    if row.own_expiry {
        forbids("an end of its own");
    }
}
