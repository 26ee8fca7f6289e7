//! Receipts: everybody of large groups reads the same messages, all at once.

use std::time::{Duration, Instant};

use fanfare_protocol::{ConversationKind, Id, MessageKind, NewMessage};

use super::realtime::client::protocol::{Kind, Until};
use super::realtime::fleet::{Fleet, Wanted};
use super::realtime::http::{Calls, request};
use super::realtime::scene::Scene;
use super::report::{Goal, Row};
use super::scene::begin;
use super::world::World;
use super::{Bench, BenchError, Result, machine};

/// Groups, and messages in each.
const GROUPS: usize = 2;
const MESSAGES: usize = 100;
/// Connections over which people read.
const HANDS: usize = 8;
/// Longest wait for the last receipts.
const LATE_MAX: Duration = Duration::from_secs(3);
/// Receipt frames a second of a conversation, at most.
const FRAMES_MAX: f64 = 1.0;

/// Rows of receipts.
pub fn run(bench: &mut Bench) -> Result<()> {
    let readers = bench.size(1_000, 200);
    bench.say(&format!("chat receipts: {readers} people in {GROUPS} groups"));
    let made = async |world: &World, ids: &[Id]| groups(world, ids, readers / GROUPS).await;
    let (scene, groups) = Scene::build_with(bench, readers, made)?;
    let server = scene.serve(None)?;
    scene.greet(&server)?;
    let mut fleet = Fleet::connected(&Wanted::new(server.address, Kind::Websocket, readers))?;
    fleet.mark(false)?;
    let process = server.process.id();
    let (before, written, began) = (machine::cpu_time_exact(process), written_bytes(process), Instant::now());
    // Each reads to the end in steps, as somebody who scrolls.
    let steps = bench.size(10, 2);
    let read = |hand: usize| -> Result<u64> {
        let mut calls = Calls::open(server.address)?;
        let mut count = 0;
        for step in 1..=steps {
            for reader in (hand..readers).step_by(HANDS) {
                let path = format!("/v1/conversations/{}/read", groups[reader % GROUPS]);
                let body = format!(r#"{{"seq":{}}}"#, MESSAGES * step / steps);
                calls.ask(&request("PUT", &path, &scene.authorization(reader)?, &body))?;
                count += 1;
            }
        }
        Ok(count)
    };
    let reads: u64 = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|hand| scope.spawn(move || read(hand))).collect();
        let all = hands.into_iter().map(std::thread::ScopedJoinHandle::join);
        all.map(|done| done.map_err(|_| BenchError::Wrong("a reader panicked".to_owned()))?).sum::<Result<u64>>()
    })?;
    let took = began.elapsed();
    let spent = machine::cpu_time_exact(process) - before;
    // The last receipts come within a second.
    let report = fleet.wait(Until::Events, u64::MAX, LATE_MAX)?;
    let whole = (began.elapsed() - LATE_MAX).as_secs_f64() + 1.0;
    let what = format!("{readers} people read {MESSAGES} messages of their groups in {steps} steps");
    bench.report.add(Row::new(format!("{what}: reads"), reads as f64 / took.as_secs_f64(), "reads/s"));
    bench.report.add(Row::new(
        "of it: processor time of the server for a read",
        spent.as_secs_f64() * 1e6 / reads as f64,
        "µs",
    ));
    let bytes = (written_bytes(process) - written) as f64 / reads as f64;
    bench.report.add(Row::new("of it: bytes written to disk for a read", bytes, "bytes"));
    let frames = report.receipts as f64 / readers as f64;
    bench.report.add(Row::new(
        "of it: receipt frames of a session for a read",
        frames / (reads as f64 / GROUPS as f64),
        "",
    ));
    let row = Row::new("of it: receipt frames of a conversation, to each member", frames / whole, "frames/s");
    // The first frame of a pause comes at once.
    bench.report.add(row.goal(Goal::at_most(FRAMES_MAX + 1.0 / whole)));
    Ok(())
}

/// Bytes that a process has handed to disks.
fn written_bytes(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

async fn groups(world: &World, ids: &[Id], members: usize) -> Result<Vec<Id>> {
    let mut made = Vec::new();
    for group in 0..GROUPS {
        let people: Vec<usize> = (0..members).map(|number| number * GROUPS + group).collect();
        let id = begin(world, ids, &people, ConversationKind::Group).await?;
        for number in 0..MESSAGES {
            let new = NewMessage {
                client_id: format!("m{number}"),
                kind: MessageKind::Text,
                text: Some("A message that everybody reads".to_owned()),
                media_id: None,
                duration_ms: None,
                reply_to: None,
                forward: None,
            };
            world.app.chat().send(ids[people[0]], id, new).await?;
        }
        made.push(id);
    }
    Ok(made)
}
