//! People and what they do to each other, for tests of several partitions: what they decide, and a plain model that
//! reads all logs once and knows of no partitions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Partition, RowKey, Table};
use fanfare_protocol::{Id, Mention, NotificationKind};

use crate::base::id::hour_of;
use crate::data::locks::LockKey;
use crate::data::rows::{Counters, OfPost, OfUser, PostRecord, PostRef, from_json, is_silent};
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::follows::service::pair;
use crate::log::events::{EndedFollow, Event, Notice, Record};
use crate::log::outcome::Outcome;
use crate::log::spread::Spread;
use crate::notifications::list::{Happened, ListEntry};
use crate::posts::service::{deletion, like_key};

pub(in crate::log) const PEOPLE: u64 = 8;

/// Records that count, of each partition's log.
pub(in crate::log) type Logs = BTreeMap<u16, Vec<(Record, Outcome)>>;
/// Rows, as somebody who decides reads them.
type Stored<'a> = &'a dyn Fn(&RowKey) -> Option<Bytes>;

/// Something that somebody wants to do, or to take back if it is done.
#[derive(Debug, Clone)]
pub(in crate::log) enum Intent {
    Follow(Id, Id),
    Block(Id, Id),
    Like(Id, PostRef),
    Delete(PostRecord),
    Publish(Id, Option<PostRef>, Way, Vec<Id>),
}

/// Way in which a post points at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) enum Way {
    Answers,
    Quotes,
    PassesOn,
    Not,
}

fn person(random: &mut Random) -> Id {
    Id(1_000 + random.below(PEOPLE) * 7)
}

impl Intent {
    /// Something of somebody, perhaps about one of the `posts`.
    pub(in crate::log) fn random(random: &mut Random, posts: &[PostRecord]) -> Option<Self> {
        let (one, other) = (person(random), person(random));
        let post = (!posts.is_empty()).then(|| posts[random.index(posts.len())].clone());
        let about = post.as_ref().map(|post| PostRef { id: post.id, author: post.author });
        match random.below(100) {
            0..30 if one != other => Some(Self::Follow(one, other)),
            30..40 if one != other => Some(Self::Block(one, other)),
            40..55 => about.map(|post| Self::Like(one, post)),
            55..65 => post.map(Self::Delete),
            _ => {
                let about = about.filter(|_| post.is_some_and(|post| !post.is_bare_repost()));
                let way = [Way::Answers, Way::Quotes, Way::PassesOn, Way::Not, Way::Not][random.index(5)];
                let mentions = (0..random.below(3)).map(|_| person(random)).collect();
                Some(Self::Publish(one, about, way, mentions))
            }
        }
    }

    /// Whoever does it.
    pub(in crate::log) const fn actor(&self) -> Id {
        match self {
            Self::Follow(one, _) | Self::Block(one, _) | Self::Like(one, _) | Self::Publish(one, ..) => *one,
            Self::Delete(post) => post.author,
        }
    }

    /// Locks under which it is decided.
    pub(in crate::log) fn locks(&self) -> Vec<LockKey> {
        match self {
            Self::Follow(one, other) => vec![pair(*one, *other), ("follower", one.0, 0)],
            Self::Block(one, other) => vec![pair(*one, *other), ("follower", one.0, 0), ("follower", other.0, 0)],
            Self::Like(one, post) => vec![like_key(*one, post.id)],
            Self::Delete(post) => vec![("post", post.id.0, 0)],
            Self::Publish(one, about, ..) => about.map(|of| ("repost", one.0, of.id.0)).into_iter().collect(),
        }
    }

