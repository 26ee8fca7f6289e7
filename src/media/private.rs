//! Uploads for messages: who may attach one, and when its files go.
//!
//! Each use is a row of chat's, written by the record that made the message, and ended by the one that took it back;
//! that one leaves a row too which says when to look. Nobody may attach what is about to go, and what was allowed to be
//! attached is attached in good time or not at all (`Sent::attach_until_ms`): so between the look and the end of the
//! files nothing can come that uses them.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::{Id, Media};

use super::service::{GONE, MediaRow, Uploads, Variant, object_key};
use crate::base::error::Result;
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits::media::{ATTACHING_MS, CHECKED_AT_ONCE, UNATTACHED_MS, UNUSED_MS};
use crate::data::rows::chat::AttachmentRow;
use crate::data::rows::number_in;
use crate::data::store::Store;
use crate::data::tables;
use crate::data::tables::chat as keys;

const HOUR_MS: u64 = 3_600_000;
/// Hours back from now in which a folder that was never looked through may hold rows.
const HOURS_BACK: u32 = 14 * 24;
/// Hours that are looked through again: a takeover may write rows of records that are older.
const HOURS_AGAIN: u32 = 48;

/// Uses of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uses {
    /// There are some.
    Some,
    /// There are none any more, since this moment in milliseconds.
    Ended(u64),
    /// There never was one.
    Never,
}

/// Fate of a private upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays: whoever ends its last use says when to look again.
    Stays,
    /// It is to be looked at then, in milliseconds.
    Waits(u64),
    /// Its files go.
    Goes,
}

/// What becomes, at `now_ms`, of an upload of `uploaded_ms` that is used so. Pure.
#[must_use]
pub fn fate(uploaded_ms: u64, uses: Uses, now_ms: u64) -> Fate {
    let end_ms = match uses {
        Uses::Some => return Fate::Stays,
        Uses::Ended(ended_ms) => ended_ms + UNUSED_MS,
        Uses::Never => uploaded_ms + UNATTACHED_MS,
    };
    if now_ms >= end_ms { Fate::Goes } else { Fate::Waits(end_ms) }
}

/// Moment up to which a message that is written at `now_ms` may attach an upload; `None` when none may any more. Pure.
#[must_use]
pub fn attach_until(uploaded_ms: u64, uses: Uses, now_ms: u64) -> Option<u64> {
    let last_ms = match uses {
        Uses::Some => now_ms + ATTACHING_MS,
        Uses::Ended(_) => return None,
        Uses::Never => (now_ms + ATTACHING_MS).min(uploaded_ms + UNATTACHED_MS - ATTACHING_MS),
    };
    (last_ms > now_ms).then_some(last_ms)
}

/// An upload that somebody wants to attach to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForMessages {
    /// It is theirs, and can be attached up to this moment in milliseconds.
    Free(Box<AttachmentRow>, u64),
    /// It is theirs, and everybody's to see.
    Public,
    /// It is theirs, and about to go.
    Going,
    /// It is not there, or somebody else's.
    Missing,
}

/// An upload as a message remembers it.
fn attachment(id: Id, row: MediaRow) -> AttachmentRow {
    AttachmentRow {
        id,
        kind: row.kind,
        content_type: row.content_type,
        bytes: row.bytes,
        size: row.size,
        thumbnail: row.thumbnail.is_some(),
        filename: row.filename,
        alt: row.alt,
        duration_ms: None,
    }
}

/// Uses of an upload, as they are stored.
///
/// # Errors
/// When the engine fails.
pub async fn uses(store: &Store, media: Id) -> Result<Uses> {
    let partition = tables::partition(media);
    let rows = store.scan(keys::MEDIA_USES, &partition, KeyRange::ALL, Order::Ascending, 1).await?;
    if !rows.is_empty() {
        return Ok(Uses::Some);
    }
    let ended = store.get_id(&keys::media_end(media)).await?;
    Ok(ended.map_or(Uses::Never, |record| Uses::Ended(unix_ms_of(record))))
}

impl Uploads {
    /// What `owner` can attach of the upload `id` to a message that is written at `now_ms`.
    ///
    /// # Errors
    /// Only when the engine fails or the row cannot be read.
    pub async fn for_messages(&self, id: Id, owner: Id, now_ms: u64) -> Result<ForMessages> {
        let Some(row) = self.row(id).await?.filter(|row| row.owner == owner) else { return Ok(ForMessages::Missing) };
        if !row.private {
            return Ok(ForMessages::Public);
        }
        let until = attach_until(unix_ms_of(id), uses(self.rows(), id).await?, now_ms);
        Ok(until.map_or(ForMessages::Going, |until| ForMessages::Free(Box::new(attachment(id, row)), until)))
    }

