//! Messages: sent, read, changed.

use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{
    Change, ChangeKind, ChangePage, ConversationKind, EarlierText, Id, MemberRole, Mention, Message, MessagePage,
    NewMessage, Timestamp,
};

use super::{Chat, Made, Seat};
use crate::base::error::{Error, Result};
use crate::base::limits::chat::{CHANGES_PAGE_MAX, EDITS_MAX};
use crate::chat::family::ChatFamily;
use crate::chat::fold::outcome::ChangeOf;
use crate::chat::fold::record::{ChatAct, ChatRecord, Sent};
use crate::chat::fold::{is_repeat, rows};
use crate::chat::view::{Stored, Viewer};
use crate::chat::{admission, emoji};
use crate::data::rows::chat::{ChangeRow, EditRow, MemberRow, Said, SendRow};
use crate::data::rows::from_json;
use crate::data::tables::chat as keys;
use crate::log::core::Owners as _;
use crate::log::owners::PendingIn;
use crate::log::writers::Writing;
use crate::posts::text::ParsedText;
use crate::realtime::SessionId;

/// Place of a page of messages.
#[derive(Debug, Clone, Copy)]
pub enum MessagesAt {
    /// The newest ones.
    Newest,
    /// Messages below a number, newest first.
    Before(u64),
    /// Messages above a number, oldest first.
    After(u64),
    /// Messages about a number, newest first.
    Around(u64),
}

/// A message on its way, or one that was there already.
pub enum Handed {
    /// The owner has it.
    Pending(Box<PendingIn<ChatFamily>>, Writing),
    /// Message of the same send before: sender, conversation and number.
    Known(Id, Id, u64),
}

/// A message that was handed in: sending it again is the same message.
pub type Sending = Made<Message>;

impl Chat {
    /// Sends a message; the same client's id again is the same message.
    ///
    /// # Errors
    /// 404 for whoever is not in the conversation, 403 where it takes nothing from them, 422 for what is malformed, 429
    /// for who sends too many.
    pub async fn send(&self, caller: Id, conversation: Id, new: NewMessage) -> Result<Sending> {
        let handed = self.hand_in(caller, conversation, new, None).await?;
        self.sent(handed).await
    }

