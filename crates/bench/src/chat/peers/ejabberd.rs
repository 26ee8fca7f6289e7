//! ejabberd with its archive on disk: a node of its own in a folder of its own, for clients over loopback alone.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::child::{ChildProcess, installed};
use super::{Bench, Result};

/// Note of a row for which it lacks.
pub const MISSING: &str = "ejabberd is not installed: scripts/peers installs it";
/// Folder below which Debian has its code, in one of its own for the kind of processor.
const LIBRARIES: &str = "/usr/lib";

/// Store of the archive.
#[derive(Debug, Clone, Copy)]
pub enum Archive {
    /// A file of SQLite, as it is set up by default.
    Sqlite,
    /// Erlang's own store, which is the default.
    Mnesia,
}

impl Archive {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mnesia, Self::Sqlite];

    /// Durability of a message that was delivered, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Sqlite => "archive in SQLite, each row synced before it goes on",
            Self::Mnesia => "archive in Mnesia on disk, written in the background and never synced",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sql",
            Self::Mnesia => "mnesia",
        }
    }
}

/// A running ejabberd.
pub struct Ejabberd {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Name and version.
    pub version: String,
    /// Process of the server.
    pub process: ChildProcess,
    _folder: TempDir,
}

/// Folder of its code, and its version.
fn code() -> Option<(PathBuf, String)> {
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let versions = folders(Path::new(LIBRARIES)).flat_map(|machine| folders(&machine));
    versions.into_iter().find_map(|path| {
        let version = path.file_name()?.to_str()?.strip_prefix("ejabberd-")?.to_owned();
        let code = path.join("ebin");
        code.join("ejabberd.app").is_file().then_some((code, version))
    })
}

impl Ejabberd {
    /// Starts it, where it is installed.
    pub fn start(bench: &Bench, archive: Archive) -> Result<Option<Self>> {
        let (Some(program), Some((code, version))) = (installed("erl"), code()) else { return Ok(None) };
        let folder = bench.folder()?;
        // A port that was free a moment ago.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let settings = folder.path().join("ejabberd.yml");
        fs::write(&settings, configuration(folder.path(), address, archive))?;
        let mut command = Command::new(program);
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env("EJABBERD_CONFIG_PATH", &settings).env("EJABBERD_LOG_PATH", folder.path().join("ejabberd.log"));
        command.env("HOME", folder.path()).args(["-noinput", "+K", "true", "-pa"]).arg(code);
        command.arg("-mnesia").arg("dir").arg(format!("{:?}", folder.path().join("mnesia"))).args(["-s", "ejabberd"]);
        let process = ChildProcess::start(&mut command, None)?;
        process.wait_until("ejabberd", || TcpStream::connect(address).is_ok())?;
        Ok(Some(Self { address, version: format!("ejabberd {version}"), process, _folder: folder }))
    }
}

/// Everybody registers themselves and makes rooms; whatever is said is archived; nothing holds anybody up.
fn configuration(folder: &Path, address: SocketAddr, archive: Archive) -> String {
    let (port, archive, file) = (address.port(), archive.name(), folder.join("archive.db"));
    format!(
        r#"hosts: [localhost]
loglevel: error
default_db: mnesia
sql_type: sqlite
sql_database: {file:?}
auth_method: [mnesia]
auth_password_format: plain
registration_timeout: infinity
listen:
  - port: {port}
    ip: 127.0.0.1
    module: ejabberd_c2s
    backlog: 4096
    max_stanza_size: 65536
    shaper: none
    access: all
modules:
  mod_register: {{ip_access: all, access: all, password_strength: 0}}
  mod_mam: {{default: always, db_type: {archive}, assume_mam_usage: true}}
  mod_muc:
    access_create: all
    default_room_options: {{mam: true, persistent: false, anonymous: false, public: false}}
    history_size: 0
    max_user_conferences: 1000
    max_users: 1000
    min_message_interval: 0
    min_presence_interval: 0
"#
    )
}
