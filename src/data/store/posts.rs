//! Posts, their counters, and what readers marked: their rows, and the caches in front of them.

use std::sync::Arc;

use fanfare_engines::Table;
use fanfare_protocol::Id;

use super::Store;
use crate::base::error::Result;
use crate::base::limits;
use crate::data::absent::Standing;
use crate::data::coherent::Coherent;
use crate::data::rows::{Counters, PostRecord, from_json};
use crate::data::tables;
use crate::data::uncounted::Of;

/// The newest posts that a reader likes and has passed on.
#[derive(Debug, Default)]
pub struct Marks {
    liked: Set,
    reposted: Set,
}

#[derive(Debug, Default)]
struct Set {
    /// Descending.
    ids: Vec<Id>,
    /// Complete at and above this id.
    complete_from: Id,
}

impl Set {
    fn holds(&self, id: Id) -> Option<bool> {
        let found = self.ids.binary_search_by(|probe| id.cmp(probe)).is_ok();
        (found || id >= self.complete_from).then_some(found)
    }
}

/// Caches of posts.
pub(super) struct Posts {
    posts: Coherent<Id, Arc<PostRecord>>,
    /// Of posts, and of people.
    counters: Coherent<Of, Counters>,
    marks: Coherent<Id, Arc<Marks>>,
}

impl Default for Posts {
    fn default() -> Self {
        Self {
            posts: Coherent::new(limits::POST_CACHE_MAX),
            counters: Coherent::new(limits::COUNTER_CACHE_MAX),
            marks: Coherent::new(limits::MARKS_CACHE_MAX),
        }
    }
}

impl Store {
    /// A post, deleted ones included; `None` when there never was such a post.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn post_or_gone(&self, id: Id) -> Result<Option<Arc<PostRecord>>> {
        if let Some(post) = self.posts.posts.get(&id) {
            return Ok(Some(post));
        }
        let epoch = self.posts.posts.epoch(&id);
        let Some(bytes) = self.get(&tables::by_id(tables::POSTS, id)).await? else { return Ok(None) };
        let post: Arc<PostRecord> = Arc::new(from_json(&bytes)?);
        self.posts.posts.keep(epoch, &id, Arc::clone(&post));
        Ok(Some(post))
    }

    /// The posts of `ids` in the same order; `None` for what is deleted or unknown.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let post = match self.posts.posts.get(id) {
                Some(post) => Some(post),
                None => self.post_or_gone(*id).await?,
            };
            found.push(post.filter(|post| self.standing(post) != Standing::Gone));
        }
        Ok(found)
    }

    /// Whether a post that was read is there, whoever asks.
    #[must_use]
    pub fn standing(&self, post: &PostRecord) -> Standing {
        if post.deleted { Standing::Gone } else { self.absent.standing(post.author) }
    }

    /// Counters of a post or a person, without what absent people add to them.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn counters(&self, of: Of) -> Result<Counters> {
        let stored = self.stored_counters(of).await?;
        Ok(self.uncounted.corrected(of, stored, |person| self.absent.holds(person)))
    }

    /// Counters of a post or a person as they are stored.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn stored_counters(&self, of: Of) -> Result<Counters> {
        if let Some(counters) = self.posts.counters.get(&of) {
            return Ok(counters);
        }
        let epoch = self.posts.counters.epoch(&of);
        let bytes = self.get(&of.row()).await?;
        let counters = bytes.map(|bytes| Counters::from_bytes(&bytes)).transpose()?.unwrap_or_default();
        self.posts.counters.keep(epoch, &of, counters);
        Ok(counters)
    }

    /// Whether `reader` likes `post`, and has a bare repost of it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn marked(&self, reader: Id, marks: &Marks, post: Id) -> Result<(bool, bool)> {
        let liked = match marks.liked.holds(post) {
            Some(known) => known,
            None => self.get(&tables::pair(tables::LIKED, reader, post)).await?.is_some(),
        };
        let reposted = match marks.reposted.holds(post) {
            Some(known) => known,
            None => self.get(&tables::pair(tables::REPOSTED, reader, post)).await?.is_some(),
        };
        Ok((liked, reposted))
    }

    /// The newest likes and reposts of `reader`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn marks(&self, reader: Id) -> Result<Arc<Marks>> {
        if let Some(marks) = self.posts.marks.get(&reader) {
            return Ok(marks);
        }
        let epoch = self.posts.marks.epoch(&reader);
        let marks = Arc::new(Marks {
            liked: self.newest_marks(tables::LIKED, reader).await?,
            reposted: self.newest_marks(tables::REPOSTED, reader).await?,
        });
        self.posts.marks.keep(epoch, &reader, Arc::clone(&marks));
        Ok(marks)
    }

    async fn newest_marks(&self, table: Table, reader: Id) -> Result<Set> {
        let rows = self.newest(table, reader, None, limits::MARKS_MAX).await?;
        let ids: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
        let complete_from = if ids.len() < limits::MARKS_MAX { None } else { ids.last().copied() };
        Ok(Set { ids, complete_from: complete_from.unwrap_or_default() })
    }

    /// Takes in a post as it is stored.
    pub fn post_changed(&self, post: PostRecord) {
        self.posts.posts.put(post.id, Arc::new(post));
    }

    /// Takes in that likes or bare reposts of `person` changed.
    pub fn marks_changed(&self, person: Id) {
        self.posts.marks.forget(&person);
    }

    /// Takes in that a post was made, about which nothing is counted yet.
    pub fn post_made(&self, post: Id) {
        self.posts.counters.put_first(Of::Post(post), Counters::default());
    }

    /// Takes in counters of a post or a person.
    pub fn counted(&self, of: Of, counters: Counters) {
        self.posts.counters.refresh(&of, counters);
    }
}
