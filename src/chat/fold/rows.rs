//! Rows of chat's records: they follow from record and outcome alone, the same however often. Pure.
//!
//! Every row's version is the record's id. The head comes last, and readers go no further than it says: so a batch that
//! was torn shows nothing that is not whole.

use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Id, MessageKind};

use super::outcome::{ChangeOf, ChatOutcome};
use super::record::{ChatAct, ChatRecord, Sent};
use super::sending::body_hash;
use crate::base::error::{Error, Result};
use crate::base::id::{hour_of, unix_ms_of};
use crate::base::limits::media::UNUSED_MS;
use crate::data::rows::chat::{
    ActivityRow, ChangeRow, ChatHead, EditRow, EmptiedRow, MarkRow, MemberRow, MessageRow, SendRow,
};
use crate::data::rows::to_json;
use crate::data::tables::chat as tables;
use crate::data::tables::pair;
use crate::log::events::IdempotencyKey;

/// Adds the rows of `record` to `batch`.
///
/// # Errors
/// When a value does not encode, or a record does not fit its outcome.
pub fn rows(record: &ChatRecord, outcome: &ChatOutcome, batch: &mut Batch) -> Result<()> {
    if let ChatAct::Sent(sent) = &record.act {
        send_row(record, sent, outcome, batch);
    }
    if let Some(key) = record.idempotency.as_ref().filter(|_| outcome.refused.is_none()) {
        request_rows(record, key, batch);
    }
    let Some(head) = outcome.head.filter(|_| outcome.came_about()) else { return Ok(()) };
    message_rows(record, outcome, head, batch)?;
    change_rows(record, outcome, head, batch)?;
    people_rows(record, outcome, head, batch)?;
    let version = record.id.0;
    let conversation = record.conversation;
    if let Some(hour) = outcome.hour_row() {
        batch.put_versioned(tables::hour(hour_of(record.id), conversation), hour.to_bytes(), version);
    }
    if let Some(info) = &outcome.info {
        batch.put_versioned(tables::of_conversation(tables::INFOS, conversation), to_json(&**info)?, version);
    }
    if matches!(record.act, ChatAct::Declined {}) {
        // The news of it is the actor's own.
        batch.put_versioned(pair(tables::TOUCHED, record.actor, conversation), record.id.to_bytes().to_vec(), version);
    }
    batch.put_versioned(tables::of_conversation(tables::HEADS, conversation), head.to_bytes(), version);
    Ok(())
}

/// Row of a send, so that the same one again is answered the same.
fn send_row(record: &ChatRecord, sent: &Sent, outcome: &ChatOutcome, batch: &mut Batch) {
    if outcome.repeat.is_some() {
        return;
    }
    let refused = outcome.refused.map_or(Some(0), super::outcome::ChatRefusal::code);
    let Some(refused) = refused else { return };
    let seq = outcome.seq.unwrap_or_default();
    let row = SendRow { record: record.id, seq, refused, body: body_hash(&sent.body) };
    let key = tables::send(record.conversation, record.actor, &sent.client_id);
    if refused > 0 {
        let hour = tables::refusal(hour_of(record.id), record.conversation, record.actor, &sent.client_id);
        batch.put_versioned(hour, Vec::new(), record.id.0);
    }
    batch.put_versioned(key, row.to_bytes(), record.id.0);
}

/// Rows of a request with a key: of chat's own, for a commit is of one family. They go as sends do.
fn request_rows(record: &ChatRecord, key: &IdempotencyKey, batch: &mut Batch) {
    let ChatRecord { id, conversation, .. } = *record;
    let row = SendRow { record: id, seq: conversation.0, refused: 0, body: body_hash(&key.body_hash) };
    batch.put_versioned(tables::request_end(hour_of(id), key.caller, &key.key), Vec::new(), id.0);
    batch.put_versioned(tables::request(key.caller, &key.key), row.to_bytes(), id.0);
}

