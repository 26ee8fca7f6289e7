//! A server of one's own, the people on it, and words for what tests ask again and again.

use std::fmt::Debug;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::data_dir::DataDir;
use fanfare::base::logging;
use fanfare::config::Settings;
use fanfare::data::layout::Layout;
use fanfare::feed::Feed;
use fanfare::serve;
use fanfare_client::{Answer, Client, ClientError, FeedQuery, Paging};
use fanfare_engines::embedded;
use fanfare_protocol::{Code, Id, NewUser, PROBLEM_JSON, Page, Post, PostOrGone, Problem};
use hyper::Method;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The password of everybody who is made by [`World::person`].
pub const PASSWORD: &str = "correct horse";
/// Longest wait of [`eventually`] before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server. Dropping it lets go of its folder; [`World::restart`] goes on with the same one.
pub struct World {
    /// A caller without a token.
    pub anyone: Client,
    /// A caller with the admin token.
    pub operator: Client,
    /// Address, `http://127.0.0.1:port`.
    pub base: String,
    /// The server's inside: for what the API does not tell.
    pub app: Option<App>,
    /// The settings.
    pub settings: Settings,
    clock: Clock,
    feed: SharedFeed,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    folder: tempfile::TempDir,
}

/// The feed of the server that runs now; empty between two of them, so that nothing keeps the folder.
type SharedFeed = Arc<Mutex<Option<Feed>>>;

/// Somebody with an account, and the calls they make.
#[derive(Clone)]
pub struct Person {
    /// Id of the person.
    pub id: Id,
    /// Handle of the person.
    pub handle: String,
    /// Token of the person.
    pub token: String,
    client: Client,
    feed: SharedFeed,
}

impl Person {
    /// Waits until every post that was acknowledged has reached its followers. Nobody is promised that it has by the
    /// time its author hears of it.
    pub async fn quiet(&self) {
        let feed = self.feed.lock().clone().unwrap();
        tokio::task::spawn_blocking(move || feed.quiesce()).await.unwrap();
    }
}

impl Deref for Person {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

/// Seeds of random histories: so many as usual, or from `FANFARE_TEST_SEED` on one, or as many as `FANFARE_TEST_RUNS`
/// says.
pub fn seeds(usual: u64) -> Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first = number("FANFARE_TEST_SEED");
    let runs = number("FANFARE_TEST_RUNS").unwrap_or(if first.is_some() { 1 } else { usual });
    let first = first.unwrap_or_default();
    first..first + runs
}

/// Defaults, but for hashes that take no time.
pub fn quick() -> Settings {
    let mut settings = Settings::default();
    settings.auth.argon2_memory_kib = 8;
    settings.auth.argon2_iterations = 1;
    settings.storage.cache_bytes = 1 << 20;
    settings.log.level = "off".parse().unwrap_or(settings.log.level);
    // All of these stories hold however many partitions there are.
    let partitions = std::env::var("FANFARE_TEST_PARTITIONS").ok().and_then(|number| number.parse().ok());
    settings.cluster.partitions = partitions.unwrap_or(settings.cluster.partitions);
    settings
}

impl World {
    /// A server with default settings.
    pub async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A server with changed settings.
    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::at(Clock::system(), change).await
    }

    /// A server whose time is `clock`.
    pub async fn at(clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        Self::over(tempfile::tempdir().unwrap(), clock, change).await
    }

    /// A server over a folder in which all rows are under the keys of before there was a layout for wide stores.
    pub async fn of_earlier_layout() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = DataDir::open(folder.path()).unwrap().store();
        let engines = embedded::open(&store, &serve::engine_settings(&quick())).unwrap();
        Layout::default().begin(&*engines.tables, Id(u64::MAX - 1)).await.unwrap();
        drop(engines);
        Self::over(folder, Clock::system(), |_| ()).await
    }

    /// A server over a folder that may hold something already.
    pub async fn over(folder: tempfile::TempDir, clock: Clock, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = quick();
        settings.server.data_dir = folder.path().to_owned();
        change(&mut settings);
        let nobody = Client::new("http://127.0.0.1:1");
        let (anyone, operator) = (nobody.clone(), nobody);
        let (base, app, stop, served) = (String::new(), None, None, None);
        let feed = SharedFeed::default();
        let mut world = Self { anyone, operator, base, app, settings, clock, feed, stop, served, folder };
        world.start().await;
        world
    }

    /// Starts a server that was stopped; a new one is started already.
    pub async fn start(&mut self) {
        let log = logging::start(&self.settings.log.level, self.settings.log.format);
        let running = serve::open(&self.settings, self.clock.clone(), log).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.base = format!("http://{}", listener.local_addr().unwrap());
        self.app = Some(running.app.clone());
        *self.feed.lock() = Some(running.app.feed().clone());
        let (stop, stopped) = oneshot::channel();
        let served = async {
            serve::serve_until(running, listener, fanfare::routes::api(), async { drop(stopped.await) }).await.unwrap();
        };
        self.served = Some(tokio::spawn(served));
        self.stop = Some(stop);
        self.anyone = Client::new(&self.base);
        self.operator = self.anyone.with_token(&self.admin_token());
        eventually("the server is ready", async || self.anyone.readyz().await.ok()).await;
    }

    /// Why a server that was stopped does not start again.
    pub async fn refused_start(&self) -> String {
        let log = logging::start(&self.settings.log.level, self.settings.log.format);
        serve::open(&self.settings, self.clock.clone(), log).await.err().unwrap().to_string()
    }

    /// The operator's token.
    pub fn admin_token(&self) -> String {
        self.token_in("admin.token")
    }

    /// The token of who reads metrics.
    pub fn metrics_token(&self) -> String {
        self.token_in("metrics.token")
    }

    fn token_in(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(file)).unwrap().trim().to_owned()
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's inside.
    #[allow(dead_code, reason = "for stories that look below the API")]
    pub fn app(&self) -> &App {
        self.app.as_ref().unwrap()
    }

    /// Ends the server, gracefully.
    pub async fn stop(&mut self) {
        self.app = None;
        *self.feed.lock() = None;
        drop(self.stop.take());
        self.served.take().unwrap().await.unwrap();
    }

    /// Ends the server and starts it again over the same folder; people go on with [`Person::at`].
    pub async fn restart(&mut self, people: &mut [&mut Person]) {
        self.stop().await;
        self.start().await;
        for person in people {
            person.client = self.anyone.with_token(&person.token);
        }
    }

    /// A [`restart`](Self::restart) by another clock.
    pub async fn restart_at(&mut self, clock: Clock, people: &mut [&mut Person]) {
        self.stop().await;
        self.start_at(clock, people).await;
    }

    /// Starts a server that was stopped, by another clock.
    pub async fn start_at(&mut self, clock: Clock, people: &mut [&mut Person]) {
        self.clock = clock;
        self.start().await;
        for person in people {
            person.client = self.anyone.with_token(&person.token);
        }
    }

    /// Why a server that was stopped does not start by another clock.
    pub async fn refused_start_at(&mut self, clock: Clock) -> String {
        self.clock = clock;
        self.refused_start().await
    }

    /// Somebody new.
    pub async fn person(&self, handle: &str) -> Person {
        let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
        let session = self.anyone.register(&new).await.unwrap();
        let client = self.anyone.with_token(&session.token);
        let (user, feed) = (session.user, Arc::clone(&self.feed));
        Person { id: user.id, handle: user.handle, token: session.token, client, feed }
    }

    /// Several people.
    pub async fn people<const N: usize>(&self, handles: [&str; N]) -> [Person; N] {
        let mut people = Vec::with_capacity(N);
        for handle in handles {
            people.push(self.person(handle).await);
        }
        people.try_into().unwrap_or_else(|_| unreachable!())
    }

    /// Turns a clock that goes by hand.
    pub fn set_clock(&self, now_ms: u64) {
        self.clock.set(now_ms);
    }
}

