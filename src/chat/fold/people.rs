//! People in conversations: how they come and go, their roles, requests and blocks; and the settings of groups. Pure.

use std::sync::Arc;

use fanfare_protocol::{ConversationKind, History, Id, MemberRole, SystemEvent, SystemKind};

use super::outcome::{ChatOutcome, ChatRefusal};
use super::record::{Beginning, NewSettings};
use super::{Case, tell};
use crate::base::limits::chat::{GROUP_MEMBERS_MAX, INVITES_MAX, PEOPLE_EVER_MAX};
use crate::data::rows::chat::{Bar, ChatHead, Info, InviteRow, MemberRow, Membership};
use crate::data::tables::chat::direct_id;

/// A person who comes with this record; what they see begins at `seq`.
fn newcomer(case: &Case<'_>, role: MemberRole, presence: Membership, seq: u64, info: &Info) -> MemberRow {
    MemberRow {
        role,
        presence,
        joined: case.record.id,
        visible_from: if info.history == History::All { 1 } else { seq },
        counted: case.conversation.head.counted,
        left_seq: 0,
        sent_ms: 0,
        came_seq: case.conversation.head.last_seq,
    }
}

/// A system message about one person.
fn about(kind: SystemKind, user: Id) -> SystemEvent {
    SystemEvent { kind, user_ids: vec![user], title: None, seq: None }
}

/// Information of a conversation, for one that is to change it.
fn copied(info: &Arc<Info>) -> Box<Info> {
    Box::new(Info::clone(info))
}

/// Takes a block in; whether that changed anything.
fn take_bar(info: &mut Info, bar: Bar) -> bool {
    match info.bars.iter_mut().find(|known| known.by == bar.by) {
        Some(known) if known.source < bar.source => {
            *known = bar;
            true
        }
        Some(_) => false,
        None => {
            info.bars.push(bar);
            true
        }
    }
}

pub(super) fn create(case: &mut Case<'_>, created: &Beginning) -> Result<ChatOutcome, ChatRefusal> {
    if let Ok(info) = case.conversation.created() {
        // Both of a pair may begin at once, and whoever asks again gets what is there.
        return match (info.created, case.conversation.person(case.record.actor)) {
            (Some(first), Some(_)) => Ok(ChatOutcome { repeat: Some((first, 0)), ..ChatOutcome::default() }),
            _ => Err(ChatRefusal::NotFound),
        };
    }
    match created.kind {
        ConversationKind::Direct => create_direct(case, created),
        ConversationKind::Group => create_group(case, created),
    }
}

fn create_direct(case: &mut Case<'_>, created: &Beginning) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let [peer] = created.members[..] else { return Err(ChatRefusal::Kind) };
    if peer == actor || direct_id(peer, actor) != case.record.conversation {
        return Err(ChatRefusal::Kind);
    }
    let mut info = case.conversation.info.as_deref().cloned().unwrap_or(Info::new(ConversationKind::Direct));
    for bar in &created.bars {
        take_bar(&mut info, *bar);
    }
    if info.is_barred() {
        return Err(ChatRefusal::Closed);
    }
    info.created = Some(case.record.id);
    info.at_ms = case.record.shown_ms();
    info.history = History::All;
    info.pending = created.request.then_some(peer);
    let comes = |case: &Case<'_>| newcomer(case, MemberRole::Member, Membership::In, 1, &info);
    let members = vec![(actor, comes(case)), (peer, comes(case))];
    // It has a place in lists before anybody has said something.
    let head = Some(ChatHead { last_message: case.record.id, ..case.conversation.head });
    Ok(ChatOutcome { head, info: Some(Box::new(info)), members, ..ChatOutcome::default() })
}