/// The message that a record placed.
#[must_use]
pub fn message(record: &ChatRecord, outcome: &ChatOutcome, head: ChatHead) -> MessageRow {
    let mut row = MessageRow {
        id: record.id,
        at_ms: record.shown_ms(),
        by: record.actor,
        counted: head.counted,
        kind: MessageKind::System,
        words: Default::default(),
        client_id: String::new(),
        attachment: None,
        reply_to: None,
        forwarded: false,
        system: outcome.system.as_deref().cloned(),
        recalled: None,
    };
    if let ChatAct::Sent(sent) = &record.act {
        row.kind = sent.kind;
        row.words.clone_from(&sent.said);
        row.words.all = outcome.all;
        row.client_id.clone_from(&sent.client_id);
        row.attachment.clone_from(&sent.attachment);
        row.reply_to = sent.reply_to;
        row.forwarded = sent.forwarded;
    }
    row
}

fn message_rows(record: &ChatRecord, outcome: &ChatOutcome, head: ChatHead, batch: &mut Batch) -> Result<()> {
    let (conversation, version) = (record.conversation, record.id.0);
    if let Some(seq) = outcome.seq {
        let row = message(record, outcome, head);
        if let Some(attachment) = &row.attachment {
            batch.put_versioned(tables::media_use(attachment.id, conversation, seq), Vec::new(), version);
        }
        batch.put_versioned(tables::numbered(tables::MESSAGES, conversation, seq), to_json(&row)?, version);
        named_rows(outcome, (conversation, seq), record.id, version, batch);
        if matches!(record.act, ChatAct::Sent(_)) {
            // Whoever speaks has read what is there.
            let mark = MarkRow { seq, counted: head.counted };
            batch.put_versioned(tables::mark(conversation, record.actor, tables::MarkOf::Read), mark.to_bytes(), seq);
        }
    }
    Ok(())
}

/// Mentions of the message `seq`, which has the id `message`.
fn named_rows(outcome: &ChatOutcome, (conversation, seq): (Id, u64), message: Id, version: u64, batch: &mut Batch) {
    let place = [conversation.to_bytes(), seq.to_be_bytes()].concat();
    for user in &outcome.named {
        batch.put_versioned(pair(tables::MENTIONS, *user, message), place.clone(), version);
        batch.put_versioned(tables::mentioned(*user, conversation, seq), Vec::new(), version);
    }
}

/// Kind of change of a record, and the message, but of those that erase.
fn changed(act: &ChatAct) -> Option<(ChangeOf, u64)> {
    Some(match act {
        ChatAct::Edited { seq, .. } => (ChangeOf::Edited, *seq),
        ChatAct::Recalled { seq, .. } => (ChangeOf::Recalled, *seq),
        ChatAct::Reacted { seq, .. } => (ChangeOf::Reacted, *seq),
        ChatAct::Pinned { seq, on: true } => (ChangeOf::Pinned, *seq),
        ChatAct::Pinned { seq, on: false } => (ChangeOf::Unpinned, *seq),
        _ => return None,
    })
}

/// Changes that a record made, oldest first.
#[must_use]
pub fn changes(record: &ChatRecord, outcome: &ChatOutcome) -> Vec<(ChangeOf, u64)> {
    match &record.act {
        ChatAct::Erased { .. } => outcome.remains.iter().map(|(seq, ..)| (ChangeOf::Recalled, *seq)).collect(),
        act => changed(act).into_iter().collect(),
    }
}

