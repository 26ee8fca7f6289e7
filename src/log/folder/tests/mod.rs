//! Groups that are folded while the one before is on its way to the log, which then stands, does not, or nobody knows.
//! Afterwards the log is what one reader who folds it record by record would have made, so are the rows, and everybody
//! was answered as is true. Variants that are broken on purpose are caught.

mod gate;
mod judge;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{EngineError, Engines, memory};
use fanfare_protocol::{Code, Id, NotificationKind};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet, LocalSet, spawn_local};

use self::gate::Gate;
use self::judge::fault;
use super::*;
use crate::app;
use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::id::first_id_at;
use crate::data::rows::{Counters, EndedFollow, OfUser, PostRecord, PostRef, UserRow};
use crate::data::storage::Storage;
use crate::data::uncounted::Of;
use crate::log::events::{Event, IdempotencyKey, Notice, Policy, Record};
use crate::log::fold::State;
use crate::log::handle::{Log, LogSetup, Pending, Proposal};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::product::{Committed, Listener, Prepare, Product};
use crate::log::roster::Alone;

const START_MS: u64 = 1_767_607_200_000;
const GROUP_AFTER: u64 = 2;
const PEOPLE: u64 = 6;
/// Proposals of a story, and those that are handed in at once at most.
const PROPOSALS: usize = 160;
const AT_ONCE: u64 = 28;

/// Variant of a folder that is broken on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Broken {
    /// Folds on a group stay when that group does not come about.
    KeepsFolds,
    /// Groups are folded on what is stored.
    FoldsOnStored,
    /// Records about an account that the group before makes or deletes are decided at once.
    DecidesEarly,
}

/// Stamp of a post by what its author's counters say, and a count of what was folded.
#[derive(Clone, Default)]
struct Stamp(Arc<AtomicUsize>);

fn policy(author: Id, state: &State) -> Policy {
    let counters = state.get(&Of::User(author).row()).map(|bytes| Counters::from_bytes(bytes).unwrap());
    match counters.unwrap_or_default().values[OfUser::Posts as usize] % 3 {
        0 => Policy::Push,
        1 => Policy::PushLate,
        _ => Policy::Pull,
    }
}

impl Prepare for Stamp {
    fn prepare(&self, record: &mut Record, state: &State) -> crate::base::error::Result<()> {
        self.0.fetch_add(1, Ordering::SeqCst);
        if let Event::Posted { post, .. } = &mut record.event {
            post.policy = policy(post.author, state);
        }
        Ok(())
    }
}

/// View of all lives: records in the order in which they were heard, none at or below a horizon that was shown.
#[derive(Clone)]
struct Heard {
    records: Arc<Mutex<Vec<Id>>>,
    horizon: Horizon,
}

impl Listener for Heard {
    fn committed(&self, committed: &[Committed], horizon: Id) {
        for one in committed {
            assert!(one.record.id > self.horizon.reached(), "it settles below the horizon");
            assert!(one.record.id <= horizon);
            self.records.lock().push(one.record.id);
        }
    }
}

/// Life of an owner.
struct Life {
    log: Log,
    gate: Arc<Gate>,
    folded: Arc<AtomicUsize>,
    clock: Clock,
    horizon: Horizon,
    owner: JoinHandle<()>,
}

impl Life {
    async fn begin(
        engines: &Engines,
        faults: (u64, u8),
        broken: Option<Broken>,
        (heard, at_ms): (&Ears, &mut u64),
    ) -> Option<Self> {
        // Above all that earlier lives reserved.
        *at_ms += 10_000;
        let gate = Gate::new(&engines.journal, faults);
        let (mut products, _) = app::products(GROUP_AFTER);
        let (stamp, horizon) = (Stamp::default(), Horizon::default());
        products.push(
            Product::listens(Heard { records: Arc::clone(heard), horizon: horizon.clone() }).prepares(stamp.clone()),
        );
        let (clock, storage) = (Clock::stand_in(*at_ms), Storage::default());
        let setup = LogSetup {
            clock: clock.clone(),
            numbers: Numbers::of_node(0),
            storage: storage.clone(),
            roster: Arc::new(Alone),
            horizon: horizon.clone(),
        };
        let engines = Engines { journal: gate.clone(), ..engines.clone() };
        let (log, mut taken) = Log::take_over(&engines, &products, setup).await.ok()?;
        let (mut owner, queue) = taken.each.remove(0);
        drop(taken);
        owner.folder.broken = broken;
        let owner = spawn_local(owner.run(queue, log.minting().clone()));
        Some(Self { log, gate, folded: stamp.0, clock, horizon, owner })
    }