    /// The upload of a message, with addresses that are signed now.
    #[must_use]
    pub fn attached(&self, row: &AttachmentRow, now_ms: u64) -> Media {
        let addresses = self.addresses();
        let address = |variant| addresses.signed(row.id, variant, now_ms);
        Media {
            id: row.id,
            url: address(Variant::Original),
            kind: row.kind,
            content_type: row.content_type.clone(),
            bytes: row.bytes,
            width: row.size.map(|(width, _)| width),
            height: row.size.map(|(_, height)| height),
            thumbnail_url: row.thumbnail.then(|| address(Variant::Thumbnail)),
            alt: row.alt.clone(),
            notice: None,
            expires_at: Some(addresses.end(now_ms)),
        }
    }

    /// Says when to look whether a new private upload is used: before anything of it is there.
    pub(super) async fn will_be_looked_at(&self, id: Id) -> Result<()> {
        let mut batch = Batch::default();
        batch.put_versioned(keys::media_check(unix_ms_of(id) + UNATTACHED_MS, id), Bytes::new(), id.0);
        Ok(self.rows().write(batch).await?)
    }

    /// Removes private uploads that were not used in time, or are used no more, as of `now_ms`.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn clean(&self, now_ms: u64) -> Result<()> {
        let mark = RowKey::new(tables::CHAT_META, tables::ONE, Bytes::from_static(b"media_checked"));
        let now = u32::try_from(now_ms / HOUR_MS).unwrap_or(u32::MAX);
        let stored = self.rows().get_as(&mark, number_in).await?;
        let first = stored.map_or(now.saturating_sub(HOURS_BACK), |hour| hour + 1);
        for hour in first..=now {
            self.clean_hour(hour, now_ms).await?;
        }
        let done = now.saturating_sub(HOURS_AGAIN);
        if stored.is_none_or(|stored| stored < done) {
            let mut batch = Batch::default();
            batch.put_versioned(mark, done.to_be_bytes().to_vec(), u64::from(done) + 1);
            self.rows().write(batch).await?;
        }
        Ok(())
    }

    /// Looks at what is due in an hour.
    async fn clean_hour(&self, hour: u32, now_ms: u64) -> Result<()> {
        let partition = tables::hour_partition(hour);
        let to = Some(Bytes::copy_from_slice(&(now_ms + 1).to_be_bytes()));
        let mut from: Option<Bytes> = None;
        loop {
            let (range, order) = (KeyRange { from, to: to.clone() }, Order::Ascending);
            let rows = self.rows().scan(keys::MEDIA_CHECKS, &partition, range, order, CHECKED_AT_ONCE).await?;
            let is_last = rows.len() < CHECKED_AT_ONCE;
            from = rows.last().map(|row| [&row.clustering[..], &[0]].concat().into());
            let mut batch = Batch::default();
            for row in rows {
                let Some((due_ms, media)) = keys::media_check_in(&row.clustering) else { continue };
                // Whoever wrote it did so before it was due.
                let version = first_id_at(due_ms).0;
                match self.look_at(media, now_ms).await {
                    Ok(Some(again_ms)) => {
                        batch.put_versioned(keys::media_check(again_ms, media), Bytes::new(), version);
                    }
                    Ok(None) => {}
                    Err(error) if error.is_of_storage() => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, %media, "an upload that may have to go is left as it is");
                        continue;
                    }
                }
                batch.delete_versioned(keys::media_check(due_ms, media), version);
            }
            if !batch.rows.is_empty() {
                self.rows().write(batch).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Removes an upload if its time has come; answers when to look again, if that is known.
    async fn look_at(&self, media: Id, now_ms: u64) -> Result<Option<u64>> {
        match fate(unix_ms_of(media), uses(self.rows(), media).await?, now_ms) {
            Fate::Stays => Ok(None),
            Fate::Waits(until_ms) => Ok(Some(until_ms)),
            Fate::Goes => {
                let owner = self.row(media).await?.map(|row| row.owner);
                self.remove(media, owner).await?;
                Ok(None)
            }
        }
    }

    /// Removes a private upload: first the rows, so that nothing points at what is gone. What says that it is to be
    /// looked at goes last, with whoever calls: so a retry finds the rest.
    async fn remove(&self, id: Id, owner: Option<Id>) -> Result<()> {
        let (mut rows, mut end) = (Batch::default(), Batch::default());
        rows.delete_versioned(self.media_key(id), GONE);
        if let Some(owner) = owner {
            rows.delete_versioned(self.owner_key(owner, id), GONE);
        }
        self.rows().write(rows).await?;
        for variant in [Variant::Original, Variant::Thumbnail] {
            self.objects().delete(&object_key(id, variant)).await?;
        }
        end.delete_versioned(keys::media_end(id), tables::NEVER_AGAIN);
        Ok(self.rows().write(end).await?)
    }
}
