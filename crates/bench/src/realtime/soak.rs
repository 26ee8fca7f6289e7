//! Six servers full of connections, held for minutes.

use std::time::{Duration, Instant};

use super::super::report::{Goal, Row};
use super::client::protocol::Kind;
use super::fleet::{Fleet, Wanted};
use super::scene::Scene;
use super::{Bench, Result, machine};

/// Server processes, each with a data folder of its own.
const SERVERS: usize = 6;

/// Rows of who is alive and of memory.
pub fn run(bench: &mut Bench, scene: &Scene) -> Result<()> {
    let time = Duration::from_secs(bench.size(300, 20));
    let count = scene.readers * SERVERS;
    bench.say(&format!("soak: {count} connections"));
    let (mut servers, mut fleets) = (Vec::new(), Vec::new());
    for _ in 0..SERVERS {
        servers.push(scene.serve_copy(bench)?);
    }
    for (_, server) in &servers {
        scene.greet(server)?;
    }
    let resident = |servers: &[(_, super::super::serve::Server)]| -> u64 {
        servers.iter().map(|(_, server)| machine::resident_bytes_of(server.process.id())).sum()
    };
    let (before, kernel) = (resident(&servers), machine::kernel_bytes());
    for (_, server) in &servers {
        fleets.push(Fleet::connected(&Wanted::new(server.address, Kind::Websocket, scene.readers))?);
    }
    bench.say(&format!("soak: holding them for {} s", time.as_secs()));
    let began = Instant::now();
    let mut least = u64::MAX;
    while began.elapsed() < time {
        std::thread::sleep(Duration::from_secs(5));
        let mut alive = 0;
        for fleet in &mut fleets {
            alive += fleet.report()?.alive;
        }
        least = least.min(alive);
    }
    let (after, kernel) = (resident(&servers), machine::kernel_bytes().saturating_sub(kernel));
    let what = format!("{count} connections over {SERVERS} servers, {} s", time.as_secs());
    let row = Row::new(format!("{what}: alive all the time"), least as f64, "connections");
    bench.report.add(row.goal(Goal::at_least(count as f64)));
    const MIB: f64 = (1 << 20) as f64;
    bench.report.add(Row::new("of it: memory of all servers together", after as f64 / MIB, "MiB"));
    bench.report.add(Row::new("of it: grown by", after.saturating_sub(before) as f64 / MIB, "MiB"));
    bench.report.add(Row::new("of it: of the kernel, both ends together", kernel as f64 / MIB, "MiB"));
    Ok(())
}
