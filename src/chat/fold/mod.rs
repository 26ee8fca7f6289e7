//! The fold of chat: a conversation is what its records make of it, one after the other. Pure: no clock, no I/O, no
//! look at any other row.
//!
//! [`needs`] names what a record is decided on, [`apply`] decides it, once, and [`rows`](rows::rows) makes rows of
//! record and outcome and reads nothing. Permissions, numbers and repeats are decided here and nowhere else: what is
//! checked before (`admission`) is advice, which keeps refusals out of the log.

mod changing;
pub mod line;
pub mod outcome;
mod people;
pub mod record;
pub mod rows;
mod sending;
pub mod state;

use fanfare_engines::{Batch, EngineError, RowKey};
use fanfare_protocol::{Id, MessageKind, SystemEvent};

pub use self::sending::is_repeat;
use crate::base::error::{Error, Result};
use crate::base::id::hour_of;
use crate::data::rows::chat::{EditRow, Info, InviteRow, MemberRow, Membership, MessageRow, ReactionRow, SendRow};
use crate::data::rows::damaged;
use crate::data::tables::chat as tables;
use outcome::{ChatOutcome, ChatRefusal};
use record::{ChatAct, ChatRecord};
use state::{ChatState, Folded, Rows};

/// Rows that a record is decided on, beside the conversation itself: head, information, and everybody who is or was in
/// it.
#[must_use]
pub fn needs(record: &ChatRecord) -> Vec<RowKey> {
    let ChatRecord { conversation, actor, act, .. } = record;
    let message = |seq: u64| tables::numbered(tables::MESSAGES, *conversation, seq);
    let text = |seq: u64| tables::state(*conversation, seq, tables::Which::Text);
    match act {
        ChatAct::Sent(sent) => {
            let mut keys = vec![tables::send(*conversation, *actor, &sent.client_id)];
            keys.extend(sent.reply_to.map(message));
            keys
        }
        ChatAct::Edited { seq, .. } | ChatAct::Recalled { seq, .. } => vec![message(*seq), text(*seq)],
        ChatAct::Pinned { seq, .. } => vec![message(*seq)],
        ChatAct::Reacted { seq, emoji, .. } => vec![
            message(*seq),
            tables::state(*conversation, *seq, tables::Which::Reactions),
            tables::reaction(*conversation, *seq, emoji, *actor),
        ],
        ChatAct::Joined { invite, .. } | ChatAct::InviteRevoked { invite } => vec![invite_row(*conversation, *invite)],
        ChatAct::Erased { seqs } => seqs.iter().flat_map(|seq| [message(*seq), text(*seq)]).collect(),
        _ => Vec::new(),
    }
}

/// Tables of whose rows the fold must see what it wrote, before they are stored.
pub const SEEN: [fanfare_engines::Table; 5] =
    [tables::SENDS, tables::MESSAGES, tables::STATES, tables::REACTIONS, tables::INVITES_OF];

/// Row of an invite in its conversation.
#[must_use]
pub fn invite_row(conversation: Id, invite: Id) -> RowKey {
    RowKey::new(
        tables::INVITES_OF,
        tables::of_conversation(tables::INVITES_OF, conversation).partition,
        invite.to_bytes().to_vec(),
    )
}

/// Decides what `record` gives, adds its rows to `batch`, and brings `state` up to date; what [`needs`] named is in it.
///
/// # Errors
/// [`EngineError::Corrupt`] when a row that it needs does not decode: `state` and `batch` are as they were. When one of
/// the record does not encode.
pub fn apply(state: &mut ChatState, record: &ChatRecord, batch: &mut Batch) -> Result<ChatOutcome> {
    let ChatState { conversations, rows, damaged } = state;
    if let Some(cause) = damaged.get(&record.conversation) {
        return Err(Error::Engine(EngineError::Corrupt(cause.clone())));
    }
    let conversation = conversations.entry(record.conversation).or_default();
    let mut case = Case { record, conversation, rows, damaged: None };
    let mut outcome = match decide(&mut case) {
        Ok(outcome) => outcome,
        Err(refusal) => ChatOutcome::refused(refusal),
    };
    if let Some(damage) = case.damaged {
        return Err(damage.into());
    }
    settle(record, conversation, &mut outcome);
    let first = batch.rows.len();
    rows::rows(record, &outcome, batch)?;
    for row in &batch.rows[first..] {
        if SEEN.contains(&row.key.table) {
            rows.insert(row.key.clone(), row.value.clone());
        }
    }
    Ok(outcome)
}

/// A record, and what it is decided on.
struct Case<'a> {
    record: &'a ChatRecord,
    conversation: &'a mut Folded,
    rows: &'a Rows,
    /// Error of a row that does not decode.
    damaged: Option<EngineError>,
}

