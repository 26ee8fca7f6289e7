//! End of what a deleted account uploaded.

use fanfare_engines::{Batch, KeyRange, Order};
use fanfare_protocol::Id;

use super::private::{Uses, uses};
use super::service::{GONE, MediaRow, NOBODYS, Uploads, Variant, encode, object_key};
use crate::base::error::Result;
use crate::base::limits::media::DELETION_STEP;

impl Uploads {
    /// Deletes everything that `owner` uploaded, what a crash left of uploads included, and not what messages of others
    /// hold, or held lately: that goes with its last use. Can be repeated after an error.
    ///
    /// # Errors
    /// When the engine fails; some uploads may be gone by then.
    pub async fn delete_of(&self, owner: Id) -> Result<()> {
        let (store, objects) = (self.rows(), self.objects());
        let partition = owner.to_bytes();
        loop {
            let rows =
                store.scan(self.owners_table(), &partition, KeyRange::ALL, Order::Ascending, DELETION_STEP).await?;
            let ids: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
            if ids.is_empty() {
                return Ok(());
            }
            let (mut media, mut index) = (Batch::default(), Batch::default());
            let mut gone = Vec::with_capacity(ids.len());
            for id in ids {
                index.delete_versioned(self.owner_key(owner, id), GONE);
                let kept = match self.row(id).await? {
                    Some(row) if row.private => self.disown(id, row).await?,
                    _ => false,
                };
                if !kept {
                    media.delete_versioned(self.media_key(id), GONE);
                    gone.push(id);
                }
            }
            // The rows first, so that nothing points at what is gone; the index last, so that a retry finds the rest.
            store.write(media).await?;
            for id in gone {
                objects.delete(&object_key(id, Variant::Original)).await?;
                objects.delete(&object_key(id, Variant::Thumbnail)).await?;
            }
            store.write(index).await?;
        }
    }

    /// Lets go of what a deleted account uploaded for messages: what is used stays with its uses, as nobody's, and what
    /// was used lately for as long as somebody may be passing it on. Answers whether it is kept.
    async fn disown(&self, id: Id, row: MediaRow) -> Result<bool> {
        if uses(self.rows(), id).await? == Uses::Never {
            return Ok(false);
        }
        let mut batch = Batch::default();
        batch.put_versioned(self.media_key(id), encode(&MediaRow { owner: Id(0), ..row })?, NOBODYS);
        self.rows().write(batch).await?;
        Ok(true)
    }
}
