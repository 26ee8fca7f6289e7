//! Random calls of the services, and what their callers were told.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare::app::App;
use fanfare::base::error::{Error, Result};
use fanfare::base::handle::Handle;
use fanfare::data::audit::{Actor, Operator};
use fanfare::feed::{PageQuery, Thresholds};
use fanfare::posts::service::Publication;
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, NewPost, NewSuspension};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::life::Life;

/// Operator who acts on people.
const OPERATOR: Operator = Operator { actor: Actor::Token, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
/// People of a story.
pub const PEOPLE: usize = 5;

/// Knowledge of an edge or a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    There,
    Gone,
    /// A call about it failed, or others may have changed it.
    Either,
}

/// Answers that callers were given. Edges are by the index of their people.
#[derive(Default)]
pub struct Told {
    pub follows: BTreeMap<(usize, usize), Known>,
    pub blocks: BTreeMap<(usize, usize), Known>,
    pub mutes: BTreeMap<(usize, usize), Known>,
    pub likes: BTreeMap<(usize, Id), Known>,
    pub suspended: BTreeMap<usize, Known>,
    /// Acts of operators, by their reasons.
    pub acts: BTreeMap<String, Known>,
    /// Author and state of every post whose id was told.
    pub posts: BTreeMap<Id, (usize, Known)>,
    /// Bare reposts and what they pass on: they go with it, and what is done to them is done to it.
    pub bare: BTreeMap<Id, Id>,
}

#[derive(Default, Clone)]
pub struct Story {
    pub people: Vec<Id>,
    pub told: Arc<Mutex<Told>>,
    said: Arc<AtomicU64>,
    calls: Arc<AtomicU64>,
}

/// People who act at once.
pub struct Acting {
    tasks: JoinSet<()>,
    calls: Arc<AtomicU64>,
    before: u64,
}

/// Waits for so many calls of those who act.
pub async fn after(acting: &Acting, calls: u64) {
    while acting.calls.load(Ordering::Relaxed) < acting.before + calls && !acting.tasks.is_empty() {
        tokio::task::yield_now().await;
    }
}

/// Knowledge from the answer of a call that wanted something to be `wanted`; `None` when it was refused and nothing
/// changed.
fn heard<T>(result: &Result<T>, wanted: Known) -> Option<Known> {
    match result {
        Ok(_) => Some(wanted),
        Err(Error::Refused(_)) => None,
        Err(_) => Some(Known::Either),
    }
}

impl Story {
    /// Makes the people, the first time.
    pub async fn meet(&mut self, life: &Life) {
        let users = life.running.app.users();
        for number in self.people.len()..PEOPLE {
            let handle = Handle::parse(&format!("p{number}")).unwrap();
            let now_ms = life.running.app.core().clock.now_ms();
            self.people.push(users.create(&handle, None, None, now_ms).await.unwrap().row.id);
        }
    }

    /// Everybody acts, each in a task.
    pub fn act_at_once(&self, life: &Life, seed: u64, calls: u64) -> Acting {
        let mut tasks = JoinSet::new();
        for me in 0..PEOPLE {
            let (story, app) = (self.clone(), life.running.app.clone());
            let mut dice = Random::new(seed * 100 + me as u64);
            tasks.spawn(async move {
                for _ in 0..calls {
                    story.call_of(&app, &mut dice, me, true).await;
                }
            });
        }
        Acting { tasks, calls: Arc::clone(&self.calls), before: self.calls.load(Ordering::Relaxed) }
    }

    pub async fn join(&self, acting: Acting) {
        acting.tasks.join_all().await;
    }

    /// Makes one call of somebody.
    pub async fn call(&self, life: &Life, dice: &mut Random, me: Option<usize>) {
        let me = me.unwrap_or_else(|| dice.below(PEOPLE as u64) as usize);
        self.call_of(&life.running.app, dice, me, false).await;
    }

    async fn call_of(&self, app: &App, dice: &mut Random, me: usize, at_once: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match dice.below(100) {
            0..35 => self.publish(app, dice, me).await,
            35..42 => self.delete(app, dice, me).await,
            42..56 => self.follow(app, dice, me, at_once).await,
            56..62 => self.block(app, dice, me, at_once).await,
            62..68 => self.mute(app, dice, me).await,
            68..80 => self.like(app, dice, me).await,
            80..82 => drop(app.feed().evict(self.people[dice.below(PEOPLE as u64) as usize])),
            82..84 => self.suspend(app, dice).await,
            84 => self.remove(app, dice).await,
            85..87 => {
                let push_below = dice.below(3);
                app.feed().set_thresholds(Thresholds { push_below, pull_above: push_below + dice.below(3) });
            }
            _ => {
                let before = self.some_post(dice).filter(|_| dice.percent(30));
                let query = PageQuery { before, since: None, limit: 1 + dice.below(4) as usize };
                drop(app.feed().page(self.people[me], query).await);
            }
        }
    }

    fn other(dice: &mut Random, me: usize) -> usize {
        (me + 1 + dice.below(PEOPLE as u64 - 1) as usize) % PEOPLE
    }

    fn some_post(&self, dice: &mut Random) -> Option<Id> {
        let told = self.told.lock();
        let at = dice.below(told.posts.len().max(1) as u64) as usize;
        told.posts.keys().nth(at).copied()
    }

