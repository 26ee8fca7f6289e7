//! Pauses before something that failed is tried again: ever longer, and not the same for all clients. Pure.

/// Milliseconds of the first pause; doubled each time.
const PAUSE_MS: u64 = 1_000;
/// Milliseconds of the longest.
const PAUSE_MS_MAX: u64 = 30_000;

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Pause {
    tries: u32,
    until_ms: Option<u64>,
}

impl Pause {
    /// Begins the next pause; `dice` is any number.
    pub fn begin(&mut self, now_ms: u64, dice: u64) {
        let whole = (PAUSE_MS << self.tries.min(5)).min(PAUSE_MS_MAX);
        self.tries += 1;
        self.until_ms = Some(now_ms + whole / 2 + dice % (whole / 2));
    }

    pub fn is_on(&self, now_ms: u64) -> bool {
        self.until_ms.is_some_and(|until| until > now_ms)
    }

    /// The end of the pause, if one was begun.
    pub const fn until_ms(&self) -> Option<u64> {
        self.until_ms
    }

    /// Ends the pauses: it worked, or what stood in the way is gone.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
