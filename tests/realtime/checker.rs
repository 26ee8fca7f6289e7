//! The judge: what a history must not show. Pure; it says every breach, in words.
//!
//! For every device: no item of a stream lost, doubled or out of order as its application hears it; gaps and resets
//! only where something allows them, and whole again after the client's refetch; never an item that its reader may not
//! see. A post whose visibility changed after it was made may be there or not; nothing else is left open.

use std::collections::{BTreeSet, HashMap, HashSet};

use fanfare_client::realtime::REREAD_MAX;
use fanfare_protocol::{Gap, Id, NotificationKind, Stream};

use crate::history::{Act, Entry, Heard, History, Op, Tick};

/// Part of a history that one device has.
struct Device<'a> {
    history: &'a History,
    number: usize,
    owner: usize,
    entries: Vec<&'a Entry>,
}

/// Every breach in a history that has come to rest.
pub fn check(history: &History) -> Vec<String> {
    let mut breaches = missing(history);
    for number in 0..history.owners.len() {
        let device = Device::of(history, number);
        device.repeats(&mut breaches);
        device.order(&mut breaches);
        device.after_deletion(&mut breaches);
        device.strangers(&mut breaches);
        device.notices(&mut breaches);
        device.surprises(&mut breaches);
        device.unlisted(&mut breaches);
    }
    feeds(history, &mut breaches);
    breaches
}

/// Breaches by what has not arrived yet, or is lost if the history has come to rest.
pub fn missing(history: &History) -> Vec<String> {
    let mut breaches = Vec::new();
    for number in 0..history.owners.len() {
        Device::of(history, number).missing(&mut breaches);
    }
    breaches
}

/// The oracle and the server must agree about the end, or the checks mean nothing.
fn feeds(history: &History, breaches: &mut Vec<String>) {
    for (person, feed) in history.feeds.iter().enumerate() {
        let Some(feed) = feed else { continue };
        let feed: HashSet<&Id> = feed.iter().collect();
        for post in history.posts() {
            let visible = history.is_visible(person, &post, Tick::MAX);
            if history.answers_the_departed(&post) {
                continue;
            }
            if visible != feed.contains(&post.id) {
                breaches.push(format!("GET /v1/feed of {person}: {} expected {visible}", post.id));
            }
        }
    }
}

impl<'a> Device<'a> {
    fn of(history: &'a History, number: usize) -> Self {
        let entries = history.heard.iter().filter(|entry| entry.device == number).collect();
        Self { history, number, owner: history.owners[number], entries }
    }

    fn breach(&self, breaches: &mut Vec<String>, what: &str) {
        breaches.push(format!("device {} of person {}: {what}", self.number, self.owner));
    }

    /// Tick of the first connection: what is made after that must reach it.
    fn opened(&self) -> Option<Tick> {
        self.entries.iter().find(|entry| matches!(entry.heard, Heard::Opened { .. })).map(|entry| entry.tick)
    }

    /// Posts that the application has, and deletions that it heard of: since it last forgot the stream.
    fn held(&self) -> (BTreeSet<Id>, BTreeSet<Id>) {
        let (mut posts, mut deleted) = (BTreeSet::new(), BTreeSet::new());
        for entry in &self.entries {
            match &entry.heard {
                Heard::Post { id, .. } => drop(posts.insert(*id)),
                Heard::Deleted { post, .. } => drop(deleted.insert(*post)),
                Heard::Departed { user, .. } => posts.retain(|post| self.author(*post) != Some(*user)),
                Heard::Reset(reset) if reset.streams.contains(&Stream::Posts) => {
                    posts.clear();
                    deleted.clear();
                }
                _ => {}
            }
        }
        (posts, deleted)
    }

    fn author(&self, post: Id) -> Option<Id> {
        self.history.post(post).map(|post| self.history.people[post.author])
    }

