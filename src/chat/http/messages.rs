//! Routes of messages.

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{ChangePage, EarlierText, EditMessage, Id, Message, MessagePage, NewMessage, Page, Reactor};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::base::error::{Error, Result};
use crate::chat::service::{Chat, MessagesAt, ReactorQuery, Sending};
use crate::http::{Caller, NoContent, Paging, Params, Path, Problems, Valid};

/// Send a message.
///
/// The same `client_id` again within 7 days answers the same message with 200, so that it can be sent until it is
/// answered. With `forward` it passes on a message that the caller can see.
#[utoipa::path(post, path = "/v1/conversations/{id}/messages", tag = "chat", params(("id" = Id, Path)),
    request_body = NewMessage,
    responses((status = 201, body = Message),
        (status = 200, description = "The `client_id` was used before: the same message", body = Message),
        (status = 403, description = "the conversation takes no messages from the caller"), Problems))]
pub async fn send_message(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    Valid(new): Valid<NewMessage>,
) -> Result<Sending> {
    chat.send(caller.id, id, new).await
}

/// Place of a page of messages: at most one.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PagePlace {
    /// Messages below this number, newest first.
    #[serde(default)]
    before_seq: Option<u64>,
    /// Messages above this number, oldest first.
    #[serde(default)]
    after_seq: Option<u64>,
    /// Messages about this number, newest first.
    #[serde(default)]
    around_seq: Option<u64>,
}

impl PagePlace {
    fn query(self) -> Result<MessagesAt> {
        match (self.before_seq, self.after_seq, self.around_seq) {
            (None, None, None) => Ok(MessagesAt::Newest),
            (Some(seq), None, None) => Ok(MessagesAt::Before(seq)),
            (None, Some(seq), None) => Ok(MessagesAt::After(seq)),
            (None, None, Some(seq)) => Ok(MessagesAt::Around(seq)),
            _ => Err(Error::field("after_seq", "one of before_seq, after_seq and around_seq can be given")),
        }
    }
}

/// Messages of a conversation.
///
/// The newest ones first, those below `before_seq` newest first, or those above `after_seq` oldest first. Numbers
/// have no holes: what was recalled keeps its place.
#[utoipa::path(get, path = "/v1/conversations/{id}/messages", tag = "chat", operation_id = "list_messages",
    params(("id" = Id, Path), PagePlace,
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "Items of the page; 20 without")),
    responses((status = 200, body = MessagePage), Problems))]
pub async fn messages(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    Params(place): Params<PagePlace>,
    paging: Paging,
) -> Result<Json<MessagePage>> {
    Ok(Json(chat.page(caller.id, id, place.query()?, paging.limit.into()).await?))
}

/// A message.
///
/// As it is now: with its edits, reactions and, where it was recalled, without its words.
#[utoipa::path(get, path = "/v1/conversations/{id}/messages/{seq}", tag = "chat",
    params(("id" = Id, Path),
        ("seq" = u64, Path, description = "number of the message")), responses((status = 200, body = Message), Problems))]
pub async fn message(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, seq)): Path<(Id, u64)>,
) -> Result<Json<Message>> {
    Ok(Json(chat.message(caller.id, id, seq).await?))
}

/// Give a message of the caller other words.
///
/// What it said before is kept, and shown by `…/edits`. Forwarded and recalled messages stay as they are.
#[utoipa::path(patch, path = "/v1/conversations/{id}/messages/{seq}", tag = "chat",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message")), request_body = EditMessage,
    responses((status = 200, body = Message), (status = 403, description = "the message is somebody else's"),
        Problems))]
pub async fn edit_message(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, seq)): Path<(Id, u64)>,
    Valid(edit): Valid<EditMessage>,
) -> Result<Json<Message>> {
    Ok(Json(chat.edit(caller.id, id, seq, &edit.text).await?))
}

/// Take a message back.
///
/// Its sender can, and admins of a group. The number stays, the text goes.
#[utoipa::path(delete, path = "/v1/conversations/{id}/messages/{seq}", tag = "chat",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message")),
    responses((status = 204), (status = 403, description = "the message is somebody else's"), Problems))]
pub async fn recall_message(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, seq)): Path<(Id, u64)>,
) -> Result<NoContent> {
    chat.recall(caller.id, id, seq).await?;
    Ok(NoContent)
}

/// Words that a message had before it was edited, oldest first.
///
/// Nothing where it never was, or was recalled.
#[utoipa::path(get, path = "/v1/conversations/{id}/messages/{seq}/edits", tag = "chat", operation_id = "list_edits",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message")),
    responses((status = 200, body = Page<EarlierText>), Problems))]
pub async fn earlier_texts(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, seq)): Path<(Id, u64)>,
) -> Result<Json<Page<EarlierText>>> {
    Ok(Json(Page { items: chat.earlier(caller.id, id, seq).await?, next_cursor: None }))
}

/// Choice of reactions.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReactionChoice {
    /// Reactions of this kind alone.
    #[serde(default)]
    #[param(min_length = 1, max_length = 64, example = "👍")]
    emoji: Option<String>,
}

