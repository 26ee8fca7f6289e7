//! A link by WebSocket.

use fanfare_protocol::{ClientFrame, ServerFrame};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::header::AUTHORIZATION;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::ladder::Ended;
use super::link::{Signal, Target, status_says};
use super::sse::EVENT_BYTES_MAX;

/// Reads until the connection ends, and sends what comes by `outgoing`.
pub(super) async fn run(
    target: &Target,
    mut outgoing: mpsc::Receiver<ClientFrame>,
    signals: &mpsc::Sender<Signal>,
) -> Ended {
    let connected = timeout(target.options.first_byte, connect(target)).await;
    let mut socket = match connected {
        Ok(Ok(socket)) => socket,
        Ok(Err(ended)) => return ended,
        Err(_) => return Ended::NoFirstByte,
    };
    let (mut patience, mut open) = (target.options.first_byte, false);
    loop {
        let message = tokio::select! {
            message = timeout(patience, socket.next()) => message,
            Some(frame) = outgoing.recv() => {
                let text = serde_json::to_string(&frame).unwrap_or_default();
                match timeout(patience, socket.send(Message::text(text))).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return lost(&error),
                    Err(_) => return Ended::Silent,
                }
            }
        };
        let text = match message {
            Err(_) => return if open { Ended::Silent } else { Ended::NoFirstByte },
            Ok(None) => return Ended::Lost("the connection ended".to_owned()),
            Ok(Some(Err(error))) => return lost(&error),
            Ok(Some(Ok(Message::Text(text)))) => text,
            Ok(Some(Ok(Message::Close(frame)))) => return closed(frame.as_ref()),
            Ok(Some(Ok(Message::Binary(_)))) => return Ended::NotSpoken("a binary message".to_owned()),
            Ok(Some(Ok(_))) => continue,
        };
        let Ok(frame) = serde_json::from_str::<ServerFrame>(&text) else {
            return Ended::NotSpoken("a message that is no frame".to_owned());
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

async fn connect(target: &Target) -> Result<WebSocketStream<TcpStream>, Ended> {
    let path = target.path("/v1/realtime", true).await?;
    let not_spoken = |error: &dyn std::error::Error| Ended::NotSpoken(error.to_string());
    let (stream, authority) = target.client.connect().await?;
    let mut request = format!("ws://{authority}{path}").into_client_request().map_err(|error| not_spoken(&error))?;
    if let Some(token) = target.client.token.as_ref().filter(|_| !target.options.tickets) {
        request.headers_mut().insert(AUTHORIZATION, token.clone());
    }
    let config =
        WebSocketConfig::default().max_message_size(Some(EVENT_BYTES_MAX)).max_frame_size(Some(EVENT_BYTES_MAX));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => {
            let odd = || Ended::NotSpoken(answer.status().to_string());
            Err(status_says(answer.status(), answer.headers()).unwrap_or_else(odd))
        }
        Err(error) => Err(lost(&error)),
    }
}

fn lost(error: &Error) -> Ended {
    match error {
        Error::Io(_) | Error::ConnectionClosed | Error::AlreadyClosed => Ended::Lost(error.to_string()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake | ProtocolError::HandshakeIncomplete) => {
            Ended::Lost(error.to_string())
        }
        _ => Ended::NotSpoken(error.to_string()),
    }
}

/// The contract's close codes.
fn closed(frame: Option<&CloseFrame>) -> Ended {
    let Some(frame) = frame else { return Ended::Lost("closed without a code".to_owned()) };
    match u16::from(frame.code) {
        1001 => Ended::ClosedByServer,
        4400 | 4403 | 1002 | 1003 | 1007 | 1008 | 1009 => Ended::Forbidden(format!("{}: {}", frame.code, frame.reason)),
        4401 => Ended::Unauthenticated,
        4408 => Ended::TooSlow,
        4429 => Ended::Crowded(None),
        code => Ended::Lost(format!("closed with {code}: {}", frame.reason)),
    }
}
