//! Tally of what the runs have seen, so that they do not pass by seeing nothing.

use std::collections::BTreeMap;

use fanfare_protocol::Stream;

use crate::history::{Heard, History};

/// Counts by name.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Of one history.
    pub fn of(history: &History) -> Self {
        let mut tally = Self::default();
        tally.add("histories", 1);
        tally.add("acts", history.ops.len() as u64);
        for entry in &history.heard {
            let name = match &entry.heard {
                Heard::Opened { transport, resumed: true } => format!("resumed by {}", transport.name()),
                Heard::Opened { transport, .. } => format!("opened by {}", transport.name()),
                Heard::Closed(why) => format!("ended: {}", why.split(['(', ' ']).next().unwrap_or_default()),
                Heard::Post { pushed, .. } => format!("posts {}", if *pushed { "pushed" } else { "fetched" }),
                Heard::Deleted { .. } => "deletions pushed".to_owned(),
                Heard::Departed { .. } => "departures pushed".to_owned(),
                Heard::Notice { pushed, .. } => format!("notifications {}", if *pushed { "pushed" } else { "fetched" }),
                Heard::Gap(gap) => format!("gaps of {}", gap.stream.name()),
                Heard::Reset(reset) if reset.streams == Stream::ALL => format!("resets of all: {:?}", reset.reason),
                Heard::Reset(reset) => format!("resets of one: {:?}", reset.reason),
                Heard::Restarted => "applications started again".to_owned(),
                Heard::MayGap(_) | Heard::MayReset | Heard::Before(_) => continue,
            };
            tally.add(&name, 1);
        }
        tally
    }

    fn add(&mut self, name: &str, count: u64) {
        *self.0.entry(name.to_owned()).or_default() += count;
    }

    /// Adds another's counts.
    pub fn take_in(&mut self, other: Self) {
        for (name, count) in other.0 {
            self.add(&name, count);
        }
    }

    /// Whether something was counted.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}
