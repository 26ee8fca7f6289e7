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
use super::{HttpState, Phase};
use crate::limits::http::{ACCEPT_PAUSE_MS, HEAD_BYTES_MAX, METRICS_UPKEEP_S};

/// Serves `router` on `listener` until `shutdown` completes, then finishes what was accepted.
///
/// Shutdown: `/readyz` falls, no connection is accepted any more, idle ones are closed, requests under way get
/// `http.shutdown_grace_s` to finish, and what is left is cut off. `leave` runs meanwhile: what has taken connections
/// over lets them go.
pub async fn run(
    listener: TcpListener,
    router: Router,
    http: HttpState,
    shutdown: impl Future<Output = ()>,
    leave: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = Stop { drain: CancellationToken::new(), cut: CancellationToken::new() };
    let connections = TaskTracker::new();
    let upkeep = tokio::spawn(fold_metrics(http.clone()));

    tokio::select! {
        () = accept(&listener, &router, &http, &connections, &stop) => {}
        () = shutdown => {}
    }

    http.readiness.advance(Phase::Draining);
    drop(listener);
    stop.drain.cancel();
    connections.close();
    let grace = Duration::from_secs(http.settings.shutdown_grace_s);
    let (finished, ()) = tokio::join!(tokio::time::timeout(grace, connections.wait()), leave);
    if finished.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "requests were cut off: they took longer than http.shutdown_grace_s"
        );
        stop.cut.cancel();
        connections.wait().await;
    }
    // What was begun for clients that have gone meanwhile.
    http.writes.close();
    if tokio::time::timeout(grace, http.writes.wait()).await.is_err() {
        tracing::warn!(requests = http.writes.len(), "requests did not end within http.shutdown_grace_s");
    }
    upkeep.abort();
    Ok(())
}

/// How connections are told to end.
#[derive(Clone)]
struct Stop {
    /// Finish the request under way, take no other.
    drain: CancellationToken,
    /// Let go at once.
    cut: CancellationToken,
}

/// Accepts for ever. At `http.connections_max` further connections wait in the system's queue.
async fn accept(listener: &TcpListener, router: &Router, http: &HttpState, connections: &TaskTracker, stop: &Stop) {
    let places = Arc::new(Semaphore::new(http.settings.connections_max));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(http.settings.head_timeout_s))
        .max_buf_size(HEAD_BYTES_MAX);
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(serve(builder.clone(), stream, peer, router.clone(), stop.clone(), place));
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

async fn serve(
    builder: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    stop: Stop,
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