fn change_rows(record: &ChatRecord, outcome: &ChatOutcome, head: ChatHead, batch: &mut Batch) -> Result<()> {
    let (conversation, version) = (record.conversation, record.id.0);
    let made = changes(record, outcome);
    let first = (head.change_seq + 1).saturating_sub(made.len() as u64);
    for (change, (kind, seq)) in (first..).zip(&made) {
        let row = ChangeRow { record: record.id, seq: *seq, kind: *kind as u8 };
        batch.put_versioned(tables::numbered(tables::CHANGES, conversation, change), row.to_bytes(), version);
    }
    for (seq, row, edits) in &outcome.remains {
        batch.put_versioned(tables::numbered(tables::MESSAGES, conversation, *seq), to_json(row)?, version);
        batch.delete_versioned(tables::state(conversation, *seq, tables::Which::Text), version);
        batch.delete_versioned(tables::state(conversation, *seq, tables::Which::Reactions), version);
        for edit in 1..=*edits {
            batch.delete_versioned(tables::edit(conversation, *seq, edit), version);
        }
    }
    for (seq, media) in &outcome.ended {
        let due_ms = unix_ms_of(record.id) + UNUSED_MS;
        batch.delete_versioned(tables::media_use(*media, conversation, *seq), version);
        batch.put_versioned(tables::media_end(*media), record.id.to_bytes().to_vec(), version);
        batch.put_versioned(tables::media_check(due_ms, *media), Vec::new(), version);
    }
    match (&record.act, outcome.edited, &outcome.reactions) {
        (ChatAct::Edited { seq, said, .. }, Some((message, number)), _) => {
            let mut words = said.clone();
            words.all = outcome.all;
            let row = to_json(&EditRow { number, at_ms: record.shown_ms(), words })?;
            batch.put_versioned(tables::edit(conversation, *seq, number), row.clone(), version);
            batch.put_versioned(tables::state(conversation, *seq, tables::Which::Text), row, version);
            named_rows(outcome, (conversation, *seq), message, version, batch);
        }
        (ChatAct::Reacted { seq, emoji, on }, _, Some(reactions)) => {
            let key = tables::reaction(conversation, *seq, emoji, record.actor);
            put_or_delete(batch, key, on.then(Vec::new), version);
            let state = tables::state(conversation, *seq, tables::Which::Reactions);
            let value = if reactions.is_empty() { None } else { Some(to_json(reactions)?.to_vec()) };
            put_or_delete(batch, state, value, version);
        }
        (ChatAct::Edited { .. } | ChatAct::Reacted { .. }, ..) => {
            return Err(Error::Internal(format!("record {} does not fit its outcome", record.id)));
        }
        _ => {}
    }
    Ok(())
}

fn put_or_delete(batch: &mut Batch, key: RowKey, value: Option<Vec<u8>>, version: u64) {
    match value {
        Some(value) => batch.put_versioned(key, value, version),
        None => batch.delete_versioned(key, version),
    }
}

fn people_rows(record: &ChatRecord, outcome: &ChatOutcome, head: ChatHead, batch: &mut Batch) -> Result<()> {
    let (conversation, version) = (record.conversation, record.id.0);
    for (user, row) in &outcome.members {
        batch.put_versioned(tables::member(conversation, *user), row.to_bytes(), version);
    }
    let kind = tables::kind_of(conversation);
    for user in &outcome.active {
        let own = outcome.members.iter().find(|(member, _)| member == user);
        let gone = own.is_some_and(|(_, row): &(Id, MemberRow)| row.is_gone());
        let row = ActivityRow { minute: head.minute, kind, gone };
        batch.put_versioned(pair(tables::ACTIVITY, *user, conversation), row.to_bytes(), version);
    }
    if outcome.emptied {
        let row = EmptiedRow { record: record.id, next: 1 };
        batch.put_versioned(tables::emptied(conversation), row.to_bytes(), row.version());
    }
    if let Some((invite, row)) = &outcome.invite {
        let key = super::invite_row(conversation, *invite);
        batch.put_versioned(key, to_json(&**row)?, version);
        let place = [conversation.to_bytes(), invite.to_bytes()].concat();
        let by_token = tables::invite(row.hash.as_bytes());
        if row.revoked {
            batch.delete_versioned(by_token, version);
        } else {
            batch.put_versioned(by_token, place, version);
        }
    }
    Ok(())
}
