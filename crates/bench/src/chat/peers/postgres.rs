//! PostgreSQL with a cluster in a folder of its own, for clients over loopback alone.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::child::ChildProcess;
use super::{Bench, BenchError, Result};

/// Folder in which Debian has one for each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// User and group as whom it runs where the bench is root, which it refuses to be.
const NOBODY: u32 = 65_534;
/// Rights of the bench's own folder that let others pass to what is theirs.
const PASSABLE: u32 = 0o711;
/// Name of its superuser.
pub const USER: &str = "synapse";
/// Name of the database that a cluster begins with.
pub const DATABASE: &str = "postgres";
/// Settings: as durable as it is by default, with more memory than that.
const SETTINGS: [&str; 8] = [
    "fsync=on",
    "synchronous_commit=on",
    "full_page_writes=on",
    "shared_buffers=1GB",
    "effective_cache_size=4GB",
    "max_wal_size=4GB",
    "random_page_cost=1.1",
    "unix_socket_directories=",
];

/// A running PostgreSQL.
pub struct Postgres {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Name and version.
    pub version: String,
    /// First of its processes.
    pub process: ChildProcess,
    _folder: TempDir,
}

/// Folder of the newest version's programs.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = newest(versions.filter(|path| path.join("bin/initdb").is_file()))?;
    Some(newest.join("bin"))
}

/// The folder whose name is the highest number.
fn newest(folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    let numbered = folders.filter_map(|path| Some((path.file_name()?.to_str()?.parse::<u32>().ok()?, path)));
    numbered.max_by_key(|(number, _)| *number).map(|(_, path)| path)
}

/// Name and version in what `postgres --version` says.
fn version(said: &str) -> String {
    let number = said.split("(PostgreSQL)").nth(1).and_then(|rest| rest.split_whitespace().next());
    format!("PostgreSQL {}", number.unwrap_or("?"))
}

impl Postgres {
    /// Makes a cluster and starts it, where it is installed.
    pub fn start(bench: &Bench) -> Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let folder = bench.folder()?;
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
            fs::set_permissions(bench.folder.path(), Permissions::from_mode(PASSABLE))?;
        }
        let data = folder.path().join("data");
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        initialise(command("initdb"), &data)?;
        // A port that was free a moment ago.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut server = command("postgres");
        server.arg("-D").arg(&data).args(["-h", &host, "-p", &port]);
        for setting in SETTINGS {
            server.args(["-c", setting]);
        }
        let mut stop = command("pg_ctl");
        stop.args(["stop", "--mode=immediate", "-D"]).arg(&data);
        let process = ChildProcess::start(&mut server, Some(stop))?;
        let is_ready = || command("pg_isready").args(["-h", &host, "-p", &port]).status().is_ok_and(|is| is.success());
        process.wait_until("PostgreSQL", is_ready)?;
        let said = Command::new(programs.join("postgres")).arg("--version").output()?;
        let version = version(&String::from_utf8_lossy(&said.stdout));
        Ok(Some(Self { address, version, process, _folder: folder }))
    }
}

/// Makes a cluster for whoever comes over loopback, sorted by bytes, as Synapse wants it.
fn initialise(mut initdb: Command, data: &Path) -> Result<()> {
    initdb.arg("-D").arg(data).args(["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    let made = initdb.stderr(Stdio::piped()).output()?;
    match made.status.success() {
        true => Ok(()),
        false => {
            let (said, data) = (String::from_utf8_lossy(&made.stderr), data.display());
            Err(BenchError::Wrong(format!("no cluster of PostgreSQL can be made in {data}: {said}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_highest_number() {
        let folders = ["/usr/lib/postgresql/9", "/usr/lib/postgresql/15", "/usr/lib/postgresql/x"].map(PathBuf::from);
        assert_eq!(newest(folders.into_iter()), Some(PathBuf::from("/usr/lib/postgresql/15")));
        assert_eq!(newest([PathBuf::from("/x")].into_iter()), None);
    }

    #[test]
    fn the_version_is_in_what_it_says() {
        assert_eq!(version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), "PostgreSQL 15.18");
        assert_eq!(version("nonsense"), "PostgreSQL ?");
    }
}
