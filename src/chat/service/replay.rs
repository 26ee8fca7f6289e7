//! Talk of the past, as an import hands it in: it takes the way of all other records, and keeps its own moments.

use fanfare_protocol::{ConversationKind, History, Id, NewMessage};

use super::Chat;
use super::messages::said;
use crate::base::error::{Error, Result};
use crate::chat::admission;
use crate::chat::family::{ChatCommitted, ChatFamily};
use crate::chat::fold::record::{Beginning, ChatAct, ChatRecord, Sent};
use crate::log::core::Owners as _;
use crate::log::owners::PendingIn;
use crate::log::writers::Writing;

/// Place and moment of something that was said before.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    /// The conversation.
    pub conversation: Id,
    /// Person who said it.
    pub by: Id,
    /// Moment of it, in milliseconds.
    pub at_ms: u64,
}

/// A record that was handed in as it is.
pub struct Replayed(PendingIn<ChatFamily>, Writing);

impl Chat {
    /// Hands in a record that somebody else has checked. Records of a conversation are placed in the order in which
    /// they are handed in.
    ///
    /// # Errors
    /// When its actor has no account, or the log takes nothing.
    pub async fn replay(&self, record: ChatRecord) -> Result<Replayed> {
        let writing = self.core().writing(record.actor).await?;
        Ok(Replayed(self.0.owners.propose(record.conversation, record).await?, writing))
    }

    /// Hands in a message of the past. It names nobody: who reads it today was not called.
    ///
    /// # Errors
    /// 422 for what is malformed, and as [`replay`](Self::replay).
    pub async fn said_before(&self, before: Before, new: NewMessage) -> Result<Replayed> {
        let checked = admission::message(&new, self.0.settings.text_max)?;
        let sent = Sent {
            client_id: new.client_id,
            body: checked.body,
            kind: new.kind,
            said: said(checked.text, Vec::new(), false, Vec::new()),
            attachment: None,
            attach_until_ms: None,
            reply_to: None,
            forwarded: false,
        };
        let record = ChatRecord::new(before.conversation, before.by, ChatAct::Sent(Box::new(sent)));
        self.replay(ChatRecord { at_ms: Some(before.at_ms), ..record }).await
    }

    /// The words of a message as they are stored.
    ///
    /// # Errors
    /// 422 for what is malformed.
    pub fn words(&self, new: &NewMessage) -> Result<String> {
        Ok(admission::message(new, self.0.settings.text_max)?.text.text)
    }

    /// Begins a group of the past, unless it is there: all of its history is for all of its members.
    ///
    /// # Errors
    /// 422 where it has more members than groups may.
    pub async fn began(&self, id: Id, owner: Id, members: &[Id], title: &str, at_ms: u64) -> Result<()> {
        let most = self.0.settings.group_max;
        if members.len() >= most {
            let count = members.len() + 1;
            let why = format!("{title} has {count} members; groups have at most {most} (setting chat.group_max)");
            return Err(Error::field("members", why));
        }
        let beginning = Beginning {
            kind: ConversationKind::Group,
            members: members.to_vec(),
            invited: Vec::new(),
            title: Some(admission::title(title)?),
            history: Some(History::All),
            request: false,
            bars: Vec::new(),
        };
        let record = ChatRecord::new(id, owner, ChatAct::Created(beginning));
        let begun = self.replay(ChatRecord { at_ms: Some(at_ms), ..record }).await?;
        begun.durable().await?;
        Ok(())
    }
}

impl Replayed {
    /// The record and what it gave, once it is durable; a refusal is an error.
    ///
    /// # Errors
    /// When it was refused, or the log failed.
    pub async fn durable(self) -> Result<ChatCommitted> {
        let Self(pending, _writing) = self;
        super::done(pending.durable().await?)
    }
}
