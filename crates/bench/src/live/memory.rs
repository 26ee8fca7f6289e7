//! Bytes of open sessions and of cursors, and how much longer a server starts with very many of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare::config::Settings;
use fanfare::data::rows::LiveRow;
use fanfare::live::queues::Queues;
use fanfare_protocol::Id;

use super::report::{Goal, Row};
use super::scene::{TITLE, announce};
use super::world::World;
use super::{Bench, PAGE, Result, machine};

/// Open sessions.
const SESSIONS: usize = 100_000;
/// Hosts that hold them.
const HOSTS: usize = 20_000;
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
    runtime.block_on(starts(bench, sessions))
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
    world.stop().await;
    Ok(())
}
