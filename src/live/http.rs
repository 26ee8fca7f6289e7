//! Routes of live sessions.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fanfare_protocol::{EndLiveSession, Id, LiveSession, NewLiveSession, Page, PatchLiveSession};

use super::service::{Announced, Live};
use crate::base::error::Result;
use crate::http::{Caller, Check, Created, Keyed, Located, MaybeCaller, OrDefault, Paging, Path, Problems, Valid};
use crate::users::service::Users;

impl Check for NewLiveSession {}
impl Check for PatchLiveSession {}
impl Check for EndLiveSession {}

impl Located for LiveSession {
    fn location(&self) -> String {
        format!("/v1/live/{}", self.id)
    }
}

impl IntoResponse for Announced {
    fn into_response(self) -> Response {
        let replayed = [(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"))];
        match self {
            Self::New(session) => Created(session).into_response(),
            Self::Replayed(session) => (replayed, Created(session)).into_response(),
        }
    }
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Announce a live session.
///
/// Followers see it among what is upcoming, soonest first. With an `Idempotency-Key` the request can be sent again
/// until it is answered: the session is made once.
#[utoipa::path(post, path = "/v1/live", tag = "live", request_body = NewLiveSession,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        description = "1 to 255 characters; a repeat within 24 h answers the first result")),
    responses((status = 201, body = LiveSession),
        (status = 409, description = "as many sessions of the caller are upcoming or live as can be"), Problems))]
pub async fn announce(State(live): State<Arc<Live>>, host: Caller, new: Keyed<NewLiveSession>) -> Result<Announced> {
    let key = new.key.map(|key| key.of_caller(host.id));
    live.announce(host.id, new.body, key).await
}

/// A live session.
///
/// As it is now. With a token it says whether the caller is to be reminded.
#[utoipa::path(get, path = "/v1/live/{id}", tag = "live", params(("id" = Id, Path)), security((), ("bearer" = [])),
    responses((status = 200, body = LiveSession), (status = 410, description = "the session was removed"), Problems))]
pub async fn get(State(live): State<Arc<Live>>, viewer: MaybeCaller, Path(id): Path<Id>) -> Result<Json<LiveSession>> {
    Ok(Json(live.get(viewer.id(), id).await?))
}

/// Change a live session of the caller.
///
/// A JSON merge patch: the title at any time, `starts_at` while it is upcoming, `replay_url` once it is over, when the
/// recording is ready.
#[utoipa::path(patch, path = "/v1/live/{id}", tag = "live", operation_id = "update_session",
    params(("id" = Id, Path)), request_body = PatchLiveSession,
    responses((status = 200, body = LiveSession), (status = 403, description = "the session is somebody else's"),
        (status = 409, description = "it is not the time for it"),
        (status = 410, description = "the session was removed"), Problems))]
pub async fn patch(
    State(live): State<Arc<Live>>,
    host: Caller,
    Path(id): Path<Id>,
    Valid(patch): Valid<PatchLiveSession>,
) -> Result<Json<LiveSession>> {
    Ok(Json(live.edit(host.id, id, patch).await?))
}

/// Cancel a live session of the caller, or remove its replay.
///
/// Answers the session as it was last; again it changes nothing. One that is live is ended first.
#[utoipa::path(delete, path = "/v1/live/{id}", tag = "live", operation_id = "remove_session",
    params(("id" = Id, Path)),
    responses((status = 200, body = LiveSession), (status = 403, description = "the session is somebody else's"),
        (status = 409, description = "the session is live"), Problems))]
pub async fn remove(State(live): State<Arc<Live>>, host: Caller, Path(id): Path<Id>) -> Result<Json<LiveSession>> {
    Ok(Json(live.remove(host.id, id).await?))
}

