//! Many nodes in one process over a hostile world: a roster that is late, wrong, overlapping or names nobody, owners
//! that sleep and crash, clocks that are an hour off, a bus that loses messages.
//!
//! Afterwards rows are those of a plain model that reads once what counts of the logs, what was acknowledged is there
//! once, and every node tells the same: its views heard of each record once, its caches hold what rows say, its feed is
//! what somebody sees who knows nothing but rows, and a cursor that went from node to node saw each post once.

mod look;
mod node;
mod play;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{Bus, Engines, NewFamily, Partition};
use fanfare_protocol::Id;
use parking_lot::Mutex;

use self::look::Look;
use self::node::{Node, View, clock_at};
use self::play::{Lacks, Played};
use super::broken::{self, Variant};
use super::clients::{self, Clients, Verdict};
use super::people::{Intent, PEOPLE};
use crate::base::error::Result;
use crate::data::families;
use crate::data::rows::PostRecord;
use crate::data::uncounted::Of;
use crate::feed::PageQuery;
use crate::log::events::Event;
use crate::log::handle::{Log, Proposal};
use crate::log::roster::{Assigned, Roster};
use crate::log::spread::Spread;
use crate::nodes::roster::{Assignments, HeardRoster, evenly};

const NODES: usize = 3;
const STEPS: usize = 60;
const BURST_MAX: u64 = 4;
const TURNS_MAX: u64 = 60;
const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const STEP_MS: u64 = 3;
const PAUSE_MS_MAX: u64 = 400;
const GROUP_AFTER: u64 = 2;
/// Patience with whoever should have been answered, and with what should come to rest. It costs no time, but what is
/// done again and again meanwhile does.
const PATIENCE: Duration = Duration::from_secs(120);

const FAULTS: Faults = Faults {
    unavailable: 1,
    unknown: 5,
    offset_gaps: 10,
    doubled: 15,
    lost_replies: 6,
    sleeps: 20,
    lost_messages: 20,
    ..Faults::NONE
};

/// A cursor that goes from node to node through somebody's own posts.
struct Pager {
    person: Id,
    /// Horizon at which it began.
    from: Id,
    before: Id,
    seen: Vec<Id>,
    is_through: bool,
}

struct History {
    world: Hostile,
    bus: Arc<dyn Bus>,
    spread: Spread,
    lacks: Lacks,
    random: Random,
    now_ms: u64,
    off_ms: [i64; NODES],
    names: Vec<Arc<str>>,
    rosters: Vec<Arc<HeardRoster>>,
    nodes: [Option<Node>; NODES],
    /// Views of each life that a node had, with its number.
    lives: Vec<(usize, Arc<View>)>,
    posts: Arc<Mutex<Vec<PostRecord>>>,
    clients: Clients<Id>,
    pagers: Vec<Pager>,
    acts: u64,
}

impl History {
    fn new(seed: u64, partitions: u16, lacks: Lacks) -> Self {
        let social = [NewFamily { partitions: Some(partitions), ..families::SOCIAL }];
        let world = Hostile::with_families(seed, &social, FAULTS).unwrap();
        let (bus, spread) = (world.engines().bus, Spread::over(0, partitions));
        let names: Vec<Arc<str>> = (0..NODES).map(|number| format!("node-{number}").into()).collect();
        let even = evenly(&spread.partitions().collect::<Vec<_>>(), &names, &Assignments::default());
        let rosters = names.iter().map(|name| Arc::new(HeardRoster::new(name, even.clone()))).collect();
        Self {
            world,
            bus,
            spread,
            lacks,
            random: Random::new(seed ^ 0x5eed),
            now_ms: NOW_MS,
            off_ms: [0; NODES],
            names,
            rosters,
            nodes: Default::default(),
            lives: Vec::new(),
            posts: Arc::default(),
            clients: Clients::default(),
            pagers: Vec::new(),
            acts: 0,
        }
    }

    fn engines(&self) -> Engines {
        let variant = if let Lacks::OfTheLog(variant) = self.lacks { variant } else { Variant::Right };
        broken::engines(&self.world, variant)
    }

    async fn open(&self, number: usize) -> Result<Node> {
        let clock = clock_at(self.now_ms, self.off_ms[number]);
        let over = (self.engines(), Arc::clone(&self.bus));
        Node::open(number, clock, over, (self.spread, Arc::clone(&self.rosters[number]), self.lacks)).await
    }

