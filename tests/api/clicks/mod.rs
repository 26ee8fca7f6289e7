//! Clicks on short links, from the visit to the numbers that the owner sees.

mod imports;
mod kills;
mod numbers;

use fanfare_client::{Answer, Client, StatsQuery};
use fanfare_protocol::LinkStats;

use crate::world::{Person, eventually, raw};

/// A browser of a person.
pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";

/// Visit of a code by a browser, with further headers.
pub async fn visit(client: &Client, code: &str, headers: &[(&str, &str)]) -> Answer {
    let headers: Vec<(&str, &str)> = [("user-agent", FIREFOX)].iter().chain(headers).copied().collect();
    raw(&client.anonymous(), "GET", &format!("/s/{code}"), &headers, "").await
}

/// Numbers of a link once so many clicks are counted.
pub async fn counted(person: &Person, code: &str, total: u64) -> LinkStats {
    eventually("clicks are counted", async || {
        let stats = person.link_stats(code, StatsQuery::days()).await.unwrap();
        assert!(stats.total <= total, "{} clicks of {total}", stats.total);
        (stats.total == total).then_some(stats)
    })
    .await
}