/// Begin a live session of the caller.
///
/// Now, whatever was planned; again it changes nothing. Those who want to be reminded are notified.
#[utoipa::path(post, path = "/v1/live/{id}/start", tag = "live", operation_id = "start_session",
    params(("id" = Id, Path)),
    responses((status = 200, body = LiveSession), (status = 403, description = "the session is somebody else's"),
        (status = 409, description = "the session is over, or was removed"), Problems))]
pub async fn start(State(live): State<Arc<Live>>, host: Caller, Path(id): Path<Id>) -> Result<Json<LiveSession>> {
    Ok(Json(live.start(host.id, id).await?))
}

/// End a live session of the caller.
///
/// Its replay stays in the list. Again it changes nothing, whatever address is given; PATCH gives another.
#[utoipa::path(post, path = "/v1/live/{id}/end", tag = "live", operation_id = "end_session",
    params(("id" = Id, Path)), request_body = EndLiveSession,
    responses((status = 200, body = LiveSession), (status = 403, description = "the session is somebody else's"),
        (status = 409, description = "the session has not begun, or was removed"), Problems))]
pub async fn end(
    State(live): State<Arc<Live>>,
    host: Caller,
    Path(id): Path<Id>,
    OrDefault(end): OrDefault<EndLiveSession>,
) -> Result<Json<LiveSession>> {
    Ok(Json(live.end(host.id, id, end.replay_url.as_deref()).await?))
}

/// Live sessions of people whom the caller follows, and the caller's own.
///
/// What is live first, the latest start first; then what is upcoming, the soonest first; then replays, the latest end
/// first. All pages of a pass show the sessions as they were when its first page was made, so none repeats and none is
/// missed; begin anew at the first page to see what has changed.
#[utoipa::path(get, path = "/v1/live/feed", tag = "live", operation_id = "live_feed", params(Paging),
    responses((status = 200, body = Page<LiveSession>),
        (status = 410, description = "`snapshot_expired`: the pass has lasted too long; begin anew"), Problems))]
pub async fn feed(State(live): State<Arc<Live>>, caller: Caller, paging: Paging) -> Result<Response> {
    Ok(json(live.feed_json(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Live sessions of a person.
///
/// In the same order as `/v1/live/feed`, with pages that agree in the same way.
#[utoipa::path(get, path = "/v1/users/{user}/live", tag = "live", operation_id = "live_of_host",
    params(("user" = String, Path, description = "id or @handle"), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<LiveSession>),
        (status = 410, description = "`snapshot_expired`: the pass has lasted too long; begin anew"), Problems))]
pub async fn of_host(
    State(users): State<Arc<Users>>,
    State(live): State<Arc<Live>>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
    paging: Paging,
) -> Result<Response> {
    let host = users.resolve(&user).await?;
    Ok(json(live.of_host_json(viewer.id(), host, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Be reminded of a live session.
///
/// A notification when it begins. Again it changes nothing.
#[utoipa::path(put, path = "/v1/live/{id}/reminder", tag = "live", operation_id = "set_reminder",
    params(("id" = Id, Path)),
    responses((status = 200, body = LiveSession),
        (status = 409, description = "the session has begun, or there are as many reminders as can be"),
        (status = 410, description = "the session was removed"), Problems))]
pub async fn remind(State(live): State<Arc<Live>>, caller: Caller, Path(id): Path<Id>) -> Result<Json<LiveSession>> {
    Ok(Json(live.remind(caller.id, id).await?))
}

/// Not be reminded of a live session.
///
/// Where there was no reminder nothing changes.
#[utoipa::path(delete, path = "/v1/live/{id}/reminder", tag = "live", operation_id = "remove_reminder",
    params(("id" = Id, Path)),
    responses((status = 200, body = LiveSession), (status = 410, description = "the session was removed"), Problems))]
pub async fn no_reminder(
    State(live): State<Arc<Live>>,
    caller: Caller,
    Path(id): Path<Id>,
) -> Result<Json<LiveSession>> {
    Ok(Json(live.no_reminder(caller.id, id).await?))
}
