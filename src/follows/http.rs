//! Routes of follows, blocks and mutes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{Id, Page, Presence, Relationship, User};

use super::service::Follows;
use crate::base::error::Result;
use crate::http::{Caller, MaybeCaller, Paging, Path, Problems};
use crate::realtime::Realtime;
use crate::users::service::Users;

/// Declares a pair of routes that make and end an edge of the caller to `{user}`: path, summary and rest of the
/// description of both, and what the first refuses.
macro_rules! edge {
    (
        $make:ident, $end:ident, $path:literal,
        [$make_text:literal, $make_more:literal], [$end_text:literal, $end_more:literal], $(($($refusal:tt)*)),*
    ) => {
        #[doc = $make_text]
        #[doc = ""]
        #[doc = $make_more]
        #[utoipa::path(put, path = $path, tag = "people",
            params(("user" = String, Path, description = "id or @handle")),
            responses((status = 200, body = Relationship), $(($($refusal)*)),*, Problems))]
        pub async fn $make(
            State(users): State<Arc<Users>>,
            State(follows): State<Arc<Follows>>,
            caller: Caller,
            Path(user): Path<String>,
        ) -> Result<Json<Relationship>> {
            let other = users.resolve(&user).await?;
            Ok(Json(follows.$make(caller.id, other).await?))
        }

        #[doc = $end_text]
        #[doc = ""]
        #[doc = $end_more]
        #[utoipa::path(delete, path = $path, tag = "people",
            params(("user" = String, Path, description = "id or @handle")),
            responses((status = 200, body = Relationship), Problems))]
        pub async fn $end(
            State(users): State<Arc<Users>>,
            State(follows): State<Arc<Follows>>,
            caller: Caller,
            Path(user): Path<String>,
        ) -> Result<Json<Relationship>> {
            let other = users.resolve(&user).await?;
            Ok(Json(follows.$end(caller.id, other).await?))
        }
    };
}

edge!(
    follow,
    unfollow,
    "/v1/users/{user}/follow",
    ["Follow a person.", "Their posts come into the caller's feed, also those from before. Again it changes nothing."],
    ["Unfollow a person.", "Their posts leave the caller's feed with the next read."],
    (status = 403, description = "the caller blocks the person"),
    (status = 422, description = "oneself, or more people than `feed.follow_limit`")
);
edge!(
    block,
    unblock,
    "/v1/users/{user}/block",
    [
        "Block a person.",
        "Follows end both ways, and neither sees the other's posts in feeds. Again it changes nothing."
    ],
    ["Unblock a person.", "Follows that the block ended do not come back."],
    (status = 422, description = "oneself, or more people than can be blocked")
);
edge!(
    mute,
    unmute,
    "/v1/users/{user}/mute",
    [
        "Mute a person.",
        "Their posts and news stay away from the caller, who goes on following them. They are not told."
    ],
    ["Unmute a person.", "What was hidden is there again with the next read."],
    (status = 422, description = "oneself, or more people than can be muted")
);

/// People who follow a person, latest first.
///
/// Each with how the caller stands to them, where there is a token.
#[utoipa::path(get, path = "/v1/users/{user}/followers", tag = "people", operation_id = "list_followers",
    params(("user" = String, Path, description = "id or @handle"), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn followers(
    State(users): State<Arc<Users>>,
    State(follows): State<Arc<Follows>>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    let of = users.resolve(&user).await?;
    Ok(Json(follows.followers(viewer.id(), of, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// People whom a person follows, latest first.
///
/// Each with how the caller stands to them, where there is a token.
#[utoipa::path(get, path = "/v1/users/{user}/following", tag = "people", operation_id = "list_following",
    params(("user" = String, Path, description = "id or @handle"), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn following(
    State(users): State<Arc<Users>>,
    State(follows): State<Arc<Follows>>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    let of = users.resolve(&user).await?;
    Ok(Json(follows.following(viewer.id(), of, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// People whom the caller blocks, latest first.
///
/// For a page of settings; nobody else can read it.
#[utoipa::path(get, path = "/v1/users/me/blocks", tag = "people", operation_id = "list_blocks", params(Paging),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn blocks(State(follows): State<Arc<Follows>>, caller: Caller, paging: Paging) -> Result<Json<Page<User>>> {
    Ok(Json(follows.blocks(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// People whom the caller mutes, latest first.
///
/// For a page of settings; nobody else can read it.
#[utoipa::path(get, path = "/v1/users/me/mutes", tag = "people", operation_id = "list_mutes", params(Paging),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn mutes(State(follows): State<Arc<Follows>>, caller: Caller, paging: Paging) -> Result<Json<Page<User>>> {
    Ok(Json(follows.mutes(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Presence of the people whom the caller follows.
///
/// Latest follow first, online or not.
#[utoipa::path(get, path = "/v1/presence/following", tag = "realtime", operation_id = "list_presence", params(Paging),
    responses((status = 200, body = Page<Presence>), Problems))]
pub async fn presence(
    State(follows): State<Arc<Follows>>,
    State(realtime): State<Realtime>,
    caller: Caller,
    paging: Paging,
) -> Result<Json<Page<Presence>>> {
    let page = follows.following(Some(caller.id), caller.id, paging.limit.into(), paging.cursor.as_deref()).await?;
    let people: Vec<Id> = page.items.iter().map(|user| user.id).collect();
    let items = realtime.presence_for(caller.id, &people).await?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}
