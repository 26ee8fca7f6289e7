//! Child processes that end when the bench does, however it ends.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{BenchError, Result};

/// How long a process may take to be ready.
const READY_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Where Debian keeps servers, for shells that do not look there.
const MORE_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// A running process, killed when dropped.
pub struct Running {
    child: Child,
    /// What to run before it is killed, for processes that have children of their own.
    stop: Option<Command>,
}

impl Running {
    /// Starts `command` without standard input.
    pub fn start(command: &mut Command, stop: Option<Command>) -> io::Result<Self> {
        Ok(Self { child: command.stdin(Stdio::null()).spawn()?, stop })
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process's standard output, if it was piped.
    pub fn stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Waits until `is_ready`.
    pub fn wait_until(&mut self, what: &str, mut is_ready: impl FnMut() -> bool) -> Result<()> {
        let started = Instant::now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(BenchError::Wrong(format!("{what} ended before it was ready: {status}")));
            }
            if started.elapsed() > READY_MAX {
                return Err(BenchError::Wrong(format!("{what} was not ready after {} s", READY_MAX.as_secs())));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let stopped = self.stop.take().is_some_and(|mut stop| stop.status().is_ok_and(|status| status.success()));
        if !stopped {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// The path of an installed program.
pub fn installed(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&folders).chain(MORE_FOLDERS.iter().map(|folder| Path::new(folder).to_owned()));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}