    /// Of an account that was deleted while the reader followed it, nothing is shown any more.
    fn shows_departed(&self, posts: &BTreeSet<Id>, breaches: &mut Vec<String>) {
        for op in self.history.ops.iter().filter(|op| op.happened && op.act == Act::Leave) {
            if !self.history.follows_at(self.owner, op.who, op) {
                continue;
            }
            for post in posts.iter().filter(|post| self.author(**post) == Some(self.history.people[op.who])) {
                self.breach(breaches, &format!("shows post {post} of {}, whose account is gone", op.who));
            }
        }
    }

    fn missing(&self, breaches: &mut Vec<String>) {
        let Some(opened) = self.opened() else {
            return self.breach(breaches, "never connected");
        };
        let (posts, deleted) = self.held();
        self.shows_departed(&posts, breaches);
        let was_reset = self.entries.iter().any(|entry| matches!(entry.heard, Heard::Reset(_)));
        // After a reset only so many are read anew; older ones are for whoever scrolls.
        let floor = posts.first().copied().filter(|_| was_reset && posts.len() >= REREAD_MAX).unwrap_or_default();
        for post in self.history.posts().filter(|post| post.op.started > opened && post.id > floor) {
            let steady = self.history.touched(self.owner, &post, post.op.started, true).is_none();
            let must = steady && self.history.is_visible(self.owner, &post, post.op.started);
            if must && !posts.contains(&post.id) {
                self.breach(breaches, &format!("lost post {} of {}", post.id, post.author));
            }
        }
        for op in self.history.ops.iter().filter(|op| op.happened) {
            let Act::Delete(id) = op.act else { continue };
            let Some(post) = self.history.post(id).filter(|post| posts.contains(&post.id)) else { continue };
            let steady = self.history.touched(self.owner, &post, post.op.started, false).is_none();
            let must = steady && self.history.is_visible(self.owner, &post, post.op.started);
            if must && !deleted.contains(&id) {
                self.breach(breaches, &format!("lost the deletion of post {id}, which it shows"));
            }
        }
    }

    /// Nothing is heard twice, unless the application was told to forget or forgot by itself.
    fn repeats(&self, breaches: &mut Vec<String>) {
        let mut heard: HashMap<Stream, HashSet<String>> = HashMap::new();
        for entry in &self.entries {
            let (stream, key) = match &entry.heard {
                Heard::Post { id, .. } => (Stream::Posts, id.to_string()),
                Heard::Deleted { key, .. } => (Stream::Posts, format!("deletion {key}")),
                Heard::Departed { key, .. } => (Stream::Posts, format!("departure {key}")),
                Heard::Notice { id, .. } => (Stream::Notifications, id.to_string()),
                Heard::Reset(reset) => {
                    for stream in &reset.streams {
                        heard.remove(stream);
                    }
                    continue;
                }
                Heard::Restarted => {
                    heard.clear();
                    continue;
                }
                _ => continue,
            };
            if !heard.entry(stream).or_default().insert(key.clone()) {
                self.breach(breaches, &format!("{key} is doubled (at {})", entry.tick));
            }
        }
    }

    /// Checks that what is pushed comes in the order of ids, but for what became visible later than it was made, what a
    /// gap left to the application to fetch, what was there before a reset, and what an application that was started
    /// again has.
    fn order(&self, breaches: &mut Vec<String>) {
        let mut newest: HashMap<&str, Id> = HashMap::new();
        let (mut heard, mut stored) = (HashSet::new(), HashSet::new());
        let (mut gaps, mut forgotten): (Vec<&Gap>, Id) = (Vec::new(), Id(0));
        for entry in &self.entries {
            let (what, stream, key, excused) = match &entry.heard {
                Heard::Post { id, pushed: true } => ("post", Stream::Posts, *id, self.became_visible(*id, entry.tick)),
                Heard::Deleted { key, post } => {
                    let key = key.parse().unwrap_or_default();
                    ("deletion", Stream::Posts, key, self.became_visible(*post, entry.tick))
                }
                Heard::Departed { key, .. } => ("departure", Stream::Posts, key.parse().unwrap_or_default(), false),
                Heard::Notice { id, actor, pushed: true, .. } => {
                    let actor = self.history.person(*actor);
                    let changed = actor.and_then(|actor| self.history.hiding_touched(self.owner, actor, 0));
                    ("notification", Stream::Notifications, *id, changed.is_some())
                }
                Heard::Gap(gap) => {
                    gaps.push(gap);
                    continue;
                }
                Heard::Reset(_) => {
                    // The overlap of a later session may reach below what was read anew.
                    forgotten = newest.drain().map(|(_, id)| id).chain([forgotten]).max().unwrap_or_default();
                    continue;
                }
                Heard::Restarted => {
                    newest.clear();
                    stored.clone_from(&heard);
                    continue;
                }
                _ => continue,
            };
            heard.insert(key);
            let fetched = gaps.iter().any(|gap| gap.stream == stream && gap.after < key && key < gap.before);
            let before = newest.entry(what).or_default();
            if key < *before && key > forgotten && !excused && !fetched && !stored.contains(&key) {
                self.breach(breaches, &format!("{what} {key} comes after {before} (at {})", entry.tick));
            }
            *before = key.max(*before);
        }
    }

