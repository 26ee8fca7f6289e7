//! Rows of posts and likes, made of records, and the counters of posts and authors. Pure.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::public;
use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::data::deletions::{self, Deletion};
use crate::data::rows::{
    OfPost, OfUser, PostRecord, PostRef, entry_value, from_json, kind_of, timeline_value, to_json,
};
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::log::counters::{self, Changes};
use crate::log::events::{Event, Record};
use crate::log::fold::{Fold, State};
use crate::log::outcome::{Outcome, OutcomePart};
use crate::log::product::Prepare;
use crate::log::spread::{Share, Spread};

/// Name of the part of outcomes.
const PART: &str = "u";

/// Posts and likes.
#[derive(Debug, Default, Clone, Copy)]
pub struct PostFold {
    /// Partitions of people.
    pub spread: Spread,
}

/// Posts that are gone and of which something is left to be done.
#[derive(Debug, Serialize, Deserialize)]
struct Unsettled(SmallVec<[Id; 2]>);

impl Prepare for PostFold {
    /// A post has the id of its record, and tells who is notified of it.
    fn prepare(&self, record: &mut Record, _state: &State) -> Result<()> {
        if let Event::Posted { post, notify } = &mut record.event {
            post.id = record.id;
            post.told = notify.iter().map(|notice| notice.user).collect();
        }
        Ok(())
    }
}

impl Fold for PostFold {
    fn part(&self) -> Option<&'static str> {
        Some(PART)
    }

    fn counts(&self, event: &Event, changes: &mut Changes) {
        let share = self.spread.share(event);
        match event.told() {
            Event::Posted { post, .. } => {
                changes.user(post.author, OfUser::Posts, 1);
                points_at(changes, share, (post.reply_to, post.repost_of), 1);
            }
            Event::Referred { reply_to, repost_of, .. } => points_at(changes, share, (*reply_to, *repost_of), 1),
            Event::PostDeleted { post, author, reply_to, repost_of, bare_repost, .. } => {
                let is_here = share.holds(*author);
                if is_here {
                    changes.user(*author, OfUser::Posts, -1);
                }
                points_at(changes, share, (*reply_to, *repost_of), -1);
                // Nothing points at a bare repost.
                if is_here && !bare_repost {
                    changes.gone(*post);
                }
            }
            Event::Liked { post, .. } if share.holds(post.author) => changes.post(post.id, OfPost::Likes, 1),
            Event::Unliked { post, .. } if share.holds(post.author) => changes.post(post.id, OfPost::Likes, -1),
            _ => {}
        }
    }

    fn fold(&self, record: &Record, state: &State, outcome: &mut Outcome) -> Result<()> {
        let posts = unsettled(record.event.told(), self.spread.share(&record.event), state)?;
        if !posts.is_empty() {
            outcome.add(PART, Arc::new(Unsettled(posts)));
        }
        Ok(())
    }

    fn read(&self, _record: &Record, part: &str) -> Result<Arc<dyn OutcomePart>> {
        Ok(Arc::new(from_json::<Unsettled>(part.as_bytes())?))
    }

    fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        let (id, version) = (record.known_as(), record.id.0);
        let share = self.spread.share(&record.event);
        match record.event.told() {
            Event::Posted { post, .. } => posted(post, id, share, batch)?,
            Event::Referred { author, reply_to, repost_of, bare_repost, .. } => {
                answers(share, (id, *author), *reply_to, version, batch);
                passes_on(share, (id, *author), repost_of.filter(|_| *bare_repost), version, batch);
            }
            Event::PostDeleted { .. } => deleted(record, share, batch)?,
            Event::Liked { user, post } => {
                if share.holds(post.author) {
                    batch.put_versioned(tables::pair(tables::LIKERS, post.id, id), tables::partition(*user), version);
                }
                if share.holds(*user) {
                    batch.put_versioned(tables::pair(tables::LIKED, *user, post.id), tables::partition(id), version);
                    interaction(*user, post.author, id, batch);
                }
            }
            Event::Unliked { user, post, since } => {
                // Of a post that nobody can read any more it is not known whose it was.
                if share.holds(post.author) {
                    batch.delete_versioned(tables::pair(tables::LIKERS, post.id, *since), version);
                }
                if share.holds(*user) {
                    batch.delete_versioned(tables::pair(tables::LIKED, *user, post.id), version);
                    batch.delete_versioned(tables::pair(tables::INTERACTIONS, *user, *since), version);
                }
            }
            _ => return Ok(()),
        }
        for post in outcome.part::<Unsettled>().into_iter().flat_map(|unsettled| &unsettled.0) {
            // With what its source leaves: whoever follows that up finds both.
            batch.put(tables::unsettled_row(id, *post), Bytes::new());
        }
        Ok(())
    }
}

/// Counts what a post that answers and passes on adds to those which are here, or takes off them.
fn points_at(changes: &mut Changes, share: Share, (reply_to, repost_of): (Option<PostRef>, Option<PostRef>), by: i64) {
    if let Some(parent) = reply_to.filter(|parent| share.holds(parent.author)) {
        changes.post(parent.id, OfPost::Replies, by);
    }
    if let Some(original) = repost_of.filter(|original| share.holds(original.author)) {
        changes.post(original.id, OfPost::Reposts, by);
    }
}

