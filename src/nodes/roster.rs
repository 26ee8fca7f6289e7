//! Roster of several nodes: assignments from outside, and an even one to begin with. Pure but for the lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_engines::Partition;
use parking_lot::RwLock;

use crate::log::roster::{Assigned, Roster};

/// Names of the nodes that should own partitions, in order of partitions: each name gets as many as every other, or
/// one more. Moves as few as it can from `before`.
#[must_use]
pub fn evenly(partitions: &[Partition], nodes: &[Arc<str>], before: &Assignments) -> Assignments {
    let mut assigned = Assignments::default();
    if nodes.is_empty() {
        return assigned;
    }
    let (least, more) = (partitions.len() / nodes.len(), partitions.len() % nodes.len());
    let mut counts: Vec<usize> = vec![0; nodes.len()];
    // So many may have one more than the rest.
    let mut with_more = 0;
    let mut left = Vec::new();
    for partition in partitions {
        let owner = before.0.get(partition).and_then(|owner| nodes.iter().position(|node| node == owner));
        match owner {
            Some(place) if counts[place] < least || counts[place] == least && with_more < more => {
                with_more += usize::from(counts[place] == least);
                counts[place] += 1;
                assigned.0.insert(*partition, Arc::clone(&nodes[place]));
            }
            _ => left.push(*partition),
        }
    }
    for partition in left {
        let fewest = (0..nodes.len()).min_by_key(|place| counts[*place]).unwrap_or_default();
        counts[fewest] += 1;
        assigned.0.insert(partition, Arc::clone(&nodes[fewest]));
    }
    assigned
}

/// Names of nodes by partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignments(pub BTreeMap<Partition, Arc<str>>);

/// Assignments as a node has heard of them: they may be wrong, late, or name several. A partition that nobody has is
/// asked for at nobody.
#[derive(Debug)]
pub struct HeardRoster {
    name: Arc<str>,
    heard: RwLock<Assignments>,
}

/// Name of the owner of what nobody owns.
const NOBODY: &str = "nobody";

impl HeardRoster {
    /// Of the node `name`, which has heard `assignments`.
    #[must_use]
    pub fn new(name: &Arc<str>, assignments: Assignments) -> Self {
        Self { name: Arc::clone(name), heard: RwLock::new(assignments) }
    }

    /// Takes other assignments in.
    pub fn hear(&self, assignments: Assignments) {
        *self.heard.write() = assignments;
    }

    /// Hears that `node` should own `partition`; nobody, where none is named.
    pub fn assign(&self, partition: Partition, node: Option<&Arc<str>>) {
        let mut heard = self.heard.write();
        match node {
            Some(node) => drop(heard.0.insert(partition, Arc::clone(node))),
            None => drop(heard.0.remove(&partition)),
        }
    }
}

impl Roster for HeardRoster {
    fn owner_of(&self, partition: Partition) -> Assigned {
        match self.heard.read().0.get(&partition) {
            Some(node) if *node == self.name => Assigned::Here,
            Some(node) => Assigned::There(Arc::clone(node)),
            None => Assigned::There(NOBODY.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn names(of: &[u8]) -> Vec<Arc<str>> {
        of.iter().map(|name| format!("node-{name}").into()).collect()
    }

    proptest! {
        /// However nodes come and go, everything is owned, evenly, and whoever stays keeps what it can.
        #[test]
        fn shares_are_even_and_few_partitions_move(
            count in 1..40_u16,
            groups in prop::collection::vec(prop::collection::btree_set(0..8_u8, 1..6), 2..6),
        ) {
            let partitions: Vec<Partition> = (0..count).map(Partition).collect();
            let (mut before, mut nodes_before) = (Assignments::default(), BTreeSet::new());
            for group in groups {
                let nodes = names(&group.iter().copied().collect::<Vec<_>>());
                let now = evenly(&partitions, &nodes, &before);
                prop_assert_eq!(now.0.len(), partitions.len());
                let of = |node: &Arc<str>, all: &Assignments| all.0.values().filter(|one| *one == node).count();
                let counts: Vec<usize> = nodes.iter().map(|node| of(node, &now)).collect();
                let (fewest, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                prop_assert!(most - fewest <= 1, "{counts:?}");
                if nodes_before == group {
                    prop_assert_eq!(&now, &before, "nobody came or went");
                }
                for (node, count) in nodes.iter().zip(&counts).filter(|(node, _)| of(node, &before) > 0) {
                    let kept = now.0.iter().filter(|(at, one)| *one == node && before.0.get(at) == Some(node)).count();
                    let had = of(node, &before);
                    prop_assert!(kept == had.min(*count) || kept >= *fewest, "{node} kept {kept} of {count}");
                }
                (before, nodes_before) = (now, group);
            }
        }
    }

    #[test]
    fn a_node_knows_its_own_and_asks_nobody_for_what_nobody_has() {
        let (here, there): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let roster = HeardRoster::new(&here, Assignments::default());
        assert_eq!(roster.owner_of(Partition(0)), Assigned::There(NOBODY.into()));
        roster.assign(Partition(0), Some(&here));
        roster.assign(Partition(1), Some(&there));
        assert_eq!(roster.owner_of(Partition(0)), Assigned::Here);
        assert_eq!(roster.owner_of(Partition(1)), Assigned::There(there));
        roster.assign(Partition(0), None);
        assert_eq!(roster.owner_of(Partition(0)), Assigned::There(NOBODY.into()));
        assert!(!roster.is_alone());
    }
}
