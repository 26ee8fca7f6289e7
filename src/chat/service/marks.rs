//! Marks of people, and what they keep to themselves: rows without records. Marks only rise, whoever writes them, and
//! are versioned by their number; the rest takes versions of its own. The engine's committer gathers such writes.

use fanfare_engines::Batch;
use fanfare_protocol::{Id, PatchPersonal, Personal, Receipt};

use super::Chat;
use super::under_way::PersonalWrite;
use crate::base::error::{Error, Result};
use crate::base::limits::chat::GROUP_MEMBERS_MAX;
use crate::chat::view;
use crate::data::rows::chat::{MarkRow, PersonalRow};
use crate::data::rows::{from_json, to_json};
use crate::data::tables;
use crate::data::tables::chat as keys;
use crate::log::core::Owners as _;

impl Chat {
    async fn mark(&self, conversation: Id, user: Id, which: keys::MarkOf) -> Result<MarkRow> {
        let key = keys::mark(conversation, user, which);
        Ok(self.core().store.get_as(&key, MarkRow::from_bytes).await?.unwrap_or_default())
    }

    /// Moves a mark of the caller forward; answers where their marks stand.
    async fn advance(&self, caller: Id, id: Id, seq: u64, which: keys::MarkOf) -> Result<Receipt> {
        let seat = self.seat(caller, id).await?;
        if seq > seat.head.last_seq {
            let last = seat.head.last_seq;
            return Err(Error::field("seq", format!("is at most {last}, the newest message")));
        }
        let (read, delivered) =
            (self.mark(id, caller, keys::MarkOf::Read).await?, self.mark(id, caller, keys::MarkOf::Delivered).await?);
        let stands = if which == keys::MarkOf::Read { read.seq } else { read.seq.max(delivered.seq) };
        let unmarks = which == keys::MarkOf::Read;
        if unmarks && self.personal_row(caller, id).await?.unread_at.is_some() {
            self.change_personal(caller, id, |row| row.unread_at = None).await?;
        }
        if seq <= stands {
            return Ok(receipt(caller, read, delivered));
        }
        let _writing = self.core().writing(caller).await?;
        let under_way = self.personal_write();
        let mut batch = Batch::default();
        let mark = MarkRow { seq, counted: self.counted_at(id, seq).await? };
        batch.put_versioned(keys::mark(id, caller, which), mark.to_bytes(), seq);
        let marks = if unmarks { (mark, delivered) } else { (read, mark) };
        if unmarks {
            let now = self.core().log.mint_above(under_way.from()).await?;
            touch(caller, id, now, &mut batch);
        }
        self.core().store.write(batch).await?;
        drop(under_way);
        let receipt = receipt(caller, marks.0, marks.1);
        if seat.info.pending.is_none() {
            self.0.receipts.moved(id, receipt);
        }
        if unmarks {
            self.tell_devices(caller, id);
        }
        Ok(receipt)
    }

    /// Messages that count as unread, up to `seq`.
    async fn counted_at(&self, id: Id, seq: u64) -> Result<u64> {
        if seq == 0 {
            return Ok(0);
        }
        let stored = self.views().stored_one(id, seq).await?;
        stored.map(|stored| stored.row.counted).ok_or_else(|| Error::not_found("message"))
    }

    /// The caller has read everything up to `seq`.
    ///
    /// # Errors
    /// 404 for whoever is not in the conversation, 422 for a number that is not there yet.
    pub async fn read(&self, caller: Id, id: Id, seq: u64) -> Result<Receipt> {
        self.advance(caller, id, seq, keys::MarkOf::Read).await
    }