/// Posts that are gone and about which an event leaves something to be done: a post that it deletes, if it was liked,
/// passed on, or an answer; and one that it answers, likes, passes on, or no longer answers, where that was deleted
/// before. Whoever decided may not have known.
fn unsettled(event: &Event, share: Share, state: &State) -> Result<SmallVec<[Id; 2]>> {
    let mut found = SmallVec::new();
    let pointed_at = match event {
        Event::Posted { post, .. } => [post.reply_to, post.repost_of.filter(|_| post.is_bare_repost())],
        Event::Referred { reply_to, repost_of, bare_repost, .. } => [*reply_to, repost_of.filter(|_| *bare_repost)],
        Event::PostDeleted { post, author, reply_to, bare_repost: false, .. } => {
            // Of most that are deleted nothing follows.
            if share.holds(*author) {
                let [likes, _, reposts] = counters::of(Of::Post(*post), state)?.values;
                if reply_to.is_some() || likes > 0 || reposts > 0 {
                    found.push(*post);
                }
            }
            [*reply_to, None]
        }
        Event::Liked { post, .. } => [Some(*post), None],
        _ => return Ok(found),
    };
    for other in pointed_at.into_iter().flatten().filter(|other| share.holds(other.author)) {
        if counters::of(Of::Post(other.id), state)?.gone {
            found.push(other.id);
        }
    }
    Ok(found)
}

fn posted(post: &PostRecord, id: Id, share: Share, batch: &mut Batch) -> Result<()> {
    let version = id.0;
    let (kind, related) = kind_of(post);
    let value = entry_value(kind, related);
    let timeline = timeline_value(kind, related, post.author);
    batch.put_versioned(tables::by_id(tables::POSTS, id), to_json(post)?, version);
    batch.put_versioned(tables::bucketed_row(tables::AUTHOR_POSTS, post.author, id), value, version);
    batch.put_versioned(tables::timeline_row(id), timeline, version);
    if public::shows(post) {
        batch.put_versioned(tables::public_row(id), Bytes::new(), version);
    }
    put_once(tables::bucket_row(tables::bucket_of(id)), batch);
    if let Some(parent) = post.reply_to {
        answers(share, (id, post.author), post.reply_to, version, batch);
        interaction(post.author, parent.author, id, batch);
    }
    if let Some(original) = post.repost_of {
        if post.is_bare_repost() {
            let row = tables::pair(tables::REPOSTED, post.author, original.id);
            batch.put_versioned(row, tables::partition(id), version);
            passes_on(share, (id, post.author), Some(original), version, batch);
        }
        interaction(post.author, original.author, id, batch);
    }
    Ok(())
}

/// Row of an answer, a post and its author, among those to a post that is here.
fn answers(share: Share, (post, author): (Id, Id), parent: Option<PostRef>, version: u64, batch: &mut Batch) {
    if let Some(parent) = parent.filter(|parent| share.holds(parent.author)) {
        batch.put_versioned(tables::pair(tables::REPLIES, parent.id, post), tables::partition(author), version);
    }
}

/// Row of a bare repost and its author among those of a post that is here.
fn passes_on(share: Share, (post, author): (Id, Id), original: Option<PostRef>, version: u64, batch: &mut Batch) {
    if let Some(original) = original.filter(|original| share.holds(original.author)) {
        batch.put_versioned(tables::pair(tables::REPOSTERS, original.id, post), tables::partition(author), version);
    }
}

/// Adds a row without a value, unless a post shortly before in this commit has brought it: nearly all do.
fn put_once(row: RowKey, batch: &mut Batch) {
    /// Rows that a post and its notices make, about.
    const SHORTLY: usize = 16;
    let before = batch.rows.iter().rev().take(SHORTLY);
    if !before.into_iter().any(|brought| brought.key == row) {
        batch.put(row, Bytes::new());
    }
}

/// The tombstone, what sessions that come back hear of, and the rows that go.
fn deleted(record: &Record, share: Share, batch: &mut Batch) -> Result<()> {
    let (id, version) = (record.id, record.id.0);
    let Event::PostDeleted { post, author, reply_to, repost_of, bare_repost, purged, .. } = record.event.told() else {
        return Ok(());
    };
    let (post, author, bare_repost) = (*post, *author, *bare_repost);
    let is_here = share.holds(author);
    if is_here {
        let tombstone = PostRecord::tombstone(post, author, *reply_to);
        batch.put_versioned(tables::by_id(tables::POSTS, post), to_json(&tombstone)?, version);
        if !purged {
            deletions::keep(Deletion { id, post, author }, batch);
        }
        batch.delete_versioned(tables::bucketed_row(tables::AUTHOR_POSTS, author, post), version);
        batch.delete_versioned(tables::timeline_row(post), version);
        if public::belongs(reply_to.is_some(), bare_repost) {
            batch.delete_versioned(tables::public_row(post), version);
        }
    }
    // Its row among the replies stays while it is answered, which nobody knows here.
    if let (Some(original), true) = (repost_of, bare_repost) {
        if is_here {
            batch.delete_versioned(tables::pair(tables::REPOSTED, author, original.id), version);
        }
        if share.holds(original.author) {
            batch.delete_versioned(tables::pair(tables::REPOSTERS, original.id, post), version);
        }
    }
    if is_here && (reply_to.is_some() || repost_of.is_some()) {
        batch.delete_versioned(tables::pair(tables::INTERACTIONS, author, post), version);
    }
    if is_here && !bare_repost {
        // Until then they tell what comes late that the post is gone.
        let counters = tables::by_id(tables::POST_COUNTERS, post);
        batch.put(tables::expiry_row(hour_of(id) + 2, &counters), Bytes::new());
    }
    Ok(())
}

fn interaction(user: Id, author: Id, id: Id, batch: &mut Batch) {
    if user != author {
        batch.put_versioned(tables::pair(tables::INTERACTIONS, user, id), tables::partition(author), id.0);
    }
}
