//! `fanfare serve`: opens the data folder, listens, and serves until it is told to stop.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_protocol::Code;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use utoipa_axum::router::OpenApiRouter;

use super::{Failure, block_on};
use crate::config::Settings;
use crate::error::Error;
use crate::http::{self, AdminToken, Authenticate, Caller, HttpState, Phase};
use crate::logging;

pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    let _log = logging::start(&settings.log);
    block_on(settings, serve(settings))
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let data_dir = &settings.server.data_dir;
    let admin = AdminToken::open(data_dir).map_err(|error| {
        Failure::Failed(format!("{}: {error}; choose a folder you can write with --data-dir", data_dir.display()))
    })?;
    let listener = listen(settings).await?;
    let http = HttpState::new(settings, Arc::new(NoAccounts), admin);
    let router = http::routes::router(OpenApiRouter::new(), http.clone());
    http.readiness.advance(Phase::Ready);
    http::run(listener, router, http, stop_signal()).await?;
    Ok(())
}

/// Binds `http.listen` and says where the server can be reached.
async fn listen(settings: &Settings) -> Result<TcpListener, Failure> {
    let wanted = settings.http.listen;
    let listener = TcpListener::bind(wanted).await.map_err(|error| {
        Failure::Failed(format!("cannot listen on {wanted}: {error}; choose another address with --listen"))
    })?;
    let address = listener.local_addr()?;
    println!("Fanfare listens on http://{address} and explains itself at http://{address}/docs/");
    Ok(listener)
}

/// Completes at the first SIGTERM or Ctrl-C; a second one ends the process at once.
async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
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

/// Knows nobody, until the accounts are there.
struct NoAccounts;

#[async_trait]
impl Authenticate for NoAccounts {
    async fn authenticate(&self, _bearer: &str) -> Result<Caller, Error> {
        Err(Error::refused(Code::Unauthenticated, "the token is unknown or has ended; log in again"))
    }
}
