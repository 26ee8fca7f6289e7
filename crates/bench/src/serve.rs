//! `fanfare serve` as a child process, from the binary that runs or from another one.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use super::child::ChildProcess;
use super::{BenchError, Result};

/// A server on a folder of its own.
pub struct Server {
    /// Address that it listens on.
    pub address: SocketAddr,
    /// Process of the server.
    pub process: ChildProcess,
}

impl Server {
    /// Starts one on `folder`, with default settings but for `settings` (names and values of the environment), and
    /// waits until it listens. Without `address` on a free port.
    pub fn start(folder: &Path, address: Option<SocketAddr>, settings: &[(&str, String)]) -> Result<Self> {
        Self::of(&std::env::current_exe()?, folder, address, settings)
    }

    /// Starts the server of another binary on `folder`, with default settings, on a free port.
    pub fn start_program(program: &Path, folder: &Path) -> Result<Self> {
        Self::of(program, folder, None, &[])
    }

    fn of(program: &Path, folder: &Path, address: Option<SocketAddr>, settings: &[(&str, String)]) -> Result<Self> {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FANFARE_") {
                command.env_remove(name);
            }
        }
        let listen = address.map_or_else(|| "127.0.0.1:0".to_owned(), |address| address.to_string());
        command.args(["serve", "--listen", &listen, "--data-dir"]).arg(folder);
        command.env("FANFARE__LOG__LEVEL", "error").stdout(Stdio::piped());
        command.envs(settings.iter().map(|(name, value)| (*name, value)));
        let process = ChildProcess::start(&mut command, None)?;
        let silent = || BenchError::Wrong("the server did not say where it listens".to_owned());
        let mut lines = BufReader::new(process.stdout().ok_or_else(silent)?).lines();
        let line = lines.find_map(|line| line.ok().filter(|line| line.contains("http://"))).ok_or_else(silent)?;
        let address = line.split("http://").nth(1).and_then(|rest| rest.split([' ', '/']).next());
        let address = address.and_then(|address| address.parse().ok()).ok_or_else(silent)?;
        // It listens by now: requests wait for it to be ready.
        Ok(Self { address, process })
    }
}
