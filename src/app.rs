//! The server put together: engines below, services above, and the state that routes see.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::extract::FromRef;
use fanfare_engines::{Engines, KeyRange, Order, RowKey};
use fanfare_protocol::{Id, Media as MediaView};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::admin::service::Acts;
use crate::base::clock::Clock;
use crate::base::cursor::Cursors;
use crate::base::error::{Error, Result};
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits;
use crate::base::logging::LogControl;
use crate::config::{LogLevel, Settings};
use crate::data::rows::{self, Counters};
use crate::data::storage::{Storage, watched};
use crate::data::store::Store;
use crate::data::tables;
use crate::feed::{Feed, FeedSettings, Worker};
use crate::follows::Follows;
use crate::http::{Authenticate, Caller, HttpState, OperatorTokens, Role};
use crate::janitor::{self, Janitor};
use crate::log::core::{Attachments, Core};
use crate::log::events::{Policy, Record};
use crate::log::projection::Notified;
use crate::log::sequencer::{Sequencer, SequencerThread, Views};
use crate::media::{Media, MediaSettings, MediaTables};
use crate::notifications::Notifications;
use crate::posts::public;
use crate::posts::service::Posts;
use crate::realtime::{Foundation, Realtime, RealtimeSettings, RealtimeThreads, Tap};
use crate::users::attempts::Bounds;
use crate::users::jwt_keys::{JwtSettings, JwtVerifier};
use crate::users::password::{PasswordCost, Passwords};
use crate::users::service::{Identity, UserSettings, Users};

/// State of every handler. A clone is a pointer: the router makes several a request.
#[derive(Clone)]
pub struct App(Arc<Services>);

impl Deref for App {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// Everything behind [`App`].
pub struct Services {
    /// Parts of HTTP that every route needs.
    pub http: HttpState,
    /// Rows, records, cursors.
    pub core: Core,
    /// Accounts.
    pub users: Users,
    /// Edges between people.
    pub follows: Follows,
    /// Posts.
    pub posts: Posts,
    /// Home feeds.
    pub feed: Feed,
    /// Notifications.
    pub notifications: Notifications,
    /// Sessions.
    pub realtime: Realtime,
    /// Uploads.
    pub media: Media,
    /// Acts of operators.
    pub acts: Acts,
    /// Level of the log.
    pub log: Mutex<(LogControl, LogLevel)>,
    /// Start of the server.
    pub started: Instant,
}

impl FromRef<App> for HttpState {
    fn from_ref(app: &App) -> Self {
        app.http.clone()
    }
}

impl FromRef<App> for Media {
    fn from_ref(app: &App) -> Self {
        app.media.clone()
    }
}

/// Accounts, as the HTTP layer asks for them.
struct Accounts(Users);

#[async_trait]
impl Authenticate for Accounts {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, Error> {
        let Identity { user, admin, token, expires_ms } = self.0.authenticate(bearer).await?;
        let role = if admin { Role::Admin } else { Role::User };
        Ok(Caller { id: user, role, token_hash: token.map(|hash| hash.0), expires_ms })
    }
}

impl From<Caller> for Identity {
    fn from(caller: Caller) -> Self {
        let token = caller.token_hash.map(crate::users::token::TokenHash);
        Self { user: caller.id, admin: caller.role == Role::Admin, token, expires_ms: caller.expires_ms }
    }
}

/// Listeners of the sequencer: caches, the feed, sessions, and the list of people whose notifications want
/// trimming.
struct Listeners {
    store: Arc<Store>,
    feed: Feed,
    realtime: Tap,
    notified: mpsc::Sender<Notified>,
}

impl Views for Listeners {
    fn stamp(&self, author: Id, followers: u64) -> Policy {
        self.feed.stamp(author, followers)
    }

    fn counted(&self, key: &RowKey, counters: Counters) {
        self.store.counted(key, counters);
    }

    fn committed(&self, record: &Arc<Record>) {
        self.store.committed(record);
        self.feed.apply(record);
        // Last: a session that asks what it missed finds it in the rows and in the feed.
        self.realtime.committed(record);
    }

    fn notified(&self, notified: &Notified) {
        self.realtime.notified(notified);
        if notified.grew {
            // A full queue drops the hint: the person's next notifications give another.
            let _ = self.notified.try_send(notified.clone());
        }
    }
}

#[async_trait]
impl Attachments for Media {
    async fn owned(&self, id: Id, owner: Id) -> Result<Option<MediaView>> {
        Ok(Media::owned(self, &[id], owner).await?.pop())
    }

