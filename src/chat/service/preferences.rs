//! Preferences of people: who may talk to them and add them, and whether they share what they have read.

use std::collections::HashSet;

use fanfare_engines::Batch;
use fanfare_protocol::{ChatPreferences, Code, ConversationKind, Id, PatchChatPreferences, WhoMay};

use super::Chat;
use crate::base::error::{Error, Result};
use crate::data::rows::chat::{MemberRow, PreferencesRow};
use crate::data::rows::{from_json, to_json};
use crate::data::tables;
use crate::data::tables::chat as keys;
use crate::log::core::Owners as _;

/// Answer to somebody who wants to talk to a person, or to add them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Welcome {
    /// At once.
    In,
    /// The person is asked.
    Asked,
    /// Not at all.
    Out,
}

impl Chat {
    /// Preferences of a row; what the person has not chosen is the operator's default.
    fn shown_preferences(&self, row: PreferencesRow) -> ChatPreferences {
        let default = self.0.settings.default_who_may;
        ChatPreferences {
            who_may_message: row.who_may_message.unwrap_or(default),
            who_may_add: row.who_may_add.unwrap_or(default),
            read_receipts: !row.no_receipts,
            last_seen: row.last_seen,
        }
    }

    async fn preferences_row(&self, person: Id) -> Result<PreferencesRow> {
        let row = self.core().store.get(&tables::by_id(keys::PREFERENCES, person)).await?;
        Ok(row.as_deref().map(from_json).transpose()?.unwrap_or_default())
    }

    /// Preferences of a person.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn preferences(&self, caller: Id) -> Result<ChatPreferences> {
        Ok(self.shown_preferences(self.preferences_row(caller).await?))
    }

    /// Changes preferences of the caller.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn prefer(&self, caller: Id, patch: PatchChatPreferences) -> Result<ChatPreferences> {
        let _held = self.core().locks.hold(&[("chat.preferences", caller.0, 0)]).await?;
        let before = self.preferences_row(caller).await?;
        let mut row = before;
        row.who_may_message = patch.who_may_message.unwrap_or(row.who_may_message);
        row.who_may_add = patch.who_may_add.unwrap_or(row.who_may_add);
        row.last_seen = patch.last_seen.unwrap_or(row.last_seen);
        row.no_receipts = patch.read_receipts.map_or(row.no_receipts, |shared| !shared);
        if row != before {
            let _writing = self.core().writing(caller).await?;
            row.version = self.core().log.mint_above(row.version).await?;
            let mut batch = Batch::default();
            batch.put_versioned(tables::by_id(keys::PREFERENCES, caller), to_json(&row)?, row.version.0);
            self.core().store.write(batch).await?;
        }
        Ok(self.shown_preferences(row))
    }

    /// Answer of `person` to `caller`, who wants a conversation of a kind with them.
    pub(super) async fn welcome(&self, person: Id, caller: Id, kind: ConversationKind) -> Result<Welcome> {
        let chosen = self.preferences(person).await?;
        let who = if kind == ConversationKind::Direct { chosen.who_may_message } else { chosen.who_may_add };
        let follows = async || -> Result<bool> {
            Ok(self.core().store.get(&tables::pair(tables::FOLLOWS, person, caller)).await?.is_some())
        };
        Ok(match who {
            WhoMay::Everybody => Welcome::In,
            WhoMay::Requests | WhoMay::Followed if follows().await? => Welcome::In,
            WhoMay::Requests => Welcome::Asked,
            WhoMay::Followed | WhoMay::Nobody => Welcome::Out,
        })
    }

    /// Welcome that a new direct conversation has; none where the two have one, which goes on as it is.
    ///
    /// # Errors
    /// 403 where the other takes none from the caller.
    pub(super) async fn comes(&self, caller: Id, peer: Id) -> Result<Option<Welcome>> {
        let member = keys::member(keys::direct_id(caller, peer), caller);
        if self.core().store.get_as(&member, MemberRow::from_bytes).await?.is_some() {
            return Ok(None);
        }
        match self.welcome(peer, caller, ConversationKind::Direct).await? {
            welcome @ (Welcome::In | Welcome::Asked) => Ok(Some(welcome)),
            Welcome::Out => Err(Error::refused(Code::Forbidden, "this person takes no messages from you")),
        }
    }

    /// People among `people` who share with nobody what they have read.
    pub(super) async fn silent(&self, people: &[Id]) -> Result<HashSet<Id>> {
        let wanted: Vec<_> = people.iter().map(|person| tables::by_id(keys::PREFERENCES, *person)).collect();
        let rows = self.core().store.get_many(&wanted).await?;
        let mut silent = HashSet::new();
        for (person, row) in people.iter().zip(rows) {
            if row.as_deref().map(from_json::<PreferencesRow>).transpose()?.is_some_and(|row| row.no_receipts) {
                silent.insert(*person);
            }
        }
        Ok(silent)
    }
}
