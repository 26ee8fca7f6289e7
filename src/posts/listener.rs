//! Listener of the posts: the caches of posts and marks, who deleted lately, and what absent people add to counts,
//! follow the commits.

use std::sync::Arc;

use fanfare_protocol::Id;

use crate::data::rows::PostRecord;
use crate::data::store::Store;
use crate::data::uncounted::{CountChange, of_like, of_post, of_repost};
use crate::log::events::{Event, Record};
use crate::log::product::{Committed, Listener};
use crate::posts::public;

/// Keeps what memory knows of posts true.
pub struct PostListener(pub Arc<Store>);

impl Listener for PostListener {
    fn committed(&self, committed: &[Committed], _horizon: Id) {
        committed.iter().for_each(|one| self.heard(&one.record));
    }
}

impl PostListener {
    fn heard(&self, record: &Record) {
        let store = &self.0;
        store.uncounted.apply(|| contributions(record));
        match &record.event {
            Event::Posted { post, .. } => {
                if public::shows(post) {
                    store.public.made(record.id);
                }
                store.post_changed(post.clone());
                if post.is_bare_repost() {
                    store.marks_changed(post.author);
                }
            }
            Event::PostDeleted { post, author, reply_to, bare_repost, purged, .. } => {
                store.public.gone(*post);
                store.post_changed(PostRecord::tombstone(*post, *author, *reply_to));
                if !purged {
                    store.deletions.heard(*author, record.id);
                }
                if *bare_repost {
                    store.marks_changed(*author);
                }
            }
            Event::Liked { user, .. } | Event::Unliked { user, .. } => store.marks_changed(*user),
            _ => {}
        }
    }
}

/// Contributions to counts that a record about a post adds and takes back: of who likes, answers or passes on, and of
/// whom a bare repost passes on.
pub fn contributions(record: &Record) -> impl Iterator<Item = CountChange> {
    let liked = match &record.event {
        Event::Liked { user, post } => Some((*user, of_like(post.id), true)),
        Event::Unliked { user, post, .. } => Some((*user, of_like(post.id), false)),
        _ => None,
    };
    let pointing = match &record.event {
        Event::Posted { post, .. } => {
            Some((post.author, record.id, post.reply_to, post.repost_of, post.is_bare_repost(), true))
        }
        Event::PostDeleted { post, author, reply_to, repost_of, bare_repost, .. } => {
            Some((*author, *post, *reply_to, *repost_of, *bare_repost, false))
        }
        _ => None,
    };
    let pointing = pointing.into_iter().flat_map(|(author, post, reply_to, repost_of, bare, there)| {
        let (parent, original) = (reply_to.map(|to| to.id), repost_of.map(|of| of.id));
        let through = repost_of.filter(|_| bare).and_then(|original| of_repost(post, author, original));
        let own = of_post(post, parent, original).map(move |one| (author, one));
        own.chain(through).map(move |(person, one)| (person, one, there))
    });
    liked.into_iter().chain(pointing)
}
