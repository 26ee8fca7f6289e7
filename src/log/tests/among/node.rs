//! A node of a history: its own caches, feed, owners and ears over the engines that all share.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_engines::{Bus, Engines, Partition};
use fanfare_protocol::Id;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, spawn_local};

use super::{GROUP_AFTER, Lacks, NOW_MS};
use crate::app;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::data::families;
use crate::data::storage::Storage;
use crate::data::store::Store;
use crate::feed::{Feed, FeedListener, FeedSettings, PolicyStamp};
use crate::follows::listener::FollowListener;
use crate::log::counters::CounterListener;
use crate::log::handle::{Log, LogSetup};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::product::{Committed, Listener, Product};
use crate::log::spread::Spread;
use crate::log::taken::Crossing;
use crate::log::takers::Takers;
use crate::nodes::exchange;
use crate::nodes::roster::HeardRoster;
use crate::posts::listener::PostListener;
use crate::users::listener::AccountListener;

/// Records that the views of one life of a node heard of.
#[derive(Default)]
pub(super) struct View {
    /// Ids up to which rows were there already, by partition.
    pub(super) from: Mutex<BTreeMap<u16, Id>>,
    /// In the order in which they were told.
    pub(super) told: Mutex<Vec<Id>>,
    /// Horizons that were shown, each with the number of records that were told by then.
    pub(super) shown: Mutex<Vec<(Id, usize)>>,
}

struct ViewListener(Arc<View>);

impl Listener for ViewListener {
    fn committed(&self, committed: &[Committed], _horizon: Id) {
        self.0.told.lock().extend(committed.iter().map(|one| one.record.id));
    }
}

/// A process.
pub(super) struct Node {
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) store: Arc<Store>,
    pub(super) feed: Feed,
    pub(super) view: Arc<View>,
    pub(super) storage: Storage,
    tasks: Vec<JoinHandle<()>>,
    owners: Vec<JoinHandle<()>>,
}

/// Feed in which every seam is crossed: few posts in memory, and authors who are pulled.
fn feed_over(store: &Arc<Store>, clock: &Clock) -> Feed {
    let settings = FeedSettings {
        timeline_cap: 6,
        timeline_shards: 2,
        recents_per_author: 3,
        push_below: 2,
        pull_above: 4,
        flip_interval_ms: 0,
        push_slice: 1,
        ..FeedSettings::default()
    };
    let clock = clock.clone();
    Feed::new(settings, store.clone(), store.clone(), move || clock.now_ms())
}

/// Caches and a feed that know nothing yet, over `engines`.
pub(super) async fn blank(engines: &Engines, clock: &Clock, horizon: Id) -> Result<(Arc<Store>, Feed)> {
    let store = Arc::new(Store::new(engines.clone(), clock.clone()));
    let feed = feed_over(&store, clock);
    store.load_layout().await?;
    feed.settle(horizon);
    feed.warm_up(&store, clock.now_ms()).await?;
    Ok((store, feed))
}

impl Node {
    pub(super) async fn open(
        number: usize,
        clock: Clock,
        (engines, bus): (Engines, Arc<dyn Bus>),
        (spread, roster, lacks): (Spread, Arc<HeardRoster>, Lacks),
    ) -> Result<Self> {
        let (storage, horizon, view) = (Storage::default(), Horizon::default(), Arc::new(View::default()));
        if lacks == Lacks::LowestHorizon {
            horizon.show_the_highest();
        }
        let store = Arc::new(Store::new(engines.clone(), clock.clone()));
        let feed = feed_over(&store, &clock);
        let setup = LogSetup {
            clock: clock.clone(),
            numbers: Numbers::of_node(number as u16),
            storage: storage.clone(),
            roster,
            horizon: horizon.clone(),
        };
        let mut products = app::products_over(spread, GROUP_AFTER).0;
        products.extend([
            Product::listens(CounterListener(Arc::clone(&store))),
            Product::listens(AccountListener(Arc::clone(&store))),
            Product::listens(FollowListener(Arc::clone(&store))),
            Product::listens(PostListener(Arc::clone(&store))),
            Product::listens(FeedListener(feed.clone())).prepares(PolicyStamp(feed.clone())),
            Product::listens(ViewListener(Arc::clone(&view))),
        ]);
        let (log, taken) = Log::take_over(&engines, &products, setup).await?;
        for partition in spread.partitions() {
            let settled = log.crossing(partition)?.settled();
            view.from.lock().insert(partition.0, settled);
        }
        if lacks == Lacks::Numbers {
            log.take_twice();
        }
        store.load_layout().await?;
        feed.settle(log.shown());
        feed.warm_up(&store, clock.now_ms()).await?;
        let mint = log.minting();
        let owners = taken.each.into_iter();
        let owners = owners.map(|(owner, queue)| spawn_local(owner.run(queue, mint.clone()))).collect();
        let takers = Takers::new(log.clone(), &engines, &products);
        let mut tasks = vec![spawn_local(log.clone().keep_up())];
        if let Some(hearing) = log.hearing() {
            if lacks == Lacks::SettledSigns {
                hearing.believe_the_log();
            }
            tasks.push(spawn_local(exchange(bus, families::SOCIAL.name, hearing.clone())));
        }
        tasks.push(spawn_local(run_takers(takers, lacks)));
        Ok(Self { log, clock, store, feed, view, storage, tasks, owners })
    }

    /// Shows somebody the horizon.
    pub(super) fn show(&self) -> Id {
        let told = self.view.told.lock();
        let horizon = self.log.horizon().now();
        self.view.shown.lock().push((horizon, told.len()));
        horizon
    }

    /// The process ends in the middle of what it does.
    pub(super) fn crash(self) -> Arc<View> {
        self.tasks.iter().chain(&self.owners).for_each(JoinHandle::abort);
        self.view
    }

    /// The process ends well.
    pub(super) async fn stop(self) -> Arc<View> {
        let Self { log, tasks, owners, view, .. } = self;
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
        drop(log);
        for owner in owners {
            owner.await.unwrap();
        }
        view
    }

    /// The last records that views heard of, by partition.
    pub(super) fn settled(&self, partition: Partition) -> Id {
        self.log.crossing(partition).map(Crossing::settled).unwrap_or_default()
    }
}

/// Takers of all sources, from when storage tells where they were.
async fn run_takers(takers: Takers, lacks: Lacks) {
    let each = loop {
        match takers.each().await {
            Ok(each) => break each,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await, // poll
        }
    };
    let running: Vec<JoinHandle<()>> = each
        .into_iter()
        .map(|mut taker| {
            taker.is_hasty(lacks == Lacks::SettledSources);
            spawn_local(taker.run())
        })
        .collect();
    let _ended = Ended(running);
    std::future::pending::<()>().await;
}

/// Tasks that end with whoever waits for them.
struct Ended(Vec<JoinHandle<()>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Clock of a node, off by so many milliseconds.
pub(super) fn clock_at(now_ms: u64, off_ms: i64) -> Clock {
    Clock::stand_in(now_ms.max(NOW_MS).saturating_add_signed(off_ms))
}
