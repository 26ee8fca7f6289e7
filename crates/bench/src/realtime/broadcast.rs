//! Single events to everybody, and sixteen at once: beside one thread that only writes, and beside Centrifugo.

use std::time::Duration;

use super::super::report::{Goal, Row};
use super::super::svg::Bars;
use super::super::{median, percentile};
use super::bare::BareWriter;
use super::centrifugo::{Centrifugo, MISSING};
use super::client::protocol::{Kind, Until};
use super::client::{now_ns, wire};
use super::fleet::{Fleet, Wanted};
use super::http::ManyCalls;
use super::publish::{Operator, data};
use super::scene::Scene;
use super::{Bench, BenchError, Result, machine};

/// Bytes of an event's data.
const EVENT_BYTES: usize = 200;
/// Events of a burst.
const BURST: usize = 16;
/// Goals.
const PART_OF_BARE: f64 = 0.6;
const LAST_MS_MAX: f64 = 200.0;
const CPU_PART_OF_PEER: f64 = 0.5;
const BURST_RATE_MIN: f64 = 1e6;
/// Longest wait for a round.
const ROUND_MAX: Duration = Duration::from_secs(60);

/// Figures of rounds of one size.
#[derive(Default)]
struct Rounds {
    /// Frames a second, from sending to the last one read.
    rates: Vec<f64>,
    /// Milliseconds to the last session.
    last_ms: Vec<f64>,
    /// Processor time of the sender for a frame, microseconds.
    cpu_us: f64,
    /// Bytes of a frame.
    frame_bytes: usize,
}

impl Rounds {
    fn rate(&mut self) -> f64 {
        median(&mut self.rates)
    }
}

/// Figures of a sender: single events, then bursts.
struct Found {
    one: Rounds,
    burst: Rounds,
}

/// Rows of single events and of bursts.
pub fn run(bench: &mut Bench, scene: &Scene) -> Result<()> {
    let mut ours = fanfare(bench, scene)?;
    let mut bare = bare(bench, scene.readers, ours.one.frame_bytes)?;
    let mut theirs = match Centrifugo::start(bench)? {
        Some(peer) => Some((peer.version.clone(), centrifugo(bench, &peer, scene.readers)?)),
        None => None,
    };
    let readers = scene.readers;
    let what = format!("one event of {EVENT_BYTES} bytes to {readers} sessions");
    let writer = format!("bare epoll writer, the same {} bytes", ours.one.frame_bytes);
    let row = Row::new(what.clone(), ours.one.rate(), "frames/s").beside(writer.clone(), bare.one.rate());
    bench.report.add(row.goal(Goal::ratio(PART_OF_BARE)));
    let last = median(&mut ours.one.last_ms);
    let row = Row::new(format!("{what}: until the last session, median"), last, "ms");
    bench.report.add(row.beside(writer.clone(), median(&mut bare.one.last_ms)).goal(Goal::at_most(LAST_MS_MAX)));
    let row = Row::new(format!("{what}: until the last session, p99"), percentile(&mut ours.one.last_ms, 99.0), "ms");
    bench.report.add(row.beside(writer.clone(), percentile(&mut bare.one.last_ms, 99.0)));
    let row = Row::new(format!("{what}: processor time of the server for a frame"), ours.one.cpu_us, "µs");
    bench.report.add(row.beside(writer.clone(), bare.one.cpu_us));
    let burst = format!("bursts of {BURST} such events to {readers} sessions");
    let row = Row::new(burst.clone(), ours.burst.rate(), "frames/s").beside(writer, bare.burst.rate());
    bench.report.add(row.goal(Goal::at_least(BURST_RATE_MIN)));
    let cpu = Row::new(format!("{what}, beside Centrifugo: processor time for a frame"), ours.one.cpu_us, "µs");
    let goal = Goal { ratio_at_most: Some(CPU_PART_OF_PEER), ..Goal::default() };
    let Some((version, theirs)) = &mut theirs else {
        bench.report.add(cpu.goal(goal).without_peer(MISSING));
        return Ok(());
    };
    bench.report.add(cpu.beside(version.clone(), theirs.one.cpu_us).goal(goal));
    let row = Row::new(format!("{what}, beside Centrifugo"), ours.one.rate(), "frames/s");
    bench.report.add(row.beside(version.clone(), theirs.one.rate()));
    let row = Row::new(format!("{burst}, beside Centrifugo"), ours.burst.rate(), "frames/s");
    bench.report.add(row.beside(version.clone(), theirs.burst.rate()));
    let bars = |title: &str, ours: f64, bare: f64, theirs: f64| Bars {
        title: title.to_owned(),
        bars: vec![
            ("Fanfare".to_owned(), ours, true),
            ("bare epoll writer".to_owned(), bare, false),
            (version.clone(), theirs, false),
        ],
    };
    let one = bars("One event to all, frames a second", ours.one.rate(), bare.one.rate(), theirs.one.rate());
    let burst = bars("Bursts of 16, frames a second", ours.burst.rate(), bare.burst.rate(), theirs.burst.rate());
    let cpu = bars("Processor time of a frame, µs", ours.one.cpu_us, bare.one.cpu_us, theirs.one.cpu_us);
    bench.bars.extend([one, burst, cpu]);
    Ok(())
}

