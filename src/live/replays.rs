//! Replays as items of a feed: the same engine as that of posts, over other rows. An item's id is that of the record
//! that ended the session, so that the order of ids is the order of ends.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::{EngineError, KeyRange, Order, Row};
use fanfare_protocol::Id;

use crate::base::error::{Error, Result};
use crate::base::id::first_id_at;
use crate::base::limits::WARM_STEP_ROWS;
use crate::base::limits::live::{REPLAYS_CACHE_MAX, REPLAYS_RECENT_DAYS};
use crate::data::absent::Standing;
use crate::data::coherent::Coherent;
use crate::data::rows::{AuthorEntry, EntryKind, LiveRow, from_json};
use crate::data::store::Store;
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::feed::{Feed, FeedItem, FeedSource, ItemNews, ReaderRelations, Relations, UserIndex};
use crate::log::counters;
use crate::log::events::{Event, Record};
use crate::log::fold::State;
use crate::log::product::Prepare;
use crate::posts::visibility::{Absence, Shown};

/// Entry of a replay among those of its host.
const fn entry(ended: Id) -> AuthorEntry {
    AuthorEntry { id: ended, kind: EntryKind::Plain, related: Id(0) }
}

impl FeedItem for LiveRow {
    const SOURCE: &'static str = "replays";

    fn happened(record: &Record) -> Option<ItemNews> {
        match &record.event {
            Event::LiveEnded { host, policy, .. } => {
                Some(ItemNews::Published { author: *host, entry: entry(record.id), policy: *policy })
            }
            Event::LiveRemoved { host, ended: Some(ended), .. } => {
                Some(ItemNews::Deleted { author: *host, id: *ended })
            }
            _ => None,
        }
    }

    fn id(&self) -> Id {
        self.ended.unwrap_or_default()
    }

    fn author(&self) -> Id {
        self.host
    }

    fn is_deleted(&self) -> bool {
        self.removed.is_some()
    }

    fn original(&self) -> Option<Id> {
        None
    }

    fn shown(
        &self,
        reader: &ReaderRelations,
        host: UserIndex,
        standing: Standing,
        _original: Standing,
        _index: impl Fn(Id) -> Option<UserIndex>,
    ) -> Shown {
        match standing {
            Standing::Stands if sees(reader, host) => Shown::Whole,
            Standing::Gone => Shown::Nothing(Absence::Gone),
            Standing::Stands | Standing::Hidden => Shown::Nothing(Absence::Hidden),
        }
    }
}

/// Whether the reader sees sessions of `host`: one's own, and those of whom one follows, without blocks and mutes.
#[must_use]
pub fn sees(reader: &ReaderRelations, host: UserIndex) -> bool {
    host == reader.me || reader.follows(host) && hears(reader, host)
}

/// Whether the reader, who follows `host`, sees sessions of theirs: without blocks and mutes.
#[must_use]
pub fn hears(reader: &ReaderRelations, host: UserIndex) -> bool {
    !reader.is_blocked(host) && !reader.is_muted(host)
}

/// Replays over stored rows, with a cache in front.
pub struct ReplaySource {
    store: Arc<Store>,
    /// By the record that ended them.
    replays: Coherent<Id, Arc<LiveRow>>,
}

impl ReplaySource {
    /// Over the rows of `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, replays: Coherent::new(REPLAYS_CACHE_MAX) }
    }

    /// Takes in a replay as it is now.
    pub fn changed(&self, row: &Arc<LiveRow>) {
        if let Some(ended) = row.ended {
            self.replays.refresh(&ended, Arc::clone(row));
        }
    }

    /// The replay that record `ended` made, removed ones included.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn replay(&self, ended: Id) -> Result<Option<Arc<LiveRow>>> {
        if let Some(row) = self.replays.get(&ended) {
            return Ok(Some(row));
        }
        let epoch = self.replays.epoch(&ended);
        let Some(session) = self.store.get_id(&tables::by_id(tables::LIVE_ENDS, ended)).await? else { return Ok(None) };
        let Some(row) = session_of(&self.store, session).await? else { return Ok(None) };
        let row = Arc::new(row);
        self.replays.keep(epoch, &ended, Arc::clone(&row));
        Ok(Some(row))
    }
}

/// The session, if there ever was one.
///
/// # Errors
/// When the engine fails.
pub async fn session_of(store: &Store, session: Id) -> Result<Option<LiveRow>> {
    let stored = store.get(&tables::by_id(tables::LIVE, session)).await?;
    stored.map(|bytes| from_json(&bytes)).transpose()
}

fn engine_error(error: Error) -> EngineError {
    match error {
        Error::Engine(error) => error,
        other => EngineError::Corrupt(other.to_string()),
    }
}

#[async_trait]
impl FeedSource<LiveRow> for ReplaySource {
    async fn author_entries(&self, host: Id, before: Id, limit: usize) -> Result<Vec<AuthorEntry>, EngineError> {
        let rows = self.store.newest_bucketed(tables::LIVE_REPLAYS, host, before, limit).await?;
        Ok(rows.iter().filter_map(|row: &Row| Id::from_bytes(&row.clustering).map(entry)).collect())
    }

    async fn relations(&self, reader: Id) -> Result<Relations, EngineError> {
        FeedSource::relations(&*self.store, reader).await
    }

    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<LiveRow>>>, EngineError> {
        let mut found = Vec::with_capacity(ids.len());
        for ended in ids {
            let row = self.replay(*ended).await.map_err(engine_error)?;
            found.push(row.filter(|row| row.removed.is_none()));
        }
        Ok(found)
    }

    fn standing(&self, row: &LiveRow) -> Standing {
        if row.removed.is_some() { Standing::Gone } else { self.store.absent.standing(row.host) }
    }
}

/// Fills the recents by one scan over the newest replays.
///
/// # Errors
/// When the engine fails.
pub async fn warm_up(feed: &Feed<LiveRow>, store: &Store, newest: Id, now_ms: u64) -> Result<()> {
    let floor = first_id_at(now_ms.saturating_sub(REPLAYS_RECENT_DAYS * 86_400_000));
    feed.warm_from(floor);
    for bucket in tables::bucket_of(floor)..=tables::bucket_of(newest) {
        let (partition, mut from) = (tables::timeline_partition(bucket), floor);
        loop {
            let range = KeyRange { from: Some(tables::partition(from)), to: None };
            let rows = store.scan(tables::LIVE_TIMELINE, &partition, range, Order::Ascending, WARM_STEP_ROWS).await?;
            for row in &rows {
                if let (Some(ended), Some(host)) = (Id::from_bytes(&row.clustering), Id::from_bytes(&row.value)) {
                    feed.warm(host, entry(ended));
                }
            }
            match rows.last().and_then(|row| Id::from_bytes(&row.clustering)) {
                Some(last) if rows.len() == WARM_STEP_ROWS => from = Id(last.0 + 1),
                _ => break,
            }
        }
    }
    feed.warmed();
    Ok(())
}

/// Stamp of delivery policies: how a replay reaches followers, by the number that its host has at that moment.
pub struct ReplayStamp(pub Feed<LiveRow>);

impl Prepare for ReplayStamp {
    fn prepare(&self, record: &mut Record, state: &State) -> Result<()> {
        if let Event::LiveEnded { host, policy, .. } = &mut record.event {
            let [followers, ..] = counters::of(Of::User(*host), state)?.values;
            *policy = self.0.stamp(*host, followers);
        }
        Ok(())
    }
}
