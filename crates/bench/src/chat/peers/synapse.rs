//! Synapse on PostgreSQL: one process, as it is without workers, with a database of its own, for clients over loopback
//! alone.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::child::{ChildProcess, installed};
use super::postgres::{DATABASE, Postgres, USER};
use super::{Bench, BenchError, Result, machine};

/// Note of a row for which it lacks.
pub const MISSING: &str = "Synapse or PostgreSQL is not installed: scripts/peers installs both";
/// Mark of a whole installation, below the folder of what `scripts/peers` builds, and Python with Synapse beside it.
const WHOLE: &str = "synapse/whole";
const PYTHON: &str = "bin/python";
/// Key with which it signs: any.
const KEY: &str = "ed25519 a_bench AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
/// Settings of what it says of itself: failures alone.
const LOG: &str = "{version: 1, disable_existing_loggers: false, root: {level: ERROR, handlers: [out]}, \
    handlers: {out: {class: logging.StreamHandler}}}\n";
/// Program that tells its version.
const VERSION: &str = "import importlib.metadata as m; print(m.version('matrix-synapse'))";
/// Limits of how often somebody may do something.
const LIMITS: [&str; 8] = [
    "rc_message",
    "rc_registration",
    "rc_joins_per_room",
    "rc_room_creation",
    "rc_presence: {per_user",
    "rc_login: {address",
    "rc_joins: {local",
    "rc_invites: {per_user",
];

/// Longest time until it is idle, pause between two looks, and the part of it that an idle one may be busy.
const SETTLED_MAX: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const IDLE_PART: u32 = 20;

/// A running Synapse.
pub struct Synapse {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Names and versions of it and its database, and how durable a message is that it has answered.
    pub words: String,
    process: ChildProcess,
    database: Postgres,
    _folder: TempDir,
}

impl Synapse {
    /// Starts it, where it is installed.
    pub fn start(bench: &Bench) -> Result<Option<Self>> {
        let Some(python) = installed(WHOLE).map(|whole| whole.with_file_name(PYTHON)) else { return Ok(None) };
        let Some(database) = Postgres::start(bench)? else { return Ok(None) };
        let folder = bench.folder()?;
        // A port that was free a moment ago.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        fs::write(folder.path().join("key"), KEY)?;
        fs::write(folder.path().join("log"), LOG)?;
        fs::write(folder.path().join("settings"), configuration(folder.path(), address, database.address))?;
        let mut command = Command::new(&python);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null()).env("HOME", folder.path());
        command.args(["-m", "synapse.app.homeserver", "--config-path", "settings"]);
        let process = ChildProcess::start(&mut command, None)?;
        process.wait_until("Synapse", || TcpStream::connect(address).is_ok())?;
        let said = Command::new(&python).args(["-c", VERSION]).output()?;
        let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        let words = format!("Synapse {version} on {}, committed with an fsync before it answers", database.version);
        Ok(Some(Self { address, words, process, database, _folder: folder }))
    }

    /// Waits until what it does of itself, after very much was new to it, is done.
    pub fn settle(&self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < SETTLED_MAX {
            let before = self.spent();
            std::thread::sleep(LOOK_EVERY);
            if self.spent().saturating_sub(before) < LOOK_EVERY / IDLE_PART {
                return Ok(());
            }
        }
        Err(BenchError::Wrong(format!("Synapse was not idle after {} s", SETTLED_MAX.as_secs())))
    }

    /// Processor time that it and its database have used.
    pub fn spent(&self) -> Duration {
        machine::cpu_time_of_all(self.process.id()) + machine::cpu_time_of_all(self.database.process.id())
    }
}

/// Everybody registers themselves and makes rooms; nobody else's servers are talked to; nothing holds anybody up.
fn configuration(folder: &Path, address: SocketAddr, database: SocketAddr) -> String {
    let file = |name: &str| format!("{:?}", folder.join(name));
    let (key, log, media, pid) = (file("key"), file("log"), file("media"), file("pid"));
    let (port, database_port) = (address.port(), database.port());
    let limits: String = LIMITS.iter().map(|limit| unlimited(limit)).collect();
    format!(
        r#"server_name: localhost
public_baseurl: http://{address}/
pid_file: {pid}
listeners:
  - {{port: {port}, bind_addresses: [127.0.0.1], type: http, tls: false, resources: [{{names: [client], compress: false}}]}}
database:
  name: psycopg2
  args: {{user: {USER}, dbname: {DATABASE}, host: 127.0.0.1, port: {database_port}, cp_min: 5, cp_max: 10}}
log_config: {log}
signing_key_path: {key}
media_store_path: {media}
macaroon_secret_key: bench
form_secret: bench
report_stats: false
stats: {{enabled: false}}
user_directory: {{enabled: false}}
presence: {{enabled: false}}
federation_domain_whitelist: []
trusted_key_servers: []
enable_registration: true
enable_registration_without_verification: true
bcrypt_rounds: 4
caches: {{global_factor: 4.0}}
{limits}"#
    )
}

/// A line that lifts a limit, which may stand in a group.
fn unlimited(limit: &str) -> String {
    let end = if limit.contains('{') { "}" } else { "" };
    format!("{limit}: {{per_second: 1000000, burst_count: 1000000}}{end}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_lifted_alone_and_in_groups() {
        let lifted = "{per_second: 1000000, burst_count: 1000000}";
        assert_eq!(unlimited("rc_message"), format!("rc_message: {lifted}\n"));
        assert_eq!(unlimited("rc_joins: {local"), format!("rc_joins: {{local: {lifted}}}\n"));
    }
}
