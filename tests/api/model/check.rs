//! Once all is quiet: what was told is true, every count is that of its list, and every feed is the pull query.

use std::collections::{BTreeMap, BTreeSet};

use fanfare::app::App;
use fanfare::data::audit::Act;
use fanfare::data::rows::{NotificationRow, NotificationState, from_json};
use fanfare::data::tables::{self, notification_key};
use fanfare::data::uncounted::Of;
use fanfare::feed::PageQuery;
use fanfare::log::events::PostRecord;
use fanfare::notifications::list::{Happened, ListEntry};
use fanfare_engines::{KeyRange, Order, Row, RowKey, Table};
use fanfare_protocol::{Id, NotificationKind};

use super::act::{Known, PEOPLE, Story};
use super::life::Life;

type Edges = BTreeSet<(Id, Id)>;

/// Truth in the rows.
struct Truth {
    follows: Edges,
    blocks: Edges,
    mutes: Edges,
    likes: Edges,
    suspended: BTreeSet<Id>,
    /// Reasons of operators' acts.
    acts: Vec<String>,
    /// Posts that are there, as their rows are.
    posts: BTreeMap<Id, PostRecord>,
    /// Authors of all posts that ever were, as far as replies and reposts tell.
    when: String,
}

async fn scan(app: &App, table: Table, partition: &[u8], range: KeyRange) -> Vec<Row> {
    app.core().store.scan(table, partition, range, Order::Ascending, 100_000).await.unwrap()
}

async fn clusterings(app: &App, table: Table, of: Id) -> Vec<Id> {
    let rows = scan(app, table, &tables::partition(of), KeyRange::ALL).await;
    rows.iter().map(|row| Id::from_bytes(&row.clustering).unwrap()).collect()
}

/// The rows of a list whose values are ids.
async fn values(app: &App, table: Table, partition: &[u8]) -> Vec<Id> {
    scan(app, table, partition, KeyRange::ALL).await.iter().map(|row| Id::from_bytes(&row.value).unwrap()).collect()
}

async fn edges(app: &App, story: &Story, table: Table) -> Edges {
    let mut found = Edges::new();
    for one in &story.people {
        found.extend(clusterings(app, table, *one).await.into_iter().map(|other| (*one, other)));
    }
    found
}

async fn suspended(app: &App) -> BTreeSet<Id> {
    let rows = scan(app, tables::SUSPENSIONS, &tables::ONE, KeyRange::ALL).await;
    rows.iter().map(|row| Id::from_bytes(&row.clustering).unwrap()).collect()
}

async fn acts(app: &App, story: &Story) -> Vec<String> {
    let mut found = Vec::new();
    let (first, last) = (tables::bucket_of(story.people[0]), tables::bucket_of(app.core().log.newest()));
    for bucket in first..=last {
        let rows = scan(app, tables::AUDIT, &tables::timeline_partition(bucket), KeyRange::ALL).await;
        found.extend(rows.iter().map(|row| from_json::<Act>(&row.value).unwrap().reason.unwrap_or_default()));
    }
    found
}

impl Truth {
    async fn read(app: &App, story: &Story, when: &str) -> Self {
        let mut posts = BTreeMap::new();
        for author in &story.people {
            let bucket = tables::bucketed(*author, tables::bucket_of(*author));
            for row in scan(app, tables::AUTHOR_POSTS, &bucket, KeyRange::ALL).await {
                let id = Id::from_bytes(&row.clustering).unwrap();
                let stored = app.core().store.get(&tables::by_id(tables::POSTS, id)).await.unwrap();
                let post: PostRecord = from_json(&stored.expect("a listed post has its row")).unwrap();
                assert!(!post.deleted && post.id == id && post.author == *author, "{when}: {post:?}");
                posts.insert(id, post);
            }
        }
        Self {
            follows: edges(app, story, tables::FOLLOWS).await,
            blocks: edges(app, story, tables::BLOCKS).await,
            mutes: edges(app, story, tables::MUTES).await,
            likes: edges(app, story, tables::LIKED).await,
            suspended: suspended(app).await,
            acts: acts(app, story).await,
            posts,
            when: when.to_owned(),
        }
    }

