//! Messages: who may send one, its number, and what a repeat is. Pure.

use fanfare_protocol::{ConversationKind, Id, MemberRole, MessageKind};

use super::outcome::{ChatOutcome, ChatRefusal};
use super::record::Sent;
use super::{Case, place};
use crate::base::id::{BELOW_MS_BITS, unix_ms_of};
use crate::base::limits::chat::{REQUEST_MESSAGES_MAX, SEND_DAYS};
use crate::data::rows::chat::{Info, MemberRow, Said, SendRow};
use crate::data::tables::chat::hash_of;

/// Milliseconds for which a send is remembered.
const REMEMBERED_MS: u64 = SEND_DAYS * 86_400_000;

/// Hash of a body, from the hexadecimal in its record.
pub(super) fn body_hash(body: &str) -> [u8; 16] {
    hash_of(body.as_bytes())
}

/// Whether a record of `earlier` is what `later` may be a repeat of.
fn is_remembered(earlier: Id, later: Id) -> bool {
    earlier < later && (later.0 - earlier.0) >> BELOW_MS_BITS < REMEMBERED_MS
}

/// Whether a send at `now` with this body is what the row tells of.
#[must_use]
pub fn is_repeat(before: &SendRow, body: &str, now: Id) -> bool {
    is_remembered(before.record, now) && before.body == body_hash(body)
}

/// Outcome of the same send before.
fn repeat(case: &mut Case<'_>, sent: &Sent) -> Result<Option<ChatOutcome>, ChatRefusal> {
    let Some(before) = case.sent_before(&sent.client_id) else { return Ok(None) };
    if !is_remembered(before.record, case.record.id) {
        return Ok(None);
    }
    if before.body != body_hash(&sent.body) {
        return Err(ChatRefusal::Reused);
    }
    let repeat = Some((before.record, before.seq));
    let refused = ChatRefusal::of_code(before.refused);
    Ok(Some(ChatOutcome { refused, repeat, ..ChatOutcome::default() }))
}

/// Whether a direct conversation lets `actor` speak.
pub(super) fn is_closed(info: &Info) -> bool {
    info.kind == ConversationKind::Direct && info.is_barred()
}

/// Refuses what the conversation does not let its member do.
fn admit(case: &Case<'_>, info: &Info, member: &MemberRow) -> Result<(), ChatRefusal> {
    if is_closed(info) {
        return Err(ChatRefusal::Closed);
    }
    if info.pending.is_some_and(|pending| pending != case.record.actor) && info.requested >= REQUEST_MESSAGES_MAX {
        return Err(ChatRefusal::Closed);
    }
    if info.kind == ConversationKind::Direct {
        // Whose account is gone reads nothing.
        let is_alone = case.conversation.people.iter().filter(|(_, row)| row.is_in()).count() < 2;
        return if is_alone { Err(ChatRefusal::Closed) } else { Ok(()) };
    }
    if member.role >= MemberRole::Admin {
        return Ok(());
    }
    if info.announcements {
        return Err(ChatRefusal::Announcements);
    }
    let (slow_ms, now_ms) = (u64::from(info.slow_s) * 1_000, case.record.shown_ms());
    let since_ms = now_ms.saturating_sub(member.sent_ms);
    if member.sent_ms > 0 && since_ms < slow_ms {
        let rest_s = (slow_ms - since_ms).div_ceil(1_000);
        return Err(ChatRefusal::Slow(u32::try_from(rest_s).unwrap_or(u32::MAX)));
    }
    Ok(())
}

pub(super) fn send(case: &mut Case<'_>, sent: &Sent) -> Result<ChatOutcome, ChatRefusal> {
    let record = case.record;
    if let Some(repeat) = repeat(case, sent)? {
        return Ok(repeat);
    }
    let info = case.conversation.created()?.clone();
    let member = *case.conversation.member(record.actor)?;
    admit(case, &info, &member)?;
    if sent.attach_until_ms.is_some_and(|until_ms| unix_ms_of(record.id) >= until_ms) {
        return Err(ChatRefusal::NoMedia);
    }
    if let Some(answered) = sent.reply_to {
        case.changeable(&member, answered).map_err(|_| ChatRefusal::ReplyTo)?;
    }
    let mut outcome = ChatOutcome::default();
    place(case, &mut outcome, sent.kind != MessageKind::System);
    outcome.all = sent.said.all && may_name_all(&info, &member);
    outcome.named = named(case, sent.said.mentions.iter().map(|mention| mention.id), &sent.said, outcome.all);
    if let Some(pending) = info.pending {
        let mut new = Info::clone(&info);
        if pending == record.actor {
            // An answer accepts.
            (new.pending, new.declined) = (None, false);
        } else {
            new.requested += 1;
        }
        outcome.info = Some(Box::new(new));
    }
    if info.slow_s > 0 && member.role == MemberRole::Member {
        outcome.members.push((record.actor, MemberRow { sent_ms: record.shown_ms(), ..member }));
    }
    Ok(outcome)
}

/// Whether a member may name everybody.
pub(super) fn may_name_all(info: &Info, member: &MemberRow) -> bool {
    info.kind == ConversationKind::Group && member.role >= MemberRole::Admin
}

/// Members among `people`, or all but those whom the words except; not the actor.
pub(super) fn named(case: &mut Case<'_>, people: impl Iterator<Item = Id>, said: &Said, all: bool) -> Vec<Id> {
    let actor = case.record.actor;
    if all {
        let is_named = |user: &Id| *user != actor && !said.except.contains(user);
        return case.conversation.members().iter().copied().filter(is_named).collect();
    }
    let is_in = |user: &Id| *user != actor && case.conversation.member(*user).is_ok();
    people.filter(is_in).collect()
}

/// Whether `since` is more than `within_ms` before the record.
pub(super) fn is_over(case: &Case<'_>, since: Id, within_ms: Option<u64>) -> bool {
    within_ms.is_some_and(|within_ms| unix_ms_of(case.record.id).saturating_sub(unix_ms_of(since)) > within_ms)
}
