//! Order of a person's list, found from heads alone: of a conversation that a page does not show no more is read.

use fanfare_engines::RowKey;

use super::Chat;
use crate::base::error::Result;
use crate::base::limits::chat::{HEADS_STEP, LIST_STEP};
use crate::chat::sync::{ListMerge, ListPlace, Listed};
use crate::data::rows::chat::ChatHead;
use crate::data::rows::in_row;
use crate::data::tables::chat as keys;

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

    /// Conversations that come next in a part of a list, below `after`, with their places.
    pub(super) async fn next_listed(
        &self,
        merge: &mut ListMerge<Listed>,
        (is_pinned, after): (bool, Option<ListPlace>),
        limit: usize,
    ) -> Result<Vec<(ListPlace, Listed)>> {
        let mut next = Vec::new();
        while next.len() < LIST_STEP.min(limit + 1) {
            if let Some((place, one)) = merge.pop() {
                let place = ListPlace { is_pinned, ..place };
                if after.is_none_or(|after| place < after) {
                    next.push((place, one));
                }
                continue;
            }
            let asked = merge.ask(HEADS_STEP);
            if asked.is_empty() {
                break;
            }
            for (one, ChatHead { last_message, .. }) in self.heads(&asked).await? {
                merge.put(ListPlace { is_pinned, last_message, conversation: one.conversation }, one);
            }
        }
        Ok(next)
    }
}
