//! Histories: scripted runs of people, devices, networks and servers, and a judge of what every device heard.
//!
//! `run` plays the script of a seed, `acts` does what people do, `device` is a client and its application, `proxy` the
//! network, `server` what is killed. `history` is what happened, `oracle` what a reader may see, `checker` the judge.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be set up is a failed test")]

mod acts;
mod broken;
mod checker;
mod device;
mod history;
mod oracle;
#[allow(dead_code, reason = "shared with the stories of the API")]
#[path = "../api/process.rs"]
mod process;
mod proxy;
mod run;
mod server;
mod tally;
#[allow(dead_code, reason = "shared with the stories of the API")]
#[path = "../api/world.rs"]
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Builder;

use tally::Tally;

/// Runs of `make test`; `make soak` asks for more.
const RUNS: u64 = 32;
/// Runs at once: most of a run is waiting.
const AT_ONCE: u64 = 6;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// `FANFARE_TEST_RUNS=1200` for more, `FANFARE_TEST_SEED=7` for one again.
#[test]
fn no_history_is_broken() {
    let first = number("FANFARE_TEST_SEED");
    let runs = number("FANFARE_TEST_RUNS").unwrap_or(if first.is_some() { 1 } else { RUNS });
    let first = first.unwrap_or(0);
    let (next, started, all) = (AtomicU64::new(first), Instant::now(), Mutex::new(Tally::default()));
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first.saturating_add(runs) {
                return;
            }
            let threads = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let tally = threads.block_on(run::run(seed));
            all.lock().take_in(tally);
            // What is still open hangs up by itself.
            threads.shutdown_background();
            if (seed - first + 1).is_multiple_of(50) {
                println!("{} histories, {} s", seed - first + 1, started.elapsed().as_secs());
            }
        }
    };
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..AT_ONCE.min(runs)).map(|_| scope.spawn(play)).collect();
        for player in players {
            if let Err(panic) = player.join() {
                // The others need not go on.
                next.store(u64::MAX, Ordering::Relaxed);
                std::panic::resume_unwind(panic);
            }
        }
    });
    let all = all.into_inner();
    println!("{all:#?}");
    // Seeds change nothing about that, only how often.
    for seen in ["resumed by websocket", "resumed by sse", "resumed by long_poll", "resumed by short_poll"] {
        assert!(runs < RUNS || all.has(seen), "nothing was {seen}");
    }
    for seen in [
        "departures pushed",
        "ended: Lost",
        "ended: Silent",
        "ended: Drained",
        "gaps of posts",
        "resets of all: Foreign",
    ] {
        assert!(runs < RUNS || all.has(seen), "no {seen}");
    }
}
