//! The time, as a value that is handed in: the system's, or one that an import, the demo or a test turns by hand.
//!
//! The system's clock is measured against one that only runs. A step ahead of more than [`STEP_MS_MAX`] is no passing
//! of time but somebody's mistake, and is not followed: all who ask go on at the pace of the running clock, so that a
//! blip of an hour moves neither ids nor cursors, and ends nobody's token. A step back is followed, and so is its
//! correction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::base::limits::STEP_MS_MAX;

/// Lead of a clock that is followed wherever it goes.
const ANY: i64 = i64::MAX / 2;

/// Milliseconds since the Unix epoch; clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Face>);

#[derive(Debug)]
struct Face {
    by_hand: Option<Hands>,
    pace: Pace,
    accepted: bool,
}

/// Hands of a clock that does not go by itself.
#[derive(Debug)]
struct Hands {
    wall_ms: AtomicU64,
    /// The running clock.
    run_ms: AtomicU64,
    /// Whether the wall's hand is the truth: an import's time is that of its file, and no jump.
    is_true: bool,
    /// Whether the system's time is shown from now on. How far the running clock was ahead of the system's by then is
    /// in `run_ms`.
    let_go: AtomicBool,
}

/// Lead of the wall's clock over the running one when it was last followed.
#[derive(Debug)]
struct Pace {
    /// The highest of it, so that a step back and its correction are no jump.
    lead_ms: AtomicI64,
    is_ahead: AtomicBool,
}

impl Pace {
    fn new(wall_ms: u64, run_ms: u64) -> Self {
        Self { lead_ms: AtomicI64::new(lead(wall_ms, run_ms)), is_ahead: AtomicBool::new(false) }
    }

    /// The time to go by, of what both clocks show.
    fn follow(&self, wall_ms: u64, run_ms: u64) -> u64 {
        let (lead, highest) = (lead(wall_ms, run_ms), self.lead_ms.load(Ordering::Relaxed));
        let step_ms = lead.saturating_sub(highest);
        if step_ms > STEP_MS_MAX {
            self.jumped(step_ms);
            return run_ms.saturating_add_signed(highest);
        }
        if step_ms > 0 {
            self.lead_ms.fetch_max(lead, Ordering::Relaxed);
        }
        if self.is_ahead.load(Ordering::Relaxed) {
            self.is_followed();
        }
        wall_ms
    }

    fn jumped(&self, step_ms: i64) {
        if !self.is_ahead.swap(true, Ordering::Relaxed) {
            let ahead_s = step_ms / 1_000;
            metrics::gauge!("fanfare_clock_jump_seconds").set(ahead_s as f64);
            tracing::warn!(
                ahead_s,
                "the clock was set forward while the server ran, which is not followed: the server goes on at the pace of \
                 time that passes; if the clock is right now, restart the server"
            );
        }
    }

    fn is_followed(&self) {
        if self.is_ahead.swap(false, Ordering::Relaxed) {
            metrics::gauge!("fanfare_clock_jump_seconds").set(0.0);
            tracing::info!("the clock is followed again");
        }
    }
}

impl Clock {
    fn of(by_hand: Option<Hands>) -> Self {
        let mut face = Face { by_hand, pace: Pace::new(0, 0), accepted: false };
        let (wall_ms, run_ms) = face.read();
        face.pace = Pace::new(wall_ms, run_ms);
        Self(Arc::new(face))
    }

    /// Hands that can be turned.
    fn turned(&self) -> Option<&Hands> {
        self.0.by_hand.as_ref().filter(|hands| !hands.let_go.load(Ordering::Acquire))
    }

    /// The system's clock, measured against time that passes from now on.
    #[must_use]
    pub fn system() -> Self {
        Self::of(None)
    }

    /// The system's clock, of which the operator says that it is right, whatever is stored.
    #[must_use]
    pub fn accepted() -> Self {
        let (wall_ms, run_ms) = system();
        Self(Arc::new(Face { by_hand: None, pace: Pace::new(wall_ms, run_ms), accepted: true }))
    }

