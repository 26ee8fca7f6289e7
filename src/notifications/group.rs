//! Floods become one item: who is in it, what it counts, where it stands in the list. Pure.
//!
//! Likes of one post (replies to it, follows of one person, …) within an hour are listed one by one at first, and then
//! as one item under a fixed key, which is rewritten with each of them. It knows the newest people by name and the
//! others by number, so that what is taken back can be taken out of it for as long as it is listed.

use fanfare_protocol::{Id, NotificationKind};

use crate::base::limits;
pub use crate::data::rows::{Doer, GroupItem, GroupMemory, Known, Left, LeftPage};

/// Bound of who is known in a group.
#[derive(Debug, Clone, Copy)]
pub struct GroupRoom {
    /// People known by name.
    pub named: usize,
    /// People known apart beyond those.
    pub known: usize,
}

impl GroupRoom {
    /// Bound of groups that records of format 1 change.
    pub const FORMAT_1: Self =
        Self { named: limits::GROUP_NAMED_FORMAT_1_MAX, known: limits::GROUP_KNOWN_FORMAT_1_MAX };

    /// Bound of a group of `kind`, which stands whole in each record that changes it.
    #[must_use]
    pub const fn of(kind: NotificationKind) -> Self {
        let known = match kind {
            NotificationKind::Reply => limits::GROUP_REPLIERS_MAX,
            NotificationKind::Repost => limits::GROUP_REPOSTERS_MAX,
            // Each can do it once; mentions are all by one.
            _ => 0,
        };
        Self { named: limits::GROUP_NAMED_MAX, known }
    }
}

impl Doer {
    /// Record that is new if this is: its own, unless it was done before.
    #[must_use]
    pub fn as_of(&self) -> Id {
        self.earlier.unwrap_or(self.record)
    }
}

impl GroupItem {
    /// Nobody yet; `began` is the record that will be the first.
    #[must_use]
    pub fn new(kind: NotificationKind, began: Id) -> Self {
        Self { kind, seq: 0, began, newest: Vec::new(), known: Vec::new(), more: 0, below: Id(0) }
    }

    /// The group of mentions is that of one author: there each post counts. Elsewhere people do.
    fn counts_posts(&self) -> bool {
        self.kind == NotificationKind::Mention
    }

    /// Whether people are told apart: each can do it several times, and counts once.
    fn tells_people_apart(&self) -> bool {
        matches!(self.kind, NotificationKind::Reply | NotificationKind::Repost)
    }

    /// Somebody does it. What was done in another partition may come behind what was done later here.
    pub fn enter(&mut self, doer: Doer, room: GroupRoom) {
        let at = self.newest.iter().position(|newer| newer.record < doer.record).unwrap_or(self.newest.len());
        self.newest.insert(at, doer);
        self.began = self.began.min(doer.record);
        self.fit(room);
    }

    /// Makes a number of whom there is no room for: groups of format 1 have more.
    pub fn fit(&mut self, room: GroupRoom) {
        while self.newest.len() > room.named {
            let Some(oldest) = self.newest.pop() else { break };
            self.below = self.below.max(oldest.as_of());
            let is_apart = self.tells_people_apart() && self.known.len() < room.known;
            match self.known.iter_mut().find(|known| known.actor == oldest.actor) {
                Some(known) => known.deeds += 1,
                None if is_apart => self.known.push(Known { actor: oldest.actor, deeds: 1 }),
                None => self.more += 1,
            }
        }
        let beyond = self.known.len().min(room.known);
        self.more += self.known.drain(beyond..).map(|known| known.deeds).sum::<u64>();
    }

    /// Takes back what was done by `record`, if it is among the newest. Answers what it counted as.
    pub fn leave(&mut self, record: Id) -> Option<Id> {
        let at = self.newest.iter().position(|doer| doer.record == record)?;
        Some(self.newest.remove(at).as_of())
    }

    /// Takes back what `actor` did, which is in this group and not among the newest.
    pub fn leave_beyond(&mut self, actor: Id) {
        match self.known.iter().position(|known| known.actor == actor) {
            Some(at) if self.known[at].deeds > 1 => self.known[at].deeds -= 1,
            Some(at) => drop(self.known.remove(at)),
            None => self.more = self.more.saturating_sub(1),
        }
    }

    /// Somebody is in it who is not known by name.
    #[must_use]
    pub fn goes_beyond(&self) -> bool {
        !self.known.is_empty() || self.more > 0
    }

    /// Nobody does it any more.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.newest.is_empty() && !self.goes_beyond()
    }

    /// The newest record that is news: where the item stands in the list, and its id there.
    #[must_use]
    pub fn last(&self) -> Id {
        self.last_but(|_| false)
    }

    /// Newest record that is news, without what those of the newest did who are `hidden`.
    #[must_use]
    pub fn last_but(&self, hidden: impl Fn(Id) -> bool) -> Id {
        let seen = self.newest.iter().filter(|doer| !hidden(doer.actor));
        seen.map(Doer::as_of).max().unwrap_or_default().max(self.below)
    }

    /// People (of mentions: posts), without those who are `hidden`, as far as they are known.
    #[must_use]
    pub fn count(&self, hidden: impl Fn(Id) -> bool) -> u64 {
        let actors = self.newest.iter().map(|doer| doer.actor).chain(self.known.iter().map(|known| known.actor));
        let mut seen: Vec<Id> = actors.filter(|actor| !hidden(*actor)).collect();
        if !self.counts_posts() {
            seen.sort_unstable();
            seen.dedup();
        }
        seen.len() as u64 + self.more
    }
}

