//! Messages as whoever sees them reports them.

use std::cmp::Ordering;

use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Author, Id, MessageKind};

use super::{Chat, Seat};
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::chat::LISTED_MAX;
use crate::base::limits::reports::SEARCHED_MAX;
use crate::chat::view::Stored;
use crate::data::rows::chat::{ActivityRow, AttachmentRow};
use crate::data::tables;
use crate::data::tables::chat as keys;

/// A message at a moment.
pub struct Evidence {
    /// Conversation in which it stands.
    pub conversation: Id,
    /// Number of the message there.
    pub seq: u64,
    /// Person who sent it.
    pub sender: Author,
    /// Words, as edited.
    pub text: String,
    /// Upload.
    pub attachment: Option<AttachmentRow>,
}

impl Chat {
    /// The message with this id, if the caller sees it: in a conversation, or in one of those that were active lately.
    ///
    /// # Errors
    /// When the engine fails, or a row does not decode.
    pub async fn evidence(&self, caller: Id, message: Id, conversation: Option<Id>) -> Result<Option<Evidence>> {
        let asked = match conversation {
            Some(conversation) => vec![conversation],
            None => self.active_since(caller, message).await?,
        };
        for id in asked {
            let seat = match self.seat(caller, id).await {
                Ok(seat) => seat,
                Err(Error::Refused(_)) => continue,
                Err(error) => return Err(error),
            };
            let Some(stored) = self.by_id(&seat, id, message).await? else { continue };
            if stored.row.kind == MessageKind::System {
                return Ok(None);
            }
            let words = stored.edit.map_or(stored.row.words, |edit| edit.words);
            return Ok(Some(Evidence {
                conversation: id,
                seq: stored.seq,
                sender: self.views().author(stored.row.by).await?,
                text: words.text,
                attachment: stored.row.attachment,
            }));
        }
        Ok(None)
    }

    /// Conversations of a person in which something happened at the moment of `message` or later, the latest first.
    async fn active_since(&self, caller: Id, message: Id) -> Result<Vec<Id>> {
        let minute = u32::try_from(unix_ms_of(message) / 60_000).unwrap_or(u32::MAX);
        let partition = tables::partition(caller);
        let rows = self.scan(keys::ACTIVITY, &partition, KeyRange::ALL, Order::Ascending, LISTED_MAX).await?;
        let known = rows.iter().filter_map(|row| {
            let activity = ActivityRow::from_bytes(&row.value).filter(|one| !one.gone && one.minute >= minute)?;
            Some((activity.minute, Id::from_bytes(&row.clustering)?))
        });
        let mut known: Vec<(u32, Id)> = known.collect();
        known.sort_unstable_by(|one, other| other.cmp(one));
        Ok(known.into_iter().take(SEARCHED_MAX).map(|(_, id)| id).collect())
    }

    /// The message with this id among those that a member may see: ids rise with numbers.
    async fn by_id(&self, seat: &Seat, conversation: Id, message: Id) -> Result<Option<Stored>> {
        let (mut low, mut high) = (seat.member.visible_from.max(1), seat.head.last_seq);
        while low <= high {
            let middle = low + (high - low) / 2;
            let Some(stored) = self.views().stored_one(conversation, middle).await? else { return Ok(None) };
            match stored.row.id.cmp(&message) {
                Ordering::Equal => return Ok(Some(stored)),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle - 1,
            }
        }
        Ok(None)
    }
}