    /// The event that it comes to by the rows that are stored; nothing if that changes nothing.
    pub(in crate::log) fn event(&self, spread: Spread, stored: Stored<'_>) -> Option<Event> {
        let has = |table, one, other| stored(&tables::pair(table, one, other)).is_some();
        let hides = |one, other| has(tables::BLOCKS, one, other) || has(tables::BLOCKED_BY, one, other);
        match self {
            Self::Follow(one, other) => match edge(stored, *one, *other) {
                Some(edge) => Some(Event::Unfollowed(edge)),
                None if hides(*one, *other) => None,
                None => Some(Event::Followed { follower: *one, followee: *other, notify: true, silent: false }),
            },
            Self::Block(one, other) => {
                let (blocker, blocked) = (*one, *other);
                if has(tables::BLOCKS, blocker, blocked) {
                    return Some(Event::Unblocked { blocker, blocked });
                }
                let mut ended: Vec<EndedFollow> = edge(stored, blocker, blocked).into_iter().collect();
                if spread.partition_of(blocker) == spread.partition_of(blocked) {
                    ended.extend(edge(stored, blocked, blocker));
                }
                Some(Event::Blocked { blocker, blocked, ended })
            }
            Self::Like(one, post) if stands(stored, post.id) => {
                let row = stored(&tables::pair(tables::LIKED, *one, post.id));
                match row.and_then(|row| Id::from_bytes(&row)) {
                    Some(since) => Some(Event::Unliked { user: *one, post: *post, since }),
                    None if hides(*one, post.author) => None,
                    None => Some(Event::Liked { user: *one, post: *post }),
                }
            }
            Self::Delete(post) if stands(stored, post.id) => Some(deletion(post, false)),
            Self::Publish(one, about, way, mentions) => {
                let about = about.filter(|post| stands(stored, post.id));
                let is_new = |of: &PostRef| !has(tables::REPOSTED, *one, of.id);
                Some(published(*one, about.filter(|of| *way != Way::PassesOn || is_new(of)), *way, mentions))
            }
            Self::Like(..) | Self::Delete(_) => None,
        }
    }
}

/// The follow of one person by another, if it stands.
pub(in crate::log) fn edge(stored: Stored<'_>, follower: Id, followee: Id) -> Option<EndedFollow> {
    let value = stored(&tables::pair(tables::FOLLOWS, follower, followee))?;
    let (since, silent) = (Id::from_bytes(&value)?, is_silent(&value));
    Some(EndedFollow { follower, followee, since, departed: None, silent })
}

fn stands(stored: Stored<'_>, post: Id) -> bool {
    let row = stored(&tables::by_id(tables::POSTS, post));
    row.is_some_and(|row| !from_json::<PostRecord>(&row).unwrap().deleted)
}

fn published(author: Id, about: Option<PostRef>, way: Way, mentions: &[Id]) -> Event {
    let mut post = PostRecord { author, text: "a".to_owned(), ..PostRecord::default() };
    match way {
        Way::Answers => post.reply_to = about,
        Way::Quotes => post.repost_of = about,
        Way::PassesOn if about.is_some() => (post.repost_of, post.text) = (about, String::new()),
        Way::PassesOn | Way::Not => {}
    }
    if !post.is_bare_repost() {
        post.mentions = mentions.iter().map(|id| Mention { id: *id, handle: "a".to_owned() }).collect();
    }
    let reply = post.reply_to.map(|of| (of.author, NotificationKind::Reply));
    let repost = post.repost_of.map(|of| (of.author, NotificationKind::Repost));
    let mentioned = post.mentions.iter().map(|mention| (mention.id, NotificationKind::Mention));
    let mut notify: Vec<Notice> = Vec::new();
    for (user, kind) in reply.into_iter().chain(repost).chain(mentioned) {
        if user != author && notify.iter().all(|known| known.user != user) {
            notify.push(Notice { user, kind });
        }
    }
    Event::Posted { post, notify }
}

/// Rows as an engine keeps them.
#[derive(Default)]
pub(in crate::log) struct Rows(pub(super) BTreeMap<RowKey, (u64, Option<Bytes>)>);

