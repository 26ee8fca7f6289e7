//! Fairness: how soon an ordinary post is in its followers' feeds while a star's posts go to a million timelines.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare_protocol::Id;
use tokio::time::MissedTickBehavior;

use super::fan_out::thousands;
use super::graph::seeding_order;
use super::report::{Goal, Row};
use super::world::World;
use super::{Bench, BenchError, Result, percentile};
use crate::events::Policy;
use crate::feed::PageQuery;
use crate::id::BELOW_MS_BITS;

/// Time between two posts of the star, and between two ordinary ones.
const STAR_EVERY: Duration = Duration::from_secs(1);
const ORDINARY_EVERY: Duration = Duration::from_millis(10);
/// Ordinary authors; a seeded timeline follows some of them, beside the star.
const ORDINARY: usize = 1_000;
const ORDINARY_FOLLOWED: usize = 10;
/// Entries of a seeded timeline at first; the posts of the run make it grow.
const ENTRIES: usize = 64;
/// A post that is not seen by then ends the bench.
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
    let measuring = tokio::spawn(ordinary_posts(Arc::clone(&world), ordinary, follower, bench.size(2_000, 500)));
    let measured = measuring.await.map_err(|error| BenchError::Wrong(error.to_string()));
    stop.store(true, Ordering::SeqCst);
    let posted = posting.await.map_err(|error| BenchError::Wrong(error.to_string()))??;
    let (mut seen, mut committed) = measured??;
    let size = format!("while a star posts every second to {} timelines ({posted} posts)", thousands(timelines));
    let name = format!("ordinary post, from when it is due to a follower's page, {size}");
    bench.report.add(Row::new(format!("{name}: p50"), percentile(&mut seen, 50.0), "ms"));
    let row = Row::new(format!("{name}: p99"), percentile(&mut seen, 99.0), "ms");
    bench.report.add(row.goal(Goal::at_most(P99_MS_MAX)));
    let name = "of it until the post is durable: p99";
    bench.report.add(Row::new(name, percentile(&mut committed, 99.0), "ms"));
    world.app.feed.quiesce();
    let late = world.app.feed.stats().late_lag;
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
        world.app.feed.pin(reader(number), None);
    }
    for number in seeding_order(timelines) {
        let mut followees = vec![star];
        followees.extend((0..ORDINARY_FOLLOWED).map(|step| ordinary[(number * 7 + step * 101) % ORDINARY]));
        world.app.feed.bench_seed(reader(number), &followees, &entries);
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

/// Milliseconds until each post was seen, and until it was durable.
async fn ordinary_posts(
    world: Arc<World>,
    authors: Vec<Id>,
    follower: Id,
    count: usize,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut seen, mut committed) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut ticks = tokio::time::interval(ORDINARY_EVERY);
    // Counted from when a post is due: one that is held up delays the next ones too, and all of them tell.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0..count {
        let started = ticks.tick().await;
        let post = world.post(authors[number * 13 % authors.len()]).await?;
        committed.push(started.elapsed().as_secs_f64() * 1e3);
        let newer = PageQuery { before: None, since: Some(Id(post.0 - 1)), limit: 2 };
        while !world.app.feed.page(follower, newer).await?.entries.iter().any(|entry| entry.id == post) {
            if started.elapsed() > SEEN_MAX {
                return Err(BenchError::Wrong("a post was not seen in time".to_owned()));
            }
            tokio::task::yield_now().await;
        }
        seen.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok((seen, committed))
}
