//! State of the HTTP layer: given once at the start, shared by all requests.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::addresses::Addresses;
use super::bounds::BodyBounds;
use super::meter::Meter;
use super::{Authenticate, Checks, FileToken, OperatorTokens};
use crate::base::network::Network;
use crate::config::{Api, Http, Settings};
use crate::data::storage::Storage;

/// The state of the routes in this folder; the application's own state provides it through `FromRef`. Cheap to clone.
#[derive(Clone)]
pub struct HttpState(Arc<Shared>);

/// State behind [`HttpState`].
pub struct Shared {
    /// Turns tokens into callers.
    pub accounts: Arc<dyn Authenticate>,
    /// The operator's token.
    pub admin: FileToken,
    /// The token of who reads `/metrics`.
    pub metrics_token: FileToken,
    /// `[http]`.
    pub settings: Http,
    /// `[api]`.
    pub api: Api,
    /// Limits that requests are checked against.
    pub checks: Checks,
    /// Whether the server wants requests.
    pub readiness: Readiness,
    /// Whether anything can be kept.
    pub storage: Storage,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Shares of each address in what all share.
    pub(super) addresses: Addresses,
    /// Bounds of bodies.
    pub(super) bodies: BodyBounds,
    pub(super) meter: Meter,
    pub(super) in_flight: Arc<Semaphore>,
    /// Requests that may change something; they go on when their connection ends.
    pub(super) writes: TaskTracker,
}

impl HttpState {
    /// State for a server with these settings, [`Phase::Starting`].
    #[must_use]
    pub fn new(settings: &Settings, accounts: Arc<dyn Authenticate>, tokens: OperatorTokens, storage: Storage) -> Self {
        Self::counting(settings, accounts, tokens, storage, true)
    }

    /// State in which connections of this machine are counted like others unless `spares_loopback`.
    pub(super) fn counting(
        settings: &Settings,
        accounts: Arc<dyn Authenticate>,
        tokens: OperatorTokens,
        storage: Storage,
        spares_loopback: bool,
    ) -> Self {
        let bodies = BodyBounds::of(settings);
        Self(Arc::new(Shared {
            accounts,
            admin: tokens.admin,
            metrics_token: tokens.metrics,
            settings: settings.http.clone(),
            api: settings.api.clone(),
            checks: Checks { text_chars_max: settings.posts.text_max },
            readiness: Readiness::default(),
            storage,
            metrics: super::meter::recorder(),
            addresses: Addresses::new(&settings.http, bodies.largest(), spares_loopback),
            bodies,
            meter: Meter::default(),
            in_flight: Arc::new(Semaphore::new(settings.http.requests_in_flight_max)),
            writes: TaskTracker::new(),
        }))
    }
}

impl HttpState {
    /// Network that sessions from this address count for; `None` for this machine and for proxies.
    #[must_use]
    pub fn counted(&self, address: IpAddr) -> Option<Network> {
        (!self.addresses.spares(address)).then(|| address.into())
    }
}

impl Deref for HttpState {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Readiness, as `/readyz` tells load balancers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Not yet: recent posts are still being read in.
    Starting,
    /// Send requests.
    Ready,
    /// No more: what was accepted is finished, then the process ends.
    Draining,
}

/// The phase that the server is in. It only moves forward.
#[derive(Debug, Default)]
pub struct Readiness {
    phase: AtomicU8,
}

impl Readiness {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// Goes on to `phase`; going back does nothing.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
    }
}
