//! Agents: browser, system, device, language and page before of whoever asks, and whether a program does.
//!
//! A user agent is looked at once and remembered. Browsers are told by woothee, which is of 2021 and misses bots, so
//! bots are told by the patterns in `bots.txt` too.

use std::sync::Arc;

use fancy_regex::Regex as Looking;
use quick_cache::sync::Cache;
use regex::RegexSet;

use super::click::cut;
use crate::base::limits::clicks::{AGENT_BYTES_MAX, AGENTS_MAX};

/// Patterns of bots, one a line.
const BOTS: &str = include_str!("bots.txt");
/// Word of woothee for what it does not know.
const UNKNOWN: &str = "UNKNOWN";
/// Device of whatever is no person's.
const BOT: &str = "bot";

/// User agent, as it is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agent {
    /// Kind of device: desktop, mobile, tablet, other, bot.
    pub device: Option<&'static str>,
    /// Browser, without its version.
    pub browser: Option<Box<str>>,
    /// Operating system, without its version.
    pub os: Option<Box<str>>,
    /// A program asks, not a person.
    pub is_bot: bool,
}

/// User agents that were seen, with what they are.
pub struct Agents {
    known: Cache<Box<str>, Arc<Agent>>,
    bots: Bots,
}

struct Bots {
    plain: RegexSet,
    /// Patterns that look around, which a set of plain ones cannot.
    looking: Vec<Looking>,
}

impl Bots {
    /// Patterns of the list; what is none, of a list that was renewed, is left out (a test asks that there is none).
    fn new() -> Self {
        let patterns = BOTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let (looking, plain): (Vec<&str>, Vec<&str>) =
            patterns.partition(|pattern| ["(?!", "(?<!", "(?=", "(?<="].iter().any(|around| pattern.contains(around)));
        let plain: Vec<String> = plain.into_iter().map(|pattern| format!("(?i){}", as_rust(pattern))).collect();
        let plain = RegexSet::new(plain).unwrap_or_else(|error| {
            tracing::error!(%error, "the list of bots is none: only what woothee knows counts as one");
            RegexSet::empty()
        });
        let looking = looking.into_iter().filter_map(|pattern| Looking::new(&format!("(?i){}", as_rust(pattern))).ok());
        Self { plain, looking: looking.collect() }
    }

    fn matches(&self, agent: &str) -> bool {
        self.plain.is_match(agent) || self.looking.iter().any(|pattern| pattern.is_match(agent).unwrap_or(false))
    }
}

/// A pattern of JavaScript in the words of Rust: a hyphen behind a class is no range.
fn as_rust(pattern: &str) -> String {
    pattern.replace("\\/", "/").replace("\\d-", "\\d\\-").replace("\\w-", "\\w\\-")
}

impl Default for Agents {
    fn default() -> Self {
        Self { known: Cache::new(AGENTS_MAX), bots: Bots::new() }
    }
}

impl Agents {
    /// Meaning of a user agent. None, or an empty one, is a program's: every browser has one.
    #[must_use]
    pub fn of(&self, agent: Option<&str>) -> Arc<Agent> {
        let agent = agent.map(str::trim).unwrap_or_default();
        let mut end = agent.len().min(AGENT_BYTES_MAX);
        while !agent.is_char_boundary(end) {
            end -= 1;
        }
        let agent = &agent[..end];
        if let Some(known) = self.known.get(agent) {
            return known;
        }
        let found = Arc::new(self.classify(agent));
        self.known.insert(agent.into(), Arc::clone(&found));
        found
    }

    fn classify(&self, agent: &str) -> Agent {
        if agent.is_empty() || agent == "-" {
            return Agent { device: Some(BOT), is_bot: true, ..Agent::default() };
        }
        let Some(found) = woothee::parser::Parser::new().parse(agent) else {
            let is_bot = self.bots.matches(agent);
            return Agent { device: is_bot.then_some(BOT), is_bot, ..Agent::default() };
        };
        let name =
            |name: &str| Some(name).filter(|name| *name != UNKNOWN && !name.is_empty()).map(|name| cut(name).into());
        let is_bot = found.category == "crawler" || self.bots.matches(agent);
        let is_tablet = found.os == "iPad" || (found.os == "Android" && !agent.contains("Mobile"));
        let device = match found.category {
            _ if is_bot => Some(BOT),
            "pc" => Some("desktop"),
            "smartphone" if is_tablet => Some("tablet"),
            "smartphone" | "mobilephone" => Some("mobile"),
            UNKNOWN => None,
            _ => Some("other"),
        };
        Agent { device, browser: name(found.name), os: name(found.os), is_bot }
    }
}

/// Host of the page that a link was followed from, in lower case; `None` where the header names none.
#[must_use]
pub fn referrer_host(referrer: &str) -> Option<String> {
    let (scheme, rest) = referrer.split_once("://")?;
    if !["http", "https", "android-app"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.split(']').next()?,
        None => host.split(':').next()?,
    };
    let host = host.trim_end_matches('.');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    (!host.is_empty() && host.bytes().all(fits)).then(|| cut(host).to_ascii_lowercase())
}

/// Language that is liked best, without its country, as the header `Accept-Language` has it.
#[must_use]
pub fn language(accepted: &str) -> Option<String> {
    let mut best: Option<(&str, u32)> = None;
    for part in accepted.split(',').take(32) {
        let mut words = part.split(';');
        let tag = words.next().unwrap_or_default().trim().split('-').next().unwrap_or_default();
        let weight = words.find_map(|word| word.trim().strip_prefix("q="));
        let weight = weight.map_or(Some(1.0), |weight| weight.trim().parse::<f32>().ok()).unwrap_or_default();
        let weight = (weight.clamp(0.0, 1.0) * 1_000.0) as u32;
        let is_tag = (2..=3).contains(&tag.len()) && tag.bytes().all(|byte| byte.is_ascii_alphabetic());
        if is_tag && weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((tag, weight));
        }
    }
    best.map(|(tag, _)| tag.to_ascii_lowercase())
}

/// Whether a header of a request says that nobody looks at the answer yet: `Sec-Purpose` and its forerunners.
#[must_use]
pub fn is_prefetch(purpose: &str) -> bool {
    let purpose = purpose.to_ascii_lowercase();
    ["prefetch", "prerender", "preview"].iter().any(|word| purpose.contains(word))
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
