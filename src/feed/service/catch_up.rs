//! Entries that a reader missed, for sessions that resume: a merge over the authors that ends where the session had
//! been.

use async_trait::async_trait;
use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::FeedCore;
use super::walk::{Target, Walk};
use crate::base::error::Result;
use crate::feed::Feed;
use crate::feed::interner::UserIndex;
use crate::feed::relations::ReaderRelations;
use crate::log::events::PostRecord;
use crate::posts::stream::{Followed, FollowedPosts};

/// Answer of [`super::Feed::catch_up`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatchUp {
    /// Visible posts, newest first.
    pub posts: Vec<Id>,
    /// People whom the reader follows, sorted.
    pub followees: Vec<Id>,
}

#[async_trait]
impl FollowedPosts for Feed {
    async fn since(&self, reader: Id, after: Id, max: usize) -> Result<Followed> {
        let CatchUp { posts, followees } = self.catch_up(reader, after, max).await?;
        Ok(Followed { posts, followees })
    }
}

impl FeedCore<PostRecord> {
    pub(super) async fn catch_up(
        &self,
        reader: Id,
        after: Id,
        max: usize,
    ) -> std::result::Result<CatchUp, EngineError> {
        let loaded = self.source.relations(reader).await?;
        let me = self.authors.intern(reader);
        let indexes = |ids: &[Id]| ids.iter().map(|id| self.authors.intern(*id)).collect::<Vec<UserIndex>>();
        let blocked = indexes(&loaded.blocked_either_way);
        let relations = ReaderRelations::new(me, indexes(&loaded.followees), blocked, indexes(&loaded.muted));
        let (before, lower) = (u64::MAX, after.0.saturating_add(1));
        let authors: Vec<UserIndex> = relations.followees.iter().copied().chain([me]).collect();
        let mut walk = Walk::new(self, authors.into_iter().map(|author| Target { author, before, lower }));
        let step = self.settings.reads.posts_max.max(1);
        let (mut posts, mut ended) = (Vec::new(), false);
        while posts.len() < max && !ended {
            let mut batch = Vec::with_capacity(step);
            while batch.len() < step {
                match walk.next().await? {
                    Some(entry) => batch.push(Id(entry.id)),
                    None => {
                        ended = true;
                        break;
                    }
                }
            }
            let visible = self.fetch(&relations, &batch).await?;
            posts.extend(visible.into_iter().map(|entry| entry.id).take(max - posts.len()));
        }
        let mut followees = loaded.followees;
        followees.sort_unstable();
        Ok(CatchUp { posts, followees })
    }
}