/// People who reacted to a message.
///
/// Of one kind, or of all, kind by kind. Nobody where the message was recalled.
#[utoipa::path(get, path = "/v1/conversations/{id}/messages/{seq}/reactions", tag = "chat",
    operation_id = "list_reactions",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message"), ReactionChoice, Paging),
    responses((status = 200, body = Page<Reactor>), (status = 422, description = "`emoji` is none"), Problems))]
pub async fn reactors(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, seq)): Path<(Id, u64)>,
    Params(choice): Params<ReactionChoice>,
    paging: Paging,
) -> Result<Json<Page<Reactor>>> {
    let query =
        ReactorQuery { emoji: choice.emoji.as_deref(), limit: paging.limit.into(), cursor: paging.cursor.as_deref() };
    Ok(Json(chat.reactors(caller.id, id, seq, query).await?))
}

/// React to a message.
///
/// One of each kind a person, 20 kinds a message. Again it changes nothing.
#[utoipa::path(put, path = "/v1/conversations/{id}/messages/{seq}/reactions/{emoji}", tag = "chat",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message"),
        ("emoji" = String, Path, description = "one emoji", example = "👍")),
    responses((status = 200, body = Message), (status = 422, description = "`emoji` is none, or one too many"),
        (status = 403, description = "one of the two blocks the other"), Problems))]
pub async fn react(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, seq, emoji)): Path<(Id, u64, String)>,
) -> Result<Json<Message>> {
    Ok(Json(chat.react(caller.id, id, seq, emoji, true).await?))
}

/// Take a reaction back.
///
/// Where there was none nothing changes.
#[utoipa::path(delete, path = "/v1/conversations/{id}/messages/{seq}/reactions/{emoji}", tag = "chat",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message"),
        ("emoji" = String, Path, description = "one emoji", example = "👍")),
    responses((status = 200, body = Message), (status = 422, description = "`emoji` is none"),
        (status = 403, description = "one of the two blocks the other"), Problems))]
pub async fn unreact(
    State(chat): State<Chat>,
    caller: Caller,
    Path((id, seq, emoji)): Path<(Id, u64, String)>,
) -> Result<Json<Message>> {
    Ok(Json(chat.react(caller.id, id, seq, emoji, false).await?))
}

/// Pinned messages, the latest pin first.
///
/// Those that the caller may see; at most 50.
#[utoipa::path(get, path = "/v1/conversations/{id}/pins", tag = "chat", operation_id = "list_pins",
    params(("id" = Id, Path)), responses((status = 200, body = Page<Message>), Problems))]
pub async fn pins(State(chat): State<Chat>, caller: Caller, Path(id): Path<Id>) -> Result<Json<Page<Message>>> {
    Ok(Json(Page { items: chat.pins(caller.id, id).await?, next_cursor: None }))
}

/// Pin a message.
///
/// In a group its owner and admins can. At most 50; again it changes nothing.
#[utoipa::path(put, path = "/v1/conversations/{id}/pins/{seq}", tag = "chat",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message")),
    responses((status = 204), (status = 403, description = "the caller is no admin"),
        (status = 422, description = "it was recalled, or there are 50"), Problems))]
pub async fn pin(State(chat): State<Chat>, caller: Caller, Path((id, seq)): Path<(Id, u64)>) -> Result<NoContent> {
    chat.pin(caller.id, id, seq, true).await?;
    Ok(NoContent)
}

/// Take a message off the pins.
///
/// Whoever can pin can; again it changes nothing.
#[utoipa::path(delete, path = "/v1/conversations/{id}/pins/{seq}", tag = "chat",
    params(("id" = Id, Path), ("seq" = u64, Path, description = "number of the message")),
    responses((status = 204), (status = 403, description = "the caller is no admin"),
        (status = 422, description = "it was recalled"), Problems))]
pub async fn unpin(State(chat): State<Chat>, caller: Caller, Path((id, seq)): Path<(Id, u64)>) -> Result<NoContent> {
    chat.pin(caller.id, id, seq, false).await?;
    Ok(NoContent)
}

/// Place of a page of changes.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ChangePlace {
    /// The last change that the caller knows; 0 for none.
    #[param(example = 0)]
    after: u64,
}

/// Changes to messages that were there, oldest first.
///
/// Edits, recalls, reactions and pins, numbered without holes; kept for 14 days.
#[utoipa::path(get, path = "/v1/conversations/{id}/changes", tag = "chat", operation_id = "list_changes",
    params(("id" = Id, Path), ChangePlace,
        ("limit" = Option<u16>, Query, minimum = 1, maximum = 100, description = "Items of the page; 20 without")),
    responses((status = 200, body = ChangePage),
        (status = 410, description = "changes of that age are not kept any more"), Problems))]
pub async fn changes(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<Id>,
    Params(place): Params<ChangePlace>,
    paging: Paging,
) -> Result<Json<ChangePage>> {
    Ok(Json(chat.changes(caller.id, id, place.after, paging.limit.into()).await?))
}