    fn is_what_was_told(&self, story: &Story) {
        let (told, when) = (story.told.lock(), &self.when);
        let pairs = [
            ("follows", &told.follows, &self.follows),
            ("blocks", &told.blocks, &self.blocks),
            ("mutes", &told.mutes, &self.mutes),
        ];
        for (what, told, truth) in pairs {
            for ((one, other), known) in told.iter().filter(|(_, known)| **known != Known::Either) {
                let there = truth.contains(&(story.people[*one], story.people[*other]));
                assert_eq!(there, *known == Known::There, "{when}: {one} {what} {other}");
            }
        }
        for ((fan, post), known) in told.likes.iter().filter(|(_, known)| **known != Known::Either) {
            let there = self.likes.contains(&(story.people[*fan], *post));
            // They go with the post.
            let stands = *known == Known::There && self.posts.contains_key(post);
            assert_eq!(there, stands, "{when}: {fan} likes {post}");
        }
        for (one, known) in told.suspended.iter().filter(|(_, known)| **known != Known::Either) {
            let there = self.suspended.contains(&story.people[*one]);
            assert_eq!(there, *known == Known::There, "{when}: {one} is suspended");
        }
        for (reason, known) in told.acts.iter().filter(|(_, known)| **known != Known::Either) {
            let lines = self.acts.iter().filter(|of| *of == reason).count();
            assert_eq!(lines, usize::from(*known == Known::There), "{when}: lines of {reason}");
        }
        for (post, (_, known)) in told.posts.iter().filter(|(_, (_, known))| *known != Known::Either) {
            let original = told.bare.get(post);
            let stands = *known == Known::There && original.is_none_or(|of| self.posts.contains_key(of));
            assert_eq!(self.posts.contains_key(post), stands, "{when}: post {post}");
        }
    }

    /// Lists that mirror each other hold the same, and nothing stands twice.
    async fn lists_agree(&self, app: &App, story: &Story) {
        let (mut followers, mut blocked_by, mut likers) = (Vec::new(), Vec::new(), Vec::new());
        for one in &story.people {
            let bucket = tables::bucketed(*one, tables::bucket_of(*one));
            followers.extend(values(app, tables::FOLLOWERS, &bucket).await.into_iter().map(|other| (other, *one)));
            let by = clusterings(app, tables::BLOCKED_BY, *one).await;
            blocked_by.extend(by.into_iter().map(|other| (other, *one)));
        }
        let liked: BTreeSet<Id> = self.likes.iter().map(|(_, post)| *post).chain(self.posts.keys().copied()).collect();
        for post in liked {
            let fans = values(app, tables::LIKERS, &tables::partition(post)).await;
            likers.extend(fans.into_iter().map(|fan| (fan, post)));
        }
        let pairs =
            [("follow", followers, &self.follows), ("block", blocked_by, &self.blocks), ("like", likers, &self.likes)];
        for (what, mut list, truth) in pairs {
            list.sort_unstable();
            assert!(list.iter().eq(truth.iter()), "{}: {what}: {list:?} and {truth:?}", self.when);
        }
        let texts: BTreeSet<&str> = self.posts.values().map(|post| post.text.as_str()).collect();
        let bare = self.posts.values().filter(|post| post.is_bare_repost());
        let bare: Vec<_> = bare.map(|post| (post.author, post.repost_of.map(|original| original.id))).collect();
        assert_eq!(bare.iter().collect::<BTreeSet<_>>().len(), bare.len(), "{}: a bare repost twice", self.when);
        let worded = self.posts.len() - bare.len() + usize::from(!bare.is_empty());
        assert_eq!(texts.len(), worded, "{}: something was said twice", self.when);
    }

