//! Changes to messages that are there: edits, recalls, reactions, pins. Pure.

use fanfare_protocol::{ConversationKind, Id, MemberRole};

use super::outcome::{ChatOutcome, ChatRefusal};
use super::sending::{is_closed, is_over, may_name_all, named};
use super::{Case, change};
use crate::base::limits::chat::{EDITS_MAX, PINS_MAX, REACTION_KINDS_MAX, REACTION_NAMED_MAX};
use crate::data::rows::chat::{Info, MessageRow, ReactionRow, Said};
use crate::data::tables::chat as tables;

/// An act that left everything as it was: it is done, and nothing follows.
fn nothing(case: &Case<'_>) -> ChatOutcome {
    ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() }
}

pub(super) fn edit(
    case: &mut Case<'_>,
    seq: u64,
    said: &Said,
    within_ms: Option<u64>,
) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let info = case.conversation.created()?.clone();
    let member = *case.conversation.member(actor)?;
    let message = case.changeable(&member, seq)?;
    if message.by != actor || message.forwarded {
        return Err(if message.by == actor { ChatRefusal::Fixed } else { ChatRefusal::Role });
    }
    if is_closed(&info) {
        return Err(ChatRefusal::Closed);
    }
    if is_over(case, message.id, within_ms) {
        return Err(ChatRefusal::TooLate);
    }
    if said.text.is_empty() && message.attachment.is_none() {
        return Err(ChatRefusal::Fixed);
    }
    let before = case.edit(seq);
    let number = before.as_ref().map_or(1, |edit| edit.number + 1);
    let was = before.map_or(message.words, |edit| edit.words);
    if was.text == said.text {
        return Ok(nothing(case));
    }
    if number > EDITS_MAX {
        return Err(ChatRefusal::Full);
    }
    let mut outcome = ChatOutcome { edited: Some((message.id, number)), ..ChatOutcome::default() };
    outcome.all = said.all && may_name_all(&info, &member);
    let is_new = |user: &Id| !was.all && was.mentions.iter().all(|mention| mention.id != *user);
    let people = said.mentions.iter().map(|mention| mention.id).filter(is_new);
    let all = outcome.all && !was.all;
    outcome.named = named(case, people, said, all);
    change(case, &mut outcome);
    Ok(outcome)
}

/// Remains of a message that was taken back.
fn remains(message: &MessageRow, by: Id) -> MessageRow {
    MessageRow { words: Said::default(), attachment: None, reply_to: None, recalled: Some(by), ..message.clone() }
}

/// Leaves of a message what remains, and ends the use of its upload.
fn take_back(outcome: &mut ChatOutcome, seq: u64, message: &MessageRow, by: Id, edits: u32) {
    outcome.remains.push((seq, remains(message, by), edits));
    outcome.ended.extend(message.attachment.as_ref().map(|attachment| (seq, attachment.id)));
}

/// Takes a message off the pins.
fn unpinned(info: &Info, seq: u64) -> Option<Box<Info>> {
    info.pins.contains(&seq).then(|| {
        let pins = info.pins.iter().copied().filter(|pin| *pin != seq).collect();
        Box::new(Info { pins, ..info.clone() })
    })
}

pub(super) fn recall(case: &mut Case<'_>, seq: u64, within_ms: Option<u64>) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let info = case.conversation.created()?.clone();
    let member = *case.conversation.member(actor)?;
    let message = case.message(&member, seq)?;
    let is_own = message.by == actor && message.system.is_none();
    if !is_own && (info.kind == ConversationKind::Direct || member.role < MemberRole::Admin) {
        return Err(ChatRefusal::Role);
    }
    if message.recalled.is_some() {
        return Ok(nothing(case));
    }
    if message.system.is_some() {
        return Err(ChatRefusal::Fixed);
    }
    if member.role < MemberRole::Admin && is_over(case, message.id, within_ms) {
        return Err(ChatRefusal::TooLate);
    }
    let edits = case.edit(seq).map_or(0, |edit| edit.number);
    let mut outcome = ChatOutcome { info: unpinned(&info, seq), ..ChatOutcome::default() };
    take_back(&mut outcome, seq, &message, actor, edits);
    change(case, &mut outcome);
    Ok(outcome)
}

/// Takes back messages of the actor, whose account is gone: each is a change of its own.
pub(super) fn erase(case: &mut Case<'_>, seqs: &[u64]) -> ChatOutcome {
    let actor = case.record.actor;
    let mut outcome = ChatOutcome::default();
    for seq in seqs {
        let key = tables::numbered(tables::MESSAGES, case.record.conversation, *seq);
        let Some(message) = case.json::<MessageRow>(&key) else { continue };
        if message.by != actor || message.recalled.is_some() || message.system.is_some() {
            continue;
        }
        let edits = case.edit(*seq).map_or(0, |edit| edit.number);
        take_back(&mut outcome, *seq, &message, actor, edits);
        change(case, &mut outcome);
        let info = outcome.info.as_deref().or(case.conversation.info.as_deref());
        if let Some(new) = info.and_then(|info| unpinned(info, *seq)) {
            outcome.info = Some(new);
        }
    }
    if outcome.remains.is_empty() { nothing(case) } else { outcome }
}

pub(super) fn react(case: &mut Case<'_>, seq: u64, emoji: &str, on: bool) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let info = case.conversation.created()?.clone();
    let member = *case.conversation.member(actor)?;
    case.changeable(&member, seq)?;
    if is_closed(&info) {
        return Err(ChatRefusal::Closed);
    }
    let key = tables::reaction(case.record.conversation, seq, emoji, actor);
    let is_on = case.row(&key, |_| Some(())).is_some();
    if is_on == on {
        return Ok(nothing(case));
    }
    let mut reactions = case.reactions(seq);
    let is_full = reactions.len() >= REACTION_KINDS_MAX;
    match reactions.iter_mut().find(|reaction| reaction.emoji == emoji) {
        Some(reaction) if on => {
            reaction.count += 1;
            reaction.latest.push(actor);
            if reaction.latest.len() > REACTION_NAMED_MAX {
                reaction.latest.remove(0);
            }
        }
        Some(reaction) => {
            reaction.count = reaction.count.saturating_sub(1);
            reaction.latest.retain(|user| *user != actor);
        }
        None if !on => {}
        None if is_full => return Err(ChatRefusal::Full),
        None => reactions.push(ReactionRow { emoji: emoji.to_owned(), count: 1, latest: vec![actor] }),
    }
    reactions.retain(|reaction| reaction.count > 0);
    let mut outcome = ChatOutcome { reactions: Some(reactions), ..ChatOutcome::default() };
    change(case, &mut outcome);
    Ok(outcome)
}

pub(super) fn pin(case: &mut Case<'_>, seq: u64, on: bool) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let info = case.conversation.created()?.clone();
    let member = match info.kind {
        ConversationKind::Direct => *case.conversation.member(actor)?,
        ConversationKind::Group => *case.conversation.admin(actor)?,
    };
    case.changeable(&member, seq)?;
    if is_closed(&info) {
        return Err(ChatRefusal::Closed);
    }
    if info.pins.contains(&seq) == on {
        return Ok(nothing(case));
    }
    let new = if on {
        if info.pins.len() >= PINS_MAX {
            return Err(ChatRefusal::Full);
        }
        let mut new = Info::clone(&info);
        new.pins.push(seq);
        Some(Box::new(new))
    } else {
        unpinned(&info, seq)
    };
    let mut outcome = ChatOutcome { info: new, ..ChatOutcome::default() };
    change(case, &mut outcome);
    Ok(outcome)
}
