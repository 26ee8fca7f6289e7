//! Feed over the model, driven by hand: commits, applies, turns of the worker and polls of reads in any order.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::model::{ModelInputs, ModelSource, entry_of};
use crate::base::id::{EPOCH_MS, first_id_at};
use crate::feed::{
    Feed, FeedEntry, FeedError, FeedPage, FeedSettings, Original, PageQuery, RankedNext, ReadSizes, Thresholds, Unread,
};
use crate::log::events::{EndedFollow, Event, Policy, PostRecord, PostRef, Record};

/// Users of a story: 1, 2 … so many.
pub const USERS: u64 = 6;

/// Polls after which a read that does not end is a failure.
const POLLS_MAX: usize = 100_000;

type PendingRead = Pin<Box<dyn Future<Output = Result<FeedPage, EngineError>>>>;

/// Limits so tiny that every edge is near.
pub fn tiny_settings() -> FeedSettings {
    FeedSettings {
        timeline_cap: 3,
        timeline_shards: 2,
        timelines_max: 2,
        timeline_bytes_max: u64::MAX,
        idle_ms: 10_000,
        recents_per_author: 2,
        recents_age_ms: 60_000,
        push_below: 2,
        pull_above: 3,
        flip_interval_ms: 0,
        push_slice: 2,
        push_queue_max: 2,
        late_queue_max: 2,
        builds_max: 1,
        ranked_candidates: 4,
        pending_follows_max: 2,
        recorded_changes_max: 3,
        reads: ReadSizes { author_first: 1, author_max: 2, table_min: 1, tables_at_once: 2, posts_max: 3 },
    }
}

pub struct Harness {
    pub source: Arc<ModelSource>,
    pub feed: Feed,
    settings: FeedSettings,
    clock: Arc<AtomicU64>,
    commits: u64,
    unapplied: VecDeque<Record>,
    last: Id,
    reads: Vec<PendingRead>,
}

impl Harness {
    pub fn new(settings: FeedSettings) -> Self {
        let source = Arc::new(ModelSource::default());
        let clock = Arc::new(AtomicU64::new(EPOCH_MS + 1_000));
        let feed = feed_over(&settings, &source, &clock);
        feed.warmed();
        Self { source, feed, settings, clock, commits: 0, unapplied: VecDeque::new(), last: Id(0), reads: Vec::new() }
    }

    /// Commits a record: the tables have it, the feed does not yet.
    pub fn commit(&mut self, event: impl FnOnce(Id) -> Event) -> Id {
        // Four ids in a row, then a second of nothing: neighbours find what is off by one, gaps what is cut by age.
        self.commits += 1;
        if self.commits.is_multiple_of(4) {
            self.clock.fetch_add(4_000, Ordering::Relaxed);
        }
        let id = Id(first_id_at(self.clock.load(Ordering::Relaxed)).0 + self.commits % 4);
        let record = Record { id, event: event(id), idempotency: None, import_line: None, audit: None };
        self.source.world.lock().commit(&record);
        self.unapplied.push_back(record);
        self.last = id;
        id
    }

    /// Commits a post with the policy that its author's followers ask for.
    pub fn post(&mut self, author: u64, reply_to: Option<u64>, repost_of: Option<u64>) -> Id {
        self.say(author, "", reply_to, repost_of)
    }

    /// Publishes a post with words: with `repost_of` it is a quote.
    pub fn say(&mut self, author: u64, text: &str, reply_to: Option<u64>, repost_of: Option<u64>) -> Id {
        let followers = self.source.world.lock().followers(author);
        let policy = self.feed.stamp(Id(author), followers);
        let reference =
            |id: u64| self.source.world.lock().posts.get(&id).map(|post| PostRef { id: post.id, author: post.author });
        let (reply_to, repost_of) = (reply_to.and_then(reference), repost_of.and_then(reference));
        self.commit(|id| Event::Posted {
            post: PostRecord {
                id,
                author: Id(author),
                text: text.to_owned(),
                mentions: vec![],
                links: vec![],
                media: vec![],
                reply_to,
                repost_of,
                policy,
                deleted: false,
                ..PostRecord::default()
            },
            notify: vec![],
        })
    }

