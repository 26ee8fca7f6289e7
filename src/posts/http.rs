//! Routes of posts that are no home feed.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use fanfare_protocol::{Id, NewPost, Page, Post, PostOrGone, PostThread, User};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::service::Published;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::{Caller, Check, Created, Keyed, MaybeCaller, NoContent, Paging, Params, Path, Problems};

impl Check for NewPost {}

impl IntoResponse for Published {
    fn into_response(self) -> Response {
        match self {
            Self::New(post) => Created(post).into_response(),
            Self::Same(post) => (StatusCode::OK, Json(post)).into_response(),
            Self::Replayed(post) => {
                let replayed = [(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"))];
                (replayed, Created(post)).into_response()
            }
        }
    }
}

/// Publish a post, a reply (`reply_to`) or a repost (`repost_of`); once per `Idempotency-Key`.
#[utoipa::path(post, path = "/v1/posts", tag = "posts", request_body = NewPost,
    params(("Idempotency-Key" = Option<String>, Header, description = "1 to 255 characters; a repeat within 24 h answers the first result")),
    responses((status = 201, body = Post), (status = 200, description = "the caller passed this post on before", body = Post), Problems))]
pub async fn publish(State(app): State<App>, author: Caller, new: Keyed<NewPost>) -> Result<Published> {
    let key = new.key.map(|key| key.of_caller(author.id));
    app.posts.publish(author.id, new.body, key).await
}

/// A post.
#[utoipa::path(get, path = "/v1/posts/{id}", tag = "posts", params(("id" = Id, Path)), security((), ("bearer" = [])),
    responses((status = 200, body = Post), Problems))]
pub async fn get(State(app): State<App>, viewer: MaybeCaller, Path(id): Path<Id>) -> Result<Json<Post>> {
    Ok(Json(app.posts.get(viewer.id(), id).await?))
}

/// Delete a post of the caller; it is gone from every feed on the next read.
#[utoipa::path(delete, path = "/v1/posts/{id}", tag = "posts", params(("id" = Id, Path)),
    responses((status = 204), Problems))]
pub async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<Id>) -> Result<NoContent> {
    app.posts.delete(caller.id, id).await?;
    Ok(NoContent)
}

/// Like a post, of a bare repost its original, which is answered; again changes nothing.
#[utoipa::path(put, path = "/v1/posts/{id}/like", tag = "posts", params(("id" = Id, Path)),
    responses((status = 200, body = Post), Problems))]
pub async fn like(State(app): State<App>, caller: Caller, Path(id): Path<Id>) -> Result<Json<Post>> {
    Ok(Json(app.posts.like(caller.id, id).await?))
}

/// No longer like a post, of a bare repost its original.
#[utoipa::path(delete, path = "/v1/posts/{id}/like", tag = "posts", params(("id" = Id, Path)),
    responses((status = 200, body = Post), Problems))]
pub async fn unlike(State(app): State<App>, caller: Caller, Path(id): Path<Id>) -> Result<Json<Post>> {
    Ok(Json(app.posts.unlike(caller.id, id).await?))
}

/// People who like a post, of a bare repost its original, latest first.
#[utoipa::path(get, path = "/v1/posts/{id}/likes", tag = "posts", params(("id" = Id, Path), Paging),
    security((), ("bearer" = [])), responses((status = 200, body = Page<User>), Problems))]
pub async fn likes(
    State(app): State<App>,
    viewer: MaybeCaller,
    Path(id): Path<Id>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    Ok(Json(app.posts.likers(viewer.id(), id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Replies to a post, of a bare repost to its original, oldest first. One that is gone keeps its place while it is answered.
#[utoipa::path(get, path = "/v1/posts/{id}/replies", tag = "posts", params(("id" = Id, Path), Paging),
    security((), ("bearer" = [])), responses((status = 200, body = Page<PostOrGone>), Problems))]
pub async fn replies(
    State(app): State<App>,
    viewer: MaybeCaller,
    Path(id): Path<Id>,
    paging: Paging,
) -> Result<Json<Page<PostOrGone>>> {
    Ok(Json(app.posts.replies(viewer.id(), id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// A post, of a bare repost its original, with what it answers and its first replies. What is gone keeps its place.
#[utoipa::path(get, path = "/v1/posts/{id}/thread", tag = "posts", params(("id" = Id, Path)),
    security((), ("bearer" = [])), responses((status = 200, body = PostThread), Problems))]
pub async fn thread(State(app): State<App>, viewer: MaybeCaller, Path(id): Path<Id>) -> Result<Json<PostThread>> {
    Ok(Json(app.posts.thread(viewer.id(), id).await?))
}

/// Posts, replies and reposts of a person, latest first.
#[utoipa::path(get, path = "/v1/users/{user}/posts", tag = "posts",
    params(("user" = String, Path, description = "id or @handle"), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<Post>), Problems))]
pub async fn of_author(
    State(app): State<App>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
    paging: Paging,
) -> Result<Json<Page<Post>>> {
    let author = app.users.resolve(&user).await?;
    Ok(Json(app.posts.of_author(viewer.id(), author, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Which posts to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListScope {
    /// Everybody's.
    Public,
}

/// Which posts to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Listed {
    /// `public`.
    #[param(inline)]
    pub scope: Option<ListScope>,
}

/// The latest posts of everybody, without replies and bare reposts.
#[utoipa::path(get, path = "/v1/posts", tag = "posts", params(Listed, Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<Post>), Problems))]
pub async fn public(
    State(app): State<App>,
    viewer: MaybeCaller,
    Params(listed): Params<Listed>,
    paging: Paging,
) -> Result<Json<Page<Post>>> {
    if listed.scope.is_none() {
        return Err(Error::field("scope", "is missing; `public` is the one there is"));
    }
    Ok(Json(app.posts.public(viewer.id(), paging.limit.into(), paging.cursor.as_deref()).await?))
}
