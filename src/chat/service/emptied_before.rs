//! Conversations that everybody had left before rows said so (`emptied.rs`): found once in the life of a folder, and
//! noted as those are that are left now.
//!
//! Rows of conversations cannot be listed, but whoever is or was in one has it in a list of their own. So everybody is
//! looked at who has an account, by the first character of their handle, so many a round; it goes on where it was cut
//! off, and to do a part of it again has no effect. Of whom the account is gone no list is left: what such people alone
//! were in is not found, and keeps its files where `chat.deletion` lets messages stay.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::Id;

use super::Chat;
use crate::base::error::Result;
use crate::base::limits::chat::{CLEANED_AT_ONCE, EMPTIED_HEADS_MAX, EMPTIED_PEOPLE_MAX, HEADS_STEP, LISTED_MAX};
use crate::data::rows::chat::{ChatHead, EmptiedRow};
use crate::data::rows::in_row;
use crate::data::tables;
use crate::data::tables::chat as keys;
use crate::users::names::FIRST_OF_HANDLES;

/// Progress of the search: who was looked at last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Progress {
    /// Steps so far, which are the version of the row.
    steps: u64,
    /// Place of the first character in the list; past its end when all is done.
    first: u32,
    /// Row of the last name that was looked at; empty before the first.
    after: Bytes,
}

impl Progress {
    fn row() -> RowKey {
        RowKey::new(tables::CHAT_META, tables::ONE, Bytes::from_static(b"emptied_before"))
    }

    fn to_bytes(&self) -> Vec<u8> {
        [&self.steps.to_be_bytes()[..], &self.first.to_be_bytes(), &self.after].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (steps, rest) = bytes.split_first_chunk()?;
        let (first, after) = rest.split_first_chunk()?;
        let (steps, first) = (u64::from_be_bytes(*steps), u32::from_be_bytes(*first));
        Some(Self { steps, first, after: Bytes::copy_from_slice(after) })
    }

    fn is_done(&self) -> bool {
        self.first as usize >= FIRST_OF_HANDLES.len()
    }
}

impl Chat {
    /// Goes on with the search, as far as one round goes; nothing when it has ended.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn find_emptied(&self) -> Result<()> {
        let stored = self.core().store.get_as(&Progress::row(), Progress::from_bytes).await?;
        let mut progress = stored.unwrap_or_default();
        let (mut people, mut heads) = (EMPTIED_PEOPLE_MAX, EMPTIED_HEADS_MAX);
        while !progress.is_done() && people > 0 && heads > 0 {
            let (looked_at, read) = self.find_some(&mut progress, heads).await?;
            (people, heads) = (people.saturating_sub(looked_at.max(1)), heads.saturating_sub(read));
            progress.steps += 1;
            let mut batch = Batch::default();
            batch.put_versioned(Progress::row(), progress.to_bytes(), progress.steps);
            self.core().store.write(batch).await?;
        }
        Ok(())
    }

    /// Looks at the next people, until that many conversations were looked at; answers how many, and how many of these.
    async fn find_some(&self, progress: &mut Progress, heads: usize) -> Result<(usize, usize)> {
        let first = FIRST_OF_HANDLES.get(progress.first as usize..).and_then(|rest| rest.chars().next());
        let partition = tables::name_partition(&first.map(String::from).unwrap_or_default());
        let from = (!progress.after.is_empty()).then(|| [&progress.after[..], &[0]].concat().into());
        let range = KeyRange { from, to: None };
        let names = self.scan(tables::NAMES, &partition, range, Order::Ascending, CLEANED_AT_ONCE).await?;
        let (mut looked_at, mut read) = (0, 0);
        for row in &names {
            // Whoever has a name of several words comes more than once, to no effect.
            if let Some((_, person)) = tables::name_of(&row.clustering) {
                read += self.find_of(person).await?;
            }
            looked_at += 1;
            progress.after = row.clustering.clone();
            if read >= heads {
                return Ok((looked_at, read));
            }
        }
        if names.len() < CLEANED_AT_ONCE {
            (progress.first, progress.after) = (progress.first + 1, Bytes::new());
        }
        Ok((looked_at, read))
    }

    /// Notes those conversations of a person that nobody is in; answers how many were looked at.
    async fn find_of(&self, person: Id) -> Result<usize> {
        let partition = tables::partition(person);
        let rows = self.scan(keys::ACTIVITY, &partition, KeyRange::ALL, Order::Ascending, LISTED_MAX).await?;
        let conversations: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
        for some in conversations.chunks(HEADS_STEP) {
            let heads: Vec<RowKey> = some.iter().map(|id| keys::of_conversation(keys::HEADS, *id)).collect();
            let values = self.core().store.get_many(&heads).await?;
            let mut batch = Batch::default();
            for ((id, key), value) in some.iter().zip(&heads).zip(values) {
                let head = in_row(key, value, ChatHead::from_bytes)?;
                if let Some(head) = head.filter(|head| head.members == 0 && head.last_seq > 0) {
                    // What was noted when the last one went has this version, or one above it.
                    let row = EmptiedRow { record: head.applied, next: 1 };
                    batch.put_versioned(keys::emptied(*id), row.to_bytes(), row.version());
                }
            }
            if !batch.rows.is_empty() {
                self.core().store.write(batch).await?;
            }
        }
        Ok(conversations.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_it_was_written_and_ends() {
        let progress = Progress { steps: 7, first: 3, after: Bytes::from_static(b"ann") };
        assert_eq!(Progress::from_bytes(&progress.to_bytes()), Some(progress));
        assert!(!Progress::default().is_done());
        assert!(Progress { first: FIRST_OF_HANDLES.len() as u32, ..Progress::default() }.is_done());
        assert_eq!(Progress::from_bytes(b"short"), None);
    }
}