impl GroupMemory {
    /// The record that what `actor` does now counts as, if it is no news: what they did first; `pages` are of this
    /// memory. When more people took it back than are remembered ([`full`](Self::full)) nobody knows whether what the
    /// others do is news: it rings nobody's phone.
    #[must_use]
    pub fn earlier(&self, pages: &[LeftPage], actor: Id) -> Option<Id> {
        let mut left = self.left.iter().chain(pages.iter().flat_map(|page| &page.left));
        left.find(|left| left.actor == actor).map(|left| left.first)
    }

    /// `actor` took back what they had done by `first`. Answers the page that changed, and which it is.
    pub fn leave(&mut self, pages: &[LeftPage], actor: Id, first: Id) -> Option<(usize, LeftPage)> {
        if self.earlier(pages, actor).is_some() {
            return None;
        }
        if self.left.len() + self.paged >= limits::GROUP_LEFT_MAX {
            self.full = true;
            return None;
        }
        let at = self.paged / limits::GROUP_LEFT_PAGE;
        let mut page = pages.get(at).cloned().unwrap_or_default();
        page.left.push(Left { actor, first });
        self.paged += 1;
        Some((at, page))
    }

    /// Remembers in format 1, where the memory is one row, that `actor` took back what they had done by `first`.
    pub fn leave_in_format_1(&mut self, actor: Id, first: Id) {
        if self.left.iter().any(|left| left.actor == actor) {
            return;
        }
        if self.left.len() < limits::GROUP_LEFT_MAX {
            self.left.push(Left { actor, first });
        } else {
            self.full = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doer(actor: u64, record: u64) -> Doer {
        Doer { actor: Id(actor), record: Id(record), earlier: None }
    }

    fn of(kind: NotificationKind, doers: impl IntoIterator<Item = Doer>) -> GroupItem {
        let mut group = GroupItem::new(kind, Id(1));
        doers.into_iter().for_each(|one| group.enter(one, GroupRoom::of(kind)));
        group
    }

    #[test]
    fn people_count_once_however_often_they_do_it_and_mentions_each() {
        let thrice = [doer(7, 1), doer(8, 2), doer(7, 3)];
        assert_eq!(of(NotificationKind::Reply, thrice).count(|_| false), 2);
        assert_eq!(of(NotificationKind::Mention, thrice).count(|_| false), 3);
        assert_eq!(of(NotificationKind::Reply, thrice).count(|actor| actor == Id(7)), 1);
    }

    #[test]
    fn whoever_takes_it_back_is_not_counted_known_by_name_or_not() {
        let many = limits::GROUP_NAMED_MAX as u64 + 10;
        let mut group = of(NotificationKind::Like, (1..=many).map(|number| doer(number, number)));
        assert_eq!((group.count(|_| false), group.newest.len()), (many, limits::GROUP_NAMED_MAX));
        assert_eq!(group.leave(Id(3)), None, "known by number");
        group.leave_beyond(Id(3));
        assert_eq!(group.leave(Id(many)), Some(Id(many)));
        assert_eq!((group.count(|_| false), group.last()), (many - 2, Id(many - 1)));
        for record in (1..=many).filter(|record| *record != 3) {
            if group.leave(Id(record)).is_none() {
                group.leave_beyond(Id(record));
            }
        }
        assert!(group.is_empty());
    }

    #[test]
    fn what_is_done_again_moves_nothing_up() {
        let again = Doer { earlier: Some(Id(2)), ..doer(8, 9) };
        assert_eq!(of(NotificationKind::Like, [doer(7, 5), again]).last(), Id(5));
    }

    #[test]
    fn a_full_memory_keeps_its_size_and_says_so() {
        let (mut memory, mut pages) = (GroupMemory::default(), vec![LeftPage::default(); 4]);
        for actor in 1..=limits::GROUP_LEFT_MAX as u64 {
            let (at, page) = memory.leave(&pages, Id(actor), Id(actor)).unwrap();
            assert!(page.left.len() <= limits::GROUP_LEFT_PAGE);
            pages[at] = page;
            assert_eq!(memory.leave(&pages, Id(actor), Id(900)), None);
        }
        assert_eq!((memory.earlier(&pages, Id(2)), memory.earlier(&pages, Id(500))), (Some(Id(2)), None));
        assert_eq!(memory.leave(&pages, Id(500), Id(500)), None);
        assert_eq!((memory.full, memory.earlier(&pages, Id(501))), (true, None));
    }

    #[test]
    fn a_group_of_format_1_has_no_more_in_it_than_others_once_it_changes() {
        let mut group = GroupItem::new(NotificationKind::Reply, Id(1));
        for number in 1..=200 {
            group.enter(doer(number, number), GroupRoom::FORMAT_1);
        }
        assert_eq!((group.newest.len(), group.known.len(), group.more), (16, 128, 56));
        group.fit(GroupRoom::of(group.kind));
        assert_eq!((group.newest.len(), group.known.len()), (limits::GROUP_NAMED_MAX, limits::GROUP_REPLIERS_MAX));
        assert_eq!((group.count(|_| false), group.last()), (200, Id(200)));
    }
}
