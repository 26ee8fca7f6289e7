//! Hosts with sessions of every state, made by records.

use fanfare::log::events::{Event, Policy};
use fanfare_protocol::Id;

use super::Result;
use super::world::World;

/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 3_600_000;
/// Title of a session.
pub const TITLE: &str = "An evening of chess, and a few words about it";

/// Announces a session of each host; answers their ids.
pub async fn announce(world: &World, hosts: &[Id], now_ms: u64) -> Result<Vec<Id>> {
    let announced = hosts.iter().enumerate().map(|(number, host)| Event::LiveAnnounced {
        host: *host,
        title: TITLE.to_owned(),
        starts_at_ms: now_ms + HOUR_MS + number as u64 % 10_000 * 1_000,
    });
    Ok(world.commit_all(announced).await?.into_iter().map(|record| record.id).collect())
}

/// Begins these sessions.
pub async fn begin(world: &World, sessions: &[(Id, Id)]) -> Result<()> {
    let started = sessions.iter().map(|(host, session)| Event::LiveStarted { session: *session, host: *host });
    world.commit_all(started).await.map(drop)
}

/// Ends these sessions.
pub async fn end(world: &World, sessions: &[(Id, Id)]) -> Result<()> {
    let ended = sessions.iter().map(|(host, session)| Event::LiveEnded {
        session: *session,
        host: *host,
        replay_url: None,
        policy: Policy::default(),
    });
    world.commit_all(ended).await.map(drop)
}

/// Hosts of a reader with ten: two are live, five have announced, the rest have replays; each of the ten has four
/// replays too.
pub async fn ten_hosts(world: &World, hosts: &[Id], now_ms: u64) -> Result<()> {
    for _ in 0..4 {
        let sessions: Vec<(Id, Id)> = hosts.iter().copied().zip(announce(world, hosts, now_ms).await?).collect();
        begin(world, &sessions).await?;
        end(world, &sessions).await?;
    }
    let open: Vec<Id> =
        hosts.iter().copied().enumerate().filter(|(number, _)| number % 10 < 7).map(|(_, host)| host).collect();
    let sessions: Vec<(Id, Id)> = open.iter().copied().zip(announce(world, &open, now_ms).await?).collect();
    let live: Vec<_> = sessions.iter().enumerate().filter(|(number, _)| number % 7 < 2).map(|(_, one)| *one).collect();
    begin(world, &live).await
}
