//! The view of open sessions against a plain list: any history, and every moment of it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::data::rows::LiveEdit;
use crate::live::order::{LivePosition, highest};
use crate::live::state::{Decision, SessionDeed};

/// Act of a history: a host, which of their sessions, a deed, a time.
type Act = (u32, usize, u8, u64);

/// All sessions that there ever were, and the view of them.
#[derive(Default)]
struct World {
    rows: BTreeMap<Id, (u32, LiveRow)>,
    queues: Queues,
    last: u64,
}

impl World {
    fn act(&mut self, (host, nth, deed, at_ms): Act) {
        self.last += 1 + at_ms % 3;
        let by = Id(self.last);
        let theirs: Vec<Id> = self.rows.iter().filter(|(_, (of, _))| *of == host).map(|(id, _)| *id).collect();
        let edit = LiveEdit { starts_at_ms: Some(at_ms), ..LiveEdit::default() };
        let deed = match deed {
            0 | 1 => SessionDeed::Start,
            2 => SessionDeed::End { replay_url: None },
            3 => SessionDeed::Remove,
            4 => SessionDeed::Edit(&edit),
            _ => {
                let row = LiveRow::announced(by, Id(u64::from(host)), String::new(), at_ms);
                return self.becomes(host, row);
            }
        };
        let Some(row) = theirs.get(nth % theirs.len().max(1)).map(|id| &self.rows[id].1) else { return };
        if let Decision::Becomes(after) = row.decide(deed, by) {
            self.becomes(host, after);
        }
    }

    fn becomes(&mut self, host: u32, row: LiveRow) {
        self.queues.take_in(host, &Arc::new(row.clone()));
        self.rows.insert(row.id, (host, row));
    }

    /// The view as a start makes it, from rows in any order.
    fn rebuilt(&self, kept_from: Id) -> Queues {
        let mut queues = Queues::default();
        for (host, row) in self.rows.values().rev() {
            if row.ended.is_none_or(|ended| ended >= kept_from) {
                queues.take_in(*host, &Arc::new(row.clone()));
            }
        }
        queues
    }

    /// Open sessions as of `t` by the oracle, which sorts everything there ever was.
    fn oracle(&self, hosts: &[u32], t: Id) -> Vec<Id> {
        let there = self.rows.values().filter(|(host, _)| hosts.contains(host));
        let mut all: Vec<(LivePlace, Id)> = there.filter_map(|(_, row)| Some((place_at(row, t)?, row.id))).collect();
        all.retain(|(place, _)| matches!(place, LivePlace::Open { .. }));
        all.sort_unstable_by(|one, other| other.cmp(one));
        all.into_iter().map(|(_, id)| id).collect()
    }
}

/// A pass over all pages.
fn pass(queues: &Queues, hosts: &[u32], t: Id, limit: usize) -> Vec<Id> {
    let (mut seen, mut below) = (Vec::new(), None);
    loop {
        let mut offered = Highest::new(usize::MAX);
        for host in hosts.iter().filter(|host| queues.has_any(**host)) {
            Queues::offer_at(queues.of_host(*host), t, below, &mut offered);
        }
        let mut found = offered.into_found();
        found.retain(|(place, _)| matches!(place, LivePlace::Open { .. }));
        highest(&mut found, limit);
        let Some((last, _)) = found.last() else { return seen };
        below = LivePosition::from_bytes(&LivePosition { t, below: *last }.to_bytes()).map(|at| at.below);
        seen.extend(found.iter().map(|(_, row)| row.id));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pass_as_of_any_moment_is_a_sort_of_all_sessions(
        acts in vec((0_u32..70, 0_usize..3, 0_u8..8, 0_u64..50), 0..120),
        limit in 1_usize..6,
        kept in 0_u64..60,
    ) {
        let acts: Vec<Act> = acts.into_iter().map(|(host, nth, deed, at)| (host / 20 * 21, nth, deed, at)).collect();
        let mut world = World::default();
        acts.iter().for_each(|act| world.act(*act));
        let kept_from = Id(world.last.saturating_sub(kept));
        world.queues.forget_ended(kept_from);
        let rebuilt = world.rebuilt(kept_from);
        let hosts = [0, 21, 42];
        for t in (kept_from.0.saturating_sub(1)..=world.last).map(Id) {
            let oracle = world.oracle(&hosts, t);
            prop_assert_eq!(pass(&world.queues, &hosts, t, limit), oracle.clone());
            prop_assert_eq!(pass(&rebuilt, &hosts, t, limit), oracle);
        }
        for host in 0..70 {
            prop_assert_eq!(world.queues.has_any(host), !world.queues.of_host(host).is_empty());
            let open = world.rows.values().filter(|(of, row)| *of == host && row.is_open()).count();
            prop_assert_eq!(world.queues.open_count(host), open);
        }
        prop_assert_eq!(world.queues.iter().count(), world.queues.count());
        world.queues.forget_ended(Id(u64::MAX));
        let open = world.rows.values().filter(|(_, row)| row.is_open()).count();
        prop_assert_eq!(world.queues.count(), open, "memory of what ended goes");
    }
}

#[test]
fn an_open_session_takes_at_most_three_hundred_bytes() {
    let title = "An evening of chess, and of nothing else";
    let row = LiveRow::announced(Id(1), Id(2), title.to_owned(), 3);
    // The session, its counts, its title and plan, and its place.
    let heap = title.len() + row.planned.capacity() * size_of::<crate::data::rows::Planned>();
    let bytes = size_of::<LiveRow>() + 16 + heap + size_of::<Arc<LiveRow>>();
    assert!(bytes <= 300, "{bytes}");
}