fn fanfare(bench: &Bench, scene: &Scene) -> Result<Found> {
    bench.say("broadcast: Fanfare");
    let server = scene.serve(None)?;
    scene.greet(&server)?;
    let mut fleet = Fleet::connected(&Wanted::new(server.address, Kind::Websocket, scene.readers))?;
    let process = server.process.id();
    let mut send = |times: usize| -> Result<u64> {
        // Fresh ones: the server closes connections that ask for nothing.
        let mut operator = Operator::new(scene, server.address, times)?;
        let (text, began) = (data(EVENT_BYTES), now_ns());
        operator.publish(&text, times)?;
        Ok(began)
    };
    measured(bench, &mut fleet, scene.readers, || Ok(machine::cpu_time_exact(process)), &mut send)
}

fn centrifugo(bench: &Bench, peer: &Centrifugo, readers: usize) -> Result<Found> {
    bench.say("broadcast: Centrifugo");
    let mut fleet = Fleet::connected(&Wanted::new(peer.address, Kind::Centrifugo, readers))?;
    let process = peer.process.id();
    let mut send = |times: usize| -> Result<u64> {
        let mut calls = ManyCalls::open(peer.address, times)?;
        let (text, began) = (data(EVENT_BYTES), now_ns());
        peer.publish(&mut calls, &text, times)?;
        Ok(began)
    };
    measured(bench, &mut fleet, readers, || Ok(machine::cpu_time_exact(process)), &mut send)
}

fn bare(bench: &Bench, readers: usize, frame_bytes: usize) -> Result<Found> {
    bench.say("broadcast: the bare writer");
    let (mut writer, mut fleet) = BareWriter::start(readers)?;
    let spent = std::cell::Cell::new(Duration::ZERO);
    let mut send = |times: usize| -> Result<u64> {
        let text = format!(r#"{{"type":"bench.event","data":{}}}"#, data(EVENT_BYTES));
        // As long as ours: the head of a frame is four bytes at this length.
        let text = format!("{text:<width$}", width = frame_bytes.saturating_sub(4));
        let (began, took) = writer.write(&wire::text_frame(text.as_bytes()).repeat(times))?;
        spent.set(spent.get() + took);
        Ok(began)
    };
    measured(bench, &mut fleet, readers, || Ok(spent.get()), &mut send)
}

fn measured(
    bench: &Bench,
    fleet: &mut Fleet,
    readers: usize,
    cpu: impl Fn() -> Result<Duration>,
    send: &mut impl FnMut(usize) -> Result<u64>,
) -> Result<Found> {
    // The first round finds pages and caches cold.
    rounds(fleet, readers, 1, 2, &cpu, send)?;
    let one = rounds(fleet, readers, 1, bench.size(41, 7), &cpu, send)?;
    let burst = rounds(fleet, readers, BURST, bench.size(15, 3), &cpu, send)?;
    Ok(Found { one, burst })
}

fn rounds(
    fleet: &mut Fleet,
    readers: usize,
    times: usize,
    count: usize,
    cpu: &impl Fn() -> Result<Duration>,
    send: &mut impl FnMut(usize) -> Result<u64>,
) -> Result<Rounds> {
    let wanted = (readers * times) as u64;
    let mut found = Rounds::default();
    let before = cpu()?;
    for _ in 0..count {
        fleet.mark(false)?;
        let began = send(times)?;
        let report = fleet.wait(Until::Events, wanted, ROUND_MAX)?;
        if report.events < wanted || report.reached < readers as u64 {
            let why = format!("{} of {wanted} events came, to {} of {readers}", report.events, report.reached);
            return Err(BenchError::Wrong(why));
        }
        let took_ms = report.last_ns.saturating_sub(began) as f64 / 1e6;
        found.last_ms.push(took_ms);
        found.rates.push(wanted as f64 / took_ms * 1e3);
        found.frame_bytes = (report.bytes / wanted) as usize;
    }
    found.cpu_us = (cpu()? - before).as_secs_f64() * 1e6 / (wanted * count as u64) as f64;
    Ok(found)
}
