//! Fairness: how soon an ordinary post is in its followers' feeds while a star's posts go to a million timelines.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare::base::id::BELOW_MS_BITS;
use fanfare::feed::PageQuery;
use fanfare::log::events::Policy;
use fanfare_protocol::Id;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::fan_out::thousands;
use super::graph::seeding_order;
use super::report::{Goal, Row};
use super::world::World;
use super::{Bench, BenchError, Result, percentile};

/// Time between two posts of the star, and between two ordinary ones.
const STAR_EVERY: Duration = Duration::from_secs(1);
const ORDINARY_EVERY: Duration = Duration::from_millis(10);
/// Ordinary authors, and the followers of each, who are among the star's.
const ORDINARY: usize = 1_000;
const ORDINARY_FOLLOWERS: usize = 200;
/// Entries of a seeded timeline at first; the posts of the run make it grow.
const ENTRIES: usize = 64;
/// Pause between two looks at the follower's page, and entries looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const WATCHED: usize = 400;
/// A page reaches back so far: a post that is seen later than a newer one still counts.
const SEEN_WITHIN: Duration = Duration::from_secs(3);
/// Longest time without anything new; then the bench ends.
const SEEN_MAX: Duration = Duration::from_secs(20);
/// Goal.
const P99_MS_MAX: f64 = 50.0;

/// Rows of the time until an ordinary post is seen.
pub fn run(bench: &mut Bench) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(bench))
}

async fn measure(bench: &mut Bench) -> Result<()> {
    let timelines = bench.size(1_000_000, 100_000);
    let mut world = World::start(bench.folder()?).await?;
    let star = world.people(1).await?[0];
    let ordinary = world.people(ORDINARY).await?;
    let follower = world.people(1).await?[0];
    world.follow(follower, &[&ordinary[..], &[star]].concat()).await?;
    world.pin(&[star], Policy::PushLate);
    bench.say(&format!("late: seeding {timelines} timelines that follow the star"));
    seed(&world, star, &ordinary, timelines);
    bench.say("late: posting");
    let world = Arc::new(world);
    let stop = Arc::new(AtomicBool::new(false));
    let posting = tokio::spawn(star_posts(Arc::clone(&world), star, Arc::clone(&stop)));
    let measuring = tokio::spawn(ordinary_posts(Arc::clone(&world), star, ordinary, follower, bench.size(2_000, 500)));
    let measured = measuring.await.map_err(|error| BenchError::Wrong(error.to_string()));
    stop.store(true, Ordering::SeqCst);
    let posted = posting.await.map_err(|error| BenchError::Wrong(error.to_string()))??;
    let (mut seen, mut committed) = measured??;
    let size = format!("while a star posts every second to {} timelines ({posted} posts)", thousands(timelines));
    let name =
        format!("ordinary post ({ORDINARY_FOLLOWERS} followers), from when it is due to a follower's page, {size}");
    bench.report.add(Row::new(format!("{name}: p50"), percentile(&mut seen, 50.0), "ms"));
    let row = Row::new(format!("{name}: p99"), percentile(&mut seen, 99.0), "ms");
    bench.report.add(row.goal(Goal::at_most(P99_MS_MAX)));
    let name = "of it until the post is durable: p99";
    bench.report.add(Row::new(name, percentile(&mut committed, 99.0), "ms"));
    world.app.feed().quiesce();
    let late = world.app.feed().stats().late_lag;
    bench.report.add(Row::new(
        "the star's own post, from commit to the last timeline: p99",
        late.p99_us as f64 / 1e3,
        "ms",
    ));
    if let Ok(world) = Arc::try_unwrap(world) {
        world.stop().await;
    }
    Ok(())
}

fn seed(world: &World, star: Id, ordinary: &[Id], timelines: usize) {
    // Ids of a bygone time, which no account has.
    let reader = |number: usize| Id((number as u64 + 1) << BELOW_MS_BITS);
    let entries: Vec<(Id, Id)> = (1..=ENTRIES as u64).map(|id| (Id(id), star)).collect();
    for number in 0..timelines {
        world.app.feed().pin(reader(number), None);
    }
    for number in seeding_order(timelines) {
        let mut followees = vec![star];
        if number < ORDINARY * ORDINARY_FOLLOWERS {
            followees.push(ordinary[number % ORDINARY]);
        }
        world.app.feed().bench_seed(reader(number), &followees, &entries);
    }
}

async fn star_posts(world: Arc<World>, star: Id, stop: Arc<AtomicBool>) -> Result<usize> {
    let mut ticks = tokio::time::interval(STAR_EVERY);
    let mut posts = 0;
    while !stop.load(Ordering::SeqCst) {
        ticks.tick().await;
        world.post(star).await?;
        posts += 1;
    }
    Ok(posts)
}

/// Milliseconds until each post was seen, and until it was durable. Every post has a task of its own, which begins when
/// the post is due: one that is held up holds up no other.
async fn ordinary_posts(
    world: Arc<World>,
    star: Id,
    authors: Vec<Id>,
    follower: Id,
    count: usize,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let since = world.post(follower).await?;
    let begin = Instant::now();
    let mut posts = JoinSet::new();
    let watching = tokio::spawn(watch(Arc::clone(&world), star, follower, since, count));
    for number in 0..count {
        let due = begin + ORDINARY_EVERY * number as u32;
        let (world, author) = (Arc::clone(&world), authors[number * 13 % authors.len()]);
        tokio::time::sleep_until(due).await;
        posts.spawn(async move { world.post(author).await.map(|post| (post, due, Instant::now())) });
    }
    let mut posted = HashMap::new();
    let mut committed = Vec::with_capacity(count);
    while let Some(post) = posts.join_next().await {
        let (post, due, durable) = post.map_err(|error| BenchError::Wrong(error.to_string()))??;
        posted.insert(post, due);
        committed.push((durable - due).as_secs_f64() * 1e3);
    }
    let seen = watching.await.map_err(|error| BenchError::Wrong(error.to_string()))??;
    let times = seen.into_iter().filter_map(|(post, at)| Some((at - *posted.get(&post)?).as_secs_f64() * 1e3));
    Ok((times.collect(), committed))
}

/// Moments at which each of `count` ordinary posts was first on a page of `follower`, the star's among them.
async fn watch(world: Arc<World>, star: Id, follower: Id, mut since: Id, count: usize) -> Result<HashMap<Id, Instant>> {
    let mut seen = HashMap::new();
    let mut last = Instant::now();
    let mut pages = VecDeque::new();
    while seen.len() < count {
        let page =
            world.app.feed().page(follower, PageQuery { before: None, since: Some(since), limit: WATCHED }).await?;
        let now = Instant::now();
        for entry in page.entries.iter().filter(|entry| entry.post.author != star) {
            seen.entry(entry.id).or_insert_with(|| {
                last = now;
                now
            });
        }
        pages.push_back((now, page.entries.first().map_or(since, |entry| entry.id)));
        while pages.front().is_some_and(|(at, _)| now - *at > SEEN_WITHIN) {
            since = pages.pop_front().map_or(since, |(_, newest)| newest.max(since));
        }
        if last.elapsed() > SEEN_MAX {
            return Err(BenchError::Wrong("posts were not seen in time".to_owned()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(seen)
}