impl Rows {
    pub(in crate::log) fn write(&mut self, batch: Batch) {
        for row in batch.rows {
            let stored = self.0.entry(row.key).or_default();
            if row.version >= stored.0 {
                *stored = (row.version, row.value);
            }
        }
    }

    pub(in crate::log) fn get(&self, key: &RowKey) -> Option<Bytes> {
        self.0.get(key).and_then(|(_, value)| value.clone())
    }

    /// Rows of a table that are there.
    fn of(&self, table: Table) -> impl Iterator<Item = (&RowKey, &Bytes)> {
        let there = self.0.iter().filter_map(|(key, (_, value))| Some((key, value.as_ref()?)));
        there.filter(move |(key, _)| key.table == table)
    }

    /// Pairs of people, or of a person and a post, that a table says are there.
    fn pairs(&self, table: Table) -> BTreeSet<(Id, Id)> {
        let id = |bytes: &[u8]| Id::from_bytes(bytes).unwrap();
        self.of(table).map(|(key, _)| (id(&key.partition[..8]), id(&key.clustering))).collect()
    }

    /// Pairs of a table whose rows name the second in their value.
    fn pairs_by_value(&self, table: Table) -> BTreeSet<(Id, Id)> {
        let id = |bytes: &[u8]| Id::from_bytes(bytes).unwrap();
        self.of(table).map(|(key, value)| (id(&key.partition[..8]), id(value))).collect()
    }

    /// Counters that stand.
    pub(in crate::log) fn counters(&self, of: Of) -> Counters {
        self.get(&of.row()).map(|bytes| Counters::from_bytes(&bytes).unwrap()).unwrap_or_default()
    }
}

impl Rows {
    /// Keys and values of all rows that were written with versions, the last of each.
    pub(in crate::log) fn versioned(&self) -> impl Iterator<Item = (&RowKey, Option<&Bytes>)> {
        let versioned = self.0.iter().filter(|(_, (version, _))| *version > 0);
        versioned.map(|(key, (_, value))| (key, value.as_ref()))
    }
}

/// Person, kind, subject and hour of what is told together.
type Group = (Id, u8, Id, u32);

/// Truth of the logs, read once by somebody who knows of no partitions.
#[derive(Default)]
struct Model {
    follows: BTreeMap<(Id, Id), Id>,
    blocks: BTreeSet<(Id, Id)>,
    likes: BTreeMap<(Id, Id), Id>,
    gone: BTreeSet<Id>,
    /// Of each person, kind, subject and hour: who did it by which record.
    told: BTreeMap<Group, BTreeSet<(Id, Id)>>,
}

impl Model {
    fn read(spread: Spread, logs: &Logs) -> Self {
        let mut model = Self::default();
        // What each partition says of its own people needs no order between partitions.
        for (partition, log) in logs {
            for (record, _) in log {
                model.facts(spread, Partition(*partition), record);
            }
        }
        for log in logs.values() {
            for (record, _) in log {
                model.given(record);
            }
        }
        for log in logs.values() {
            for (record, _) in log {
                model.taken(record);
            }
        }
        model.told.retain(|_, doers| !doers.is_empty());
        model
    }

    fn facts(&mut self, spread: Spread, partition: Partition, record: &Record) {
        let is_here = |edge: &&EndedFollow| spread.partition_of(edge.follower) == partition;
        match record.event.told() {
            Event::Followed { follower, followee, .. } if record.event.actor().is_some() => {
                self.follows.insert((*follower, *followee), record.id);
            }
            Event::Unfollowed(edge) | Event::FollowRefused(edge) if is_here(&edge) => {
                self.follows.remove(&(edge.follower, edge.followee));
            }
            Event::Blocked { blocker, blocked, ended } => {
                for edge in ended.iter().filter(is_here) {
                    self.follows.remove(&(edge.follower, edge.followee));
                }
                if record.event.actor().is_some() {
                    self.blocks.insert((*blocker, *blocked));
                }
            }
            Event::Unblocked { blocker, blocked } if record.event.actor().is_some() => {
                self.blocks.remove(&(*blocker, *blocked));
            }
            Event::Liked { user, post } if record.event.actor().is_some() => {
                self.likes.insert((*user, post.id), record.id);
            }
            Event::Unliked { user, post, .. } if record.event.actor().is_some() => {
                self.likes.remove(&(*user, post.id));
            }
            Event::PostDeleted { post, .. } => drop(self.gone.insert(*post)),
            _ => {}
        }
    }

