//! Feed pages through the real feed over the embedded tables, in process: with pulled authors, cold, and by the number
//! of followees.

use std::time::{Duration, Instant};

use fanfare::feed::PageQuery;
use fanfare::log::events::Policy;
use fanfare_engines::random::Random;
use fanfare_protocol::Id;

use super::report::{Goal, Row};
use super::world::World;
use super::{Bench, BenchError, Result, percentile};

/// Entries of a page.
const PAGE: usize = 20;
/// Authors who are pushed, and posts of each.
const AUTHORS: usize = 2_000;
const POSTS_EACH: usize = 20;
/// Authors who are pulled.
const PULLED: usize = 50;
/// Followees of a reader who are pushed, beside the pulled ones.
const PUSHED_FOLLOWEES: usize = 150;
/// Followees along the curve; of each forty one is pulled.
const CURVE: [usize; 7] = [20, 50, 100, 200, 500, 1_000, 2_000];
const CURVE_PULLED_EVERY: usize = 40;
/// Goals.
const PAGE_P99_US_MAX: f64 = 200.0;
const REBUILD_P99_MS_MAX: f64 = 20.0;

/// Rows of pages and rebuilds, and the curve.
pub fn run(bench: &mut Bench) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(bench))
}

async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("pages: making people and posts");
    let mut world = World::start(bench.folder()?).await?;
    let mut scene = Scene::make(&mut world).await?;
    let typical = scene.readers(&mut world, bench.size(64, 16), PUSHED_FOLLOWEES, PULLED).await?;
    bench.say("pages: reading");
    let mut fresh = scene.pages(&world, &typical, bench.size(10_000, 2_000), true).await?;
    let name = format!("feed page of {PAGE}, in process, {PULLED} pulled of {} followees", PUSHED_FOLLOWEES + PULLED);
    let goal = Goal::at_most(PAGE_P99_US_MAX);
    let after = "one of them has just posted";
    bench.report.add(Row::new(format!("{name}, {after}: p50"), percentile(&mut fresh, 50.0), "µs"));
    bench.report.add(Row::new(format!("{name}, {after}: p99"), percentile(&mut fresh, 99.0), "µs").goal(goal));
    let mut quiet = scene.pages(&world, &typical, bench.size(10_000, 2_000), false).await?;
    bench.report.add(Row::new(format!("{name}, nothing new: p99"), percentile(&mut quiet, 99.0), "µs").goal(goal));

    for followees in CURVE {
        let pulled = (followees / CURVE_PULLED_EVERY).max(1);
        let readers = scene.readers(&mut world, 8, followees - pulled, pulled).await?;
        let mut warm = scene.pages(&world, &readers, bench.size(2_000, 300), true).await?;
        let mut cold = scene.rebuilds(&world, &readers, bench.size(1_000, 200)).await?;
        let [warm50, warm99, cold50, cold99] = [
            percentile(&mut warm, 50.0),
            percentile(&mut warm, 99.0),
            percentile(&mut cold, 50.0),
            percentile(&mut cold, 99.0),
        ];
        bench.curves.reads.push((followees as f64, warm50, warm99));
        bench.curves.rebuilds.push((followees as f64, cold50, cold99));
        if followees == CURVE[CURVE.len() - 1] {
            let name = format!("cold rebuild of a timeline and its first page, {followees} followees");
            bench.report.add(Row::new(format!("{name}: p50"), cold50 / 1e3, "ms"));
            let row = Row::new(format!("{name}: p99"), cold99 / 1e3, "ms");
            bench.report.add(row.goal(Goal::at_most(REBUILD_P99_MS_MAX)));
        }
    }
    world.stop().await;
    Ok(())
}

/// People who post.
struct Scene {
    pushed: Vec<Id>,
    pulled: Vec<Id>,
    random: Random,
}

impl Scene {
    async fn make(world: &mut World) -> Result<Self> {
        let (pushed, pulled) = (world.people(AUTHORS).await?, world.people(PULLED).await?);
        world.pin(&pulled, Policy::Pull);
        let mut random = Random::new(11);
        let everybody: Vec<Id> = pushed.iter().chain(&pulled).copied().collect();
        let authors: Vec<Id> =
            (0..everybody.len() * POSTS_EACH).map(|_| everybody[random.index(everybody.len())]).collect();
        world.posts(authors.into_iter()).await?;
        Ok(Self { pushed, pulled, random })
    }

    /// Readers who follow so many of each, and have read once.
    async fn readers(&mut self, world: &mut World, count: usize, pushed: usize, pulled: usize) -> Result<Vec<Id>> {
        let readers = world.people(count).await?;
        for (number, reader) in readers.iter().enumerate() {
            let some = |list: &[Id], count: usize, from: usize| -> Vec<Id> {
                (0..count.min(list.len())).map(|step| list[(from + step) % list.len()]).collect()
            };
            let mut followees = some(&self.pushed, pushed, number * 31);
            followees.extend(some(&self.pulled, pulled, number));
            world.follow(*reader, &followees).await?;
            page(world, *reader).await?;
        }
        Ok(readers)
    }

    /// Times of pages in microseconds; before each, a pulled author posts if `news`.
    async fn pages(&mut self, world: &World, readers: &[Id], count: usize, news: bool) -> Result<Vec<f64>> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            if news {
                world.post(self.pulled[self.random.index(self.pulled.len())]).await?;
            }
            let reader = readers[self.random.index(readers.len())];
            times.push(page(world, reader).await?.as_secs_f64() * 1e6);
        }
        Ok(times)
    }

    /// Times in microseconds of pages whose timeline must be built first.
    async fn rebuilds(&mut self, world: &World, readers: &[Id], count: usize) -> Result<Vec<f64>> {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let reader = readers[self.random.index(readers.len())];
            if !world.app.feed().evict(reader) {
                return Err(BenchError::Wrong("there was no timeline to drop".to_owned()));
            }
            times.push(page(world, reader).await?.as_secs_f64() * 1e6);
        }
        Ok(times)
    }
}

async fn page(world: &World, reader: Id) -> Result<Duration> {
    let started = Instant::now();
    let page = world.app.feed().page(reader, PageQuery { before: None, since: None, limit: PAGE }).await?;
    let took = started.elapsed();
    if page.entries.len() != PAGE {
        return Err(BenchError::Wrong(format!("a page of {PAGE} has {} entries", page.entries.len())));
    }
    Ok(took)
}
