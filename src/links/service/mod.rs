//! Short links: made, changed and deleted by their owners, listed, and followed by everybody.

mod change;
mod lists;
mod visit;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use fanfare_protocol::{Id, Link, Timestamp};

pub use self::change::MadeLink;
use self::change::Places;
pub use self::visit::{Asked, AtOnce, Visited};
use super::blocklist::Blocklist;
use super::clicks::stats::Subject;
use super::counting::{ClickSink, Totals};
use super::gates::Gates;
use super::hot::HotLinks;
use super::keeper::Keeper;
use super::misses::Misses;
use super::redirect::Loaded;
use super::slots::VisitSlots;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::auth::WRONG_PASSWORDS_MAX;
use crate::base::limits::links::{LINK_PASSWORDS_MAX, LINK_PASSWORDS_WINDOW_MS};
use crate::data::rows::LinkRow;
use crate::log::core::{Core, LockKey};
use crate::log::idempotency::Idempotency;
use crate::users::attempts::Bounds;
use crate::users::guard::PasswordGuard;
use crate::users::password::Passwords;

/// Settings of the service.
#[derive(Debug, Clone)]
pub struct LinkSettings {
    /// Time after which links end, in milliseconds; none ask for another.
    pub expiry_ms: u64,
    /// Links of one person.
    pub per_user_max: u64,
    /// Address before the code in `short_url`, with the slash at its end.
    pub short_base: String,
    /// Address that the short host itself leads to.
    pub home_url: Option<String>,
    /// Unknown codes that an address may ask for in a minute.
    pub misses_per_minute: u32,
}

/// Parts of the service that others make.
pub struct LinkParts {
    /// Links in memory.
    pub hot: HotLinks,
    /// Codes.
    pub keeper: Keeper,
    /// Hashes of passwords, at the gate of all.
    pub passwords: Passwords,
    /// Blocked hosts and codes.
    pub blocklist: Blocklist,
    /// Whoever counts clicks.
    pub sink: Arc<dyn ClickSink>,
    /// Numbers.
    pub totals: Arc<dyn Totals>,
}

/// Short links; clones are the same.
#[derive(Clone)]
pub struct Links(Arc<Inner>);

struct Inner {
    core: Core,
    settings: LinkSettings,
    parts: LinkParts,
    slots: VisitSlots,
    gates: Gates,
    places: Places,
    misses: Misses,
    guard: PasswordGuard,
    idempotency: Idempotency,
}

/// Lock of what is decided about a code.
fn lock(code: &str) -> LockKey {
    let mut hasher = DefaultHasher::new();
    code.hash(&mut hasher);
    ("link", hasher.finish(), 0)
}

impl Links {
    /// The service.
    #[must_use]
    pub fn new(core: Core, settings: LinkSettings, parts: LinkParts) -> Self {
        let bounds = Bounds {
            per_account: LINK_PASSWORDS_MAX,
            per_network: WRONG_PASSWORDS_MAX,
            window_ms: LINK_PASSWORDS_WINDOW_MS,
        };
        let guard = PasswordGuard::new(bounds, core.clock.clone());
        let (slots, idempotency) = (VisitSlots::new(core.clone()), Idempotency::new(Arc::clone(&core.store)));
        let misses = Misses::new(settings.misses_per_minute);
        let (places, gates) = (Places::default(), Gates::default());
        Self(Arc::new(Inner { core, settings, parts, slots, gates, places, misses, guard, idempotency }))
    }

    /// Links in memory.
    pub(super) fn hot(&self) -> &HotLinks {
        &self.0.parts.hot
    }

    /// Blocked hosts and codes.
    #[must_use]
    pub fn blocklist(&self) -> &Blocklist {
        &self.0.parts.blocklist
    }

    /// Keeper of the codes.
    #[must_use]
    pub fn keeper(&self) -> &Keeper {
        &self.0.parts.keeper
    }

    /// The time.
    fn clock(&self) -> &Clock {
        &self.0.core.clock
    }

    /// Address of a code, to be handed out.
    #[must_use]
    pub fn short_url(&self, code: &str) -> String {
        format!("{}{code}", self.0.settings.short_base)
    }

    /// Address that the short host itself leads to.
    pub(super) fn home_url(&self) -> Option<&str> {
        self.0.settings.home_url.as_deref()
    }

    /// The link of `owner` with this code.
    ///
    /// # Errors
    /// 404 when there is none, or it is somebody else's; 410 when it was deleted.
    async fn own(&self, owner: Id, code: &str) -> Result<Arc<Loaded>> {
        let link = self.hot().load(code).await?.filter(|link| link.row.owner == owner);
        let link = link.ok_or_else(|| Error::not_found("link"))?;
        if link.row.deleted { Err(Error::gone("link")) } else { Ok(link) }
    }

    /// The link whose numbers its owner asks for.
    ///
    /// # Errors
    /// 404 when there is none, or it is somebody else's; 410 when it was deleted.
    pub async fn subject(&self, owner: Id, code: &str) -> Result<Subject> {
        let link = self.own(owner, code).await?.row.id;
        Ok(Subject { link, made_ms: unix_ms_of(link) })
    }

    /// The caller's link with this code.
    ///
    /// # Errors
    /// 404 when there is none, or it is somebody else's; 410 when it was deleted.
    pub async fn get(&self, owner: Id, code: &str) -> Result<Link> {
        let link = self.own(owner, code).await?;
        self.render(code, &link.row).await
    }

    /// A link whoever made it, for operators; with its owner, and whether it is blocked.
    ///
    /// # Errors
    /// 404 when there is none, 410 when it was deleted.
    pub async fn anybodys(&self, code: &str) -> Result<(Link, Id, bool)> {
        let link = self.hot().load(code).await?.ok_or_else(|| Error::not_found("link"))?;
        if link.row.deleted {
            return Err(Error::gone("link"));
        }
        let blocked = link.host.as_ref().is_none_or(|host| self.blocklist().blocks(code, host));
        Ok((self.render(code, &link.row).await?, link.row.owner, blocked))
    }

    /// The wire form of a link, with its numbers.
    async fn render(&self, code: &str, row: &LinkRow) -> Result<Link> {
        let visits = self.0.parts.totals.visits(&[(code, row.id)]).await?;
        Ok(self.rendered(code, row, visits.first().copied().unwrap_or(0)))
    }

    fn rendered(&self, code: &str, row: &LinkRow, visits: u64) -> Link {
        use fanfare_protocol::RedirectKind::{Found, Permanent};
        Link {
            code: code.to_owned(),
            short_url: self.short_url(code),
            url: row.url.clone(),
            redirect: if row.permanent { Permanent } else { Found },
            created_at: Timestamp(unix_ms_of(row.id)),
            expires_at: row.expires_ms.map(Timestamp),
            max_visits: row.max_visits,
            has_password: row.password.is_some(),
            visits,
        }
    }
}
