//! Ranked pages: the newest candidates scored once, kept as a snapshot, then latest order below them.

use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::{FeedCore, PageQuery};
use crate::base::id::unix_ms_of;
use crate::feed::rank::{Candidate, Engagement};
use crate::feed::snapshots::SnapshotId;
use crate::log::events::PostRecord;
use crate::posts::entry::{FeedEntry, Original};

/// Milliseconds in an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// Why there is no ranked page.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The snapshot is gone or somebody else's: start again without a cursor.
    #[error("the ranked snapshot is gone")]
    SnapshotExpired,
    /// The tables failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Start of the next ranked page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankedNext {
    /// In the snapshot, at a position.
    Snapshot(SnapshotId, usize),
    /// In latest order below an id: ask [`page`](super::Feed::page).
    Latest(Id),
}

/// Entries in ranked order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedPage {
    /// At most the limit; fewer only at the end.
    pub entries: Vec<FeedEntry>,
    /// `None` at the end.
    pub next: Option<RankedNext>,
}

impl FeedCore<PostRecord> {
    pub(super) async fn ranked(
        &self,
        reader: Id,
        at: Option<(SnapshotId, usize)>,
        limit: usize,
    ) -> Result<RankedPage, FeedError> {
        let (snapshot, mut position) = match at {
            Some(at) => at,
            None => (self.rank(reader).await?, 0),
        };
        let relations = self.fresh_view(reader).await?.relations;
        let mut entries: Vec<FeedEntry> = Vec::new();
        let continue_below = loop {
            let slice = self.snapshots.lock().slice(snapshot, reader, position, limit + 1, self.now_ms());
            let slice = slice.ok_or(FeedError::SnapshotExpired)?;
            if slice.ids.is_empty() {
                break slice.continue_below;
            }
            let mut visible = self.fetch(&relations, &slice.ids).await?.into_iter().peekable();
            for id in slice.ids {
                if visible.peek().is_some_and(|entry| entry.id == id) {
                    if entries.len() == limit {
                        return Ok(RankedPage { entries, next: Some(RankedNext::Snapshot(snapshot, position)) });
                    }
                    entries.extend(visible.next());
                }
                position += 1;
            }
        };
        if continue_below == Id(0) {
            return Ok(RankedPage { entries, next: None });
        }
        let query = PageQuery { before: Some(continue_below), since: None, limit: limit - entries.len() };
        let latest = self.page(reader, query).await?;
        entries.extend(latest.entries);
        Ok(RankedPage { entries, next: latest.next.map(RankedNext::Latest) })
    }

    /// Scores the newest candidates and keeps their order.
    async fn rank(&self, reader: Id) -> Result<SnapshotId, EngineError> {
        let unranked = || EngineError::Closed("this feed is not ranked".to_owned());
        let ranking = self.ranking.as_ref().ok_or_else(unranked)?;
        let view = self.fresh_view(reader).await?;
        let max = self.settings.ranked_candidates;
        let candidates = self.visible(view, u64::MAX, 0, max, |_| true).await?;
        let subjects: Vec<Id> = candidates.iter().map(|entry| subject(entry).0).collect();
        let authors: Vec<Id> = candidates.iter().map(|entry| entry.post.author).collect();
        let engagement = ranking.inputs.engagement(&subjects).await?;
        let interactions = ranking.inputs.interactions(reader, &authors).await?;
        let now_ms = self.now_ms();
        let mut scored: Vec<(f64, u64)> = Vec::with_capacity(candidates.len());
        for (number, entry) in candidates.iter().enumerate() {
            let Engagement { likes, replies } = engagement.get(number).copied().unwrap_or_default();
            let candidate = Candidate {
                age_h: now_ms.saturating_sub(unix_ms_of(entry.id)) as f64 / HOUR_MS,
                likes,
                replies,
                interactions: interactions.get(number).copied().unwrap_or_default(),
                has_media: subject(entry).1,
            };
            scored.push((ranking.ranker.score(&candidate), entry.id.0));
        }
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        let is_all = candidates.len() < max;
        let continue_below = candidates.last().filter(|_| !is_all).map_or(Id(0), |entry| entry.id);
        let order = scored.into_iter().map(|(_, id)| id).collect();
        Ok(self.snapshots.lock().insert(reader, order, continue_below, now_ms))
    }
}

/// The post that counts: the original of a bare repost, else the entry's own; and whether it has media.
fn subject(entry: &FeedEntry) -> (Id, bool) {
    match &entry.original {
        Original::Shown(original) if entry.post.is_bare_repost() => (original.id, !original.media.is_empty()),
        _ => (entry.id, !entry.post.media.is_empty()),
    }
}
