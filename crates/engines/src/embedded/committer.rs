//! The committer: the only thread that writes to the store. What waits is committed as one group, with one fsync.
//!
//! While a group is synced the next one gathers, so the group grows with the load and nobody waits for a timer. It ends
//! with the first write that fails, for the files that were open then are not to be trusted; the keeper opens the store
//! again, with a committer of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::group::{Done, Group, Work};
use super::place::Place;
use super::store::{LOG_BYTES_MAX, Store};
use crate::DiskRoom;
use crate::limits::WRITE_BYTES_MAX;
use crate::ports::{EngineError, Table};

/// Calls that wait for the committer; beyond, callers wait to be let in.
const QUEUE_CALLS_MAX: usize = 4_096;
/// Kibibytes of writes that wait or are being committed: one largest write fits. Beyond, callers wait to be let in.
const QUEUE_KIB_MAX: u32 = (WRITE_BYTES_MAX / 1024) as u32 + 1;
/// Writes after which a group takes no further call.
const GROUP_WRITES_MAX: usize = 16_384;
/// Bytes after which a group takes no further call.
const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes that a write costs beside its keys and values, for the bounds here.
const WRITE_OVERHEAD_BYTES: usize = 64;
/// Groups between two looks at the size of the write-ahead log.
const LOG_CHECK_GROUPS: u64 = 4_096;

struct Request {
    work: Work,
    bytes: usize,
    answer: oneshot::Sender<Result<Done, EngineError>>,
    /// Held until answered.
    _room: OwnedSemaphorePermit,
}

/// The committer thread; dropping it waits until what was accepted is committed.
pub(super) struct Committer {
    /// `None` only while it is dropped.
    door: Option<Door>,
    thread: Option<JoinHandle<()>>,
}

/// Way in to a committer. Whoever waits holds this and nothing of the store.
#[derive(Clone)]
pub(super) struct Door {
    queue: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
}

impl Committer {
    /// Starts the thread; `failed` is called when it has ended because a write failed, and let go of the store.
    pub(super) fn start(
        store: Arc<Store>,
        place: &Place,
        failed: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self, EngineError> {
        let (queue, requests) = mpsc::channel(QUEUE_CALLS_MAX);
        let (disk, own) = (Arc::clone(&place.shared.room), place.own_table);
        let thread = std::thread::Builder::new()
            .name(place.thread.clone())
            .spawn(move || run(store, (&disk, own), requests, failed))
            .map_err(|error| EngineError::Unavailable(format!("cannot start a thread: {error}")))?;
        let room = Arc::new(Semaphore::new(QUEUE_KIB_MAX as usize));
        Ok(Self { door: Some(Door { queue, room }), thread: Some(thread) })
    }

    pub(super) fn door(&self) -> Result<Door, EngineError> {
        self.door.clone().ok_or_else(closed)
    }
}

fn closed() -> EngineError {
    EngineError::Closed("the engine was shut down".into())
}

impl Door {
    /// Hands work of `bytes` to the committer and waits until it is durable. A caller that stops waiting does not
    /// stop the work.
    pub(super) async fn submit(self, work: Work, bytes: usize) -> Result<Done, EngineError> {
        let bytes = bytes + work.len() * WRITE_OVERHEAD_BYTES;
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX).min(QUEUE_KIB_MAX);
        let room = self.room.acquire_many_owned(kib).await.map_err(|_| closed())?;
        let (answer, done) = oneshot::channel();
        self.queue.send(Request { work, bytes, answer, _room: room }).await.map_err(|_| over())?;
        drop(self.queue);
        done.await.map_err(|_| EngineError::Unknown("the committer stopped".into()))?
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.door = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the committer had panicked");
        }
    }
}

/// Room on the disk, and the table that is written without any.
type Room<'a> = (&'a DiskRoom, Option<Table>);

