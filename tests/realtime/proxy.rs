//! A network in one's own hands: a TCP proxy before the server that cuts, holds back, freezes, refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// Bytes that the proxy's sockets take from the server before it feels that nobody reads.
const BUFFER_BYTES: u32 = 4 << 10;
/// Bytes of a request's head that are looked at.
const HEAD_BYTES: usize = 4 << 10;

/// State of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Weather {
    /// Address of the server now; `None`: nobody answers.
    backend: Option<SocketAddr>,
    /// Nobody comes through, as in a tunnel.
    closed: bool,
    /// Connections made before this many cuts are closed.
    cuts: u64,
    /// Connections made before this many freezes move no byte any more, and are not closed either.
    freezes: u64,
    /// Nothing comes from the server; what it sends stays with it.
    held: bool,
    /// Milliseconds that every piece takes.
    delay_ms: u64,
    /// WebSockets are refused.
    plain: bool,
}

/// The proxy; dropping it closes everything.
pub struct Proxy {
    pub base: String,
    weather: watch::Sender<Weather>,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (backend, closed, cuts, freezes) = (None, false, 0, 0);
        let fair = Weather { backend, closed, cuts, freezes, held: false, delay_ms: 0, plain: false };
        let (weather, watched) = watch::channel(fair);
        tokio::spawn(async move {
            let mut over = watched.clone();
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((client, _)) = accepted {
                        tokio::spawn(carry(client, watched.clone()));
                    },
                    end = ended(&mut over) => return end,
                }
            }
        });
        Self { base, weather }
    }

    pub fn set_backend(&self, backend: Option<SocketAddr>) {
        self.weather.send_modify(|weather| weather.backend = backend);
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Leaves every connection half open: nobody hears of the other any more. New ones are fine.
    pub fn freeze(&self) {
        self.weather.send_modify(|weather| weather.freezes += 1);
    }

    /// Holds back what the server sends, or lets it go.
    pub fn hold(&self, held: bool) {
        self.weather.send_modify(|weather| weather.held = held);
    }

    /// Closes every connection and takes no new one, or opens again.
    pub fn close(&self, closed: bool) {
        self.weather.send_modify(|weather| {
            weather.closed = closed;
            weather.cuts += u64::from(closed);
        });
    }

    pub fn delay(&self, delay_ms: u64) {
        self.weather.send_modify(|weather| weather.delay_ms = delay_ms);
    }

    /// Refuses WebSockets, or lets them pass.
    pub fn refuse_websockets(&self, plain: bool) {
        self.weather.send_modify(|weather| weather.plain = plain);
    }
}

/// Waits for the proxy to be dropped.
async fn ended(watched: &mut watch::Receiver<Weather>) {
    while watched.changed().await.is_ok() {}
}

async fn carry(mut client: TcpStream, watched: watch::Receiver<Weather>) {
    let weather = watched.borrow().clone();
    let Some(backend) = weather.backend.filter(|_| !weather.closed) else { return };
    let _ = client.set_nodelay(true);
    let mut head = vec![0; HEAD_BYTES];
    if weather.plain {
        let Ok(length) = client.read(&mut head).await else { return };
        head.truncate(length);
        if String::from_utf8_lossy(&head).to_ascii_lowercase().contains("upgrade: websocket") {
            let refusal = "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            let _ = client.write_all(refusal.as_bytes()).await;
            return;
        }
    } else {
        head.clear();
    }
    let Ok(socket) = TcpSocket::new_v4() else { return };
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let Ok(mut server) = socket.connect(backend).await else { return };
    let _ = server.set_nodelay(true);
    if server.write_all(&head).await.is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let born = Arc::new(weather);
    let mut over = watched.clone();
    let up = pump(from_client, to_server, watched.clone(), Arc::clone(&born), false);
    let down = pump(from_server, to_client, watched, Arc::clone(&born), true);
    tokio::select! {
        // Both ways end together: neither side here half-closes.
        () = up => {}
        () = down => {}
        () = async { drop(over.wait_for(|now| now.cuts > born.cuts).await) } => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut watched: watch::Receiver<Weather>,
    born: Arc<Weather>,
    downwards: bool,
) {
    let mut buffer = vec![0; BUFFER_BYTES as usize];
    loop {
        let still = |now: &Weather| now.freezes == born.freezes && !(downwards && now.held);
        if watched.wait_for(still).await.is_err() {
            return;
        }
        let length = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length) if length > 0 => length,
                _ if watched.borrow().freezes > born.freezes => continue,
                _ => return,
            },
            changed = watched.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let delay_ms = watched.borrow().delay_ms;
        if delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await; // poll: a slow network
        }
        // What was read is lost in a freeze, as it would be on a dead wire.
        if watched.borrow().freezes == born.freezes && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
