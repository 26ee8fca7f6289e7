//! Moderation of people and posts: acts and their audit, suspensions, passwords, and the command line.

mod acts;
mod command;
mod passwords;
mod reports;
mod seen;
mod suspension;

use fanfare::base::clock::Clock;
use fanfare_protocol::{AuditEntry, NewSuspension, Timestamp};

use crate::world::{World, all_pages};

/// The whole audit, newest first.
async fn audit(world: &World) -> Vec<AuditEntry> {
    let read =
        async |cursor: Option<String>| world.operator.audit(fanfare_client::Paging::at(3, cursor.as_deref())).await;
    all_pages(read, 3).await
}

/// A suspension for a test.
fn because(reason: &str, until_ms: Option<u64>) -> NewSuspension {
    NewSuspension { reason: reason.to_owned(), until: until_ms.map(Timestamp) }
}

/// A clock that stands at this moment until a test turns it.
fn clock() -> (Clock, u64) {
    let now_ms = Clock::system().now_ms();
    (Clock::by_hand(now_ms), now_ms)
}
