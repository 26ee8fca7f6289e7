//! People who reacted to a message: page by page, from the rows of reactions.

use bytes::Bytes;
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Id, Page, Reactor};

use super::Chat;
use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::chat::emoji;
use crate::data::tables::chat as keys;

/// Choice of people who reacted.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReactorQuery<'a> {
    /// Kind of the reactions; all without.
    pub emoji: Option<&'a str>,
    /// People of a page.
    pub limit: usize,
    /// End of the page before.
    pub cursor: Option<&'a str>,
}

impl Chat {
    /// People who reacted to a message, kind by kind and by id.
    ///
    /// # Errors
    /// 404 when it is not there, or not for the caller; 422 for what is no emoji; 400 for a cursor of another list.
    pub async fn reactors(
        &self,
        caller: Id,
        conversation: Id,
        seq: u64,
        query: ReactorQuery<'_>,
    ) -> Result<Page<Reactor>> {
        if query.emoji.is_some_and(|emoji| !emoji::is_one(emoji)) {
            return Err(Error::field("emoji", "is one emoji"));
        }
        let seat = self.seat(caller, conversation).await?;
        let message = self.visible(&seat, conversation, seq).await?.row;
        let scope = Scope { list: "message.reactions", caller, subject: message.id };
        let after = query.cursor.map(|cursor| self.core().cursors.open(scope, cursor)).transpose()?;
        // What people said to words that are gone goes with them.
        if message.recalled.is_some() {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        let mut range = query.emoji.map_or(KeyRange::ALL, |emoji| KeyRange::prefix(&[emoji.as_bytes(), &[0]].concat()));
        if let Some(after) = after {
            let from = Bytes::from([&after[..], &[0]].concat());
            range.from = Some(range.from.map_or(from.clone(), |begin| begin.max(from)));
        }
        let partition = keys::message_partition(conversation, seq);
        let scan = self.core().store.scan(keys::REACTIONS, &partition, range, Order::Ascending, query.limit + 1);
        let rows = scan.await?;
        let is_more = rows.len() > query.limit;
        let mut items = Vec::with_capacity(rows.len().min(query.limit));
        let mut last = None;
        for row in rows.into_iter().take(query.limit) {
            if let Some((emoji, user)) = keys::reaction_in(&row.clustering) {
                items.push(Reactor { emoji: emoji.to_owned(), user: self.views().author(user).await? });
            }
            last = Some(row.clustering);
        }
        let next_cursor = last.filter(|_| is_more).map(|last| self.core().cursors.seal(scope, &last));
        Ok(Page { items, next_cursor })
    }
}
