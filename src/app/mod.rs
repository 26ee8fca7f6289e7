//! The server put together: engines below, services above, and the state that routes see.

mod among;
mod chat;
mod ground;
mod links;
mod live;
mod ports;
mod products;
mod settings;

use std::sync::Arc;

use axum::extract::FromRef;
use fanfare_engines::Engines;
use fanfare_protocol::ConversationKind;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use self::ground::{Ground, ground};
use self::ports::Mint;
pub use self::products::{products, products_over};
use self::settings::{media_tables, password_cost, user_settings};
use crate::admin::running::RunningServer;
use crate::admin::service::Acts;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::logging::LogControl;
use crate::chat::service::Chat;
use crate::chat::stream::ChatSource;
use crate::config::Settings;
use crate::data::rows::LiveRow;
use crate::data::storage::Storage;
use crate::feed::home::HomeFeeds;
use crate::feed::{Feed, Worker};
use crate::follows::Follows;
use crate::follows::stream::FollowRows;
use crate::frames;
use crate::http::{HttpState, OperatorTokens};
use crate::janitor::Janitor;
use crate::links::Links;
use crate::links::clicks::salts::Salts;
use crate::links::clicks::service::{ClickThreads, Clicks, OpenedClicks};
use crate::live::Live;
use crate::live::stream::LiveFeeder;
use crate::log::core::{Attachments, Core};
use crate::log::lease::OwnerLease;
use crate::log::mint::Numbers;
use crate::log::onward::Bearer;
use crate::log::owner::OwnerThreads;
use crate::log::takers::Takers;
use crate::markers::Markers;
use crate::media::{MediaSettings, Uploads};
use crate::nodes::NodeMembership;
use crate::notifications::Notifications;
use crate::notifications::stream::NotificationFeeder;
use crate::posts::service::Posts;
use crate::posts::stream::PostStream;
use crate::posts::view::Views as PostViews;
use crate::realtime::{Delivery, Realtime, RealtimeThreads, Streams};
use crate::reports::Reports;
use crate::users::jwt_keys::{JwtSettings, JwtVerifier};
use crate::users::password::Passwords;
use crate::users::service::Users;
use crate::users::session_ender::SessionEnder;

/// State of every handler. A clone is a pointer: the router makes several a request.
#[derive(Clone)]
pub struct App(Arc<Services>);

/// Holds the services, and lends each by a method.
macro_rules! services {
    ($($(#[$doc:meta])+ $field:ident: $service:ty),* $(,)?) => {
        struct Services {
            $($field: $service,)*
        }

        impl App {$(
            $(#[$doc])+
            #[must_use]
            pub fn $field(&self) -> &$service {
                &self.0.$field
            }
        )*}
    };
}
services! {
    /// Parts of HTTP that every route needs.
    http: HttpState,
    /// Rows, records, cursors.
    core: Core,
    /// Accounts.
    users: Arc<Users>,
    /// Edges between people.
    follows: Arc<Follows>,
    /// Posts.
    posts: Arc<Posts>,
    /// Timelines.
    feed: Feed,
    /// Home feeds as people read them.
    home: Arc<HomeFeeds>,
    /// Read markers.
    markers: Markers,
    /// Notifications.
    notifications: Arc<Notifications>,
    /// Sessions.
    realtime: Realtime,
    /// Conversations.
    chat: Chat,
    /// Uploads.
    media: Uploads,
    /// Live sessions.
    live: Arc<Live>,
    /// Short links.
    links: Links,
    /// Numbers of links.
    clicks: Arc<Clicks>,
    /// Salts of links' visitors.
    salts: Arc<Salts>,
    /// Acts of operators.
    acts: Arc<Acts>,
    /// The server while it runs, as operators see and change it.
    running: Arc<RunningServer>,
}

/// Lets handlers take a service by its own name.
macro_rules! provide {
    ($($field:ident: $service:ty),* $(,)?) => {$(
        impl FromRef<App> for $service {
            fn from_ref(app: &App) -> Self {
                app.0.$field.clone()
            }
        }
    )*};
}
provide! {
    http: HttpState,
    users: Arc<Users>,
    follows: Arc<Follows>,
    posts: Arc<Posts>,
    home: Arc<HomeFeeds>,
    notifications: Arc<Notifications>,
    realtime: Realtime,
    chat: Chat,
    media: Uploads,
    live: Arc<Live>,
    links: Links,
    clicks: Arc<Clicks>,
    acts: Arc<Acts>,
    running: Arc<RunningServer>,
}

impl FromRef<App> for Reports {
    fn from_ref(app: &App) -> Self {
        app.0.acts.reports().clone()
    }
}

/// A running server without its sockets: dropping or stopping it lets go of the engines.
pub struct Running {
    /// State of every handler.
    pub app: App,
    worker: Worker,
    replays_worker: Worker<LiveRow>,
    owner: OwnerThreads,
    chat_owner: OwnerThreads,
    realtime: RealtimeThreads,
    clicks: Option<ClickThreads>,
    tasks: JoinSet<()>,
    lease: OwnerLease,
}

impl Running {
    /// Ends background work, finishes what was handed in, and lets go of the engines.
    pub fn stop(mut self) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            links::end(self.app.links(), self.app.http().storage()).await;
            let click_owners = match self.clicks.take() {
                Some(clicks) => Some(clicks.stop().await),
                None => None,
            };
            // What waits for storage that is away would be waited for.
            self.app.http().storage().leave();
            let Self { app, worker, replays_worker, owner, chat_owner, realtime, mut tasks, lease, .. } = self;
            tasks.shutdown().await;
            realtime.stop().await;
            drop(app);
            let ended = tokio::task::spawn_blocking(move || {
                click_owners.into_iter().for_each(OwnerThreads::join);
                chat_owner.join();
                owner.join();
                drop((worker, replays_worker));
            });
            if let Err(error) = ended.await {
                tracing::error!(%error, "the log's owner did not end well");
            }
            lease.end().await;
        })
    }
}

