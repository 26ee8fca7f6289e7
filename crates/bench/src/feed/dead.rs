//! Reads and purges beside what was ever deleted: before and after very many rows died, in one run and one folder.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use fanfare::data::rows::UserRow;
use fanfare::janitor::Janitor;
use fanfare::log::core::Attachments;
use fanfare::log::events::{Event, PostRef};
use fanfare::posts::service::deletion;
use fanfare::posts::settle;
use fanfare_protocol::Id;

use super::fan_out::thousands;
use super::report::{Goal, Row};
use super::world::World;
use super::{Bench, BenchError, Result, percentile};

/// Items of a page.
const PAGE: usize = 20;
/// People with something to read, and posts of each.
const PEOPLE: usize = 50;
const POSTS_EACH: usize = 20;
/// Rows that die between two settlings.
const STEP: usize = 50_000;
/// Goals: after many rows died, as a multiple of before; and of notifications about a post that very many like.
const RATIO_MAX: f64 = 2.0;
const NEWS_P99_MS_MAX: f64 = 1.0;

/// Rows of reads and of a purge, each before and after.
pub fn run(bench: &mut Bench) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(bench))
}

async fn measure(bench: &mut Bench) -> Result<()> {
    let sizes = Sizes {
        dead: bench.size(1_000_000, 50_000),
        likes: bench.size(1_000_000, 20_000),
        reads: bench.size(5_000, 1_000),
        purged_posts: bench.size(20_000, 5_000),
    };
    bench.say("dead: making people and posts");
    let mut scene = Scene::make(World::start(bench.folder()?).await?, sizes).await?;
    let mut before = scene.measure().await?;
    bench.say(&format!("dead: {} posts are made and deleted", thousands(sizes.dead)));
    scene.die().await?;
    bench.say(&format!("dead: {} people like one post", thousands(sizes.likes)));
    scene.like().await?;
    let (first, passed) = (Instant::now(), scene.passed());
    scene.public().await?;
    let (first_ms, passed) = (first.elapsed().as_secs_f64() * 1e3, scene.passed() - passed);
    let mut after = scene.measure().await?;
    report(bench, sizes, &mut before, &mut after);
    let name = format!("the first page after {} posts died at once, past {passed} dead rows", thousands(sizes.dead));
    bench.report.add(Row::new(name, first_ms, "ms"));
    scene.world.stop().await;
    Ok(())
}

fn report(bench: &mut Bench, sizes: Sizes, before: &mut Times, after: &mut Times) {
    let dead = format!("{} deleted posts", thousands(sizes.dead));
    let likes = format!("{} likes of one post", thousands(sizes.likes));
    let goal = Goal { ratio_at_most: Some(RATIO_MAX), ..Goal::default() };
    for (name, after, before) in [
        (format!("public timeline, page of {PAGE}, in process, after {dead}"), &mut after.public, &mut before.public),
        (
            format!("posts of who wrote and deleted them, page of {PAGE}, after {dead}"),
            &mut after.author,
            &mut before.author,
        ),
        (format!("notifications of its author, page of {PAGE}, after {likes}"), &mut after.news, &mut before.news),
    ] {
        let row = Row::new(format!("{name}: p50"), percentile(after, 50.0), "µs");
        bench.report.add(row.beside("the same before", percentile(before, 50.0)).goal(goal));
        let row = Row::new(format!("{name}: p99"), percentile(after, 99.0), "µs");
        bench.report.add(row.beside("the same before", percentile(before, 99.0)));
    }
    let row = Row::new(
        format!("notifications of its author, after {likes}: p99"),
        percentile(&mut after.news, 99.0) / 1e3,
        "ms",
    );
    bench.report.add(row.goal(Goal::at_most(NEWS_P99_MS_MAX)));
    let name = format!(
        "purge of an account with {} posts, after {dead} of its own; each of the posts and deletions",
        thousands(sizes.purged_posts)
    );
    let row = Row::new(name, after.purge_us, "µs").beside("an account without deletions, before", before.purge_us);
    bench.report.add(row.goal(goal));
}

#[derive(Clone, Copy)]
struct Sizes {
    dead: usize,
    likes: usize,
    reads: usize,
    purged_posts: usize,
}

/// Microseconds.
struct Times {
    public: Vec<f64>,
    author: Vec<f64>,
    news: Vec<f64>,
    /// For each post and each deletion, of which a row is kept for a week.
    purge_us: f64,
}

struct Scene {
    world: World,
    sizes: Sizes,
    /// Post that is liked.
    liked: PostRef,
    /// Person who deletes what they write, and is purged in the end.
    fickle: Id,
    /// Person whose account is purged next.
    purged: Id,
    /// Number of posts that person deleted.
    deletions: usize,
}

