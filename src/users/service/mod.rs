//! Accounts: registration, log-in and log-out, passwords, profiles, search, deletion, and people who come by JWT.

mod first_sight;
mod jwts;
mod sessions;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{KeyRange, Order, Unique};
use fanfare_protocol::{Code, FieldError, Id, NewUser, Page, PatchUser, Session, Timestamp, User};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::handle::{self, Handle};
use crate::base::id::unix_ms_of;
use crate::base::limits;
use crate::base::text;
use crate::base::token::TokenHash;
use crate::base::written;
use crate::data::coherent::Coherent;
use crate::data::locks::Locks;
use crate::data::rows::{CredentialsRow, TokenRow, UserRow};
use crate::data::store::Account;
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::log::core::{Attachments, Core};
use crate::log::events::Event;
use crate::log::handle::Proposal;
use crate::users::attempts::Bounds;
use crate::users::guard::PasswordGuard;
use crate::users::jwt_ends::Leads;
use crate::users::jwt_keys::JwtVerifier;
use crate::users::names;
use crate::users::password::{self, Passwords};
use crate::users::session_ender::SessionEnder;

/// Looks at who holds a handle before it counts as taken: each may find that it has changed hands.
const RESERVE_TRIES_MAX: u32 = 4;

/// Settings of accounts.
#[derive(Debug, Clone, Copy)]
pub struct UserSettings {
    /// Life of a token.
    pub token_days: u32,
    /// Whether anybody may register.
    pub registration: bool,
    /// Bounds of wrong passwords that are let through.
    pub wrong_passwords: Bounds,
    /// Days for which a handle stays reserved after its account is deleted.
    pub handle_reserved_days: u32,
}

/// Accounts.
#[derive(Clone)]
pub struct Users {
    core: Core,
    settings: UserSettings,
    passwords: Passwords,
    jwt: Arc<JwtVerifier>,
    media: Arc<dyn Attachments>,
    tokens: Arc<Coherent<TokenHash, TokenRow>>,
    /// Counts wrong passwords.
    guard: PasswordGuard,
    /// Told when tokens end.
    sessions: Arc<dyn SessionEnder>,
    /// Whoever makes an account holds its handle. Apart from the locks of decisions, which may be held already.
    handles: Locks,
    /// Room for people who come by JWT for the first time.
    newcomers: Arc<Semaphore>,
    /// Memory of how far the clocks of those who issue JWTs are ahead.
    leads: Arc<Leads>,
    /// First showings of JWTs that do not say when they were issued.
    first_shown: Arc<Coherent<TokenHash, Id>>,
}

/// An account to be made.
struct NewAccount {
    /// Id of the account, which is nobody else's.
    id: Id,
    /// The handle that is wanted.
    handle: Handle,
    /// A name to show.
    display_name: Option<String>,
    /// Hash of the password; without one the account is entered by JWT only.
    password: Option<String>,
    /// The moment it is made at, in milliseconds; `None` is now.
    at_ms: Option<u64>,
}

impl Users {
    /// The service.
    #[must_use]
    pub fn new(
        core: Core,
        settings: UserSettings,
        passwords: Passwords,
        jwt: JwtVerifier,
        media: Arc<dyn Attachments>,
        sessions: Arc<dyn SessionEnder>,
    ) -> Self {
        let (tokens, handles) = (Arc::new(Coherent::new(limits::TOKEN_CACHE_MAX)), core.locks.outer());
        let guard = PasswordGuard::new(settings.wrong_passwords, core.clock.clone());
        let newcomers = Arc::new(Semaphore::new(limits::auth::NEWCOMERS_MAX));
        Self {
            core,
            settings,
            passwords,
            jwt: Arc::new(jwt),
            media,
            tokens,
            guard,
            sessions,
            handles,
            newcomers,
            leads: Arc::default(),
            first_shown: Arc::new(Coherent::new(limits::TOKEN_CACHE_MAX)),
        }
    }