    /// Everything up to `seq` has reached a device of the caller.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub async fn delivered(&self, caller: Id, id: Id, seq: u64) -> Result<Receipt> {
        self.advance(caller, id, seq, keys::MarkOf::Delivered).await
    }

    /// Marks of the members of a conversation.
    ///
    /// # Errors
    /// 404 for whoever is not in it.
    pub async fn receipts(&self, caller: Id, id: Id) -> Result<Vec<Receipt>> {
        let seat = self.seat(caller, id).await?;
        let members = self.member_ids(id).await?;
        let wanted: Vec<_> = members
            .iter()
            .take(GROUP_MEMBERS_MAX)
            .flat_map(|user| [keys::MarkOf::Read, keys::MarkOf::Delivered].map(|which| keys::mark(id, *user, which)))
            .collect();
        let values = self.core().store.get_many(&wanted).await?;
        let mark = |value: &Option<bytes::Bytes>| value.as_deref().and_then(MarkRow::from_bytes).unwrap_or_default();
        let silent = self.silent(&members).await?;
        let sees = |user: Id| user == caller || !(silent.contains(&caller) || silent.contains(&user));
        let is_asked = |user: Id| user != caller && seat.info.pending == Some(user);
        let pairs = members.iter().zip(values.chunks(2));
        Ok(pairs
            .filter_map(|(user, pair)| match pair {
                [read, delivered] => Some(receipt(*user, mark(read), mark(delivered))),
                _ => None,
            })
            .map(|one| if sees(one.user_id) { one } else { Receipt { read_seq: 0, ..one } })
            // Who was asked and has not answered yet gives nothing away.
            .map(|one| if is_asked(one.user_id) { Receipt { read_seq: 0, delivered_seq: 0, ..one } } else { one })
            .collect())
    }

    pub(super) async fn personal_row(&self, caller: Id, id: Id) -> Result<PersonalRow> {
        let row = self.core().store.get(&tables::pair(keys::PERSONAL, caller, id)).await?;
        Ok(row.as_deref().map(from_json).transpose()?.unwrap_or_default())
    }

    /// Changes what a person keeps to themselves about a conversation.
    async fn change_personal(&self, caller: Id, id: Id, change: impl FnOnce(&mut PersonalRow)) -> Result<PersonalRow> {
        let _held = self.core().locks.hold(&[("chat.personal", caller.0, id.0)]).await?;
        let mut row = self.personal_row(caller, id).await?;
        let before = row.clone();
        change(&mut row);
        if row == before {
            return Ok(row);
        }
        let _writing = self.core().writing(caller).await?;
        let under_way = self.personal_write();
        row.version = self.core().log.mint_above(row.version.max(under_way.from())).await?;
        let mut batch = Batch::default();
        touch(caller, id, row.version, &mut batch);
        put_personal(caller, id, &row, &mut batch)?;
        self.core().store.write(batch).await?;
        drop(under_way);
        self.tell_devices(caller, id);
        Ok(row)
    }

    /// A write of something personal begins, at whose version no list's cursor stands yet.
    fn personal_write(&self) -> PersonalWrite<'_> {
        self.0.personal_writes.begin(|| self.0.owners.horizon().now())
    }

    /// Changes the caller's own settings for a conversation.
    ///
    /// # Errors
    /// 404 for whoever is not in it, 422 for what cannot stand.
    pub async fn personal(&self, caller: Id, id: Id, patch: PatchPersonal) -> Result<Personal> {
        let seat = self.seat(caller, id).await?;
        let draft = patch.draft.as_deref();
        let draft = draft.map(|draft| crate::chat::admission::draft(draft, self.0.settings.text_max)).transpose()?;
        let read = self.mark(id, caller, keys::MarkOf::Read).await?;
        let head = seat.head;
        let row = self.change_personal(caller, id, |row| {
            // Whether it is archived stays as it is, whatever the new mute would have made of the messages since.
            if patch.muted_until.is_some() && row.archived_at.is_some() {
                row.archived_at = view::is_archived(row, &head).then_some(head.last_seq);
            }
            if let Some(until) = patch.muted_until {
                row.muted_until_ms = until.map_or(0, |until| until.0);
            }
            row.notify = patch.notify.unwrap_or(row.notify);
            row.pinned = patch.pinned.unwrap_or(row.pinned);
            if let Some(archived) = patch.archived {
                row.archived_at = archived.then_some(head.last_seq);
            }
            if let Some(unread) = patch.marked_unread {
                row.unread_at = unread.then_some(read.seq);
            }
            if let Some(draft) = draft {
                row.draft = draft;
            }
        });
        Ok(view::personal(&row.await?, read.seq, &head, self.core().clock.now_ms()))
    }

    /// Hides a conversation from the caller's list until something new comes.
    ///
    /// # Errors
    /// 404 for whoever is not in it.
    pub async fn hide(&self, caller: Id, id: Id) -> Result<()> {
        let seat = self.seat(caller, id).await?;
        self.change_personal(caller, id, |row| row.hidden_at = Some(seat.head.last_seq)).await?;
        Ok(())
    }
}

/// Remembers that something changed which only the person sees.
fn touch(user: Id, conversation: Id, now: Id, batch: &mut Batch) {
    let key = tables::pair(keys::TOUCHED, user, conversation);
    batch.put_versioned(key, now.to_bytes().to_vec(), now.0);
}

fn put_personal(user: Id, conversation: Id, row: &PersonalRow, batch: &mut Batch) -> Result<()> {
    let version = row.version.0;
    batch.put_versioned(tables::pair(keys::PERSONAL, user, conversation), to_json(row)?, version);
    Ok(())
}

/// Marks of a person: what was read has arrived.
fn receipt(user_id: Id, read: MarkRow, delivered: MarkRow) -> Receipt {
    Receipt { user_id, delivered_seq: delivered.seq.max(read.seq), read_seq: read.seq }
}
