//! Gaps against a model that remembers every commit: whatever a scan is told to step over, nothing lived there when its
//! view was taken.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const KEYS: u8 = 24;

#[derive(Debug, Clone)]
enum Step {
    /// A commit brings keys to life and kills others; it is begun, and seen a step or more later.
    Begin {
        live: Vec<u8>,
        dead: Vec<u8>,
    },
    Seen,
    /// A scan takes its view, which may already show a commit that is not counted as seen.
    View {
        early: bool,
    },
    /// The scan with this number has waded from one key to another.
    Wade {
        scan: usize,
        from: u8,
        to: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || prop::collection::vec(0..KEYS, 0..3);
    prop_oneof![
        3 => (keys(), keys()).prop_map(|(live, dead)| Step::Begin { live, dead }),
        3 => Just(Step::Seen),
        2 => any::<bool>().prop_map(|early| Step::View { early }),
        6 => (0..8_usize, 0..KEYS, 0..=KEYS).prop_map(|(scan, from, to)| Step::Wade { scan, from, to }),
    ]
}

fn key(number: u8) -> Slice {
    Slice::from([number])
}

/// Living rows after each commit, and the views that scans have of them.
struct World {
    gaps: Gaps,
    history: Vec<BTreeSet<u8>>,
    seen: usize,
    scans: Vec<(Moment, usize)>,
}

impl World {
    fn new() -> Self {
        // Small bounds: letting go and forgetting happen all the time.
        Self { gaps: Gaps::new(4, 6), history: vec![BTreeSet::new()], seen: 0, scans: Vec::new() }
    }

    fn begun(&self) -> usize {
        self.history.len() - 1
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Begin { live, dead } if self.seen == self.begun() => {
                let mut next = self.history[self.begun()].clone();
                dead.iter().for_each(|number| {
                    next.remove(number);
                });
                next.extend(&live);
                self.history.push(next);
                let commit = self.begun() as u64;
                live.iter().for_each(|number| self.gaps.lives(commit, &key(*number)));
            }
            Step::Begin { .. } => {}
            Step::Seen => self.seen = self.begun(),
            Step::View { early } => {
                let moment = Moment { earliest: self.seen as u64, latest: self.begun() as u64 };
                self.scans.push((moment, if early { self.begun() } else { self.seen }));
            }
            Step::Wade { scan, from, to } => {
                let Some(&(moment, view)) = self.scans.iter().rev().nth(scan) else { return };
                if from < to && self.history[view].range(from..to).next().is_none() {
                    self.gaps.learn(Stretch { from: key(from), to: key(to) }, moment);
                }
            }
        }
    }

    /// Every scan may step over every gap that it is told of.
    fn check(&self) {
        for &(moment, view) in &self.scans {
            for number in 0..KEYS {
                let Some(gap) = self.gaps.around(&key(number), moment) else { continue };
                let alive = self.history[view].iter().find(|&&at| key(at) >= gap.from && key(at) < gap.to);
                assert_eq!(alive, None, "a scan of commit {view} was told that nothing lives in {gap:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn no_scan_steps_over_what_lived_at_its_moment(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
            assert!(world.gaps.len() <= 4, "there is a bound");
        }
    }
}

fn now(commit: u64) -> Moment {
    Moment { earliest: commit, latest: commit }
}

fn stretch(from: u8, to: u8) -> Stretch {
    Stretch { from: key(from), to: key(to) }
}

#[test]
fn gaps_that_touch_become_one() {
    let mut gaps = Gaps::new(10, 10);
    assert!(
        gaps.learn(stretch(1, 4), now(0)) && gaps.learn(stretch(8, 9), now(0)) && gaps.learn(stretch(4, 8), now(0))
    );
    assert_eq!((gaps.len(), gaps.around(&key(5), now(0))), (1, Some(stretch(1, 9))));
}

#[test]
fn gaps_that_become_one_were_proven_at_the_later_of_their_moments() {
    let mut gaps = Gaps::new(10, 10);
    assert!(gaps.learn(stretch(1, 4), now(5)) && gaps.learn(stretch(4, 8), now(3)));
    assert_eq!(gaps.around(&key(2), now(4)), None, "something lived here then");
    assert_eq!(gaps.around(&key(5), now(5)), Some(stretch(1, 8)));
}

#[test]
fn a_row_that_comes_to_life_cuts_its_gap() {
    let mut gaps = Gaps::new(10, 10);
    gaps.learn(stretch(1, 9), now(0));
    gaps.lives(1, &key(4));
    assert_eq!(gaps.around(&key(2), now(0)), Some(stretch(1, 4)));
    assert_eq!(gaps.around(&key(4), now(0)), None);
    assert_eq!(gaps.around(&key(5), now(0)), Some(Stretch { from: successor(&key(4)), to: key(9) }));
}

#[test]
fn a_scan_learns_nothing_over_what_came_to_life_meanwhile() {
    let mut gaps = Gaps::new(10, 10);
    gaps.lives(1, &key(4));
    assert!(!gaps.learn(stretch(1, 9), now(0)), "its view is older than the row");
    assert!(gaps.learn(stretch(5, 9), now(0)) && gaps.learn(stretch(1, 9), now(1)));
}

#[test]
fn an_older_scan_uses_no_gap_that_was_proven_after_its_moment() {
    let mut gaps = Gaps::new(10, 10);
    gaps.learn(stretch(1, 9), now(5));
    assert_eq!(gaps.around(&key(2), now(4)), None);
    assert!(gaps.around(&key(2), now(5)).is_some());
}
