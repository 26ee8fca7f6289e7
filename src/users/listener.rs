//! Listener of the accounts: the caches of profiles and credentials, and who is absent, follow the commits.

use std::sync::Arc;

use crate::data::rows::UserRow;
use crate::data::store::Store;
use crate::log::events::{Event, Record};
use crate::log::product::{Committed, Listener};

/// Keeps what memory knows of accounts true.
pub struct AccountListener(pub Arc<Store>);

impl Listener for AccountListener {
    fn committed(&self, committed: &[Committed]) {
        committed.iter().for_each(|one| self.heard(&one.record));
    }
}

impl AccountListener {
    fn heard(&self, record: &Record) {
        match &record.event {
            Event::UserCreated { user } | Event::ProfileChanged { user, .. } => self.0.account_changed(user),
            Event::UserDeleted { user } => self.0.account_deleted(user.id),
            Event::IdBurnt { user } => self.0.account_changed(&UserRow::burnt(*user)),
            Event::Suspended { user, until_ms, .. } => self.0.absent.suspend(*user, *until_ms),
            Event::Unsuspended { user } => self.0.absent.unsuspend(*user),
            _ => {}
        }
    }
}
