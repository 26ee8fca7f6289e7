//! Home feeds as people read them: pages in JSON behind cursors, the unread count, the read marker.

use fanfare_protocol::{Code, Id, UnreadCount};

use super::{Feed, FeedEntry, FeedError, PageQuery, RankedNext, SnapshotId};
use crate::base::cursor::{Cursors, Scope};
use crate::base::error::{Error, Result};
use crate::data::tables::Marker;
use crate::markers::Markers;
use crate::posts::view::Views;

/// The first page that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Newest first, down to `since`.
    Latest {
        /// Only what is newer than this post.
        since: Option<Id>,
    },
    /// By score.
    Ranked,
}

/// Start of a page, as a cursor holds it.
enum Position {
    Latest { before: Option<Id>, since: Option<Id> },
    Ranked(Option<(SnapshotId, usize)>),
}

/// Bytes of a usual entry, and of the rest of a page: what a body begins with.
const ENTRY_BYTES: usize = 800;
const CURSOR_BYTES: usize = 256;

const LATEST: u8 = 0;
const RANKED: u8 = 1;

impl Position {
    fn to_bytes(&self) -> Vec<u8> {
        let (tag, first, second) = match self {
            Self::Latest { before, since } => (LATEST, before.unwrap_or_default(), since.unwrap_or_default()),
            Self::Ranked(at) => {
                let (snapshot, position) = at.unwrap_or((SnapshotId(0), 0));
                (RANKED, Id(snapshot.0), Id(position as u64))
            }
        };
        [&[tag][..], &first.to_bytes(), &second.to_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (first, second) = (Id::from_bytes(rest)?, Id::from_bytes(rest.get(8..)?)?);
        match *tag {
            LATEST => Some(Self::Latest { before: Some(first), since: Some(second).filter(|since| since.0 > 0) }),
            RANKED => Some(Self::Ranked(Some((SnapshotId(first.0), usize::try_from(second.0).ok()?)))),
            _ => None,
        }
    }
}

/// Reads of home feeds.
pub struct HomeFeeds {
    feed: Feed,
    views: Views,
    markers: Markers,
    cursors: Cursors,
}

impl HomeFeeds {
    /// Over the feed; `views` writes its posts.
    #[must_use]
    pub fn new(feed: Feed, views: Views, markers: Markers, cursors: Cursors) -> Self {
        Self { feed, views, markers, cursors }
    }

    /// A page as JSON, which reads as `Page<Post>`. A cursor goes on in the order it came from.
    ///
    /// # Errors
    /// 400 for a foreign cursor, 410 when the ranking that it belongs to is gone.
    pub async fn page_json(&self, reader: Id, start: Start, cursor: Option<&str>, limit: usize) -> Result<Vec<u8>> {
        let scope = Scope { list: "feed", caller: reader, subject: Id(0) };
        let position = match (cursor, start) {
            (Some(cursor), _) => {
                let bytes = self.cursors.open(scope, cursor)?;
                Position::from_bytes(&bytes).ok_or_else(Error::bad_cursor)?
            }
            (None, Start::Latest { since }) => Position::Latest { before: None, since },
            (None, Start::Ranked) => Position::Ranked(None),
        };
        let (entries, next) = self.page(reader, position, limit).await?;
        let next_cursor = next.map(|next| self.cursors.seal(scope, &next.to_bytes()));
        // The hottest answer of all: written in one go instead of by way of `Page<Post>`.
        let mut body = Vec::with_capacity(entries.len() * ENTRY_BYTES + CURSOR_BYTES);
        body.extend_from_slice(b"{\"items\":");
        self.views.write_entries(reader, &entries, &mut body).await?;
        body.extend_from_slice(b",\"next_cursor\":");
        serde_json::to_writer(&mut body, &next_cursor).map_err(|error| Error::Internal(error.to_string()))?;
        body.push(b'}');
        Ok(body)
    }

    async fn page(&self, reader: Id, at: Position, limit: usize) -> Result<(Vec<FeedEntry>, Option<Position>)> {
        match at {
            Position::Latest { before, since } => {
                let page = self.feed.page(reader, PageQuery { before, since, limit }).await?;
                let next = page.next.map(|before| Position::Latest { before: Some(before), since });
                Ok((page.entries, next))
            }
            Position::Ranked(at) => {
                let page = self.feed.ranked(reader, at, limit).await.map_err(|error| match error {
                    FeedError::Engine(error) => Error::Engine(error),
                    FeedError::SnapshotExpired => Error::refused(
                        Code::SnapshotExpired,
                        "the ranked snapshot is gone; start again without a cursor",
                    ),
                })?;
                let next = page.next.map(|next| match next {
                    RankedNext::Snapshot(snapshot, position) => Position::Ranked(Some((snapshot, position))),
                    RankedNext::Latest(before) => Position::Latest { before: Some(before), since: None },
                });
                Ok((page.entries, next))
            }
        }
    }

    /// Number of others' entries above the read marker, and the newest entry.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn unread(&self, reader: Id) -> Result<UnreadCount> {
        let marker = self.markers.last_read(reader, Marker::Feed).await?;
        let unread = self.feed.unread(reader, marker).await?;
        Ok(UnreadCount { count: unread.count as u64, newest_id: unread.newest_id })
    }

    /// Moves the read marker forward and tells the person's devices; answers what is still unread.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn mark_read(&self, reader: Id, last_read: Id) -> Result<UnreadCount> {
        self.markers.advance(reader, Marker::Feed, last_read).await?;
        self.unread(reader).await
    }
}
