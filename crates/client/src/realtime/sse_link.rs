//! A link by server-sent events, over a connection of its own.

use bytes::Bytes;
use fanfare_protocol::ServerFrame;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ladder::Ended;
use super::link::{Signal, Target, answer_says};
use super::sse::{Item, Parser};
use crate::Answer;

/// Bytes of a refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// The task that moves the connection's bytes; dropping this ends it.
struct Carrier(JoinHandle<()>);

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Reads until the stream ends.
pub(super) async fn run(target: &Target, signals: &mpsc::Sender<Signal>) -> Ended {
    let (mut body, _carrier) = match timeout(target.options.first_byte, connect(target)).await {
        Ok(Ok((answer, carrier))) => (answer.into_body(), carrier),
        Ok(Err(ended)) => return ended,
        Err(_) => return Ended::NoFirstByte,
    };
    let (mut patience, mut open) = (target.options.first_byte, false);
    let (mut parser, mut items) = (Parser::default(), Vec::new());
    loop {
        let bytes = match timeout(patience, body.frame()).await {
            Err(_) => return if open { Ended::Silent } else { Ended::NoFirstByte },
            Ok(None) => return Ended::Lost("the stream ended".to_owned()),
            Ok(Some(Err(error))) => return Ended::Lost(error.to_string()),
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        };
        if parser.feed(&bytes, &mut items).is_err() {
            return Ended::NotSpoken("an endless event".to_owned());
        }
        for item in items.drain(..) {
            let Item::Event { data, .. } = item else { continue };
            let Ok(frame) = serde_json::from_str::<ServerFrame>(&data) else {
                return Ended::NotSpoken("an event that is no frame".to_owned());
            };
            if !open && frame.kind == "hello" {
                open = true;
                let heartbeat_s = frame.data.as_ref().and_then(|data| data.get("heartbeat_s")?.as_u64());
                patience = target.silence(heartbeat_s.unwrap_or_default());
            }
            if signals.send(Signal::Frame(Box::new(frame))).await.is_err() {
                return Ended::Lost("nobody listens".to_owned());
            }
        }
    }
}

async fn connect(target: &Target) -> Result<(Response<Incoming>, Carrier), Ended> {
    let path = target.path("/v1/realtime/sse", false).await?;
    let (stream, authority) = target.client.connect().await?;
    let lost = |error: hyper::Error| Ended::Lost(error.to_string());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    let carrier = Carrier(tokio::spawn(async { drop(connection.await) }));
    let mut request = Request::get(path).header(HOST, authority).header(ACCEPT, "text/event-stream");
    request = request.header(CACHE_CONTROL, "no-store");
    if let Some(cursor) = &target.cursor {
        request = request.header("last-event-id", cursor);
    }
    if let Some(token) = target.client.token.as_ref().filter(|_| !target.options.tickets) {
        request = request.header(AUTHORIZATION, token);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| Ended::NotSpoken(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(lost)?;
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if answer.status() == StatusCode::OK && kind.starts_with("text/event-stream") {
        return Ok((answer, carrier));
    }
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, REFUSAL_BYTES_MAX).collect().await;
    let body = body.map_err(|error| Ended::Lost(error.to_string()))?.to_bytes();
    Err(answer_says(&Answer { status: head.status, headers: head.headers, body }))
}
