//! Feeds by brute force: read straight from the rows, with nothing of the read path but the documented rules.

use futures_util::future::BoxFuture;
use std::collections::{BTreeSet, HashMap};

use fanfare_engines::{KeyRange, Order, RowKey, Table};
use fanfare_protocol::Id;

use crate::app::App;
use crate::base::error::{Error, Result};
use crate::data::rows::{UserRow, from_json};
use crate::data::tables;
use crate::feed::PageQuery;
use crate::log::events::PostRecord;

/// Rows asked for at once.
const STEP: usize = 1_000;

/// A feed that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Person whose feed it is.
    pub reader: Id,
    /// In the pull query, not in the feed.
    pub missing: Vec<Id>,
    /// In the feed, not in the pull query.
    pub extra: Vec<Id>,
    /// Whether the posts are not in descending order, or one comes twice.
    pub disordered: bool,
}

/// Compares one reader's whole feed, page by page, with the pull query; answers its depth, and the difference if any.
///
/// # Errors
/// When storage fails.
pub fn compare(app: &App, reader: Id, page: usize) -> BoxFuture<'_, Result<(usize, Option<Difference>)>> {
    Box::pin(async move {
        let expected = Brute { app }.feed(reader).await?;
        let mut found = Vec::new();
        let mut before = None;
        loop {
            let page = app.feed().page(reader, PageQuery { before, since: None, limit: page }).await?;
            found.extend(page.entries.iter().map(|entry| entry.id));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        if found == expected {
            return Ok((expected.len(), None));
        }
        let (wanted, got): (BTreeSet<Id>, BTreeSet<Id>) =
            (expected.iter().copied().collect(), found.iter().copied().collect());
        let difference = Difference {
            reader,
            missing: wanted.difference(&got).copied().collect(),
            extra: got.difference(&wanted).copied().collect(),
            disordered: found.windows(2).any(|pair| pair[0] <= pair[1]),
        };
        Ok((expected.len(), Some(difference)))
    })
}

/// The pull query over rows.
struct Brute<'a> {
    app: &'a App,
}

impl Brute<'_> {
    async fn ids(&self, table: Table, partition: &[u8]) -> Result<Vec<Id>> {
        let store = &self.app.core().store;
        let mut ids: Vec<Id> = Vec::new();
        let mut from = None;
        loop {
            let range = KeyRange { from, to: None };
            let rows = store.scan(table, partition, range, Order::Ascending, STEP).await?;
            ids.extend(rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)));
            match ids.last() {
                Some(last) if rows.len() == STEP => from = Some(tables::partition(Id(last.0 + 1))),
                _ => return Ok(ids),
            }
        }
    }

    async fn set(&self, table: Table, of: Id) -> Result<BTreeSet<Id>> {
        Ok(self.ids(table, &tables::partition(of)).await?.into_iter().collect())
    }

    async fn post(&self, id: Id) -> Result<Option<PostRecord>> {
        let row = self.app.core().store.get(&RowKey::single(tables::POSTS, tables::partition(id))).await?;
        let post: Option<PostRecord> = row.map(|bytes| from_json(&bytes)).transpose()?;
        Ok(post.filter(|post| !post.deleted))
    }

    async fn exists(&self, person: Id) -> Result<bool> {
        let row = self.app.core().store.get(&RowKey::single(tables::USERS, tables::partition(person))).await?;
        let user: Option<UserRow> = row.map(|bytes| from_json(&bytes)).transpose()?;
        Ok(user.is_some_and(|user| !user.deleted))
    }

    /// Everything the reader should see, newest first.
    async fn feed(&self, reader: Id) -> Result<Vec<Id>> {
        let followees = self.set(tables::FOLLOWS, reader).await?;
        let muted = self.set(tables::MUTES, reader).await?;
        let mut blocked = self.set(tables::BLOCKS, reader).await?;
        blocked.extend(self.set(tables::BLOCKED_BY, reader).await?);
        let mut alive: HashMap<Id, bool> = HashMap::new();
        let mut seen = Vec::new();
        for author in followees.iter().copied().chain([reader]) {
            if !self.exists(author).await?
                || (author != reader && (muted.contains(&author) || blocked.contains(&author)))
            {
                continue;
            }
            for bucket in 0..=u16::from(u8::MAX) {
                for id in self.ids(tables::AUTHOR_POSTS, &tables::bucketed(author, bucket)).await? {
                    let Some(post) = self.post(id).await? else { continue };
                    if let Some(parent) = post.reply_to {
                        let known =
                            parent.author == author || parent.author == reader || followees.contains(&parent.author);
                        if !known {
                            continue;
                        }
                    }
                    if let Some(original) = post.repost_of {
                        let by_hidden = muted.contains(&original.author) || blocked.contains(&original.author);
                        let there = match alive.get(&original.id) {
                            Some(there) => *there,
                            None => self.post(original.id).await?.is_some() && self.exists(original.author).await?,
                        };
                        alive.insert(original.id, there);
                        // Words of one's own, and a place in a thread, stay when what they are about goes.
                        let is_bare = post.text.is_empty() && post.media.is_empty() && post.reply_to.is_none();
                        if is_bare && (by_hidden || !there) {
                            continue;
                        }
                    }
                    seen.push(id);
                }
            }
        }
        seen.sort_unstable_by(|one, other| other.cmp(one));
        Ok(seen)
    }
}

/// `count` of `people`, chosen by a fixed seed: the same on every run over the same people.
///
/// # Errors
/// When there is nobody.
pub fn sample(mut people: Vec<(u64, Id)>, count: usize) -> Result<Vec<Id>> {
    if people.is_empty() {
        return Err(Error::Internal("there is nobody to verify".to_owned()));
    }
    people.sort_unstable_by_key(|(external, _)| external.wrapping_add(7).wrapping_mul(0xd134_2543_de82_ef95));
    Ok(people.into_iter().take(count).map(|(_, id)| id).collect())
}
