//! Tables as plain maps, and the pull query that every feed is compared with. Shares no code with the feed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use fanfare_engines::EngineError;
use fanfare_protocol::Id;
use parking_lot::Mutex;

use crate::feed::{AuthorEntry, Engagement, EntryKind, FeedSource, RankInputs, Relations};
use crate::log::events::{Event, PostRecord, Record};
use crate::posts::visibility::Absence;

/// Truth after the records so far.
#[derive(Debug, Clone, Default)]
pub struct World {
    pub posts: BTreeMap<u64, Arc<PostRecord>>,
    pub follows: BTreeSet<(u64, u64)>,
    pub blocks: BTreeSet<(u64, u64)>,
    pub mutes: BTreeSet<(u64, u64)>,
}

impl World {
    pub fn commit(&mut self, record: &Record) {
        match &record.event {
            Event::Posted { post, .. } => drop(self.posts.insert(post.id.0, Arc::new(post.clone()))),
            Event::PostDeleted { post, .. } => drop(self.posts.remove(&post.0)),
            Event::Followed { follower, followee, .. } => drop(self.follows.insert((follower.0, followee.0))),
            Event::Unfollowed(ended) => drop(self.follows.remove(&(ended.follower.0, ended.followee.0))),
            Event::Blocked { blocker, blocked, .. } => {
                self.blocks.insert((blocker.0, blocked.0));
                self.follows.remove(&(blocker.0, blocked.0));
                self.follows.remove(&(blocked.0, blocker.0));
            }
            Event::Unblocked { blocker, blocked } => drop(self.blocks.remove(&(blocker.0, blocked.0))),
            Event::Muted { muter, muted } => drop(self.mutes.insert((muter.0, muted.0))),
            Event::Unmuted { muter, muted } => drop(self.mutes.remove(&(muter.0, muted.0))),
            Event::UserDeleted { user } => self.posts.retain(|_, post| post.author != user.id),
            _ => {}
        }
    }

    pub fn followers(&self, user: u64) -> u64 {
        self.follows.iter().filter(|(_, followee)| *followee == user).count() as u64
    }

    pub fn is_blocked(&self, one: u64, other: u64) -> bool {
        self.blocks.contains(&(one, other)) || self.blocks.contains(&(other, one))
    }

    /// The naive pull query: all of it, newest first.
    pub fn feed(&self, reader: u64) -> Vec<u64> {
        self.posts.values().rev().filter(|post| self.shows(reader, post)).map(|post| post.id.0).collect()
    }

    pub fn unread(&self, reader: u64, marker: u64) -> (usize, Option<u64>) {
        let feed = self.feed(reader);
        let others = feed.iter().filter(|id| **id > marker && self.posts[id].author.0 != reader);
        (others.count(), feed.first().copied())
    }

    /// Original that the reader gets of `post`: `None` where it passes nothing on, else whether it shows, or
    /// why not.
    pub fn original(&self, reader: u64, post: &PostRecord) -> Option<Result<u64, Absence>> {
        let original = post.repost_of?;
        let hidden = |user: u64| self.is_blocked(reader, user) || self.mutes.contains(&(reader, user));
        Some(match self.posts.contains_key(&original.id.0) {
            // Who is blocked, or blocks, is not told that it was deleted.
            false if self.is_blocked(reader, original.author.0) => Err(Absence::Hidden),
            false => Err(Absence::Gone),
            true if hidden(original.author.0) => Err(Absence::Hidden),
            true => Ok(original.id.0),
        })
    }

    fn shows(&self, reader: u64, post: &PostRecord) -> bool {
        let author = post.author.0;
        let follows = |user: u64| user == reader || self.follows.contains(&(reader, user));
        let hidden = |user: u64| self.is_blocked(reader, user) || self.mutes.contains(&(reader, user));
        // Whoever adds nothing shows nothing without the original.
        let adds = !post.text.is_empty() || post.reply_to.is_some();
        let original_shows = post
            .repost_of
            .is_none_or(|original| adds || self.posts.contains_key(&original.id.0) && !hidden(original.author.0));
        let reply_shows = post.reply_to.is_none_or(|to| to.author == post.author || follows(to.author.0));
        follows(author) && !hidden(author) && original_shows && reply_shows
    }
}

/// The tables. Can yield at every call, so that a hand-driven read stops there, and can fail.
#[derive(Default)]
pub struct ModelSource {
    pub world: Mutex<World>,
    pub yields: AtomicBool,
    /// Give the processor away at every call, so that threads interleave inside reads.
    pub gives_way: AtomicBool,
    pub failing_calls: AtomicU32,
    pub table_reads: AtomicU32,
}

impl ModelSource {
    /// Reads the world, with a stop before and after: what was read may be old when the reader goes on.
    async fn read<T>(&self, read: impl FnOnce(&World) -> T) -> Result<T, EngineError> {
        self.stop().await;
        if self.failing_calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(EngineError::Unavailable("by the test".into()));
        }
        let read = read(&self.world.lock());
        self.stop().await;
        Ok(read)
    }

    async fn stop(&self) {
        if self.gives_way.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        let mut yielded = !self.yields.load(Ordering::Relaxed);
        poll_fn(|context| {
            if std::mem::replace(&mut yielded, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

pub fn entry_of(post: &PostRecord) -> AuthorEntry {
    let (kind, related) = match (post.repost_of, post.reply_to, post.text.as_str()) {
        (Some(original), None, "") => (EntryKind::Repost, original.author),
        (Some(original), _, _) => (EntryKind::Quote, original.author),
        (None, Some(answered), _) => (EntryKind::Reply, answered.author),
        (None, None, _) => (EntryKind::Plain, Id(0)),
    };
    AuthorEntry { id: post.id, kind, related }
}

#[async_trait]
impl FeedSource for ModelSource {
    async fn author_entries(&self, author: Id, before: Id, limit: usize) -> Result<Vec<AuthorEntry>, EngineError> {
        self.table_reads.fetch_add(1, Ordering::Relaxed);
        self.read(|world| {
            let older = world.posts.range(..before.0).rev().map(|(_, post)| post);
            older.filter(|post| post.author == author).take(limit).map(|post| entry_of(post)).collect()
        })
        .await
    }

    async fn relations(&self, reader: Id) -> Result<Relations, EngineError> {
        self.read(|world| {
            let of = |edges: &BTreeSet<(u64, u64)>| {
                edges.iter().filter(|edge| edge.0 == reader.0).map(|edge| Id(edge.1)).collect::<Vec<_>>()
            };
            let blocked_by = world.blocks.iter().filter(|edge| edge.1 == reader.0).map(|edge| Id(edge.0));
            let blocked_either_way = of(&world.blocks).into_iter().chain(blocked_by).collect();
            Relations { followees: of(&world.follows), blocked_either_way, muted: of(&world.mutes) }
        })
        .await
    }

    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>, EngineError> {
        self.read(|world| ids.iter().map(|id| world.posts.get(&id.0).cloned()).collect()).await
    }
}

/// Likes by the last digits of the id: any order other than the latest.
pub struct ModelInputs;

#[async_trait]
impl RankInputs for ModelInputs {
    async fn engagement(&self, posts: &[Id]) -> Result<Vec<Engagement>, EngineError> {
        Ok(posts.iter().map(|id| Engagement { likes: (id.0 >> 22) % 7 * 100, replies: 0 }).collect())
    }

    async fn interactions(&self, _reader: Id, authors: &[Id]) -> Result<Vec<u64>, EngineError> {
        Ok(authors.iter().map(|author| author.0 % 3).collect())
    }
}
