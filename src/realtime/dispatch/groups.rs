//! Shared items on their way to very many sessions, which leave in slices, and changes that are gathered for a moment.
//!
//! Whatever stands in one line leaves in the order in which it came: while something of it waits here, all that comes
//! goes behind. So a conversation that grows or shrinks over the bound changes its way only when nothing of it is left
//! on the other.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque, btree_map};
use std::time::{Duration, Instant};

use fanfare_protocol::Id;

use crate::base::limits::realtime::{GATHERED_MAX, GROUP_BACKLOG_MAX, GROUP_SLICE};
use crate::realtime::session::SessionId;

/// Time for which changes of the same thing are gathered after one was told.
const GATHERED_FOR: Duration = Duration::from_millis(250);

/// An item and whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed<T> {
    /// The item.
    pub item: T,
    /// Line in which it stands.
    pub line: Id,
    /// Sessions that get it.
    pub sessions: Vec<SessionId>,
    /// Everything up to here came before it.
    pub after: Id,
}

/// Items that wait, oldest first.
#[derive(Debug)]
pub struct Backlog<T> {
    waiting: VecDeque<Addressed<T>>,
    /// Number of items of each line.
    lines: HashMap<Id, usize>,
    /// Marks of the items, and how many have each: one that was gathered may come behind later ones.
    lows: BTreeMap<Id, usize>,
}

impl<T> Default for Backlog<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), lines: HashMap::new(), lows: BTreeMap::new() }
    }
}

impl<T> Backlog<T> {
    /// Whether something of a line waits.
    #[must_use]
    pub fn holds(&self, line: Id) -> bool {
        self.lines.contains_key(&line)
    }

    /// Number of items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Adds an item. At the bound the oldest makes room, and comes back with the sessions that have not got it.
    pub fn push(&mut self, item: Addressed<T>) -> Option<Addressed<T>> {
        *self.lines.entry(item.line).or_default() += 1;
        *self.lows.entry(item.after).or_default() += 1;
        self.waiting.push_back(item);
        if self.waiting.len() > GROUP_BACKLOG_MAX { self.pop() } else { None }
    }

    fn pop(&mut self) -> Option<Addressed<T>> {
        let gone = self.waiting.pop_front()?;
        if let Entry::Occupied(mut left) = self.lines.entry(gone.line) {
            *left.get_mut() -= 1;
            if *left.get() == 0 {
                left.remove();
            }
        }
        if let btree_map::Entry::Occupied(mut left) = self.lows.entry(gone.after) {
            *left.get_mut() -= 1;
            if *left.get() == 0 {
                left.remove();
            }
        }
        Some(gone)
    }

    /// The oldest item, and the sessions that are next.
    #[must_use]
    pub fn next(&self) -> Option<(&T, &[SessionId])> {
        let oldest = self.waiting.front()?;
        let from = oldest.sessions.len().saturating_sub(GROUP_SLICE);
        Some((&oldest.item, &oldest.sessions[from..]))
    }

    /// Tells that the sessions which were next have it.
    pub fn given(&mut self) {
        let Some(oldest) = self.waiting.front_mut() else { return };
        oldest.sessions.truncate(oldest.sessions.len().saturating_sub(GROUP_SLICE));
        if oldest.sessions.is_empty() {
            self.pop();
        }
    }

    /// Everything up to here has left.
    #[must_use]
    pub fn low(&self) -> Option<Id> {
        self.lows.keys().next().copied()
    }
}

/// Something that a later one of its line can stand for.
pub trait Gathers: Sized {
    /// Thing that it changes, if a later change of the same may stand for both.
    fn about(&self) -> Option<u64>;

    /// The item, standing for an `earlier` one too.
    #[must_use]
    fn standing_for(self, earlier: &Self) -> Self;
}

/// Lines in which a change was told a moment ago, and the changes of the same that have come since.
#[derive(Debug)]
pub struct Gathered<T> {
    lines: HashMap<Id, Resting<T>>,
    /// Moments at which lines have rested, in their order; of a line whose turn is another it says nothing.
    due: VecDeque<(Instant, Id, u64)>,
    turn: u64,
    /// Marks and lines of the changes that wait, lowest first.
    lows: BTreeSet<(Id, Id)>,
}

#[derive(Debug)]
struct Resting<T> {
    about: u64,
    turn: u64,
    held: Option<Addressed<T>>,
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), due: VecDeque::new(), turn: 0, lows: BTreeSet::new() }
    }
}

impl<T: Gathers> Gathered<T> {
    /// Whether a line rests.
    #[must_use]
    pub fn holds(&self, line: Id) -> bool {
        self.lines.contains_key(&line)
    }