    /// Makes an account for somebody at `from`, and logs in.
    ///
    /// # Errors
    /// 403 when registration is closed, 409 for a taken handle, 422 for what is malformed.
    pub async fn register(&self, new: NewUser, from: IpAddr) -> Result<Session> {
        if !self.settings.registration {
            return Err(Error::refused(Code::Forbidden, "registration is closed on this server"));
        }
        let mut errors = Vec::new();
        let handle =
            Handle::parse_new(&new.handle).map_err(|error| wrong(&mut errors, "handle", &error.to_string())).ok();
        if let Err(message) = password::check_new(&new.password) {
            wrong(&mut errors, "password", message);
        }
        let display_name = clean_name(new.display_name, &mut errors);
        let (Some(handle), true) = (handle, errors.is_empty()) else { return Err(Error::fields(errors)) };
        let password = self.passwords.hash(new.password, from.into()).await?;
        let account = self.create(&handle, display_name, Some(password), self.core.clock.now_ms()).await?;
        self.session(&account).await
    }

    /// Makes an account at a given moment (milliseconds). Without a password it is entered by JWT only.
    ///
    /// # Errors
    /// 409 for a taken handle.
    pub async fn create(
        &self,
        handle: &Handle,
        display_name: Option<String>,
        password: Option<String>,
        at_ms: u64,
    ) -> Result<Arc<Account>> {
        let (id, handle) = (self.core.log.mint_person_at(at_ms).await?, handle.clone());
        // The record is of that moment too: ids of an import must not run ahead of its first line.
        self.make(NewAccount { id, handle, display_name, password, at_ms: Some(at_ms) }).await
    }

    /// Makes an account, in a task of its own: from the reservation of the handle to the record nobody can cut it off.
    ///
    /// # Errors
    /// 409 for a taken handle; the same account can then be made with another one.
    async fn make(&self, new: NewAccount) -> Result<Arc<Account>> {
        let users = self.clone();
        written::spawn(async move { users.make_whole(new).await }).await.map_err(cut_off)?
    }

    async fn make_whole(&self, new: NewAccount) -> Result<Arc<Account>> {
        let NewAccount { id, handle, display_name, password, at_ms } = new;
        let _held = self.handles.hold(&[("handle", handle.stripe(), 0)]).await?;
        let guard = self.core.log.decide(id, &[]).await?;
        self.reserve(&handle, id, at_ms).await?;
        if password.is_some() {
            let row = CredentialsRow { password, ..CredentialsRow::default() };
            self.core.store.make_credentials(id, row).await?;
        }
        let user =
            UserRow { id, handle: handle.as_str().to_owned(), display_name, bio: String::new(), ..UserRow::default() };
        let made = Proposal { at_ms, ..Event::UserCreated { user }.into() };
        match self.core.log.commit(&guard, made).await {
            // Burnt: this took so long that somebody else has the handle.
            Err(Error::Refused(problem)) if problem.code == Code::Unauthenticated => {
                self.core.store.release_credentials(id).await?;
                Err(taken(&handle))
            }
            Err(error) => Err(error),
            Ok(_) => self.core.account(id).await,
        }
    }

    /// Reserves a handle for the account `id`, while nobody else can ask for it. One that is held for no account, left
    /// by whoever was cut off before it was made, is taken over once a record says that it never will be; one of a
    /// deleted account when its days are over.
    async fn reserve(&self, handle: &Handle, id: Id, at_ms: Option<u64>) -> Result<()> {
        let key = tables::handle_row(handle.as_str());
        let store = &self.core.store;
        for _ in 0..RESERVE_TRIES_MAX {
            match store.insert_unique(key.clone(), tables::partition(id), id.0).await? {
                Unique::Mine => return Ok(()),
                Unique::Taken(holder) => {
                    let Some(holder) = Id::from_bytes(&holder) else { break };
                    let free = match store.account_or_gone(holder).await? {
                        None => self.burn(holder, at_ms).await?,
                        Some(gone) if gone.row.burnt => true,
                        Some(gone) if gone.row.deleted => self.reserved_until_ms(&gone) <= self.core.log.sweep_ms(),
                        // An account that went on with another handle.
                        Some(account) if !account.row.handle.eq_ignore_ascii_case(handle.as_str()) => true,
                        Some(_) => break,
                    };
                    if free {
                        store.release_unique(&key, holder.0).await?;
                    } else if store.account_or_gone(holder).await?.is_some_and(|account| account.row.deleted) {
                        break;
                    }
                }
            }
        }
        Err(taken(handle))
    }

