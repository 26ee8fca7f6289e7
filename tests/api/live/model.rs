//! Pages against an oracle: whatever hosts and readers do, through clock steps, restarts and evictions, while three
//! devices page, each page is a sort of all sessions by their state as of T, minus what may not be seen now.

use std::collections::{BTreeMap, BTreeSet};

use fanfare::app::{self, Running};
use fanfare::base::clock::Clock;
use fanfare::base::handle::Handle;
use fanfare::base::logging;
use fanfare::data::families::families;
use fanfare::http::OperatorTokens;
use fanfare::live::order::LivePosition;
use fanfare_engines::Engines;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, LiveSession, NewLiveSession, PatchLiveSession, Timestamp};

use crate::world::{quick, seeds};

const SEEDS: u64 = 12;
const STEPS: u64 = 90;
const PEOPLE: usize = 5;
const START_MS: u64 = 1_800_000_000_000;
/// Seconds for which a pass may last.
const PAGES_S: u64 = 1_800;

/// A session as the oracle knows it.
#[derive(Debug, Clone)]
struct Session {
    host: usize,
    /// Record and planned start.
    planned: Vec<(u64, u64)>,
    started: Option<u64>,
    ended: Option<u64>,
    removed: bool,
}

/// Milliseconds of a record.
fn ms_of(record: u64) -> i128 {
    i128::from(fanfare::base::id::unix_ms_of(Id(record)))
}

impl Session {
    /// Rank as of `t`: the higher the earlier on a page.
    fn rank(&self, id: u64, t: u64) -> Option<(bool, i128, u64)> {
        if self.removed || id > t {
            return None;
        }
        let past = |record: Option<u64>| record.filter(|record| *record <= t);
        Some(match (past(self.started), past(self.ended)) {
            (_, Some(ended)) => (false, i128::from(ended), 0),
            (Some(started), None) => (true, ms_of(started), id),
            (None, None) => {
                let planned = self.planned.iter().rev().find(|(by, _)| *by <= t).unwrap();
                (true, -i128::from(planned.1), id)
            }
        })
    }
}

/// A pass of one reader over pages.
#[derive(Debug, Default)]
struct Device {
    at: Option<LivePosition>,
    seen: BTreeSet<Id>,
    /// Lowest rank so far.
    below: Option<(bool, i128, u64)>,
    /// Nothing but sessions changed since the pass began.
    is_plain: bool,
}

struct World {
    running: Option<Running>,
    engines: Engines,
    folder: tempfile::TempDir,
    clock: Clock,
    now_ms: u64,
    people: Vec<Id>,
    sessions: BTreeMap<u64, Session>,
    follows: BTreeSet<(usize, usize)>,
    blocks: BTreeSet<(usize, usize)>,
    mutes: BTreeSet<(usize, usize)>,
    /// Each is of person 0, 1 and 2.
    devices: [Device; 3],
}