    pub fn delete(&mut self, post: u64) {
        let Some(post) = self.source.world.lock().posts.get(&post).cloned() else { return };
        self.commit(|_| Event::PostDeleted {
            post: post.id,
            author: post.author,
            reply_to: post.reply_to,
            repost_of: post.repost_of,
            bare_repost: post.is_bare_repost(),
            purged: false,
            mentioned: vec![],
            told: vec![],
        });
    }

    pub fn follow(&mut self, follower: u64, followee: u64) {
        let world = self.source.world.lock().clone();
        if follower != followee
            && !world.is_blocked(follower, followee)
            && !world.follows.contains(&(follower, followee))
        {
            self.commit(|_| Event::Followed {
                follower: Id(follower),
                followee: Id(followee),
                notify: true,
                silent: false,
            });
        }
    }

    pub fn unfollow(&mut self, follower: u64, followee: u64) {
        if self.source.world.lock().follows.contains(&(follower, followee)) {
            let (follower, followee) = (Id(follower), Id(followee));
            self.commit(|_| {
                Event::Unfollowed(EndedFollow { follower, followee, since: Id(1), departed: None, silent: false })
            });
        }
    }

    pub fn block(&mut self, blocker: u64, blocked: u64) {
        if blocker != blocked && !self.source.world.lock().blocks.contains(&(blocker, blocked)) {
            self.commit(|_| Event::Blocked { blocker: Id(blocker), blocked: Id(blocked), ended: vec![] });
        }
    }

    pub fn unblock(&mut self, blocker: u64, blocked: u64) {
        if self.source.world.lock().blocks.contains(&(blocker, blocked)) {
            self.commit(|_| Event::Unblocked { blocker: Id(blocker), blocked: Id(blocked) });
        }
    }

    pub fn mute(&mut self, muter: u64, muted: u64, on: bool) {
        if muter != muted && self.source.world.lock().mutes.contains(&(muter, muted)) != on {
            let (muter, muted) = (Id(muter), Id(muted));
            self.commit(|_| if on { Event::Muted { muter, muted } } else { Event::Unmuted { muter, muted } });
        }
    }

    pub fn delete_user(&mut self, user: u64) {
        self.commit(|_| Event::UserDeleted { user: crate::data::rows::UserRow { id: Id(user), ..Default::default() } });
    }

    pub fn apply_all_but(&mut self, kept: usize) {
        self.apply(self.unapplied.len().saturating_sub(kept));
    }

    fn apply(&mut self, count: usize) {
        for record in self.unapplied.drain(..count.min(self.unapplied.len())) {
            self.feed.apply(&record);
            self.feed.settle(record.id);
        }
    }

    pub fn turn(&self, count: usize) {
        for _ in 0..count {
            self.feed.turn();
        }
    }

    pub fn thresholds(&self, push_below: u64, pull_above: u64) {
        self.feed.set_thresholds(Thresholds { push_below, pull_above });
    }

    pub fn pin(&self, author: u64, policy: Option<Policy>) {
        self.feed.pin(Id(author), policy);
    }

    pub fn evict_idle(&self, ahead_ms: u64) {
        self.feed.evict_idle(self.clock.load(Ordering::Relaxed) + ahead_ms);
    }

    /// A new process over the same tables: memory is lost, and recents are still to be warmed.
    pub fn restart(&mut self) {
        self.reads.clear();
        self.unapplied.clear();
        self.feed = feed_over(&self.settings, &self.source, &self.clock);
        self.feed.settle(self.last);
    }

