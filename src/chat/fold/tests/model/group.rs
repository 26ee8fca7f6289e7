//! Acts of admins and owners on groups, and of members on messages, in the plain rules.

use std::collections::BTreeSet;

use fanfare_protocol::{History, Id, MemberRole};

use super::super::super::outcome::ChatRefusal;
use super::super::super::record::{ChatAct, ChatRecord};
use super::{Group, Invite, Person};
use crate::data::rows::chat::Membership;

impl Group {
    /// Whether anything changed about a message.
    pub(super) fn of_message(&mut self, record: &ChatRecord, own: &Person) -> Result<bool, ChatRefusal> {
        let actor = record.actor;
        match &record.act {
            ChatAct::Edited { seq, said, .. } => {
                let message = self.of_person(actor, *seq)?;
                if message.by != actor {
                    return Err(ChatRefusal::Role);
                }
                if message.forwarded {
                    return Err(ChatRefusal::Fixed);
                }
                if self.barred() {
                    return Err(ChatRefusal::Closed);
                }
                let message = &mut self.messages[*seq as usize - 1];
                if message.text == said.text {
                    return Ok(false);
                }
                message.text.clone_from(&said.text);
                message.edits += 1;
                self.changes += 1;
                self.name(record, *seq, said);
                Ok(true)
            }
            ChatAct::Recalled { seq, .. } => {
                if !self.visible(actor, *seq) {
                    return Err(ChatRefusal::NoMessage);
                }
                let message = &self.messages[*seq as usize - 1];
                let own_words = message.by == actor && !message.system;
                if !own_words && (self.direct || own.role == MemberRole::Member) {
                    return Err(ChatRefusal::Role);
                }
                if message.recalled {
                    return Ok(false);
                }
                if message.system {
                    return Err(ChatRefusal::Fixed);
                }
                self.recall(record.id, *seq);
                Ok(true)
            }
            _ => self.of_mark(record, own),
        }
    }

    /// Whether anything changed about the reactions or the pin of a message.
    fn of_mark(&mut self, record: &ChatRecord, own: &Person) -> Result<bool, ChatRefusal> {
        let actor = record.actor;
        match &record.act {
            ChatAct::Reacted { seq, emoji, on } => {
                self.of_person(actor, *seq)?;
                if self.barred() {
                    return Err(ChatRefusal::Closed);
                }
                let reactions = &mut self.messages[*seq as usize - 1].reactions;
                let place = reactions.iter().position(|(kind, _)| kind == emoji);
                let has = place.is_some_and(|place| reactions[place].1.contains(&actor));
                if has == *on {
                    return Ok(false);
                }
                match (place, on) {
                    (Some(place), true) => reactions[place].1.push(actor),
                    (Some(place), false) => reactions[place].1.retain(|user| *user != actor),
                    (None, _) => reactions.push((emoji.clone(), vec![actor])),
                }
                reactions.retain(|(_, people)| !people.is_empty());
                self.changes += 1;
                Ok(true)
            }
            ChatAct::Pinned { seq, on } => {
                if !self.direct && own.role == MemberRole::Member {
                    return Err(ChatRefusal::Role);
                }
                self.of_person(actor, *seq)?;
                if self.barred() {
                    return Err(ChatRefusal::Closed);
                }
                if self.pins.contains(seq) == *on {
                    return Ok(false);
                }
                if *on {
                    self.pins.push(*seq);
                } else {
                    self.pins.retain(|pin| pin != seq);
                }
                self.changes += 1;
                Ok(true)
            }
            other => unreachable!("{other:?}"),
        }
    }