    fn became_visible(&self, id: Id, by: Tick) -> bool {
        let Some(post) = self.history.post(id) else { return false };
        self.history.touched(self.owner, &post, post.op.started, false).is_some_and(|touched| touched < by)
    }

    /// A post never comes after the news that it, or its author, is gone.
    fn after_deletion(&self, breaches: &mut Vec<String>) {
        let (mut gone, mut departed) = (HashSet::new(), HashSet::new());
        for entry in &self.entries {
            match &entry.heard {
                Heard::Deleted { post, .. } => drop(gone.insert(*post)),
                Heard::Post { id, .. } if gone.contains(id) => {
                    self.breach(breaches, &format!("post {id} comes after its deletion (at {})", entry.tick));
                }
                Heard::Departed { user, .. } => drop(departed.insert(*user)),
                Heard::Post { id, .. } if self.author(*id).is_some_and(|author| departed.contains(&author)) => {
                    self.breach(breaches, &format!("post {id} comes after its author left (at {})", entry.tick));
                }
                Heard::Reset(_) | Heard::Restarted => gone.clear(),
                _ => {}
            }
        }
    }

    /// Nothing that nobody did, and no post that the reader could not see at any time up to then.
    fn strangers(&self, breaches: &mut Vec<String>) {
        for entry in &self.entries {
            match &entry.heard {
                Heard::Post { id, .. } => {
                    let Some(post) = self.history.post(*id) else {
                        // A repost is answered 410 when its original went while it was made; it was made all the same.
                        let lost_race = |op: &Op| {
                            matches!(op.act, Act::Post { repost_of: Some(_), .. }) && op.ended.is_some() && !op.happened
                        };
                        if self.history.ops.iter().any(|op| lost_race(op) && op.started < entry.tick) {
                            continue;
                        }
                        self.breach(breaches, &format!("post {id} is nobody's"));
                        continue;
                    };
                    let since = post.op.started;
                    let touched = self.history.touched(self.owner, &post, since, false);
                    let open = touched.is_some_and(|touched| touched < entry.tick);
                    if !open && !self.history.is_visible(self.owner, &post, since) {
                        self.breach(breaches, &format!("post {id} is not for this reader (at {})", entry.tick));
                    }
                }
                Heard::Deleted { post, .. } => {
                    let deleted = |op: &Op| op.act == Act::Delete(*post) && op.started < entry.tick && op.happened;
                    if !self.history.ops.iter().any(deleted) {
                        self.breach(breaches, &format!("post {post} is said to be deleted and is not"));
                    }
                }
                Heard::Departed { user, .. } => {
                    let leaves = |op: &&Op| {
                        let theirs = self.history.people[op.who] == *user && op.act == Act::Leave;
                        theirs && op.started < entry.tick && op.happened
                    };
                    match self.history.ops.iter().find(leaves) {
                        None => self.breach(breaches, &format!("{user} is said to have left and has not")),
                        Some(op) if !self.history.may_follow_at(self.owner, op.who, op) => {
                            self.breach(breaches, &format!("that {} left is not for this reader", op.who));
                        }
                        Some(_) => {}
                    }
                }
                _ => {}
            }
        }
    }