impl World {
    async fn new(engines: Engines) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::by_hand(START_MS);
        let mut world = Self {
            running: None,
            engines,
            folder,
            clock,
            now_ms: START_MS,
            people: Vec::new(),
            sessions: BTreeMap::new(),
            follows: BTreeSet::new(),
            blocks: BTreeSet::new(),
            mutes: BTreeSet::new(),
            devices: Default::default(),
        };
        world.start().await;
        for number in 0..PEOPLE {
            let handle = Handle::parse(&format!("p{number}")).unwrap();
            let made = world.app().users().create(&handle, None, None, START_MS).await.unwrap();
            world.people.push(made.row.id);
        }
        world
    }

    async fn start(&mut self) {
        let mut settings = quick();
        settings.live.pages_s = PAGES_S;
        settings.live.overdue_h = 8_760;
        settings.live.hours_max = 8_760;
        settings.feed.timelines_max = 2;
        settings.feed.push_below = 1;
        settings.feed.pull_above = 2;
        settings.feed.push_slice = 1;
        settings.feed.flip_interval_s = 0;
        let tokens = OperatorTokens::open(self.folder.path()).unwrap();
        let log = logging::start(&settings.log.level, settings.log.format);
        let engines = self.engines.clone();
        self.running = Some(app::start(&settings, engines, b"secret", tokens, self.clock.clone(), log).await.unwrap());
    }

    fn app(&self) -> &app::App {
        &self.running.as_ref().unwrap().app
    }

    async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        self.start().await;
    }

    /// The last record that was answered.
    fn last(&self) -> u64 {
        self.app().core().log.settled().0
    }

    fn sees(&self, reader: usize, host: usize) -> bool {
        let blocked = self.blocks.contains(&(reader, host)) || self.blocks.contains(&(host, reader));
        reader == host || self.follows.contains(&(reader, host)) && !blocked && !self.mutes.contains(&(reader, host))
    }

    async fn step(&mut self, dice: &mut Random) {
        match dice.below(20) {
            0..=8 => self.host_acts(dice).await,
            9 | 10 => self.edge(dice).await,
            11 => {
                // Back too, now and then.
                let by_ms = dice.below(600_000);
                self.now_ms = if dice.below(6) == 0 { self.now_ms - by_ms / 100 } else { self.now_ms + by_ms };
                self.clock.set(self.now_ms);
                let feed = self.app().live().view().feed().clone();
                tokio::task::spawn_blocking(move || feed.quiesce()).await.unwrap();
                self.app().live().do_due().await.unwrap();
            }
            12 => {
                let reader = self.people[dice.below(3) as usize];
                self.app().live().view().feed().evict(reader);
            }
            13 if dice.below(3) == 0 => self.restart().await,
            _ => self.page(dice).await,
        }
    }

    async fn host_acts(&mut self, dice: &mut Random) {
        let host = dice.below(PEOPLE as u64) as usize;
        let (live, caller) = (self.app().live().clone(), self.people[host]);
        // Few plans, so that some are equal.
        let planned = Timestamp(self.now_ms + 60_000 * dice.below(8));
        let theirs: Vec<u64> = self.sessions.iter().filter(|(_, one)| one.host == host).map(|(id, _)| *id).collect();
        let deed = dice.below(7);
        let Some(id) = theirs.get(dice.below(theirs.len().max(1) as u64) as usize).copied().filter(|_| deed > 1) else {
            let new = NewLiveSession { title: "x".into(), starts_at: planned };
            let Ok(made) = live.announce(caller, new, None).await else { return };
            let fanfare::live::service::Announced::New(LiveSession { id, .. }) = made else { unreachable!() };
            let planned = vec![(id.0, planned.0)];
            self.sessions.insert(id.0, Session { host, planned, started: None, ended: None, removed: false });
            return;
        };
        let before = self.last();
        let done = match deed {
            2 => {
                let patch = PatchLiveSession { starts_at: Some(planned), ..PatchLiveSession::default() };
                live.edit(caller, Id(id), patch).await
            }
            3 | 4 => live.start(caller, Id(id)).await,
            5 => live.end(caller, Id(id), None).await,
            _ => live.remove(caller, Id(id)).await,
        };
        let (by, one) = (self.last(), self.sessions.get_mut(&id).unwrap());
        let may = match deed {
            2 => {
                !one.removed && one.started.is_none() && one.planned.len() <= 20
                    || one.planned.last().unwrap().1 == planned.0
            }
            3 | 4 => !one.removed && one.ended.is_none(),
            5 => !one.removed && one.started.is_some(),
            _ => one.removed || one.started.is_none() || one.ended.is_some(),
        };
        assert_eq!(done.is_ok(), may && (deed != 2 || !one.removed), "{deed} of {one:?}: {done:?}");
        let is_new = match deed {
            2 => one.planned.last().unwrap().1 != planned.0,
            3 | 4 => one.started.is_none(),
            5 => one.ended.is_none(),
            _ => !one.removed,
        };
        assert_eq!(by > before, done.is_ok() && is_new, "one record a transition, and none for nothing");
        if by > before {
            match deed {
                2 => one.planned.push((by, planned.0)),
                3 | 4 => one.started = Some(by),
                5 => one.ended = Some(by),
                _ => one.removed = true,
            }
        }
        // Gone at any time, it is on no page: what a pass has seen of it counts for nothing.
        if one.removed {
            self.devices.iter_mut().for_each(|device| device.is_plain = false);
        }
    }

    async fn edge(&mut self, dice: &mut Random) {
        let (from, to) = (dice.below(PEOPLE as u64) as usize, dice.below(PEOPLE as u64) as usize);
        if from == to {
            return;
        }
        let (follows, one, other) = (self.app().follows().clone(), self.people[from], self.people[to]);
        match dice.below(9) {
            0..=3 => {
                if follows.follow(one, other).await.is_ok() {
                    self.follows.insert((from, to));
                }
            }
            4 => {
                follows.unfollow(one, other).await.unwrap();
                self.follows.remove(&(from, to));
            }
            5 => {
                follows.block(one, other).await.unwrap();
                self.blocks.insert((from, to));
                self.follows.retain(|edge| *edge != (from, to) && *edge != (to, from));
            }
            6 => {
                follows.unblock(one, other).await.unwrap();
                self.blocks.remove(&(from, to));
            }
            7 => {
                if follows.mute(one, other).await.is_ok() {
                    self.mutes.insert((from, to));
                }
            }
            _ => {
                follows.unmute(one, other).await.unwrap();
                self.mutes.remove(&(from, to));
            }
        }
        self.devices.iter_mut().for_each(|device| device.is_plain = false);
    }

    /// Reads on with a device, or begins anew.
    async fn page(&mut self, dice: &mut Random) {
        let (reader, limit) = (dice.below(3) as usize, 1 + dice.below(5) as usize);
        let device = &self.devices[reader];
        let is_old = |at: &LivePosition| fanfare::base::id::unix_ms_of(at.t) + PAGES_S * 1_000 < self.now_ms;
        let at = device.at.filter(|at| !is_old(at));
        let below = device.below.filter(|_| at.is_some());
        let page = self.app().live().feed(self.people[reader], limit, at).await.unwrap();
        let t = page.t.0;
        assert!(at.is_none_or(|at| at.t == page.t) && t >= self.last().min(t), "a pass is of one moment");
        if at.is_none() {
            assert!(t >= self.last(), "the first page has all that was answered");
        }
        let seen = self.sessions.iter().filter(|(_, one)| self.sees(reader, one.host));
        let mut expected: Vec<_> = seen.filter_map(|(id, one)| Some((one.rank(*id, t)?, Id(*id)))).collect();
        expected.sort_unstable_by(|one, other| other.cmp(one));
        expected.retain(|(rank, _)| below.is_none_or(|below| *rank < below));
        let more = expected.len() > limit;
        expected.truncate(limit);
        let got: Vec<Id> = page.sessions.iter().map(|row| row.id).collect();
        assert_eq!(got, expected.iter().map(|(_, id)| *id).collect::<Vec<_>>(), "as of {t}, below {below:?}");
        assert_eq!(page.next.is_some(), more);
        let device = &mut self.devices[reader];
        if at.is_none() {
            *device = Device { is_plain: true, ..Device::default() };
        }
        for id in got {
            assert!(device.seen.insert(id), "{id} comes twice in a pass");
        }
        device.below = expected.last().map(|(rank, _)| *rank);
        // As a cursor has it.
        device.at = page.next.map(|next| LivePosition::from_bytes(&next.to_bytes()).unwrap());
        if device.at.is_none() && device.is_plain {
            let is_there = |(id, one): &(&u64, &Session)| one.rank(**id, t).is_some();
            let all = self.sessions.iter().filter(is_there).filter(|(_, one)| self.sees(reader, one.host));
            let missed: Vec<_> = all.filter(|(id, _)| !self.devices[reader].seen.contains(&Id(**id))).collect();
            assert!(missed.is_empty(), "a hole in a pass as of {t}: {missed:?}");
        }
    }
}

async fn history(seed: u64, engines: Engines) {
    println!("seed {seed}");
    let mut dice = Random::new(seed ^ 0x11fe);
    let mut world = World::new(engines).await;
    for _ in 0..STEPS {
        world.step(&mut dice).await;
    }
    world.running.take().unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_a_sort_of_all_sessions_as_of_its_moment() {
    for seed in seeds(SEEDS) {
        history(seed, fanfare_engines::memory::open_families(&families(1)).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_a_sort_over_the_hostile_engine_too() {
    for seed in seeds(SEEDS) {
        let world = Hostile::with_families(seed, &families(1), Faults::NONE).unwrap();
        history(seed, world.engines()).await;
    }
}
