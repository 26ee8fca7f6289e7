//! Routes of follows, blocks and mutes.

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{Page, Relationship, User};

use crate::app::App;
use crate::error::Result;
use crate::http::{Caller, MaybeCaller, Paging, Path, Problems};

/// Declares a pair of routes that make and end an edge of the caller to `{user}`.
macro_rules! edge {
    ($make:ident, $end:ident, $path:literal, $make_text:literal, $end_text:literal) => {
        #[doc = $make_text]
        #[utoipa::path(put, path = $path, tag = "people", params(("user" = String, Path, description = "id or @handle")),
            responses((status = 200, body = Relationship), Problems))]
        pub async fn $make(
            State(app): State<App>,
            caller: Caller,
            Path(user): Path<String>,
        ) -> Result<Json<Relationship>> {
            let other = app.users.resolve(&user).await?;
            Ok(Json(app.follows.$make(caller.id, other).await?))
        }

        #[doc = $end_text]
        #[utoipa::path(delete, path = $path, tag = "people",
            params(("user" = String, Path, description = "id or @handle")),
            responses((status = 200, body = Relationship), Problems))]
        pub async fn $end(
            State(app): State<App>,
            caller: Caller,
            Path(user): Path<String>,
        ) -> Result<Json<Relationship>> {
            let other = app.users.resolve(&user).await?;
            Ok(Json(app.follows.$end(caller.id, other).await?))
        }
    };
}

edge!(follow, unfollow, "/v1/users/{user}/follow", "Follow a person; again changes nothing.", "Unfollow a person.");
edge!(block, unblock, "/v1/users/{user}/block", "Block a person; follows end both ways.", "Unblock a person.");
edge!(mute, unmute, "/v1/users/{user}/mute", "Mute a person; the follow stays.", "Unmute a person.");

/// People who follow a person, latest first.
#[utoipa::path(get, path = "/v1/users/{user}/followers", tag = "people",
    params(("user" = String, Path, description = "id or @handle"), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn followers(
    State(app): State<App>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    let of = app.users.resolve(&user).await?;
    Ok(Json(app.follows.followers(viewer.id(), of, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// People whom a person follows, latest first.
#[utoipa::path(get, path = "/v1/users/{user}/following", tag = "people",
    params(("user" = String, Path, description = "id or @handle"), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn following(
    State(app): State<App>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    let of = app.users.resolve(&user).await?;
    Ok(Json(app.follows.following(viewer.id(), of, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// People whom the caller blocks, latest first.
#[utoipa::path(get, path = "/v1/users/me/blocks", tag = "people", params(Paging),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn blocks(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<Page<User>>> {
    Ok(Json(app.follows.blocks(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// People whom the caller mutes, latest first.
#[utoipa::path(get, path = "/v1/users/me/mutes", tag = "people", params(Paging),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn mutes(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<Page<User>>> {
    Ok(Json(app.follows.mutes(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}
