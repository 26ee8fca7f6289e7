//! `fanfare serve`: takes its addresses, opens the data folder, and serves until it is told to stop.

use fanfare::base::clock::Clock;
use fanfare::base::logging::{self, LogControl};
use fanfare::base::output::say;
use fanfare::config::Settings;
use fanfare::http::{self, Sockets};
use fanfare::routes;
use fanfare::serve::{bind, open, serve_until};
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, block_on};

pub(super) fn run(settings: &Settings, accept_clock: bool) -> Result<(), Failure> {
    let log = logging::start(&settings.log.level, settings.log.format);
    raise_open_files();
    let clock = if accept_clock { Clock::accepted() } else { Clock::system() };
    block_on(settings, serve(settings, clock, log))
}

async fn serve(settings: &Settings, clock: Clock, log: LogControl) -> Result<(), Failure> {
    if settings.http.public_url.is_some() && settings.http.trusted_proxies.is_empty() {
        tracing::warn!(
            "http.public_url is set and http.trusted_proxies is not: if a proxy is in front of this server, name it there, \
             or all its clients count as one address"
        );
    }
    // The addresses first: who cannot be reached has no business in the data folder.
    let Sockets { api, metrics } = bind(settings).await?;
    let opening = open(settings, clock, log);
    let (api, running) = http::answer_while(api, &settings.http, opening).await?;
    let running = running?;
    let address = api.local_addr()?;
    // A server serves, whether or not anybody reads where.
    let _ = say(format_args!("Fanfare listens on http://{address} and explains itself at http://{address}/docs/"));
    if let Some(metrics) = &metrics {
        let _ = say(format_args!("Metrics need no token on http://{}/metrics", metrics.local_addr()?));
    }
    Ok(serve_until(running, Sockets { api, metrics }, routes::api(), stop_signal()).await?)
}

/// Every connection is an open file, and the usual soft limit is 1,024: the process takes what the hard limit allows.
fn raise_open_files() {
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

/// Completes at the first SIGTERM or Ctrl-C; a second one ends the process at once.
///
/// Signals are heard from the call on, not from the first poll: one that comes just then is not the default's to
/// handle.
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
