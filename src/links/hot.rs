//! Links in memory, by use, and codes that are known to lead nowhere.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use fanfare_protocol::Id;
use smallvec::SmallVec;
use tokio::sync::Mutex;

use super::redirect::Loaded;
use super::unclaimed::Unclaimed;
use crate::base::error::{Error, Result};
use crate::base::limits::links::{HOT_LINKS_MAX, LOADING_STRIPES, MISSING_LINKS_MAX};
use crate::base::target::{self, TargetRules};
use crate::data::coherent::Coherent;
use crate::data::rows::{LinkRow, from_json};
use crate::data::store::Store;
use crate::data::tables;
use crate::http::Prepared;
use crate::log::events::Event;
use crate::log::product::{Committed, Listener};

/// Code as a key in memory: those that the server gives out take no allocation.
pub type CodeKey = SmallVec<[u8; 16]>;

/// The key of a code.
#[must_use]
pub fn key(code: &str) -> CodeKey {
    SmallVec::from_slice(code.as_bytes())
}

/// Links in memory; clones are the same.
#[derive(Clone)]
pub struct HotLinks(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    rules: TargetRules,
    links: Coherent<CodeKey, Arc<Loaded>>,
    missing: Coherent<CodeKey, ()>,
    loading: Box<[Mutex<()>]>,
    hasher: RandomState,
    unclaimed: Arc<Unclaimed>,
}

impl HotLinks {
    /// Nothing yet; `rules` are those of today.
    #[must_use]
    pub fn new(store: Arc<Store>, rules: TargetRules) -> Self {
        Self(Arc::new(Inner {
            store,
            rules,
            links: Coherent::new(HOT_LINKS_MAX),
            missing: Coherent::new(MISSING_LINKS_MAX),
            loading: (0..LOADING_STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            unclaimed: Arc::default(),
        }))
    }

    /// Rules about targets.
    #[must_use]
    pub fn rules(&self) -> &TargetRules {
        &self.0.rules
    }

    /// Knowledge of codes that nobody has.
    #[must_use]
    pub fn unclaimed(&self) -> &Arc<Unclaimed> {
        &self.0.unclaimed
    }

    /// The link of a code, if it is in memory.
    #[must_use]
    pub fn peek(&self, code: &str) -> Option<Arc<Loaded>> {
        self.0.links.get(&key(code))
    }

    /// The link of a code, deleted ones included.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load(&self, code: &str) -> Result<Option<Arc<Loaded>>> {
        let inner = &*self.0;
        let key = key(code);
        let known = || match inner.links.get(&key) {
            Some(link) => Some(Some(link)),
            None => inner.missing.get(&key).map(|()| None),
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        if inner.unclaimed.has(code) {
            return Ok(None);
        }
        let _turn = inner.loading[inner.hasher.hash_one(&key) as usize % LOADING_STRIPES].lock().await;
        if let Some(known) = known() {
            return Ok(known);
        }
        let (epoch, missing) = (inner.links.epoch(&key), inner.missing.epoch(&key));
        let Some(bytes) = inner.store.get(&tables::link_row(code)).await? else {
            inner.missing.keep(missing, &key, ());
            return Ok(None);
        };
        let link = Arc::new(loaded(from_json(&bytes)?, &inner.rules)?);
        inner.links.keep(epoch, &key, Arc::clone(&link));
        Ok(Some(link))
    }

    /// The link changed, or was made.
    fn changed(&self, code: &str) {
        let key = key(code);
        self.0.links.forget(&key);
        self.0.missing.forget(&key);
    }
}

impl Listener for HotLinks {
    fn committed(&self, committed: &[Committed], _horizon: Id) {
        for one in committed {
            match &one.record.event {
                Event::LinkCreated { code, number, .. } => {
                    number.iter().for_each(|number| self.0.unclaimed.taken(*number));
                    self.changed(code);
                }
                Event::LinkChanged { code, .. } | Event::LinkDeleted { code, .. } => self.changed(code),
                _ => {}
            }
        }
    }
}

/// A link as visits need it: the head of its answer is made here, once.
fn loaded(row: LinkRow, rules: &TargetRules) -> Result<Loaded> {
    let (mut headers, mut host) = (Vec::with_capacity(2), None);
    if let Ok(target) = target::check(&row.url, rules).map_err(|_| ()) {
        let location = HeaderValue::from_str(&target.url);
        let location = location.map_err(|_| Error::Internal(format!("link {} leads to no header's value", row.id)))?;
        headers.push((header::LOCATION, location));
        let cache = if row.permanent { "private, max-age=3600" } else { "private, no-store" };
        headers.push((header::CACHE_CONTROL, HeaderValue::from_static(cache)));
        host = Some(target.host);
    }
    let status = if row.permanent { StatusCode::MOVED_PERMANENTLY } else { StatusCode::FOUND };
    let answer = Arc::new(Prepared::new(status, headers, row.password.is_none()));
    Ok(Loaded { row, host, answer })
}
