//! State of the HTTP layer: given once at the start, shared by all requests.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use fanfare_protocol::Id;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::addresses::Addresses;
use super::bounds::BodyBounds;
use super::door::{Door, Doorway};
use super::meter::Meter;
use super::{Authenticate, Checks, FileToken, Forwarding, OperatorTokens};
use crate::base::limits;
use crate::base::network::Network;
use crate::config::{Api, Http, Settings};
use crate::data::storage::Storage;
use crate::log::horizon::Horizon;

/// The state of the routes in this folder; the application's own state provides it through `FromRef`. Cheap to clone.
#[derive(Clone)]
pub struct HttpState(Arc<Shared>);

/// State behind [`HttpState`].
struct Shared {
    accounts: Arc<dyn Authenticate>,
    admin: FileToken,
    metrics_token: FileToken,
    settings: Http,
    api: Api,
    checks: Checks,
    readiness: Readiness,
    storage: Storage,
    metrics: PrometheusHandle,
    addresses: Addresses,
    bodies: BodyBounds,
    meter: Meter,
    in_flight: Arc<Semaphore>,
    late: Arc<Semaphore>,
    writes: TaskTracker,
    /// Horizon that answers to writes wait for.
    horizon: OnceLock<Horizon>,
    forward: OnceLock<Arc<dyn Forwarding>>,
    door: OnceLock<Doorway>,
    is_door_shut: AtomicBool,
    short_host: Option<String>,
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
            late: Arc::new(Semaphore::new(settings.http.requests_in_flight_max)),
            writes: TaskTracker::new(),
            horizon: OnceLock::new(),
            forward: OnceLock::new(),
            door: OnceLock::new(),
            is_door_shut: AtomicBool::new(false),
            short_host: settings.links.short_host(),
        }))
    }
}

impl HttpState {
    /// From now on whoever wrote is answered once `horizon` has come to the last record of it, or a second later: what
    /// follows from it in other partitions is there for whoever has the answer.
    pub fn answer_after(&self, horizon: Horizon) {
        // Once; a server has one log.
        let _ = self.0.horizon.set(horizon);
    }

    /// Waits for what follows from `record`; at most a second.
    pub(super) async fn followed(&self, record: Id) {
        if let Some(horizon) = self.0.horizon.get()
            && record.0 > 0
        {
            horizon.comes_to(record, limits::EFFECTS_WAIT).await;
        }
    }

    /// Record up to which an answer shows what happened, where there are other nodes.
    pub(super) fn position(&self) -> Id {
        self.0.horizon.get().map(Horizon::reached).unwrap_or_default()
    }

    /// Network that sessions from this address count for; `None` for this machine and for proxies.
    #[must_use]
    pub fn counted(&self, address: IpAddr) -> Option<Network> {
        (!self.addresses().spares(address)).then(|| address.into())
    }

    /// Port that turns tokens into callers.
    #[must_use]
    pub fn accounts(&self) -> &dyn Authenticate {
        &*self.0.accounts
    }

    /// Readiness of the server.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Whether anything can be kept.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// From now on what another node decides about goes there.
    pub fn put_forward(&self, forward: Arc<dyn Forwarding>) {
        // Once; a server is one node.
        let _ = self.0.forward.set(forward);
    }

    /// Way to other nodes; none where there are none.
    pub(super) fn forward(&self) -> Option<&Arc<dyn Forwarding>> {
        self.0.forward.get()
    }

    /// Puts a door in front of the router; a server has one.
    pub fn put_door(&self, door: Arc<dyn Door>) {
        // The first stays.
        let _ = self.0.door.set(Doorway::new(door, self.settings()));
    }

    /// Opens a door that was shut.
    pub fn open_door(&self) {
        self.0.is_door_shut.store(false, Ordering::Release);
    }

    /// From now on every request goes through the router.
    pub fn shut_door(&self) {
        self.0.is_door_shut.store(true, Ordering::Release);
    }

    /// The door, unless it is shut.
    pub(super) fn door(&self) -> Option<&Doorway> {
        self.0.door.get().filter(|_| !self.0.is_door_shut.load(Ordering::Acquire))
    }

    /// Host below which there are short links and nothing else, in lower case.
    pub(super) fn short_host(&self) -> Option<&str> {
        self.0.short_host.as_deref()
    }

    /// Token of the operator.
    pub(super) fn admin(&self) -> &FileToken {
        &self.0.admin
    }

    /// Token of who reads `/metrics`.
    pub(super) fn metrics_token(&self) -> &FileToken {
        &self.0.metrics_token
    }

    /// `[http]`.
    pub(super) fn settings(&self) -> &Http {
        &self.0.settings
    }

    /// `[api]`.
    pub(super) fn api(&self) -> &Api {
        &self.0.api
    }

    /// Limits that requests are checked against.
    pub(super) fn checks(&self) -> &Checks {
        &self.0.checks
    }

    /// Renderer of `/metrics`.
    pub(super) fn metrics(&self) -> &PrometheusHandle {
        &self.0.metrics
    }

    /// Shares of each address in what all share.
    pub(super) fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    /// Bounds of bodies.
    pub(super) fn bodies(&self) -> &BodyBounds {
        &self.0.bodies
    }

    /// Counts and times of answers.
    pub(super) fn meter(&self) -> &Meter {
        &self.0.meter
    }

    /// Places of requests that are under way.
    pub(super) fn in_flight(&self) -> &Arc<Semaphore> {
        &self.0.in_flight
    }

    /// Places of requests that go on though they were answered, as many again; what finds none keeps its first.
    pub(super) fn late(&self) -> &Arc<Semaphore> {
        &self.0.late
    }

    /// Requests that may change something; they go on when their connection ends.
    pub(super) fn writes(&self) -> &TaskTracker {
        &self.0.writes
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
