//! Bytes of open sessions and of cursors, and how much longer a server starts with very many of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare::config::Settings;
use fanfare::data::rows::LiveRow;
use fanfare::feed::FeedSettings;
use fanfare::live::LiveView;
use fanfare::live::queues::Queues;
use fanfare_protocol::Id;

use super::feed::graph::{Graph, MEAN_FOLLOWEES, seeding_order, user};
use super::feed::memory::settle;
use super::report::{Goal, Row};
use super::scene::{TITLE, announce};
use super::world::World;
use super::{Bench, PAGE, Result, machine};

/// Open sessions.
const SESSIONS: usize = 100_000;
/// Hosts that hold them.
const HOSTS: usize = 20_000;
/// People whose timelines are in memory, replays of each in theirs, and how many are made between two looks at what
/// replays may take.
const PEOPLE: usize = 200_000;
const REPLAYS: u64 = 10;
const AT_ONCE: usize = 1_000;
const POSTS: u64 = 100;
const WITH_LIVE_RATIO_MAX: f64 = 1.1;
/// Goals.
const SESSION_BYTES_MAX: f64 = 300.0;
const RESTART_S_MAX: f64 = 1.0;
/// Longest time for which the allocator keeps what was freed.
const GIVES_BACK: Duration = Duration::from_millis(1_500);

/// Rows of memory and of the start.
pub fn run(bench: &mut Bench) -> Result<()> {
    let sessions = bench.size(SESSIONS, 10_000);
    let hosts = HOSTS.min(sessions / 5);
    bench.say("live memory: open sessions");
    let before = machine::resident_bytes();
    let mut queues = Queues::default();
    for number in 0..sessions as u64 {
        let row = LiveRow::announced(Id(1 + number), Id(1), TITLE.to_owned(), number);
        queues.take_in((number % hosts as u64) as u32, &Arc::new(row));
    }
    let bytes = machine::resident_bytes().saturating_sub(before) as f64 / queues.count() as f64;
    let row = Row::new(format!("memory of an open session, of {sessions}"), bytes, "bytes");
    bench.report.add(row.goal(Goal::at_most(SESSION_BYTES_MAX)));
    drop(queues);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(starts(bench, sessions))?;
    runtime.block_on(people(bench))
}

/// Timelines of posts of very many people, and those of replays beside them, as far as settings let them be kept.
async fn people(bench: &mut Bench) -> Result<()> {
    let count = bench.size(PEOPLE, 20_000);
    bench.say(&format!("live memory: {count} people"));
    let world = World::start(bench.folder()?).await?;
    let (mut graph, mut followees) = (Graph::new(count, 0), Vec::new());
    let mut seed = |each: &mut dyn FnMut(Id, &[Id])| {
        for number in seeding_order(count) {
            graph.followees_of(MEAN_FOLLOWEES, &mut followees);
            each(user(number), &followees);
        }
    };
    let entries = |max: u64, followees: &[Id]| -> Vec<(Id, Id)> {
        (1..=max).zip(followees.iter().cycle()).map(|(id, author)| (Id(id), *author)).collect()
    };
    let before = machine::resident_bytes();
    seed(&mut |reader, followees| {
        world.app.feed().bench_seed(reader, followees, &entries(POSTS, followees));
    });
    settle();
    let without = machine::resident_bytes().saturating_sub(before) as f64;
    let (replays, mut made) = (world.app.live().view().feed(), 0);
    seed(&mut |reader, followees| {
        replays.bench_seed(reader, followees, &entries(REPLAYS, followees));
        made += 1;
        while made % AT_ONCE == 0 && replays.evict_idle(world.app.core().clock.now_ms()) > 0 {}
    });
    settle();
    let with = machine::resident_bytes().saturating_sub(before) as f64;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let name = format!("memory of {count} people who follow {MEAN_FOLLOWEES}: with timelines of replays");
    let goal = Goal { ratio_at_most: Some(WITH_LIVE_RATIO_MAX), ..Goal::default() };
    bench.report.add(Row::new(name, mib(with), "MiB").beside("without", mib(without)).goal(goal));
    let row = Row::new("of them, whose replays are in memory at once", replays.stats().timelines as f64, "people");
    bench.report.add(row);
    world.stop().await;
    Ok(())
}

async fn starts(bench: &mut Bench, sessions: usize) -> Result<()> {
    bench.say("live memory: cursors");
    let mut world = World::start(bench.folder()?).await?;
    let reader = world.people(1).await?[0];
    let hosts = world.people(HOSTS.min(sessions / 5)).await?;
    world.follow(reader, &hosts[..20]).await?;
    let now_ms = world.app.core().clock.now_ms();
    announce(&world, &hosts[..20], now_ms).await?;
    let cursor =
        async |world: &World| -> Result<usize> { Ok(world.app.live().feed_json(reader, PAGE, None).await?.len()) };
    for _ in 0..1_000 {
        cursor(&world).await?;
    }
    std::thread::sleep(GIVES_BACK);
    let before = machine::resident_bytes();
    for _ in 0..bench.size(100_000, 10_000) {
        cursor(&world).await?;
    }
    std::thread::sleep(GIVES_BACK);
    let grown = machine::resident_bytes().saturating_sub(before) as f64;
    // What the allocator holds for a moment is no memory of cursors: fewer than a byte each is none.
    let each = (grown / bench.size(100_000.0, 10_000.0)).floor();
    let row = Row::new("memory of a cursor that was handed out, of 100000", each, "bytes");
    bench.report.add(row.goal(Goal::at_most(0.0)));

    bench.say("live memory: starts");
    let folder = world.stop().await;
    let began = Instant::now();
    let world = World::start_with(folder, Settings::default()).await?;
    let without = began.elapsed().as_secs_f64();
    let now_ms = world.app.core().clock.now_ms();
    let holders: Vec<Id> = hosts.iter().copied().cycle().take(sessions).collect();
    announce(&world, &holders, now_ms).await?;
    let folder = world.stop().await;
    let began = Instant::now();
    let world = World::start_with(folder, Settings::default()).await?;
    let with = began.elapsed().as_secs_f64();
    let found = world.app.live().view().queues().count();
    let row = Row::new(format!("start with {found} open sessions: longer by"), with - without, "s");
    bench.report.add(row.beside("the start without", without).goal(Goal::at_most(RESTART_S_MAX)));
    // The rest is the store's, whose log has as many records to go through.
    let core = world.app.core();
    let view = LiveView::new(FeedSettings::default(), &core.store, 0);
    let began = Instant::now();
    view.load(core.log.last_minted(), core.clock.now_ms()).await?;
    let row = Row::new("of it: reading the sessions into memory", began.elapsed().as_secs_f64(), "s");
    bench.report.add(row);
    world.stop().await;
    Ok(())
}
