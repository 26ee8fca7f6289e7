//! Random suspensions, lifted and ended by the clock, among random acts: what every viewer sees equals a plain look at
//! all that ever happened.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_client::{Client, FeedQuery, Paging};
use fanfare_engines::random::Random;
use fanfare_protocol::{Code, Id, NotificationKind, Post, PostOrGone};

use super::{because, clock};
use crate::world::{Person, World, all_pages, ids, refused};

const HANDLES: [&str; 5] = ["p0", "p1", "p2", "p3", "p4"];
const ROUNDS: u64 = 10;
const STEPS: u64 = 8;

/// A post as it was published.
struct Said {
    id: Id,
    author: usize,
    reply_to: Option<usize>,
    repost_of: Option<usize>,
    bare: bool,
}

/// Post as a viewer sees it: its id, and that of its original or why that is missing.
type Seen = (Id, Option<Id>, bool);

/// All that ever happened.
#[derive(Default)]
struct Oracle {
    follows: Vec<(usize, usize)>,
    likes: Vec<(usize, usize)>,
    posts: Vec<Said>,
    /// News: whom it tells, what, by whom, about which post; oldest first.
    news: Vec<(usize, NotificationKind, usize, Option<usize>)>,
    suspended: BTreeMap<usize, Option<u64>>,
    now_ms: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Own,
    Elsewhere,
}

impl Oracle {
    fn absent(&self, person: usize) -> bool {
        self.suspended.get(&person).is_some_and(|until| until.is_none_or(|until_ms| self.now_ms < until_ms))
    }

    fn seen(&self, at: usize, place: Place) -> Option<Seen> {
        let post = &self.posts[at];
        let original = post.repost_of.map(|of| &self.posts[of]);
        let hidden = original.is_some_and(|of| self.absent(of.author));
        if self.absent(post.author) || (hidden && post.bare && place != Place::Own) {
            return None;
        }
        Some((post.id, original.filter(|_| !hidden).map(|of| of.id), hidden))
    }

    fn newest(&self, place: Place, wanted: impl Fn(&Said) -> bool) -> Vec<Seen> {
        let all = (0..self.posts.len()).rev().filter(|at| wanted(&self.posts[*at]));
        all.filter_map(|at| self.seen(at, place)).collect()
    }

    fn follows(&self, one: usize, other: usize) -> bool {
        self.follows.contains(&(one, other))
    }

    fn feed(&self, me: usize) -> Vec<Seen> {
        self.newest(Place::Elsewhere, |post| {
            let answered = post.reply_to.map(|to| self.posts[to].author);
            (post.author == me || self.follows(me, post.author))
                && answered.is_none_or(|to| to == post.author || to == me || self.follows(me, to))
        })
    }

    fn counts_of_post(&self, at: usize) -> [u64; 3] {
        let posts = || self.posts.iter().filter(|post| !self.absent(post.author));
        let likes = self.likes.iter().filter(|(fan, post)| *post == at && !self.absent(*fan)).count();
        let replies = posts().filter(|post| post.reply_to == Some(at)).count();
        let reposts = posts().filter(|post| post.repost_of == Some(at)).count();
        [likes, replies, reposts].map(|count| count as u64)
    }

    fn news(&self, me: usize) -> Vec<(NotificationKind, usize, Option<Id>)> {
        let of_me = self.news.iter().rev().filter(|(user, _, actor, _)| *user == me && !self.absent(*actor));
        let shown = of_me.filter(|(_, _, _, post)| post.is_none_or(|at| self.seen(at, Place::Elsewhere).is_some()));
        shown.map(|(_, kind, actor, post)| (*kind, *actor, post.map(|at| self.posts[at].id))).collect()
    }

    /// Everybody who is seen, latest edge first, of those that `other` picks.
    fn people(&self, other: impl Fn(&(usize, usize)) -> Option<usize>) -> Vec<usize> {
        self.follows.iter().rev().filter_map(other).filter(|person| !self.absent(*person)).collect()
    }
}

struct Story {
    world: World,
    people: Vec<Person>,
    oracle: Oracle,
    dice: Random,
    when: String,
}

fn seen(post: &Post) -> Seen {
    assert!(!post.repost_gone, "nothing is deleted here");
    (post.id, post.repost_of.as_ref().map(|original| original.id), post.repost_hidden)
}