    pub(super) fn of_group(&mut self, record: &ChatRecord, own: &Person) -> Result<bool, ChatRefusal> {
        let actor = record.actor;
        match &record.act {
            ChatAct::Left {} => {
                self.say(record, "", true);
                self.go(actor, Membership::Left);
                Ok(true)
            }
            ChatAct::Removed { member } => {
                let other = self.people.get(member).ok_or(ChatRefusal::NoMember)?.clone();
                if own.role == MemberRole::Member {
                    return Err(ChatRefusal::Role);
                }
                match other.presence {
                    Membership::Invited => self.go(*member, Membership::Left),
                    Membership::In if other.role < own.role => {
                        self.say(record, "", true);
                        self.go(*member, Membership::Removed);
                    }
                    Membership::In => return Err(ChatRefusal::Role),
                    _ => return Err(ChatRefusal::NoMember),
                }
                Ok(true)
            }
            ChatAct::RoleChanged { member, role } => {
                if !self.is_in(*member) {
                    return Err(ChatRefusal::NoMember);
                }
                if own.role != MemberRole::Owner {
                    return Err(ChatRefusal::Role);
                }
                if *role == MemberRole::Owner {
                    return Ok(self.hand_over(record, *member));
                }
                if *member == actor {
                    return Err(ChatRefusal::Role);
                }
                if self.people[member].role == *role {
                    return Ok(false);
                }
                self.say(record, "", true);
                self.people.get_mut(member).unwrap().role = *role;
                Ok(true)
            }
            ChatAct::OwnerChanged { member } => {
                if !self.is_in(*member) {
                    return Err(ChatRefusal::NoMember);
                }
                if own.role != MemberRole::Owner {
                    return Err(ChatRefusal::Role);
                }
                Ok(self.hand_over(record, *member))
            }
            _ if own.role == MemberRole::Member => Err(ChatRefusal::Role),
            _ => self.of_admin(record),
        }
    }

    fn of_admin(&mut self, record: &ChatRecord) -> Result<bool, ChatRefusal> {
        match &record.act {
            ChatAct::Added { members, invited, members_max } => {
                let coming: BTreeSet<Id> = members.iter().copied().filter(|user| !self.is_in(*user)).collect();
                let is_asked =
                    |user: &Id| self.people.get(user).is_some_and(|person| person.presence == Membership::Invited);
                let asked: Vec<Id> =
                    invited.iter().copied().filter(|user| !self.is_in(*user) && !is_asked(user)).collect();
                if coming.is_empty() && asked.is_empty() {
                    return Ok(false);
                }
                if self.members().len() + coming.len() + asked.len() > *members_max as usize {
                    return Err(ChatRefusal::Full);
                }
                let seq = self.messages.len() as u64 + 1;
                for user in &coming {
                    self.come(record, *user, MemberRole::Member, Membership::In, seq);
                }
                for user in asked {
                    self.come(record, user, MemberRole::Member, Membership::Invited, seq);
                }
                if !coming.is_empty() {
                    self.say(record, "", true);
                }
                Ok(true)
            }
            ChatAct::SettingsChanged(new) => {
                let was = (self.title.clone(), self.all_history, self.announcements, self.slow_ms);
                if let Some(title) = &new.title {
                    self.title = Some(title.clone()).filter(|title| !title.is_empty());
                }
                if let Some(history) = new.history {
                    self.all_history = history == History::All;
                }
                self.announcements = new.announcements.unwrap_or(self.announcements);
                self.slow_ms = new.slow_s.map_or(self.slow_ms, |slow_s| u64::from(slow_s) * 1_000);
                let changed = was != (self.title.clone(), self.all_history, self.announcements, self.slow_ms);
                if changed {
                    self.say(record, "", true);
                }
                Ok(changed)
            }
            ChatAct::InviteMade { max_uses, .. } => {
                self.invites.insert(record.id, Invite { uses: 0, max_uses: *max_uses, revoked: false });
                Ok(true)
            }
            ChatAct::InviteRevoked { invite } => {
                let invite =
                    self.invites.get_mut(invite).filter(|invite| !invite.revoked).ok_or(ChatRefusal::NoInvite)?;
                invite.revoked = true;
                Ok(true)
            }
            other => unreachable!("{other:?}"),
        }
    }
}
