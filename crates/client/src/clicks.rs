//! Calls of links' numbers.

use std::fmt::Write as _;

use fanfare_protocol::{Bots, Interval, LinkStats, Timestamp};
use hyper::Method;

use crate::{Client, Result};

const NO_BODY: Option<&()> = None;

/// Time that is asked about; what is absent is the server's choice.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatsQuery {
    /// First moment.
    pub from: Option<Timestamp>,
    /// Moment up to which is counted, itself left out.
    pub to: Option<Timestamp>,
    /// Length of a point.
    pub interval: Interval,
    /// Whether programs count.
    pub bots: Bots,
}

impl StatsQuery {
    /// A question of the days since the link was made.
    #[must_use]
    pub fn days() -> Self {
        Self::default()
    }

    fn onto(self, mut path: String) -> String {
        let interval = match self.interval {
            Interval::Minute => "minute",
            Interval::Hour => "hour",
            Interval::Day => "day",
        };
        let bots = if self.bots == Bots::Exclude { "exclude" } else { "include" };
        let _ = write!(path, "?interval={interval}&bots={bots}");
        for (name, moment) in [("from", self.from), ("to", self.to)] {
            if let Some(moment) = moment {
                let _ = write!(path, "&{name}={moment}");
            }
        }
        path
    }
}

impl Client {
    /// `GET /v1/links/{code}/stats`.
    ///
    /// # Errors
    /// The problem.
    pub async fn link_stats(&self, code: &str, query: StatsQuery) -> Result<LinkStats> {
        self.get(&query.onto(format!("/v1/links/{code}/stats"))).await
    }

    /// `GET /v1/links/{code}/stats.csv`.
    ///
    /// # Errors
    /// The problem.
    pub async fn link_stats_csv(&self, code: &str, query: StatsQuery) -> Result<String> {
        let path = query.onto(format!("/v1/links/{code}/stats.csv"));
        let answer = self.send_json(Method::GET, &path, &[], NO_BODY).await?.accepted()?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}
