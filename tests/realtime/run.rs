//! Scripted run: a few people, their devices behind networks that misbehave, a server that ends and comes back.
//! Everything follows from the seed, apart from how the threads of server and clients interleave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_client::{Client, FeedQuery, Paging};
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, Stream, Transport};
use futures_util::future::join_all;

use crate::acts::{Plan, Unsure, act};
use crate::checker::{check, missing};
use crate::device::{Device, Order};
use crate::history::{Act, Heard, History, Listed, Shared, Target};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::tally::Tally;

const PEOPLE: usize = 5;
/// People from here on have no device and may delete their accounts.
const MAY_LEAVE: usize = 3;
const DEVICES: usize = 4;
const STEPS: u64 = 14;
/// Longest time until what was done has reached everybody.
const PATIENCE: Duration = Duration::from_secs(60);
/// Posts made while a device is held up: more than wait for a session.
const BURST: usize = 120;
/// Posts made while a device is away: more than are replayed.
const ABSENCE: usize = 530;

/// Subject of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Transports are switched, connections cut and slowed, applications started again.
    Networks,
    /// The server ends gracefully and comes back.
    Drain,
    /// The server is killed in the middle of everything and comes back.
    Kill,
    /// Devices do not read for a while.
    Slow,
    /// Devices are away for long.
    Away,
    /// Connections freeze half open, or pass nothing on.
    Freeze,
    /// Cursors are spoiled.
    Spoil,
}

impl Kind {
    /// Of a seed: the cheap ones more often.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        match seed % 16 {
            0..=4 => Self::Networks,
            5..=7 => Self::Drain,
            8..=10 => Self::Kill,
            11 | 12 => Self::Slow,
            13 => Self::Away,
            14 => Self::Freeze,
            _ => Self::Spoil,
        }
    }
}

pub struct Run {
    seed: u64,
    kind: Kind,
    dice: Random,
    server: Server,
    people: Arc<[Id]>,
    tokens: Vec<String>,
    devices: Vec<Device>,
    history: Arc<Shared>,
    said: u64,
    unsure: Vec<Unsure>,
}

/// Runs the script of a seed; what happened in it.
///
/// # Panics
/// When the history is broken; the message has seed and history.
pub async fn run(seed: u64) -> Tally {
    let mut run = Run::begin(seed).await;
    for _ in 0..STEPS {
        run.step().await;
    }
    let history = Arc::clone(&run.history);
    run.finish().await;
    let history = history.lock();
    Tally::of(&history)
}

impl Run {
    async fn begin(seed: u64) -> Self {
        let kind = Kind::of(seed);
        let mut dice = Random::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let partitions = partitions(seed);
        let server =
            if kind == Kind::Kill { Server::apart(partitions).await } else { Server::inside(partitions).await };
        let (mut people, mut tokens) = (Vec::new(), Vec::new());
        for number in 0..PEOPLE {
            let (id, token) = server.person(&format!("p{number}")).await;
            people.push(id);
            tokens.push(token);
        }
        let mut history = History { people: people.clone(), ..History::default() };
        let owners = [0, 0, 1, 2];
        history.owners = owners.to_vec();
        let history = Arc::new(Shared::new(history));
        let mut devices = Vec::new();
        for (number, owner) in owners.into_iter().enumerate().take(DEVICES) {
            let proxy = Proxy::start().await;
            proxy.set_backend(server.address());
            let how = (transports(&mut dice), dice.next());
            devices.push(Device::start(number, proxy, &tokens[owner], &history, how));
        }
        let (people, unsure) = (people.into(), Vec::new());
        let mut run = Self { seed, kind, dice, server, people, tokens, devices, history, said: 0, unsure };
        run.until("devices connect", |history| {
            let open =
                |device| history.heard.iter().any(|e| e.device == device && matches!(e.heard, Heard::Opened { .. }));
            (0..DEVICES).filter(|device| !open(*device)).map(|device| format!("device {device} is not open")).collect()
        })
        .await;
        for follower in 0..PEOPLE {
            for followee in 0..PEOPLE {
                if follower != followee && run.dice.percent(60) {
                    run.alone(follower, Act::Follow(followee, true)).await;
                }
            }
        }
        run
    }

