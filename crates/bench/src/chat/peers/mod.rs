//! Pairs and groups as they talk through a peer: what each carries, how soon, and what a message costs.
//!
//! A peer is one file that starts it and one that talks to it; `tally` counts what is said.

mod ejabberd;
mod matrix;
mod postgres;
mod synapse;
mod tally;
mod xmpp;

use std::fs;
use std::time::Duration;

use self::ejabberd::{Archive, Ejabberd};
use self::synapse::Synapse;
use self::tally::Said;
use super::realtime::client::talk::{Lines, Talk};
use super::realtime::fleet::Fleet;
use super::report::Row;
use super::scene::Talkers;
use super::sends::{LATE_MAX, UNDER_WAY, sessions, whole};
use super::{Bench, BenchError, CHARS, Result, child, machine, percentile, realtime};

/// Messages under way at once through Synapse: with four times as many it carries a fiftieth more, each four times as
/// late, and with as many as others carry some are not answered in time.
const SYNAPSE_UNDER_WAY: usize = 32;

/// Figures of one server.
struct Figures {
    rate: f64,
    p95_ms: f64,
    cpu_us: f64,
    /// Copies that never came, and how many were to come.
    lost: (u64, u64),
}

/// Seconds of the warm-up and of the talk, and the messages that are under way at once.
#[derive(Clone, Copy)]
struct Pace {
    warm_up: u64,
    time: u64,
    under_way: usize,
}

/// Rows of the server beside each peer.
pub fn run(bench: &mut Bench, talkers: &Talkers) -> Result<()> {
    through_ejabberd(bench, talkers)?;
    if bench.quick {
        return through_synapse(bench, talkers);
    }
    bench.say("chat peers: fewer people and conversations: Synapse takes minutes to make them");
    let few = Talkers::few(bench)?;
    through_synapse(bench, &few)
}

fn through_ejabberd(bench: &mut Bench, talkers: &Talkers) -> Result<()> {
    let (warm_up, time) = bench.size((3, 20), (1, 4));
    let pace = Pace { warm_up, time, under_way: UNDER_WAY };
    bench.say("chat peers: the server itself");
    let ours = own(talkers, pace)?;
    for archive in Archive::ALL {
        bench.say(&format!("chat peers: ejabberd, {}", archive.words()));
        let rows = rows(talkers, pace, &ours, "ejabberd");
        let Some(peer) = Ejabberd::start(bench, archive)? else {
            rows.into_iter().for_each(|row| bench.report.add(row.without_peer(ejabberd::MISSING)));
            return Ok(());
        };
        let mut people = xmpp::Talkers::connect(peer.address, talkers.sessions, lines(talkers)?)?;
        let spent = || machine::cpu_time_exact(peer.process.id());
        let theirs = of_peer(pace, spent, |time| people.talk(pace.under_way as u64, time))?;
        add(bench, rows, &theirs, &format!("{}, {}", peer.version, archive.words()));
    }
    Ok(())
}

fn through_synapse(bench: &mut Bench, talkers: &Talkers) -> Result<()> {
    let (warm_up, time) = bench.size((10, 30), (5, 10));
    let pace = Pace { warm_up, time, under_way: SYNAPSE_UNDER_WAY };
    bench.say("chat peers: the server itself, with as few messages under way");
    let ours = own(talkers, pace)?;
    let rows = rows(talkers, pace, &ours, "Synapse");
    bench.say("chat peers: Synapse");
    let Some(peer) = Synapse::start(bench)? else {
        rows.into_iter().for_each(|row| bench.report.add(row.without_peer(synapse::MISSING)));
        return Ok(());
    };
    bench.say("chat peers: people and rooms of Synapse");
    let mut people = matrix::Talkers::connect(peer.address, talkers.sessions, lines(talkers)?)?;
    bench.say("chat peers: until it is idle");
    peer.settle()?;
    bench.say("chat peers: talk through Synapse");
    let theirs = of_peer(pace, || peer.spent(), |time| people.talk(pace.under_way, time))?;
    add(bench, rows, &theirs, &peer.words);
    Ok(())
}

/// Conversations of everybody.
fn lines(talkers: &Talkers) -> Result<Lines> {
    let read = serde_json::from_slice(&fs::read(&talkers.all)?);
    read.map_err(|error| BenchError::Wrong(format!("conversations do not decode: {error}")))
}

fn rows(talkers: &Talkers, pace: Pace, ours: &Figures, peer: &str) -> [Row; 3] {
    let what = format!(
        "messages of {CHARS} characters, {} sessions, {} conversations, 30 % groups, {} under way",
        talkers.sessions, talkers.conversations, pace.under_way
    );
    [
        Row::new(format!("{what}, beside {peer}"), ours.rate, "messages/s"),
        Row::new("of it: until a member has it, p95", ours.p95_ms, "ms"),
        Row::new("of it: processor time of the server for a message", ours.cpu_us, "µs"),
    ]
}

fn add(bench: &mut Bench, rows: [Row; 3], theirs: &Figures, name: &str) {
    for (row, value) in rows.into_iter().zip([theirs.rate, theirs.p95_ms, theirs.cpu_us]) {
        bench.report.add(row.beside(name, value));
    }
    let (lost, owed) = theirs.lost;
    if lost > 0 {
        let name = format!("{name}: copies of {owed} that had not come a minute after the last message");
        bench.report.add(Row::new(name, lost as f64, ""));
    }
}

fn own(talkers: &Talkers, pace: Pace) -> Result<Figures> {
    let server = talkers.scene.serve(None)?;
    talkers.scene.greet(&server)?;
    let mut fleet = Fleet::connected(&sessions(talkers, &server))?;
    let talk = |seconds: u64| Talk {
        lines: talkers.all.clone(),
        rate: 0.0,
        under_way: pace.under_way,
        time_ms: seconds * 1_000,
        chars: CHARS,
    };
    fleet.talk(&talk(pace.warm_up), LATE_MAX)?;
    let before = machine::cpu_time_exact(server.process.id());
    let report = whole(fleet.talk(&talk(pace.time), LATE_MAX)?)?;
    let spent = machine::cpu_time_exact(server.process.id()).saturating_sub(before);
    let answered = report.talked.answered.max(1) as f64;
    Ok(Figures {
        rate: answered / pace.time as f64,
        p95_ms: report.p95_us / 1e3,
        cpu_us: spent.as_secs_f64() * 1e6 / answered,
        lost: (0, report.talked.owed),
    })
}

/// Figures of a peer, whose processor time so far `spent` tells.
fn of_peer(
    pace: Pace,
    spent: impl Fn() -> Duration,
    mut talk: impl FnMut(Duration) -> Result<Said>,
) -> Result<Figures> {
    talk(Duration::from_secs(pace.warm_up))?;
    let before = spent();
    let said = talk(Duration::from_secs(pace.time))?;
    let cpu_us = spent().saturating_sub(before).as_secs_f64() * 1e6 / said.sent.max(1) as f64;
    let lost = (said.owed.saturating_sub(said.came), said.owed);
    Ok(Figures { rate: said.rate, p95_ms: said.p95_ms, cpu_us, lost })
}
