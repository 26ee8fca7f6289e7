//! Connections: accepted up to a bound, served over HTTP/1.1 with keep-alive, and finished before the process ends.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;

use super::addresses::{AddressPlace, Addresses};
use super::doorstep::{self, Left};
use super::layer::{new_id, shed};
use super::takeover::{self, LetGo, TakeOver, Word};
use super::wire::Watched;
use super::{HttpState, Phase, door, scrapes};
use crate::base::error::Error;
use crate::base::limits::http::{ACCEPT_PAUSE_MS, HEAD_BYTES_MAX, METRICS_UPKEEP_S, RETRY_AFTER_S};
use crate::config::Http;

/// Bytes of the problem that refuses a connection.
const REFUSAL_BYTES_MAX: usize = 4 << 10;

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

    let (guarded, connections_max) = (connections.at_the_door_of(&http), http.settings().connections_max);
    tokio::select! {
        () = guarded.accept(&listener, &router, http.settings(), connections_max, http.addresses()) => {}
        () = shutdown => {}
    }

    http.readiness().advance(Phase::Draining);
    drop(listener);
    let grace = Duration::from_secs(http.settings().shutdown_grace_s);
    let (cut_off, ()) = tokio::join!(connections.end(grace), leave);
    if cut_off > 0 {
        tracing::warn!(connections = cut_off, "requests were cut off: they took longer than http.shutdown_grace_s");
    }
    // What was begun for clients that have gone meanwhile.
    http.writes().close();
    if tokio::time::timeout(grace, http.writes().wait()).await.is_err() {
        tracing::warn!(requests = http.writes().len(), "requests did not end within http.shutdown_grace_s");
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
    pub(super) drain: CancellationToken,
    /// Mark of a drain, for who looks often; set before.
    is_draining: Arc<AtomicBool>,
    /// Let go at once.
    pub(super) cut: CancellationToken,
    /// The server at whose door requests are looked at before they are routed.
    http: Option<HttpState>,
}

impl Connections {
    /// Connections like these, whose requests come by the door of `http`.
    fn at_the_door_of(&self, http: &HttpState) -> Self {
        Self { http: Some(http.clone()), ..self.clone() }
    }

    /// Whether no further request is taken.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Accepts for ever. At `connections_max` further connections wait in the system's queue; an address that has as
    /// many as it may is told so.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
        router: &Router,
        settings: &Http,
        connections_max: usize,
        addresses: &Addresses,
    ) {
        let (places, stop) = (Arc::new(Semaphore::new(connections_max)), Arc::new(self.clone()));
        let head_timeout = Duration::from_secs(settings.head_timeout_s);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(head_timeout)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(HEAD_BYTES_MAX);
        let stall = Duration::from_secs(settings.write_stall_s);
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let Some(own) = addresses.enter(peer.ip()) else {
                        refuse(&stream).await;
                        continue;
                    };
                    let stream = Watched::new(stream, stall);
                    let (places, stop) = ((place, own), Arc::clone(&stop));
                    self.open.spawn(serve((builder.clone(), head_timeout), stream, peer, router.clone(), stop, places));
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

    /// Closes idle connections, gives the others `grace` to finish, and cuts off the rest; answers how many those were.
    pub(super) async fn end(&self, grace: Duration) -> usize {
        self.is_draining.store(true, Ordering::Release);
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

/// Tells a client that its address has as many connections as it may, as far as the socket takes it at once.
async fn refuse(stream: &TcpStream) {
    shed("connections_of_address");
    let reason = "too many connections of this address are open";
    let (mut parts, body) = Error::RateLimited { reason, retry_after_s: RETRY_AFTER_S }.into_response().into_parts();
    let Ok(body) = axum::body::to_bytes(body, REFUSAL_BYTES_MAX).await else { return };
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    parts.headers.insert(HeaderName::from_static("x-request-id"), new_id());
    let mut answer = takeover::head(&Response::from_parts(parts, ()));
    answer.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    answer.extend_from_slice(&body);
    // What is unread when a socket is closed resets it, and that could overtake the answer.
    let _ = stream.try_read(&mut [0; 4096]);
    let _ = stream.try_write(&answer);
}

async fn serve(
    (builder, head_timeout): (http1::Builder, Duration),
    mut stream: Watched,
    peer: SocketAddr,
    router: Router,
    stop: Arc<Connections>,
    places: (OwnedSemaphorePermit, AddressPlace),
) {
    if let Some(http) = stop.http.as_ref().filter(|http| http.door().is_some()) {
        match doorstep::stand(http, (&mut stream, peer), &stop, head_timeout).await {
            Left::Nothing => return,
            Left::Unread(bytes) => stream.unread(bytes),
        }
    }
    let word = Arc::new(Word::default());
    let left = Arc::clone(&word);
    let http = stop.http.clone();
    let service = service_fn(move |mut request: axum::http::Request<Incoming>| {
        if let Some(http) = &http {
            door::on_short_host(http, &mut request);
            if let Some(answer) = door::at_the_door(http, &request, peer) {
                return Either::Left(std::future::ready(Ok(answer)));
            }
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let (answer, word) = (router.clone().call(request), Arc::clone(&word));
        Either::Right(Box::pin(async move {
            let mut answer = answer.await?;
            if let Some(to) = answer.extensions_mut().remove::<TakeOver>() {
                word.leave(&answer, to);
                return std::future::pending().await;
            }
            Ok::<_, Infallible>(answer)
        }))
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
    drop(places);
}

/// Takes the socket out of the HTTP connection, whose buffers are freed, and hands it over. A client that asks for such
/// an answer while an earlier one is still being written gets only this one.
fn let_go<S>(connection: http1::Connection<TokioIo<Watched>, S>, head: Vec<u8>, to: &TakeOver)
where
    S: HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let parts = connection.into_parts();
    let (stream, unread) = parts.io.into_inner().into_parts();
    let leftover = if unread.is_empty() { parts.read_buf } else { [parts.read_buf, unread].concat().into() };
    match stream.into_std() {
        Ok(stream) => to.hand_over(LetGo { stream, head, leftover }),
        Err(error) => tracing::warn!(%error, "a connection could not be handed over"),
    }
}

/// Histograms keep raw samples until somebody folds them; scrapes may be rare or never come.
async fn fold_metrics(http: HttpState) {
    let mut tick = tokio::time::interval(Duration::from_secs(METRICS_UPKEEP_S));
    loop {
        tick.tick().await;
        http.metrics().run_upkeep();
    }
}