    /// A clock that stands at `now_ms` until it is [`set`](Self::set), and is right by definition.
    #[must_use]
    pub fn by_hand(now_ms: u64) -> Self {
        Self::of(Some(Hands::at(now_ms, true)))
    }

    /// A stand-in for the system's clock, for tests: it is measured and doubted as that is. Time passes by
    /// [`pass`](Self::pass), and [`step`](Self::step) moves what the wall's clock shows.
    #[must_use]
    pub fn stand_in(now_ms: u64) -> Self {
        Self::of(Some(Hands::at(now_ms, false)))
    }

    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        let (wall_ms, run_ms) = self.0.read();
        if self.is_by_hand() { wall_ms } else { self.0.pace.follow(wall_ms, run_ms) }
    }

    /// Milliseconds that have passed since some moment, asleep or not; nobody can turn this.
    #[must_use]
    pub fn run_ms(&self) -> u64 {
        self.0.read().1
    }

    /// The latest that this clock showed at any moment and would show now, had it never gone back.
    #[must_use]
    pub fn highest_ms(&self) -> u64 {
        let now_ms = self.now_ms();
        now_ms.max(self.run_ms().saturating_add_signed(self.0.pace.lead_ms.load(Ordering::Relaxed)))
    }

    /// Whether somebody turns this clock, and it is right by definition.
    #[must_use]
    pub fn is_by_hand(&self) -> bool {
        self.turned().is_some_and(|hands| hands.is_true)
    }

    /// Whether it is right whatever is stored: by definition, or because the operator says so.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.0.accepted || self.is_by_hand()
    }

    /// Turns a clock that goes by hand; it never goes back. The system's clock is left alone.
    pub fn set(&self, now_ms: u64) {
        if let Some(hands) = self.turned() {
            let before = hands.wall_ms.fetch_max(now_ms, Ordering::Relaxed);
            hands.run_ms.fetch_add(now_ms.saturating_sub(before), Ordering::Relaxed);
        }
    }

    /// Lets time pass on a clock that goes by hand.
    pub fn pass(&self, ms: u64) {
        if let Some(hands) = self.turned() {
            hands.wall_ms.fetch_add(ms, Ordering::Relaxed);
            hands.run_ms.fetch_add(ms, Ordering::Relaxed);
        }
    }

    /// Sets a stand-in forward or back, as somebody sets the system's clock: no time passes.
    pub fn step(&self, ms: i64) {
        if let Some(hands) = self.turned() {
            let stepped = |wall_ms: u64| Some(wall_ms.saturating_add_signed(ms));
            // The closure always answers, so this always succeeds.
            let _ = hands.wall_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, stepped);
        }
    }

    /// From now on the clock follows the system's; it cannot be turned by hand any more.
    pub fn let_go(&self) {
        let Some(hands) = self.turned() else { return };
        let pace = &self.0.pace.lead_ms;
        // Nobody may take the way from the hand's time to the system's for a jump.
        pace.store(ANY, Ordering::Release);
        let (wall_ms, run_ms) = system();
        let led_ms = wall_ms.saturating_sub(hands.wall_ms.load(Ordering::Relaxed));
        let run_by_hand = hands.run_ms.load(Ordering::Relaxed).wrapping_add(led_ms);
        hands.run_ms.store(run_by_hand.wrapping_sub(run_ms), Ordering::Relaxed);
        hands.let_go.store(true, Ordering::Release);
        let (wall_ms, run_ms) = self.0.read();
        pace.store(lead(wall_ms, run_ms), Ordering::Release);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Hands {
    fn at(now_ms: u64, is_true: bool) -> Self {
        let (wall_ms, run_ms) = (AtomicU64::new(now_ms), AtomicU64::new(0));
        Self { wall_ms, run_ms, is_true, let_go: AtomicBool::new(false) }
    }
}

impl Face {
    /// Moments that the wall's clock and the running one show.
    fn read(&self) -> (u64, u64) {
        let Some(hands) = &self.by_hand else { return system() };
        if hands.let_go.load(Ordering::Acquire) {
            let (wall_ms, run_ms) = system();
            return (wall_ms, run_ms.wrapping_add(hands.run_ms.load(Ordering::Relaxed)));
        }
        (hands.wall_ms.load(Ordering::Relaxed), hands.run_ms.load(Ordering::Relaxed))
    }
}

fn lead(wall_ms: u64, run_ms: u64) -> i64 {
    (wall_ms as i64).wrapping_sub(run_ms as i64)
}

/// Moments that the system's clocks show. The wall's first: whoever is held up between the two readings sees less of a
/// lead, never a jump.
fn system() -> (u64, u64) {
    let wall_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    (wall_ms, running_ms())
}

/// A laptop that sleeps does not jump: this clock goes on meanwhile.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn running_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1_000 + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn running_ms() -> u64 {
    static BEGAN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGAN.elapsed().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn a_step_ahead_is_not_followed_and_time_goes_on_at_its_pace() {
        let clock = Clock::stand_in(NOW_MS);
        clock.step(HOUR_MS);
        assert_eq!(clock.now_ms(), NOW_MS);
        clock.pass(1_500);
        assert_eq!(clock.now_ms(), NOW_MS + 1_500);
        clock.step(-HOUR_MS);
        clock.pass(10);
        assert_eq!(clock.now_ms(), NOW_MS + 1_510, "the blip is over and nothing is left of it");
    }

    #[test]
    fn steps_that_servers_of_time_make_are_followed() {
        let clock = Clock::stand_in(NOW_MS);
        for _ in 0..5 {
            clock.step(STEP_MS_MAX);
            assert!(clock.now_ms() > NOW_MS);
        }
        assert_eq!(clock.now_ms(), NOW_MS + 5 * STEP_MS_MAX as u64);
        clock.step(1 + STEP_MS_MAX);
        assert_eq!(clock.now_ms(), NOW_MS + 5 * STEP_MS_MAX as u64);
    }

    #[test]
    fn a_step_back_is_followed_and_so_is_its_correction() {
        let clock = Clock::stand_in(NOW_MS);
        clock.step(-HOUR_MS);
        assert_eq!(clock.now_ms(), NOW_MS - HOUR_MS as u64);
        clock.pass(500);
        assert_eq!(clock.now_ms(), NOW_MS - HOUR_MS as u64 + 500);
        clock.step(HOUR_MS + 2_000);
        assert_eq!(clock.now_ms(), NOW_MS + 2_500);
    }

    #[test]
    fn a_clock_that_is_turned_by_hand_or_let_go_never_jumps() {
        let clock = Clock::by_hand(NOW_MS);
        assert_eq!(clock.now_ms(), NOW_MS);
        let ran = clock.run_ms();
        clock.set(NOW_MS + 99 * HOUR_MS as u64);
        assert_eq!((clock.now_ms(), clock.run_ms() - ran), (NOW_MS + 99 * HOUR_MS as u64, 99 * HOUR_MS as u64));
        clock.set(NOW_MS);
        assert_eq!(clock.now_ms(), NOW_MS + 99 * HOUR_MS as u64, "it never goes back");

        let old = Clock::by_hand(NOW_MS / 2);
        let (before, ran) = (old.now_ms(), old.run_ms());
        old.let_go();
        old.let_go();
        let (system, now) = (Clock::system(), old.now_ms());
        assert!(system.now_ms().abs_diff(now) < 60_000, "it shows the system's time: {now}");
        assert!((old.run_ms() - ran).abs_diff(now - before) < 60_000, "which it took its time to reach");
        old.set(NOW_MS * 2);
        assert!(system.now_ms().abs_diff(old.now_ms()) < 60_000, "and is in nobody's hand any more");
    }
}
