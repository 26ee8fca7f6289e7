//! Routes of presence.

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{Id, PresenceList};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::base::error::{Error, Result};
use crate::http::{Caller, NoContent, Params, Problems};
use crate::realtime::Realtime;

/// People whose presence is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PresenceParams {
    /// Up to 200 ids, with commas between.
    #[param(pattern = "^[0-9]{0,19}( *, *[0-9]{1,19}){0,199}$", example = "1234567890,1234567891")]
    user_ids: String,
}

/// Tell who of these people is online.
///
/// Somebody with a block between them and the caller, or who does not let the caller see it, is offline to the caller.
#[utoipa::path(get, path = "/v1/presence", tag = "realtime", operation_id = "get_presence", params(PresenceParams),
    responses((status = 200, body = PresenceList), Problems))]
pub async fn presence_of(
    State(realtime): State<Realtime>,
    caller: Caller,
    Params(params): Params<PresenceParams>,
) -> Result<Json<PresenceList>> {
    let texts = params.user_ids.split(',').map(str::trim).filter(|text| !text.is_empty());
    let parsed: Option<Vec<Id>> = texts.map(|text| text.parse::<Id>().ok()).collect();
    let people = parsed.ok_or_else(|| Error::field("user_ids", "must be ids with commas between"))?;
    Ok(Json(PresenceList { items: realtime.presence_for(caller.id, &people).await? }))
}

/// A sign of life of a client that has no session open.
///
/// The person counts as online for `realtime.offline_after_s` seconds.
#[utoipa::path(post, path = "/v1/presence/heartbeat", tag = "realtime", operation_id = "send_heartbeat",
    responses((status = 204), Problems))]
pub async fn heartbeat(State(realtime): State<Realtime>, caller: Caller) -> NoContent {
    realtime.heartbeat(caller.id).await;
    NoContent
}