/// Answer to a request without types.
pub async fn raw(client: &Client, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let method: Method = method.parse().unwrap();
    client.send(method, path, headers, Bytes::copy_from_slice(body.as_bytes())).await.unwrap()
}

/// Answer to a request with a body of JSON.
pub async fn json(client: &Client, method: &str, path: &str, body: &str) -> Answer {
    raw(client, method, path, &[("content-type", "application/json")], body).await
}

/// The problem in an answer, after a look at what every problem must have.
pub fn problem_of(answer: &Answer) -> Problem {
    assert_eq!(answer.header("content-type"), PROBLEM_JSON, "{answer:?}");
    assert!(!answer.header("x-request-id").is_empty(), "{answer:?}");
    let problem: Problem = answer.json().unwrap();
    assert_eq!((problem.status, problem.code.status()), (answer.status.as_u16(), answer.status.as_u16()));
    assert!(!problem.kind.is_empty() && !problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?}");
    match problem.status {
        401 => assert!(answer.header("www-authenticate").starts_with("Bearer")),
        429 | 503 => assert!(answer.header("retry-after").parse::<u32>().unwrap() > 0),
        422 => assert!(!problem.errors.is_empty(), "{problem:?}"),
        _ => {}
    }
    problem
}

/// The code of a refusal.
#[track_caller]
pub fn refused<T: Debug>(result: Result<T, ClientError>) -> Code {
    match result {
        Err(ClientError::Problem(problem)) => problem.code,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// The first refused field of a 422.
#[track_caller]
pub fn refused_field<T: Debug>(result: Result<T, ClientError>) -> String {
    match result {
        Err(ClientError::Problem(problem)) if problem.code == Code::ValidationFailed => problem.errors[0].field.clone(),
        other => panic!("not a refused field: {other:?}"),
    }
}

/// Asks again and again until there is an answer.
pub async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await; // poll
    }
}

/// Follows `next_cursor` to the end.
pub async fn all_pages<T>(read: impl AsyncFn(Option<String>) -> Result<Page<T>, ClientError>, limit: usize) -> Vec<T> {
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let page = read(cursor).await.unwrap();
        let whole = page.items.len() == limit;
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return items;
        }
        assert!(whole, "a page is short only when it is the last");
    }
}

/// The ids of a whole home feed, in pages of 7, once all is quiet.
pub async fn whole_feed(client: &Person) -> Vec<Id> {
    client.quiet().await;
    let read = async |cursor: Option<String>| {
        client.feed(FeedQuery { paging: Paging::at(7, cursor.as_deref()), ..FeedQuery::default() }).await
    };
    ids(&all_pages(read, 7).await)
}

/// Item of a list of posts.
pub trait Listed {
    /// The post.
    fn listed(&self) -> Id;
}

impl Listed for Post {
    fn listed(&self) -> Id {
        self.id
    }
}

impl Listed for PostOrGone {
    fn listed(&self) -> Id {
        self.id()
    }
}

/// The ids of posts, and of the places of those that are gone.
pub fn ids<T: Listed>(posts: &[T]) -> Vec<Id> {
    posts.iter().map(Listed::listed).collect()
}
