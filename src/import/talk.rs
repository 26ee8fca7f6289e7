//! Lines of talk: a channel, the minute of a day, who spoke, and what. Pure.
//!
//! A line has no date: the days of a channel begin at the date that its name begins with, else with 2005, and a minute
//! that goes back begins the next day.

use std::collections::{BTreeMap, HashMap};

use fanfare_protocol::Timestamp;

/// First line of the file.
pub const HEADER: &str = "channel\ttime\tnick\ttext";
/// Milliseconds of a minute and of a day.
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;
/// Begin of channels whose names say none: 2005-01-01.
const FIRST_DAY_MS: u64 = 1_104_537_600_000;
/// Characters of a date.
const DATE_CHARS: usize = 10;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Name of the channel.
    pub channel: &'a str,
    /// Minute of its day.
    pub minute: u64,
    /// Name of who spoke.
    pub nick: &'a str,
    /// Words.
    pub text: &'a str,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it, for people.
pub fn line(text: &str) -> Result<Line<'_>, String> {
    let mut fields = text.splitn(4, '\t');
    let mut next = |name: &str| fields.next().ok_or_else(|| format!("lacks {name}"));
    let (channel, time, nick, text) = (next("a channel")?, next("a time")?, next("a nick")?, next("a text")?);
    if channel.is_empty() || nick.is_empty() {
        return Err("names no channel or nobody".to_owned());
    }
    let minute = time.split_once(':').and_then(|(hours, minutes)| {
        let number = |text: &str, end: u64| text.parse::<u64>().ok().filter(|number| text.len() == 2 && *number < end);
        Some(number(hours, 24)? * 60 + number(minutes, 60)?)
    });
    let minute = minute.ok_or_else(|| format!("time must be HH:MM, not {time:?}"))?;
    Ok(Line { channel, minute, nick, text })
}

/// Days of channels, as their lines are read in order.
#[derive(Debug, Default)]
pub struct Days(HashMap<String, (u64, u64)>);

impl Days {
    /// Moment of the next line of a channel.
    pub fn at_ms(&mut self, channel: &str, minute: u64) -> u64 {
        let first = || (first_day(channel), minute);
        let (day, last) = self.0.entry(channel.to_owned()).or_insert_with(first);
        if minute < *last {
            *day += DAY_MS;
        }
        *last = minute;
        *day + minute * MINUTE_MS
    }
}

/// The date that a name begins with, else 2005-01-01.
fn first_day(channel: &str) -> u64 {
    let date = channel.get(..DATE_CHARS).unwrap_or_default();
    let moment = serde_json::from_value::<Timestamp>(format!("{date}T00:00:00Z").into());
    moment.map_or(FIRST_DAY_MS, |moment| moment.0)
}

/// A channel as the file has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// Everybody who speaks in it, in the order of their first words.
    pub nicks: Vec<String>,
    /// Moment of the first line.
    pub first_ms: u64,
}

/// Channels of a file, by name.
#[derive(Debug, Default)]
pub struct TalkPlan {
    /// The channels.
    pub channels: BTreeMap<String, Channel>,
    days: Days,
    known: std::collections::HashSet<(String, String)>,
}

impl TalkPlan {
    /// Takes in the next line.
    pub fn add(&mut self, line: &Line<'_>) {
        let at_ms = self.days.at_ms(line.channel, line.minute);
        let fresh = || Channel { nicks: Vec::new(), first_ms: at_ms };
        let channel = self.channels.entry(line.channel.to_owned()).or_insert_with(fresh);
        if self.known.insert((line.channel.to_owned(), line.nick.to_owned())) {
            channel.nicks.push(line.nick.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_wrong_says_what_is_wrong() {
        let read = line("town\t09:05\tAnn\ta\tb").unwrap();
        assert_eq!((read.channel, read.minute, read.nick, read.text), ("town", 545, "Ann", "a\tb"));
        for wrong in ["", "town", "town\t09:05\tAnn", "town\t9:05\tAnn\ta", "town\t24:00\tAnn\ta", "\t09:05\tAnn\ta"] {
            assert!(line(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn days_begin_at_the_date_in_the_name_and_when_time_goes_back() {
        let mut days = Days::default();
        let mut at = |channel: &str, minute| Timestamp(days.at_ms(channel, minute)).to_string();
        assert_eq!(at("2008-04-27.train-a", 545), "2008-04-27T09:05:00.000Z");
        assert_eq!(at("channel-two", 60), "2005-01-01T01:00:00.000Z");
        assert_eq!(at("2008-04-27.train-a", 545), "2008-04-27T09:05:00.000Z");
        assert_eq!(at("2008-04-27.train-a", 3), "2008-04-28T00:03:00.000Z");
        assert_eq!(at("channel-two", 59), "2005-01-02T00:59:00.000Z");
        assert_eq!(at("2008-13-27", 0), "2005-01-01T00:00:00.000Z", "no date");
    }

    #[test]
    fn a_plan_knows_who_speaks_in_which_channel() {
        let mut plan = TalkPlan::default();
        for text in ["a\t01:00\tAnn\thi", "b\t02:00\tAnn\thi", "a\t01:01\tBob\thi", "a\t01:02\tAnn\tbye"] {
            plan.add(&line(text).unwrap());
        }
        assert_eq!(plan.channels["a"].nicks, ["Ann", "Bob"]);
        assert_eq!((plan.channels.len(), plan.channels["b"].first_ms), (2, FIRST_DAY_MS + 120 * MINUTE_MS));
    }
}
