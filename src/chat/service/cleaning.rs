//! Cleaning: sends that are not remembered any more, changes of long ago, and what deleted accounts leave behind. Each
//! step is bounded, can be cut off anywhere, and is done again to no effect.

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey, Table};
use fanfare_protocol::{Code, Id};

use super::Chat;
use crate::base::error::{Error, Result};
use crate::base::id::{first_id_at, hour_of, unix_ms_of};
use crate::base::limits::chat::{CHANGE_DAYS, CLEANED_AT_ONCE, SEND_DAYS};
use crate::chat::fold::record::{ChatAct, ChatRecord, ERASED_MAX};
use crate::chat::stream::BarredElsewhere;
use crate::data::rows::chat::{ChangeRow, HourRow, Info, MessageRow, SendRow};
use crate::data::rows::{from_json, number_in};
use crate::data::tables;
use crate::data::tables::chat as keys;
use crate::log::core::HearsBlocks;

const HOUR_MS: u64 = 3_600_000;

/// Rows that are removed by the hour in which they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aged {
    /// Sends, after seven days: what has the same client's id is another message from then on.
    Sends,
    /// Changes, after fourteen.
    Changes,
}

impl Aged {
    /// Row of the last hour that was cleaned.
    fn row(self) -> RowKey {
        let name: &'static [u8] = match self {
            Self::Sends => b"sends_cleaned",
            Self::Changes => b"changes_cleaned",
        };
        RowKey::new(tables::CHAT_META, tables::ONE, Bytes::from_static(name))
    }

    const fn hours(self) -> u32 {
        let days = match self {
            Self::Sends => SEND_DAYS,
            Self::Changes => CHANGE_DAYS,
        };
        // An hour more: it may have begun just before its end.
        (days * 24) as u32 + 1
    }
}

#[async_trait]
impl HearsBlocks for Chat {
    async fn blocked(&self, blocker: Id, other: Id, on: bool, source: Id) -> Result<()> {
        let conversation = keys::direct_id(blocker, other);
        let info = keys::of_conversation(keys::INFOS, conversation);
        if !on && self.core().store.get(&info).await?.is_none() {
            return Ok(());
        }
        let barred = ChatRecord::new(conversation, blocker, ChatAct::Barred { other, on, source });
        match self.commit(barred).await {
            // The block stands: the conversation hears of it where it is decided about.
            Err(Error::Elsewhere(node)) => {
                self.tell_barred(&node, blocker, BarredElsewhere { other, on, source }).await?;
            }
            done => drop(done?),
        }
        // Of whoever is gone since, nothing stays.
        match self.core().store.account(blocker).await? {
            Some(_) => Ok(()),
            None => self.forget_block(blocker, other).await,
        }
    }
}

