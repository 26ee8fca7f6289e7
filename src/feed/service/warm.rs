//! Work of the feed in the background: the recents are filled at the start, timelines that nobody reads are dropped.

use std::time::Duration;

use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::Id;

use super::Feed;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits;
use crate::data::rows;
use crate::data::store::Store;
use crate::data::tables;
use crate::feed::item::FeedItem;

impl Feed {
    /// Fills the recents by one scan over the newest posts, so that a restart is no stampede of queries.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn warm_up(&self, store: &Store, now_ms: u64) -> Result<()> {
        let floor = first_id_at(now_ms.saturating_sub(self.core.settings.recents_age_ms));
        self.warm_from(floor);
        let mut posts: u64 = 0;
        for partition in store.timeline_from(floor).await? {
            let mut from = floor;
            loop {
                let range = KeyRange { from: Some(tables::partition(from)), to: None };
                let step = limits::WARM_STEP_ROWS;
                let rows = store.scan(tables::TIMELINE, &partition, range, Order::Ascending, step).await?;
                for row in &rows {
                    let (Some(id), Some(author)) = (Id::from_bytes(&row.clustering), rows::timeline_author(&row.value))
                    else {
                        continue;
                    };
                    if let Some(entry) = rows::entry(id, &row.value) {
                        self.warm(author, entry);
                        posts += 1;
                    }
                }
                match rows.last().and_then(|row| Id::from_bytes(&row.clustering)) {
                    Some(last) if rows.len() == step => from = Id(last.0 + 1),
                    _ => break,
                }
            }
        }
        self.warmed();
        tracing::info!(posts, since_ms = unix_ms_of(floor), "recent posts are in memory");
        Ok(())
    }
}

impl<P: FeedItem> Feed<P> {
    /// Drops timelines that nobody reads, every few seconds, for ever.
    pub async fn evict_now_and_then(self, clock: Clock) {
        let mut tick = tokio::time::interval(Duration::from_secs(limits::EVICT_PERIOD_S));
        loop {
            tick.tick().await;
            self.evict_idle(clock.now_ms());
        }
    }
}
