//! Accounts: their rows, and the caches in front of them.

use std::sync::Arc;

use fanfare_protocol::{Author, Id};

use super::Store;
use super::credentials::Credentials;
use crate::base::error::Result;
use crate::base::handle::Handle;
use crate::base::limits;
use crate::base::text::is_blank;
use crate::data::coherent::Coherent;
use crate::data::rows::{UserRow, from_json};
use crate::data::tables;

/// A person, with what posts and notifications show of them.
#[derive(Debug)]
pub struct Account {
    /// The profile.
    pub row: UserRow,
    /// Public short form.
    pub author: Author,
    /// Public short form as JSON.
    pub author_json: Box<str>,
}

impl Account {
    fn new(row: UserRow) -> Self {
        // Names of earlier versions may show nothing.
        let name = row.display_name.as_ref().filter(|name| !is_blank(name));
        let display_name = name.unwrap_or(&row.handle).clone();
        let avatar_url = row.avatar.as_ref().map(|media| media.thumbnail_url.as_ref().unwrap_or(&media.url).clone());
        let author = Author { id: row.id, handle: row.handle.clone(), display_name, avatar_url };
        let author_json = serde_json::to_string(&author).unwrap_or_default().into();
        Self { row, author, author_json }
    }
}

/// Caches of accounts.
pub(super) struct People {
    accounts: Coherent<Id, Arc<Account>>,
    pub(super) credentials: Credentials,
}

impl Default for People {
    fn default() -> Self {
        Self { accounts: Coherent::new(limits::USER_CACHE_MAX), credentials: Credentials::default() }
    }
}

impl Store {
    /// A person; `None` when there never was such an account. Deleted ones are marked so.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn account_or_gone(&self, id: Id) -> Result<Option<Arc<Account>>> {
        if let Some(account) = self.people.accounts.get(&id) {
            return Ok(Some(account));
        }
        let epoch = self.people.accounts.epoch(&id);
        let Some(bytes) = self.get(&tables::by_id(tables::USERS, id)).await? else { return Ok(None) };
        let account = Arc::new(Account::new(from_json(&bytes)?));
        self.people.accounts.keep(epoch, &id, Arc::clone(&account));
        Ok(Some(account))
    }

    /// A person whose account exists.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn account(&self, id: Id) -> Result<Option<Arc<Account>>> {
        Ok(self.account_or_gone(id).await?.filter(|account| !account.row.deleted))
    }

    /// The person with this handle, whatever its case.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn by_handle(&self, handle: &str) -> Result<Option<Arc<Account>>> {
        // Nothing else is a handle, whatever Unicode makes of its case.
        let Ok(handle) = Handle::parse(handle) else { return Ok(None) };
        match self.get_id(&tables::handle_row(handle.as_str())).await? {
            // An account that was made with another handle may still hold this one.
            Some(id) => {
                let has = |account: &Arc<Account>| account.row.handle.eq_ignore_ascii_case(handle.as_str());
                Ok(self.account(id).await?.filter(has))
            }
            None => Ok(None),
        }
    }

    /// Takes in the stored profile of a person.
    pub fn account_changed(&self, user: &UserRow) {
        self.people.accounts.put(user.id, Arc::new(Account::new(user.clone())));
    }

    /// Takes in that an account was deleted: from now on nobody sees the person.
    pub fn account_deleted(&self, user: Id) {
        self.people.accounts.forget(&user);
        self.people.credentials.forget(user);
        // Last: who clears up after them begins at once, and must find what the rows say.
        self.absent.departed(user);
    }
}
