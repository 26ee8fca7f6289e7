//! Routes of members, invites and requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{
    ChatPreferences, Conversation, Id, Invite, InviteLook, Member, NewInvite, Page, PatchChatPreferences,
    RequestsDeclined, RoleChange,
};

use super::NewlyInvited;
use crate::base::error::Result;
use crate::chat::service::Chat;
use crate::http::{Caller, Created, NoContent, OrDefault, Paging, Path, Problems, Valid};
use crate::users::service::Users;

/// The person whom a path names: whoever has an id there may be gone since.
async fn named(users: &Users, name: &str) -> Result<Id> {
    match name.parse() {
        Ok(id) => Ok(id),
        Err(_) => users.resolve(name).await,
    }
}

/// Members of a conversation, by id.
///
/// With their roles; in a direct conversation both are members.
#[utoipa::path(get, path = "/v1/conversations/{id}/members", tag = "chat", operation_id = "list_members",
    params(("id" = Id, Path), Paging), responses((status = 200, body = Page<Member>), Problems))]
pub async fn members(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    paging: Paging,
) -> Result<Json<Page<Member>>> {
    Ok(Json(chat.members(caller.id, id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Add somebody to a group.
///
/// For its owner and admins. Again it changes nothing.
#[utoipa::path(put, path = "/v1/conversations/{id}/members/{user}", tag = "chat",
    params(("id" = Id, Path), ("user" = String, Path, description = "id or @handle", example = "2118412345678905344")),
    responses((status = 200, body = Conversation), (status = 403, description = "the caller is no admin"),
        (status = 409, description = "a direct conversation stays between two"),
        (status = 422, description = "the group is full"), Problems))]
pub async fn add_member(
    State(users): State<Arc<Users>>,
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, user)): Path<(Id, String)>,
) -> Result<Json<Conversation>> {
    let user = named(&users, &user).await?;
    Ok(Json(chat.add(caller.id, id, user).await?))
}

/// Remove somebody from a group, or leave it.
///
/// Admins remove members, the owner everybody. An owner who leaves hands the group to the longest-serving admin, else
/// member.
#[utoipa::path(delete, path = "/v1/conversations/{id}/members/{user}", tag = "chat",
    params(("id" = Id, Path), ("user" = String, Path, description = "id or @handle", example = "2118412345678905344")),
    responses((status = 204), (status = 403, description = "the caller's role does not allow it"),
        (status = 409, description = "a direct conversation cannot be left"), Problems))]
pub async fn remove_member(
    State(users): State<Arc<Users>>,
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, user)): Path<(Id, String)>,
) -> Result<NoContent> {
    let user = named(&users, &user).await?;
    chat.remove(caller.id, id, user).await?;
    Ok(NoContent)
}

/// Give a member another role.
///
/// For the owner. `owner` hands the group over: the caller becomes an admin.
#[utoipa::path(patch, path = "/v1/conversations/{id}/members/{user}", tag = "chat",
    params(("id" = Id, Path), ("user" = String, Path, description = "id or @handle", example = "2118412345678905344")), request_body = RoleChange,
    responses((status = 200, body = Member), (status = 403, description = "the caller is not the owner"),
        (status = 409, description = "a direct conversation has no roles"), Problems))]
pub async fn change_role(
    State(users): State<Arc<Users>>,
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, user)): Path<(Id, String)>,
    Valid(change): Valid<RoleChange>,
) -> Result<Json<Member>> {
    let user = named(&users, &user).await?;
    Ok(Json(chat.change_role(caller.id, id, user, change.role).await?))
}

/// Make an invite to a group.
///
/// For its owner and admins. The token is told this once: whoever has it can join.
#[utoipa::path(post, path = "/v1/conversations/{id}/invites", tag = "chat", params(("id" = Id, Path)),
    request_body = NewInvite,
    responses((status = 201, body = Invite), (status = 403, description = "the caller is no admin"),
        (status = 409, description = "a direct conversation stays between two"), Problems))]
pub async fn make_invite(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    OrDefault(new): OrDefault<NewInvite>,
) -> Result<Created<NewlyInvited>> {
    Ok(Created(NewlyInvited { group: id, invite: chat.invite(caller.id, id, new).await? }))
}

/// Invites of a group that are good, the latest first.
///
/// For its owner and admins. Their tokens are not told again.
#[utoipa::path(get, path = "/v1/conversations/{id}/invites", tag = "chat", operation_id = "list_invites",
    params(("id" = Id, Path), Paging),
    responses((status = 200, body = Page<Invite>), (status = 403, description = "the caller is no admin"),
        (status = 409, description = "a direct conversation has none"), Problems))]
