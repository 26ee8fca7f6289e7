//! Numbers of a link: who visited it, when, and where from.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;

/// Length of a point of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    /// A minute; kept for a week.
    Minute,
    /// An hour; kept for three months.
    Hour,
    /// A day in UTC; kept as long as the link.
    #[default]
    Day,
}

/// Whether programs count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bots {
    /// Programs count.
    #[default]
    Include,
    /// Only people do.
    Exclude,
}

/// Clicks of a link within a time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkStats {
    /// First moment that is counted: the beginning of the first point.
    pub from: Timestamp,
    /// Moment up to which is counted: the end of the last point.
    pub to: Timestamp,
    /// Length of a point.
    pub interval: Interval,
    /// Every redirect that was answered, bots' too.
    pub total: u64,
    /// Bots' redirects among them.
    pub bots: u64,
    /// Visitors, an estimate (about 1.6 %, exact when few). Over several days it is the sum of the days: visitor-days.
    pub unique: u64,
    /// Clicks in each interval, the empty ones too.
    pub series: Vec<StatsPoint>,
    /// Hosts of the pages that the link was followed from, over the whole UTC days that the time touches.
    pub referrers: Vec<StatsName>,
    /// Countries, in two letters.
    pub countries: Vec<StatsName>,
    /// Cities.
    pub cities: Vec<StatsName>,
    /// Kinds of device: desktop, mobile, tablet, other, bot.
    pub devices: Vec<StatsName>,
    /// Browsers.
    pub browsers: Vec<StatsName>,
    /// Operating systems.
    pub systems: Vec<StatsName>,
    /// Languages.
    pub languages: Vec<StatsName>,
}

/// Point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsPoint {
    /// Beginning of the interval.
    pub at: Timestamp,
    /// Clicks in it.
    pub count: u64,
}

/// Name in a list, the most frequent first; `unknown` is what is not known, `other` what is beyond the list's bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsName {
    /// The name.
    pub name: String,
    /// Clicks of it.
    pub count: u64,
}
