//! Hosts of the sample world, whose live sessions come and go: so that there is something live at any time, something
//! to come, and replays.

use futures_util::future::BoxFuture;
use std::time::Duration;

use fanfare_protocol::{Id, LiveState, NewLiveSession, Timestamp};

use super::build::Sample;
use crate::app::App;
use crate::base::error::{Error, Result};

/// Hosts, at most: some of those whom the demo person follows.
const HOSTS_MAX: usize = 5;
/// Pause between two acts of hosts.
const ACT: Duration = Duration::from_secs(7);
/// Turns of one host's session: it is announced, begins, is over, and the host rests.
const TURNS: usize = 4;
/// Seconds ahead for which a session is announced.
const AHEAD_MS: u64 = 40_000;
/// Replays of a host that stay; older ones are removed.
const REPLAYS_MAX: usize = 3;
/// Titles of sessions.
const TITLES: [&str; 8] = [
    "Soldering a clock, badly",
    "Questions about sourdough",
    "Sketching the harbour",
    "One game of Go, slowly",
    "Reading old maps aloud",
    "Tuning the street piano",
    "What grows in March",
    "Fixing a bicycle together",
];

/// Hosts among the people whom the demo person follows.
///
/// # Errors
/// When storage fails.
pub fn of<'a>(app: &'a App, sample: &'a Sample) -> BoxFuture<'a, Result<Vec<Id>>> {
    Box::pin(async move {
        let demo = sample.people[sample.town.world.demo()];
        let mut hosts = app.core().store.followees_of(demo).await?;
        hosts.retain(|host| sample.people.contains(host));
        hosts.truncate(HOSTS_MAX);
        Ok(hosts)
    })
}

/// Has the hosts announce, begin and end sessions in turn, until it is aborted.
pub fn hold(app: App, hosts: Vec<Id>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if hosts.is_empty() {
            return;
        }
        for number in 0_usize.. {
            let host = hosts[number % hosts.len()];
            // Each is at another turn.
            let turn = (number / hosts.len() + number % hosts.len()) % TURNS;
            match act(&app, host, turn, TITLES[number % TITLES.len()]).await {
                Ok(()) | Err(Error::Refused(_)) => {}
                Err(error) => tracing::warn!(%error, "a host of the demo pauses"),
            }
            tokio::time::sleep(ACT).await;
        }
    })
}

async fn act(app: &App, host: Id, turn: usize, title: &str) -> Result<()> {
    let live = app.live();
    let sessions = app.live().of_host(host, 100, None).await?.sessions;
    let first = |state: LiveState| sessions.iter().find(|row| row.state() == state).map(|row| row.id);
    match turn {
        0 => {
            let starts_at = Timestamp(app.core().clock.now_ms() + AHEAD_MS);
            let new = NewLiveSession { title: title.to_owned(), starts_at };
            live.announce(host, new, None).await?;
        }
        1 => {
            if let Some(session) = first(LiveState::Upcoming) {
                live.start(host, session).await?;
            }
        }
        2 => {
            if let Some(session) = first(LiveState::Live) {
                live.end(host, session, None).await?;
            }
        }
        _ => {
            let replays = sessions.iter().filter(|row| row.state() == LiveState::Replay);
            for old in replays.skip(REPLAYS_MAX) {
                live.remove(host, old.id).await?;
            }
        }
    }
    Ok(())
}
