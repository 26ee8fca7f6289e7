//! Oracle: what a reader may see and when that changed, from the acts of a history alone.

use fanfare_protocol::Id;

use crate::history::{Act, History, Op, Target, Tick};

/// A post as the history knows it.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    pub id: Id,
    pub author: usize,
    pub op: &'a Op,
}

impl Known<'_> {
    fn targets(&self) -> [Option<Target>; 2] {
        match self.op.act {
            Act::Post { reply_to, repost_of } => [reply_to, repost_of],
            _ => [None, None],
        }
    }
}

/// Relation of one person to another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Relation {
    follows: bool,
    mutes: bool,
    /// In either direction.
    blocks: [bool; 2],
}

/// Whether an act is about these two, and changes what `reader` may see of `other`.
fn concerns(op: &Op, reader: usize, other: usize) -> bool {
    match op.act {
        Act::Follow(whom, _) | Act::Mute(whom, _) => (op.who, whom) == (reader, other),
        Act::Block(whom, _) => (op.who, whom) == (reader, other) || (op.who, whom) == (other, reader),
        Act::Leave => op.who == other,
        _ => false,
    }
}

impl History {
    /// Every post that was made.
    pub fn posts(&self) -> impl Iterator<Item = Known<'_>> {
        self.ops.iter().filter_map(|op| op.made.map(|id| Known { id, author: op.who, op }))
    }

    /// A post by id.
    pub fn post(&self, id: Id) -> Option<Known<'_>> {
        self.posts().find(|post| post.id == id)
    }

    /// The number of a person.
    pub fn person(&self, id: Id) -> Option<usize> {
        self.people.iter().position(|person| *person == id)
    }

    fn done(&self) -> impl Iterator<Item = &Op> {
        self.ops.iter().filter(|op| op.happened || op.ended.is_none())
    }

    /// Relation when everything that had ended by `at` was done, in the order of the ends.
    fn relation(&self, reader: usize, other: usize, at: Tick) -> Relation {
        let mut relation = Relation::default();
        let over = self.done().filter(|op| op.ended.is_some_and(|ended| ended <= at));
        let mut over: Vec<&Op> = over.filter(|op| concerns(op, reader, other)).collect();
        over.sort_by_key(|op| op.ended);
        for op in over {
            match op.act {
                Act::Follow(_, on) => relation.follows = on,
                Act::Mute(_, on) => relation.mutes = on,
                Act::Block(_, on) => {
                    relation.blocks[usize::from(op.who == reader)] = on;
                    relation.follows &= !on;
                }
                Act::Leave => relation.follows = false,
                _ => {}
            }
        }
        relation
    }

    /// Whether `reader` hides what `other` does.
    pub fn hides(&self, reader: usize, other: usize, at: Tick) -> bool {
        let relation = self.relation(reader, other, at);
        relation.mutes || relation.blocks.contains(&true)
    }

    /// Whether `reader` surely follows `other` when `op` happens: nothing between them was begun and not over then.
    pub fn follows_at(&self, reader: usize, other: usize, op: &Op) -> bool {
        let mut late = self.done().filter(|one| one.ended.is_none_or(|ended| ended > op.started));
        self.relation(reader, other, op.started).follows
            && !late.any(|one| {
                one.act != Act::Leave && concerns(one, reader, other) && op.ended.is_none_or(|at| one.started < at)
            })
    }

    /// Whether `reader` may have followed `other` when `op` happened.
    pub fn may_follow_at(&self, reader: usize, other: usize, op: &Op) -> bool {
        let mut late = self.done().filter(|one| one.ended.is_none_or(|ended| ended > op.started));
        self.relation(reader, other, op.started).follows
            || late.any(|one| one.act != Act::Leave && concerns(one, reader, other))
    }

    /// Whether a post answers somebody who has left: it shows until the follow is cleared away, at a moment of the
    /// server's.
    pub fn answers_the_departed(&self, post: &Known<'_>) -> bool {
        let [reply_to, _] = post.targets();
        reply_to.is_some_and(|to| to.author != post.author && self.has_left(to.author))
    }

    fn deletion(&self, id: Id) -> Option<&Op> {
        self.done().find(|op| op.act == Act::Delete(id))
    }

    /// Whether the post shows in the reader's feed at a tick: the contract's table.
    pub fn is_visible(&self, reader: usize, post: &Known<'_>, at: Tick) -> bool {
        let gone = |id: Id| self.deletion(id).and_then(|op| op.ended).is_some_and(|ended| ended <= at);
        let follows = |other: usize| other == reader || self.relation(reader, other, at).follows;
        let hides = |other: usize| other != reader && self.hides(reader, other, at);
        // Everybody says something here: what passes on another post is a quote, and stays without it.
        let [reply_to, _] = post.targets();
        let reply_shows = reply_to.is_none_or(|to| to.author == post.author || follows(to.author));
        !gone(post.id) && follows(post.author) && !hides(post.author) && reply_shows
    }

    /// Start of an act that was not over at `since` and changes whether the reader may see the post. The post's own
    /// deletion counts if `deletions` does.
    pub fn touched(&self, reader: usize, post: &Known<'_>, since: Tick, deletions: bool) -> Option<Tick> {
        let [reply_to, _] = post.targets();
        let others = [Some(post.author), reply_to.map(|to| to.author)];
        let relates = |op: &Op| others.iter().flatten().any(|other| concerns(op, reader, *other));
        let removes = |op: &Op| deletions && op.act == Act::Delete(post.id);
        let late = self.done().filter(|op| op.ended.is_none_or(|ended| ended > since));
        late.filter(|op| relates(op) || removes(op)).map(|op| op.started).min()
    }

    /// Start of an act that changes whether `reader` hides `other`.
    pub fn hiding_touched(&self, reader: usize, other: usize, since: Tick) -> Option<Tick> {
        let late = self.done().filter(|op| op.ended.is_none_or(|ended| ended > since));
        let changes = |op: &&Op| concerns(op, reader, other) && !matches!(op.act, Act::Follow(..));
        late.filter(changes).map(|op| op.started).min()
    }
}
