//! Bound on the client frames that are being worked on, by number and by bytes: whoever comes beyond it is refused, so
//! that what waits for a slow disk stays small.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Frames that may be worked on at once; clones share it.
#[derive(Debug, Clone)]
pub struct UnderWay {
    frames: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

/// Permit of one frame: counted until it is dropped.
#[derive(Debug)]
pub struct FramePermit {
    _frame: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

impl UnderWay {
    /// At most so many frames, whose texts have so many bytes together.
    #[must_use]
    pub fn new(frames_max: usize, bytes_max: usize) -> Self {
        Self { frames: Arc::new(Semaphore::new(frames_max)), bytes: Arc::new(Semaphore::new(bytes_max)) }
    }

    /// Counts one more frame of so many bytes; none where there is no room for it. Never waits.
    #[must_use]
    pub fn take(&self, bytes: usize) -> Option<FramePermit> {
        let frame = Arc::clone(&self.frames).try_acquire_owned().ok()?;
        let bytes = u32::try_from(bytes).ok()?;
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(bytes).ok()?;
        Some(FramePermit { _frame: frame, _bytes: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_bounded_by_their_number_and_by_their_bytes_and_give_both_back() {
        let under_way = UnderWay::new(3, 100);
        let [small, other] = [1, 1].map(|bytes| under_way.take(bytes).unwrap());
        assert!(under_way.take(99).is_none(), "too many bytes");
        let third = under_way.take(98).unwrap();
        assert!(under_way.take(0).is_none(), "too many frames");
        drop(third);
        assert!(under_way.take(98).is_some(), "what was refused for its bytes holds no place");
        drop((small, other));
        assert!(under_way.take(100).is_some() && under_way.take(101).is_none());
    }
}