fn create_group(case: &mut Case<'_>, created: &Beginning) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    if created.members.len() + created.invited.len() >= GROUP_MEMBERS_MAX {
        return Err(ChatRefusal::Full);
    }
    let mut info = Info::new(ConversationKind::Group);
    info.created = Some(case.record.id);
    info.at_ms = case.record.shown_ms();
    info.title.clone_from(&created.title);
    info.history = created.history.unwrap_or_default();
    let mut outcome = ChatOutcome::default();
    let (user_ids, title) = (created.members.clone(), created.title.clone());
    let seq = tell(case, &mut outcome, SystemEvent { kind: SystemKind::Created, user_ids, title, seq: None });
    outcome.members.push((actor, newcomer(case, MemberRole::Owner, Membership::In, seq, &info)));
    let people = created.members.iter().map(|user| (user, Membership::In));
    for (user, presence) in people.chain(created.invited.iter().map(|user| (user, Membership::Invited))) {
        if outcome.members.iter().all(|(known, _)| known != user) {
            outcome.members.push((*user, newcomer(case, MemberRole::Member, presence, seq, &info)));
        }
    }
    outcome.info = Some(Box::new(info));
    Ok(outcome)
}

/// The information of a group.
fn group(case: &Case<'_>) -> Result<Arc<Info>, ChatRefusal> {
    let info = case.conversation.created()?;
    if info.kind == ConversationKind::Group { Ok(Arc::clone(info)) } else { Err(ChatRefusal::Kind) }
}

fn members_now(case: &Case<'_>) -> usize {
    case.conversation.people.iter().filter(|(_, row)| row.is_in()).count()
}

/// Whether a group of at most `members_max` takes one more.
fn has_room(case: &Case<'_>, members_max: u32) -> bool {
    members_now(case) < members_max.min(GROUP_MEMBERS_MAX as u32) as usize
}