fn all_seen(posts: &[Post]) -> Vec<Seen> {
    posts.iter().map(seen).collect()
}

impl Story {
    fn pick(&mut self, below: usize) -> usize {
        self.dice.below(below as u64) as usize
    }

    /// Some post whose author is not absent, nor that of its original.
    fn some_post(&mut self) -> Option<usize> {
        let shown: Vec<usize> =
            (0..self.oracle.posts.len()).filter(|at| self.oracle.seen(*at, Place::Elsewhere).is_some()).collect();
        (!shown.is_empty()).then(|| shown[self.dice.below(shown.len() as u64) as usize])
    }

    /// The post behind a bare repost.
    fn behind(&self, at: usize) -> usize {
        let post = &self.oracle.posts[at];
        post.repost_of.filter(|_| post.bare).unwrap_or(at)
    }

    async fn step(&mut self) {
        let me = self.pick(HANDLES.len());
        match self.dice.below(12) {
            0 => {
                let until = self.dice.percent(60).then(|| self.oracle.now_ms + 1_000 + self.dice.below(6) * 1_000);
                self.world.operator.suspend(&format!("@{}", HANDLES[me]), &because("so", until)).await.unwrap();
                self.oracle.suspended.insert(me, until);
            }
            1 => {
                self.world.operator.unsuspend(&format!("@{}", HANDLES[me]), None).await.unwrap();
                self.oracle.suspended.remove(&me);
            }
            2 => {
                self.oracle.now_ms += self.dice.below(4) * 1_000;
                self.world.set_clock(self.oracle.now_ms);
            }
            _ if self.oracle.absent(me) => {
                assert_eq!(refused(self.people[me].say("x").await), Code::AccountSuspended, "{}", self.when);
            }
            3..5 => self.follow(me).await,
            5..7 => self.like(me).await,
            _ => self.publish(me).await,
        }
    }

    async fn follow(&mut self, me: usize) {
        let other = (me + 1 + self.pick(HANDLES.len() - 1)) % HANDLES.len();
        let answer = self.people[me].follow(self.people[other].id).await;
        if self.oracle.absent(other) {
            assert_eq!(refused(answer), Code::NotFound, "{}", self.when);
        } else if !self.oracle.follows(me, other) {
            answer.unwrap();
            self.oracle.follows.push((me, other));
            self.oracle.news.push((other, NotificationKind::Follow, me, None));
        }
    }

    async fn like(&mut self, me: usize) {
        let Some(at) = self.some_post() else { return };
        let at = self.behind(at);
        if self.oracle.likes.contains(&(me, at)) {
            return;
        }
        self.people[me].like(self.oracle.posts[at].id).await.unwrap();
        self.oracle.likes.push((me, at));
        let author = self.oracle.posts[at].author;
        if author != me {
            self.oracle.news.push((author, NotificationKind::Like, me, Some(at)));
        }
    }

    async fn publish(&mut self, me: usize) {
        let kind = self.dice.below(5);
        let target = self.some_post().filter(|_| kind < 4).map(|at| self.behind(at));
        let mut text = format!("text {}", self.oracle.posts.len());
        let mention = self.pick(HANDLES.len());
        if kind > 2 {
            text = format!("{text} @{}", HANDLES[mention]);
        }
        let (reply_to, repost_of) = if kind < 2 { (target, None) } else { (None, target) };
        let bare = kind == 2 && repost_of.is_some();
        let is_again = |post: &Said| post.bare && post.author == me && post.repost_of == repost_of;
        if bare && self.oracle.posts.iter().any(is_again) {
            return;
        }
        let id = |at: Option<usize>| at.map(|at| self.oracle.posts[at].id);
        let text = if bare { String::new() } else { text };
        let new =
            fanfare_protocol::NewPost { text, reply_to: id(reply_to), repost_of: id(repost_of), ..Default::default() };
        let made = self.people[me].publish(&new, None).await.unwrap().post.id;
        let at = self.oracle.posts.len();
        let author = |of: usize| self.oracle.posts[of].author;
        let mut told: Vec<(usize, NotificationKind)> = Vec::new();
        told.extend(reply_to.map(|to| (author(to), NotificationKind::Reply)));
        told.extend(repost_of.map(|of| (author(of), NotificationKind::Repost)));
        told.extend((kind > 2).then_some((mention, NotificationKind::Mention)));
        self.oracle.posts.push(Said { id: made, author: me, reply_to, repost_of, bare });
        let mut known = BTreeSet::from([me]);
        for (user, kind) in told.into_iter().filter(|(user, _)| known.insert(*user)) {
            self.oracle.news.push((user, kind, me, Some(at)));
        }
    }

