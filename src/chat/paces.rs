//! Rates of people in chat: messages a second, conversations begun and people asked an hour. Pure.
//!
//! A node remembers of each person who was active lately three moments; whoever is asked too much of is told when to
//! come back, and nothing is stored. Numbers that are 0 limit nothing.

use fanfare_protocol::Id;

use crate::base::error::{Error, Result};
use crate::base::fair::Paces;
use crate::base::limits::chat::PACED_MAX;

/// Seconds' worth of messages that somebody may send at once.
const BURST_S: u32 = 10;

/// Rates that an operator chose; 0 for none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChatRates {
    /// Messages a second.
    pub messages_per_s: u32,
    /// Conversations begun in an hour.
    pub conversations_per_hour: u32,
    /// People asked in an hour.
    pub requests_per_hour: u32,
}

/// Acts of people, counted.
#[derive(Debug)]
pub struct ChatPaces {
    rates: ChatRates,
    messages: Paces<Id>,
    conversations: Paces<Id>,
    requests: Paces<Id>,
}

/// Error of somebody who is too fast, by milliseconds to wait.
fn too_fast(what: &'static str, reason: &'static str, wait_ms: u64) -> Error {
    metrics::counter!("fanfare_shed_total", "what" => what).increment(1);
    let retry_after_s = u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
    Error::RateLimited { reason, retry_after_s }
}

impl ChatPaces {
    /// Nobody has done anything yet.
    #[must_use]
    pub fn new(rates: ChatRates) -> Self {
        let burst = rates.messages_per_s.saturating_mul(BURST_S);
        Self {
            rates,
            messages: Paces::new(rates.messages_per_s, burst, PACED_MAX),
            conversations: Paces::hourly(rates.conversations_per_hour, PACED_MAX),
            requests: Paces::hourly(rates.requests_per_hour, PACED_MAX),
        }
    }

    /// Lets `person` send a message.
    ///
    /// # Errors
    /// [`Error::RateLimited`] for who is too fast.
    pub fn message(&mut self, person: Id, now_ms: u64) -> Result<()> {
        if self.rates.messages_per_s == 0 {
            return Ok(());
        }
        let taken = self.messages.take(person, now_ms, 1);
        taken.map_err(|wait_ms| too_fast("chat_messages_of_person", "too many messages", wait_ms))
    }

    /// Lets `person` begin a conversation that asks so many `people`; who may not do both has done neither.
    ///
    /// # Errors
    /// [`Error::RateLimited`] for who begins or asks too many.
    pub fn beginning(&mut self, person: Id, people: usize, now_ms: u64) -> Result<()> {
        self.conversation(person, now_ms)?;
        let asked = self.requests(person, people, now_ms);
        if asked.is_err() {
            self.conversations.give_back(person, 1);
        }
        asked
    }

    /// Lets `person` begin a conversation.
    fn conversation(&mut self, person: Id, now_ms: u64) -> Result<()> {
        if self.rates.conversations_per_hour == 0 {
            return Ok(());
        }
        let taken = self.conversations.take(person, now_ms, 1);
        taken.map_err(|wait_ms| too_fast("chat_conversations_of_person", "too many new conversations", wait_ms))
    }

    /// Lets `person` ask `people` others at once. More than the hour's number count as that number.
    ///
    /// # Errors
    /// [`Error::RateLimited`] for who asks too many.
    pub fn requests(&mut self, person: Id, people: usize, now_ms: u64) -> Result<()> {
        let most = self.rates.requests_per_hour;
        if most == 0 || people == 0 {
            return Ok(());
        }
        let count = u32::try_from(people).unwrap_or(u32::MAX).min(most);
        let taken = self.requests.take(person, now_ms, count);
        taken.map_err(|wait_ms| too_fast("chat_requests_of_person", "too many requests to other people", wait_ms))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATES: ChatRates = ChatRates { messages_per_s: 2, conversations_per_hour: 4, requests_per_hour: 6 };

    /// Kind of act, with what may be done at once, and milliseconds for one more.
    const KINDS: [(u64, u64); 3] = [(20, 500), (4, 900_000), (6, 600_000)];

    fn act(paces: &mut ChatPaces, kind: usize, person: Id, count: usize, now_ms: u64) -> Result<()> {
        match kind {
            0 => paces.message(person, now_ms),
            1 => paces.conversation(person, now_ms),
            _ => paces.requests(person, count, now_ms),
        }
    }

    fn wait_s(error: Error) -> u64 {
        match error {
            Error::RateLimited { retry_after_s, .. } => retry_after_s.into(),
            other => panic!("{other}"),
        }
    }

    proptest! {
        /// Against a bucket a person and kind, which fills with time: what is let through, what is not, and that it is
        /// once whoever waits as long as they were told.
        #[test]
        fn everybody_has_a_bucket_of_each_kind_that_fills_with_time(
            steps in prop::collection::vec((0..3_usize, 1..4_u64, 1..9_usize, 0..1_000_000_u64), 1..150),
        ) {
            let mut paces = ChatPaces::new(RATES);
            // What is in the bucket, in milliseconds of filling, and when that was.
            let mut buckets = std::collections::HashMap::new();
            let mut now_ms = 1_000_000;
            for (kind, person, count, pause_ms) in steps {
                now_ms += if pause_ms % 3 == 0 { pause_ms } else { pause_ms % 1_000 };
                let (most, each_ms) = KINDS[kind];
                let count = if kind == 2 { (count as u64).min(most) } else { 1 };
                let (held, at) = buckets.get(&(kind, person)).copied().unwrap_or((most * each_ms, now_ms));
                let held = (held + now_ms - at).min(most * each_ms);
                let fits = count * each_ms <= held;
                let done = act(&mut paces, kind, Id(person), count as usize, now_ms);
                prop_assert_eq!(done.is_ok(), fits);
                let left = match done {
                    Ok(()) => held - count * each_ms,
                    Err(error) => {
                        let wait_ms = wait_s(error) * 1_000;
                        prop_assert!(wait_ms > 0 && held + wait_ms >= count * each_ms);
                        now_ms += wait_ms;
                        prop_assert!(act(&mut paces, kind, Id(person), count as usize, now_ms).is_ok());
                        (held + wait_ms).min(most * each_ms) - count * each_ms
                    }
                };
                buckets.insert((kind, person), (left, now_ms));
            }
        }
    }

    #[test]
    fn nothing_is_limited_where_the_numbers_are_0_and_a_crowd_counts_as_an_hour() {
        let mut paces = ChatPaces::new(ChatRates::default());
        assert!((0..10_000).all(|_| (0..3).all(|kind| act(&mut paces, kind, Id(1), 900, 5).is_ok())));
        let mut paces = ChatPaces::new(RATES);
        assert!(paces.requests(Id(1), 499, 5).is_ok() && paces.requests(Id(1), 1, 5).is_err());
        assert_eq!(wait_s(paces.requests(Id(1), 1, 5).unwrap_err()), 600);
        assert!(paces.requests(Id(1), 0, 5).is_ok(), "who asks nobody waits for nothing");
    }
}
