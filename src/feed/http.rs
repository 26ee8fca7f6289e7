//! Routes of the home feed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::{FeedRead, Id, Page, Post, UnreadCount};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::home::{HomeFeeds, Start};
use crate::base::error::Result;
use crate::http::{Caller, Check, Paging, Params, Problems, Valid};

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

/// The home feed: followees' and the caller's own posts.
///
/// Page on with `next_cursor` until it is `null`; refresh with `since_id`, the newest id that the client has.
#[utoipa::path(get, path = "/v1/feed", tag = "feed", params(FeedParams, Paging),
    responses((status = 200, body = Page<Post>),
        (status = 410, description = "`snapshot_expired`: the ranking that the cursor belongs to is gone"), Problems))]
pub async fn read(
    State(home): State<Arc<HomeFeeds>>,
    caller: Caller,
    Params(params): Params<FeedParams>,
    paging: Paging,
) -> Result<Response> {
    let start = match params.order {
        FeedOrder::Latest => Start::Latest { since: params.since_id },
        FeedOrder::Ranked => Start::Ranked,
    };
    let body = home.page_json(caller.id, start, paging.cursor.as_deref(), paging.limit.into()).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// Count what is new in the feed.
///
/// Others' entries above the read marker, counted up to 1,000.
#[utoipa::path(get, path = "/v1/feed/unread", tag = "feed", operation_id = "count_unread",
    responses((status = 200, body = UnreadCount), Problems))]
pub async fn unread(State(home): State<Arc<HomeFeeds>>, caller: Caller) -> Result<Json<UnreadCount>> {
    Ok(Json(home.unread(caller.id).await?))
}

/// Move the read marker forward.
///
/// A smaller id than before changes nothing. The person's other devices hear of it.
#[utoipa::path(put, path = "/v1/feed/read", tag = "feed", request_body = FeedRead,
    responses((status = 200, body = UnreadCount), Problems))]
pub async fn mark_read(
    State(home): State<Arc<HomeFeeds>>,
    caller: Caller,
    Valid(read): Valid<FeedRead>,
) -> Result<Json<UnreadCount>> {
    Ok(Json(home.mark_read(caller.id, read.last_read_id).await?))
}