    /// Every notification is of something that somebody did to the reader, and whom the reader did not hide then.
    fn notices(&self, breaches: &mut Vec<String>) {
        for entry in &self.entries {
            let Heard::Notice { id, kind, actor, post, .. } = entry.heard else { continue };
            let Some(actor) = self.history.person(actor) else {
                self.breach(breaches, &format!("notification {id} is by nobody here"));
                continue;
            };
            let gives = |op: &&Op| op.who == actor && op.started < entry.tick && self.gives(op, kind, post);
            let causes: Vec<&Op> = self.history.ops.iter().filter(gives).collect();
            let hidden = |op: &&Op| {
                let touched = self.history.hiding_touched(self.owner, actor, op.started);
                self.history.hides(self.owner, actor, op.started) && touched.is_none_or(|at| at > entry.tick)
            };
            if causes.is_empty() {
                self.breach(breaches, &format!("notification {id} ({kind:?}) is of nothing that happened"));
            } else if causes.iter().all(hidden) {
                self.breach(breaches, &format!("notification {id} is by {actor}, whom the reader hides"));
            }
        }
    }

    fn gives(&self, op: &Op, kind: NotificationKind, about: Option<Id>) -> bool {
        match (&op.act, kind) {
            (Act::Follow(whom, true), NotificationKind::Follow) => *whom == self.owner,
            (Act::Like(target, true), NotificationKind::Like) => {
                target.author == self.owner && about == Some(target.post)
            }
            (Act::Post { reply_to: Some(to), .. }, NotificationKind::Reply) => {
                to.author == self.owner && op.made.is_none_or(|made| about == Some(made))
            }
            (Act::Post { repost_of: Some(of), .. }, NotificationKind::Repost) => {
                of.author == self.owner && op.made.is_none_or(|made| about == Some(made))
            }
            _ => false,
        }
    }

    /// Gaps, resets and sessions that do not resume need a reason.
    fn surprises(&self, breaches: &mut Vec<String>) {
        let (mut may_reset, mut open) = (false, false);
        let mut gaps: HashSet<Stream> = HashSet::new();
        for entry in &self.entries {
            match &entry.heard {
                Heard::MayReset => may_reset = true,
                Heard::MayGap(stream) => drop(gaps.insert(*stream)),
                Heard::Opened { resumed, .. } => {
                    if open && !resumed && !may_reset {
                        self.breach(breaches, &format!("a session did not resume (at {})", entry.tick));
                    }
                    open = true;
                }
                Heard::Gap(gap) => {
                    if !gaps.contains(&gap.stream) {
                        self.breach(breaches, &format!("a gap without a reason: {gap:?} (at {})", entry.tick));
                    }
                    if gap.after >= gap.before || gap.count == 0 || gap.count > 1_000 {
                        self.breach(breaches, &format!("a gap of nonsense: {gap:?}"));
                    }
                }
                Heard::Reset(reset) if !may_reset => {
                    self.breach(breaches, &format!("a reset without a reason: {reset:?} (at {})", entry.tick));
                }
                _ => {}
            }
        }
    }

    /// Checks that what the server lists in the end was heard of.
    fn unlisted(&self, breaches: &mut Vec<String>) {
        let Some(Some(listed)) = self.history.notifications.get(self.owner) else { return };
        let mut heard: HashSet<Id> = HashSet::new();
        for entry in &self.entries {
            match &entry.heard {
                Heard::Notice { id, .. } => drop(heard.insert(*id)),
                Heard::Before(ids) => heard.extend(ids),
                // Forgotten; what was listed before is in the refetch too.
                Heard::Reset(reset) if reset.streams.contains(&Stream::Notifications) => heard.clear(),
                _ => {}
            }
        }
        for item in listed {
            let hidden =
                self.history.person(item.actor).and_then(|actor| self.history.hiding_touched(self.owner, actor, 0));
            if hidden.is_none() && !heard.contains(&item.id) {
                self.breach(breaches, &format!("lost notification {}", item.id));
            }
        }
    }
}