pub async fn invites(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    paging: Paging,
) -> Result<Json<Page<Invite>>> {
    Ok(Json(chat.invites(caller.id, id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// End an invite.
///
/// For the group's owner and admins. Who came by it stays.
#[utoipa::path(delete, path = "/v1/conversations/{id}/invites/{invite}", tag = "chat",
    params(("id" = Id, Path), ("invite" = Id, Path)),
    responses((status = 204), (status = 403, description = "the caller is no admin"),
        (status = 409, description = "a direct conversation has none"), Problems))]
pub async fn revoke_invite(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, invite)): Path<(Id, Id)>,
) -> Result<NoContent> {
    chat.revoke(caller.id, id, invite).await?;
    Ok(NoContent)
}

/// A group as whoever has an invite sees it.
///
/// 404 for what is no invite, or one that is good no more.
#[utoipa::path(get, path = "/v1/invites/{token}", tag = "chat",
    params(("token" = String, Path, description = "the secret of the invite")),
    responses((status = 200, body = InviteLook), Problems))]
pub async fn look_at_invite(
    State(chat): State<Chat>,
    caller: Caller,
    Path(token): Path<String>,
) -> Result<Json<InviteLook>> {
    Ok(Json(chat.look(caller.id, &token).await?))
}

/// Join a group by an invite.
///
/// Again it changes nothing.
#[utoipa::path(post, path = "/v1/invites/{token}/join", tag = "chat",
    params(("token" = String, Path, description = "the secret of the invite")),
    responses((status = 200, body = Conversation), (status = 422, description = "the group is full"), Problems))]
pub async fn join_by_invite(
    State(chat): State<Chat>,
    caller: Caller,
    Path(token): Path<String>,
) -> Result<Json<Conversation>> {
    Ok(Json(chat.join(caller.id, &token).await?))
}

/// Accept a request, or an invitation to a group.
///
/// Whoever was asked can; again it changes nothing.
#[utoipa::path(post, path = "/v1/conversations/{id}/accept", tag = "chat", params(("id" = Id, Path)),
    responses((status = 200, body = Conversation), Problems))]
pub async fn accept_request(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
) -> Result<Json<Conversation>> {
    Ok(Json(chat.accept(caller.id, id).await?))
}

/// Decline a request, or an invitation to a group.
///
/// Whoever asked is not told.
#[utoipa::path(post, path = "/v1/conversations/{id}/decline", tag = "chat", params(("id" = Id, Path)),
    responses((status = 204), Problems))]
pub async fn decline_request(State(chat): State<Chat>, caller: Caller, Path(id): Path<Id>) -> Result<NoContent> {
    chat.decline(caller.id, id).await?;
    Ok(NoContent)
}

/// Decline all requests and invitations.
///
/// Those that wait now, up to 1,000 a call. Whoever asked is not told.
#[utoipa::path(post, path = "/v1/conversations/requests/decline", tag = "chat", operation_id = "decline_all_requests",
    responses((status = 200, body = RequestsDeclined), Problems))]
pub async fn decline_all(State(chat): State<Chat>, caller: Caller) -> Result<Json<RequestsDeclined>> {
    Ok(Json(chat.decline_all(caller.id).await?))
}

/// Preferences of the caller in chat.
///
/// Who may talk to them and add them, and whether they share what they have read.
#[utoipa::path(get, path = "/v1/users/me/chat", tag = "chat", operation_id = "read_preferences",
    responses((status = 200, body = ChatPreferences), Problems))]
pub async fn preferences(State(chat): State<Chat>, caller: Caller) -> Result<Json<ChatPreferences>> {
    Ok(Json(chat.preferences(caller.id).await?))
}

/// Change preferences of the caller in chat.
///
/// A field that is absent stays. They hold for what begins from now on.
#[utoipa::path(patch, path = "/v1/users/me/chat", tag = "chat", operation_id = "change_preferences",
    request_body = PatchChatPreferences, responses((status = 200, body = ChatPreferences), Problems))]
pub async fn prefer(
    State(chat): State<Chat>,
    caller: Caller,
    Valid(patch): Valid<PatchChatPreferences>,
) -> Result<Json<ChatPreferences>> {
    Ok(Json(chat.prefer(caller.id, patch).await?))
}
