//! Timer wheel for all sessions of a shard: heartbeats, dead peers, ends of tokens, polls, closings. Pure.
//!
//! A hashed wheel (Varghese and Lauck, 1987). Every session stands in it once; when its slot comes round, the shard
//! looks at the session's own deadlines and puts it back at the nearest. A nearer deadline puts it in a second time,
//! and the entry that is left behind is known by its tick.

/// Ticks since the shard was started.
pub type Tick = u32;

/// The wheel.
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<(u32, Tick)>>,
    /// Ticks below it have been served.
    next: Tick,
}

impl Wheel {
    /// An empty wheel whose round has `slots` ticks.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { slots: vec![Vec::new(); slots.max(2)], next: 0 }
    }

    /// Puts `key` in for `tick`, or for the end of the round or the next tick when that is too far or past; answers
    /// when it will come.
    pub fn put(&mut self, key: u32, tick: Tick) -> Tick {
        let last = self.next.saturating_add(self.slots.len() as Tick - 1);
        let tick = tick.clamp(self.next, last);
        let slot = tick as usize % self.slots.len();
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.push((key, tick));
        }
        tick
    }

    /// Appends the keys that are due up to and with `now`, each with the tick for which it was put in.
    pub fn due(&mut self, now: Tick, out: &mut Vec<(u32, Tick)>) {
        let rounds = (now.saturating_add(1).saturating_sub(self.next) as usize).min(self.slots.len());
        for step in 0..rounds {
            let slot = (self.next as usize + step) % self.slots.len();
            if let Some(slot) = self.slots.get_mut(slot) {
                out.append(slot);
                if slot.capacity() > 1_024 {
                    slot.shrink_to(64);
                }
            }
        }
        self.next = self.next.max(now.saturating_add(1));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_key_comes_when_it_is_due_or_at_the_end_of_the_round(
            puts in prop::collection::vec((0_u32..50, 0_u32..40), 1..60),
            steps in prop::collection::vec(0_u32..30, 1..20),
        ) {
            let mut wheel = Wheel::new(16);
            let (mut now, mut expected, mut puts) = (0, BTreeSet::new(), puts.into_iter().zip(0_u32..));
            for step in steps {
                for ((ahead, _), key) in puts.by_ref().take(3) {
                    let at = wheel.put(key, now + ahead);
                    prop_assert!(at >= now && at <= (now + ahead).max(now + 1) && at < now + 1 + 16);
                    expected.insert((at, key));
                }
                now += step;
                let mut due = Vec::new();
                wheel.due(now, &mut due);
                for (key, at) in due {
                    prop_assert!(at <= now);
                    prop_assert!(expected.remove(&(at, key)));
                }
                prop_assert!(expected.iter().all(|(at, _)| *at > now));
            }
        }
    }
}
