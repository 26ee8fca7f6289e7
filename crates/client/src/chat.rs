//! The calls of chat. Each answers the problem as its error.

use fanfare_protocol::{
    Attachment, ChangePage, ChatPreferences, Conversation, ConversationKind, ConversationPage, EarlierText,
    EditMessage, Forward, Id, Invite, InviteLook, Member, MemberRole, MentionedIn, Message, MessageKind, MessagePage,
    NewConversation, NewInvite, NewMessage, Page, PatchChatPreferences, PatchConversation, PatchPersonal, Personal,
    Reactor, Receipt, RequestsDeclined, RoleChange, UnreadConversations, Watermark,
};
use form_urlencoded::byte_serialize;
use hyper::{Method, StatusCode};
use std::time::{Duration, SystemTime};

use crate::{Client, Paging, Result};

const NO_BODY: Option<&()> = None;
/// Time before its end from which an address of an upload counts as none.
const ENDS_SOON: Duration = Duration::from_secs(60);

/// A thing that was asked for, and whether it was made by this request.
#[derive(Debug, Clone)]
pub struct Made<T> {
    /// Thing that is there.
    pub value: T,
    /// Whether this request made it.
    pub created: bool,
}

/// Place of a page of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MessagePlace {
    /// The newest ones, newest first.
    #[default]
    Newest,
    /// Messages below a number, newest first.
    Before(u64),
    /// Messages above a number, oldest first.
    After(u64),
    /// Messages about a number, newest first.
    Around(u64),
}

/// A message of words alone.
#[must_use]
pub fn text_message(client_id: &str, text: &str) -> NewMessage {
    NewMessage {
        client_id: client_id.to_owned(),
        kind: MessageKind::Text,
        text: Some(text.to_owned()),
        media_id: None,
        duration_ms: None,
        reply_to: None,
        forward: None,
    }
}

/// A message that holds an upload of the sender for messages.
#[must_use]
pub fn media_message(client_id: &str, kind: MessageKind, media: Id) -> NewMessage {
    NewMessage { kind, text: None, media_id: Some(media), ..text_message(client_id, "") }
}

/// A message that passes another one on, which the sender can see.
#[must_use]
pub fn forwarding(client_id: &str, conversation_id: Id, seq: u64) -> NewMessage {
    NewMessage { text: None, forward: Some(Forward { conversation_id, seq }), ..text_message(client_id, "") }
}

fn of(conversation: Id, rest: &str) -> String {
    format!("/v1/conversations/{conversation}{rest}")
}

fn emoji_path(conversation: Id, seq: u64, emoji: &str) -> String {
    let emoji: String = byte_serialize(emoji.as_bytes()).collect();
    of(conversation, &format!("/messages/{seq}/reactions/{emoji}"))
}

impl Client {
    /// Begins a conversation; a pair has one.
    ///
    /// # Errors
    /// The problem.
    pub async fn begin(&self, new: &NewConversation) -> Result<Made<Conversation>> {
        let answer = self.send_json(Method::POST, "/v1/conversations", &[], Some(new)).await?.accepted()?;
        Ok(Made { value: answer.json()?, created: answer.status == StatusCode::CREATED })
    }

    /// Begins a conversation that is made once, however often it is asked for with the same key.
    ///
    /// # Errors
    /// The problem.
    pub async fn begin_once(&self, new: &NewConversation, key: &str) -> Result<Made<Conversation>> {
        let key = [("idempotency-key", key)];
        let answer = self.send_json(Method::POST, "/v1/conversations", &key, Some(new)).await?.accepted()?;
        let is_again = answer.header("idempotency-replayed") == "true";
        Ok(Made { value: answer.json()?, created: answer.status == StatusCode::CREATED && !is_again })
    }

    /// The direct conversation with somebody.
    ///
    /// # Errors
    /// The problem.
    pub async fn direct(&self, peer: Id) -> Result<Conversation> {
        let (kind, member_ids) = (ConversationKind::Direct, vec![peer]);
        Ok(self.begin(&NewConversation { kind, member_ids, title: None, history: None }).await?.value)
    }

