//! Child processes that end when the bench does: at its end, when it fails, and when it is told to stop.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare::base::output;
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};

use super::{BenchError, Result};

/// Longest time until a process is ready.
const READY_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Folder of what `scripts/peers` builds, below the home folder.
const BUILT_FOLDER: &str = ".cache/fanfare/peers";
/// Folders of servers in Debian, for shells that do not look there.
const MORE_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// Every process that was started and has not ended.
static RUNNING: Mutex<Vec<Arc<Mutex<Process>>>> = Mutex::new(Vec::new());

struct Process {
    child: Child,
    /// Command to run in place of a kill, for a process that has children of its own.
    stop: Option<Command>,
}

impl Process {
    fn end(&mut self) {
        let stopped = self.stop.take().is_some_and(|mut stop| stop.status().is_ok_and(|status| status.success()));
        if !stopped {
            // It may have ended by itself.
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// A running process, ended when dropped.
pub struct ChildProcess(Arc<Mutex<Process>>);

impl ChildProcess {
    /// Starts `command` without standard input. `stop` ends it in place of a kill.
    pub fn start(command: &mut Command, stop: Option<Command>) -> io::Result<Self> {
        Ok(Self::keep(command.stdin(Stdio::null()).spawn()?, stop))
    }

    /// Starts `command` with its standard input and output as pipes.
    pub fn start_talking(command: &mut Command) -> io::Result<Self> {
        Ok(Self::keep(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?, None))
    }

    fn keep(child: Child, stop: Option<Command>) -> Self {
        let process = Arc::new(Mutex::new(Process { child, stop }));
        RUNNING.lock().push(Arc::clone(&process));
        Self(process)
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.0.lock().child.id()
    }

    /// The process's standard input, if it is a pipe that nobody took.
    pub fn stdin(&self) -> Option<ChildStdin> {
        self.0.lock().child.stdin.take()
    }

    /// Asks the process to end (SIGTERM), and does not wait for it.
    pub fn terminate(&self) -> io::Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw);
        let id = id.ok_or_else(|| io::Error::other("not a process"))?;
        Ok(rustix::process::kill_process(id, rustix::process::Signal::TERM)?)
    }

    /// Whether the process is gone.
    pub fn has_ended(&self) -> io::Result<bool> {
        Ok(self.0.lock().child.try_wait()?.is_some())
    }

    /// The process's standard output, if it was piped.
    pub fn stdout(&self) -> Option<ChildStdout> {
        self.0.lock().child.stdout.take()
    }

    /// Waits until `is_ready`.
    pub fn wait_until(&self, what: &str, mut is_ready: impl FnMut() -> bool) -> Result<()> {
        let started = Instant::now();
        while !is_ready() {
            if let Some(status) = self.0.lock().child.try_wait()? {
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

impl Drop for ChildProcess {
    fn drop(&mut self) {
        self.0.lock().end();
        RUNNING.lock().retain(|process| !Arc::ptr_eq(process, &self.0));
    }
}

/// From now on SIGTERM and Ctrl-C end every process, remove `folder`, and then end this one.
pub fn end_on_signals(folder: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            let (Ok(mut terminate), Ok(mut interrupt)) =
                (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
            else {
                return;
            };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            for process in RUNNING.lock().drain(..) {
                process.lock().end();
            }
            if let Err(error) = std::fs::remove_dir_all(&folder) {
                output::note(format_args!("fanfare: {} is left behind: {error}", folder.display()));
            }
            std::process::exit(1);
        });
    })?;
    Ok(())
}

/// The path of an installed program.
pub fn installed(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&folders).chain(MORE_FOLDERS.iter().map(|folder| Path::new(folder).to_owned()));
    let built = std::env::var_os("HOME").map(|home| Path::new(&home).join(BUILT_FOLDER));
    folders.chain(built).map(|folder| folder.join(program)).find(|path| path.is_file())
}
