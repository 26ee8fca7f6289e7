//! Routes of notifications.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{NotificationPage, NotificationsRead};
use serde::Serialize;
use utoipa::ToSchema;

use super::service::Notifications;
use crate::base::error::Result;
use crate::http::{Caller, Check, Paging, Problems, Valid};

impl Check for NotificationsRead {}

/// Notifications that are still unread.
#[derive(Debug, Serialize, ToSchema)]
pub struct NotificationsUnread {
    /// Above the read marker.
    pub unread_count: u64,
}

/// List what others did that concerns the caller, newest first.
///
/// A flood of one kind about one post is one item with a `count`.
#[utoipa::path(get, path = "/v1/notifications", tag = "notifications", params(Paging),
    responses((status = 200, body = NotificationPage), Problems))]
pub async fn list(
    State(notifications): State<Arc<Notifications>>,
    caller: Caller,
    paging: Paging,
) -> Result<Json<NotificationPage>> {
    Ok(Json(notifications.page(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Move the read marker of notifications forward.
///
/// A smaller id than before changes nothing. The person's other devices hear of it.
#[utoipa::path(put, path = "/v1/notifications/read", tag = "notifications", operation_id = "mark_read",
    request_body = NotificationsRead,
    responses((status = 200, body = NotificationsUnread), Problems))]
pub async fn read(
    State(notifications): State<Arc<Notifications>>,
    caller: Caller,
    Valid(read): Valid<NotificationsRead>,
) -> Result<Json<NotificationsUnread>> {
    let unread_count = notifications.read(caller.id, read.last_read_id).await?;
    Ok(Json(NotificationsUnread { unread_count }))
}
