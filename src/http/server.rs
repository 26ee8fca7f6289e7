//! Connections: accepted up to a bound, served over HTTP/1.1 with keep-alive, and finished before the process ends.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::takeover::{LetGo, TakeOver, Word};
use super::{HttpState, Phase, scrapes};
use crate::config::Http;
use crate::limits::http::{ACCEPT_PAUSE_MS, HEAD_BYTES_MAX, METRICS_UPKEEP_S};

/// The addresses that a server has taken; connections wait in them until somebody serves them.
#[derive(Debug)]
pub struct Sockets {
    /// `http.listen`: the API and everything else.
    pub api: TcpListener,
    /// `metrics.listen`: `/metrics` without a token.
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Sockets {
    fn from(api: TcpListener) -> Self {
        Self { api, metrics: None }
    }
}

/// Serves `router` on `sockets` until `shutdown` completes, then finishes what was accepted.
///
/// Shutdown: `/readyz` falls, no connection is accepted any more, idle ones are closed, requests under way get
/// `http.shutdown_grace_s` to finish, and what is left is cut off. `leave` runs meanwhile: what has taken connections
/// over lets them go. Metrics can be read until all of that is over.
pub async fn run(
    sockets: impl Into<Sockets>,
    router: Router,
    http: HttpState,
    shutdown: impl Future<Output = ()>,
    leave: impl Future<Output = ()>,
) -> io::Result<()> {
    let Sockets { api: listener, metrics } = sockets.into();
    let connections = Connections::default();
    let upkeep = tokio::spawn(fold_metrics(http.clone()));
    let over = CancellationToken::new();
    let scrapes = metrics.map(|listener| tokio::spawn(scrapes::serve(listener, http.clone(), over.clone())));

    tokio::select! {
        () = connections.accept(&listener, &router, &http.settings, http.settings.connections_max) => {}
        () = shutdown => {}
    }

    http.readiness.advance(Phase::Draining);
    drop(listener);
    let grace = Duration::from_secs(http.settings.shutdown_grace_s);
    let (cut_off, ()) = tokio::join!(connections.end(grace), leave);
    if cut_off > 0 {
        tracing::warn!(connections = cut_off, "requests were cut off: they took longer than http.shutdown_grace_s");
    }
    // What was begun for clients that have gone meanwhile.
    http.writes.close();
    if tokio::time::timeout(grace, http.writes.wait()).await.is_err() {
        tracing::warn!(requests = http.writes.len(), "requests did not end within http.shutdown_grace_s");
    }
    upkeep.abort();
    over.cancel();
    if let Some(Err(error)) = futures_util::future::OptionFuture::from(scrapes).await {
        tracing::warn!(%error, "the listener of metrics did not end well");
    }
    Ok(())
}

/// The connections of a listener, and how they are told to end.
#[derive(Clone, Default)]
pub(super) struct Connections {
    open: TaskTracker,
    /// Finish the request under way, take no other.
    drain: CancellationToken,
    /// Let go at once.
    cut: CancellationToken,
}

impl Connections {
    /// Accepts for ever. At `connections_max` further connections wait in the system's queue.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
        router: &Router,
        settings: &Http,
        connections_max: usize,
    ) {
        let places = Arc::new(Semaphore::new(connections_max));
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(settings.head_timeout_s))
            .max_buf_size(HEAD_BYTES_MAX);
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    self.open.spawn(serve(builder.clone(), stream, peer, router.clone(), self.clone(), place));
                }
                // The connection was gone before it was taken: the next one may be fine.
                Err(error)
                    if error.kind() == io::ErrorKind::ConnectionAborted
                        || error.kind() == io::ErrorKind::ConnectionReset => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted; raise the limit of open files (ulimit -n)");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                }
            }
        }
    }

    /// Completes when [`end`](Self::end) is called.
    pub(super) fn draining(&self) -> CancellationToken {
        self.drain.clone()
    }

    /// Closes idle connections, gives the others `grace` to finish, and cuts off the rest; answers how many those were.
    pub(super) async fn end(&self, grace: Duration) -> usize {
        self.drain.cancel();
        self.open.close();
        if tokio::time::timeout(grace, self.open.wait()).await.is_ok() {
            return 0;
        }
        let left = self.open.len();
        self.cut.cancel();
        self.open.wait().await;
        left
    }
}

async fn serve(
    builder: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: Connections,
    place: OwnedSemaphorePermit,
) {
    // Answers are small and complete: waiting for more bytes to fill a packet only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "TCP_NODELAY is not set");
    }
    let word = Arc::new(Word::default());
    let left = Arc::clone(&word);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answer, word) = (router.clone().call(request), Arc::clone(&word));
        Box::pin(async move {
            let mut answer = answer.await?;
            if let Some(to) = answer.extensions_mut().remove::<TakeOver>() {
                word.leave(&answer, to);
                return std::future::pending().await;
            }
            Ok::<_, Infallible>(answer)
        })
    });
    // Boxed, so that the connection can be taken apart.
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        (head, to) = left.left() => {
            let_go(*std::pin::Pin::into_inner(connection), head, &to);
            return;
        }
        () = stop.drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                // A request that was under way may still end in this.
                (head, to) = left.left() => {
                    let_go(*std::pin::Pin::into_inner(connection), head, &to);
                    return;
                }
                () = stop.cut.cancelled() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
    drop(place);
}

/// Takes the socket out of the HTTP connection, whose buffers are freed, and hands it over. A client that asks for such
/// an answer while an earlier one is still being written gets only this one.
fn let_go<S>(connection: http1::Connection<TokioIo<TcpStream>, S>, head: Vec<u8>, to: &TakeOver)
where
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let parts = connection.into_parts();
    match parts.io.into_inner().into_std() {
        Ok(stream) => to.hand_over(LetGo { stream, head, leftover: parts.read_buf }),
        Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
    }
}

/// Histograms keep raw samples until somebody folds them; scrapes may be rare or never come.
async fn fold_metrics(http: HttpState) {
    let mut tick = tokio::time::interval(Duration::from_secs(METRICS_UPKEEP_S));
    loop {
        tick.tick().await;
        http.metrics.run_upkeep();
    }
}