    /// The scan that follows a restart; with `cut` it gives only so many posts of each author.
    pub fn warm(&mut self, cut: Option<usize>) {
        let world = self.source.world.lock().clone();
        for author in 1..=USERS {
            let entries: Vec<_> = world.posts.values().filter(|post| post.author.0 == author).collect();
            let skipped = cut.map_or(0, |cut| entries.len().saturating_sub(cut));
            if let Some(last) = skipped.checked_sub(1) {
                self.feed.warm_floor(Id(author), entries[last].id);
            }
            for post in &entries[skipped..] {
                self.feed.warm(Id(author), entry_of(post));
            }
        }
        self.feed.warmed();
    }

    /// Begins a read that stops at every call of the tables; [`poll`](Self::poll) moves it on.
    pub fn begin_read(&mut self, reader: u64, limit: usize) {
        let feed = self.feed.clone();
        self.reads
            .push(Box::pin(async move { feed.page(Id(reader), PageQuery { before: None, since: None, limit }).await }));
        let last = self.reads.len() - 1;
        self.poll(last);
    }

    pub fn poll(&mut self, which: usize) {
        if self.reads.is_empty() {
            return;
        }
        let which = which % self.reads.len();
        self.source.yields.store(true, Ordering::Relaxed);
        let polled = self.reads[which].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        self.source.yields.store(false, Ordering::Relaxed);
        if let Poll::Ready(page) = polled {
            page.expect("no table fails here");
            drop(self.reads.remove(which));
        }
    }

    /// A client that hangs up in the middle of a read.
    pub fn cancel(&mut self, which: usize) {
        if !self.reads.is_empty() {
            drop(self.reads.remove(which % self.reads.len()));
        }
    }

