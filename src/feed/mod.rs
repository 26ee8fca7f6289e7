//! Home feeds: hybrid fan-out into timelines that exist only for active readers, and the reads that merge them.

mod source;

pub use source::{AuthorEntry, EntryKind, FeedSource, Relations};
