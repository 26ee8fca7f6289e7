//! Cuts at every step: a process that ends before or after each of its writes, and clients that hang up at
//! each. The server starts again over what was stored, and nothing half-made is in the way of anybody.

mod asleep;
mod chat;
mod consumers;
mod cursors;
mod deletion;
mod engines;
mod first_sight;
mod formats;
mod half;
mod hanging;
mod imports;
mod log;
mod storage;
mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fanfare::app::{self, App, Running};
use fanfare::base::clock::Clock;
use fanfare::base::logging;
use fanfare::config::Settings;
use fanfare::data::families::families;
use fanfare::data::tables;
use fanfare::http::OperatorTokens;
use fanfare::janitor::Janitor;
use fanfare::log::core::Attachments;
use fanfare::log::events::{Event, Record};
use fanfare::log::head::Head;
use fanfare::routes;
use fanfare::serve;
use fanfare_client::Client;
use fanfare_engines::{Batch, DiskRoom, Engines, NewFamily, Partition, Position, RowKey, memory};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::engines::{Blade, Written, cut};
use crate::world::quick;

/// Way in which a step is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The process ends before the write is done.
    KilledBefore,
    /// Killed after the write, which nobody hears of.
    KilledAfter,
    /// The client hangs up; the server goes on.
    HungUp,
    /// Storage goes away once the write is done.
    GoesAway,
}

/// A server with an address.
pub struct Served {
    app: App,
    anyone: Client,
    blade: Arc<Blade>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Served {
    async fn stop(self) {
        let Self { app, stop, served, .. } = self;
        drop(app);
        drop(stop);
        served.await.unwrap();
    }
}

/// Ends of a request.
pub const ENDS: [End; 3] = [End::KilledBefore, End::KilledAfter, End::HungUp];

/// Ground of a story: what is stored, and the servers that run over it one after the other.
pub struct Ground {
    stored: Engines,
    settings: Settings,
    folder: tempfile::TempDir,
    written: Arc<Mutex<Written>>,
    /// Free bytes of the disk, of which 100 are to stay free.
    free_bytes: Arc<AtomicU64>,
}

/// A server that can be cut off.
pub struct Life {
    /// Services of the server.
    pub app: App,
    running: Running,
    blade: Arc<Blade>,
}

impl Ground {
    /// Nothing is stored yet.
    pub fn new(change: impl FnOnce(&mut Settings)) -> Self {
        Self::of_partitions(1, change)
    }

    /// Nothing is stored yet, and each family has so many partitions.
    pub fn of_partitions(count: u16, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = quick();
        settings.server.data_dir = folder.path().to_owned();
        change(&mut settings);
        let all: Vec<_> = families(count).into_iter().map(|one| NewFamily { partitions: Some(count), ..one }).collect();
        let (stored, free_bytes) = (memory::open_families(&all).unwrap(), Arc::new(AtomicU64::new(u64::MAX)));
        Self { stored, settings, folder, written: Arc::default(), free_bytes }
    }

    /// A server over what is stored.
    pub async fn start(&self, clock: Clock) -> Life {
        let life = self.begin(clock).await.unwrap();
        // What every start writes is written before anything is counted.
        life.clean().await;
        life
    }

    /// A server over what is stored, if it starts.
    pub async fn begin(&self, clock: Clock) -> fanfare::base::error::Result<Life> {
        let blade = Arc::new(Blade::noting(&self.written));
        let tokens = OperatorTokens::open(self.folder.path()).unwrap();
        let log = logging::start(&self.settings.log.level, self.settings.log.format);
        let free_bytes = Arc::clone(&self.free_bytes);
        let room = Arc::new(DiskRoom::told_by(move || Some(free_bytes.load(Ordering::SeqCst)), 100));
        let engines = cut(Engines { room, ..self.stored.clone() }, &blade);
        let running = app::start(&self.settings, engines, &[7; 32], tokens, clock, log).await?;
        Ok(Life { app: running.app.clone(), running, blade })
    }

