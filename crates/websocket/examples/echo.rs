//! Sends back what it gets, through the server's own WebSocket codec: what the Autobahn suite talks to, see
//! `scripts/autobahn`. Not part of the server.
//!
//! `cargo run -p fanfare-websocket --example echo -- 127.0.0.1:9001`

use std::ops::ControlFlow;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use fanfare_websocket::{self as websocket, Deflater, Inflater, Message, Reader};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The suite's largest message is of 16 MiB.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// First byte of a frame: the opcode of text, and the bits that make it binary.
const TEXT_TO_BINARY: u8 = 0x01 ^ 0x02;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, Router::new().fallback(open)).await
}

async fn open(request: Request) -> Response {
    match websocket::accept(request.method(), request.version(), request.headers(), true, &[]) {
        Ok(accepted) => {
            let headers = accepted.headers();
            tokio::spawn(async move {
                if let Ok(upgraded) = hyper::upgrade::on(request).await {
                    // A client that goes is no error here.
                    let _ = echo(TokioIo::new(upgraded), accepted.deflate).await;
                }
            });
            (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
        }
        Err(refusal) => (StatusCode::BAD_REQUEST, refusal.headers(), refusal.to_string()).into_response(),
    }
}

async fn echo(mut socket: TokioIo<hyper::upgrade::Upgraded>, deflate: bool) -> std::io::Result<()> {
    let (mut reader, mut inflater, mut deflater) = (Reader::default(), Inflater::default(), Deflater::default());
    let (mut input, mut out) = (vec![0; 64 << 10], Vec::new());
    let mut open = true;
    while open {
        let read = socket.read(&mut input).await?;
        if read == 0 {
            return Ok(());
        }
        let inflater = deflate.then_some(&mut inflater);
        let fed = reader.feed(&mut input[..read], MESSAGE_BYTES_MAX, inflater, &mut |message| {
            match message {
                Message::Text(text) => message_back(&mut out, text.as_bytes(), 0, deflate, &mut deflater),
                Message::Binary(bytes) => message_back(&mut out, bytes, TEXT_TO_BINARY, deflate, &mut deflater),
                Message::Ping(bytes) => websocket::pong(&mut out, bytes),
                Message::Pong(_) => {}
                Message::Close(said) => {
                    websocket::close_reply(&mut out, said);
                    open = false;
                }
            }
            ControlFlow::Continue(())
        });
        if let Err(violation) = fed {
            websocket::close(&mut out, violation.close_code(), &violation.to_string());
            open = false;
        }
        socket.write_all(&out).await?;
        out.clear();
    }
    socket.shutdown().await
}

/// Appends a message; the server sends text only, so that binary takes other bits.
fn message_back(out: &mut Vec<u8>, bytes: &[u8], bits: u8, deflate: bool, deflater: &mut Deflater) {
    let at = out.len();
    if deflate {
        websocket::text_compressed(out, &[bytes], deflater);
    } else {
        websocket::text(out, &[bytes]);
    }
    out[at] ^= bits;
}
