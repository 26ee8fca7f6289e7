//! Routes of conversations: made, listed, and what a person keeps to themselves about them.

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{
    Conversation, ConversationPage, Id, MentionedIn, NewConversation, Page, PatchConversation, PatchPersonal, Personal,
    Receipt, UnreadConversations, Watermark,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::base::error::{Error, Result};
use crate::chat::service::{Begun, Chat, Folder, ListQuery};
use crate::http::{Caller, Keyed, NoContent, Paging, Params, Path, Problems, Valid};

/// Begin a conversation.
///
/// Of a pair there is one direct conversation: beginning it again, also by the other, answers the same one with 200.
/// The caller of a group is its owner. With an `Idempotency-Key` the request can be sent again until it is answered:
/// the group is made once.
#[utoipa::path(post, path = "/v1/conversations", tag = "chat", request_body = NewConversation,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        description = "1 to 255 characters; a repeat within 24 h answers the first result")),
    responses((status = 201, body = Conversation),
        (status = 200, description = "The pair has this conversation already", body = Conversation),
        (status = 403, description = "one of the two blocks the other"), Problems))]
pub async fn begin(State(chat): State<Chat>, caller: Caller, new: Keyed<NewConversation>) -> Result<Begun> {
    let key = new.key.map(|key| key.of_caller(caller.id));
    chat.begin(caller.id, new.body, key).await
}

/// Choice of conversations.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// `inbox`, `archived` or `requests`; `inbox` where nothing is said.
    #[serde(default)]
    #[param(inline)]
    folder: Folder,
    /// Pinned ones come first.
    #[serde(default)]
    pinned_first: bool,
    /// `changes_cursor` or `next_cursor` of such an answer: only what changed since, of all folders, in no order that
    /// means something. Conversations that the caller left are among them, with `left`.
    #[serde(default)]
    #[param(min_length = 1, max_length = 512, pattern = "^[A-Za-z0-9_-]+$")]
    changed_after: Option<String>,
}

/// The caller's conversations, newest message first.
///
/// `changes_cursor` asks the next time for what has changed since, by `changed_after`.
#[utoipa::path(get, path = "/v1/conversations", tag = "chat", operation_id = "list_conversations",
    params(ListParameters, Paging), responses((status = 200, body = ConversationPage), Problems))]
pub async fn conversations(
    State(chat): State<Chat>,
    caller: Caller,
    Params(listing): Params<ListParameters>,
    paging: Paging,
) -> Result<Json<ConversationPage>> {
    let limit = paging.limit.into();
    if let Some(since) = listing.changed_after {
        // A page that goes on knows since when: its cursor says it.
        let since = paging.cursor.unwrap_or(since);
        return Ok(Json(chat.changed(caller.id, &since, limit).await?));
    }
    let ListParameters { folder, pinned_first, .. } = listing;
    let query = ListQuery { folder, pinned_first, limit, cursor: paging.cursor.as_deref() };
    Ok(Json(chat.list(caller.id, query).await?))
}

/// Numbers for badges.
///
/// Of the inbox; muted conversations are not counted, and requests apart.
#[utoipa::path(get, path = "/v1/conversations/unread", tag = "chat", operation_id = "count_unread_conversations",
    responses((status = 200, body = UnreadConversations), Problems))]
pub async fn unread(State(chat): State<Chat>, caller: Caller) -> Result<Json<UnreadConversations>> {
    Ok(Json(chat.unread(caller.id).await?))
}

/// Messages that name the caller, newest first.
///
/// Across conversations, without those that were recalled.
#[utoipa::path(get, path = "/v1/mentions", tag = "chat", operation_id = "list_mentions", params(Paging),
    responses((status = 200, body = Page<MentionedIn>), Problems))]
