//! Realtime delivery as its clients meet it, over bare sockets: every line of the contract has a story here.
//!
//! `device` holds a session under any transport; every other module tells the stories of one part.

mod clients;
mod deletions;
mod delivery;
pub mod device;
mod edges;
mod ends;
mod greeting;
mod missed;
mod operators;
mod presence;
mod resume;
mod slow;

use fanfare::config::Settings;

use crate::world::World;

/// Posts at once, heartbeats often.
pub fn fast(settings: &mut Settings) {
    settings.realtime.bulk_delay_ms = 0;
    settings.realtime.heartbeat_s = 1;
    settings.realtime.offline_after_s = 3;
    settings.realtime.drain_spread_s = 1;
}

/// A server that sends posts at once.
pub async fn world() -> World {
    World::with(fast).await
}
