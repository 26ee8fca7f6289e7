//! Recount of an access log by code of its own, and how the numbers of its links differ from it.

use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};

use regex::Regex;

use crate::app::App;
use crate::base::error::{Error, Result};
use crate::links::clicks::agent::Agents;
use crate::links::clicks::click::cut;
use crate::links::clicks::rollup::lists::{List, NameCounts};
use crate::links::clicks::rollup::{MINUTE_MS, RowNumbers, RowPlace};
use crate::links::clicks::stats::UNKNOWN;

/// Counts by name.
type Counts = HashMap<String, u64>;

/// Visits of one target.
#[derive(Default)]
struct Visited {
    minutes: BTreeMap<u64, u64>,
    referrers: BTreeMap<u64, Counts>,
    browsers: BTreeMap<u64, Counts>,
}

/// A recount.
pub struct Recount {
    line: Regex,
    host: Regex,
    agents: Agents,
    targets: HashMap<String, Visited>,
}

/// Comparison of a recount with what is counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Links that were compared.
    pub links: u64,
    /// Clicks of them.
    pub clicks: u64,
    /// Minutes, referrers and browsers that were compared.
    pub numbers: u64,
    /// Differences, in words.
    pub differences: Vec<String>,
}

impl Compared {
    fn number(&mut self, what: impl FnOnce() -> String, counted: u64, expected: u64) {
        self.numbers += 1;
        if counted != expected {
            self.differences.push(format!("{}: {counted} counted, {expected} in the file", what()));
        }
    }
}

impl Recount {
    /// A recount of nothing yet.
    ///
    /// # Errors
    /// Never: its patterns are fixed.
    pub fn new() -> Result<Self> {
        let compile = |pattern| Regex::new(pattern).map_err(|error| Error::Internal(error.to_string()));
        Ok(Self {
            line: compile(
                r#"^(?:[0-9.]+|[0-9a-fA-F:.]+) \S+ \S+ \[(\d+)/(\w+)/(\d+):(\d+):(\d+):\d+ ([+-])(\d\d)(\d\d)\] "GET (\S+) HTTP/[^" ]+" \S+ \S+ "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\s*$"#,
            )?,
            host: compile(
                r"(?i)^(?:https?|android-app)://(?:[^/?#\\]*@)?(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?:[:/?#\\]|$)",
            )?,
            agents: Agents::default(),
            targets: HashMap::new(),
        })
    }

    /// Counts a line, if it is a visit.
    pub fn add(&mut self, line: &str) {
        let Some(found) = self.line.captures(line) else { return };
        let number = |at: usize| found[at].parse::<i64>().unwrap_or_default();
        let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(&found[2]).unwrap_or_default() as i64 / 3 + 1;
        let zone = (number(7) * 60 + number(8)) * if &found[6] == "-" { -1 } else { 1 };
        let minute = (days(number(3), month, number(1)) * 24 + number(4)) * 60 + number(5) - zone;
        let (minute, day) = (minute as u64, minute as u64 / 1_440);
        let visited = self.targets.entry(found[9].to_owned()).or_default();
        *visited.minutes.entry(minute).or_default() += 1;
        let plain = |at: usize| found[at].replace("\\\"", "\"").replace("\\\\", "\\");
        let referrer = plain(10);
        let host = self.host.captures(&referrer).and_then(|host| host.get(1).or(host.get(2)));
        let referrer = host.map(|host| cut(host.as_str().trim_end_matches('.')).to_ascii_lowercase());
        let agent = self.agents.of(Some(&plain(11)));
        let browser = agent.browser.as_deref().map(str::to_owned);
        for (list, name) in [(&mut visited.referrers, referrer), (&mut visited.browsers, browser)] {
            *list.entry(day).or_default().entry(name.unwrap_or_else(|| UNKNOWN.to_owned())).or_default() += 1;
        }
    }