    fn client(&self, who: usize) -> Client {
        self.server.anyone().unwrap().with_token(&self.tokens[who])
    }

    fn plan(&mut self, who: usize, act: Act) -> Plan {
        self.said += 1;
        Plan { who, act, text: format!("{}/{}", self.seed, self.said) }
    }

    async fn all(&mut self, plans: Vec<Plan>) {
        let doing = plans
            .into_iter()
            .map(|plan| act(self.client(plan.who), Arc::clone(&self.people), Arc::clone(&self.history), plan));
        self.unsure.extend(join_all(doing).await.into_iter().flatten());
    }

    async fn alone(&mut self, who: usize, act: Act) {
        let plan = self.plan(who, act);
        self.all(vec![plan]).await;
    }

    fn target(&mut self) -> Option<Target> {
        let there = self.history.lock().posts_there();
        // Mostly of late: that is where answers and deletions meet posts on their way.
        let from = there.len().saturating_sub(12);
        let late = &there[from..];
        (!late.is_empty()).then(|| late[self.dice.below(late.len() as u64) as usize])
    }

    fn someone(&mut self) -> usize {
        let present = self.present();
        present[self.dice.below(present.len() as u64) as usize]
    }

    fn some_device(&mut self) -> usize {
        self.dice.below(DEVICES as u64) as usize
    }

    /// Posts, answers, reposts, likes, at once.
    fn storm(&mut self, acts: usize) -> Vec<Plan> {
        let mut plans: Vec<Plan> = Vec::new();
        for _ in 0..acts {
            let who = self.someone();
            let target = self.target();
            let act = match (self.dice.below(8), target) {
                (0, Some(target)) => Act::Post { reply_to: Some(target), repost_of: None },
                (1, Some(target)) => Act::Post { reply_to: None, repost_of: Some(target) },
                (2, Some(target)) => Act::Like(target, self.dice.percent(80)),
                (3, Some(target)) if !plans.iter().any(|plan| plan.act == Act::Delete(target.post)) => {
                    let plan = self.plan(target.author, Act::Delete(target.post));
                    plans.push(plan);
                    continue;
                }
                _ => Act::Post { reply_to: None, repost_of: None },
            };
            let plan = self.plan(who, act);
            plans.push(plan);
        }
        plans
    }

    async fn relate(&mut self) {
        let who = self.someone();
        let whom = (who + 1 + self.dice.below(PEOPLE as u64 - 1) as usize) % PEOPLE;
        let on = self.dice.percent(60);
        let act = match self.dice.below(5) {
            0 | 1 => Act::Follow(whom, on),
            2 | 3 => Act::Mute(whom, on),
            _ => Act::Block(whom, self.dice.percent(40)),
        };
        self.alone(who, act).await;
    }

    async fn step(&mut self) {
        let acts = 1 + self.dice.below(6) as usize;
        let plans = self.storm(acts);
        let faults = self.dice.percent(60);
        if faults && matches!(self.kind, Kind::Drain | Kind::Kill) && self.dice.percent(30) {
            self.come_back(plans).await;
        } else {
            self.all(plans).await;
        }
        if faults {
            self.fault().await;
        }
        match self.dice.below(6) {
            0..=2 => self.relate().await,
            3 => self.rest().await,
            4 if self.dice.percent(40) => self.depart().await,
            _ => {}
        }
    }

    /// Somebody deletes their account, where what they did before is known.
    async fn depart(&mut self) {
        self.settle().await;
        let who = MAY_LEAVE + self.dice.below((PEOPLE - MAY_LEAVE) as u64) as usize;
        if !self.history.lock().has_left(who) {
            self.alone(who, Act::Leave).await;
        }
    }