pub async fn mentions(State(chat): State<Chat>, caller: Caller, paging: Paging) -> Result<Json<Page<MentionedIn>>> {
    Ok(Json(chat.mentions_of(caller.id, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// A conversation of the caller.
///
/// Whoever is not in it gets 404, whether it is there or not.
#[utoipa::path(get, path = "/v1/conversations/{id}", tag = "chat", params(("id" = Id, Path)),
    responses((status = 200, body = Conversation), Problems))]
pub async fn conversation(State(chat): State<Chat>, caller: Caller, Path(id): Path<Id>) -> Result<Json<Conversation>> {
    Ok(Json(chat.conversation(caller.id, id).await?))
}

/// Change title and settings of a group.
///
/// For its owner and admins. A JSON merge patch.
#[utoipa::path(patch, path = "/v1/conversations/{id}", tag = "chat", params(("id" = Id, Path)),
    request_body = PatchConversation,
    responses((status = 200, body = Conversation), (status = 403, description = "the caller is no admin"),
        (status = 409, description = "a direct conversation has none of it"), Problems))]
pub async fn change_conversation(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    Valid(patch): Valid<PatchConversation>,
) -> Result<Json<Conversation>> {
    Ok(Json(chat.patch(caller.id, id, patch).await?))
}

/// Hide a conversation from the caller's list until something new comes.
///
/// Leaving a group is `DELETE …/members/{user}`.
#[utoipa::path(delete, path = "/v1/conversations/{id}", tag = "chat", params(("id" = Id, Path)),
    responses((status = 204), Problems))]
pub async fn hide(State(chat): State<Chat>, caller: Caller, Path(id): Path<Id>) -> Result<NoContent> {
    chat.hide(caller.id, id).await?;
    Ok(NoContent)
}

/// Change what the caller keeps to themselves about a conversation.
///
/// The same on all of the caller's devices; nobody else sees it. A field that is absent stays.
#[utoipa::path(put, path = "/v1/conversations/{id}/personal", tag = "chat", params(("id" = Id, Path)),
    request_body = PatchPersonal, responses((status = 200, body = Personal), Problems))]
pub async fn personal(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    Valid(patch): Valid<PatchPersonal>,
) -> Result<Json<Personal>> {
    Ok(Json(chat.personal(caller.id, id, patch).await?))
}

/// The number of a mark whose address names the conversation.
fn number(mark: Watermark) -> Result<u64> {
    match mark.conversation_id {
        None => Ok(mark.seq),
        Some(_) => Err(Error::field("conversation_id", "stands in the address; leave it out")),
    }
}

/// Mark everything up to a message as read.
///
/// Only forward: a lower number changes nothing.
#[utoipa::path(put, path = "/v1/conversations/{id}/read", tag = "chat", params(("id" = Id, Path)),
    request_body = Watermark, responses((status = 200, body = Receipt), Problems))]
pub async fn mark_conversation_read(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    Valid(mark): Valid<Watermark>,
) -> Result<Json<Receipt>> {
    Ok(Json(chat.read(caller.id, id, number(mark)?).await?))
}

/// Say that everything up to a message has arrived.
///
/// Only forward: a lower number changes nothing. What was read has arrived.
#[utoipa::path(put, path = "/v1/conversations/{id}/delivered", tag = "chat", params(("id" = Id, Path)),
    request_body = Watermark, responses((status = 200, body = Receipt), Problems))]
pub async fn mark_delivered(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    Valid(mark): Valid<Watermark>,
) -> Result<Json<Receipt>> {
    Ok(Json(chat.delivered(caller.id, id, number(mark)?).await?))
}

/// Marks of the members.
///
/// Two numbers each, which only rise: everything up to them has arrived, and was read.
#[utoipa::path(get, path = "/v1/conversations/{id}/receipts", tag = "chat", operation_id = "list_receipts",
    params(("id" = Id, Path)), responses((status = 200, body = Page<Receipt>), Problems))]
pub async fn receipts(State(chat): State<Chat>, caller: Caller, Path(id): Path<Id>) -> Result<Json<Page<Receipt>>> {
    Ok(Json(Page { items: chat.receipts(caller.id, id).await?, next_cursor: None }))
}
