//! Routes of presence.

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{Id, Page, Presence, PresenceList};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::base::error::{Error, Result};
use crate::http::{Caller, NoContent, Paging, Params, Problems};

/// About whom.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PresenceParams {
    /// Up to 200 ids, with commas between.
    #[param(pattern = "^[0-9]{0,19}( *, *[0-9]{1,19}){0,199}$", example = "1234567890,1234567891")]
    user_ids: String,
}

/// Who of these people is online.
///
/// Somebody with a block between them and the caller is offline to the caller.
#[utoipa::path(get, path = "/v1/presence", tag = "realtime", operation_id = "get_presence", params(PresenceParams),
    responses((status = 200, body = PresenceList), Problems))]
pub async fn presence_of(
    State(app): State<App>,
    caller: Caller,
    Params(params): Params<PresenceParams>,
) -> Result<Json<PresenceList>> {
    let texts = params.user_ids.split(',').map(str::trim).filter(|text| !text.is_empty());
    let parsed: Option<Vec<Id>> = texts.map(|text| text.parse::<Id>().ok()).collect();
    let people = parsed.ok_or_else(|| Error::field("user_ids", "must be ids with commas between"))?;
    Ok(Json(PresenceList { items: app.realtime.presence_for(caller.id, &people).await? }))
}

/// Who of the people whom the caller follows is online.
///
/// Latest follow first, online or not.
#[utoipa::path(get, path = "/v1/presence/following", tag = "realtime", operation_id = "list_presence", params(Paging),
    responses((status = 200, body = Page<Presence>), Problems))]
pub async fn following(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<Page<Presence>>> {
    let page = app.follows.following(Some(caller.id), caller.id, paging.limit.into(), paging.cursor.as_deref()).await?;
    let people: Vec<Id> = page.items.iter().map(|user| user.id).collect();
    let items = app.realtime.presence_for(caller.id, &people).await?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// A sign of life of a client that has no session open.
///
/// The person counts as online for `realtime.offline_after_s` seconds.
#[utoipa::path(post, path = "/v1/presence/heartbeat", tag = "realtime", operation_id = "send_heartbeat",
    responses((status = 204), Problems))]
pub async fn heartbeat(State(app): State<App>, caller: Caller) -> NoContent {
    app.realtime.heartbeat(caller.id).await;
    NoContent
}
