//! Live sessions: states, order, pages that agree with each other, whoever is told and reminded.

mod killed;
mod model;
mod order;
mod reminders;
mod states;
mod told;

use fanfare_client::Paging;
use fanfare_protocol::{Id, LiveSession, LiveState, Timestamp};

use crate::world::Person;

/// A session as a word such as `3l`: its title, and its state's first letter.
pub fn word(session: &LiveSession) -> String {
    let state = match session.state {
        LiveState::Upcoming => 'u',
        LiveState::Live => 'l',
        LiveState::Replay => 'r',
        LiveState::Unknown => '?',
    };
    format!("{}{state}", session.title)
}

/// A page as words, and the cursor of the next.
pub async fn page(reader: &Person, limit: u16, cursor: Option<&str>) -> (String, Option<String>) {
    let page = reader.live_feed(Paging::at(limit, cursor)).await.unwrap();
    (page.items.iter().map(word).collect::<Vec<_>>().join(" "), page.next_cursor)
}

/// A moment so many milliseconds after `from_ms`.
pub fn at(from_ms: u64, later_ms: u64) -> Timestamp {
    Timestamp(from_ms + later_ms)
}

/// Announces a session that begins in an hour, as its host plans it.
pub async fn announce(host: &Person, title: &str, now_ms: u64) -> Id {
    host.announce_live(title, at(now_ms, 3_600_000), None).await.unwrap().id
}
