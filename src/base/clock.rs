//! The time, as a value that is handed in: the system's, or one that an import, the demo or a test turns by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Mark of a clock by hand that was let go: it shows the system's time.
const LET_GO: u64 = u64::MAX;

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    by_hand: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self { by_hand: None }
    }

    /// A clock that stands at `now_ms` until it is [`set`](Self::set).
    #[must_use]
    pub fn by_hand(now_ms: u64) -> Self {
        Self { by_hand: Some(Arc::new(AtomicU64::new(now_ms))) }
    }

    /// Now, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        if let Some(at) = &self.by_hand {
            let at = at.load(Ordering::Relaxed);
            if at != LET_GO {
                return at;
            }
        }
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    /// Turns a clock that goes by hand; it never goes back. The system's clock is left alone.
    pub fn set(&self, now_ms: u64) {
        if let Some(at) = &self.by_hand {
            at.fetch_max(now_ms, Ordering::Relaxed);
        }
    }

    /// From now on the clock follows the system's; it cannot be turned by hand any more.
    pub fn let_go(&self) {
        self.set(LET_GO);
    }
}