    /// Compares every minute, referrer and browser of every link with what is counted.
    ///
    /// # Errors
    /// When storage fails.
    pub fn compare<'a>(
        &'a self,
        app: &'a App,
        links: &'a HashMap<String, (String, crate::base::id::Id)>,
    ) -> BoxFuture<'a, Result<Compared>> {
        Box::pin(async move {
            let mut compared = Compared::default();
            // The janitor lets go of older ones while the import runs.
            let newest = self.targets.values().filter_map(|visited| visited.minutes.keys().last()).max().copied();
            let kept_from = newest.unwrap_or_default().saturating_sub(app.clicks().kept().minutes_ms / MINUTE_MS);
            for (target, visited) in &self.targets {
                let Some((code, link)) = links.get(target) else {
                    // Lines whose address cannot be linked to are named by the import.
                    continue;
                };
                compared.links += 1;
                let expected: u64 = visited.minutes.values().sum();
                compared.clicks += expected;
                let total = app.clicks().numbers(code, *link, &[RowPlace::Total]).await?;
                let total = match total.first() {
                    Some(Some(RowNumbers::Total(count, _))) => count.all,
                    _ => 0,
                };
                compared.number(|| target.clone(), total, expected);
                minutes(app, (target, code, *link), (visited, kept_from), &mut compared).await?;
                lists(app, (target, code, *link), visited, &mut compared).await?;
            }
            Ok(compared)
        })
    }
}

/// Link that is compared: target, code, id.
type Of<'a> = (&'a str, &'a str, crate::base::id::Id);

async fn minutes(
    app: &App,
    (target, code, link): Of<'_>,
    (visited, kept_from): (&Visited, u64),
    compared: &mut Compared,
) -> Result<()> {
    let mut hours: Vec<u64> = visited.minutes.range(kept_from..).map(|(minute, _)| minute / 60).collect();
    hours.dedup();
    let places: Vec<RowPlace> = hours.iter().map(|hour| RowPlace::Minutes(*hour as u32)).collect();
    for (hour, numbers) in hours.iter().zip(app.clicks().numbers(code, link, &places).await?) {
        let slots = if let Some(RowNumbers::Slots(slots)) = numbers { Some(slots) } else { None };
        for minute in (0..60).filter(|minute| hour * 60 + minute >= kept_from) {
            let counted = slots.as_ref().map_or(0, |slots| slots.at(minute as u8).all);
            let expected = visited.minutes.get(&(hour * 60 + minute)).copied().unwrap_or_default();
            if counted + expected > 0 {
                compared.number(|| format!("{target}, minute {}", hour * 60 + minute), counted, expected);
            }
        }
    }
    Ok(())
}

async fn lists(app: &App, (target, code, link): Of<'_>, visited: &Visited, compared: &mut Compared) -> Result<()> {
    let days: Vec<u64> = visited.referrers.keys().copied().collect();
    let places: Vec<RowPlace> = days.iter().map(|day| RowPlace::Day(*day as u32)).collect();
    for (day, numbers) in days.iter().zip(app.clicks().numbers(code, link, &places).await?) {
        let Some(RowNumbers::Day(counted)) = numbers else {
            compared.differences.push(format!("{target}, day {day}: nothing is counted"));
            continue;
        };
        for (what, counted, expected) in [
            ("referrer", counted.lists.of(List::Referrers), visited.referrers.get(day)),
            ("browser", counted.lists.of(List::Browsers), visited.browsers.get(day)),
        ] {
            let mut left = expected.cloned().unwrap_or_default();
            for (name, count) in named(counted) {
                let expected = left.remove(name).unwrap_or_default();
                compared.number(|| format!("{target}, day {day}, {what} {name}"), count, expected);
            }
            // What found no place in the list.
            compared.number(|| format!("{target}, day {day}, other {what}s"), counted.other.all, left.values().sum());
        }
    }
    Ok(())
}

fn named(names: NameCounts<'_>) -> impl Iterator<Item = (&str, u64)> {
    let unknown = (names.unknown.all > 0).then_some((UNKNOWN, names.unknown.all));
    names.iter().map(|(name, count)| (name, count.all)).chain(unknown)
}

/// Days from the Unix epoch to a date: whole years, then the days of its months.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let months = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    years + months.iter().take((month - 1) as usize).sum::<i64>() + day - 1
}
