//! Messages of one conversation, by number and without a hole: what came over HTTP and what was pushed, put together.
//! Pure. A message or change behind a hole is not taken: it only tells that there is one, and `hole` says what to read.

use std::collections::{HashMap, VecDeque};

use fanfare_protocol::{Change, Id, Message, MessageChanged, MessagePage, MessageRecalled};

use super::derive::{quoted, reacted, recalled};

/// Messages kept at once; beyond it the far end is let go and can be read again.
pub const WINDOW_MAX: usize = 2_000;
/// Messages, or changes, that are read one by one after a pause; beyond it the newest page is read instead.
pub const BEHIND_MAX: u64 = 500;

/// A message with the last change that is known to be in it.
#[derive(Debug)]
struct Held {
    message: Message,
    changed: u64,
}

/// Part of the history that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hole {
    /// Messages above this one.
    After(u64),
    /// Changes above this one.
    Changes(u64),
    /// More than is worth reading one by one: the newest page is read in place of all.
    Newest,
}

#[derive(Debug)]
pub(super) struct Window {
    me: Id,
    items: VecDeque<Held>,
    /// Number of the first message, or the one that it would have.
    from: u64,
    /// Changes up to here are in all messages.
    applied: u64,
    /// The newest message that is known of.
    last: u64,
    /// The newest change that is known of.
    change: u64,
    /// Messages up to here were changed before they came: they must be read, for what is pushed is older.
    read_to: u64,
    /// Whether the newest messages are wanted; not while the reader looks at an old part.
    pub following: bool,
}

impl Window {
    pub fn new(me: Id) -> Self {
        Self { me, items: VecDeque::new(), from: 1, applied: 0, last: 0, change: 0, read_to: 0, following: true }
    }

    pub const fn from(&self) -> u64 {
        self.from
    }

    /// Number of the last message here; one less than `from` when there is none.
    pub fn to(&self) -> u64 {
        self.from + self.items.len() as u64 - 1
    }

    pub const fn last(&self) -> u64 {
        self.last
    }

    pub const fn applied(&self) -> u64 {
        self.applied
    }

