//! News beside records for who is connected: receipts, who writes, and what a person's other devices are to know.

use std::sync::Arc;
use std::time::Instant;

use fanfare_engines::{EngineError, KeyRange, Order, Row, Table};
use fanfare_protocol::{ConversationUpdated, Id, Lane, Receipt, ReceiptChanged, Typing};
use smallvec::SmallVec;

use super::Chat;
use crate::base::error::{Error, Result};
use crate::base::limits::chat::TYPING_MEMBERS_MAX;
use crate::chat::stream::{BARRED, BarredElsewhere};
use crate::realtime::{Audience, Deliver, Frame};

impl Chat {
    /// The time.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.core().clock.now_ms()
    }

    /// Rows of a partition, for the streams.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.core().store.scan(table, partition, range, order, limit).await
    }

    /// Tells a person's devices that something changed which only they see.
    pub(super) fn tell_devices(&self, person: Id, conversation_id: Id) {
        let updated = ConversationUpdated { conversation_id, left: false };
        let frame = Frame::passing("conversation.updated", Lane::Normal, self.now_ms(), &updated);
        self.0.publisher.tell_elsewhere(&[person], &frame);
        self.0.publisher.deliver(Deliver::frame(Audience::People(SmallVec::from_buf([person])), frame));
    }

    /// Tells the others that somebody writes.
    ///
    /// # Errors
    /// 404 for whoever is not in the conversation.
    pub async fn typing(&self, person: Id, conversation_id: Id) -> Result<()> {
        let seat = self.seat(person, conversation_id).await?;
        let is_told = seat.head.members <= TYPING_MEMBERS_MAX && seat.info.pending.is_none() && !seat.info.is_barred();
        if !is_told || !self.0.typists.tells(conversation_id, person, Instant::now()) {
            return Ok(());
        }
        let others = self.member_ids(conversation_id).await?.into_iter().filter(|member| *member != person);
        let others: Arc<[Id]> = others.collect();
        let typing = Typing { conversation_id, user_id: Some(person) };
        let frame = Frame::passing("typing", Lane::Normal, self.now_ms(), &typing);
        self.0.publisher.tell_elsewhere(&others, &frame);
        self.0.publisher.deliver(Deliver::frame(Audience::Members(others), frame));
        Ok(())
    }

    /// Has the node that decides about two people's conversation hear that `blocker` blocks the other, or no more.
    pub(super) async fn tell_barred(&self, node: &Arc<str>, blocker: Id, barred: BarredElsewhere) -> Result<()> {
        let data = serde_json::to_value(barred).map_err(|error| Error::Internal(error.to_string()))?;
        self.0.publisher.ask(node, blocker, BARRED, data).await.map(drop)
    }

    /// Tells receipts to who is connected, without end.
    pub async fn tell_receipts(self) {
        loop {
            for (conversation_id, receipts) in self.0.receipts.due().await {
                let members = match self.member_ids(conversation_id).await {
                    Ok(members) => members,
                    Err(error) => {
                        tracing::warn!(%error, "receipts are told to nobody; they are read over HTTP");
                        continue;
                    }
                };
                let silent = match self.silent(&members).await {
                    Ok(silent) => silent,
                    Err(error) => {
                        tracing::warn!(%error, "receipts are told to nobody; they are read over HTTP");
                        continue;
                    }
                };
                // Whoever shares nothing hears of what arrived alone.
                let (deaf, others): (Vec<Id>, Vec<Id>) = members.into_iter().partition(|one| silent.contains(one));
                let hidden = |one: &Receipt, all: bool| all || silent.contains(&one.user_id);
                for (members, all) in [(others, false), (deaf, true)] {
                    let shown =
                        |one: &Receipt| Receipt { read_seq: if hidden(one, all) { 0 } else { one.read_seq }, ..*one };
                    let changed = ReceiptChanged { conversation_id, receipts: receipts.iter().map(shown).collect() };
                    let frame = Frame::passing("receipt", Lane::Normal, self.now_ms(), &changed);
                    self.0.publisher.tell_elsewhere(&members, &frame);
                    self.0.publisher.send(Deliver::frame(Audience::Members(members.into()), frame)).await;
                }
            }
        }
    }
}
