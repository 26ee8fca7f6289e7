//! `fanfare serve`: takes its addresses, opens the data folder, and serves until it is told to stop.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use fanfare_engines::embedded;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use utoipa_axum::router::OpenApiRouter;

use super::output::say;
use super::{Failure, block_on};
use crate::app::{self, App, Running};
use crate::base::clock::Clock;
use crate::base::data_dir::DataDir;
use crate::base::error::Error;
use crate::base::logging::{self, LogControl};
use crate::config::Settings;
use crate::http::{self, OperatorTokens, Phase, Sockets};
use crate::routes;

pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let log = logging::start(&settings.log.level, settings.log.format);
    raise_open_files();
    block_on(settings, serve(settings, log))
}

async fn serve(settings: &Settings, log: LogControl) -> Result<(), Failure> {
    if settings.http.public_url.is_some() && settings.http.trusted_proxies.is_empty() {
        tracing::warn!(
            "http.public_url is set and http.trusted_proxies is not: if a proxy is in front of this server, name it there, \
             or all its clients count as one address"
        );
    }
    // The addresses first: who cannot be reached has no business in the data folder.
    let Sockets { api, metrics } = bind(settings).await?;
    let opening = open(settings, Clock::system(), log);
    let (api, running) = http::answer_while(api, &settings.http, opening).await?;
    let running = running?;
    let address = api.local_addr()?;
    // A server serves, whether or not anybody reads where.
    let _ = say(format_args!("Fanfare listens on http://{address} and explains itself at http://{address}/docs/"));
    if let Some(metrics) = &metrics {
        let _ = say(format_args!("Metrics need no token on http://{}/metrics", metrics.local_addr()?));
    }
    serve_until(running, Sockets { api, metrics }, routes::api(), stop_signal()).await
}

/// Opens the data folder and starts everything but the sockets.
///
/// # Errors
/// When the folder cannot be used, or is in use.
pub async fn open(settings: &Settings, clock: Clock, log: LogControl) -> Result<Running, Failure> {
    let data_dir = &settings.server.data_dir;
    let folder = DataDir::open(data_dir).map_err(|error| Failure::Failed(error.to_string()))?;
    if folder.is_open_to_others() {
        let shown = data_dir.display();
        tracing::warn!(
            "others on this machine can look into the data folder, which holds password hashes: chmod 700 {shown}"
        );
    }
    let tokens = OperatorTokens::open(data_dir).map_err(|error| {
        Failure::Failed(format!("{}: {error}; choose a folder you can write with --data-dir", data_dir.display()))
    })?;
    let storage = embedded::Settings {
        cache_bytes: settings.storage.cache_bytes,
        journal_partitions: 1,
        ..embedded::Settings::default()
    };
    let engines = embedded::open(&folder.store(), &storage).map_err(Error::from)?;
    Ok(app::start(settings, engines, folder.secret(), tokens, clock, log).await?)
}

/// Serves `api` until `stop` completes, finishes what was accepted, and lets go of the data folder.
///
/// # Errors
/// When the listener fails.
pub async fn serve_until(
    running: Running,
    sockets: impl Into<Sockets>,
    api: OpenApiRouter<App>,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let router = http::routes::router(api, running.app.clone());
    serve_router(running, sockets, router, stop).await
}

/// The same for a router that was put together already.
///
/// # Errors
/// When the listener fails.
pub(super) async fn serve_router(
    running: Running,
    sockets: impl Into<Sockets>,
    router: Router,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let http = running.app.http.clone();
    http.readiness.advance(Phase::Ready);
    let realtime = running.app.realtime.clone();
    let served = http::run(sockets, router, http, stop, async move { realtime.drain().await }).await;
    running.stop().await;
    Ok(served?)
}

/// Every connection is an open file, and the usual soft limit is 1,024: the process takes what the hard limit allows.
pub(super) fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files stays as it is; raise it with ulimit -n");
    }
}

/// Takes `http.listen` and `metrics.listen`; connections wait until somebody serves them.
pub(super) async fn bind(settings: &Settings) -> Result<Sockets, Failure> {
    let api = take(settings.http.listen, "--listen").await?;
    let metrics = match settings.metrics.listen {
        Some(address) => Some(take(address.0, "the setting metrics.listen").await?),
        None => None,
    };
    Ok(Sockets { api, metrics })
}

async fn take(wanted: SocketAddr, chosen_with: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(wanted).await.map_err(|error| {
        let (why, or) = match error.kind() {
            io::ErrorKind::AddrInUse => ("another process listens there".to_owned(), "stop it, or "),
            _ => (error.to_string(), ""),
        };
        Failure::Failed(format!("cannot listen on {wanted}: {why}; {or}choose another address with {chosen_with}"))
    })
}

/// Completes at the first SIGTERM or Ctrl-C; a second one ends the process at once.
///
/// Signals are heard from the call on, not from the first poll: one that comes just then is not the default's to handle.
pub(super) fn stop_signal() -> impl Future<Output = ()> {
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    wait_for(signals)
}

type Heard = std::io::Result<tokio::signal::unix::Signal>;

async fn wait_for(signals: (Heard, Heard)) {
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else {
        tracing::error!("signals cannot be heard; the server runs until it is killed");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: finishing what was accepted");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopped at once");
        std::process::exit(1);
    });
}