    /// Everything that ever happened.
    pub async fn records(&self) -> Vec<Record> {
        let (mut from, mut records) = (Position::START, Vec::new());
        loop {
            let found = self.stored.journal.read(Partition(0), from, 100).await.unwrap();
            from = found.next;
            if found.records.is_empty() {
                return records;
            }
            records.extend(found.records.iter().map(|one| serde_json::from_slice::<Record>(&one.payload).unwrap()));
        }
    }

    /// Every position in the log, from its beginning to its end.
    pub async fn positions(&self) -> Vec<Position> {
        let mut found = vec![Position::START];
        loop {
            let page = self.stored.journal.read(Partition(0), found[found.len() - 1], 1).await.unwrap();
            if page.records.is_empty() {
                return found;
            }
            found.push(page.next);
        }
    }

    /// The head of the log stands at `position` again, as a crash long ago would have left it; `times` such heads were
    /// put there before.
    pub async fn put_head_back(&self, position: Position, times: u64) {
        let mut batch = Batch::default();
        Head::new(position).write(Partition(0), &mut batch).unwrap();
        batch.rows[0].version = (1 << 40) + times;
        self.stored.tables.write(batch).await.unwrap();
    }

    /// Rows of records that are there, of all that were ever written; what nodes remember for themselves is left out.
    pub async fn rows(&self) -> BTreeMap<RowKey, Bytes> {
        let mut keys: Vec<RowKey> = self.written.lock().0.iter().cloned().collect();
        let of_nodes = [
            tables::META,
            tables::CHAT_META,
            tables::CLICKS_META,
            tables::CLICK_HEADS,
            tables::CLICK_SALTS,
            tables::LINK_KEEPER,
        ];
        keys.retain(|key| !of_nodes.contains(&key.table));
        let values = self.stored.tables.get_many(&keys).await.unwrap();
        keys.into_iter().zip(values).filter_map(|(key, value)| Some((key, value?))).collect()
    }

    /// Number of accounts that were ever made.
    pub async fn accounts(&self) -> usize {
        let records = self.records().await;
        records.iter().filter(|record| matches!(record.event, Event::UserCreated { .. })).count()
    }
}

impl Life {
    /// Does `asked`, cut off at the `step`th write from now; the answer, if one came, and whether there was such a
    /// write.
    pub async fn cut<T>(&self, end: End, step: usize, asked: impl Future<Output = T>) -> (Option<T>, bool) {
        self.blade.arm(end, step);
        let answer = tokio::select! {
            biased;
            () = self.blade.hang_up() => None,
            answer = asked => Some(answer),
        };
        (answer, self.blade.disarm())
    }

    /// The server answers under an address from now on.
    pub async fn serve(self) -> Served {
        let Self { app, running, blade } = self;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let anyone = Client::new(&format!("http://{}", listener.local_addr().unwrap()));
        let (stop, stopped) = oneshot::channel::<()>();
        let served = serve::serve_until(running, listener, routes::api(), async { drop(stopped.await) });
        let served = tokio::spawn(async { served.await.unwrap() });
        Served { app, anyone, blade, stop, served }
    }

    /// A round of the janitor.
    pub async fn clean(&self) {
        self.round().await.unwrap();
    }

    /// Does a round of the janitor, which may fail.
    pub async fn round(&self) -> fanfare::base::error::Result<()> {
        let media: Arc<dyn Attachments> = Arc::new(self.app.media().clone());
        let core = self.app.core().clone();
        let chat = self.app.chat().clone();
        let (links, clicks) = (self.app.links().clone(), self.app.clicks().clone());
        let janitor =
            Janitor { core, chat, media, links, clicks, journal_bytes_max: 1 << 30, handle_reserved_days: 90 };
        janitor.round().await
    }

    /// The server ends, in good order if it still can.
    pub async fn stop(self) {
        let Self { app, running, .. } = self;
        drop(app);
        running.stop().await;
    }
}
