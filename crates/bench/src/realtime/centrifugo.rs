//! Centrifugo with default settings: the same people with the same tokens, each subscribed to one channel.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use super::super::child::{ChildProcess, installed};
use super::client::CHANNEL;
use super::http::{ManyCalls, request};
use super::scene::SECRET;
use super::{Bench, Result};

/// Key of its API.
const API_KEY: &str = "bench";
/// Note of a row for which it lacks.
pub const MISSING: &str = "Centrifugo is not installed: scripts/peers builds it (needs Go)";

/// A running Centrifugo.
pub struct Centrifugo {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Version, as it calls itself.
    pub version: String,
    /// Process of the server.
    pub process: ChildProcess,
}

impl Centrifugo {
    /// Starts it, where it is installed.
    pub fn start(bench: &Bench) -> Result<Option<Self>> {
        let Some(program) = installed("centrifugo") else { return Ok(None) };
        let said = Command::new(&program).arg("version").output()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().nth(1).unwrap_or("?").trim_start_matches('v').to_owned();
        // A port that was free a moment ago.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let mut command = Command::new(&program);
        command.current_dir(bench.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(["--address", "127.0.0.1", "--port", &address.port().to_string()]);
        command.env("CENTRIFUGO_TOKEN_HMAC_SECRET_KEY", SECRET).env("CENTRIFUGO_API_KEY", API_KEY);
        let process = ChildProcess::start(&mut command, None)?;
        process.wait_until("Centrifugo", || TcpStream::connect(address).is_ok())?;
        Ok(Some(Self { address, version: format!("Centrifugo {version}"), process }))
    }

    /// Publishes `data` (JSON) to everybody `times` times, all requests at once.
    pub fn publish(&self, calls: &mut ManyCalls, data: &str, times: usize) -> Result<()> {
        let body = format!(r#"{{"channel":"{CHANNEL}","data":{data}}}"#);
        let one = request("POST", "/api/publish", &format!("x-api-key: {API_KEY}"), &body);
        calls.ask(&one, times)
    }
}
