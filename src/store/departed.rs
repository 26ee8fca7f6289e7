//! Who is no longer here while their posts still are: asked for every post that is read, so it costs one load where
//! there is nobody.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_protocol::Id;
use parking_lot::RwLock;

/// Deleted accounts whose posts are still being removed: until then their posts are hidden by author. Usually empty,
/// so that a page of posts need not look at every author. Bounded by the deletions that the janitor has not finished.
#[derive(Default)]
pub struct Departed {
    people: RwLock<HashSet<Id>>,
    any: AtomicBool,
}

impl Departed {
    /// Whether `person` is one of them.
    pub fn holds(&self, person: Id) -> bool {
        self.any.load(Ordering::Acquire) && self.people.read().contains(&person)
    }

    /// One more.
    pub fn add(&self, person: Id) {
        self.people.write().insert(person);
        self.any.store(true, Ordering::Release);
    }

    /// Nothing of `person` is left.
    pub fn remove(&self, person: Id) {
        let mut people = self.people.write();
        people.remove(&person);
        self.any.store(!people.is_empty(), Ordering::Release);
    }
}
