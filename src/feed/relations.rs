//! Relations of a reader: follows, blocks and mutes as sorted indexes, shared with reads and copied on write.

use super::interner::UserIndex;

/// Relations that decide what one reader may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReaderRelations {
    /// The reader.
    pub me: UserIndex,
    /// People whom the reader follows, sorted.
    pub followees: Box<[UserIndex]>,
    /// People whom the reader blocks or who block the reader, sorted.
    pub blocked: Box<[UserIndex]>,
    /// People whom the reader mutes, sorted.
    pub muted: Box<[UserIndex]>,
}

/// A change of one reader's relations, as a record told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The reader follows.
    Follow(UserIndex),
    /// The reader no longer follows.
    Unfollow(UserIndex),
    /// A block in either direction.
    Block(UserIndex),
    /// The reader mutes.
    Mute(UserIndex),
    /// The reader no longer mutes.
    Unmute(UserIndex),
}

impl ReaderRelations {
    /// Relations from unsorted lists; repeats and the reader among the followees are dropped.
    #[must_use]
    pub fn new(me: UserIndex, followees: Vec<UserIndex>, blocked: Vec<UserIndex>, muted: Vec<UserIndex>) -> Self {
        let sorted = |mut list: Vec<UserIndex>| {
            list.sort_unstable();
            list.dedup();
            list
        };
        let mut followees = sorted(followees);
        followees.retain(|followee| *followee != me);
        Self {
            me,
            followees: followees.into_boxed_slice(),
            blocked: sorted(blocked).into_boxed_slice(),
            muted: sorted(muted).into_boxed_slice(),
        }
    }

    /// Whether the reader follows `user`.
    #[must_use]
    pub fn follows(&self, user: UserIndex) -> bool {
        self.followees.binary_search(&user).is_ok()
    }

    /// Whether there is a block between the reader and `user`.
    #[must_use]
    pub fn is_blocked(&self, user: UserIndex) -> bool {
        self.blocked.binary_search(&user).is_ok()
    }

    /// Whether the reader mutes `user`.
    #[must_use]
    pub fn is_muted(&self, user: UserIndex) -> bool {
        self.muted.binary_search(&user).is_ok()
    }

    /// Applies a change; false when it changed nothing. Changes of one pair are idempotent and the last one wins, so
    /// that replaying recorded changes over relations that already hold some of them ends right.
    pub fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Follow(user) => user != self.me && insert(&mut self.followees, user),
            Change::Unfollow(user) => remove(&mut self.followees, user),
            Change::Block(user) => insert(&mut self.blocked, user),
            Change::Mute(user) => insert(&mut self.muted, user),
            Change::Unmute(user) => remove(&mut self.muted, user),
        }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        (self.followees.len() + self.blocked.len() + self.muted.len()) * size_of::<UserIndex>()
    }
}

fn insert(list: &mut Box<[UserIndex]>, user: UserIndex) -> bool {
    let Err(at) = list.binary_search(&user) else { return false };
    let mut grown = Vec::with_capacity(list.len() + 1);
    grown.extend_from_slice(&list[..at]);
    grown.push(user);
    grown.extend_from_slice(&list[at..]);
    *list = grown.into_boxed_slice();
    true
}

fn remove(list: &mut Box<[UserIndex]>, user: UserIndex) -> bool {
    let Ok(at) = list.binary_search(&user) else { return false };
    let mut shrunk = Vec::with_capacity(list.len() - 1);
    shrunk.extend_from_slice(&list[..at]);
    shrunk.extend_from_slice(&list[at + 1..]);
    *list = shrunk.into_boxed_slice();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaying_changes_that_were_partly_loaded_ends_right() {
        let changes = [Change::Follow(4), Change::Unfollow(4), Change::Follow(9), Change::Mute(4), Change::Unmute(4)];
        let mut loaded_late = ReaderRelations::new(1, vec![9, 2], vec![], vec![4]);
        let mut loaded_early = ReaderRelations::new(1, vec![2], vec![], vec![]);
        for change in changes {
            loaded_late.apply(change);
            loaded_early.apply(change);
        }
        assert_eq!(loaded_late, loaded_early);
        assert_eq!(*loaded_early.followees, [2, 9]);
    }

    #[test]
    fn a_reader_never_follows_themselves() {
        let mut relations = ReaderRelations::new(1, vec![1, 3, 3], vec![], vec![]);
        assert_eq!(*relations.followees, [3]);
        assert!(!relations.apply(Change::Follow(1)) && !relations.apply(Change::Follow(3)));
    }
}
