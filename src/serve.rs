//! A server from its settings to its end: addresses, data folder, requests until it is told to stop. `fanfare serve`
//! and programs that hold a server stand on it.
//!
//! Doors of the library, here and in `app`, `demo` and `import`, answer boxed futures: an `async fn` is compiled anew,
//! with all that it awaits, in every crate that awaits it.

use futures_util::future::BoxFuture;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use fanfare_engines::{EngineError, Engines, embedded};
use tokio::net::TcpListener;
use utoipa_axum::router::OpenApiRouter;

use crate::app::{self, App, Running};
use crate::base::clock::Clock;
use crate::base::data_dir::{DataDir, DataDirError};
use crate::base::error::Error;
use crate::base::logging::LogControl;
use crate::config::Settings;
use crate::data::{families, tables};
use crate::http::{self, OperatorTokens, Phase, Sockets};
use crate::log::legacy;

/// Reason why a server did not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The data folder or an address cannot be used; the words say what to do.
    #[error("{0}")]
    Unusable(String),
    /// A service did not start.
    #[error(transparent)]
    Service(#[from] Error),
    /// The listener failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens the data folder and starts everything but the sockets.
///
/// # Errors
/// When the folder cannot be used, or is in use.
pub fn open(settings: &Settings, clock: Clock, log: LogControl) -> BoxFuture<'_, Result<Running, ServeError>> {
    Box::pin(async move {
        let data_dir = &settings.server.data_dir;
        let unusable = |error: DataDirError| ServeError::Unusable(error.to_string());
        let mut folder = DataDir::open(data_dir).map_err(unusable)?;
        if folder.is_open_to_others() {
            let shown = data_dir.display();
            tracing::warn!(
                "others on this machine can look into the data folder, which holds password hashes: chmod 700 {shown}"
            );
        }
        let tokens = OperatorTokens::open(data_dir).map_err(|error| {
            ServeError::Unusable(format!(
                "{}: {error}; choose a folder you can write with --data-dir",
                data_dir.display()
            ))
        })?;
        let storage = engine_settings(settings);
        if folder.is_earlier() {
            tracing::info!(
                "an earlier version wrote the data folder; it is brought up, and that version cannot open it again"
            );
            // In whatever room there is: without it nothing can be read, nor deleted.
            let storage = embedded::Settings { free_bytes_min: 0, ..storage.clone() };
            let engines = open_engines(&folder, &storage)?;
            legacy::bring_up(&engines, &app::products(settings.notifications.group_after as u64).0).await?;
            folder.brought_up().map_err(unusable)?;
        }
        let engines = open_engines(&folder, &storage)?;
        Ok(app::start(settings, engines, folder.secret(), tokens, clock, log).await?)
    })
}

/// Choices of the embedded engine.
#[must_use]
pub fn engine_settings(settings: &Settings) -> embedded::Settings {
    embedded::Settings {
        cache_bytes: settings.storage.cache_bytes,
        families: families::families(settings.cluster.partitions),
        free_bytes_min: settings.storage.free_bytes_min,
        shredded: &[tables::CLICK_SALTS],
        ..embedded::Settings::default()
    }
}

fn open_engines(folder: &DataDir, storage: &embedded::Settings) -> Result<Engines, ServeError> {
    embedded::open(&folder.store(), storage).map_err(|error| match error {
        EngineError::Limit(why) => {
            ServeError::Unusable(format!("{}: {why} (setting cluster.partitions)", folder.store().display()))
        }
        error => Error::from(error).into(),
    })
}

/// Serves `api` until `stop` completes, finishes what was accepted, and lets go of the data folder.
///
/// # Errors
/// When the listener fails.
pub fn serve_until(
    running: Running,
    sockets: impl Into<Sockets>,
    api: OpenApiRouter<App>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> BoxFuture<'static, Result<(), ServeError>> {
    let router = http::routes::router(api, running.app.clone());
    serve_router(running, sockets, router, stop)
}

/// Serves a router that was put together already, as [`serve_until`] does.
///
/// # Errors
/// When the listener fails.
pub fn serve_router(
    running: Running,
    sockets: impl Into<Sockets>,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> BoxFuture<'static, Result<(), ServeError>> {
    serve_boxed(running, sockets.into(), router, Box::pin(stop))
}

fn serve_boxed(
    running: Running,
    sockets: Sockets,
    router: Router,
    stop: BoxFuture<'static, ()>,
) -> BoxFuture<'static, Result<(), ServeError>> {
    Box::pin(async move {
        let http = running.app.http().clone();
        http.readiness().advance(Phase::Ready);
        let realtime = running.app.realtime().clone();
        let served = http::run(sockets, router, http, stop, async move { realtime.drain().await }).await;
        running.stop().await;
        Ok(served?)
    })
}

/// Takes `http.listen` and `metrics.listen`; connections wait until somebody serves them.
///
/// # Errors
/// When an address cannot be listened on.
pub fn bind(settings: &Settings) -> BoxFuture<'_, Result<Sockets, ServeError>> {
    Box::pin(async move {
        let api = take(settings.http.listen, "--listen").await?;
        let metrics = match settings.metrics.listen {
            Some(address) => Some(take(address.0, "the setting metrics.listen").await?),
            None => None,
        };
        Ok(Sockets { api, metrics })
    })
}

async fn take(wanted: SocketAddr, chosen_with: &str) -> Result<TcpListener, ServeError> {
    TcpListener::bind(wanted).await.map_err(|error| {
        let (why, or) = match error.kind() {
            io::ErrorKind::AddrInUse => ("another process listens there".to_owned(), "stop it, or "),
            _ => (error.to_string(), ""),
        };
        ServeError::Unusable(format!("cannot listen on {wanted}: {why}; {or}choose another address with {chosen_with}"))
    })
}