/// Starts everything over `engines`, and fills the recents from the tables. A clock by hand is an import's.
///
/// # Errors
/// When the engines fail, or the keys of JWTs can be neither read nor fetched; an import's while somebody else is alive
/// on these engines.
pub fn start<'a>(
    settings: &'a Settings,
    engines: Engines,
    secret: &'a [u8],
    tokens: OperatorTokens,
    clock: Clock,
    logging: LogControl,
) -> BoxFuture<'a, Result<Running>> {
    Box::pin(start_as(None, settings, engines, (secret, tokens), (clock, logging)))
}

/// Starts one of several nodes over the same `engines`: as [`start`], for its part of the partitions.
///
/// # Errors
/// As [`start`].
pub fn start_among<'a>(
    membership: NodeMembership,
    settings: &'a Settings,
    engines: Engines,
    secrets: (&'a [u8], OperatorTokens),
    clock: Clock,
    logging: LogControl,
) -> BoxFuture<'a, Result<Running>> {
    Box::pin(start_as(Some(membership), settings, engines, secrets, (clock, logging)))
}

async fn start_as(
    membership: Option<NodeMembership>,
    settings: &Settings,
    engines: Engines,
    secrets: (&[u8], OperatorTokens),
    (clock, logging): (Clock, LogControl),
) -> Result<Running> {
    let node = Numbers::of_node(settings.server.node).node_name();
    let lease = OwnerLease::of_all(&engines, &node, clock.is_by_hand()).await?;
    let started = start_under(lease.clone(), (membership, settings), engines, secrets, (clock, logging)).await;
    if started.is_err() {
        lease.end().await;
    }
    started
}

