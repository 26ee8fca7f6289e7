//! The binary itself: started, killed, told to end.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fanfare_client::Client;

use crate::world::eventually;

/// Longest time that a process which was told to end may take.
const END_S: u64 = 60;

/// The binary, with hashes that take no time and nothing from outside.
pub fn fanfare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.env_remove("FANFARE_CONFIG").env("FANFARE__LOG__LEVEL", "warn");
    command.env("FANFARE__AUTH__ARGON2_MEMORY_KIB", "8").env("FANFARE__AUTH__ARGON2_ITERATIONS", "1");
    command
}

/// A server in a process of its own. Dropping it kills it.
pub struct Process {
    child: Child,
    /// A caller without a token.
    pub anyone: Client,
    /// Address that it listens on.
    pub address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts `fanfare serve` over `folder` with settings as environment, and waits until it is ready.
    pub async fn serve(folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::serve_telling(folder, settings, Stdio::inherit()).await
    }

    /// Starts a server whose log goes to `log`.
    pub async fn serve_telling(folder: &Path, settings: &[(&str, &str)], log: Stdio) -> Self {
        Self::serve_with(folder, &[], settings, log).await
    }

    /// Starts a server with further arguments.
    pub async fn serve_with(folder: &Path, args: &[&str], settings: &[(&str, &str)], log: Stdio) -> Self {
        let folder = folder.to_str().unwrap();
        let mut child = fanfare()
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder])
            .args(args)
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line =
            lines.find_map(|line| line.ok().filter(|line| line.contains("http://"))).expect("it says where it is");
        let address = line.split("http://").nth(1).unwrap().split(['/', ' ']).next().unwrap();
        let anyone = Client::new(&format!("http://{address}"));
        eventually("the process is ready", async || anyone.readyz().await.ok()).await;
        Self { child, anyone, address: address.to_owned() }
    }

    /// The most memory that it has had at once (`VmHWM`), in KiB.
    pub fn memory_peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Begins to count that anew.
    pub fn forget_memory_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM.
    pub fn tell_to_end(&self) {
        assert!(Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits for its end; its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(5)).await; // poll
            }
        };
        tokio::time::timeout(Duration::from_secs(END_S), ended).await.expect("it ends when it is told to")
    }
}