    pub const fn change(&self) -> u64 {
        self.change
    }

    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Messages, oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.items.iter().map(|held| &held.message)
    }

    pub fn at(&self, seq: u64) -> Option<&Message> {
        self.place(seq).map(|at| &self.items[at].message)
    }

    fn place(&self, seq: u64) -> Option<usize> {
        let at = usize::try_from(seq.checked_sub(self.from)?).ok()?;
        (at < self.items.len()).then_some(at)
    }

    /// The first thing that is missing.
    pub fn hole(&self) -> Option<Hole> {
        if self.following && self.last > self.to() {
            let is_far = self.last - self.to() > BEHIND_MAX || self.items.is_empty();
            return Some(if is_far { Hole::Newest } else { Hole::After(self.to()) });
        }
        let missing = self.change.saturating_sub(self.applied);
        match missing {
            0 => None,
            _ if missing > BEHIND_MAX => Some(Hole::Newest),
            _ => Some(Hole::Changes(self.applied)),
        }
    }

    /// Heads that a conversation or a page tells.
    pub fn know(&mut self, last: u64, change: u64) {
        self.last = self.last.max(last);
        self.change = self.change.max(change);
    }

    /// Begins anew behind a message and a change, with that message if it is given.
    pub fn restart(&mut self, last: u64, change: u64, newest: Option<&Message>) {
        let newest = newest.filter(|message| message.seq == last);
        self.items = newest.map(|message| Held { message: message.clone(), changed: change }).into_iter().collect();
        self.from = if newest.is_some() { last } else { last + 1 };
        self.applied = change;
        self.read_to = 0;
        self.know(last, change);
    }

    /// Message that was pushed, or answered to its sender; whether it was added.
    pub fn push(&mut self, message: &Message) -> bool {
        let seq = message.seq;
        self.last = self.last.max(seq);
        if seq != self.to() + 1 || seq <= self.read_to {
            return false;
        }
        self.items.push_back(Held { message: self.agreeing(message.clone()), changed: 0 });
        self.shrink(WINDOW_MAX);
        true
    }

    /// A message that was there is another now. Answers it as it was, if it is here and the change is news to it.
    pub fn changed(&mut self, frame: &MessageChanged) -> Option<Message> {
        if !self.reaches(frame.after, frame.change_seq) {
            return None;
        }
        let (me, covered) = (self.me, frame.change_seq - frame.after);
        self.put(frame.message.seq, frame.change_seq, false, |before| {
            let (reactions, _) = reacted(&before.reactions, &frame.message.reactions, me, covered);
            Message { reactions, ..frame.message.clone() }
        })
    }

    /// A message was taken back; answers as [`changed`](Self::changed).
    pub fn recalled(&mut self, frame: &MessageRecalled) -> Option<Message> {
        if !self.reaches(frame.after, frame.change_seq) {
            return None;
        }
        self.put(frame.seq, frame.change_seq, false, |before| recalled(before, frame.recalled_by))
    }

    /// Whether changes above `after` come without a hole; then those up to `change` are taken.
    fn reaches(&mut self, after: u64, change: u64) -> bool {
        self.change = self.change.max(change);
        let fits = after <= self.applied;
        if fits {
            self.applied = self.applied.max(change);
        }
        fits
    }

    /// Changes that were read, all above `after` up to `through`.
    pub fn changes_read(&mut self, after: u64, items: &[Change], through: u64) {
        if !self.reaches(after, through) {
            return;
        }
        for (seq, message) in items.iter().filter_map(|change| Some((change.seq, change.message.as_ref()?))) {
            // Later ones of a message stand in for the earlier: each carries the message as it is now.
            self.put(seq, through, true, |_| message.clone());
        }
    }

    /// A page, its items in either order, with every change up to its `change_seq` in them; whether it touches what is
    /// here. A page older than `applied` must have been brought up to it before, by [`overlay`].
    pub fn page_read(&mut self, page: MessagePage) -> bool {
        self.know(page.last_seq, page.change_seq);
        let changed = page.change_seq;
        let items = ascending(page.items);
        let (Some(first), Some(end)) = (items.first().map(|one| one.seq), items.last().map(|one| one.seq)) else {
            return true;
        };
        if self.items.is_empty() || first > self.to() + 1 || end + 1 < self.from {
            return false;
        }
        let (from, to) = (self.from, self.to());
        let is_whole = first <= from && end >= to;
        let mut before = Vec::new();
        for message in items {
            if message.seq < from {
                before.push(Held { message, changed });
            } else if message.seq > to {
                self.items.push_back(Held { message, changed });
            } else if let Some(at) = self.place(message.seq)
                && self.items[at].changed < changed
            {
                self.items[at] = Held { message, changed };
            }
        }
        self.from -= before.len() as u64;
        for held in before.into_iter().rev() {
            self.items.push_front(held);
        }
        if is_whole {
            self.applied = self.applied.max(changed);
        }
        self.agree();
        if end > to {
            self.shrink(WINDOW_MAX);
        } else if self.items.len() > WINDOW_MAX {
            // The reader is far up: the newest come when they are asked for.
            self.items.truncate(WINDOW_MAX);
            self.following = false;
        }
        true
    }

    /// A page in place of everything.
    pub fn replace(&mut self, page: MessagePage) {
        let items = ascending(page.items);
        self.from = items.first().map_or(page.last_seq + 1, |message| message.seq);
        self.items = items.into_iter().map(|message| Held { message, changed: page.change_seq }).collect();
        self.applied = page.change_seq;
        self.read_to = 0;
        self.know(page.last_seq, page.change_seq);
        self.agree();
    }

    /// Takes a single message as it was read now; `change` is at least as old as the reading.
    pub fn one_read(&mut self, message: &Message, change: u64) {
        self.put(message.seq, change, true, |_| message.clone());
    }

    /// Lets go of all but the newest `max`.
    pub fn shrink(&mut self, max: usize) {
        while self.items.len() > max {
            self.items.pop_front();
            self.from += 1;
        }
    }

    /// Puts another content in the place of a message; and the quotes of it follow.
    fn put(&mut self, seq: u64, changed: u64, again: bool, now: impl FnOnce(&Message) -> Message) -> Option<Message> {
        if seq > self.to() {
            self.read_to = self.read_to.max(seq);
            self.last = self.last.max(seq);
        }
        let at = self.place(seq)?;
        let held = &self.items[at];
        if changed < held.changed || (changed == held.changed && !again) {
            return None;
        }
        let message = self.agreeing(now(&held.message));
        let quote = quoted(&message);
        let before = std::mem::replace(&mut self.items[at], Held { message, changed });
        for other in &mut self.items {
            if other.message.reply_to.as_ref().is_some_and(|quote| quote.seq == seq) {
                other.message.reply_to = Some(quote.clone());
            }
        }
        Some(before.message)
    }

    /// The message with its quote as the quoted message is here: what is shown agrees with itself.
    pub fn agreeing(&self, mut message: Message) -> Message {
        let original = message.reply_to.as_ref().and_then(|quote| self.at(quote.seq));
        if let Some(original) = original {
            message.reply_to = Some(quoted(original));
        }
        message
    }

    fn agree(&mut self) {
        for at in 0..self.items.len() {
            let Some(quote) = &self.items[at].message.reply_to else { continue };
            let Some(now) = self.at(quote.seq).map(quoted) else { continue };
            self.items[at].message.reply_to = Some(now);
        }
    }
}

/// Puts later changes, which were read up to `through`, into a page.
pub(super) fn overlay(page: &mut MessagePage, changes: &[Change], through: u64) {
    let now: HashMap<u64, &Message> =
        changes.iter().filter_map(|change| Some((change.seq, change.message.as_ref()?))).collect();
    for item in &mut page.items {
        if let Some(message) = now.get(&item.seq) {
            *item = (*message).clone();
        }
        let original = item.reply_to.as_ref().and_then(|quote| now.get(&quote.seq));
        if let Some(original) = original {
            item.reply_to = Some(quoted(original));
        }
    }
    page.change_seq = through;
}

fn ascending(mut items: Vec<Message>) -> Vec<Message> {
    items.sort_unstable_by_key(|message| message.seq);
    items
}