async fn start_under(
    lease: OwnerLease,
    (membership, settings): (Option<NodeMembership>, &Settings),
    engines: Engines,
    (secret, tokens): (&[u8], OperatorTokens),
    (clock, logging): (Clock, LogControl),
) -> Result<Running> {
    let whole = among::join(membership.as_ref(), &engines).await?;
    let (jwt, refreshing) = jwt(settings).await?;
    let Ground { storage, engines, feed, sessions, notices, trims, live, hot, deliveries, core, owner, takers, among } =
        ground(membership, settings, engines, secret, clock).await?;
    let (media, attachments) = uploads(settings, &core, &engines, secret)?;
    let (chat, chat_owner, bearers) = chat::open(settings, &engines, &core, &media, sessions.publisher()).await?;
    let (closer, ender) = among::ender(sessions.closer(), &core.store, among.as_ref());
    let passwords = Passwords::new(password_cost(settings))?;
    let users = users(settings, &core, (&passwords, jwt), &attachments, &ender);
    let follows = Follows::new(core.clone(), users.clone(), settings.feed.follow_limit as u64, Arc::new(chat.clone()));
    let posts = Posts::new(core.clone(), users.clone(), attachments.clone(), settings.posts.text_max);
    let clicks = links::clicks(settings, &core, &engines).await?;
    let links = links::links(settings, &core, hot, passwords, &clicks).await?;
    let acts = Acts::new(core.clone(), users.clone(), posts.clone(), links.clone(), chat.clone(), ender);
    let (views, markers) = (posts.views().clone(), Markers::new(core.clone(), sessions.publisher()));
    let streams = streams(&core, &feed, &notices, (&markers, &chat), &views, (deliveries, &live.feeder));
    let (realtime, realtime_threads) = sessions.start(&core, chat.horizon(), streams)?;
    let notifications = notifications(settings, &core, &views, &markers);
    let (log, keeps) = ((logging, settings.log.level.clone()), (storage.clone(), core.consumers.clone()));
    let running = RunningServer::new(acts.clone(), feed.clone(), log, keeps, (chat.clone(), clicks.clicks.clone()));
    let worker = feed.start_worker().map_err(|error| no_thread(&error))?;
    let janitor = janitor(settings, &core, &chat, attachments, &links, &clicks.clicks);
    let mut tasks = in_background((&feed, &chat), (&links, &clicks), &core, janitor, lease.clone());
    tasks.spawn(notifications.clone().trim_as_told(trims));
    refreshing.map(|refreshing| tasks.spawn(refreshing));
    let (live, replays_worker) = live::begin(settings, live, &core, &mut tasks)?;
    let http = http(settings, &users, &links, tokens, &storage);
    whole.map(|whole| tasks.spawn(whole.stay()));
    among::begin(among, &mut tasks, &engines, (&core, &chat, &http), (&users, closer, &realtime))?;
    tell_what_follows(&mut tasks, (takers, bearers), &http).await?;
    let services = Services {
        http,
        home: Arc::new(HomeFeeds::new(feed.clone(), views, markers.clone(), core.cursors.clone())),
        core,
        users: Arc::new(users),
        follows: Arc::new(follows),
        posts: Arc::new(posts),
        feed,
        markers,
        notifications: Arc::new(notifications),
        realtime,
        chat,
        media,
        links,
        clicks: clicks.clicks,
        salts: clicks.salts,
        live: Arc::new(live),
        acts: Arc::new(acts),
        running: Arc::new(running),
    };
    Ok(Running {
        app: App(Arc::new(services)),
        worker,
        replays_worker,
        owner,
        chat_owner,
        realtime: realtime_threads,
        clicks: clicks.threads,
        tasks,
        lease,
    })
}

/// Tells in each partition what follows from records of others: what was left of an earlier life before anything else.
async fn tell_what_follows(
    tasks: &mut JoinSet<()>,
    (takers, bearers): (Takers, Vec<Bearer>),
    http: &HttpState,
) -> Result<()> {
    // Nobody waits for what other families say.
    bearers.into_iter().for_each(|bearer| drop(tasks.spawn(bearer.run())));
    let each = takers.each().await?;
    let is_alone = takers.log().is_alone();
    if !each.is_empty() || !is_alone {
        http.answer_after(takers.log().horizon().clone());
    }
    for mut taker in each {
        if !is_alone {
            // Of partitions that other nodes have, or nobody yet, it may take long; the horizon waits for them.
            tasks.spawn(taker.run());
            continue;
        }
        match taker.catch_up().await {
            Ok(()) => drop(tasks.spawn(taker.run())),
            // It stops the others no more than its own partition does.
            Err(error) => tracing::error!(%error, "what follows from a partition is told no further"),
        }
    }
    Ok(())
}

/// Work that goes on beside requests.
fn in_background(
    (feed, chat): (&Feed, &Chat),
    (links, clicks): (&Links, &OpenedClicks),
    core: &Core,
    janitor: Janitor,
    lease: OwnerLease,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    links::in_background(&mut tasks, links);
    links::clicks_in_background(&mut tasks, clicks);
    tasks.spawn(chat.horizon().clone().keep_reserved());
    tasks.spawn(chat.clone().tell_receipts());
    tasks.spawn(chat.clone().measure());
    tasks.spawn(feed.clone().evict_now_and_then(core.clock.clone()));
    tasks.spawn(core.log.horizon().clone().keep_reserved());
    tasks.spawn(janitor.run());
    tasks.spawn(lease.keep());
    tasks
}

