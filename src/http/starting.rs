//! Answers while the server opens its data: it is alive, and not ready. The address is taken before anything is read,
//! so that clients and probes find an answer and not a queue.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::addresses::Addresses;
use super::server::Connections;
use super::{RequestId, routes};
use crate::base::error::Error;
use crate::base::limits::http::RETRY_AFTER_S;
use crate::config::Http;

/// Runs `work`, and meanwhile answers `/healthz` with 200 and everything else with 503 on `listener`, which is given
/// back.
///
/// Each of these answers ends its connection: the next request is for whoever serves the listener then. A connection
/// that was taken and has not sent its request when `work` is done keeps its answer too: some clients wait for ever on
/// one that is closed before they wrote.
///
/// # Errors
/// When the listener is lost.
pub async fn answer_while<T>(
    listener: TcpListener,
    settings: &Http,
    work: impl Future<Output = T>,
) -> std::io::Result<(TcpListener, T)> {
    let opened = CancellationToken::new();
    let accepting = accepting(listener, settings.clone(), opened.clone());
    let done = work.await;
    opened.cancel();
    Ok((accepting.await?, done))
}

/// A task of its own, until `opened`: what opens the data blocks its thread now and then.
fn accepting(listener: TcpListener, settings: Http, opened: CancellationToken) -> JoinHandle<TcpListener> {
    let (router, connections, addresses) = (router(), Connections::default(), Addresses::new(&settings, 0, true));
    tokio::spawn(async move {
        tokio::select! {
            () = connections.accept(&listener, &router, &settings, settings.connections_max, &addresses) => {}
            () = opened.cancelled() => {}
        }
        listener
    })
}

fn router() -> Router {
    let alive = async |id: RequestId| last(id, routes::Health::OK.into_response());
    let not_yet = async |id: RequestId| {
        let reason = "the server is starting";
        last(id, Error::Overloaded { reason, retry_after_s: RETRY_AFTER_S }.into_response())
    };
    Router::new().route("/healthz", get(alive)).fallback(not_yet)
}

fn last(id: RequestId, mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert(HeaderName::from_static("x-request-id"), id.into_header());
    answer
}