impl Scene {
    async fn make(mut world: World, sizes: Sizes) -> Result<Self> {
        let people = world.people(PEOPLE).await?;
        let posts = world.posts(people.iter().copied().cycle().take(PEOPLE * POSTS_EACH)).await?;
        let (author, fickle) = (people[0], people[1]);
        // Enough news for a page.
        let each = |(who, post): (&Id, &Id)| Event::Liked { user: *who, post: PostRef { id: *post, author } };
        let of_author = posts.iter().step_by(PEOPLE);
        world.commit_all(people[1..].iter().cycle().zip(of_author.cycle().take(2 * PAGE)).map(each)).await?;
        let purged = world.people(1).await?[0];
        for person in [purged, fickle] {
            world.posts(std::iter::repeat_n(person, sizes.purged_posts)).await?;
        }
        Ok(Self { world, sizes, liked: PostRef { id: posts[0], author }, fickle, purged, deletions: 0 })
    }

    /// Dead rows that scans have stepped over.
    fn passed(&self) -> u64 {
        self.world.app.core().store.scans().dead_rows_passed.load(Ordering::Relaxed)
    }

    async fn public(&self) -> Result<usize> {
        Ok(self.world.app.posts().public(None, PAGE, None).await?.items.len())
    }

    /// Times of everything; at the end `purged` is.
    async fn measure(&mut self) -> Result<Times> {
        let app = &self.world.app;
        let (mut public, mut author, mut news) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.sizes.reads {
            let started = Instant::now();
            full(self.public().await?)?;
            public.push(started.elapsed().as_secs_f64() * 1e6);
            let started = Instant::now();
            full(app.posts().of_author(None, self.fickle, PAGE, None).await?.items.len())?;
            author.push(started.elapsed().as_secs_f64() * 1e6);
            let started = Instant::now();
            full(app.notifications().page(self.liked.author, PAGE, None).await?.items.len())?;
            news.push(started.elapsed().as_secs_f64() * 1e6);
        }
        let started = Instant::now();
        self.purge().await?;
        let removed = self.sizes.purged_posts + self.deletions;
        let purge_us = started.elapsed().as_secs_f64() * 1e6 / removed as f64;
        Ok(Times { public, author, news, purge_us })
    }

    async fn purge(&self) -> Result<()> {
        let app = &self.world.app;
        self.world
            .commit_all(std::iter::once(Event::UserDeleted { user: UserRow { id: self.purged, ..UserRow::default() } }))
            .await?;
        let media: Arc<dyn Attachments> = Arc::new(app.media().clone());
        let (core, links, clicks) = (app.core().clone(), app.links().clone(), app.clicks().clone());
        let janitor = Janitor {
            core,
            chat: app.chat().clone(),
            media,
            links,
            clicks,
            journal_bytes_max: u64::MAX,
            handle_reserved_days: 1,
        };
        janitor.round().await?;
        let left = app
            .core()
            .store
            .newest_bucketed(fanfare::data::tables::AUTHOR_POSTS, self.purged, Id(i64::MAX as u64), 1)
            .await?;
        if left.is_empty() { Ok(()) } else { Err(BenchError::Wrong("the purge left posts".to_owned())) }
    }

    /// Very many posts of one person come and go, above those that stay; who wrote them is purged next.
    async fn die(&mut self) -> Result<()> {
        let mut left = self.sizes.dead;
        while left > 0 {
            let some = left.min(STEP);
            let made = self.world.posts(std::iter::repeat_n(self.fickle, some)).await?;
            let store = &self.world.app.core().store;
            let mut gone = Vec::with_capacity(made.len());
            for id in made {
                gone.extend(store.post_or_gone(id).await?.map(|post| deletion(&post, false)));
            }
            self.world.commit_all(gone.into_iter()).await?;
            settle::settle_all(self.world.app.core()).await?;
            left -= some;
        }
        (self.purged, self.deletions) = (self.fickle, self.sizes.dead);
        Ok(())
    }

    /// Very many people like one post.
    async fn like(&mut self) -> Result<()> {
        let mut left = self.sizes.likes;
        while left > 0 {
            let some = self.world.people(left.min(STEP)).await?;
            left -= some.len();
            let post = self.liked;
            self.world.commit_all(some.into_iter().map(|user| Event::Liked { user, post })).await?;
        }
        Ok(())
    }
}

fn full(items: usize) -> Result<()> {
    if items == PAGE { Ok(()) } else { Err(BenchError::Wrong(format!("a page of {PAGE} has {items} items"))) }
}