    async fn forget_owner(&self, owner: Id) -> Result<()> {
        self.delete_of(owner).await
    }
}

/// Mints ids of uploads.
struct Mint(Sequencer);

impl crate::base::id::MintId for Mint {
    fn mint(&self) -> Id {
        self.0.mint()
    }
}

/// A running server without its sockets: dropping or stopping it lets go of the engines.
pub struct Running {
    /// State of every handler.
    pub app: App,
    worker: Worker,
    sequencer: SequencerThread,
    realtime: RealtimeThreads,
    tasks: JoinSet<()>,
}

impl Running {
    /// Ends background work, finishes what was handed in, and lets go of the engines.
    pub async fn stop(self) {
        let Self { app, worker, sequencer, realtime, mut tasks } = self;
        tasks.shutdown().await;
        realtime.stop().await;
        drop(app);
        let ended = tokio::task::spawn_blocking(move || {
            sequencer.join();
            drop(worker);
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "the sequencer did not end well");
        }
    }
}

/// The feed's settings from the configuration.
#[must_use]
fn feed_settings(settings: &Settings) -> FeedSettings {
    let feed = &settings.feed;
    FeedSettings {
        timeline_cap: feed.timeline_cap,
        timelines_max: feed.timelines_max,
        timeline_bytes_max: feed.timelines_bytes_max,
        idle_ms: feed.idle_s * 1_000,
        recents_per_author: feed.recents_per_author,
        recents_age_ms: u64::from(feed.recents_days) * 86_400_000,
        push_below: feed.push_below,
        pull_above: feed.pull_above,
        flip_interval_ms: feed.flip_interval_s * 1_000,
        push_slice: feed.push_slice,
        builds_max: feed.builds_max,
        ..FeedSettings::default()
    }
}

/// Starts everything over `engines`, and fills the recents from the tables.
///
/// # Errors
/// When the engines fail, or the keys of JWTs can be neither read nor fetched.
pub async fn start(
    settings: &Settings,
    engines: Engines,
    secret: &[u8],
    tokens: OperatorTokens,
    clock: Clock,
    log: LogControl,
) -> Result<Running> {
    let jwt = JwtVerifier::open(JwtSettings::of(settings)).await?;
    jwt.remarks().iter().for_each(|remark| tracing::warn!("{remark}"));
    let refreshing = jwt.refreshing();
    let storage = Storage::default();
    let engines = watched(engines, &storage);
    let store = Arc::new(Store::new(engines.clone(), clock.clone()));
    let feed_clock = clock.clone();
    let feed = Feed::new(feed_settings(settings), store.clone(), store.clone(), move || feed_clock.now_ms());
    let (notified, trims) = mpsc::channel(limits::TRIM_QUEUE_MAX);
    let foundation = Foundation::new(RealtimeSettings::of(settings), secret, clock.clone())?;
    let realtime = foundation.tap();
    let listeners = Arc::new(Listeners { store: store.clone(), feed: feed.clone(), realtime, notified });
    let group_after = settings.notifications.group_after as u64;
    let node = settings.server.node;
    let started = Sequencer::start(&engines, listeners, clock.clone(), node, group_after, storage.clone());
    let (sequencer, thread) = started.await?;
    store.load_absent().await?;
    store.load_deletions(sequencer.newest()).await?;
    janitor::names::begin(&engines).await?;
    public::begin(&engines, &store.public).await?;
    warm(&store, &feed, &clock, settings).await?;
    let core = Core::new(store, sequencer.clone(), Cursors::new(secret)?, clock);
    let owners = Arc::new(core.clone());
    let media = Media::new(&engines, Arc::new(Mint(sequencer)), owners, media_tables(), MediaSettings::of(settings));
    let attachments: Arc<dyn Attachments> = Arc::new(media.clone());
    let users = Users::new(
        core.clone(),
        user_settings(settings),
        Passwords::new(password_cost(settings))?,
        jwt,
        attachments.clone(),
        foundation.ender(),
    );
    let ender = foundation.ender();
    let follows = Follows::new(core.clone(), users.clone(), settings.feed.follow_limit as u64);
    let posts = Posts::new(core.clone(), users.clone(), attachments.clone(), settings.posts.text_max);
    let acts = Acts::new(core.clone(), users.clone(), posts.clone(), ender);
    let notifications = Notifications::new(core.clone(), posts.views().clone(), settings.notifications.kept_max);
    let (realtime, realtime_threads) = foundation.start(&core, &feed, posts.views())?;
    let http = HttpState::new(settings, Arc::new(Accounts(users.clone())), tokens, storage);
    let log = Mutex::new((log, settings.log.level.clone()));
    let worker = feed.start_worker().map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(trim(notifications.clone(), trims));
    tasks.spawn(evict(feed.clone(), core.clock.clone()));
    if let Some(refreshing) = refreshing {
        tasks.spawn(refreshing);
    }
    let journal_bytes_max = settings.storage.journal_bytes_max;
    let handle_reserved_days = settings.users.handle_reserved_days;
    tasks.spawn(Janitor { core: core.clone(), media: attachments, journal_bytes_max, handle_reserved_days }.run());
    let started = Instant::now();
    let services =
        Services { http, core, users, follows, posts, feed, notifications, realtime, media, acts, log, started };
    let app = App(Arc::new(services));
    Ok(Running { app, worker, sequencer: thread, realtime: realtime_threads, tasks })
}

async fn trim(notifications: Notifications, mut trims: mpsc::Receiver<Notified>) {
    while let Some(notified) = trims.recv().await {
        if let Err(error) = notifications.trim(&notified).await {
            tracing::warn!(%error, "old notifications were not trimmed; the next ones will be");
        }
    }
}

async fn evict(feed: Feed, clock: Clock) {
    let mut tick = tokio::time::interval(Duration::from_secs(limits::EVICT_PERIOD_S));
    loop {
        tick.tick().await;
        feed.evict_idle(clock.now_ms());
    }
}

/// Fills the recents by one scan over the newest posts, so that a restart is no stampede of queries.
async fn warm(store: &Store, feed: &Feed, clock: &Clock, settings: &Settings) -> Result<()> {
    let port = &store.engines.tables;
    let age_ms = u64::from(settings.feed.recents_days) * 86_400_000;
    let floor = first_id_at(clock.now_ms().saturating_sub(age_ms));
    feed.warm_from(floor);
    let buckets =
        port.scan(tables::BUCKETS, &tables::ONE, KeyRange::ALL, Order::Ascending, usize::from(u16::MAX)).await?;
    let mut posts: u64 = 0;
    for bucket in buckets.iter().filter_map(|row| row.clustering.first_chunk::<2>()) {
        let bucket = u16::from_be_bytes(*bucket);
        let partition = tables::timeline_partition(bucket);
        let mut from = if bucket < tables::bucket_of(floor) { continue } else { floor };
        loop {
            let range = KeyRange { from: Some(tables::partition(from)), to: None };
            let step = limits::WARM_STEP_ROWS;
            let rows = port.scan(tables::TIMELINE, &partition, range, Order::Ascending, step).await?;
            for row in &rows {
                let (Some(id), Some(author)) =
                    (Id::from_bytes(&row.clustering), row.value.get(9..).and_then(Id::from_bytes))
                else {
                    continue;
                };
                if let Some(entry) = rows::entry(id, &row.value) {
                    feed.warm(author, entry);
                    posts += 1;
                }
            }
            match rows.last().and_then(|row| Id::from_bytes(&row.clustering)) {
                Some(last) if rows.len() == step => from = Id(last.0 + 1),
                _ => break,
            }
        }
    }
    feed.warmed();
    tracing::info!(posts, since_ms = unix_ms_of(floor), "recent posts are in memory");
    Ok(())
}

fn media_tables() -> MediaTables {
    MediaTables { media: tables::MEDIA, owners: tables::MEDIA_OWNERS }
}

fn user_settings(settings: &Settings) -> UserSettings {
    let auth = &settings.auth;
    let wrong_passwords = Bounds {
        per_account: auth.wrong_passwords_per_account,
        per_network: auth.wrong_passwords_per_address,
        window_ms: auth.wrong_passwords_window_s * 1_000,
    };
    UserSettings {
        token_days: settings.auth.token_days,
        registration: settings.api.registration,
        wrong_passwords,
        handle_reserved_days: settings.users.handle_reserved_days,
    }
}

fn password_cost(settings: &Settings) -> PasswordCost {
    let (memory_kib, iterations) = (settings.auth.argon2_memory_kib, settings.auth.argon2_iterations);
    PasswordCost { memory_kib, iterations, ..PasswordCost::default() }
}