impl Chat {
    /// Removes what is kept for a time: sends after 7 days, changes after 14.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn clean(&self) -> Result<()> {
        for aged in [Aged::Sends, Aged::Changes] {
            let now = u32::try_from(self.core().log.sweep_ms() / HOUR_MS).unwrap_or(u32::MAX);
            let last = now.saturating_sub(aged.hours());
            let stored = self.core().store.get_as(&aged.row(), number_in).await?;
            // Of a folder that was never cleaned nothing is older than chat.
            let first = stored.map_or(last, |hour| hour + 1);
            for hour in first..=last {
                self.clean_hour(aged, hour).await?;
            }
            if first <= last {
                let mut batch = Batch::default();
                batch.put_versioned(aged.row(), last.to_be_bytes().to_vec(), u64::from(last) + 1);
                self.core().store.write(batch).await?;
            }
        }
        Ok(())
    }

    async fn clean_hour(&self, aged: Aged, hour: u32) -> Result<()> {
        let partition = tables::hour_partition(hour);
        let mut after: Option<Bytes> = None;
        loop {
            let range = KeyRange { from: after.as_deref().map(successor), to: None };
            let rows = self.scan(keys::HOURS, &partition, range, Order::Ascending, CLEANED_AT_ONCE).await?;
            let Some(last) = rows.last() else { break };
            after = Some(last.clustering.clone());
            for row in rows {
                let (Some(id), Some(first)) = (Id::from_bytes(&row.clustering), HourRow::from_bytes(&row.value)) else {
                    continue;
                };
                match aged {
                    Aged::Sends => self.clean_sends(id, first.seq, hour).await?,
                    Aged::Changes => {
                        self.clean_changes(id, first.change, hour).await?;
                        let mut batch = Batch::default();
                        let end = first_id_at((u64::from(hour) + 1) * HOUR_MS);
                        batch.delete_versioned(keys::hour(hour, id), end.0);
                        self.core().store.write(batch).await?;
                    }
                }
            }
        }
        if aged == Aged::Sends { self.clean_refusals(hour).await } else { Ok(()) }
    }

    /// Sends of the messages of an hour, from the first on.
    async fn clean_sends(&self, id: Id, first: u64, hour: u32) -> Result<()> {
        let mut from = first;
        loop {
            let upto = from + CLEANED_AT_ONCE as u64 - 1;
            let found = self.views().stored(id, from, upto).await?;
            let mut batch = Batch::default();
            let of_hour = found.iter().take_while(|stored| hour_of(stored.row.id) <= hour);
            let count = of_hour.clone().count();
            for stored in of_hour.filter(|stored| !stored.row.client_id.is_empty()) {
                let MessageRow { id: message, by, client_id, .. } = &stored.row;
                batch.delete_versioned(keys::send(id, *by, client_id), message.0 + 1);
            }
            if !batch.rows.is_empty() {
                self.core().store.write(batch).await?;
            }
            if count < CLEANED_AT_ONCE {
                return Ok(());
            }
            from = upto + 1;
        }
    }

    async fn clean_changes(&self, id: Id, first: u64, hour: u32) -> Result<()> {
        let mut from = first;
        loop {
            let upto = from + CLEANED_AT_ONCE as u64 - 1;
            let mut batch = Batch::default();
            for bucket in keys::bucket_of(from)..=keys::bucket_of(upto) {
                let (partition, range) = (keys::bucket(id, bucket), keys::numbers(from, upto));
                for row in self.scan(keys::CHANGES, &partition, range, Order::Ascending, CLEANED_AT_ONCE).await? {
                    let change = ChangeRow::from_bytes(&row.value).filter(|change| hour_of(change.record) <= hour);
                    if let (Some(number), Some(change)) = (keys::number_in(&row.clustering), change) {
                        batch.delete_versioned(keys::numbered(keys::CHANGES, id, number), change.record.0 + 1);
                    }
                }
            }
            let count = batch.rows.len();
            if count > 0 {
                self.core().store.write(batch).await?;
            }
            if count < CLEANED_AT_ONCE {
                return Ok(());
            }
            from = upto + 1;
        }
    }

    /// Sends that were refused in an hour.
    async fn clean_refusals(&self, hour: u32) -> Result<()> {
        let partition = tables::hour_partition(hour);
        let end = first_id_at((u64::from(hour) + 1) * HOUR_MS);
        loop {
            let rows = self.scan(keys::REFUSALS, &partition, KeyRange::ALL, Order::Ascending, CLEANED_AT_ONCE).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for row in rows {
                if let (Some(id), Some(rest)) = (Id::from_bytes(&row.clustering), row.clustering.get(8..)) {
                    let key = RowKey::new(keys::SENDS, tables::partition(id), rest.to_vec());
                    let sent = self.core().store.get_as(&key, SendRow::from_bytes).await?;
                    if let Some(sent) = sent.filter(|sent| unix_ms_of(sent.record) < unix_ms_of(end)) {
                        batch.delete_versioned(key, sent.record.0 + 1);
                    }
                }
                batch.delete_versioned(RowKey::new(keys::REFUSALS, partition.clone(), row.clustering), end.0);
            }
            self.core().store.write(batch).await?;
        }
    }

    /// Forgets that somebody whose account is gone blocked `other`.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn forget_block(&self, gone: Id, other: Id) -> Result<()> {
        let departed = ChatRecord::new(keys::direct_id(gone, other), gone, ChatAct::Departed {});
        match self.commit_for_nobody(departed).await {
            Ok(_) => Ok(()),
            Err(Error::Refused(problem)) if problem.code == Code::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes what a deleted account leaves in conversations: it leaves them, what it wrote is taken back where the
    /// settings say so, and its own rows go.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn forget_person(&self, person: Id) -> Result<()> {
        let partition = tables::partition(person);
        loop {
            let rows = self.scan(keys::ACTIVITY, &partition, KeyRange::ALL, Order::Ascending, CLEANED_AT_ONCE).await?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                let Some(id) = Id::from_bytes(&row.clustering) else { continue };
                self.depart(person, id).await?;
                let mut batch = Batch::default();
                for which in [keys::MarkOf::Read, keys::MarkOf::Delivered] {
                    batch.delete_versioned(keys::mark(id, person, which), tables::NEVER_AGAIN);
                }
                for table in [keys::PERSONAL, keys::TOUCHED, keys::ACTIVITY] {
                    batch.delete_versioned(tables::pair(table, person, id), tables::NEVER_AGAIN);
                }
                self.core().store.write(batch).await?;
            }
        }
        for table in [keys::MENTIONS, keys::MENTIONED, keys::PERSONAL, keys::TOUCHED, keys::PREFERENCES] {
            self.clear(table, &partition).await?;
        }
        Ok(())
    }

    /// The person leaves a conversation, and their messages are erased.
    async fn depart(&self, person: Id, id: Id) -> Result<()> {
        match self.commit_for_nobody(ChatRecord::new(id, person, ChatAct::Departed {})).await {
            Ok(_) => {}
            Err(Error::Refused(problem)) if problem.code == Code::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        if !self.0.settings.erases {
            return Ok(());
        }
        let info = self.core().store.get(&keys::of_conversation(keys::INFOS, id)).await?;
        if info.as_deref().map(from_json::<Info>).transpose()?.is_none() {
            return Ok(());
        }
        let mut from = 1;
        loop {
            let upto = from + CLEANED_AT_ONCE as u64 - 1;
            let found = self.views().stored(id, from, upto).await?;
            let Some(last) = found.last() else { return Ok(()) };
            from = last.seq + 1;
            let is_theirs = |row: &MessageRow| row.by == person && row.recalled.is_none() && row.system.is_none();
            let seqs: Vec<u64> = found.iter().filter(|one| is_theirs(&one.row)).map(|one| one.seq).collect();
            for seqs in seqs.chunks(ERASED_MAX) {
                let erased = ChatRecord::new(id, person, ChatAct::Erased { seqs: seqs.to_vec() });
                self.commit_for_nobody(erased).await?;
            }
        }
    }

    async fn clear(&self, table: Table, partition: &Bytes) -> Result<()> {
        loop {
            let rows = self.scan(table, partition, KeyRange::ALL, Order::Ascending, CLEANED_AT_ONCE).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for row in rows {
                batch.delete_versioned(RowKey::new(table, partition.clone(), row.clustering), tables::NEVER_AGAIN);
            }
            self.core().store.write(batch).await?;
        }
    }
}

/// The first key behind `key`.
fn successor(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}