    fn crash(&mut self, node: usize) {
        let Some(crashed) = self.nodes[node].take() else { return };
        self.lives.push((node, crashed.crash()));
        self.clients.end_at(node);
    }

    async fn step(&mut self) {
        let node = self.random.index(NODES);
        match self.random.below(100) {
            0..2 => {
                (0..NODES).for_each(|node| self.crash(node));
                self.world.crash();
                self.bus = self.world.engines().bus;
            }
            2..7 => self.crash(node),
            7..11 => {
                let off_ms = [-HOUR_MS, 0, HOUR_MS][self.random.index(3)];
                if let Some(one) = &self.nodes[node] {
                    one.clock.step(off_ms - self.off_ms[node]);
                }
                self.off_ms[node] = off_ms;
            }
            11..19 => self.assign(),
            19..29 => {
                let ms = self.random.below(PAUSE_MS_MAX);
                // Time passes when nobody has anything to do.
                let _ = tokio::time::timeout(Duration::from_millis(ms), pending::<()>()).await;
                self.pass(ms);
            }
            29..40 => self.turn_page(node).await,
            _ => {
                if self.nodes[node].is_none() {
                    self.nodes[node] = self.open(node).await.ok();
                }
                for _ in 0..=self.random.below(BURST_MAX) {
                    self.act(node);
                }
                self.look_around(node).await;
            }
        }
        self.pass(STEP_MS);
        clients::turns(&mut self.random, TURNS_MAX).await;
        for node in self.nodes.iter().flatten() {
            if self.random.percent(50) {
                node.feed.turn();
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.nodes.iter().flatten().for_each(|node| node.clock.pass(ms));
    }

    /// Some nodes hear who should own a partition; perhaps nobody, and the others not at all.
    fn assign(&mut self) {
        let partition = Partition(self.random.index(self.spread.partitions().count()) as u16);
        let owner = (!self.random.percent(15)).then(|| self.random.index(NODES));
        for roster in &self.rosters {
            if self.random.percent(70) {
                roster.assign(partition, owner.map(|owner| &self.names[owner]));
            }
        }
    }

    /// The node that a request at `node` goes to: there, or where that one sends it.
    fn deciding(&self, node: usize, actor: Id) -> Option<(usize, Log)> {
        let asked = self.nodes[node].as_ref()?;
        let decides = match self.rosters[node].owner_of(self.spread.partition_of(actor)) {
            Assigned::Here => node,
            Assigned::There(name) => self.names.iter().position(|known| *known == name)?,
        };
        let log = if decides == node { &asked.log } else { &self.nodes[decides].as_ref()?.log };
        Some((decides, log.clone()))
    }

    fn act(&mut self, node: usize) {
        let Some(intent) = Intent::random(&mut self.random, &self.posts.lock()) else { return };
        let Some((node, log)) = self.deciding(node, intent.actor()) else { return };
        self.acts += 1;
        let (act, world, spread, posts) = (self.acts, self.world.clone(), self.spread, Arc::clone(&self.posts));
        self.clients.ask(node, act, async move {
            let Ok(guard) = log.decide(intent.actor(), &intent.locks()).await else { return Ok(None) };
            let Some(event) = intent.event(spread, &|key| world.row(key)) else { return Ok(None) };
            // The record says whose act it is.
            let proposal = Proposal { import_line: Some(act), ..event.into() };
            let committed = log.commit(&guard, proposal).await;
            clients::heard(committed.map(|record| {
                if let Event::Posted { post, .. } = &record.event {
                    posts.lock().push(post.clone());
                }
                record.id
            }))
        });
    }

    /// Somebody reads at a node: what was read is in its caches, and what was shown was promised.
    async fn look_around(&mut self, node: usize) {
        let person = Id(1_000 + self.random.below(PEOPLE) * 7);
        let post = self.posts.lock().last().map(|post| post.id);
        let Some(Node { store, feed, .. }) = &self.nodes[node] else { return };
        // Storage may be away: nothing is read then.
        let _ = (store.counters(Of::User(person)).await, store.hidden(person).await, store.marks(person).await);
        if let Some(post) = post {
            let _ = (store.post_or_gone(post).await, store.counters(Of::Post(post)).await);
        }
        let _ = feed.page(person, PageQuery { before: None, since: None, limit: 3 }).await;
        if let Some(node) = &self.nodes[node] {
            node.show();
        }
    }

    /// A cursor is taken to a node, which answers a page once it has come so far.
    async fn turn_page(&mut self, node: usize) {
        let Some(Node { store, log, .. }) = &self.nodes[node] else { return };
        let horizon = log.horizon().now();
        if self.pagers.last().is_none_or(|last| last.is_through) {
            let person = Id(1_000 + self.random.below(PEOPLE) * 7);
            let (seen, before) = (Vec::new(), Id(horizon.0 + 1));
            self.pagers.push(Pager { person, from: horizon, before, seen, is_through: false });
        }
        let Some(pager) = self.pagers.last_mut().filter(|pager| horizon.0 + 1 >= pager.before.0) else { return };
        let source: &dyn crate::feed::FeedSource = &**store;
        let Ok(page) = source.author_entries(pager.person, pager.before, 2).await else { return };
        match page.last() {
            Some(last) => pager.before = last.id,
            None => pager.is_through = true,
        }
        pager.seen.extend(page.iter().map(|entry| entry.id));
    }

    /// Everything calms down, everybody is there, and the roster is right.
    async fn end(mut self) -> Verdict<Played> {
        self.world.set_faults(Faults::NONE);
        let even = evenly(&self.spread.partitions().collect::<Vec<_>>(), &self.names, &Assignments::default());
        self.rosters.iter().for_each(|roster| roster.hear(even.clone()));
        for number in 0..NODES {
            if self.nodes[number].is_none() {
                let opened = self.open(number).await;
                let opened = opened.map_err(|error| format!("in the quiet node {number} does not start: {error}"))?;
                self.nodes[number] = Some(opened);
            }
        }
        let heard = self.clients.answers().await?;
        self.world.settle();
        let quiet = async {
            while !self.is_quiet() {
                tokio::time::sleep(Duration::from_millis(20)).await; // poll
            }
        };
        let rests = tokio::time::timeout(PATIENCE, quiet).await;
        rests.map_err(|_| format!("it does not come to rest: {}", self.stands()))?;
        self.world.settle();
        let nodes: Vec<Node> = self.nodes.iter_mut().filter_map(Option::take).collect();
        if let Some(failed) = nodes.iter().find(|node| node.storage.has_failed()) {
            return Err(format!("an owner takes nothing more: {}", failed.log.newest()));
        }
        let look = Look { world: &self.world, engines: self.engines(), spread: self.spread };
        let logs = look.logs();
        look.at_rows(&logs, &heard).await?;
        for node in &nodes {
            node.feed.quiesce();
            look.at_caches(node, &logs).await?;
        }
        look.at_feeds(&nodes, &mut self.random).await?;
        look.at_pagers(&self.pagers, &logs)?;
        for (number, node) in nodes.into_iter().enumerate() {
            self.lives.push((number, node.stop().await));
        }
        let (earlier, last) = self.lives.split_at(self.lives.len() - NODES);
        let heard = look.at_views(&logs, last, earlier)?;
        Ok(Played { heard, digest: look.digest(&self.lives) })
    }

    /// Whether every node has heard of everything that counts, and nothing comes any more.
    fn is_quiet(&self) -> bool {
        let nodes = || self.nodes.iter().flatten();
        let ends: Vec<(Partition, Id)> =
            self.spread.partitions().map(|partition| (partition, Id(self.world.end(partition).last_id))).collect();
        let heard = |node: &Node| ends.iter().all(|(partition, end)| node.settled(*partition) == *end);
        let lowest = ends.iter().map(|(_, end)| *end).min().unwrap_or_default();
        nodes().all(|node| heard(node) && node.log.horizon().reached() >= lowest && node.log.is_kept_up())
    }

    fn stands(&self) -> String {
        let of = |node: &Node| -> Vec<Id> { self.spread.partitions().map(|one| node.settled(one)).collect() };
        let ends: Vec<u64> = self.spread.partitions().map(|partition| self.world.end(partition).last_id).collect();
        let nodes = self.nodes.iter().flatten();
        let nodes: BTreeSet<_> = nodes.map(|node| (node.log.horizon().reached(), of(node))).collect();
        format!("logs end at {ends:?}, nodes have come to {nodes:?}")
    }
}