    async fn counts_are_those_of_the_lists(&self, app: &App, story: &Story) {
        let count = |filter: &dyn Fn(&&PostRecord) -> bool| self.posts.values().filter(filter).count() as u64;
        for one in &story.people {
            let expected = [
                self.follows.iter().filter(|(_, to)| to == one).count() as u64,
                self.follows.iter().filter(|(from, _)| from == one).count() as u64,
                count(&|post| post.author == *one),
            ];
            let counters = app.core().store.stored_counters(Of::User(*one)).await.unwrap();
            assert_eq!(counters.values, expected, "{}: counts of {one}", self.when);
            let seen = [
                self.follows.iter().filter(|(from, to)| to == one && !self.suspended.contains(from)).count() as u64,
                self.follows.iter().filter(|(from, to)| from == one && !self.suspended.contains(to)).count() as u64,
                // Bare reposts show nothing while who wrote the original is absent.
                count(&|post| {
                    let through = post.repost_of.filter(|of| post.is_bare_repost() && of.author != *one);
                    post.author == *one && !through.is_some_and(|of| self.suspended.contains(&of.author))
                }),
            ];
            let counters = app.core().store.counters(Of::User(*one)).await.unwrap();
            assert_eq!(counters.values, seen, "{}: counts of {one} without the suspended", self.when);
        }
        for post in self.posts.keys() {
            let expected = [
                self.likes.iter().filter(|(_, of)| of == post).count() as u64,
                count(&|other| other.reply_to.is_some_and(|parent| parent.id == *post)),
                count(&|other| other.repost_of.is_some_and(|original| original.id == *post)),
            ];
            let counters = app.core().store.stored_counters(Of::Post(*post)).await.unwrap();
            assert_eq!(counters.values, expected, "{}: counts of {post}", self.when);
            let by = |other: &&PostRecord| !self.suspended.contains(&other.author);
            let seen = [
                self.likes.iter().filter(|(fan, of)| of == post && !self.suspended.contains(fan)).count() as u64,
                count(&|other| by(other) && other.reply_to.is_some_and(|parent| parent.id == *post)),
                count(&|other| by(other) && other.repost_of.is_some_and(|original| original.id == *post)),
            ];
            let counters = app.core().store.counters(Of::Post(*post)).await.unwrap();
            assert_eq!(counters.values, seen, "{}: counts of {post} without the suspended", self.when);
            let mut replies = clusterings(app, tables::REPLIES, *post).await;
            replies.retain(|reply| self.posts.contains_key(reply));
            assert_eq!(replies.len() as u64, expected[1], "{}: replies to {post}", self.when);
        }
    }

    /// Above every post its thread goes on to the first; and down to it from there, across what is gone.
    async fn threads_are_whole(&self, app: &App) {
        for post in self.posts.values() {
            let (mut child, mut parent) = (post.id, post.reply_to);
            while let Some(above) = parent {
                let replies = clusterings(app, tables::REPLIES, above.id).await;
                assert!(replies.contains(&child), "{}: {child} is not below {}", self.when, above.id);
                let stored = app.core().store.get(&tables::by_id(tables::POSTS, above.id)).await.unwrap();
                let stored: PostRecord = from_json(&stored.expect("what is answered was there")).unwrap();
                (child, parent) = (stored.id, stored.reply_to);
            }
        }
    }

    /// The contract's table, over the rows.
    fn feed(&self, me: Id) -> Vec<Id> {
        let follows = |other: Id| self.follows.contains(&(me, other));
        let blocked = |other: Id| self.blocks.contains(&(me, other)) || self.blocks.contains(&(other, me));
        let muted = |other: Id| self.mutes.contains(&(me, other));
        let hidden = |author: Id| self.suspended.contains(&author);
        let shows = |post: &&PostRecord| {
            let own = post.author == me;
            let known = own || (follows(post.author) && !blocked(post.author) && !muted(post.author));
            let adds = !post.text.is_empty() || post.reply_to.is_some();
            let original = post.repost_of.is_none_or(|original| {
                let there = self.posts.contains_key(&original.id) && !hidden(original.author);
                adds || there && !blocked(original.author) && !muted(original.author)
            });
            let reply =
                post.reply_to.is_none_or(|to| to.author == post.author || to.author == me || follows(to.author));
            known && original && reply && !hidden(post.author)
        };
        self.posts.values().rev().filter(shows).map(|post| post.id).collect()
    }

