//! Home feeds: hybrid fan-out into timelines that exist only for active readers, and the reads that merge them.
//!
//! Write: [`Feed::apply`] takes each committed record; a post goes into its author's recents, then into the queue
//! (`jobs`), from where the worker scatters it over the subscribed slots (`slots`, `timelines`, `ring`), or it becomes
//! something that readers pull (`authors`). Read: a copy of the ring, what is still to be pulled merged in, older pages
//! merged from all followees (`merge`), and the filter last. Only `service` is async; the rest is plain state.

mod authors;
mod bench_seam;
mod filter;
pub mod home;
pub mod http;
mod interner;
mod item;
mod jobs;
mod measure;
mod merge;
mod policy;
mod prepare;
mod rank;
mod recents;
mod relations;
mod ring;
mod service;
mod settings;
mod snapshots;
mod source;
mod stored;
mod timelines;
mod worker;

#[cfg(test)]
mod tests;

pub use crate::data::rows::{AuthorEntry, EntryKind, kind_of};
pub use crate::posts::entry::{FeedEntry, Original};
pub use bench_seam::TimelineUsage;
pub use interner::UserIndex;
pub use item::{FeedItem, ItemNews};
pub use policy::Thresholds;
pub use prepare::{FeedListener, PolicyStamp};
pub use rank::{Candidate, DefaultRanker, Engagement, RankInputs, Ranker};
pub use relations::ReaderRelations;
pub use service::{CatchUp, Feed, FeedError, FeedPage, PageQuery, RankedNext, RankedPage, Reading, UNREAD_MAX, Unread};
pub use settings::{AuthorCost, ByPolicy, FeedSettings, FeedStats, LagStats, ReadSizes};
pub use snapshots::SnapshotId;
pub use source::{FeedSource, Relations};
pub use worker::Worker;
