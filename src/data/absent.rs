//! People whom nobody sees: those whose deleted accounts are still being cleared away, and those who are suspended.
//!
//! Nothing is rewritten when somebody goes or comes back: every read asks here, so each takes effect on the next one,
//! and a suspension that ends by the clock needs nobody to lift it. Usually there is nobody, and asking costs one load.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_protocol::Id;
use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};

use crate::base::clock::Clock;

/// Whether a post is there, whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Kept and shown.
    Stands,
    /// Deleted by the author, or with the author's account.
    Gone,
    /// Kept, but shown to nobody: an operator hides its author.
    Hidden,
}

/// Why somebody is not seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Why {
    /// The account was deleted, and what it left is being removed.
    departed: bool,
    /// End of the suspension, in milliseconds; [`FOREVER`] when somebody must lift it, 0 when there is none.
    suspended_until_ms: u64,
}

/// Until somebody lifts it.
const FOREVER: u64 = u64::MAX;

/// People who are not seen. Bounded by the deletions that the janitor has not finished, and by
/// [`SUSPENDED_MAX`](crate::base::limits::SUSPENDED_MAX).
pub struct Absent {
    clock: Clock,
    people: RwLock<HashMap<Id, Why>>,
    any: AtomicBool,
    /// Somebody's account was deleted, or was found so at the start: what it left is to be cleared away.
    pub to_clear: Notify,
    /// Held by whoever clears away: two at once would take the same off a count twice.
    pub clearing: Arc<Mutex<()>>,
}

impl Absent {
    /// Nobody.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let (to_clear, clearing) = (Notify::new(), Arc::default());
        Self { clock, people: RwLock::default(), any: AtomicBool::new(false), to_clear, clearing }
    }

    fn why(&self, person: Id) -> Why {
        if !self.any.load(Ordering::Acquire) {
            return Why::default();
        }
        self.people.read().get(&person).copied().unwrap_or_default()
    }

    /// Whether nobody sees `person` now.
    #[must_use]
    pub fn holds(&self, person: Id) -> bool {
        self.standing(person) != Standing::Stands
    }

    /// Standing of the posts of `person` now.
    #[must_use]
    pub fn standing(&self, person: Id) -> Standing {
        let why = self.why(person);
        if why.departed {
            return Standing::Gone;
        }
        let suspended = why.suspended_until_ms > 0 && self.clock.now_ms() < why.suspended_until_ms;
        if suspended { Standing::Hidden } else { Standing::Stands }
    }

    /// Whether `person` is suspended now; the moment when that ends by itself.
    #[must_use]
    pub fn suspension(&self, person: Id) -> Option<Option<u64>> {
        let until_ms = self.why(person).suspended_until_ms;
        let holds = until_ms > 0 && self.clock.now_ms() < until_ms;
        holds.then_some((until_ms != FOREVER).then_some(until_ms))
    }

    /// Number of suspended people, the expired ones that were not forgotten yet included.
    #[must_use]
    pub fn suspended(&self) -> usize {
        self.people.read().values().filter(|why| why.suspended_until_ms > 0).count()
    }

    fn change(&self, person: Id, change: impl FnOnce(&mut Why)) {
        let mut people = self.people.write();
        let why = people.entry(person).or_default();
        change(why);
        if *why == Why::default() {
            people.remove(&person);
        }
        self.any.store(!people.is_empty(), Ordering::Release);
    }

    /// The account was deleted.
    pub fn departed(&self, person: Id) {
        self.change(person, |why| *why = Why { departed: true, suspended_until_ms: 0 });
        self.to_clear.notify_one();
    }

    /// Everything that a deleted account left behind is gone.
    pub fn cleared_away(&self, person: Id) {
        self.change(person, |why| why.departed = false);
    }

    /// `person` is suspended until then, or until somebody lifts it.
    pub fn suspend(&self, person: Id, until_ms: Option<u64>) {
        self.change(person, |why| why.suspended_until_ms = until_ms.unwrap_or(FOREVER));
    }

    /// The suspension was lifted.
    pub fn unsuspend(&self, person: Id) {
        self.change(person, |why| why.suspended_until_ms = 0);
    }

    /// People whose suspension ended by the clock before `then_ms`, and was not forgotten yet.
    #[must_use]
    pub fn ended_before(&self, then_ms: u64) -> Vec<Id> {
        let ended = |why: &Why| why.suspended_until_ms > 0 && why.suspended_until_ms < then_ms;
        self.people.read().iter().filter(|(_, why)| ended(why)).map(|(person, _)| *person).collect()
    }

    /// Forgets the suspension of `person` if it ended before `then_ms`; whether it did.
    pub fn forget_ended(&self, person: Id, then_ms: u64) -> bool {
        let mut ended = false;
        self.change(person, |why| {
            ended = why.suspended_until_ms > 0 && why.suspended_until_ms < then_ms;
            if ended {
                why.suspended_until_ms = 0;
            }
        });
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspension_ends_by_the_clock_or_when_it_is_lifted() {
        let clock = Clock::by_hand(1_000);
        let absent = Absent::new(clock.clone());
        assert!(!absent.holds(Id(1)));
        absent.suspend(Id(1), Some(2_000));
        absent.suspend(Id(2), None);
        assert!(absent.holds(Id(1)) && absent.holds(Id(2)) && !absent.holds(Id(3)));
        assert_eq!((absent.suspension(Id(1)), absent.suspension(Id(2))), (Some(Some(2_000)), Some(None)));
        clock.set(2_000);
        assert!(!absent.holds(Id(1)) && absent.suspension(Id(1)).is_none());
        assert_eq!(absent.ended_before(2_001), [Id(1)]);
        assert!(absent.forget_ended(Id(1), 2_001) && !absent.forget_ended(Id(2), 2_001));
        assert_eq!(absent.suspended(), 1);
        absent.unsuspend(Id(2));
        assert!(!absent.holds(Id(2)) && absent.suspended() == 0);
    }

    #[test]
    fn a_deleted_account_is_absent_until_it_is_cleared_away_suspended_or_not() {
        let absent = Absent::new(Clock::by_hand(1_000));
        absent.suspend(Id(1), None);
        absent.departed(Id(1));
        assert!(absent.holds(Id(1)) && absent.suspension(Id(1)).is_none());
        absent.cleared_away(Id(1));
        assert!(!absent.holds(Id(1)));
    }
}