    fn present(&self) -> Vec<usize> {
        let history = self.history.lock();
        (0..PEOPLE).filter(|who| !history.has_left(*who)).collect()
    }

    /// The server ends while people act, and comes back.
    async fn come_back(&mut self, plans: Vec<Plan>) {
        let doing: Vec<_> = plans
            .into_iter()
            .map(|plan| {
                let (people, history) = (Arc::clone(&self.people), Arc::clone(&self.history));
                tokio::spawn(act(self.client(plan.who), people, history, plan))
            })
            .collect();
        // Some have been answered by then, some are on their way.
        tokio::time::sleep(Duration::from_millis(self.dice.below(8))).await; // poll: none, this is the moment of the fault
        if self.kind == Kind::Kill {
            self.server.kill();
        }
        let drained = self.server.restart();
        drained.await;
        for device in &self.devices {
            device.proxy.set_backend(self.server.address());
        }
        for one in doing {
            self.unsure.extend(one.await.unwrap());
        }
        self.settle().await;
    }

    async fn settle(&mut self) {
        for unsure in std::mem::take(&mut self.unsure) {
            let owner = self.client(unsure.who());
            unsure.settle(owner, &self.people, &self.history).await;
        }
    }

    async fn fault(&mut self) {
        let number = self.some_device();
        match self.kind {
            Kind::Slow if self.dice.percent(40) => return self.hold_up(number).await,
            Kind::Away if self.dice.percent(25) => return self.leave(number).await,
            Kind::Freeze if self.dice.percent(60) => return self.devices[number].proxy.freeze(),
            Kind::Spoil if self.dice.percent(40) => {
                self.history.lock().hear(number, Heard::MayReset);
                return self.devices[number].order(Order::Restart { spoil: true }).await;
            }
            _ => {}
        }
        let transports = transports(&mut self.dice);
        let device = &self.devices[number];
        match self.dice.below(8) {
            0..=2 => {
                // A network that refuses all that a client may use is no test.
                device.proxy.refuse_websockets(false);
                device.order(Order::Allow(transports)).await;
            }
            3 | 4 => device.proxy.cut(),
            // A slow network takes minutes for what a long absence leaves to fetch.
            5 if self.kind != Kind::Away => device.proxy.delay(self.dice.below(25)),
            5 | 6 => device.order(Order::Restart { spoil: false }).await,
            _ => {
                device.proxy.refuse_websockets(self.dice.percent(50));
                device.order(Order::Allow(Vec::new())).await;
            }
        }
    }

    fn may(&self, number: usize) {
        let mut history = self.history.lock();
        for heard in [Heard::MayGap(Stream::Posts), Heard::MayGap(Stream::Notifications), Heard::MayReset] {
            history.hear(number, heard);
        }
    }

    /// A device takes nothing while much is posted: its application sleeps, or its network does.
    async fn hold_up(&mut self, number: usize) {
        let sleeps = self.dice.percent(50);
        match sleeps {
            true => self.devices[number].order(Order::Pause(true)).await,
            false => self.devices[number].proxy.hold(true),
        }
        // The owner's own posts are surely for the device.
        let owner = self.history.lock().owners[number];
        self.much(owner, BURST).await;
        match sleeps {
            true => self.devices[number].order(Order::Pause(false)).await,
            false => self.devices[number].proxy.hold(false),
        }
        self.rest().await;
    }

    /// A device is away while more is posted than is replayed.
    async fn leave(&mut self, number: usize) {
        self.devices[number].proxy.close(true);
        let owner = self.history.lock().owners[number];
        self.much(owner, ABSENCE).await;
        self.devices[number].proxy.close(false);
        self.rest().await;
    }