    /// Takes an item; answers those that go now, in their order.
    pub fn take(&mut self, item: Addressed<T>, now: Instant) -> [Option<Addressed<T>>; 2] {
        let (line, about) = (item.line, item.item.about());
        let mut held = None;
        if let Some(resting) = self.lines.get_mut(&line) {
            if about == Some(resting.about) {
                let (after, later) = match resting.held.take() {
                    Some(earlier) => (earlier.after, Addressed { item: item.item.standing_for(&earlier.item), ..item }),
                    None => (item.after, item),
                };
                self.lows.insert((after, line));
                resting.held = Some(Addressed { after, ..later });
                return [None, None];
            }
            held = self.lines.remove(&line).and_then(|resting| resting.held);
            held.iter().for_each(|held| {
                self.lows.remove(&(held.after, line));
            });
        }
        if let Some(about) = about.filter(|_| self.lines.len() < GATHERED_MAX) {
            self.rest(line, about, now);
        }
        [held, Some(item)]
    }

    fn rest(&mut self, line: Id, about: u64, now: Instant) {
        self.turn += 1;
        self.due.push_back((now + GATHERED_FOR, line, self.turn));
        self.lines.insert(line, Resting { about, turn: self.turn, held: None });
    }

    /// The next item whose line has rested.
    pub fn due(&mut self, now: Instant) -> Option<Addressed<T>> {
        while let Some((at, line, turn)) = self.due.front().copied()
            && at <= now
        {
            self.due.pop_front();
            if self.lines.get(&line).is_none_or(|resting| resting.turn != turn) {
                continue;
            }
            let Some(Resting { about, held: Some(held), .. }) = self.lines.remove(&line) else { continue };
            self.lows.remove(&(held.after, line));
            self.rest(line, about, now);
            return Some(held);
        }
        None
    }

