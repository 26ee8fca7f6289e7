//! Conversations as they are read for a person's lists: heads alone, or with all that a list shows of them.

use fanfare_engines::RowKey;
use fanfare_protocol::Id;

use super::Chat;
use super::list::Folder;
use crate::base::error::Result;
use crate::chat::sync::Listed;
use crate::chat::view;
use crate::data::rows::chat::{ChatHead, Info, MarkRow, MemberRow, Membership, PersonalRow};
use crate::data::rows::{from_json, in_row};
use crate::data::tables;
use crate::data::tables::chat as keys;

/// A conversation as it is read for a list.
pub(super) struct Read {
    pub(super) listed: Listed,
    pub(super) head: ChatHead,
    pub(super) info: Info,
    pub(super) member: MemberRow,
    pub(super) mark: MarkRow,
    pub(super) personal: PersonalRow,
}

impl Read {
    pub(super) fn is_request(&self, user: Id) -> bool {
        self.member.presence == Membership::Invited || self.info.pending == Some(user)
    }

    /// Whether the person declined it and hears nothing of it.
    pub(super) fn is_declined(&self, user: Id) -> bool {
        self.info.declined && self.info.pending == Some(user)
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.personal.hidden_at.is_some_and(|seq| self.head.last_seq <= seq)
    }

    pub(super) fn is_archived(&self, now_ms: u64) -> bool {
        view::personal(&self.personal, self.mark.seq, self.head.last_seq, now_ms).archived
    }

    pub(super) fn is_in(&self, folder: Folder, user: Id, now_ms: u64) -> bool {
        let found = match (self.is_request(user), self.is_archived(now_ms)) {
            (true, _) => Folder::Requests,
            (false, true) => Folder::Archived,
            (false, false) => Folder::Inbox,
        };
        !self.member.is_gone() && !self.is_declined(user) && !self.is_hidden() && found == folder
    }

    /// Everything up to here was read.
    pub(super) fn read_seq(&self) -> u64 {
        self.mark.seq.max(self.member.visible_from.saturating_sub(1).min(self.head.last_seq))
    }

    pub(super) fn unread(&self) -> u64 {
        self.head.counted.saturating_sub(self.mark.counted.max(self.member.counted))
    }
}

impl Chat {
    /// Heads of conversations; those that are not there are left out.
    pub(super) async fn heads(&self, asked: &[Listed]) -> Result<Vec<(Listed, ChatHead)>> {
        let wanted: Vec<RowKey> =
            asked.iter().map(|one| keys::of_conversation(keys::HEADS, one.conversation)).collect();
        let values = self.core().store.get_many(&wanted).await?;
        let mut found = Vec::with_capacity(asked.len());
        for ((one, key), value) in asked.iter().zip(&wanted).zip(values) {
            found.extend(in_row(key, value, ChatHead::from_bytes)?.map(|head| (*one, head)));
        }
        Ok(found)
    }

    /// Reads conversations for a list; those that are not there, or were torn, are left out.
    pub(super) async fn read_listed(&self, user: Id, asked: &[Listed]) -> Result<Vec<Read>> {
        let of = |one: &Listed| -> [RowKey; 5] {
            let id = one.conversation;
            [
                keys::of_conversation(keys::HEADS, id),
                keys::of_conversation(keys::INFOS, id),
                keys::member(id, user),
                keys::mark(id, user, keys::MarkOf::Read),
                tables::pair(keys::PERSONAL, user, id),
            ]
        };
        let wanted: Vec<RowKey> = asked.iter().flat_map(of).collect();
        let mut values = self.core().store.get_many(&wanted).await?.into_iter();
        let mut found = Vec::with_capacity(asked.len());
        for (listed, of) in asked.iter().zip(wanted.chunks(5)) {
            let mut next = || values.next().flatten();
            let [head, info, member, mark, personal] = [next(), next(), next(), next(), next()];
            let [head_key, _, member_key, mark_key, _] = of else { continue };
            let (head, member) =
                (in_row(head_key, head, ChatHead::from_bytes)?, in_row(member_key, member, MemberRow::from_bytes)?);
            let mark = in_row(mark_key, mark, MarkRow::from_bytes)?.unwrap_or_default();
            let info: Option<Info> = info.as_deref().map(from_json).transpose()?;
            let personal = personal.as_deref().map(from_json).transpose()?.unwrap_or_default();
            if let (Some(head), Some(info), Some(member)) = (head, info, member) {
                found.push(Read { listed: *listed, head, info, member, mark, personal });
            }
        }
        Ok(found)
    }
}
