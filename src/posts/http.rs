//! Routes of posts that are no home feed.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use fanfare_protocol::{Id, NewPost, Page, Post, PostOrGone, PostThread, User};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::service::{Posts, Publication};
use crate::base::error::Result;
use crate::http::{Caller, Check, Created, Keyed, MaybeCaller, NoContent, Paging, Params, Path, Problems};
use crate::users::service::Users;

impl Check for NewPost {}

impl IntoResponse for Publication {
    fn into_response(self) -> Response {
        let replayed = [(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"))];
        match self {
            Self::New(post) => Created(post).into_response(),
            Self::Same(post) => (StatusCode::OK, Json(post)).into_response(),
            Self::Replayed(post) => (replayed, Created(post)).into_response(),
            Self::SameReplayed(post) => (replayed, Json(post)).into_response(),
        }
    }
}

/// Publish a post, a reply or a repost.
///
/// `reply_to` makes it a reply, `repost_of` a repost, or a quote when it has text of its own. With an
/// `Idempotency-Key` the request can be sent again until it is answered: the post is made once.
#[utoipa::path(post, path = "/v1/posts", tag = "posts", request_body = NewPost,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        description = "1 to 255 characters; a repeat within 24 h answers the first result")),
    responses((status = 201, body = Post),
        (status = 200, description = "The caller passed this post on before: the same repost", body = Post),
        (status = 404, description = "`reply_to` or `repost_of` names no post"),
        (status = 410, description = "`reply_to` or `repost_of` names a post that was deleted"), Problems))]
pub async fn publish(State(posts): State<Arc<Posts>>, author: Caller, new: Keyed<NewPost>) -> Result<Publication> {
    let key = new.key.map(|key| key.of_caller(author.id));
    posts.publish(author.id, new.body, key).await
}

/// A post.
///
/// With a token it says whether the caller likes it or passed it on.
#[utoipa::path(get, path = "/v1/posts/{id}", tag = "posts", params(("id" = Id, Path)), security((), ("bearer" = [])),
    responses((status = 200, body = Post), (status = 410, description = "the post was deleted"), Problems))]
pub async fn get(State(posts): State<Arc<Posts>>, viewer: MaybeCaller, Path(id): Path<Id>) -> Result<Json<Post>> {
    Ok(Json(posts.get(viewer.id(), id).await?))
}

/// Delete a post of the caller.
///
/// It is gone from every feed with the next read, and its id answers 410 from then on.
#[utoipa::path(delete, path = "/v1/posts/{id}", tag = "posts", params(("id" = Id, Path)),
    responses((status = 204), (status = 403, description = "the post is somebody else's"),
        (status = 410, description = "the post was deleted before"), Problems))]
pub async fn delete(State(posts): State<Arc<Posts>>, caller: Caller, Path(id): Path<Id>) -> Result<NoContent> {
    posts.delete(caller.id, id).await?;
    Ok(NoContent)
}

/// Like a post.
///
/// Of a bare repost its original, which is answered. Its author hears of it once; again it changes nothing.
#[utoipa::path(put, path = "/v1/posts/{id}/like", tag = "posts", params(("id" = Id, Path)),
    responses((status = 200, body = Post), (status = 410, description = "the post was deleted"), Problems))]
pub async fn like(State(posts): State<Arc<Posts>>, caller: Caller, Path(id): Path<Id>) -> Result<Json<Post>> {
    Ok(Json(posts.like(caller.id, id).await?))
}

/// No longer like a post.
///
/// Of a bare repost its original. Where there was no like nothing changes. A like can be taken back whoever has blocked
/// whom since: a post that the caller may not see any more is answered as `{id, hidden: true}`, once.
#[utoipa::path(delete, path = "/v1/posts/{id}/like", tag = "posts", params(("id" = Id, Path)),
    responses((status = 200, body = PostOrGone), (status = 410, description = "the post was deleted"), Problems))]
pub async fn unlike(State(posts): State<Arc<Posts>>, caller: Caller, Path(id): Path<Id>) -> Result<Json<PostOrGone>> {
    Ok(Json(posts.unlike(caller.id, id).await?))
}

/// People who like a post, latest first.
///
/// Of a bare repost those of its original. Without those who block the caller.
#[utoipa::path(get, path = "/v1/posts/{id}/likes", tag = "posts", operation_id = "list_likes",
    params(("id" = Id, Path), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<User>), (status = 410, description = "the post was deleted"), Problems))]
pub async fn likes(
    State(posts): State<Arc<Posts>>,
    viewer: MaybeCaller,
    Path(id): Path<Id>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    Ok(Json(posts.likers(viewer.id(), id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Replies to a post, oldest first.
///
/// The direct ones, of a bare repost those to its original; each says by `reply_count` whether it has replies of its
/// own. One that is gone keeps its place while it is answered.
#[utoipa::path(get, path = "/v1/posts/{id}/replies", tag = "posts", operation_id = "list_replies",
    params(("id" = Id, Path), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<PostOrGone>), (status = 410, description = "the post was deleted"), Problems))]
pub async fn replies(
    State(posts): State<Arc<Posts>>,
    viewer: MaybeCaller,
    Path(id): Path<Id>,
    paging: Paging,
) -> Result<Json<Page<PostOrGone>>> {
    Ok(Json(posts.replies(viewer.id(), id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// A post with what it answers and its first replies.
///
/// What a page of one post shows, of a bare repost its original. What is gone keeps its place. `next_cursor` goes on
/// under `/v1/posts/{id}/replies`.
#[utoipa::path(get, path = "/v1/posts/{id}/thread", tag = "posts", operation_id = "get_thread",
    params(("id" = Id, Path)), security((), ("bearer" = [])),
    responses((status = 200, body = PostThread), (status = 410, description = "the post was deleted"), Problems))]
pub async fn thread(
    State(posts): State<Arc<Posts>>,
    viewer: MaybeCaller,
    Path(id): Path<Id>,
) -> Result<Json<PostThread>> {
    Ok(Json(posts.thread(viewer.id(), id).await?))
}

/// Posts, replies and reposts of a person, latest first.
///
/// What a profile lists.
#[utoipa::path(get, path = "/v1/users/{user}/posts", tag = "posts", operation_id = "list_of_author",
    params(("user" = String, Path, description = "id or @handle"), Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<Post>), Problems))]
pub async fn of_author(
    State(users): State<Arc<Users>>,
    State(posts): State<Arc<Posts>>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
    paging: Paging,
) -> Result<Json<Page<Post>>> {
    let author = users.resolve(&user).await?;
    Ok(Json(posts.of_author(viewer.id(), author, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Scope of a list of posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListScope {
    /// Everybody's.
    Public,
}

/// Scope of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// `public`.
    #[param(inline)]
    pub scope: ListScope,
}

/// The latest posts of everybody, without replies and bare reposts.
///
/// For a first page without a log-in, where the server allows public reads.
#[utoipa::path(get, path = "/v1/posts", tag = "posts", operation_id = "list_public",
    params(ListParams, Paging), security((), ("bearer" = [])),
    responses((status = 200, body = Page<Post>), Problems))]
pub async fn public(
    State(posts): State<Arc<Posts>>,
    viewer: MaybeCaller,
    Params(listed): Params<ListParams>,
    paging: Paging,
) -> Result<Json<Page<Post>>> {
    let ListScope::Public = listed.scope;
    Ok(Json(posts.public(viewer.id(), paging.limit.into(), paging.cursor.as_deref()).await?))
}