    /// A new group.
    ///
    /// # Errors
    /// The problem.
    pub async fn group(&self, title: &str, member_ids: &[Id]) -> Result<Conversation> {
        let (kind, title) = (ConversationKind::Group, Some(title.to_owned()));
        let new = NewConversation { kind, member_ids: member_ids.to_vec(), title, history: None };
        Ok(self.begin(&new).await?.value)
    }

    /// A page of `GET /v1/conversations`, with further parameters, such as `folder`.
    ///
    /// # Errors
    /// The problem.
    pub async fn conversations(&self, parameters: &[(&str, &str)], paging: Paging<'_>) -> Result<ConversationPage> {
        self.get(&paging.with("/v1/conversations", parameters)).await
    }

    /// The upload of a message, with addresses that are good for a while: the message is read again where those that
    /// are known have ended, or are about to. `None` where it has none, or was taken back meanwhile.
    ///
    /// # Errors
    /// The problem.
    pub async fn attachment(&self, message: &Message) -> Result<Option<Attachment>> {
        let Some(known) = &message.attachment else { return Ok(None) };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let soon_ms = u64::try_from((now + ENDS_SOON).as_millis()).unwrap_or(u64::MAX);
        if known.media.expires_at.is_none_or(|end| end.0 > soon_ms) {
            return Ok(Some(known.clone()));
        }
        Ok(self.message(message.conversation_id, message.seq).await?.attachment)
    }

    /// `GET /v1/conversations/unread`.
    ///
    /// # Errors
    /// The problem.
    pub async fn unread_conversations(&self) -> Result<UnreadConversations> {
        self.get("/v1/conversations/unread").await
    }

    /// A page of `GET /v1/mentions`.
    ///
    /// # Errors
    /// The problem.
    pub async fn mentions(&self, paging: Paging<'_>) -> Result<Page<MentionedIn>> {
        self.get(&paging.onto("/v1/mentions")).await
    }

