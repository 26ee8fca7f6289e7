//! Routes of the home feed.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::{Code, FeedRead, Id, Page, Post, UnreadCount};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{FeedEntry, FeedError, PageQuery, RankedNext, SnapshotId};
use crate::app::App;
use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::data::tables::{self, Marker};
use crate::http::{Caller, Check, Paging, Params, Problems, Valid};
use crate::notifications::service::write_marker;

impl Check for FeedRead {}

/// Order in which a feed is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedOrder {
    /// Newest first.
    #[default]
    Latest,
    /// The newest 500 by score, then latest order.
    Ranked,
}

/// Part of the feed to read.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FeedParams {
    /// `latest` (default) or `ranked`; a cursor goes on in the order it came from.
    #[serde(default)]
    #[param(inline)]
    order: FeedOrder,
    /// Only what is newer than this post; for `latest`.
    #[serde(default)]
    since_id: Option<Id>,
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

/// The home feed: followees' and the caller's own posts.
///
/// Page on with `next_cursor` until it is `null`; refresh with `since_id`, the newest id that the client has.
#[utoipa::path(get, path = "/v1/feed", tag = "feed", params(FeedParams, Paging),
    responses((status = 200, body = Page<Post>),
        (status = 410, description = "`snapshot_expired`: the ranking that the cursor belongs to is gone"), Problems))]
pub async fn read(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<FeedParams>,
    paging: Paging,
) -> Result<Response> {
    let scope = Scope { list: "feed", caller: caller.id, subject: Id(0) };
    let position = match (&paging.cursor, params.order) {
        (Some(cursor), _) => {
            let bytes = app.core.cursors.open(scope, cursor)?;
            Position::from_bytes(&bytes).ok_or_else(Error::bad_cursor)?
        }
        (None, FeedOrder::Latest) => Position::Latest { before: None, since: params.since_id },
        (None, FeedOrder::Ranked) => Position::Ranked(None),
    };
    let (entries, next) = page(&app, caller.id, position, paging.limit.into()).await?;
    let next_cursor = next.map(|next| app.core.cursors.seal(scope, &next.to_bytes()));
    // The hottest answer of all: written in one go instead of by way of `Page<Post>`, which it reads as.
    let mut body = Vec::with_capacity(entries.len() * ENTRY_BYTES + CURSOR_BYTES);
    body.extend_from_slice(b"{\"items\":");
    app.posts.views().write_entries(caller.id, &entries, &mut body).await?;
    body.extend_from_slice(b",\"next_cursor\":");
    serde_json::to_writer(&mut body, &next_cursor).map_err(|error| Error::Internal(error.to_string()))?;
    body.push(b'}');
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

async fn page(app: &App, reader: Id, at: Position, limit: usize) -> Result<(Vec<FeedEntry>, Option<Position>)> {
    match at {
        Position::Latest { before, since } => {
            let page = app.feed.page(reader, PageQuery { before, since, limit }).await?;
            let next = page.next.map(|before| Position::Latest { before: Some(before), since });
            Ok((page.entries, next))
        }
        Position::Ranked(at) => {
            let page = app.feed.ranked(reader, at, limit).await.map_err(|error| match error {
                FeedError::Engine(error) => Error::Engine(error),
                FeedError::SnapshotExpired => {
                    Error::refused(Code::SnapshotExpired, "the ranked snapshot is gone; start again without a cursor")
                }
            })?;
            let next = page.next.map(|next| match next {
                RankedNext::Snapshot(snapshot, position) => Position::Ranked(Some((snapshot, position))),
                RankedNext::Latest(before) => Position::Latest { before: Some(before), since: None },
            });
            Ok((page.entries, next))
        }
    }
}

/// Count what is new in the feed.
///
/// Others' entries above the read marker, counted up to 1,000.
#[utoipa::path(get, path = "/v1/feed/unread", tag = "feed", operation_id = "count_unread",
    responses((status = 200, body = UnreadCount), Problems))]
pub async fn unread(State(app): State<App>, caller: Caller) -> Result<Json<UnreadCount>> {
    Ok(Json(count_unread(&app, caller.id).await?))
}

async fn count_unread(app: &App, reader: Id) -> Result<UnreadCount> {
    let marker = app.core.store.get_id(&tables::marker_row(reader, Marker::Feed)).await?.unwrap_or_default();
    let unread = app.feed.unread(reader, marker).await?;
    let newest = app.feed.page(reader, PageQuery { before: None, since: None, limit: 1 }).await?;
    Ok(UnreadCount { count: unread.count as u64, newest_id: newest.entries.first().map(|entry| entry.id) })
}

/// Move the read marker forward.
///
/// A smaller id than before changes nothing. The person's other devices hear of it.
#[utoipa::path(put, path = "/v1/feed/read", tag = "feed", request_body = FeedRead,
    responses((status = 200, body = UnreadCount), Problems))]
pub async fn mark_read(
    State(app): State<App>,
    caller: Caller,
    Valid(read): Valid<FeedRead>,
) -> Result<Json<UnreadCount>> {
    write_marker(&app.core, caller.id, Marker::Feed, read.last_read_id).await?;
    app.realtime.marker_moved(caller.id, Marker::Feed).await?;
    Ok(Json(count_unread(&app, caller.id).await?))
}
