//! Receipts on their way to who is connected: gathered, so that a conversation has one frame a second, however many
//! read it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::{Id, Receipt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::base::limits::chat::RECEIPTS_WAITING_MAX;

/// Least time between two frames of a conversation.
const PAUSE: Duration = Duration::from_secs(1);

/// Marks that moved and were not told yet; clones share them.
#[derive(Clone, Default)]
pub struct Receipts(Arc<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Mutex<HashMap<Id, Waiting>>,
    comes: Notify,
}

struct Waiting {
    /// By member; empty while the conversation only rests.
    receipts: BTreeMap<Id, Receipt>,
    due: Instant,
}

impl Receipts {
    /// A mark moved. Beyond the bound it is told to nobody: it is a current value.
    pub fn moved(&self, conversation: Id, receipt: Receipt) {
        let mut waiting = self.0.waiting.lock();
        if waiting.len() >= RECEIPTS_WAITING_MAX && !waiting.contains_key(&conversation) {
            metrics::counter!("fanfare_shed_total", "what" => "chat_receipts").increment(1);
            return;
        }
        let new = || Waiting { receipts: BTreeMap::new(), due: Instant::now() };
        waiting.entry(conversation).or_insert_with(new).receipts.insert(receipt.user_id, receipt);
        drop(waiting);
        self.0.comes.notify_one();
    }

    /// Receipts that are due, conversation by conversation; waits until some are.
    pub async fn due(&self) -> Vec<(Id, Vec<Receipt>)> {
        loop {
            let now = Instant::now();
            let (mut due, mut next) = (Vec::new(), None::<Instant>);
            self.0.waiting.lock().retain(|conversation, waiting| {
                if waiting.due <= now {
                    if waiting.receipts.is_empty() {
                        return false;
                    }
                    let receipts = std::mem::take(&mut waiting.receipts);
                    due.push((*conversation, receipts.into_values().collect()));
                    waiting.due = now + PAUSE;
                }
                next = Some(next.map_or(waiting.due, |next| next.min(waiting.due)));
                true
            });
            if !due.is_empty() {
                return due;
            }
            let comes = self.0.comes.notified();
            match next {
                None => comes.await,
                Some(next) => {
                    let _ = tokio::time::timeout_at(next, comes).await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_conversation_has_one_frame_a_second_with_where_each_stands_then() {
        let receipts = Receipts::default();
        let receipt = |user, seq| Receipt { user_id: Id(user), delivered_seq: seq, read_seq: seq };
        receipts.moved(Id(1), receipt(7, 1));
        assert_eq!(receipts.due().await, [(Id(1), vec![receipt(7, 1)])]);
        for seq in 2..50 {
            receipts.moved(Id(1), receipt(7, seq));
            receipts.moved(Id(1), receipt(8, seq));
        }
        let began = Instant::now();
        assert_eq!(receipts.due().await, [(Id(1), vec![receipt(7, 49), receipt(8, 49)])]);
        assert!(began.elapsed() >= PAUSE);
        receipts.moved(Id(2), receipt(7, 1));
        assert_eq!(receipts.due().await, [(Id(2), vec![receipt(7, 1)])], "another conversation waits for none");
    }
}
