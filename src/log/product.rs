//! Part of a product in the write path: a step before a record is folded, rows, and a listener. The server lists its
//! products once, in `app.rs`; the write path knows none of them.

use std::sync::Arc;

use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::log::events::Record;
use crate::log::family::CommittedOf;
use crate::log::fold::{Fold, State};
use crate::log::outcome::Outcome;
use crate::log::takers::Arrival;

/// Step of a record between its id and its fold: fills in what only the order of commits can tell.
pub trait Prepare: Send + Sync + 'static {
    /// Fills in `record`; `state` is as it was before it. Quick, and never waits. Done again, over what it filled in,
    /// when the commit before did not come about.
    ///
    /// # Errors
    /// When a row of the state does not decode.
    fn prepare(&self, record: &mut Record, state: &State) -> Result<()>;
}

/// Durable social record and its outcome.
pub type Committed = CommittedOf<Record, Outcome>;

/// Listener to commits.
pub trait Listener: Send + Sync + 'static {
    /// Takes in the records of a commit, in their order: all that is durable comes once, in the order of ids within a
    /// partition, one call at a time, before its callers are answered. With them, all at or below `horizon` has been
    /// told, of whatever partition; records of a partition may be above it.
    /// Must be quick and must not block.
    fn committed(&self, committed: &[Committed], horizon: Id);

    /// Takes in that all at or below `horizon` has been told, where several partitions let it move on without a record:
    /// what held it back is through, or what followed is settled. May come beside a commit, and must be quick.
    fn moved(&self, horizon: Id) {
        let _ = horizon;
    }
}

/// Part of a product in the write path. Products are asked and told in the order of their list.
#[derive(Clone, Default)]
pub struct Product {
    /// Step before the fold.
    pub prepare: Option<Arc<dyn Prepare>>,
    /// Rows.
    pub fold: Option<Arc<dyn Fold>>,
    /// Listener: a cache, a view, delivery.
    pub listener: Option<Arc<dyn Listener>>,
    /// Decisions about what reaches people from other partitions.
    pub arrival: Option<Arc<dyn Arrival>>,
}

impl Product {
    /// A product with these rows.
    #[must_use]
    pub fn folds(fold: impl Fold) -> Self {
        Self { fold: Some(Arc::new(fold)), ..Self::default() }
    }

    /// A product with this listener.
    #[must_use]
    pub fn listens(listener: impl Listener) -> Self {
        Self { listener: Some(Arc::new(listener)), ..Self::default() }
    }

    /// The product with decisions about what reaches people from other partitions.
    #[must_use]
    pub fn arrives(self, arrival: impl Arrival) -> Self {
        Self { arrival: Some(Arc::new(arrival)), ..self }
    }

    /// The product with a step before the fold.
    #[must_use]
    pub fn prepares(self, prepare: impl Prepare) -> Self {
        Self { prepare: Some(Arc::new(prepare)), ..self }
    }
}