impl Case<'_> {
    fn row<T>(&mut self, key: &RowKey, read: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        let bytes = self.rows.get(key).and_then(Option::as_ref)?;
        let value = read(bytes);
        if value.is_none() {
            self.damaged = Some(damaged(key, bytes));
        }
        value
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self, key: &RowKey) -> Option<T> {
        self.row(key, |bytes| serde_json::from_slice(bytes).ok())
    }

    /// A message that `member` may see.
    fn message(&mut self, member: &MemberRow, seq: u64) -> Result<MessageRow, ChatRefusal> {
        if seq < member.visible_from || seq > self.conversation.head.last_seq {
            return Err(ChatRefusal::NoMessage);
        }
        let key = tables::numbered(tables::MESSAGES, self.record.conversation, seq);
        self.json(&key).ok_or(ChatRefusal::NoMessage)
    }

    /// A message that can be changed: words of a person, and still there.
    fn changeable(&mut self, member: &MemberRow, seq: u64) -> Result<MessageRow, ChatRefusal> {
        let message = self.message(member, seq)?;
        let is_fixed = message.kind == MessageKind::System || message.recalled.is_some();
        if is_fixed { Err(ChatRefusal::Fixed) } else { Ok(message) }
    }

    fn edit(&mut self, seq: u64) -> Option<EditRow> {
        self.json(&tables::state(self.record.conversation, seq, tables::Which::Text))
    }

    fn reactions(&mut self, seq: u64) -> Vec<ReactionRow> {
        self.json(&tables::state(self.record.conversation, seq, tables::Which::Reactions)).unwrap_or_default()
    }

    fn invite(&mut self, invite: Id) -> Option<InviteRow> {
        self.json(&invite_row(self.record.conversation, invite))
    }

    fn sent_before(&mut self, client_id: &str) -> Option<SendRow> {
        let key = tables::send(self.record.conversation, self.record.actor, client_id);
        self.row(&key, SendRow::from_bytes)
    }
}

fn decide(case: &mut Case<'_>) -> Result<ChatOutcome, ChatRefusal> {
    let record = case.record;
    match &record.act {
        ChatAct::Created(created) => people::create(case, created),
        ChatAct::Sent(sent) => sending::send(case, sent),
        ChatAct::Edited { seq, said, within_ms } => changing::edit(case, *seq, said, *within_ms),
        ChatAct::Recalled { seq, within_ms } => changing::recall(case, *seq, *within_ms),
        ChatAct::Erased { seqs } => Ok(changing::erase(case, seqs)),
        ChatAct::Reacted { seq, emoji, on } => changing::react(case, *seq, emoji, *on),
        ChatAct::Pinned { seq, on } => changing::pin(case, *seq, *on),
        ChatAct::Added { members, invited, members_max } => people::add(case, members, invited, *members_max),
        ChatAct::Joined { invite, members_max } => people::join(case, *invite, *members_max),
        ChatAct::Left {} => people::leave(case),
        ChatAct::Removed { member } => people::remove(case, *member),
        ChatAct::RoleChanged { member, role } => people::change_role(case, *member, *role),
        ChatAct::OwnerChanged { member } => people::hand_over(case, *member),
        ChatAct::SettingsChanged(new) => people::change_settings(case, new),
        ChatAct::InviteMade { hash, expires_ms, max_uses } => people::invite(case, hash, *expires_ms, *max_uses),
        ChatAct::InviteRevoked { invite } => people::revoke(case, *invite),
        ChatAct::Accepted { members_max } => people::accept(case, *members_max),
        ChatAct::Declined {} => people::decline(case),
        ChatAct::Barred { other, on, source } => people::bar(case, *other, *on, *source),
        ChatAct::Departed {} => people::depart(case),
    }
}

/// Fills in what follows for every record that came about, and brings the conversation up to date.
fn settle(record: &ChatRecord, conversation: &mut Folded, outcome: &mut ChatOutcome) {
    if outcome.refused.is_some() || outcome.repeat.is_some() {
        return;
    }
    let before = conversation.head;
    for (user, row) in &outcome.members {
        conversation.put(*user, *row);
    }
    if let Some(info) = &outcome.info {
        conversation.info = Some(std::sync::Arc::new(Info::clone(info)));
    }
    let members = conversation.members();
    let mut head = outcome.head.unwrap_or(before);
    (head.applied, head.minute) = (record.id, record.minute());
    if record.act.is_news() {
        head.news = record.id;
    }
    head.members = u32::try_from(members.len()).unwrap_or(u32::MAX);
    if hour_of(before.applied) != hour_of(record.id) {
        outcome.hour = Some((before.last_seq + 1, before.change_seq + 1));
    }
    if before.minute != head.minute {
        // Everybody's list shows it, of those too who were asked, or went just now.
        let asked = |row: &MemberRow| row.presence == Membership::Invited;
        let listed = conversation.people.iter().filter(|(_, row)| row.is_in() || asked(row)).map(|(user, _)| *user);
        outcome.active = listed.collect();
    }
    for (user, row) in &outcome.members {
        let is_new = conversation.person(*user).is_some_and(|now| now.joined == record.id || !row.is_in());
        if is_new && !outcome.active.contains(user) {
            outcome.active.push(*user);
        }
    }
    outcome.emptied = !outcome.members.is_empty() && conversation.people.iter().all(|(_, row)| row.is_gone());
    outcome.head = Some(head);
    conversation.head = head;
    outcome.audience = Some(Box::new(conversation.audience()));
}

/// Places the next message: answers its number.
fn place(case: &Case<'_>, outcome: &mut ChatOutcome, counts: bool) -> u64 {
    let mut head = outcome.head.unwrap_or(case.conversation.head);
    head.last_seq += 1;
    head.counted += u64::from(counts);
    head.last_message = case.record.id;
    outcome.seq = Some(head.last_seq);
    outcome.head = Some(head);
    head.last_seq
}

/// Places a system message.
fn tell(case: &Case<'_>, outcome: &mut ChatOutcome, event: SystemEvent) -> u64 {
    outcome.system = Some(Box::new(event));
    place(case, outcome, false)
}

/// Numbers a change to a message.
fn change(case: &Case<'_>, outcome: &mut ChatOutcome) {
    let mut head = outcome.head.unwrap_or(case.conversation.head);
    head.change_seq += 1;
    outcome.head = Some(head);
}

#[cfg(test)]
mod tests;
