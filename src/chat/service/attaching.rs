//! Things that a message holds beside its own words: an upload of its sender, or a message that it passes on.
//!
//! Both are looked at before the message is written, and good for a while from then on: the fold refuses what comes
//! later, by the time of the record alone.

use fanfare_protocol::{Forward, Id, MediaKind, MessageKind, NewMessage};

use super::Chat;
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::media::ATTACHING_MS;
use crate::chat::fold::record::Sent;
use crate::data::rows::chat::{AttachmentRow, Said};
use crate::media::ForMessages;

/// Thing that a message holds.
pub(super) struct Held {
    pub(super) kind: MessageKind,
    /// Words of what is passed on.
    said: Said,
    pub(super) attachment: Option<AttachmentRow>,
    /// Moment up to which the message can be written, in milliseconds; any without.
    pub(super) until_ms: Option<u64>,
    pub(super) forwarded: bool,
}

impl Held {
    /// Nothing but the words that the client sent.
    fn nothing(new: &NewMessage) -> Self {
        Self { kind: new.kind, said: Said::default(), attachment: None, until_ms: None, forwarded: false }
    }

    /// The message that passes it on.
    pub(super) fn sent(self, client_id: String, body: String) -> Sent {
        Sent {
            client_id,
            body,
            kind: self.kind,
            said: self.said,
            attachment: self.attachment,
            attach_until_ms: self.until_ms,
            reply_to: None,
            forwarded: true,
        }
    }
}

impl Chat {
    /// Finds what a message holds, if its sender may have it so.
    ///
    /// # Errors
    /// 422 that names the field.
    pub(super) async fn held(&self, caller: Id, new: &NewMessage) -> Result<Held> {
        match (new.forward, new.media_id) {
            (Some(forward), _) => self.passed_on(caller, forward).await,
            (None, Some(media)) => self.upload(caller, new, media).await,
            (None, None) => Ok(Held::nothing(new)),
        }
    }

    /// Moment of what is written now, in milliseconds.
    async fn written_ms(&self) -> Result<u64> {
        Ok(unix_ms_of(self.core().log.mint().await?))
    }

    /// An upload of the caller.
    async fn upload(&self, caller: Id, new: &NewMessage, media: Id) -> Result<Held> {
        let refused = |why: &str| Err(Error::field("media_id", why));
        let (row, until_ms) = match self.0.media.for_messages(media, caller, self.written_ms().await?).await? {
            ForMessages::Free(row, until_ms) => (row, until_ms),
            ForMessages::Public => {
                return refused("is an upload for everybody to see; upload it again, with `purpose=message`");
            }
            ForMessages::Going => {
                return refused("is not kept: it was taken back, or not used in time; upload it again");
            }
            ForMessages::Missing => return refused("names no upload of the caller for messages"),
        };
        match (new.kind, row.kind) {
            (MessageKind::Image, MediaKind::File) => refused("is no picture that can be shown; send it as a `file`"),
            (MessageKind::Voice, MediaKind::Image) => refused("is a picture; send it as an `image`"),
            _ => {
                let attachment = Some(AttachmentRow { duration_ms: new.duration_ms, ..*row });
                Ok(Held { attachment, until_ms: Some(until_ms), ..Held::nothing(new) })
            }
        }
    }

    /// A message that the caller can see, to be passed on.
    async fn passed_on(&self, caller: Id, forward: Forward) -> Result<Held> {
        let missing = || Error::field("forward", "names no message that the caller can see");
        let hide = |error: Error| error.refused_as(missing());
        let Forward { conversation_id, seq } = forward;
        let seat = self.seat(caller, conversation_id).await.map_err(hide)?;
        // Before the message is looked at: what it holds ends later than that.
        let until_ms = self.written_ms().await? + ATTACHING_MS;
        let stored = self.visible(&seat, conversation_id, seq).await.map_err(hide)?;
        if stored.row.recalled.is_some() || stored.row.kind == MessageKind::System {
            return Err(missing());
        }
        let words = stored.edit.map_or(stored.row.words, |edit| edit.words);
        Ok(Held {
            kind: stored.row.kind,
            said: Said { mentions: Vec::new(), all: false, ..words },
            until_ms: stored.row.attachment.is_some().then_some(until_ms),
            attachment: stored.row.attachment,
            forwarded: true,
        })
    }
}
