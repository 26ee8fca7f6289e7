//! Conversations that nobody is in any more: the files that their messages hold are let go of, a bounded number of
//! messages at a time. Each such message is taken back in the name of who sent it, so that its use of the upload ends
//! as any other; words that nobody reads stay.

use std::collections::BTreeMap;

use fanfare_engines::{Batch, KeyRange, Order, Row};
use fanfare_protocol::Id;

use super::Chat;
use crate::base::error::Result;
use crate::base::limits::chat::{CLEANED_AT_ONCE, EMPTIED_MESSAGES_MAX};
use crate::chat::fold::record::{ChatAct, ChatRecord, ERASED_MAX};
use crate::data::rows::chat::{ChatHead, EmptiedRow};
use crate::data::tables;
use crate::data::tables::chat as keys;

impl Chat {
    /// Lets go of the files in conversations that nobody is in any more, as far as one round goes.
    ///
    /// # Errors
    /// When the engine fails, or a partition takes nothing; the next call goes on, and others are not held up.
    pub async fn let_go(&self) -> Result<()> {
        let mut left = EMPTIED_MESSAGES_MAX;
        let rows = self.scan(keys::EMPTIED, &tables::ONE, KeyRange::ALL, Order::Ascending, CLEANED_AT_ONCE).await?;
        let mut outcome = Ok(());
        for row in rows {
            outcome = outcome.and(self.let_go_of(&row, &mut left).await);
            if left == 0 {
                break;
            }
        }
        outcome
    }

    async fn let_go_of(&self, row: &Row, left: &mut u64) -> Result<()> {
        let (Some(id), Some(emptied)) = (Id::from_bytes(&row.clustering), EmptiedRow::from_bytes(&row.value)) else {
            return Ok(());
        };
        let head = self.core().store.get_as(&keys::of_conversation(keys::HEADS, id), ChatHead::from_bytes).await?;
        let Some(head) = head.filter(|head| head.applied >= emptied.record) else { return Ok(()) };
        // Somebody may have come by an invite since: what they see stays.
        let last_seq = if head.members == 0 { head.last_seq } else { 0 };
        let mut now = emptied;
        while now.next <= last_seq && *left > 0 {
            let upto = last_seq.min(now.next + (CLEANED_AT_ONCE as u64).min(*left) - 1);
            self.take_files_back(id, now.next, upto).await?;
            *left -= upto + 1 - now.next;
            now.next = upto + 1;
        }
        let mut batch = Batch::default();
        if now.next > last_seq {
            batch.delete_versioned(keys::emptied(id), now.version() + 1);
        } else {
            batch.put_versioned(keys::emptied(id), now.to_bytes(), now.version());
        }
        Ok(self.core().store.write(batch).await?)
    }

    /// Takes back those of some messages that hold a file.
    async fn take_files_back(&self, id: Id, from: u64, upto: u64) -> Result<()> {
        let mut by_sender: BTreeMap<Id, Vec<u64>> = BTreeMap::new();
        for stored in self.views().stored(id, from, upto).await? {
            if stored.row.attachment.is_some() {
                by_sender.entry(stored.row.by).or_default().push(stored.seq);
            }
        }
        for (sender, seqs) in by_sender {
            for seqs in seqs.chunks(ERASED_MAX) {
                let erased = ChatRecord::new(id, sender, ChatAct::Erased { seqs: seqs.to_vec() });
                self.commit_for_nobody(erased).await?;
            }
        }
        Ok(())
    }
}