    /// Moment at which something may be due.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(at, ..)| *at)
    }

    /// Everything up to here has left.
    #[must_use]
    pub fn low(&self) -> Option<Id> {
        self.lows.first().map(|(low, _)| *low)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A change of something in a conversation, and the first change that it stands for.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Change {
        about: Option<u64>,
        first: u64,
        number: u64,
    }

    impl Gathers for Change {
        fn about(&self) -> Option<u64> {
            self.about
        }

        fn standing_for(self, earlier: &Self) -> Self {
            Self { first: earlier.first, ..self }
        }
    }

    fn change(line: u64, about: Option<u64>, number: u64) -> Addressed<Change> {
        let item = Change { about, first: number, number };
        Addressed { item, line: Id(line), sessions: vec![SessionId(1)], after: Id(number - 1) }
    }

    #[test]
    fn changes_of_one_thing_are_told_at_once_then_gathered() {
        let (mut gathered, now) = (Gathered::default(), Instant::now());
        let ran = |one: &Addressed<Change>| (one.item.first, one.item.number);
        let take = |gathered: &mut Gathered<Change>, about, number| -> Vec<(u64, u64)> {
            gathered.take(change(7, about, number), now).iter().flatten().map(ran).collect()
        };
        assert_eq!(take(&mut gathered, Some(1), 1), [(1, 1)]);
        assert_eq!(take(&mut gathered, Some(1), 2), []);
        assert_eq!(take(&mut gathered, Some(1), 3), []);
        assert_eq!((gathered.low(), gathered.due(now).is_none()), (Some(Id(1)), true));
        let later = now + GATHERED_FOR;
        assert_eq!(gathered.due(later).as_ref().map(ran), Some((2, 3)));
        assert_eq!((gathered.due(later), gathered.low()), (None, None));
        // Nothing came meanwhile: the line is forgotten.
        assert_eq!(gathered.due(later + GATHERED_FOR), None);
        assert!(!gathered.holds(Id(7)) && gathered.next_due().is_none());
        // Something else of the line takes what waits with it.
        assert_eq!(take(&mut gathered, Some(1), 4), [(4, 4)]);
        assert_eq!(take(&mut gathered, Some(1), 5), []);
        assert_eq!(take(&mut gathered, None, 6), [(5, 5), (6, 6)]);
        assert_eq!(take(&mut gathered, Some(2), 7), [(7, 7)]);
        assert_eq!(take(&mut gathered, Some(1), 8), [(8, 8)]);
        assert_eq!(gathered.low(), None);
    }

    #[test]
    fn at_the_bound_the_oldest_makes_room_for_those_who_have_it_not() {
        let mut backlog = Backlog::default();
        let sessions: Vec<SessionId> = (0..GROUP_SLICE as u64 + 3).map(SessionId).collect();
        let one = |number: u64| Addressed { item: number, line: Id(1), sessions: sessions.clone(), after: Id(number) };
        for number in 0..GROUP_BACKLOG_MAX as u64 {
            assert_eq!(backlog.push(one(number)), None);
        }
        backlog.given();
        let gone = backlog.push(one(90_000)).unwrap();
        assert_eq!((gone.item, gone.sessions), (0, sessions[..3].to_vec()));
        assert_eq!((backlog.len(), backlog.low()), (GROUP_BACKLOG_MAX, Some(Id(1))));
    }

    /// Step of a history: an item of a line, or some time.
    #[derive(Debug, Clone)]
    enum Step {
        Item {
            line: u64,
            members: u64,
            about: Option<u64>,
        },
        /// So many slices leave.
        Slices(usize),
        Time(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let members = prop_oneof![1_u64..5, 95_u64..110, 480_u64..500];
        prop_oneof![
            4 => (0_u64..3, members, prop::option::of(0_u64..2))
                .prop_map(|(line, members, about)| Step::Item { line, members, about }),
            2 => (0_usize..6).prop_map(Step::Slices),
            1 => (0_u64..300).prop_map(Step::Time),
        ]
    }

    /// The way of the dispatcher: changes are gathered, large audiences wait, everybody else has it at once.
    #[derive(Default)]
    struct Way {
        gathered: Gathered<Change>,
        backlog: Backlog<Change>,
        /// Of each session and line, what it got.
        got: BTreeMap<(u64, u64), Vec<Change>>,
    }

    /// Members above which a conversation is large.
    const LARGE: usize = 100;

    impl Way {
        fn forward(&mut self, one: Addressed<Change>) {
            if one.sessions.len() > LARGE || self.backlog.holds(one.line) {
                assert!(self.backlog.push(one).is_none());
            } else {
                self.give(one.line, &one.item, &one.sessions);
            }
        }

        fn give(&mut self, line: Id, item: &Change, sessions: &[SessionId]) {
            for session in sessions {
                self.got.entry((session.0, line.0)).or_default().push(item.clone());
            }
        }

        fn slices(&mut self, count: usize) {
            for _ in 0..count {
                let line = self.backlog.waiting.front().map(|one| one.line);
                let Some((item, sessions)) = self.backlog.next().map(|(item, some)| (item.clone(), some.to_vec()))
                else {
                    return;
                };
                self.give(line.unwrap(), &item, &sessions);
                self.backlog.given();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Conversations grow and shrink over the bound, and changes are gathered meanwhile: each session gets all of a
        /// line, in order, every number once or covered by one later item.
        #[test]
        fn a_line_stays_in_order_however_its_audience_changes(steps in vec(step(), 0..120)) {
            let (mut way, mut now) = (Way::default(), Instant::now());
            let (mut numbers, mut owed) = ([0_u64; 3], BTreeMap::<(u64, u64), Vec<u64>>::new());
            let mut record = 0;
            for step in steps {
                match step {
                    Step::Item { line, members, about } => {
                        record += 1;
                        let number = &mut numbers[line as usize];
                        *number += 1;
                        (0..members).for_each(|one| owed.entry((one, line)).or_default().push(*number));
                        let sessions = (0..members).map(SessionId).collect();
                        let item = Change { about, first: *number, number: *number };
                        let one = Addressed { item, line: Id(line), sessions, after: Id(record - 1) };
                        for one in way.gathered.take(one, now).into_iter().flatten() {
                            way.forward(one);
                        }
                    }
                    Step::Slices(count) => way.slices(count),
                    Step::Time(ms) => {
                        now += Duration::from_millis(ms);
                        while let Some(one) = way.gathered.due(now) {
                            way.forward(one);
                        }
                    }
                }
                let waits = way.backlog.waiting.iter().map(|one| one.after);
                let held = way.gathered.lines.values().filter_map(|one| one.held.as_ref()).map(|one| one.after);
                prop_assert_eq!(way.backlog.low(), waits.min(), "marks stay below what waits");
                prop_assert_eq!(way.gathered.low(), held.min());
            }
            now += GATHERED_FOR;
            while let Some(one) = way.gathered.due(now) {
                way.forward(one);
            }
            way.slices(usize::MAX);
            for (who, got) in &way.got {
                prop_assert!(got.is_sorted_by(|one, other| one.number < other.first), "{:?}: {:?}", who, got);
            }
            for (who, owed) in owed {
                let got = way.got.get(&who).cloned().unwrap_or_default();
                let covers = |number: &u64| got.iter().any(|one| (one.first..=one.number).contains(number));
                // Who was in it at the last of those that were gathered has it for all of them.
                let lacks: Vec<_> = owed.iter().filter(|number| !covers(number)).collect();
                let all = || way.got.values().flatten();
                let later = |number: u64| all().any(|one| one.first <= number && number < one.number);
                prop_assert!(lacks.iter().all(|number| later(**number)), "{:?} lacks {:?}", who, lacks);
            }
            prop_assert!(way.backlog.is_empty() && way.backlog.lines.is_empty() && way.gathered.low().is_none());
        }
    }
}