    async fn end(self) {
        self.gate.open.add_permits(Semaphore::MAX_PERMITS / 2);
        drop(self.log);
        self.owner.await.unwrap();
    }
}

type Ears = Arc<Mutex<Vec<Id>>>;

/// Answer to a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Done(Id),
    Refused(Code),
    /// Nothing was done.
    Not,
    Unknown,
}

/// Proposals in the order in which they were handed in, and what came of them.
struct Story {
    random: Random,
    /// Moment of the next proposal's id.
    at_ms: u64,
    proposed: Vec<(Event, Told)>,
    /// Records that may be taken back, by the ids that they should get.
    made: Vec<(Id, Event)>,
}

impl Story {
    fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), at_ms: START_MS, proposed: Vec::new(), made: Vec::new() }
    }

    fn person(&mut self) -> Id {
        Id(1 + self.random.below(PEOPLE))
    }

    /// A post: the id is of a record, or of none, which counts all the same.
    fn post(&mut self) -> PostRef {
        let posts: Vec<PostRef> =
            self.made.iter().rev().filter_map(|(id, event)| post_of(*id, event)).take(3).collect();
        if posts.is_empty() { PostRef { id: Id(99), author: Id(1) } } else { posts[self.random.index(posts.len())] }
    }

    fn event(&mut self) -> Event {
        let (one, other) = (self.person(), self.person());
        let notice = |user, kind| if user == one { vec![] } else { vec![Notice { user, kind }] };
        let post = PostRecord { author: one, text: "words".to_owned(), ..PostRecord::default() };
        match self.random.below(22) {
            0..=2 => Event::Posted { post, notify: notice(other, NotificationKind::Mention) },
            3 => {
                let parent = self.post();
                let notify = notice(parent.author, NotificationKind::Reply);
                Event::Posted { post: PostRecord { reply_to: Some(parent), ..post }, notify }
            }
            4..=9 => Event::Liked { user: one, post: self.post() },
            10..=11 => Event::Followed { follower: one, followee: other, notify: true, silent: false },
            12..=17 if !self.made.is_empty() => {
                let recent = self.made.len().min(12);
                let (since, event) = self.made[self.made.len() - 1 - self.random.index(recent)].clone();
                taken_back(since, &event)
            }
            // Accounts of few: two are made, burnt or deleted time and again.
            18 => Event::UserCreated { user: user(PEOPLE + 1 + self.random.below(8)) },
            19 => Event::IdBurnt { user: Id(PEOPLE + 1 + self.random.below(8)) },
            20 if self.random.percent(25) => Event::UserDeleted { user: user(one.0) },
            _ => {
                let newer = Id(PEOPLE + 1 + self.random.below(8));
                Event::Followed { follower: one, followee: newer, notify: true, silent: false }
            }
        }
    }

    /// Hands a proposal in, and answers what is to come of it.
    async fn propose(&mut self, log: &Log, event: Event) -> Option<Pending> {
        self.at_ms += 20;
        let id = first_id_at(self.at_ms);
        let key = self.random.below(12);
        let idempotency = (key < 3).then(|| IdempotencyKey {
            caller: Id(1),
            route: "POST /".to_owned(),
            key: key.to_string(),
            body_hash: String::new(),
        });
        self.made.push((id, event.clone()));
        self.proposed.push((event.clone(), Told::Not));
        let guard = log.decide(Id(1), &[]).await.ok()?;
        let proposal = Proposal { at_ms: Some(self.at_ms), idempotency, ..event.into() };
        log.submit(&guard, proposal).await.ok()
    }

    /// Proposals to one life, some of them while others are on their way.
    async fn lives(&mut self, life: &Life, proposals: usize) {
        let (mut handed_in, end) = (Vec::new(), self.proposed.len() + proposals);
        while self.proposed.len() < end {
            for _ in 0..=self.random.below(AT_ONCE) {
                let (place, event) = (self.proposed.len(), self.event());
                if let Some(pending) = self.propose(&life.log, event).await {
                    handed_in.push((place, pending));
                }
            }
            for _ in 0..self.random.below(16) {
                tokio::task::yield_now().await;
            }
            if self.random.percent(60) {
                // Something of now is asked for while others are on their way.
                life.clock.pass((self.at_ms + 5).saturating_sub(life.clock.now_ms()));
                let _ = life.horizon.now();
            }
            if self.random.percent(70) {
                life.gate.open.add_permits(1);
            }
        }
        life.gate.open.add_permits(1_000_000);
        for (place, pending) in handed_in {
            self.proposed[place].1 = match pending.durable().await {
                Ok(record) => Told::Done(record.id),
                Err(Error::Refused(problem)) => Told::Refused(problem.code),
                Err(Error::Engine(EngineError::Unknown(_))) => Told::Unknown,
                Err(_) => Told::Not,
            };
        }
    }
}