fn run(store: Arc<Store>, room: Room<'_>, mut requests: mpsc::Receiver<Request>, failed: impl FnOnce(String)) {
    let served = catch_unwind(AssertUnwindSafe(|| serve(&store, room, &mut requests)));
    let cause = match served {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the committer panicked".to_owned(),
    };
    // After a failed fsync the kernel may have dropped what it could not write, and a second fsync would say that all
    // is well; so nothing is acknowledged over these files again.
    requests.close();
    while let Some(request) = requests.blocking_recv() {
        let _ = request.answer.send(Err(over()));
    }
    drop(store);
    failed(cause);
}

fn over() -> EngineError {
    EngineError::Unavailable("a write to disk failed, and the store is being opened again".into())
}

/// Commits what comes until nothing comes any more, or a commit fails.
fn serve(store: &Store, (disk, own): Room<'_>, requests: &mut mpsc::Receiver<Request>) -> Result<(), fjall::Error> {
    let mut groups: u64 = 0;
    while let Some(first) = requests.blocking_recv() {
        let mut group = gather(first, requests);
        let bytes = group.iter().map(|request| request.bytes as u64).sum();
        if let Some(free_bytes) = disk.lacks(bytes) {
            group = without_room(group, own, free_bytes);
        }
        commit(store, group)?;
        groups += 1;
        if groups.is_multiple_of(LOG_CHECK_GROUPS) {
            watch_log(store);
        }
    }
    Ok(())
}

/// Refuses what adds something; answers the rest.
fn without_room(group: Vec<Request>, own: Option<Table>, free_bytes: u64) -> Vec<Request> {
    let (rest, refused): (Vec<_>, Vec<_>) = group.into_iter().partition(|request| request.work.only_frees(own));
    for request in refused {
        let left = format!("{} MiB of the disk are free", free_bytes / (1024 * 1024));
        let _ = request.answer.send(Err(EngineError::Full(left)));
    }
    rest
}

fn gather(first: Request, requests: &mut mpsc::Receiver<Request>) -> Vec<Request> {
    let (mut writes, mut bytes) = (first.work.len(), first.bytes);
    let mut group = vec![first];
    while writes < GROUP_WRITES_MAX
        && bytes < GROUP_BYTES_MAX
        && let Ok(request) = requests.try_recv()
    {
        writes += request.work.len();
        bytes += request.bytes;
        group.push(request);
    }
    group
}

/// Commits and answers. An error is one after which nothing may be acknowledged any more.
fn commit(store: &Store, requests: Vec<Request>) -> Result<(), fjall::Error> {
    let mut group = Group::new(store);
    let mut answers = Vec::with_capacity(requests.len());
    let mut failed = None;
    for Request { work, answer, _room: room, .. } in requests {
        let done = if failed.is_none() { group.add(work) } else { Ok(Done::Written) };
        failed = failed.or(done.as_ref().err().cloned());
        answers.push((answer, done, room));
    }
    if let Some(error) = failed {
        // A read failed before anything was written, so nothing happened to any of them. Only the one that met it
        // hears what it was: a row that is damaged is the trouble of whoever writes it, and the others come again.
        for (answer, done, _room) in answers {
            let cause = match done {
                Err(error @ EngineError::Corrupt(_)) => error,
                _ => EngineError::Unavailable(error.to_string()),
            };
            let _ = answer.send(Err(cause));
        }
        return Ok(());
    }
    let committed = group.commit();
    for (answer, done, _room) in answers {
        let done = match &committed {
            Ok(()) => done,
            // Found before anything was written: a flush or compaction had failed.
            Err(fjall::Error::Poisoned) => Err(over()),
            Err(error) => Err(EngineError::Unknown(error.to_string())),
        };
        let _ = answer.send(done); // a caller that went away needs no answer
    }
    committed
}

fn watch_log(store: &Store) {
    match store.db.journal_disk_space() {
        Ok(bytes) if bytes > 2 * LOG_BYTES_MAX => {
            tracing::warn!(bytes, bound = LOG_BYTES_MAX, "the write-ahead log outgrows its bound: flushes lag");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the size of the write-ahead log is not known"),
    }
}
