//! The server of a run: in this process, where ends are graceful, or in one of its own, where it can be killed.

use std::net::SocketAddr;
use std::path::Path;

use fanfare_client::Client;
use fanfare_protocol::{Id, NewUser};

use crate::process::Process;
use crate::world::{PASSWORD, World};

/// Settings of a server in a process of its own, as those that [`inside`] gives.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("FANFARE__REALTIME__HEARTBEAT_S", "1"),
    ("FANFARE__REALTIME__BULK_DELAY_MS", "20"),
    ("FANFARE__REALTIME__DRAIN_SPREAD_S", "0"),
    ("FANFARE__REALTIME__SESSIONS_PER_USER_MAX", "1000"),
    ("FANFARE__REALTIME__SESSION_BYTES_MAX", "16384"),
    ("FANFARE__STORAGE__CACHE_BYTES", "1048576"),
];

pub enum Server {
    Inside(Box<World>),
    Apart { folder: tempfile::TempDir, partitions: u16, process: Option<Box<Process>> },
}

/// Starts a server in a process of its own, over a folder with so many partitions of people.
async fn serve(folder: &Path, partitions: u16) -> Option<Box<Process>> {
    let count = partitions.to_string();
    let more = ("FANFARE__CLUSTER__PARTITIONS", count.as_str());
    let settings: Vec<(&str, &str)> = ENVIRONMENT.into_iter().chain([more]).collect();
    Some(Box::new(Process::serve(folder, &settings).await))
}

impl Server {
    pub async fn inside(partitions: u16) -> Self {
        let world = World::with(|settings| {
            settings.cluster.partitions = partitions;
            let realtime = &mut settings.realtime;
            (realtime.heartbeat_s, realtime.bulk_delay_ms, realtime.drain_spread_s) = (1, 20, 0);
            (realtime.sessions_per_user_max, realtime.session_bytes_max) = (1_000, 16 << 10);
        });
        Self::Inside(Box::new(world.await))
    }

    pub async fn apart(partitions: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let process = serve(folder.path(), partitions).await;
        Self::Apart { folder, partitions, process }
    }

    /// A caller without a token; `None` while the server is down.
    pub fn anyone(&self) -> Option<Client> {
        match self {
            Self::Inside(world) => Some(world.anyone.clone()),
            Self::Apart { process, .. } => process.as_ref().map(|process| process.anyone.clone()),
        }
    }

    /// Address that it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.anyone().map(|anyone| anyone.base().trim_start_matches("http://").parse().unwrap())
    }

    /// Somebody new: id and token.
    pub async fn person(&self, handle: &str) -> (Id, String) {
        let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
        let session = self.anyone().unwrap().register(&new).await.unwrap();
        (session.user.id, session.token)
    }

    /// SIGKILL; the server in this process cannot be killed.
    pub fn kill(&mut self) {
        if let Self::Apart { process, .. } = self
            && let Some(process) = process.take()
        {
            process.kill();
        }
    }

    /// Ends it as an operator would, or does nothing when it was killed, and starts it again over the same folder.
    pub async fn restart(&mut self) {
        match self {
            Self::Inside(world) => world.restart(&mut []).await,
            Self::Apart { folder, partitions, process } => {
                if let Some(running) = process {
                    running.tell_to_end();
                    running.ended().await;
                }
                *process = None;
                *process = serve(folder.path(), *partitions).await;
            }
        }
    }
}