    fn given(&mut self, record: &Record) {
        let id = record.id;
        let mut give = |user, kind: NotificationKind, subject, actor| {
            self.told.entry((user, kind as u8, subject, hour_of(id))).or_default().insert((actor, id));
        };
        match &record.event {
            Event::Followed { follower, followee, .. } => give(*followee, NotificationKind::Follow, Id(0), *follower),
            Event::Liked { user, post } if *user != post.author => {
                give(post.author, NotificationKind::Like, post.id, *user);
            }
            Event::Posted { post, notify } => {
                for Notice { user, kind } in notify {
                    let subject = match kind {
                        NotificationKind::Reply => post.reply_to.unwrap().id,
                        NotificationKind::Repost => post.repost_of.unwrap().id,
                        _ => post.author,
                    };
                    give(*user, *kind, subject, post.author);
                }
            }
            _ => {}
        }
    }

    fn taken(&mut self, record: &Record) {
        let mut take = |since: Id| {
            for ((_, _, _, hour), doers) in &mut self.told {
                if *hour == hour_of(since) {
                    doers.retain(|(_, id)| *id != since);
                }
            }
        };
        match record.event.told() {
            Event::Unfollowed(edge) => take(edge.since),
            Event::Blocked { ended, .. } => ended.iter().for_each(|edge| take(edge.since)),
            Event::Unliked { since, .. } => take(*since),
            Event::PostDeleted { post, .. } => take(*post),
            _ => {}
        }
    }
}

/// Rows that are held against the model.
struct Look<'a> {
    spread: Spread,
    rows: &'a Rows,
    logs: &'a Logs,
    posts: Vec<PostRecord>,
}

/// Whether the rows are those of the model; an error is what is wrong.
pub(in crate::log) fn look(spread: Spread, rows: &Rows, logs: &Logs) -> Result<(), String> {
    let posted = |(record, _): &(Record, Outcome)| match &record.event {
        Event::Posted { post, .. } => Some(post.clone()),
        _ => None,
    };
    let posts = logs.values().flatten().filter_map(posted).collect();
    Look { spread, rows, logs, posts }.look()
}

/// People in a list of notifications, by kind.
type Listed = BTreeMap<(Id, u8), BTreeSet<Id>>;

