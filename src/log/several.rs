//! Records of one decision that are handed in together.

use super::handle::{Guard, Log};
use crate::base::error::Result;
use crate::base::written;
use crate::log::events::Event;

impl Log {
    /// Makes all of `events` durable, each under its guard, and answers their number. One that fails keeps none of the
    /// others, but those behind it when storage does not serve. Whatever happens, what was handed in is waited for, so
    /// that whoever tries again finds it done.
    ///
    /// # Errors
    /// The first that a record met, but one of storage before all others.
    pub async fn commit_all<'a>(&self, events: impl IntoIterator<Item = (&'a Guard, Event)>) -> Result<usize> {
        let (mut pending, mut outcome) = (Vec::new(), Ok(()));
        for (guard, event) in events {
            match self.submit(guard, event).await {
                Ok(one) => pending.push(one),
                Err(error) => {
                    let fares_no_better = error.is_of_storage();
                    outcome = worse(outcome, Err(error));
                    if fares_no_better {
                        break;
                    }
                }
            }
        }
        let count = pending.len();
        for one in pending {
            outcome = worse(outcome, one.durable().await.map(|record| written::record(record.id)));
        }
        outcome.map(|()| count)
    }
}

/// Worse of two outcomes: the first error, but one of storage before all others.
fn worse(one: Result<()>, other: Result<()>) -> Result<()> {
    match (one, other) {
        (Err(error), Err(of_storage)) if of_storage.is_of_storage() && !error.is_of_storage() => Err(of_storage),
        (Ok(()), other) => other,
        (one, _) => one,
    }
}

#[cfg(test)]
#[path = "several_tests.rs"]
mod tests;