fn user(id: u64) -> UserRow {
    UserRow { id: Id(id), handle: format!("person_{id}"), ..UserRow::default() }
}

fn post_of(id: Id, event: &Event) -> Option<PostRef> {
    match event {
        Event::Posted { post, .. } => Some(PostRef { id, author: post.author }),
        _ => None,
    }
}

fn taken_back(since: Id, event: &Event) -> Event {
    match event {
        Event::Liked { user, post } => Event::Unliked { user: *user, post: *post, since },
        Event::Followed { follower, followee, .. } => {
            let (follower, followee) = (*follower, *followee);
            Event::Unfollowed(EndedFollow { follower, followee, since, departed: None, silent: false })
        }
        Event::Posted { post, .. } => crate::posts::service::deletion(&PostRecord { id: since, ..post.clone() }, false),
        _ => Event::Operated,
    }
}

/// A story over one engine, with lives that end in between; the fault in it, if there is one.
async fn story(seed: u64, faulty: u8, broken: Option<Broken>) -> Option<String> {
    let engines = memory::open(1).unwrap();
    let (mut story, heard) = (Story::new(seed), Ears::default());
    while story.proposed.len() < PROPOSALS {
        let life = Life::begin(&engines, (seed ^ story.at_ms, faulty), broken, (&heard, &mut story.at_ms)).await?;
        let left = PROPOSALS - story.proposed.len();
        story.lives(&life, left.min(PROPOSALS / 2)).await;
        life.end().await;
    }
    let heard = heard.lock().clone();
    fault(&story, &heard, &engines).await
}

/// A story over the hostile engine, in lives of which some are cut off in the middle.
async fn hostile_story(seed: u64, broken: Option<Broken>) -> Option<String> {
    let world = Hostile::new(seed, 1, Faults::SOME).unwrap();
    let (mut story, heard) = (Story::new(seed), Ears::default());
    while story.proposed.len() < PROPOSALS {
        let began = Life::begin(&world.engines(), (seed ^ story.at_ms, 10), broken, (&heard, &mut story.at_ms)).await;
        let Some(life) = began else { continue };
        let (turns, ending) = (story.random.below(1_000), world.clone());
        let crash = spawn_local(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            ending.crash();
        });
        if story.random.percent(40) {
            crash.abort();
        }
        story.lives(&life, PROPOSALS / 3).await;
        crash.abort();
        life.end().await;
    }
    world.set_faults(Faults::NONE);
    world.settle();
    let engines = world.engines();
    Life::begin(&engines, (0, 0), None, (&heard, &mut story.at_ms)).await?.end().await;
    world.settle();
    let heard = heard.lock().clone();
    fault(&story, &heard, &engines).await
}