pub(super) fn add(
    case: &mut Case<'_>,
    members: &[Id],
    invited: &[Id],
    members_max: u32,
) -> Result<ChatOutcome, ChatRefusal> {
    let info = group_for_admin(case)?;
    let is_out = |user: &&Id| case.conversation.member(**user).is_err();
    let is_unasked =
        |user: &&Id| case.conversation.person(**user).is_none_or(|row| row.presence != Membership::Invited);
    let mut coming: Vec<Id> = members.iter().filter(is_out).copied().collect();
    coming.sort_unstable();
    coming.dedup();
    let asked: Vec<Id> = invited.iter().filter(is_out).filter(is_unasked).copied().collect();
    if coming.is_empty() && asked.is_empty() {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    let (now, ever) = (members_now(case), case.conversation.people.len());
    let newly = coming.len() + asked.len();
    if now + newly > members_max.min(GROUP_MEMBERS_MAX as u32) as usize || ever + newly > PEOPLE_EVER_MAX {
        return Err(ChatRefusal::Full);
    }
    let mut outcome = ChatOutcome { head: Some(case.conversation.head), ..ChatOutcome::default() };
    let mut seq = case.conversation.head.last_seq + 1;
    if !coming.is_empty() {
        let event = SystemEvent { kind: SystemKind::Added, user_ids: coming.clone(), title: None, seq: None };
        seq = tell(case, &mut outcome, event);
    }
    for (people, presence) in [(coming, Membership::In), (asked, Membership::Invited)] {
        for user in people {
            outcome.members.push((user, newcomer(case, MemberRole::Member, presence, seq, &info)));
        }
    }
    Ok(outcome)
}

/// The information of a group whose actor is an admin.
fn group_for_admin(case: &Case<'_>) -> Result<Arc<Info>, ChatRefusal> {
    case.conversation.created()?;
    case.conversation.member(case.record.actor)?;
    let info = group(case)?;
    case.conversation.admin(case.record.actor)?;
    Ok(info)
}

/// The actor comes into a group, by an invite or because they were asked.
fn come(case: &Case<'_>, info: &Info) -> ChatOutcome {
    let mut outcome = ChatOutcome::default();
    let seq = tell(case, &mut outcome, about(SystemKind::Joined, case.record.actor));
    // Whoever comes when all others have left has it: no group is nobody's.
    let is_first = case.conversation.people.iter().all(|(_, row)| !row.is_in());
    let role = if is_first { MemberRole::Owner } else { MemberRole::Member };
    let row = newcomer(case, role, Membership::In, seq, info);
    outcome.members.push((case.record.actor, row));
    outcome
}

pub(super) fn join(case: &mut Case<'_>, invite: Id, members_max: u32) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let info = group(case).map_err(|_| ChatRefusal::NoInvite)?;
    let mut row = case.invite(invite).ok_or(ChatRefusal::NoInvite)?;
    if case.conversation.member(actor).is_ok() {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    // Who was removed comes back when an admin adds them.
    let is_removed = case.conversation.person(actor).is_some_and(|person| person.presence == Membership::Removed);
    if !row.is_good(case.record.shown_ms()) || is_removed {
        return Err(ChatRefusal::NoInvite);
    }
    if !has_room(case, members_max) || case.conversation.people.len() >= PEOPLE_EVER_MAX {
        return Err(ChatRefusal::Full);
    }
    let mut outcome = come(case, &info);
    row.uses += 1;
    outcome.invite = Some((invite, Box::new(row)));
    Ok(outcome)
}

/// The row of somebody who goes, and of whom the group is handed to if it was theirs.
fn goes(case: &Case<'_>, user: Id, row: MemberRow, presence: Membership, outcome: &mut ChatOutcome) {
    let left_seq = case.conversation.head.last_seq;
    let role = MemberRole::Member;
    outcome.members.push((user, MemberRow { role, presence, left_seq, ..row }));
    if row.role != MemberRole::Owner {
        return;
    }
    let others = case.conversation.people.iter().filter(|(other, row)| *other != user && row.is_in());
    // The longest-serving admin, else member; of those who came together the first by id.
    let heir = others.min_by_key(|(other, row)| (row.role != MemberRole::Admin, row.joined, *other));
    if let Some((heir, row)) = heir {
        outcome.members.push((*heir, MemberRow { role: MemberRole::Owner, ..*row }));
    }
}

pub(super) fn leave(case: &mut Case<'_>) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    case.conversation.created()?;
    let row = *case.conversation.member(actor)?;
    group(case)?;
    let mut outcome = ChatOutcome::default();
    tell(case, &mut outcome, about(SystemKind::Left, actor));
    goes(case, actor, row, Membership::Left, &mut outcome);
    Ok(outcome)
}

/// Information without the blocks by somebody; nothing if there are none.
fn unbarred(info: Option<&Arc<Info>>, by: Id) -> Option<Box<Info>> {
    let info = info.filter(|info| info.bars.iter().any(|bar| bar.by == by))?;
    let mut without = copied(info);
    without.bars.retain(|bar| bar.by != by);
    Some(without)
}

/// Somebody's account is gone: they leave, what waited for them ends, and whom they blocked is forgotten, also where
/// nobody ever talked. A request of theirs that was not accepted ends for both: whoever was asked never sees it as a
/// conversation. What they wrote is erased by records of its own.
pub(super) fn depart(case: &mut Case<'_>) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let unbarred = unbarred(case.conversation.info.as_ref(), actor);
    let mut outcome = ChatOutcome { head: Some(case.conversation.head), ..ChatOutcome::default() };
    let (Ok(info), Some(row)) = (case.conversation.created().cloned(), case.conversation.person(actor).copied()) else {
        outcome.info = Some(unbarred.ok_or(ChatRefusal::NotFound)?);
        return Ok(outcome);
    };
    if !row.is_in() && row.presence != Membership::Invited {
        if unbarred.is_none() {
            return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
        }
        outcome.info = unbarred;
        return Ok(outcome);
    }
    if info.kind == ConversationKind::Group && row.is_in() {
        tell(case, &mut outcome, about(SystemKind::Left, actor));
    }
    goes(case, actor, row, Membership::Left, &mut outcome);
    let asked = info.pending.filter(|asked| *asked != actor);
    if let Some((asked, row)) = asked.and_then(|asked| Some((asked, *case.conversation.member(asked).ok()?))) {
        goes(case, asked, row, Membership::Left, &mut outcome);
    }
    if info.pending == Some(actor) || unbarred.is_some() {
        let info = unbarred.map_or_else(|| Info::clone(&info), |info| *info);
        outcome.info = Some(Box::new(Info { pending: asked, ..info }));
    }
    Ok(outcome)
}

pub(super) fn remove(case: &mut Case<'_>, member: Id) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    case.conversation.created()?;
    let own = *case.conversation.member(actor)?;
    group(case)?;
    let row = *case.conversation.person(member).ok_or(ChatRefusal::NoMember)?;
    if own.role < MemberRole::Admin {
        return Err(ChatRefusal::Role);
    }
    match row.presence {
        Membership::In if row.role >= own.role => return Err(ChatRefusal::Role),
        Membership::In => {}
        Membership::Invited => {
            let row = MemberRow { presence: Membership::Left, ..row };
            let head = Some(case.conversation.head);
            return Ok(ChatOutcome { head, members: vec![(member, row)], ..ChatOutcome::default() });
        }
        Membership::Left | Membership::Removed => return Err(ChatRefusal::NoMember),
    }
    let mut outcome = ChatOutcome::default();
    tell(case, &mut outcome, about(SystemKind::Removed, member));
    goes(case, member, row, Membership::Removed, &mut outcome);
    Ok(outcome)
}

/// The owner of a group, and another member of it.
fn owner_and(case: &Case<'_>, member: Id) -> Result<(MemberRow, MemberRow), ChatRefusal> {
    case.conversation.created()?;
    let own = *case.conversation.member(case.record.actor)?;
    group(case)?;
    let other = *case.conversation.member(member).map_err(|_| ChatRefusal::NoMember)?;
    if own.role == MemberRole::Owner { Ok((own, other)) } else { Err(ChatRefusal::Role) }
}

pub(super) fn change_role(case: &mut Case<'_>, member: Id, role: MemberRole) -> Result<ChatOutcome, ChatRefusal> {
    if role == MemberRole::Owner {
        return hand_over(case, member);
    }
    let (_, row) = owner_and(case, member)?;
    if row.role == MemberRole::Owner {
        // Nobody is left without an owner: the group is handed over instead.
        return Err(ChatRefusal::Role);
    }
    if row.role == role {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    let mut outcome = ChatOutcome::default();
    tell(case, &mut outcome, about(SystemKind::RoleChanged, member));
    outcome.members.push((member, MemberRow { role, ..row }));
    Ok(outcome)
}

pub(super) fn hand_over(case: &mut Case<'_>, member: Id) -> Result<ChatOutcome, ChatRefusal> {
    let (own, row) = owner_and(case, member)?;
    if member == case.record.actor {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    let mut outcome = ChatOutcome::default();
    tell(case, &mut outcome, about(SystemKind::OwnerChanged, member));
    outcome.members.push((case.record.actor, MemberRow { role: MemberRole::Admin, ..own }));
    outcome.members.push((member, MemberRow { role: MemberRole::Owner, ..row }));
    Ok(outcome)
}

pub(super) fn change_settings(case: &mut Case<'_>, new: &NewSettings) -> Result<ChatOutcome, ChatRefusal> {
    let info = group_for_admin(case)?;
    let mut changed = copied(&info);
    if let Some(title) = &new.title {
        changed.title = (!title.is_empty()).then(|| title.clone());
    }
    if new.no_picture {
        changed.picture = None;
    }
    if new.picture.is_some() {
        changed.picture.clone_from(&new.picture);
    }
    changed.history = new.history.unwrap_or(info.history);
    changed.announcements = new.announcements.unwrap_or(info.announcements);
    changed.slow_s = new.slow_s.unwrap_or(info.slow_s);
    if *changed == *info {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    let title = changed.title.clone().filter(|_| changed.title != info.title);
    let mut outcome = ChatOutcome { info: Some(changed), ..ChatOutcome::default() };
    let event = SystemEvent { kind: SystemKind::SettingsChanged, user_ids: Vec::new(), title, seq: None };
    tell(case, &mut outcome, event);
    Ok(outcome)
}

pub(super) fn invite(
    case: &mut Case<'_>,
    hash: &str,
    expires_ms: Option<u64>,
    max_uses: Option<u32>,
) -> Result<ChatOutcome, ChatRefusal> {
    let mut info = copied(&group_for_admin(case)?);
    if info.invites as usize >= INVITES_MAX {
        return Err(ChatRefusal::Full);
    }
    info.invites += 1;
    let (by, at_ms) = (case.record.actor, case.record.shown_ms());
    let row = InviteRow { hash: hash.to_owned(), by, at_ms, expires_ms, max_uses, uses: 0, revoked: false };
    let invite = Some((case.record.id, Box::new(row)));
    Ok(ChatOutcome { head: Some(case.conversation.head), info: Some(info), invite, ..ChatOutcome::default() })
}

pub(super) fn revoke(case: &mut Case<'_>, invite: Id) -> Result<ChatOutcome, ChatRefusal> {
    let mut info = copied(&group_for_admin(case)?);
    let mut row = case.invite(invite).filter(|row| !row.revoked).ok_or(ChatRefusal::NoInvite)?;
    row.revoked = true;
    info.invites = info.invites.saturating_sub(1);
    let invite = Some((invite, Box::new(row)));
    Ok(ChatOutcome { head: Some(case.conversation.head), info: Some(info), invite, ..ChatOutcome::default() })
}

pub(super) fn accept(case: &mut Case<'_>, members_max: Option<u32>) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let info = case.conversation.created()?.clone();
    let row = *case.conversation.person(actor).ok_or(ChatRefusal::NotFound)?;
    if row.presence == Membership::Invited {
        // More can be asked than there is room for.
        if members_max.is_some_and(|max| !has_room(case, max)) {
            return Err(ChatRefusal::Full);
        }
        return Ok(come(case, &info));
    }
    case.conversation.member(actor)?;
    if info.pending != Some(actor) {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    let new = Box::new(Info { pending: None, declined: false, ..Info::clone(&info) });
    Ok(ChatOutcome { head: Some(case.conversation.head), info: Some(new), ..ChatOutcome::default() })
}

pub(super) fn decline(case: &mut Case<'_>) -> Result<ChatOutcome, ChatRefusal> {
    let actor = case.record.actor;
    let info = case.conversation.created()?.clone();
    let row = *case.conversation.person(actor).ok_or(ChatRefusal::NotFound)?;
    let head = Some(case.conversation.head);
    if row.presence == Membership::Invited {
        let row = MemberRow { presence: Membership::Left, ..row };
        return Ok(ChatOutcome { head, members: vec![(actor, row)], ..ChatOutcome::default() });
    }
    case.conversation.member(actor)?;
    if info.pending != Some(actor) || info.declined {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    let new = Box::new(Info { declined: true, ..Info::clone(&info) });
    Ok(ChatOutcome { head, info: Some(new), ..ChatOutcome::default() })
}

pub(super) fn bar(case: &mut Case<'_>, other: Id, on: bool, source: Id) -> Result<ChatOutcome, ChatRefusal> {
    let by = case.record.actor;
    if direct_id(by, other) != case.record.conversation {
        return Err(ChatRefusal::Kind);
    }
    let mut info = case.conversation.info.as_deref().cloned().unwrap_or(Info::new(ConversationKind::Direct));
    if !take_bar(&mut info, Bar { by, source, on }) {
        return Ok(ChatOutcome { repeat: Some((case.record.id, 0)), ..ChatOutcome::default() });
    }
    Ok(ChatOutcome { head: Some(case.conversation.head), info: Some(Box::new(info)), ..ChatOutcome::default() })
}