/// Error of a thread that does not start.
fn no_thread(error: &std::io::Error) -> Error {
    Error::Internal(format!("cannot start a thread: {error}"))
}

/// Accounts, with who looks at what they prove themselves by.
fn users(
    settings: &Settings,
    core: &Core,
    (passwords, jwt): (&Passwords, JwtVerifier),
    attachments: &Arc<dyn Attachments>,
    ender: &Arc<dyn SessionEnder>,
) -> Users {
    let (attachments, ender) = (Arc::clone(attachments), Arc::clone(ender));
    Users::new(core.clone(), user_settings(settings), passwords.clone(), jwt, attachments, ender)
}

/// Lists of what others did.
fn notifications(settings: &Settings, core: &Core, views: &PostViews, markers: &Markers) -> Notifications {
    Notifications::new(core.clone(), views.clone(), markers.clone(), settings.notifications.kept_max)
}

/// Parts of the products in realtime delivery.
fn streams(
    core: &Core,
    feed: &Feed,
    notices: &NotificationFeeder,
    (markers, chat): (&Markers, &Chat),
    views: &PostViews,
    (deliveries, live): (Vec<Delivery>, &LiveFeeder),
) -> Streams {
    Streams {
        types: frames::frames(markers, chat, &deliveries),
        producers: deliveries.into_iter().filter_map(|product| product.producer).collect(),
        sources: vec![
            notices.open(core.clone(), views.clone(), markers.clone()),
            Arc::new(ChatSource::new(chat.clone(), ConversationKind::Direct)),
            Arc::new(ChatSource::new(chat.clone(), ConversationKind::Group)),
        ],
        bulk: Arc::new(PostStream::new(core.clone(), views.clone(), Arc::new(feed.clone()))),
        values: vec![live.values(&core.store)],
        followees: Arc::new(FollowRows(core.store.clone())),
    }
}

/// Whoever looks at JWTs, and what keeps their keys fresh.
async fn jwt(settings: &Settings) -> Result<(JwtVerifier, Option<impl Future<Output = ()> + Send + use<>>)> {
    let jwt = JwtVerifier::open(JwtSettings::of(settings)).await?;
    jwt.remarks().iter().for_each(|remark| tracing::warn!("{remark}"));
    let refreshing = jwt.refreshing();
    Ok((jwt, refreshing))
}

/// Parts of HTTP, with the door in front of the router.
fn http(settings: &Settings, users: &Users, links: &Links, tokens: OperatorTokens, storage: &Storage) -> HttpState {
    let http = HttpState::new(settings, Arc::new(users.clone()), tokens, storage.clone());
    if settings.links.door {
        http.put_door(Arc::new(links.clone()));
    }
    http
}

fn janitor(
    settings: &Settings,
    core: &Core,
    chat: &Chat,
    media: Arc<dyn Attachments>,
    links: &Links,
    clicks: &Arc<Clicks>,
) -> Janitor {
    Janitor {
        core: core.clone(),
        chat: chat.clone(),
        media,
        links: links.clone(),
        clicks: Arc::clone(clicks),
        journal_bytes_max: settings.storage.journal_bytes_max,
        handle_reserved_days: settings.users.handle_reserved_days,
    }
}

/// Uploads, and what other services see of them.
fn uploads(
    settings: &Settings,
    core: &Core,
    engines: &Engines,
    secret: &[u8],
) -> Result<(Uploads, Arc<dyn Attachments>)> {
    let (mint, owners) = (Arc::new(Mint(core.log.clone())), Arc::new(core.clone()));
    let store = Arc::clone(&core.store);
    let (settings, clock) = (MediaSettings::of(settings, secret)?, core.clock.clone());
    let media = Uploads::new(store, &engines.objects, mint, owners, media_tables(), settings, clock);
    let attachments: Arc<dyn Attachments> = Arc::new(media.clone());
    Ok((media, attachments))
}

#[cfg(test)]
mod tests;
