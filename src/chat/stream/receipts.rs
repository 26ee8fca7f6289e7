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
        let waits = waiting.entry(conversation).or_insert_with(new);
        let known = waits.receipts.entry(receipt.user_id).or_insert(receipt);
        // Two that come at once may be told in the other order, and marks only rise.
        known.delivered_seq = known.delivered_seq.max(receipt.delivered_seq);
        known.read_seq = known.read_seq.max(receipt.read_seq);
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

    /// Against the definition: where each stands, told as soon as it may be, and at most once a second.
    #[tokio::test(start_paused = true)]
    async fn five_hundred_readers_make_a_frame_a_second_and_are_all_told() {
        let (receipts, mut random) = (Receipts::default(), fanfare_engines::random::Random::new(5));
        let (mut stand, mut told) = (BTreeMap::new(), BTreeMap::new());
        let told_by = receipts.clone();
        let (frames, mut heard) = tokio::sync::mpsc::unbounded_channel();
        let telling = tokio::spawn(async move {
            loop {
                frames.send((Instant::now(), told_by.due().await)).unwrap();
            }
        });
        let began = Instant::now();
        for _ in 0..200 {
            for _ in 0..100 {
                let (user, seq) = (Id(random.below(500)), random.below(1_000));
                let delivered_seq = seq + random.below(3);
                let one = Receipt { user_id: user, delivered_seq, read_seq: seq };
                let now = stand.entry(user).or_insert(one);
                now.read_seq = now.read_seq.max(seq);
                now.delivered_seq = now.delivered_seq.max(delivered_seq);
                // Now and then an earlier one comes after a later one.
                receipts.moved(Id(1), if random.below(4) == 0 { one } else { *now });
            }
            tokio::time::advance(Duration::from_millis(random.below(40))).await;
        }
        let spent = began.elapsed();
        for _ in 0..4 {
            tokio::time::advance(PAUSE).await;
            tokio::task::yield_now().await;
        }
        telling.abort();
        let mut count = 0;
        while let Ok((_, due)) = heard.try_recv() {
            for (conversation, receipts) in due {
                assert_eq!(conversation, Id(1));
                count += 1;
                for receipt in receipts {
                    let now = told.entry(receipt.user_id).or_insert(receipt);
                    now.read_seq = now.read_seq.max(receipt.read_seq);
                    now.delivered_seq = now.delivered_seq.max(receipt.delivered_seq);
                }
            }
        }
        assert!(count as u64 <= 2 + spent.as_secs(), "{count} frames in {spent:?}");
        assert!(count > 1);
        assert_eq!(told, stand, "clients take the higher of two");
    }
}
