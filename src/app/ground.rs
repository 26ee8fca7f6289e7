//! Ground of the services: the store opened and the log taken over, with whatever hears of commits.

use std::sync::Arc;

use fanfare_engines::Engines;
use tokio::sync::mpsc;

use super::among::Among;
use super::live;
use super::products::{Listeners, listeners, products_over};
use super::settings::feed_settings;
use crate::base::clock::Clock;
use crate::base::cursor::Cursors;
use crate::base::error::Result;
use crate::base::limits;
use crate::config::Settings;
use crate::data::storage::Storage;
use crate::data::store::Store;
use crate::data::watched::watched;
use crate::feed::Feed;
use crate::janitor;
use crate::links::hot::HotLinks;
use crate::live::LiveListener;
use crate::log::core::Core;
use crate::log::handle::{Log, LogSetup};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::owner::OwnerThreads;
use crate::log::product::Product;
use crate::log::roster::{Alone, Roster};
use crate::log::spread::Spread;
use crate::log::takers::Takers;
use crate::nodes::NodeMembership;
use crate::nodes::revocations::{AbsenceListener, Revocations};
use crate::notifications::fold::Notified;
use crate::notifications::stream::NotificationFeeder;
use crate::posts;
use crate::realtime::{Delivery, RealtimeSettings, RealtimeSetup};

/// Ground of the services: the log taken over, and whatever hears of its commits.
pub(super) struct Ground {
    pub(super) storage: Storage,
    pub(super) engines: Engines,
    pub(super) feed: Feed,
    pub(super) sessions: RealtimeSetup,
    pub(super) notices: NotificationFeeder,
    pub(super) trims: mpsc::Receiver<Notified>,
    pub(super) live: LiveListener,
    pub(super) hot: HotLinks,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) core: Core,
    pub(super) owner: OwnerThreads,
    pub(super) takers: Takers,
    pub(super) among: Option<Among>,
}

/// Opens the store and takes the log over.
///
/// # Errors
/// When the engines fail.
pub(super) async fn ground(
    membership: Option<NodeMembership>,
    settings: &Settings,
    engines: Engines,
    secret: &[u8],
    clock: Clock,
) -> Result<Ground> {
    let storage = Storage::default();
    let engines = watched(engines, &storage);
    let store = Arc::new(Store::new(engines.clone(), clock.clone()));
    let feed = feeds(settings, &store, clock.clone());
    let (notified, trims) = mpsc::channel(limits::TRIM_QUEUE_MAX);
    let horizon = Horizon::default();
    let sessions = RealtimeSetup::new(RealtimeSettings::of(settings), secret, clock.clone(), horizon.clone())?;
    let notices = NotificationFeeder::default();
    let live = live::listener(settings, &store, sessions.publisher());
    let told = Listeners { realtime: sessions.publisher(), notices: notices.clone(), notified };
    let group_after = settings.notifications.group_after as u64;
    let (mut products, deliveries) = products_over(Spread::of(&engines.families)?, group_after);
    let hot = HotLinks::new(store.clone(), settings.links.rules(&settings.http));
    products.extend(listeners(&store, &hot, &feed, &live, told));
    let roster = membership.as_ref().map_or_else(|| Arc::new(Alone) as Arc<dyn Roster>, |one| Arc::clone(&one.roster));
    let among = membership.map(|membership| {
        let (listener, absent) = AbsenceListener::new();
        products.push(Product::listens(listener));
        Among { membership, revocations: Revocations::default(), absent }
    });
    let setup = log_setup(settings, &clock, &storage, (roster, horizon));
    let (log, owner) = Log::open(&engines, products.clone(), setup).await?;
    let takers = Takers::new(log.clone(), &engines, &products);
    learn(&store, &feed, &log, clock.now_ms()).await?;
    live.view.load(log.shown(), clock.now_ms()).await?;
    let core = Core::new(store, log, Cursors::new(secret)?, clock);
    Ok(Ground { storage, engines, feed, sessions, notices, trims, live, hot, deliveries, core, owner, takers, among })
}

fn feeds(settings: &Settings, store: &Arc<Store>, clock: Clock) -> Feed {
    Feed::new(feed_settings(settings), store.clone(), store.clone(), move || clock.now_ms())
}

fn log_setup(
    settings: &Settings,
    clock: &Clock,
    storage: &Storage,
    (roster, horizon): (Arc<dyn Roster>, Horizon),
) -> LogSetup {
    LogSetup {
        clock: clock.clone(),
        numbers: Numbers::of_node(settings.server.node),
        storage: storage.clone(),
        roster,
        horizon,
    }
}

/// Reads from rows the state that memory must hold before anybody asks.
async fn learn(store: &Store, feed: &Feed, log: &Log, now_ms: u64) -> Result<()> {
    let newest = log.newest();
    store.opened_at(newest);
    store.load_absent().await?;
    store.load_deletions(newest).await?;
    janitor::credentials::begin(store).await?;
    janitor::names::begin(store).await?;
    posts::public::begin(store).await?;
    // Every row is of an id below.
    feed.settle(log.shown());
    feed.warm_up(store, now_ms).await
}
