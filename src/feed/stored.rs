//! The feed's ports over stored rows: what timelines are rebuilt from, and what ranking weighs.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::{EngineError, KeyRange, Order, Row};
use fanfare_protocol::Id;

use super::rank::{Engagement, RankInputs};
use super::source::{FeedSource, Relations};
use crate::base::error::Error;
use crate::base::id::first_id_at;
use crate::base::limits;
use crate::data::absent::Standing;
use crate::data::rows::{self, AuthorEntry, PostRecord};
use crate::data::store::Store;
use crate::data::tables;
use crate::data::uncounted::Of;

#[async_trait]
impl RankInputs for Store {
    async fn engagement(&self, posts: &[Id]) -> Result<Vec<Engagement>, EngineError> {
        let mut found = Vec::with_capacity(posts.len());
        for post in posts {
            let [likes, replies, _] = self.counters(Of::Post(*post)).await.map_err(engine_error)?.values;
            found.push(Engagement { likes, replies });
        }
        Ok(found)
    }

    async fn interactions(&self, reader: Id, authors: &[Id]) -> Result<Vec<u64>, EngineError> {
        let now_ms = self.clock().now_ms();
        let since = first_id_at(now_ms.saturating_sub(limits::AFFINITY_DAYS * 86_400_000));
        let range = KeyRange { from: Some(tables::partition(since)), to: None };
        let partition = tables::partition(reader);
        let limit = limits::AFFINITY_INTERACTIONS_MAX;
        let rows = self.scan(tables::INTERACTIONS, &partition, range, Order::Descending, limit).await?;
        let mut counts: HashMap<Id, u64> = HashMap::new();
        for author in rows.iter().filter_map(|row| Id::from_bytes(&row.value)) {
            *counts.entry(author).or_default() += 1;
        }
        Ok(authors.iter().map(|author| counts.get(author).copied().unwrap_or_default()).collect())
    }
}

/// Engine errors stay what they are; anything else is corruption, to the feed.
fn engine_error(error: Error) -> EngineError {
    match error {
        Error::Engine(error) => error,
        other => EngineError::Corrupt(other.to_string()),
    }
}

#[async_trait]
impl FeedSource for Store {
    async fn author_entries(&self, author: Id, before: Id, limit: usize) -> Result<Vec<AuthorEntry>, EngineError> {
        let rows = self.newest_bucketed(tables::AUTHOR_POSTS, author, before, limit).await?;
        let entry = |row: &Row| rows::entry(Id::from_bytes(&row.clustering)?, &row.value);
        Ok(rows.iter().filter_map(entry).collect())
    }

    async fn relations(&self, reader: Id) -> Result<Relations, EngineError> {
        let followees = self.ids_of(tables::FOLLOWS, reader, limits::FOLLOWS_READ_MAX).await?;
        let hidden = self.hidden(reader).await?;
        Ok(Relations { followees, blocked_either_way: hidden.blocked.clone(), muted: hidden.muted.clone() })
    }

    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>, EngineError> {
        self.posts(ids).await.map_err(engine_error)
    }

    fn standing(&self, post: &PostRecord) -> Standing {
        self.standing(post)
    }
}
