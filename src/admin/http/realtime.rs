//! Routes of operators about realtime sessions: who has one, closing it, events handed to them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fanfare_protocol::{Id, Page, PublishEvent, Published, RealtimeSession};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::service::Acts;
use crate::base::error::Result;
use crate::data::audit::Action;
use crate::http::{Admin, Check, NoContent, Paging, Params, Path, Problems, Valid};
use crate::realtime::Realtime;

impl Check for PublishEvent {}

/// Query of the list of sessions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SessionParams {
    /// Only this person's.
    #[serde(default)]
    user_id: Option<Id>,
}

/// Realtime sessions that are open.
///
/// Of everybody, or of one person; oldest first.
#[utoipa::path(get, path = "/v1/admin/realtime/sessions", tag = "operators", operation_id = "list_sessions",
    params(SessionParams, Paging),
    responses((status = 200, body = Page<RealtimeSession>), Problems))]
pub async fn sessions(
    State(realtime): State<Realtime>,
    _: Admin,
    Params(params): Params<SessionParams>,
    paging: Paging,
) -> Result<Json<Page<RealtimeSession>>> {
    Ok(Json(realtime.sessions(params.user_id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Close a realtime session.
///
/// Its client may come back; log a person out by ending their tokens.
#[utoipa::path(delete, path = "/v1/admin/realtime/sessions/{session_id}", tag = "operators",
    operation_id = "close_session", params(("session_id" = Id, Path)), responses((status = 204), Problems))]
pub async fn close(
    State(realtime): State<Realtime>,
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(session): Path<Id>,
) -> Result<NoContent> {
    let user = realtime.whose(session).await?;
    acts.may_act_on(&admin.0, user).await?;
    let target = format!("sessions/{session} of users/{user}");
    acts.note(admin.0.act(Action::CloseSession, target, None)).await?;
    realtime.close_session(session).await;
    Ok(NoContent)
}

/// Hand an event of your own to people who are connected.
///
/// It goes to the realtime sessions that are open now, of some people or of all, and is not kept for others.
#[utoipa::path(post, path = "/v1/admin/realtime/publish", tag = "operators", operation_id = "publish_event",
    request_body = PublishEvent,
    responses((status = 202, body = Published), Problems))]
pub async fn publish(
    State(realtime): State<Realtime>,
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Valid(event): Valid<PublishEvent>,
) -> Result<(StatusCode, Json<Published>)> {
    realtime.check(&event)?;
    let audience = event.user_ids.as_ref().map_or("all".to_owned(), |users| named(users));
    let target = format!("events/{} to {audience}", event.kind);
    acts.note(admin.0.act(Action::Publish, target, None)).await?;
    let sessions = realtime.publish(event).await?;
    Ok((StatusCode::ACCEPTED, Json(Published { sessions })))
}

/// People as the audit names them: the first few, and how many more.
fn named(users: &[Id]) -> String {
    const NAMED_MAX: usize = 5;
    let named: Vec<String> = users.iter().take(NAMED_MAX).map(|user| format!("users/{user}")).collect();
    let more = users.len().saturating_sub(NAMED_MAX);
    if more == 0 { named.join(", ") } else { format!("{} and {more} more", named.join(", ")) }
}