fn seeds() -> Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first = number("FANFARE_TEST_SEED").unwrap_or_default();
    first..first + number("FANFARE_TEST_RUNS").unwrap_or(60)
}

/// Faults in stories, by their seeds; the stories go on beside each other, for they wait for storage now and then.
async fn faults<F>(seeds: Range<u64>, story: impl Fn(u64) -> F) -> Vec<(u64, String)>
where
    F: Future<Output = Option<String>> + 'static,
{
    let mut stories = JoinSet::new();
    for seed in seeds {
        let story = story(seed);
        stories.spawn_local(async move { (seed, story.await) });
    }
    stories.join_all().await.into_iter().filter_map(|(seed, fault)| Some((seed, fault?))).collect()
}

#[tokio::test(start_paused = true)]
async fn whatever_becomes_of_a_group_what_was_folded_on_it_is_as_if_it_had_been_known() {
    assert_eq!(LocalSet::new().run_until(faults(seeds(), |seed| story(seed, 50, None))).await, []);
}

#[tokio::test(start_paused = true)]
async fn so_it_is_over_the_hostile_engine_and_when_the_process_ends_between() {
    assert_eq!(LocalSet::new().run_until(faults(seeds(), |seed| hostile_story(seed, None))).await, []);
}

#[tokio::test(start_paused = true)]
async fn folders_that_are_broken_on_purpose_are_caught() {
    for broken in [Broken::KeepsFolds, Broken::FoldsOnStored, Broken::DecidesEarly] {
        let caught = LocalSet::new().run_until(faults(0..40, |seed| story(seed, 50, Some(broken)))).await;
        let caught = caught.len();
        assert!(caught >= 3, "{broken:?} is caught by {caught} stories of forty");
    }
}

/// Lets the owner do what it can.
async fn turns() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_group_is_folded_while_one_is_on_its_way_and_told_of_when_it_is_durable() {
    LocalSet::new().run_until(folded_meanwhile()).await;
}

async fn folded_meanwhile() {
    let (engines, heard) = (memory::open(1).unwrap(), Ears::default());
    let mut story = Story::new(0);
    let life = Life::begin(&engines, (0, 0), None, (&heard, &mut story.at_ms)).await.unwrap();
    let folded = || life.folded.load(Ordering::SeqCst);
    let post = PostRef { id: Id(99), author: Id(1) };
    let first = story.propose(&life.log, Event::Liked { user: Id(2), post }).await.unwrap();
    turns().await;
    assert_eq!(folded(), 1);
    let mut others = Vec::new();
    for user in 3..3 + limits::AHEAD_RECORDS_MIN as u64 {
        turns().await;
        assert_eq!(folded(), 1, "nobody is woken for a few");
        others.push(story.propose(&life.log, Event::Liked { user: Id(user), post }).await.unwrap());
    }
    turns().await;
    assert_eq!(folded(), 1 + limits::AHEAD_RECORDS_MIN);
    assert_eq!((heard.lock().len(), life.horizon.now()), (0, Id(0)));

    life.gate.open.add_permits(1);
    let first = first.durable().await.unwrap().id;
    turns().await;
    assert_eq!((heard.lock().clone(), life.horizon.now()), (vec![first], first), "the next is on its way");
    life.gate.open.add_permits(1);
    for other in others {
        other.durable().await.unwrap();
    }
    assert_eq!(heard.lock().len(), 1 + limits::AHEAD_RECORDS_MIN);
    life.end().await;
    let counters = engines.tables.get(&Of::Post(post.id).row()).await.unwrap().unwrap();
    assert_eq!(Counters::from_bytes(&counters).unwrap().values[0], 1 + limits::AHEAD_RECORDS_MIN as u64);
}
