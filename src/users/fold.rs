//! Rows of accounts, made of records: profiles, names of the people search, and what a deletion leaves. Pure.

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::Id;

use super::names::search_keys;
use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::data::rows::{UserRow, to_json};
use crate::data::tables;
use crate::log::events::{Event, Record};
use crate::log::fold::Fold;
use crate::log::outcome::Outcome;

/// Accounts.
pub struct AccountFold;

impl Fold for AccountFold {
    fn rows(&self, record: &Record, _outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        let version = record.id.0;
        match &record.event {
            Event::UserCreated { user } => profile(user, version, batch),
            Event::ProfileChanged { user, old_display_name } => {
                // Below what is written next: a name that stays is both removed and written.
                names(user, old_display_name.as_deref(), version - 1, batch, false);
                profile(user, version, batch)
            }
            Event::UserDeleted { user } => deleted(user, record.id, batch),
            Event::IdBurnt { user } => {
                let row = to_json(&UserRow::burnt(*user))?;
                batch.put_versioned(tables::by_id(tables::USERS, *user), row, version);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn profile(user: &UserRow, version: u64, batch: &mut Batch) -> Result<()> {
    batch.put_versioned(tables::by_id(tables::USERS, user.id), to_json(user)?, version);
    names(user, user.display_name.as_deref(), version, batch, true);
    Ok(())
}

/// The row that says there was such an account, and what tells the janitor to clear up after it.
fn deleted(user: &UserRow, id: Id, batch: &mut Batch) -> Result<()> {
    let version = id.0;
    names(user, user.display_name.as_deref(), version, batch, false);
    let gone = UserRow { id: user.id, deleted: true, deleted_by: Some(id), ..UserRow::default() };
    batch.put_versioned(tables::by_id(tables::USERS, user.id), to_json(&gone)?, version);
    // The handle stays taken for a while; the janitor knows how long.
    batch.put(tables::expiry_row(hour_of(id) + 1, &tables::handle_row(&user.handle)), Bytes::new());
    // Of earlier versions. Those of today are dead since the row above says so, and the purge releases them.
    batch.delete_versioned(tables::by_id(tables::OLD_CREDENTIALS, user.id), version);
    batch.delete_versioned(tables::suspension_row(user.id), version);
    let purge = RowKey::new(tables::PURGES, tables::ONE, tables::partition(user.id));
    batch.put_versioned(purge, Bytes::new(), version);
    Ok(())
}

/// Writes (or removes) the names by which a person is found.
fn names(user: &UserRow, display_name: Option<&str>, version: u64, batch: &mut Batch, present: bool) {
    for name in search_keys(&user.handle, display_name) {
        let key = tables::name_row(&name, user.id);
        if present {
            batch.put_versioned(key, Bytes::new(), version);
        } else {
            batch.delete_versioned(key, version);
        }
    }
}