    /// Has the log say that no account of `holder` will ever be made; false when it was made meanwhile. No clock tells
    /// whether whoever was about to make it is still at work.
    async fn burn(&self, holder: Id, at_ms: Option<u64>) -> Result<bool> {
        let guard = self.core.log.decide(holder, &[]).await?;
        let burnt = Proposal { at_ms, ..Event::IdBurnt { user: holder }.into() };
        match self.core.log.commit(&guard, burnt).await {
            Err(Error::Refused(problem)) if problem.code == Code::Conflict => Ok(false),
            Err(error) => Err(error),
            Ok(_) => {
                self.core.store.release_credentials(holder).await?;
                Ok(true)
            }
        }
    }

    fn reserved_until_ms(&self, deleted: &Account) -> u64 {
        handle::reserved_until_ms(deleted.row.deleted_by, self.settings.handle_reserved_days)
    }

    /// Deletes the account: it is gone at once, and what it left behind is removed in the background. The handle stays
    /// reserved, so that nobody passes for the person who had it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn delete(&self, user: Id) -> Result<()> {
        let guard = self.core.log.decide(user, &[("profile", user.0, 0)]).await?;
        let account = self.core.account(user).await?;
        self.core.log.commit(&guard, Event::UserDeleted { user: account.row.clone() }).await?;
        self.sessions.all_ended(user, None).await;
        if self.settings.handle_reserved_days == 0 {
            let key = tables::handle_row(&account.row.handle);
            self.core.store.release_unique(&key, user.0).await?;
        }
        Ok(())
    }

    /// Changes the caller's profile.
    ///
    /// # Errors
    /// 422 for what is too long, or for an avatar that is no image of the caller.
    pub async fn patch(&self, user: Id, patch: PatchUser) -> Result<User> {
        let mut errors = Vec::new();
        let guard = self.core.log.decide(user, &[("profile", user.0, 0)]).await?;
        let account = self.core.account(user).await?;
        let mut row = account.row.clone();
        if let Some(name) = patch.display_name {
            row.display_name = clean_name(name, &mut errors);
        }
        if let Some(bio) = patch.bio {
            match text::normalise(&bio.unwrap_or_default(), limits::BIO_CHARS_MAX) {
                Ok(bio) => row.bio = bio,
                Err(error) => wrong(&mut errors, "bio", &error.to_string()),
            }
        }
        match patch.avatar_media_id {
            Some(Some(media)) => match self.media.owned(media, user).await? {
                Some(media) if media.kind == fanfare_protocol::MediaKind::Image => row.avatar = Some(media),
                _ => wrong(&mut errors, "avatar_media_id", "not an image that you uploaded"),
            },
            Some(None) => row.avatar = None,
            None => {}
        }
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        if row != account.row {
            let old_display_name = account.row.display_name.clone();
            self.core.log.commit(&guard, Event::ProfileChanged { user: row, old_display_name }).await?;
        }
        self.render(&*self.core.account(user).await?, Some(user)).await
    }

    /// The profile that `viewer` sees of `user`.
    ///
    /// # Errors
    /// 404 when there is none, it is suspended, or it blocks the viewer.
    pub async fn profile(&self, viewer: Option<Id>, user: Id) -> Result<User> {
        let account = self.core.account_for(viewer, user).await?;
        self.render(&account, viewer).await
    }

    /// The id that a path names: a number, or `@handle`.
    ///
    /// # Errors
    /// 404 when there is no such person.
    pub async fn resolve(&self, name: &str) -> Result<Id> {
        let account = match name.strip_prefix('@') {
            Some(handle) => self.core.store.by_handle(handle).await?,
            None => match name.parse::<Id>() {
                Ok(id) => self.core.store.account(id).await?,
                Err(_) => None,
            },
        };
        account.map(|account| account.row.id).ok_or_else(|| Error::not_found("user"))
    }

    /// The wire form of a profile.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn render(&self, account: &Account, viewer: Option<Id>) -> Result<User> {
        let id = account.row.id;
        let [followers_count, following_count, mut posts_count] = self.core.store.counters(Of::User(id)).await?.values;
        if viewer == Some(id) {
            // One's own list has everything, also what shows nothing to others for now.
            posts_count = self.core.store.stored_counters(Of::User(id)).await?.values[2];
        }
        let relationship = match viewer {
            Some(viewer) if viewer != id => Some(self.core.store.relationship(viewer, id).await?),
            _ => None,
        };
        Ok(User {
            id,
            handle: account.author.handle.clone(),
            display_name: account.author.display_name.clone(),
            bio: account.row.bio.clone(),
            avatar_url: account.row.avatar.as_ref().map(|media| media.url.clone()),
            followers_count,
            following_count,
            posts_count,
            created_at: Timestamp(unix_ms_of(id)),
            relationship,
        })
    }

    /// People whose handle, name, or a word of it begins with `query`, by name.
    ///
    /// # Errors
    /// 422 for an empty or too long query, 400 for a cursor of another search.
    pub async fn search(&self, viewer: Id, query: &str, limit: usize, cursor: Option<&str>) -> Result<Page<User>> {
        let query = names::composed(query.trim().trim_start_matches('@'));
        if query.is_empty() || query.chars().count() > limits::SEARCH_CHARS_MAX {
            let message = format!("1 to {} characters of a handle or a name", limits::SEARCH_CHARS_MAX);
            return Err(Error::field("q", message));
        }
        let query = names::search_key(&query);
        let list = format!("search/{query}");
        let scope = Scope { list: &list, caller: viewer, subject: Id(0) };
        let mut from = match cursor {
            Some(cursor) => Bytes::from(self.core.cursors.open(scope, cursor)?),
            None => Bytes::copy_from_slice(query.as_bytes()),
        };
        let hidden = self.core.store.hidden(viewer).await?;
        let to = KeyRange::prefix(query.as_bytes()).to;
        let partition = tables::name_partition(&query);
        let mut items = Vec::new();
        loop {
            let range = KeyRange { from: Some(from.clone()), to: to.clone() };
            let step = limit + 1 + items.len();
            let rows = self.core.store.scan(tables::NAMES, &partition, range, Order::Ascending, step).await?;
            for row in &rows {
                let Some((name, id)) = tables::name_of(&row.clustering) else { continue };
                if items.len() == limit {
                    return Ok(Page { items, next_cursor: Some(self.core.cursors.seal(scope, &row.clustering)) });
                }
                let account = self.core.store.seen_account(id).await?;
                let Some(account) = account.filter(|_| !hidden.blocks(id)) else { continue };
                // A person is found by several names; the lowest that fits is the one that is shown.
                let keys = names::search_keys(&account.row.handle, account.row.display_name.as_deref());
                if keys.iter().find(|key| key.starts_with(&query)).is_some_and(|lowest| lowest == name) {
                    items.push(self.render(&account, Some(viewer)).await?);
                }
            }
            match rows.last() {
                Some(last) if rows.len() == step => from = [last.clustering.as_ref(), &[0]].concat().into(),
                _ => return Ok(Page { items, next_cursor: None }),
            }
        }
    }
}

/// A task of ours that did not come to its end.
#[allow(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn cut_off(cause: JoinError) -> Error {
    Error::Internal(format!("a task was cut off: {cause}"))
}

fn taken(handle: &Handle) -> Error {
    Error::refused(Code::Conflict, format!("handle: @{} is taken", handle.as_str()))
}

fn refused_token() -> Error {
    Error::refused(Code::Unauthenticated, "the token is unknown, or it has ended; log in again")
}

fn wrong(errors: &mut Vec<FieldError>, field: &str, message: &str) {
    errors.push(FieldError { field: field.to_owned(), message: message.to_owned() });
}

/// A display name without surrounding space; one in which nothing can be seen is none.
fn clean_name(name: Option<String>, errors: &mut Vec<FieldError>) -> Option<String> {
    match text::normalise_name(&name?, limits::DISPLAY_NAME_CHARS_MAX) {
        Ok(name) => (!name.is_empty()).then_some(name),
        Err(error) => {
            wrong(errors, "display_name", &error.to_string());
            None
        }
    }
}
