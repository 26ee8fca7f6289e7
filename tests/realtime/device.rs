//! A device: a realtime client behind a network of its own, and an application that writes down what it hears.

use std::sync::Arc;
use std::time::Duration;

use fanfare_client::realtime::{Event, Items, Options, Pace, Realtime};
use fanfare_client::{Client, Paging, Result};
use fanfare_protocol::{KeyedNotification, Notification, ServerEvent, Stream, Transport};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::history::{Heard, Shared};
use crate::proxy::Proxy;

/// Longest time of one attempt to refetch.
const REFETCH: Duration = Duration::from_secs(8);

/// Order of the script to an application.
#[derive(Debug)]
pub enum Order {
    /// Go over to these transports.
    Allow(Vec<Transport>),
    /// Stop asking for events, or go on.
    Pause(bool),
    /// Start again with what was stored: the cursor, spoiled if it says so.
    Restart { spoil: bool },
}

pub struct Device {
    pub proxy: Arc<Proxy>,
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits that make a run of seconds see what takes minutes.
fn options(transports: Vec<Transport>, seed: u64) -> Options {
    let ms = Duration::from_millis;
    let pace = Pace {
        backoff_min: ms(10),
        backoff_max: ms(200),
        crowded: ms(100),
        climb_after: ms(150),
        climb_max: ms(1_000),
        stable_after: ms(1_000),
    };
    let (first_byte, silence, short_poll) = (ms(2_500), Some(ms(1_800)), ms(60));
    let tickets = seed.is_multiple_of(3);
    Options {
        transports,
        tickets,
        first_byte,
        silence,
        poll_wait_s: 1,
        short_poll,
        pace,
        seed: Some(seed),
        ..Options::default()
    }
}

/// The application of one device.
struct Application {
    number: usize,
    client: Client,
    realtime: Realtime,
    history: Arc<Shared>,
    transports: Vec<Transport>,
    seed: u64,
}

impl Device {
    /// Connects; `token` is its owner's.
    pub fn start(number: usize, proxy: Proxy, token: &str, history: &Arc<Shared>, how: (Vec<Transport>, u64)) -> Self {
        let client = Client::new(&proxy.base).with_token(token);
        let (orders, from) = mpsc::channel(16);
        let (transports, seed) = how;
        let realtime = Realtime::connect(&client, options(transports.clone(), seed));
        let history = Arc::clone(history);
        let application = Application { number, client, realtime, history, transports, seed };
        Self { proxy: Arc::new(proxy), orders, task: tokio::spawn(application.run(from)) }
    }

    pub async fn order(&self, order: Order) {
        self.orders.send(order).await.expect("the application runs");
    }
}

impl Application {
    fn hear(&self, heard: Heard) {
        self.history.lock().hear(self.number, heard);
    }

    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let (mut paused, mut first) = (false, true);
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(Order::Pause(pause)) => paused = pause,
                    Some(Order::Allow(transports)) => {
                        self.transports = transports;
                        self.realtime.allow(&self.transports).await;
                    }
                    Some(Order::Restart { spoil }) => self.restart(spoil),
                },
                event = self.realtime.next(), if !paused => {
                    let Some(event) = event else { return };
                    if std::mem::take(&mut first) {
                        self.baseline().await;
                    }
                    self.on_event(event).await;
                }
            }
        }
    }

    fn restart(&mut self, spoil: bool) {
        let mut options = options(self.transports.clone(), self.seed);
        options.cursor = self.realtime.cursor().map(|cursor| {
            let end = if cursor.ends_with('A') { "B" } else { "A" };
            if spoil { format!("{}{end}", &cursor[..cursor.len() - 1]) } else { cursor.to_owned() }
        });
        self.hear(Heard::Restarted);
        self.realtime = Realtime::connect(&self.client, options);
    }

    /// Reads what was there before, which is not sent.
    async fn baseline(&self) {
        let page = self.again("the notifications", || self.client.notifications(Paging::first(100)).boxed()).await;
        self.hear(Heard::Before(page.items.iter().map(|item| item.id).collect()));
    }

    /// Asks until there is an answer: the network and the server come and go.
    async fn again<'a, T>(&self, what: &str, ask: impl Fn() -> BoxFuture<'a, Result<T>>) -> T {
        for _ in 0..200 {
            match timeout(REFETCH, ask()).await {
                Ok(Ok(answer)) => return answer,
                _ => tokio::time::sleep(Duration::from_millis(20)).await, // poll
            }
        }
        panic!("device {} never got {what}", self.number);
    }

    async fn on_event(&self, event: Event) {
        match event {
            Event::Connected { transport, resumed, .. } => self.hear(Heard::Opened { transport, resumed }),
            Event::Disconnected(why) => self.hear(Heard::Closed(format!("{why:?}"))),
            Event::Stopped(why) => self.hear(Heard::Closed(format!("stopped: {why}"))),
            Event::Frame(ServerEvent::FeedPosts(posts)) => {
                for item in posts.items.iter().rev() {
                    assert_eq!(item.key, item.post.id.to_string());
                    assert!(!item.post.liked && !item.post.reposted, "what differs by viewer stands in a frame");
                    self.hear(Heard::Post { id: item.post.id, pushed: true });
                }
            }
            Event::Frame(ServerEvent::PostDeleted(deleted)) => {
                self.hear(Heard::Deleted { key: deleted.key, post: deleted.id });
            }
            Event::Frame(ServerEvent::AuthorDeleted(gone)) => {
                self.hear(Heard::Departed { key: gone.key, user: gone.user_id });
            }
            Event::Frame(ServerEvent::Notification(item)) => {
                let KeyedNotification { key, notification } = *item;
                assert_eq!(key, notification.id.to_string());
                self.notice(&notification, true);
            }
            Event::Frame(_) => {}
            Event::Gap(gap) => {
                self.hear(Heard::Gap(gap.clone()));
                let items = self.again("what a gap left out", || self.realtime.fill(&gap).boxed()).await;
                self.read(items);
            }
            Event::Reset(reset) => {
                self.hear(Heard::Reset(reset.clone()));
                for stream in reset.streams {
                    self.reread(stream).await;
                }
            }
        }
    }

    async fn reread(&self, stream: Stream) {
        let items = self.again("a stream after a reset", || self.realtime.reread(stream).boxed()).await;
        self.read(items);
    }

    fn read(&self, items: Items) {
        match items {
            Items::Posts(posts) => {
                for post in posts.iter().rev() {
                    self.hear(Heard::Post { id: post.id, pushed: false });
                }
            }
            Items::Notifications(items) => {
                for item in items.iter().rev() {
                    self.notice(item, false);
                }
            }
            Items::Nothing => {}
        }
    }

    fn notice(&self, item: &Notification, pushed: bool) {
        let (id, kind, actor) = (item.id, item.kind, item.actor.id);
        let post = item.post.as_ref().map(|post| post.id);
        self.hear(Heard::Notice { id, kind, actor, post, pushed });
    }
}