    async fn check(&self) {
        for me in (0..HANDLES.len()).filter(|me| !self.oracle.absent(*me)) {
            self.check_own(me).await;
            self.check_others(&self.people[me], Some(me)).await;
        }
        self.check_others(&self.world.anyone, None).await;
        for at in 0..self.oracle.posts.len() {
            self.check_post(at).await;
        }
    }

    /// Checks what is one's own: the feed, news, search.
    async fn check_own(&self, me: usize) {
        let (person, when) = (&self.people[me], &self.when);
        person.quiet().await;
        let read = async |cursor: Option<String>| {
            person.feed(FeedQuery { paging: Paging::at(4, cursor.as_deref()), ..FeedQuery::default() }).await
        };
        let feed = self.oracle.feed(me);
        assert_eq!(all_seen(&all_pages(read, 4).await), feed, "{when}: the feed of {me}");
        let own = |one: &&Seen| self.oracle.posts.iter().any(|post| post.id == one.0 && post.author == me);
        let unread = person.unread().await.unwrap().count;
        assert_eq!(unread, feed.iter().filter(|one| !own(one)).count() as u64, "{when}: unread of {me}");
        let page = person.notifications(Paging::first(100)).await.unwrap();
        let index = |id: Id| self.people.iter().position(|person| person.id == id).unwrap();
        let news: Vec<_> = page
            .items
            .iter()
            .map(|one| (one.kind, index(one.actor.id), one.post.as_ref().map(|post| post.id)))
            .collect();
        assert_eq!(news, self.oracle.news(me), "{when}: news of {me}");
        assert_eq!(page.unread_count, news.len() as u64, "{when}: unread news of {me}");
        let found = person.search_users("p", Paging::first(100)).await.unwrap().items;
        let expected: Vec<&str> =
            (0..HANDLES.len()).filter(|one| !self.oracle.absent(*one)).map(|one| HANDLES[one]).collect();
        let found: Vec<&str> = found.iter().map(|user| user.handle.as_str()).collect();
        assert_eq!(found, expected, "{when}: search of {me}");
    }

    /// Profiles and their lists.
    async fn check_others(&self, viewer: &Client, me: Option<usize>) {
        let (oracle, when) = (&self.oracle, format!("{}: {me:?}", self.when));
        let plain = |post: &Said| post.reply_to.is_none() && !post.bare;
        let public = viewer.public_posts(Paging::first(100)).await.unwrap().items;
        assert_eq!(all_seen(&public), oracle.newest(Place::Elsewhere, plain), "{when}: the public timeline");
        for (one, handle) in HANDLES.iter().enumerate() {
            let id = self.people[one].id;
            if oracle.absent(one) {
                assert_eq!(refused(viewer.user(&id.to_string()).await), Code::NotFound, "{when}");
                assert_eq!(refused(viewer.user(&format!("@{handle}")).await), Code::NotFound, "{when}");
                assert_eq!(refused(viewer.posts_of(id, Paging::default()).await), Code::NotFound, "{when}");
                assert_eq!(refused(viewer.followers(id, Paging::default()).await), Code::NotFound, "{when}");
                continue;
            }
            let user = viewer.user(&id.to_string()).await.unwrap();
            let followers = oracle.people(|(from, to)| (*to == one).then_some(*from));
            let following = oracle.people(|(from, to)| (*from == one).then_some(*to));
            let counts = (user.followers_count, user.following_count);
            assert_eq!(counts, (followers.len() as u64, following.len() as u64), "{when}: counts of {one}");
            let index = |users: Vec<fanfare_protocol::User>| {
                users
                    .iter()
                    .map(|user| self.people.iter().position(|one| one.id == user.id).unwrap())
                    .collect::<Vec<_>>()
            };
            assert_eq!(index(viewer.followers(id, Paging::first(100)).await.unwrap().items), followers, "{when}");
            assert_eq!(index(viewer.following(id, Paging::first(100)).await.unwrap().items), following, "{when}");
            let place = if me == Some(one) { Place::Own } else { Place::Elsewhere };
            let listed = viewer.posts_of(id, Paging::first(100)).await.unwrap().items;
            assert_eq!(all_seen(&listed), oracle.newest(place, |post| post.author == one), "{when}: posts of {one}");
            assert_eq!(user.posts_count, listed.len() as u64, "{when}: posts of {one}");
        }
    }

