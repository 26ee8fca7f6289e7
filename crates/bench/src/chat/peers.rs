//! Pairs and groups as they talk through a peer: what each carries, how soon, and what a message costs.

use std::fs;
use std::time::Duration;

use super::ejabberd::{Archive, Ejabberd, MISSING};
use super::realtime::client::talk::{Lines, Talk};
use super::realtime::fleet::Fleet;
use super::report::Row;
use super::scene::Talkers;
use super::sends::{LATE_MAX, UNDER_WAY, sessions, whole};
use super::{Bench, BenchError, CHARS, Result, machine, xmpp};

/// Figures of one server.
struct Figures {
    rate: f64,
    p95_ms: f64,
    cpu_us: f64,
    /// Copies that never came, and how many were to come.
    lost: (u64, u64),
}

/// Rows of the server beside each peer.
pub fn run(bench: &mut Bench, talkers: &Talkers) -> Result<()> {
    let (warm_up, time) = bench.size((3, 20), (1, 4));
    bench.say("chat peers: the server itself");
    let ours = own(talkers, (warm_up, time))?;
    let what = format!(
        "messages of {CHARS} characters, {} sessions, {} conversations, 30 % groups, {UNDER_WAY} under way",
        talkers.sessions, talkers.conversations
    );
    for archive in Archive::ALL {
        bench.say(&format!("chat peers: ejabberd, {}", archive.words()));
        let rows = [
            Row::new(format!("{what}, beside ejabberd"), ours.rate, "messages/s"),
            Row::new("of it: until a member has it, p95", ours.p95_ms, "ms"),
            Row::new("of it: processor time of the server for a message", ours.cpu_us, "µs"),
        ];
        let Some(peer) = Ejabberd::start(bench, archive)? else {
            rows.into_iter().for_each(|row| bench.report.add(row.without_peer(MISSING)));
            return Ok(());
        };
        let theirs = of_peer(&peer, talkers, (warm_up, time))?;
        let name = format!("{}, {}", peer.version, archive.words());
        let values = [theirs.rate, theirs.p95_ms, theirs.cpu_us];
        for (row, value) in rows.into_iter().zip(values) {
            bench.report.add(row.beside(name.clone(), value));
        }
        let (lost, owed) = theirs.lost;
        if lost > 0 {
            let name = format!("{name}: copies of {owed} that had not come a minute after the last message");
            bench.report.add(Row::new(name, lost as f64, ""));
        }
    }
    Ok(())
}

fn own(talkers: &Talkers, (warm_up, time): (u64, u64)) -> Result<Figures> {
    let server = talkers.scene.serve(None)?;
    talkers.scene.greet(&server)?;
    let mut fleet = Fleet::connected(&sessions(talkers, &server))?;
    let talk = |seconds: u64| Talk {
        lines: talkers.all.clone(),
        rate: 0.0,
        under_way: UNDER_WAY,
        time_ms: seconds * 1_000,
        chars: CHARS,
    };
    fleet.talk(&talk(warm_up), LATE_MAX)?;
    let before = machine::cpu_time_exact(server.process.id());
    let report = whole(fleet.talk(&talk(time), LATE_MAX)?)?;
    let spent = machine::cpu_time_exact(server.process.id()).saturating_sub(before);
    let answered = report.talked.answered.max(1) as f64;
    let cpu_us = spent.as_secs_f64() * 1e6 / answered;
    Ok(Figures { rate: answered / time as f64, p95_ms: report.p95_us / 1e3, cpu_us, lost: (0, report.talked.owed) })
}

fn of_peer(peer: &Ejabberd, talkers: &Talkers, (warm_up, time): (u64, u64)) -> Result<Figures> {
    let lines: Lines = serde_json::from_slice(&fs::read(&talkers.all)?)
        .map_err(|error| BenchError::Wrong(format!("conversations do not decode: {error}")))?;
    let mut people = xmpp::Talkers::connect(peer.address, talkers.sessions, lines)?;
    people.talk(UNDER_WAY as u64, Duration::from_secs(warm_up))?;
    let before = machine::cpu_time_exact(peer.process.id());
    let said = people.talk(UNDER_WAY as u64, Duration::from_secs(time))?;
    let spent = machine::cpu_time_exact(peer.process.id()).saturating_sub(before);
    let cpu_us = spent.as_secs_f64() * 1e6 / said.sent.max(1) as f64;
    let lost = (said.owed.saturating_sub(said.came), said.owed);
    Ok(Figures { rate: said.rate, p95_ms: said.p95_ms, cpu_us, lost })
}