    /// Posts of one person, in parallel, faster than some sessions take them.
    async fn much(&mut self, who: usize, posts: usize) {
        // Others may be flooded too: more comes at once than waits for a session.
        for number in 0..DEVICES {
            self.may(number);
        }
        for _ in 0..posts / 10 {
            let plain = Act::Post { reply_to: None, repost_of: None };
            let plans = (0..10).map(|_| self.plan(who, plain.clone())).collect();
            self.all(plans).await;
        }
    }

    /// Waits until everything that must be there has arrived.
    async fn rest(&mut self) {
        self.settle().await;
        self.until("everything arrives", missing).await;
    }

    async fn until(&mut self, what: &str, wrong: impl Fn(&History) -> Vec<String>) {
        let started = Instant::now();
        loop {
            let breaches = wrong(&self.history.lock());
            if breaches.is_empty() {
                return;
            }
            if started.elapsed() > PATIENCE {
                self.fail(what, &breaches);
            }
            tokio::time::sleep(Duration::from_millis(15)).await; // poll
        }
    }

    fn fail(&self, what: &str, breaches: &[String]) -> ! {
        let history = self.history.lock();
        let (seed, kind, breaches) = (self.seed, self.kind, breaches.join("\n"));
        let partitions = partitions(seed);
        panic!("seed {seed} ({kind:?}, {partitions} partitions), {what}:\n{breaches}\n\nhistory:\n{history}");
    }

    /// Makes one more post of everybody, which comes after everything; then the server is asked, and all must agree.
    async fn finish(mut self) {
        for device in &self.devices {
            device.proxy.delay(0);
        }
        self.rest().await;
        let plain = Act::Post { reply_to: None, repost_of: None };
        let plans = self.present().into_iter().map(|who| self.plan(who, plain.clone())).collect();
        self.all(plans).await;
        self.rest().await;
        let started = Instant::now();
        loop {
            self.ask().await;
            let breaches = check(&self.history.lock());
            if breaches.is_empty() {
                return;
            }
            if started.elapsed() > PATIENCE / 2 {
                self.fail("in the end", &breaches);
            }
            tokio::time::sleep(Duration::from_millis(50)).await; // poll
        }
    }

    /// Asks for what the server lists now.
    async fn ask(&self) {
        let (mut notifications, mut feeds) = (vec![None; PEOPLE], vec![None; PEOPLE]);
        for who in self.present() {
            let client = self.client(who);
            let (mut listed, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let page = client.notifications(Paging::at(100, cursor.as_deref())).await.unwrap();
                listed.extend(page.items.iter().map(|item| Listed { id: item.id, actor: item.actor.id }));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            let (mut feed, mut cursor) = (Vec::new(), None::<String>);
            loop {
                let paging = Paging::at(100, cursor.as_deref());
                let page = client.feed(FeedQuery { paging, ..FeedQuery::default() }).await.unwrap();
                feed.extend(page.items.iter().map(|post| post.id));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            (notifications[who], feeds[who]) = (Some(listed), Some(feed));
        }
        let mut history = self.history.lock();
        (history.notifications, history.feeds) = (notifications, feeds);
    }
}

/// Partitions of people that the server has: what is asked for, or in every third history several.
fn partitions(seed: u64) -> u16 {
    let asked = std::env::var("FANFARE_TEST_PARTITIONS").ok().and_then(|count| count.parse().ok());
    asked.unwrap_or(if seed % 3 == 2 { 3 } else { 1 })
}

/// Mostly all, sometimes one or two.
fn transports(dice: &mut Random) -> Vec<Transport> {
    use Transport::{LongPoll, ShortPoll, Sse, Websocket};
    match dice.below(8) {
        0 | 1 => vec![],
        2 => vec![Websocket],
        3 => vec![Sse],
        4 => vec![LongPoll],
        5 => vec![ShortPoll],
        6 => vec![Sse, LongPoll],
        _ => vec![Websocket, LongPoll],
    }
}