    /// Runs a future to its end, moving the other reads on while it waits for one of them.
    pub fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        for turn in 0..POLLS_MAX {
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
            self.poll(turn);
        }
        panic!("a read does not end");
    }

    pub fn page(
        &mut self,
        reader: u64,
        before: Option<u64>,
        since: Option<u64>,
        limit: usize,
    ) -> (Vec<u64>, Option<u64>) {
        let feed = self.feed.clone();
        let query = PageQuery { before: before.map(Id), since: since.map(Id), limit };
        let page = self.run(feed.page(Id(reader), query)).expect("no table fails here");
        if self.unapplied.is_empty() && self.reads.is_empty() {
            self.check_originals(reader, &page.entries);
        }
        (page.entries.iter().map(|entry| entry.id.0).collect(), page.next.map(|next| next.0))
    }

    /// The whole feed, page by page; every page but the last must be full.
    pub fn whole_feed(&mut self, reader: u64, since: Option<u64>, limit: usize) -> Vec<u64> {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let (ids, next) = self.page(reader, before, since, limit);
            assert!(ids.len() == limit || next.is_none(), "a short page {ids:?} is not the last of user {reader}");
            all.extend(ids);
            match next {
                Some(next) => before = Some(next),
                None => return all,
            }
        }
    }

    pub fn unread(&mut self, reader: u64, marker: u64) -> (usize, Option<u64>) {
        let feed = self.feed.clone();
        let Unread { count, newest_id } = self.run(feed.unread(Id(reader), Id(marker))).expect("no table fails here");
        (count, newest_id.map(|id| id.0))
    }

    /// All ranked pages, and what follows them in latest order.
    pub fn ranked_feed(&mut self, reader: u64, limit: usize) -> Vec<u64> {
        let (mut all, mut at) = (Vec::new(), None);
        loop {
            let feed = self.feed.clone();
            let page = match self.run(feed.ranked(Id(reader), at, limit)) {
                Ok(page) => page,
                Err(FeedError::SnapshotExpired) => panic!("a snapshot went within the test"),
                Err(FeedError::Engine(error)) => panic!("no table fails here: {error}"),
            };
            assert!(page.entries.len() == limit || page.next.is_none(), "a short ranked page is not the last");
            all.extend(page.entries.iter().map(|entry| entry.id.0));
            match page.next {
                None => return all,
                Some(RankedNext::Snapshot(id, position)) => at = Some((id, position)),
                Some(RankedNext::Latest(before)) => {
                    let mut before = Some(before.0);
                    while before.is_some() {
                        let (ids, next) = self.page(reader, before, None, limit);
                        all.extend(ids);
                        before = next;
                    }
                    return all;
                }
            }
        }
    }

    /// Every entry brings what it passes on, or why not.
    fn check_originals(&self, reader: u64, entries: &[FeedEntry]) {
        let world = self.source.world.lock().clone();
        for entry in entries {
            let got = match &entry.original {
                Original::None => None,
                Original::Shown(original) => Some(Ok(original.id.0)),
                Original::Absent(why) => Some(Err(*why)),
            };
            assert_eq!(got, world.original(reader, &entry.post), "what {:?} shows user {reader}", entry.post);
        }
    }

    /// Before quiet: nothing that the reader must not see, nothing of their own missing, at once after the apply.
    pub fn check_busy(&mut self, reader: u64, limit: usize) {
        let got = self.whole_feed(reader, None, limit);
        if self.unapplied.is_empty() {
            let world = self.source.world.lock().clone();
            let expected = world.feed(reader);
            let mut rest = expected.iter();
            assert!(
                got.iter().all(|id| rest.any(|other| other == id)),
                "{got:?} is not part of {expected:?}, reader {reader}"
            );
            let own = |id: &&u64| world.posts[id].author.0 == reader;
            assert!(
                expected.iter().filter(own).all(|id| got.contains(id)),
                "own posts are missing in {got:?}, reader {reader}"
            );
        }
    }

    /// Each author is subscribed by the materialised timelines of followers and by nothing else.
    pub fn check_subscriptions(&self) {
        let world = self.source.world.lock().clone();
        let materialised = |reader: &u64| self.feed.is_materialised(Id(*reader));
        for author in 1..=USERS {
            let followers = (1..=USERS).filter(|reader| world.follows.contains(&(*reader, author)));
            let mut slots = Vec::new();
            self.feed.bench_slots(Id(author), &mut slots);
            assert_eq!(slots.len(), followers.filter(materialised).count(), "subscriptions to user {author}");
        }
        let timelines = (1..=USERS).filter(materialised).count();
        assert_eq!(self.feed.stats().timelines, timelines, "slots in use");
    }

    /// Lets everything come to rest, then compares every feed at every depth with the pull query.
    pub fn check_quiet(&mut self, limit: usize) {
        self.apply(usize::MAX);
        for turn in 0..POLLS_MAX {
            if self.reads.is_empty() {
                break;
            }
            self.poll(turn);
        }
        assert!(self.reads.is_empty(), "a read does not end");
        while self.feed.turn() {}
        self.check_subscriptions();
        let world = self.source.world.lock().clone();
        // Whatever is materialised is read first, before building the others evicts it.
        let mut readers: Vec<u64> = (1..=USERS).collect();
        readers.sort_by_key(|reader| !self.feed.is_materialised(Id(*reader)));
        for reader in readers {
            let expected = world.feed(reader);
            for limit in [limit, 1, 100] {
                assert_eq!(self.whole_feed(reader, None, limit), expected, "feed of user {reader}, pages of {limit}");
            }
            let marker = expected.get(expected.len() / 2).copied().unwrap_or(0);
            let newer: Vec<u64> = expected.iter().copied().filter(|id| *id > marker).collect();
            assert_eq!(self.whole_feed(reader, Some(marker), limit), newer, "since {marker}, user {reader}");
            assert_eq!(self.unread(reader, marker), world.unread(reader, marker), "unread of user {reader}");
            let mut ranked = self.ranked_feed(reader, limit);
            ranked.sort_unstable_by(|a, b| b.cmp(a));
            assert_eq!(ranked, expected, "ranked feed of user {reader}");
        }
    }
}

fn feed_over(settings: &FeedSettings, source: &Arc<ModelSource>, clock: &Arc<AtomicU64>) -> Feed {
    let (source, clock) = (Arc::clone(source), Arc::clone(clock));
    Feed::new(settings.clone(), source, Arc::new(ModelInputs), move || clock.load(Ordering::Relaxed))
}