    /// `GET /v1/conversations/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn conversation(&self, id: Id) -> Result<Conversation> {
        self.get(&of(id, "")).await
    }

    /// `PATCH /v1/conversations/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn change_conversation(&self, id: Id, patch: &PatchConversation) -> Result<Conversation> {
        self.call(Method::PATCH, &of(id, ""), Some(patch)).await
    }

    /// `DELETE /v1/conversations/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn hide_conversation(&self, id: Id) -> Result<()> {
        self.order(Method::DELETE, &of(id, ""), NO_BODY).await
    }

    /// `PUT /v1/conversations/{id}/personal`.
    ///
    /// # Errors
    /// The problem.
    pub async fn personal(&self, id: Id, patch: &PatchPersonal) -> Result<Personal> {
        self.call(Method::PUT, &of(id, "/personal"), Some(patch)).await
    }

    /// Sends a message; the same `client_id` again is the same message.
    ///
    /// # Errors
    /// The problem.
    pub async fn send_message(&self, conversation: Id, new: &NewMessage) -> Result<Made<Message>> {
        let path = of(conversation, "/messages");
        let answer = self.send_json(Method::POST, &path, &[], Some(new)).await?.accepted()?;
        Ok(Made { value: answer.json()?, created: answer.status == StatusCode::CREATED })
    }

    /// A page of `GET /v1/conversations/{id}/messages`.
    ///
    /// # Errors
    /// The problem.
    pub async fn messages(&self, conversation: Id, place: MessagePlace, limit: u16) -> Result<MessagePage> {
        let (name, seq) = match place {
            MessagePlace::Newest => ("", 0),
            MessagePlace::Before(seq) => ("before_seq", seq),
            MessagePlace::After(seq) => ("after_seq", seq),
            MessagePlace::Around(seq) => ("around_seq", seq),
        };
        let seq = seq.to_string();
        let parameters: &[(&str, &str)] = if name.is_empty() { &[] } else { &[(name, &seq)] };
        self.get(&Paging::first(limit).with(&of(conversation, "/messages"), parameters)).await
    }

    /// `GET /v1/conversations/{id}/messages/{seq}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn message(&self, conversation: Id, seq: u64) -> Result<Message> {
        self.get(&of(conversation, &format!("/messages/{seq}"))).await
    }

    /// `PATCH /v1/conversations/{id}/messages/{seq}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn edit_message(&self, conversation: Id, seq: u64, text: &str) -> Result<Message> {
        let edit = EditMessage { text: text.to_owned() };
        self.call(Method::PATCH, &of(conversation, &format!("/messages/{seq}")), Some(&edit)).await
    }

    /// `GET /v1/conversations/{id}/messages/{seq}/edits`.
    ///
    /// # Errors
    /// The problem.
    pub async fn earlier_texts(&self, conversation: Id, seq: u64) -> Result<Page<EarlierText>> {
        self.get(&of(conversation, &format!("/messages/{seq}/edits"))).await
    }

    /// `DELETE /v1/conversations/{id}/messages/{seq}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn recall_message(&self, conversation: Id, seq: u64) -> Result<()> {
        self.order(Method::DELETE, &of(conversation, &format!("/messages/{seq}")), NO_BODY).await
    }

    /// Reacts to a message.
    ///
    /// # Errors
    /// The problem.
    pub async fn react(&self, conversation: Id, seq: u64, emoji: &str) -> Result<Message> {
        self.call(Method::PUT, &emoji_path(conversation, seq, emoji), NO_BODY).await
    }

    /// Takes a reaction back.
    ///
    /// # Errors
    /// The problem.
    pub async fn unreact(&self, conversation: Id, seq: u64, emoji: &str) -> Result<Message> {
        self.call(Method::DELETE, &emoji_path(conversation, seq, emoji), NO_BODY).await
    }

    /// `GET /v1/conversations/{id}/pins`.
    ///
    /// # Errors
    /// The problem.
    pub async fn pins(&self, conversation: Id) -> Result<Page<Message>> {
        self.get(&of(conversation, "/pins")).await
    }

    /// Pins a message, or does no more.
    ///
    /// # Errors
    /// The problem.
    pub async fn pin(&self, conversation: Id, seq: u64, on: bool) -> Result<()> {
        let method = if on { Method::PUT } else { Method::DELETE };
        self.order(method, &of(conversation, &format!("/pins/{seq}")), NO_BODY).await
    }

    /// Changes to messages after the change `after`.
    ///
    /// # Errors
    /// The problem.
    pub async fn changes(&self, conversation: Id, after: u64, limit: u16) -> Result<ChangePage> {
        let after = after.to_string();
        self.get(&Paging::first(limit).with(&of(conversation, "/changes"), &[("after", &after)])).await
    }

    /// Marks everything up to a message as read.
    ///
    /// # Errors
    /// The problem.
    pub async fn mark_read(&self, conversation: Id, seq: u64) -> Result<Receipt> {
        let mark = Watermark { conversation_id: None, seq };
        self.call(Method::PUT, &of(conversation, "/read"), Some(&mark)).await
    }

    /// Says that everything up to a message has arrived.
    ///
    /// # Errors
    /// The problem.
    pub async fn mark_delivered(&self, conversation: Id, seq: u64) -> Result<Receipt> {
        let mark = Watermark { conversation_id: None, seq };
        self.call(Method::PUT, &of(conversation, "/delivered"), Some(&mark)).await
    }

    /// Marks of the members.
    ///
    /// # Errors
    /// The problem.
    pub async fn receipts(&self, conversation: Id) -> Result<Page<Receipt>> {
        self.get(&of(conversation, "/receipts")).await
    }

    /// A page of `GET /v1/conversations/{id}/members`.
    ///
    /// # Errors
    /// The problem.
    pub async fn members(&self, conversation: Id, paging: Paging<'_>) -> Result<Page<Member>> {
        self.get(&paging.onto(&of(conversation, "/members"))).await
    }

    /// Adds somebody to a group.
    ///
    /// # Errors
    /// The problem.
    pub async fn add_member(&self, conversation: Id, user: Id) -> Result<Conversation> {
        self.call(Method::PUT, &of(conversation, &format!("/members/{user}")), NO_BODY).await
    }

    /// Removes somebody from a group; oneself leaves.
    ///
    /// # Errors
    /// The problem.
    pub async fn remove_member(&self, conversation: Id, user: Id) -> Result<()> {
        self.order(Method::DELETE, &of(conversation, &format!("/members/{user}")), NO_BODY).await
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// The problem.
    pub async fn change_role(&self, conversation: Id, user: Id, role: MemberRole) -> Result<Member> {
        self.call(Method::PATCH, &of(conversation, &format!("/members/{user}")), Some(&RoleChange { role })).await
    }

    /// Preferences of the caller in chat.
    ///
    /// # Errors
    /// The problem.
    pub async fn preferences(&self) -> Result<ChatPreferences> {
        self.get("/v1/users/me/chat").await
    }

    /// Changes preferences of the caller in chat.
    ///
    /// # Errors
    /// The problem.
    pub async fn prefer(&self, patch: &PatchChatPreferences) -> Result<ChatPreferences> {
        self.call(Method::PATCH, "/v1/users/me/chat", Some(patch)).await
    }

    /// Accepts a request, or an invitation.
    ///
    /// # Errors
    /// The problem.
    pub async fn accept_request(&self, conversation: Id) -> Result<Conversation> {
        self.call(Method::POST, &of(conversation, "/accept"), NO_BODY).await
    }

    /// Declines a request, or an invitation.
    ///
    /// # Errors
    /// The problem.
    pub async fn decline_request(&self, conversation: Id) -> Result<()> {
        self.order(Method::POST, &of(conversation, "/decline"), NO_BODY).await
    }

    /// Declines the requests and invitations that wait, up to 1,000.
    ///
    /// # Errors
    /// The problem.
    pub async fn decline_all_requests(&self) -> Result<RequestsDeclined> {
        self.call(Method::POST, "/v1/conversations/requests/decline", NO_BODY).await
    }

    /// A page of the people who reacted to a message: with this emoji, or with any.
    ///
    /// # Errors
    /// The problem.
    pub async fn reactors(
        &self,
        conversation: Id,
        seq: u64,
        emoji: Option<&str>,
        paging: Paging<'_>,
    ) -> Result<Page<Reactor>> {
        let emoji: Vec<(&str, &str)> = emoji.into_iter().map(|emoji| ("emoji", emoji)).collect();
        self.get(&paging.with(&of(conversation, &format!("/messages/{seq}/reactions")), &emoji)).await
    }

    /// Makes an invite to a group.
    ///
    /// # Errors
    /// The problem.
    pub async fn make_invite(&self, conversation: Id, new: &NewInvite) -> Result<Invite> {
        self.call(Method::POST, &of(conversation, "/invites"), Some(new)).await
    }

    /// A page of `GET /v1/conversations/{id}/invites`.
    ///
    /// # Errors
    /// The problem.
    pub async fn invites(&self, conversation: Id, paging: Paging<'_>) -> Result<Page<Invite>> {
        self.get(&paging.onto(&of(conversation, "/invites"))).await
    }

    /// Ends an invite.
    ///
    /// # Errors
    /// The problem.
    pub async fn revoke_invite(&self, conversation: Id, invite: Id) -> Result<()> {
        self.order(Method::DELETE, &of(conversation, &format!("/invites/{invite}")), NO_BODY).await
    }

    /// The group that an invite lets into.
    ///
    /// # Errors
    /// The problem.
    pub async fn look_at_invite(&self, token: &str) -> Result<InviteLook> {
        self.get(&format!("/v1/invites/{token}")).await
    }

    /// Joins a group by an invite.
    ///
    /// # Errors
    /// The problem.
    pub async fn join_by_invite(&self, token: &str) -> Result<Conversation> {
        self.call(Method::POST, &format!("/v1/invites/{token}/join"), NO_BODY).await
    }
}
