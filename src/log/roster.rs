//! Roster: who should own which partition of the log. It may be wrong, late or overlapping, for only the log decides.

use std::sync::Arc;

use fanfare_engines::Partition;

/// Node that should own a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assigned {
    /// Node that asks.
    Here,
    /// Name of another node.
    There(Arc<str>),
}

/// Assignment of partitions to nodes, from outside.
pub trait Roster: Send + Sync + 'static {
    /// Node that should own `partition`, as far as this one has heard.
    fn owner_of(&self, partition: Partition) -> Assigned;

    /// Whether no other node writes to the same engines.
    fn is_alone(&self) -> bool {
        false
    }

    /// Whether nodes tell each other how far their partitions are settled.
    fn tells_what_is_settled(&self) -> bool {
        !self.is_alone()
    }
}

/// Roster of a node that is alone: everything is its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Roster for Alone {
    fn owner_of(&self, _partition: Partition) -> Assigned {
        Assigned::Here
    }

    fn is_alone(&self) -> bool {
        true
    }
}