impl Look<'_> {
    fn listed(&self) -> Listed {
        let mut listed = Listed::new();
        for (key, value) in self.rows.of(tables::NOTIFICATIONS) {
            let user = Id::from_bytes(&key.partition).unwrap();
            let Some(entry) = ListEntry::of(&key.clustering, value).unwrap() else { continue };
            match entry.what {
                Happened::One { actor, .. } | Happened::Chat { actor, .. } => {
                    listed.entry((user, entry.kind as u8)).or_default().insert(actor);
                }
                Happened::Group { item, .. } => {
                    let doers = listed.entry((user, entry.kind as u8)).or_default();
                    doers.extend(item.newest.iter().map(|doer| doer.actor));
                    doers.extend(item.known.iter().map(|known| known.actor));
                }
            }
        }
        listed
    }

    fn look(&self) -> Result<(), String> {
        let model = Model::read(self.spread, self.logs);
        let same = |what: &str, rows: BTreeSet<(Id, Id)>, told: BTreeSet<(Id, Id)>| {
            if rows == told { Ok(()) } else { Err(format!("{what}: rows {rows:?}, logs {told:?}")) }
        };
        let turned = |pairs: &BTreeSet<(Id, Id)>| pairs.iter().map(|(one, other)| (*other, *one)).collect();
        let follows: BTreeSet<(Id, Id)> = model.follows.keys().copied().collect();
        same("follows", self.rows.pairs(tables::FOLLOWS), follows.clone())?;
        same("followers", self.rows.pairs_by_value(tables::FOLLOWERS), turned(&follows))?;
        same("blocks", self.rows.pairs(tables::BLOCKS), model.blocks.clone())?;
        same("blocked by", self.rows.pairs(tables::BLOCKED_BY), turned(&model.blocks))?;
        if let Some(edge) = follows
            .iter()
            .find(|(one, other)| model.blocks.contains(&(*one, *other)) || model.blocks.contains(&(*other, *one)))
        {
            return Err(format!("a follow across a block: {edge:?}"));
        }
        for person in (0..PEOPLE).map(|number| Id(1_000 + number * 7)) {
            let counted = self.rows.counters(Of::User(person)).values;
            let followers = follows.iter().filter(|(_, followee)| *followee == person).count() as u64;
            let following = follows.iter().filter(|(follower, _)| *follower == person).count() as u64;
            let posts =
                self.posts.iter().filter(|post| post.author == person && !model.gone.contains(&post.id)).count() as u64;
            let found = [OfUser::Followers, OfUser::Following, OfUser::Posts].map(|one| counted[one as usize]);
            if found != [followers, following, posts] {
                return Err(format!("{person} counts {found:?}, logs {:?}", [followers, following, posts]));
            }
        }
        self.look_at_posts(&model)?;
        let mut told = Listed::new();
        for ((user, kind, _, _), doers) in &model.told {
            told.entry((*user, *kind)).or_default().extend(doers.iter().map(|(actor, _)| *actor));
        }
        let listed = self.listed();
        if listed == told { Ok(()) } else { Err(format!("notifications: rows {listed:?}, logs {told:?}")) }
    }

    fn look_at_posts(&self, model: &Model) -> Result<(), String> {
        let standing = || self.posts.iter().filter(|post| !model.gone.contains(&post.id));
        let (likers, replies, reposters) = (
            self.rows.pairs_by_value(tables::LIKERS),
            self.rows.pairs(tables::REPLIES),
            self.rows.pairs(tables::REPOSTERS),
        );
        for post in standing() {
            let likes: BTreeSet<(Id, Id)> =
                model.likes.keys().filter(|(_, liked)| *liked == post.id).map(|(user, _)| (post.id, *user)).collect();
            let rows: BTreeSet<(Id, Id)> = likers.iter().filter(|(of, _)| *of == post.id).copied().collect();
            let points = |to: Option<PostRef>| to.is_some_and(|to| to.id == post.id);
            let answers = standing().filter(|other| points(other.reply_to)).count() as u64;
            let passed_on = standing().filter(|other| points(other.repost_of)).count() as u64;
            let counted = self.rows.counters(Of::Post(post.id)).values;
            let found = [OfPost::Likes, OfPost::Replies, OfPost::Reposts].map(|one| counted[one as usize]);
            let right = [likes.len() as u64, answers, passed_on];
            if rows != likes || found != right {
                return Err(format!("post {} counts {found:?} and {rows:?}, logs {right:?} and {likes:?}", post.id));
            }
            let is_there = |other: &&PostRecord| {
                let of_answers = !points(other.reply_to) || replies.contains(&(post.id, other.id));
                let of_reposts =
                    !points(other.repost_of) || !other.is_bare_repost() || reposters.contains(&(post.id, other.id));
                of_answers && of_reposts
            };
            if let Some(missing) = standing().find(|other| !is_there(other)) {
                return Err(format!("{} points at {}, and no row says so", missing.id, post.id));
            }
        }
        Ok(())
    }
}
