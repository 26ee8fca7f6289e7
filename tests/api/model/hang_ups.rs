//! Callers who hang up in the middle, storage that refuses in the middle, and accounts that go while others take back
//! what is between them: every count stays that of its list.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use fanfare::app::App;
use fanfare::base::handle::Handle;
use fanfare::data::families::families;
use fanfare::data::storage::StoragePart;
use fanfare::janitor::Janitor;
use fanfare::posts::service::Publication;
use fanfare_engines::Engines;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, NewPost};
use tokio::task::JoinSet;

use super::act::Story;
use super::check;
use super::life::{Life, MANY};

const ROUNDS: u64 = 6;
const CALLERS: u64 = 3;
const CALLS: u64 = 60;
const PEOPLE: usize = 5;

/// Lets a call go on so many times, and hangs up.
async fn begun<T>(call: impl Future<Output = T>, polls: u64) -> Option<T> {
    let (mut call, mut left) = (pin!(call), polls);
    poll_fn(|context| {
        left = left.saturating_sub(1);
        match call.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Random calls; of many the caller hangs up.
async fn calls(app: App, people: Vec<Id>, mut dice: Random) {
    let mut posts: Vec<Id> = Vec::new();
    for _ in 0..CALLS {
        let polls = if dice.percent(60) { 1 + dice.below(3) } else { u64::MAX };
        let some = |dice: &mut Random| people[dice.below(PEOPLE as u64) as usize];
        let (me, other, what) = (some(&mut dice), some(&mut dice), dice.below(10));
        // Few, so that the same is done again.
        let post = posts.iter().rev().nth(dice.below(4) as usize).copied();
        match (what, post) {
            (0, _) => drop(begun(app.follows().follow(me, other), polls).await),
            (1, _) => drop(begun(app.follows().unfollow(me, other), polls).await),
            (2, Some(post)) => drop(begun(app.posts().like(me, post), polls).await),
            (3, Some(post)) => drop(begun(app.posts().unlike(me, post), polls).await),
            (4..7, Some(post)) => {
                let stored = app.core().store.post_or_gone(post).await;
                let author = stored.ok().flatten().map_or(me, |post| post.author);
                drop(begun(app.posts().delete(author, post), polls).await);
            }
            (what, post) => {
                let text =
                    if what == 7 && post.is_some() { String::new() } else { format!("text {}", dice.below(1 << 40)) };
                let repost_of = post.filter(|_| what == 7);
                let new = NewPost { text, repost_of, reply_to: post.filter(|_| what == 8), ..NewPost::default() };
                if let Some(Ok(Publication::New(post))) = begun(app.posts().publish(me, new, None), polls).await {
                    posts.push(post.id);
                }
            }
        }
    }
}

/// Storage that is away for moments, as far as whoever hands in sees.
async fn refuses_now_and_then(app: App, over: Arc<AtomicBool>) {
    let storage = app.http().storage().clone();
    while !over.load(Ordering::Relaxed) {
        storage.goes(StoragePart::Log, &"for a moment");
        tokio::task::yield_now().await;
        storage.works(StoragePart::Log);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }
}

async fn counts_stay_those_of_lists(engines: Engines, seed: u64, set: impl Fn(bool)) {
    let life = Life::start(engines, MANY).await;
    let app = life.running.app.clone();
    let janitor = Janitor {
        core: app.core().clone(),
        chat: app.chat().clone(),
        media: Arc::new(app.media().clone()),
        links: app.links().clone(),
        clicks: app.clicks().clone(),
        journal_bytes_max: 1 << 30,
        handle_reserved_days: 90,
    };
    let mut story = Story::default();
    for round in 0..ROUNDS {
        // One of them goes in the round, and another comes.
        while story.people.len() < PEOPLE + round as usize {
            let handle = Handle::parse(&format!("p{}", story.people.len())).unwrap();
            story.people.push(app.users().create(&handle, None, None, app.core().clock.now_ms()).await.unwrap().row.id);
        }
        let people = story.people[round as usize..].to_vec();
        set(true);
        let over = Arc::new(AtomicBool::new(false));
        let refusing = tokio::spawn(refuses_now_and_then(app.clone(), Arc::clone(&over)));
        let mut tasks = JoinSet::new();
        for caller in 0..CALLERS {
            let dice = Random::new(seed * 10_000 + round * 100 + caller);
            tasks.spawn(calls(app.clone(), people.clone(), dice));
        }
        while app.users().delete(people[0]).await.is_err_and(|error| error.is_of_storage()) {
            tokio::task::yield_now().await;
        }
        // It stumbles over storage that is away.
        drop(janitor.round().await);
        tasks.join_all().await;
        over.store(true, Ordering::Relaxed);
        refusing.await.unwrap();
        set(false);
        // Behind all that was handed in by those who hung up.
        let (one, other) = (people[1], people[2]);
        crate::world::eventually("a call is answered", async || app.follows().mute(one, other).await.ok()).await;
        crate::world::eventually("all is quiet", async || janitor.round().await.ok()).await;
        check::lists_and_counts(&life, &story, &format!("seed {seed}, round {round}")).await;
    }
    // The log ends with its last handle.
    drop((app, janitor));
    life.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory_counts_stay_those_of_lists_whoever_hangs_up() {
    for seed in crate::world::seeds(2) {
        counts_stay_those_of_lists(fanfare_engines::memory::open_families(&families(1)).unwrap(), seed, |_| {}).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_hostile_engine_counts_stay_those_of_lists_whoever_hangs_up() {
    for seed in crate::world::seeds(2) {
        let world = Hostile::with_families(seed, &families(1), Faults::NONE).unwrap();
        let set = |some| {
            world.set_faults(if some { Faults::SOME } else { Faults::NONE });
            if !some {
                world.settle();
            }
        };
        counts_stay_those_of_lists(world.engines(), seed, set).await;
    }
}