    async fn feeds_are_the_pull_query(&self, app: &App, story: &Story) {
        for me in &story.people {
            let (mut found, mut before) = (Vec::new(), None);
            loop {
                let page = app.feed().page(*me, PageQuery { before, since: None, limit: 4 }).await.unwrap();
                found.extend(page.entries.iter().map(|entry| entry.id));
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
            assert_eq!(found, self.feed(*me), "{}: the feed of {me}", self.when);
        }
    }

    /// Whoever likes a post or follows is in its author's list, and nobody else is. No number is above the last.
    async fn news_are_who_does_it(&self, app: &App, story: &Story) {
        for me in &story.people {
            let partition = tables::partition(*me);
            let state = RowKey::new(tables::NOTIFICATIONS, partition.clone(), notification_key::STATE);
            let state = app.core().store.get(&state).await.unwrap();
            let state: NotificationState = state.map(|bytes| from_json(&bytes).unwrap()).unwrap_or_default();
            let mut listed: BTreeMap<Option<Id>, u64> = BTreeMap::new();
            for row in scan(app, tables::NOTIFICATIONS, &partition, KeyRange::ALL).await {
                let Some(entry) = ListEntry::of(&row.clustering, &row.value).unwrap() else { continue };
                let seq = match &entry.what {
                    Happened::One { .. } | Happened::Chat { .. } => {
                        from_json::<NotificationRow>(&row.value).unwrap().seq
                    }
                    Happened::Group { item, .. } => item.seq,
                };
                assert!((1..=state.seq).contains(&seq), "{}: {me}: {entry:?}", self.when);
                let (about, count) = match entry.what {
                    Happened::One { post, count, .. } => (post, count),
                    Happened::Chat { .. } => (None, 1),
                    Happened::Group { item, subject } => (Some(subject), item.count(|_| false)),
                };
                match entry.kind {
                    NotificationKind::Like => *listed.entry(about).or_default() += count,
                    NotificationKind::Follow => *listed.entry(None).or_default() += count,
                    _ => {}
                }
            }
            let mut expected: BTreeMap<Option<Id>, u64> = BTreeMap::new();
            for (_, post) in self.likes.iter().filter(|(fan, post)| fan != me && self.is_by(*post, *me)) {
                *expected.entry(Some(*post)).or_default() += 1;
            }
            for _ in self.follows.iter().filter(|(_, followee)| followee == me) {
                *expected.entry(None).or_default() += 1;
            }
            // Of a post that was deleted nothing shows.
            listed.retain(|about, _| about.is_none_or(|post| self.is_by(post, *me)));
            assert_eq!(listed, expected, "{}: news of {me}", self.when);
        }
    }

    fn is_by(&self, post: Id, author: Id) -> bool {
        self.posts.get(&post).is_some_and(|post| post.author == author)
    }
}

/// Compares everything. What was unsure is known afterwards.
pub async fn all(life: &Life, story: &mut Story, when: &str) {
    let app = life.running.app.clone();
    let feed = app.feed().clone();
    tokio::task::spawn_blocking(move || feed.quiesce()).await.unwrap();
    fanfare::posts::settle::settle_all(app.core()).await.unwrap();
    let truth = Truth::read(&app, story, when).await;
    truth.is_what_was_told(story);
    truth.lists_agree(&app, story).await;
    truth.counts_are_those_of_the_lists(&app, story).await;
    truth.threads_are_whole(&app).await;
    truth.news_are_who_does_it(&app, story).await;
    // Twice: built now, and as it was kept.
    truth.feeds_are_the_pull_query(&app, story).await;
    truth.feeds_are_the_pull_query(&app, story).await;
    settle(&truth, story);
}

/// Compares lists and counts alone.
pub async fn lists_and_counts(life: &Life, story: &Story, when: &str) {
    let app = life.running.app.clone();
    let truth = Truth::read(&app, story, when).await;
    truth.lists_agree(&app, story).await;
    truth.counts_are_those_of_the_lists(&app, story).await;
}

fn settle(truth: &Truth, story: &Story) {
    let told = &mut *story.told.lock();
    let known = |there: bool| if there { Known::There } else { Known::Gone };
    for one in 0..PEOPLE {
        for other in (0..PEOPLE).filter(|other| *other != one) {
            let edge = (story.people[one], story.people[other]);
            told.follows.insert((one, other), known(truth.follows.contains(&edge)));
            told.blocks.insert((one, other), known(truth.blocks.contains(&edge)));
            told.mutes.insert((one, other), known(truth.mutes.contains(&edge)));
        }
    }
    for one in 0..PEOPLE {
        told.suspended.insert(one, known(truth.suspended.contains(&story.people[one])));
    }
    for (reason, state) in &mut told.acts {
        *state = known(truth.acts.contains(reason));
    }
    for ((fan, post), state) in &mut told.likes {
        *state = known(truth.likes.contains(&(story.people[*fan], *post)));
    }
    for (post, (_, state)) in &mut told.posts {
        *state = known(truth.posts.contains_key(post));
    }
    for (id, post) in &truth.posts {
        let author = story.people.iter().position(|person| *person == post.author).unwrap();
        if let (Some(original), true) = (post.repost_of, post.is_bare_repost()) {
            told.bare.insert(*id, original.id);
        }
        told.posts.insert(*id, (author, Known::There));
    }
}
