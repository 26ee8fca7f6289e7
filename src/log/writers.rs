//! People who have rows on the way that follow from no record: tokens, passwords, read markers, uploads.
//!
//! Whoever writes such rows of a person says so first, and then looks whether the account is there. The purge of a
//! deleted account begins when nobody writes for it any more: so whatever was begun before the deletion is there to be
//! found, and whatever begins later is refused.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_protocol::Id;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// People who write; clones share the list. Bounded by the requests under way.
#[derive(Debug, Clone, Default)]
pub struct Writers(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    under_way: Mutex<HashMap<Id, usize>>,
    fewer: Notify,
}

/// Rows of a person are on the way for as long as this lives.
#[derive(Debug)]
pub struct Writing {
    writers: Writers,
    person: Id,
}

impl Writers {
    /// Rows of `person` are going to be written. To be held before it is asked whether the account is there.
    #[must_use]
    pub fn begin(&self, person: Id) -> Writing {
        *self.0.under_way.lock().entry(person).or_default() += 1;
        Writing { writers: self.clone(), person }
    }

    /// Waits until no rows of `person` are on the way.
    pub async fn quiet(&self, person: Id) {
        loop {
            let fewer = self.0.fewer.notified();
            tokio::pin!(fewer);
            // Heard from now on, not from the first poll.
            fewer.as_mut().enable();
            if !self.0.under_way.lock().contains_key(&person) {
                return;
            }
            fewer.await;
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let mut under_way = self.writers.0.under_way.lock();
        if let Some(count) = under_way.get_mut(&self.person) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.person);
            }
        }
        drop(under_way);
        self.writers.0.fewer.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn it_is_quiet_when_the_last_writer_of_the_person_is_done() {
        let writers = Writers::default();
        let (one, two, other) = (writers.begin(Id(1)), writers.begin(Id(1)), writers.begin(Id(2)));
        let mut quiet = Box::pin(writers.quiet(Id(1)));
        assert!(quiet.as_mut().now_or_never().is_none());
        drop(one);
        assert!(quiet.as_mut().now_or_never().is_none());
        drop(two);
        assert!(quiet.as_mut().now_or_never().is_some());
        drop((quiet, other));
    }
}