    /// A post, its counts, its thread.
    async fn check_post(&self, at: usize) {
        let (anyone, oracle, when) = (&self.world.anyone, &self.oracle, &self.when);
        let Said { id, bare, .. } = oracle.posts[at];
        let Some(expected) = oracle.seen(at, Place::Elsewhere) else {
            assert_eq!(refused(anyone.post(id).await), Code::NotFound, "{when}: post {at}");
            assert_eq!(refused(anyone.thread(id).await), Code::NotFound, "{when}: post {at}");
            return;
        };
        let post = anyone.post(id).await.unwrap();
        assert_eq!(seen(&post), expected, "{when}: post {at}");
        if bare {
            return;
        }
        let counts = [post.like_count, post.reply_count, post.repost_count];
        assert_eq!(counts, oracle.counts_of_post(at), "{when}: counts of post {at}");
        let fans = anyone.likes(id, Paging::first(100)).await.unwrap().items.len() as u64;
        assert_eq!(fans, post.like_count, "{when}: who likes post {at}");
        let thread = anyone.thread(id).await.unwrap();
        let place = |at: usize| match oracle.absent(oracle.posts[at].author) {
            true => (oracle.posts[at].id, true),
            false => (oracle.posts[at].id, false),
        };
        let is = |one: &PostOrGone| match one {
            PostOrGone::Post(post) => (post.id, false),
            PostOrGone::Gone(gone) => (gone.id, gone.hidden && !gone.deleted),
        };
        let chain = std::iter::successors(oracle.posts[at].reply_to, |at| oracle.posts[*at].reply_to);
        let mut ancestors: Vec<_> = chain.map(place).collect();
        ancestors.reverse();
        assert_eq!(thread.ancestors.iter().map(is).collect::<Vec<_>>(), ancestors, "{when}: above post {at}");
        let answered = |at: usize| oracle.posts.iter().any(|post| post.reply_to == Some(at));
        let replies = (0..oracle.posts.len()).filter(|reply| oracle.posts[*reply].reply_to == Some(at));
        let replies: Vec<_> = replies
            .filter(|reply| !oracle.absent(oracle.posts[*reply].author) || answered(*reply))
            .map(place)
            .collect();
        assert_eq!(thread.replies.iter().map(is).collect::<Vec<_>>(), replies, "{when}: below post {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_everybody_sees_is_a_plain_look_at_who_is_suspended_now() {
    for seed in crate::world::seeds(2) {
        let (by_hand, now_ms) = clock();
        let world = World::at(by_hand, |settings| {
            settings.feed.timeline_cap = 3;
            settings.feed.recents_per_author = 2;
            settings.feed.push_below = 2;
            settings.feed.pull_above = 3;
            settings.feed.flip_interval_s = 0;
            settings.notifications.group_after = 1_000;
        })
        .await;
        let people = world.people(HANDLES).await.to_vec();
        let oracle = Oracle { now_ms, ..Oracle::default() };
        let mut story = Story { world, people, oracle, dice: Random::new(seed), when: String::new() };
        for round in 0..ROUNDS {
            story.when = format!("seed {seed}, round {round}");
            for _ in 0..STEPS {
                story.step().await;
            }
            if round % 4 == 3 {
                let mut people = std::mem::take(&mut story.people);
                story.world.restart(&mut people.iter_mut().collect::<Vec<_>>()).await;
                story.people = people;
            }
            story.check().await;
            // And by the clock alone, without anything that happens.
            story.oracle.now_ms += 1_000;
            story.world.set_clock(story.oracle.now_ms);
            story.check().await;
        }
        assert!(!ids(&story.world.anyone.public_posts(Paging::default()).await.unwrap().items).is_empty() || seed > 0);
        story.world.stop().await;
    }
}