    async fn publish(&self, app: &App, dice: &mut Random, me: usize) {
        let text = format!("text {}", self.said.fetch_add(1, Ordering::Relaxed));
        let target = self.some_post(dice);
        let new = match dice.below(6) {
            0 | 1 => NewPost { text, reply_to: target, ..NewPost::default() },
            2 => NewPost { text, repost_of: target, ..NewPost::default() },
            3 if target.is_some() => NewPost { repost_of: target, ..NewPost::default() },
            4 => NewPost { text: format!("{text} @p{}", Self::other(dice, me)), ..NewPost::default() },
            _ => NewPost { text, ..NewPost::default() },
        };
        if let Ok(Publication::New(post) | Publication::Same(post) | Publication::Replayed(post)) =
            app.posts().publish(self.people[me], new, None).await
        {
            let mut told = self.told.lock();
            // The answer does not say of what it is where that is hidden by now.
            let through = target.map(|target| told.bare.get(&target).copied().unwrap_or(target));
            let original = post.repost_of.map(|original| original.id).or(through);
            if let (Some(original), true) = (original, post.text.is_empty()) {
                told.bare.insert(post.id, original);
            }
            told.posts.insert(post.id, (me, Known::There));
        }
    }

    async fn delete(&self, app: &App, dice: &mut Random, me: usize) {
        let own: Vec<Id> = {
            let told = self.told.lock();
            told.posts.iter().filter(|(_, (author, _))| *author == me).map(|(id, _)| *id).collect()
        };
        if own.is_empty() {
            return;
        }
        let post = own[dice.below(own.len() as u64) as usize];
        if let Some(known) = heard(&app.posts().delete(self.people[me], post).await, Known::Gone) {
            self.told.lock().posts.insert(post, (me, known));
        }
    }

    async fn follow(&self, app: &App, dice: &mut Random, me: usize, at_once: bool) {
        let other = Self::other(dice, me);
        let (one, two) = (self.people[me], self.people[other]);
        let heard = match dice.percent(75) {
            true => heard(&app.follows().follow(one, two).await, Known::There),
            false => heard(&app.follows().unfollow(one, two).await, Known::Gone),
        };
        // Where others act at the same time, a block may have come after.
        let known = if at_once && heard == Some(Known::There) { Some(Known::Either) } else { heard };
        if let Some(known) = known {
            self.told.lock().follows.insert((me, other), known);
        }
    }

    async fn block(&self, app: &App, dice: &mut Random, me: usize, at_once: bool) {
        let other = Self::other(dice, me);
        let (one, two) = (self.people[me], self.people[other]);
        // Few blocks at a time: who blocks everybody sees nothing.
        if dice.percent(12) {
            if let Some(known) = heard(&app.follows().block(one, two).await, Known::There) {
                let ended = if known == Known::There && !at_once { Known::Gone } else { Known::Either };
                let mut told = self.told.lock();
                told.blocks.insert((me, other), known);
                // An edge that never was stays so.
                for edge in [(me, other), (other, me)] {
                    told.follows.insert(edge, ended);
                }
            }
        } else if let Some(known) = heard(&app.follows().unblock(one, two).await, Known::Gone) {
            self.told.lock().blocks.insert((me, other), known);
        }
    }

    /// A reason that no other act has.
    fn reason(&self) -> String {
        format!("act {}", self.said.fetch_add(1, Ordering::Relaxed))
    }

    fn acted<T>(&self, reason: String, result: &Result<T>) {
        self.told.lock().acts.insert(reason, heard(result, Known::There).unwrap_or(Known::Gone));
    }

    async fn suspend(&self, app: &App, dice: &mut Random) {
        let one = dice.below(PEOPLE as u64) as usize;
        let reason = self.reason();
        let heard = if dice.percent(30) {
            let new = NewSuspension { reason: reason.clone(), until: None };
            let done = app.acts().suspend(&OPERATOR, self.people[one], new).await;
            self.acted(reason, &done);
            heard(&done, Known::There)
        } else {
            let done = app.acts().unsuspend(&OPERATOR, self.people[one], Some(reason.clone())).await;
            // Where nothing was to be lifted there is no line.
            self.told.lock().acts.insert(reason, Known::Either);
            heard(&done, Known::Gone)
        };
        if let Some(known) = heard {
            self.told.lock().suspended.insert(one, known);
        }
    }

    async fn remove(&self, app: &App, dice: &mut Random) {
        let Some(post) = self.some_post(dice) else { return };
        let reason = self.reason();
        let done = app.acts().delete_post(&OPERATOR, post, Some(reason.clone())).await;
        self.acted(reason, &done);
        if let (Some(known), Some(told)) = (heard(&done, Known::Gone), self.told.lock().posts.get_mut(&post)) {
            told.1 = known;
        }
    }

    async fn mute(&self, app: &App, dice: &mut Random, me: usize) {
        let other = Self::other(dice, me);
        let (one, two) = (self.people[me], self.people[other]);
        let known = match dice.percent(30) {
            true => heard(&app.follows().mute(one, two).await, Known::There),
            false => heard(&app.follows().unmute(one, two).await, Known::Gone),
        };
        if let Some(known) = known {
            self.told.lock().mutes.insert((me, other), known);
        }
    }

    async fn like(&self, app: &App, dice: &mut Random, me: usize) {
        let Some(post) = self.some_post(dice) else { return };
        let liked = self.told.lock().bare.get(&post).copied().unwrap_or(post);
        let known = match dice.percent(70) {
            true => heard(&app.posts().like(self.people[me], post).await, Known::There),
            false => heard(&app.posts().unlike(self.people[me], post).await, Known::Gone),
        };
        // A like whose post was deleted meanwhile is refused after it was made.
        let known = known.unwrap_or(Known::Either);
        self.told.lock().likes.insert((me, liked), known);
    }
}