    /// Checks a message and hands it in; what is handed in earlier for a conversation is placed earlier. The session
    /// `origin` hears of it by the answer alone.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn hand_in(
        &self,
        caller: Id,
        conversation: Id,
        new: NewMessage,
        origin: Option<SessionId>,
    ) -> Result<Handed> {
        let sent = match self.admit(caller, conversation, &new).await {
            Ok(sent) => sent,
            Err(error) => {
                // What it passes on or names may be gone since it was sent first.
                let is_refused = matches!(error, Error::Refused(_));
                let known = if is_refused { self.sent_before(caller, conversation, &new).await? } else { None };
                return known.ok_or(error).inspect_err(|error| self.0.counts.not_admitted(error));
            }
        };
        let record = ChatRecord::new(conversation, caller, ChatAct::Sent(Box::new(sent)));
        let record = ChatRecord { origin: origin.map(|session| session.0), ..record };
        let writing = self.core().writing(caller).await?;
        Ok(Handed::Pending(Box::new(self.0.owners.propose(conversation, record).await?), writing))
    }

    /// Looks whether a message may be handed in, and says what it is.
    async fn admit(&self, caller: Id, conversation: Id, new: &NewMessage) -> Result<Sent> {
        self.pace(|paces, now_ms| paces.message(caller, now_ms))?;
        self.draft(caller, conversation, new).await
    }

    /// Outcome of a message that was handed in.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn sent(&self, handed: Handed) -> Result<Sending> {
        let (pending, _writing) = match handed {
            Handed::Pending(pending, writing) => (pending, writing),
            Handed::Known(caller, conversation, seq) => {
                let value = self.message(caller, conversation, seq).await?;
                return Ok(Made { value, is_new: false });
            }
        };
        let answer = pending.durable().await;
        self.0.counts.answered(&answer);
        let committed = super::done(answer?)?;
        let (caller, conversation) = (committed.record.actor, committed.record.conversation);
        let (record, outcome) = (&committed.record, &committed.outcome);
        let viewer = Viewer { id: Some(caller), visible_from: 1 };
        let stored = match (outcome.seq, outcome.head, outcome.repeat) {
            (Some(seq), Some(head), _) => {
                Stored { seq, row: rows::message(record, outcome, head), edit: None, reactions: Vec::new() }
            }
            (_, _, Some((_, seq))) => {
                let stored = self.views().stored_one(conversation, seq).await?;
                stored.ok_or_else(|| Error::not_found("message"))?
            }
            _ => return Err(Error::Internal(format!("record {} placed no message", record.id))),
        };
        let is_new = outcome.repeat.is_none();
        let rendered = self.views().render(conversation, viewer, vec![stored]).await?.pop();
        Ok(Made { value: rendered.ok_or_else(|| Error::not_found("message"))?, is_new })
    }

    /// Message that an equal send placed lately.
    async fn sent_before(&self, caller: Id, conversation: Id, new: &NewMessage) -> Result<Option<Handed>> {
        let key = keys::send(conversation, caller, &new.client_id);
        let Some(row) = self.core().store.get_as(&key, SendRow::from_bytes).await? else { return Ok(None) };
        // Ids are ahead of the clock for a while after a kill: by the clock, the first send would be yet to come.
        let now = self.core().log.mint().await?;
        let is_same = row.refused == 0 && is_repeat(&row, &admission::body_hash(new), now);
        Ok(is_same.then_some(Handed::Known(caller, conversation, row.seq)))
    }

    /// Checks a message, and resolves what it names.
    async fn draft(&self, caller: Id, conversation: Id, new: &NewMessage) -> Result<Sent> {
        let checked = admission::message(new, self.0.settings.text_max)?;
        let seat = self.seat(caller, conversation).await?;
        let held = self.held(caller, new).await?;
        if held.forwarded {
            return Ok(held.sent(new.client_id.clone(), checked.body));
        }
        let mentions = self.mentions(caller, conversation, &checked.text).await?;
        let (all, except) = self.all(caller, conversation, (checked.all, &seat)).await?;
        Ok(Sent {
            client_id: new.client_id.clone(),
            body: checked.body,
            kind: new.kind,
            said: said(checked.text, mentions, all, except),
            attachment: held.attachment,
            attach_until_ms: held.until_ms,
            reply_to: new.reply_to,
            forwarded: false,
        })
    }

    /// Members whom a text names, and whom no block stands between.
    async fn mentions(&self, caller: Id, conversation: Id, text: &ParsedText) -> Result<Vec<Mention>> {
        let mut mentions = Vec::new();
        if text.mentions.is_empty() {
            return Ok(mentions);
        }
        let hidden = self.core().store.hidden(caller).await?;
        for span in &text.mentions {
            let Some(account) = self.core().store.by_handle(&span.handle_key).await? else { continue };
            let id = account.row.id;
            let row = self.core().store.get_as(&keys::member(conversation, id), MemberRow::from_bytes).await?;
            if row.is_some_and(|row| row.is_in()) && !hidden.blocks(id) {
                mentions.push(Mention { id, handle: account.row.handle.clone() });
            }
        }
        Ok(mentions)
    }

    /// Whether a text that says `@all` names everybody, and members whom it leaves out because a block stands between.
    async fn all(&self, caller: Id, conversation: Id, (asked, seat): (bool, &Seat)) -> Result<(bool, Vec<Id>)> {
        if !asked || seat.info.kind != ConversationKind::Group {
            return Ok((false, Vec::new()));
        }
        if seat.member.role < MemberRole::Admin {
            // The fold says so again.
            return Ok((true, Vec::new()));
        }
        let hidden = self.core().store.hidden(caller).await?;
        let members = self.member_ids(conversation).await?;
        Ok((true, members.into_iter().filter(|member| hidden.blocks(*member)).collect()))
    }

    /// A message that a member may see.
    pub(super) async fn visible(&self, seat: &Seat, conversation: Id, seq: u64) -> Result<Stored> {
        if seq < seat.member.visible_from || seq > seat.head.last_seq {
            return Err(Error::not_found("message"));
        }
        self.views().stored_one(conversation, seq).await?.ok_or_else(|| Error::not_found("message"))
    }

    /// Page of messages.
    ///
    /// # Errors
    /// 404 for whoever is not in the conversation.
    pub async fn page(&self, caller: Id, conversation: Id, query: MessagesAt, limit: u64) -> Result<MessagePage> {
        let seat = self.seat(caller, conversation).await?;
        let (first, last) = (seat.member.visible_from.max(1), seat.head.last_seq);
        let (from, upto, ascends) = match query {
            MessagesAt::Newest => ((last + 1).saturating_sub(limit), last, false),
            MessagesAt::Before(seq) => {
                let upto = seq.saturating_sub(1).min(last);
                ((upto + 1).saturating_sub(limit), upto, false)
            }
            MessagesAt::After(seq) => {
                // A page is whole wherever it begins, also before what the caller may see.
                let from = seq.saturating_add(1).max(first);
                (from, from.saturating_add(limit - 1).min(last), true)
            }
            MessagesAt::Around(seq) => {
                let from = seq.min(last).saturating_sub(limit / 2);
                (from, from.max(first).saturating_add(limit - 1).min(last), false)
            }
        };
        let from = from.max(first);
        let stored = if from > upto { Vec::new() } else { self.views().stored(conversation, from, upto).await? };
        let viewer = Viewer { id: Some(caller), visible_from: first };
        let mut items = self.views().render(conversation, viewer, stored).await?;
        if !ascends {
            items.reverse();
        }
        let (last_seq, change_seq) = (last, seat.head.change_seq);
        Ok(MessagePage { items, last_seq, change_seq, visible_from: first })
    }

    /// A message.
    ///
    /// # Errors
    /// 404 when it is not there, or not for the caller.
    pub async fn message(&self, caller: Id, conversation: Id, seq: u64) -> Result<Message> {
        let seat = self.seat(caller, conversation).await?;
        let stored = self.visible(&seat, conversation, seq).await?;
        let viewer = Viewer { id: Some(caller), visible_from: seat.member.visible_from };
        let rendered = self.views().render(conversation, viewer, vec![stored]).await?.pop();
        rendered.ok_or_else(|| Error::not_found("message"))
    }

    /// Gives a message other words.
    ///
    /// # Errors
    /// 404 and 403 as for all acts, 422 for words that cannot stand, or a message that cannot be changed.
    pub async fn edit(&self, caller: Id, conversation: Id, seq: u64, text: &str) -> Result<Message> {
        let (text, all) = admission::edit(text, self.0.settings.text_max)?;
        let seat = self.seat(caller, conversation).await?;
        let stored = self.visible(&seat, conversation, seq).await?;
        if text.text.is_empty() && stored.row.attachment.is_none() {
            return Err(Error::field("text", "is empty"));
        }
        let mentions = self.mentions(caller, conversation, &text).await?;
        let (all, except) = self.all(caller, conversation, (all, &seat)).await?;
        let said = said(text, mentions, all, except);
        let within_ms = self.0.settings.change_ms;
        self.act(caller, conversation, ChatAct::Edited { seq, said, within_ms }).await?;
        self.message(caller, conversation, seq).await
    }

    /// Words that a message had before it was edited, oldest first.
    ///
    /// # Errors
    /// 404 when it is not there, or not for the caller.
    pub async fn earlier(&self, caller: Id, conversation: Id, seq: u64) -> Result<Vec<EarlierText>> {
        let seat = self.seat(caller, conversation).await?;
        let stored = self.visible(&seat, conversation, seq).await?;
        let Some(edit) = stored.edit else { return Ok(Vec::new()) };
        let partition = keys::message_partition(conversation, seq);
        let limit = EDITS_MAX as usize;
        let scan = self.core().store.scan(keys::EDITS, &partition, KeyRange::ALL, Order::Ascending, limit);
        let edits = scan.await?.iter().map(|row| from_json::<EditRow>(&row.value)).collect::<Result<Vec<_>>>()?;
        let first = EarlierText { text: stored.row.words.text, at: Timestamp(stored.row.at_ms) };
        let before = edits.into_iter().filter(|earlier| earlier.number < edit.number);
        let before = before.map(|edit| EarlierText { text: edit.words.text, at: Timestamp(edit.at_ms) });
        Ok(std::iter::once(first).chain(before).collect())
    }

    /// Takes a message back: the caller's own, or as an admin.
    ///
    /// # Errors
    /// 404 and 403 as for all acts.
    pub async fn recall(&self, caller: Id, conversation: Id, seq: u64) -> Result<()> {
        self.seat(caller, conversation).await?;
        let within_ms = self.0.settings.change_ms;
        self.act(caller, conversation, ChatAct::Recalled { seq, within_ms }).await?;
        Ok(())
    }

    /// Reacts to a message, or takes that back.
    ///
    /// # Errors
    /// 404 and 403 as for all acts, 422 for what is no emoji, or too many kinds.
    pub async fn react(&self, caller: Id, conversation: Id, seq: u64, emoji: String, on: bool) -> Result<Message> {
        if !emoji::is_one(&emoji) {
            return Err(Error::field("emoji", "is one emoji"));
        }
        self.seat(caller, conversation).await?;
        self.act(caller, conversation, ChatAct::Reacted { seq, emoji, on }).await?;
        self.message(caller, conversation, seq).await
    }

    /// Pins a message, or does no more.
    ///
    /// # Errors
    /// 404 and 403 as for all acts, 422 where there are too many.
    pub async fn pin(&self, caller: Id, conversation: Id, seq: u64, on: bool) -> Result<()> {
        self.seat(caller, conversation).await?;
        self.act(caller, conversation, ChatAct::Pinned { seq, on }).await?;
        Ok(())
    }

    /// Pinned messages that the caller may see, the latest pin first.
    ///
    /// # Errors
    /// 404 for whoever is not in the conversation.
    pub async fn pins(&self, caller: Id, conversation: Id) -> Result<Vec<Message>> {
        let seat = self.seat(caller, conversation).await?;
        let mut found = Vec::new();
        for seq in seat.info.pins.iter().rev().filter(|seq| **seq >= seat.member.visible_from) {
            found.extend(self.views().stored_one(conversation, *seq).await?);
        }
        let viewer = Viewer { id: Some(caller), visible_from: seat.member.visible_from };
        self.views().render(conversation, viewer, found).await
    }

    /// Changes to messages that were there, after the change `after`, oldest first.
    ///
    /// # Errors
    /// 404 for whoever is not in the conversation, 410 where changes of that age are not kept any more.
    pub async fn changes(&self, caller: Id, conversation: Id, after: u64, limit: usize) -> Result<ChangePage> {
        let seat = self.seat(caller, conversation).await?;
        let (last, limit) = (seat.head.change_seq, limit.min(CHANGES_PAGE_MAX) as u64);
        if after > last {
            return Err(Error::field("after", format!("is at most {last}, the newest change")));
        }
        let mut items = Vec::new();
        let (from, upto) = (after + 1, after.saturating_add(limit).min(last));
        let mut expected = from;
        for bucket in keys::bucket_of(from)..=keys::bucket_of(upto) {
            if from > upto {
                break;
            }
            let partition = keys::bucket(conversation, bucket);
            let range = keys::numbers(from, upto);
            let scan = self.core().store.scan(keys::CHANGES, &partition, range, Order::Ascending, limit as usize);
            for row in scan.await? {
                let (Some(number), Some(change)) =
                    (keys::number_in(&row.clustering), ChangeRow::from_bytes(&row.value))
                else {
                    continue;
                };
                if number != expected {
                    return Err(Error::refused(
                        fanfare_protocol::Code::SnapshotExpired,
                        "changes of that age are not kept any more; read the messages again",
                    ));
                }
                expected += 1;
                let message = match self.visible(&seat, conversation, change.seq).await {
                    Ok(stored) => {
                        let viewer = Viewer { id: Some(caller), visible_from: seat.member.visible_from };
                        self.views().render(conversation, viewer, vec![stored]).await?.pop()
                    }
                    Err(Error::Refused(_)) => None,
                    Err(error) => return Err(error),
                };
                items.push(Change { change_seq: number, kind: kind_of(change.kind), seq: change.seq, message });
            }
        }
        if expected <= upto {
            return Err(Error::refused(
                fanfare_protocol::Code::SnapshotExpired,
                "changes of that age are not kept any more; read the messages again",
            ));
        }
        Ok(ChangePage { items, change_seq: last })
    }
}

/// Words of a text and who is named in it.
pub(super) fn said(text: ParsedText, mentions: Vec<Mention>, all: bool, except: Vec<Id>) -> Said {
    let links = text.links.into_iter().map(|link| link.url).collect();
    Said { text: text.text, mentions, all, except, links }
}

/// Kind of a stored change.
const fn kind_of(stored: u8) -> ChangeKind {
    match stored {
        kind if kind == ChangeOf::Edited as u8 => ChangeKind::Edited,
        kind if kind == ChangeOf::Recalled as u8 => ChangeKind::Recalled,
        kind if kind == ChangeOf::Reacted as u8 => ChangeKind::Reacted,
        kind if kind == ChangeOf::Pinned as u8 => ChangeKind::Pinned,
        kind if kind == ChangeOf::Unpinned as u8 => ChangeKind::Unpinned,
        _ => ChangeKind::Unknown,
    }
}
