//! Credentials of people: one row each, which is held under a number and changed by compare-and-set.
//!
//! So whoever has read a row that was changed meanwhile changes nothing, and reads again: a server that slept, a write
//! that arrives late, a clock that was ahead bring no old password back. Rows of earlier versions are in a table of
//! their own; until all were moved, both are read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use fanfare_engines::{Batch, EngineError, Replaced, RowKey, Unique};
use fanfare_protocol::Id;

use super::Store;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::base::token;
use crate::data::coherent::Coherent;
use crate::data::rows::{CredentialsRow, from_json, to_json};
use crate::data::tables;

/// Cache of credentials, and what is known of where they are.
pub(super) struct Credentials {
    cache: Coherent<Id, Arc<CredentialsRow>>,
    /// Rows of earlier versions were all moved.
    moved: AtomicBool,
    /// Way to other nodes that remember some.
    others: OnceLock<Box<dyn Fn(Id) + Send + Sync>>,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { cache: Coherent::new(limits::USER_CACHE_MAX), moved: AtomicBool::new(false), others: OnceLock::new() }
    }
}

impl Credentials {
    /// The stored row changed.
    pub(super) fn forget(&self, id: Id) {
        self.cache.forget(&id);
    }

    /// Tells other nodes, where there are some, that the row changed, or may have.
    fn tell(&self, id: Id) {
        if let Some(tell) = self.others.get() {
            tell(id);
        }
    }

    /// Takes in what a change was answered. Only a later change that was done ends the doubt about an earlier one:
    /// whatever may still come compares with a number that is gone.
    fn heard<T>(&self, id: Id, answer: Result<T, EngineError>, done: impl Fn(&T) -> bool) -> Result<T, EngineError> {
        match &answer {
            Err(EngineError::Unknown(_)) => self.cache.doubt(&id),
            Ok(answer) if done(answer) => self.cache.sure(&id),
            _ => self.cache.forget(&id),
        }
        self.tell(id);
        answer
    }
}

fn row_of(id: Id) -> RowKey {
    tables::by_id(tables::CREDENTIALS, id)
}

fn old_row_of(id: Id) -> RowKey {
    tables::by_id(tables::OLD_CREDENTIALS, id)
}

impl Store {
    /// Takes in that another node changed credentials: of that person, or it is not known whose.
    pub fn credentials_changed_elsewhere(&self, id: Option<Id>) {
        match id {
            Some(id) => self.people.credentials.forget(id),
            None => self.people.credentials.cache.forget_all(),
        }
    }

    /// From now on `tell` is told of credentials that may have changed: other nodes remember some. Must not wait.
    pub fn tell_of_credentials(&self, tell: impl Fn(Id) + Send + Sync + 'static) {
        // Once; a server is one node.
        let _ = self.people.credentials.others.set(Box::new(tell));
    }

    /// Credentials of a person; the default for people who came without a password.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn credentials(&self, id: Id) -> Result<Arc<CredentialsRow>> {
        let known = &self.people.credentials;
        if let Some(row) = known.cache.get(&id) {
            return Ok(row);
        }
        let epoch = known.cache.epoch(&id);
        let row = Arc::new(self.stored_credentials(id).await?);
        known.cache.keep(epoch, &id, Arc::clone(&row));
        Ok(row)
    }

    async fn stored_credentials(&self, id: Id) -> Result<CredentialsRow> {
        // First: whoever moves a row writes the new one before the old one goes.
        let old = match self.people.credentials.moved.load(Ordering::Acquire) {
            true => None,
            false => self.get(&old_row_of(id)).await?,
        };
        let row = self.get(&row_of(id)).await?.or(old);
        Ok(row.map(|bytes| from_json(&bytes)).transpose()?.unwrap_or_default())
    }

    /// Writes the first credentials of an account that is being made.
    ///
    /// # Errors
    /// When the engine fails, or there are some already.
    pub async fn make_credentials(&self, id: Id, row: CredentialsRow) -> Result<()> {
        match self.insert_credentials(id, row).await? {
            true => Ok(()),
            false => Err(Error::Internal(format!("{id} has credentials already"))),
        }
    }

    /// Changes credentials: `change` is called again, on the row that is there then, when others changed it meanwhile.
    /// What it leaves in the row is stored when this answers.
    ///
    /// # Errors
    /// When the engine fails; the change may then come later, unless others come before it. 503 when others change the
    /// row all the time, 404 when it was released: the account was deleted.
    pub async fn change_credentials(&self, id: Id, mut change: impl FnMut(&mut CredentialsRow)) -> Result<()> {
        for _ in 0..limits::CREDENTIALS_TRIES_MAX {
            let mut row = self.stored_credentials(id).await?;
            let held = row.held_by;
            change(&mut row);
            if held == Id(0) {
                if self.insert_credentials(id, row).await? {
                    return Ok(());
                }
                continue;
            }
            row.held_by = Id(token::attempt()?);
            let replaced = self.replace_unique(row_of(id), to_json(&row)?, held.0, row.held_by.0).await;
            match self.people.credentials.heard(id, replaced, |replaced| *replaced == Replaced::Mine)? {
                Replaced::Mine => return Ok(()),
                Replaced::Taken(_) => {}
                Replaced::Free => return Err(Error::not_found("user")),
            }
        }
        Err(Error::Overloaded { reason: "the credentials are being changed by others", retry_after_s: 1 })
    }

    /// Writes a row where there is none; false when there is one.
    async fn insert_credentials(&self, id: Id, mut row: CredentialsRow) -> Result<bool> {
        row.held_by = Id(token::attempt()?);
        let inserted = self.insert_unique(row_of(id), to_json(&row)?, row.held_by.0).await;
        let inserted = self.people.credentials.heard(id, inserted, |inserted| *inserted == Unique::Mine)?;
        Ok(inserted == Unique::Mine)
    }

    /// Removes credentials of an account that is no more, or was never made. They let nobody in already.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn release_credentials(&self, id: Id) -> Result<()> {
        self.remove_old_credentials(id).await?;
        let held = self.get(&row_of(id)).await?;
        if let Some(held) = held.map(|bytes| from_json::<CredentialsRow>(&bytes)).transpose()? {
            self.release_unique(&row_of(id), held.held_by.0).await?;
        }
        self.people.credentials.forget(id);
        self.people.credentials.tell(id);
        Ok(())
    }

    /// Moves the row that an earlier version wrote. It can be cut off anywhere, and be done twice and by two at once.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn move_credentials(&self, id: Id) -> Result<()> {
        let Some(old) = self.get(&old_row_of(id)).await? else { return Ok(()) };
        // If there is one it was made from the old one, and changed.
        self.insert_credentials(id, from_json(&old)?).await?;
        self.remove_old_credentials(id).await
    }

    async fn remove_old_credentials(&self, id: Id) -> Result<()> {
        if self.get(&old_row_of(id)).await?.is_some() {
            let mut batch = Batch::default();
            batch.delete_versioned(old_row_of(id), tables::NEVER_AGAIN);
            self.write(batch).await?;
        }
        Ok(())
    }

    /// Says that rows of earlier versions were all moved: nobody looks for them any more.
    pub fn credentials_were_moved(&self) {
        self.people.credentials.moved.store(true, Ordering::Release);
    }
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
