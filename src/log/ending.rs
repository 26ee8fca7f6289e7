//! End of a partition on a node: something stored that its owner needs is not what was written, so it takes nothing
//! until a restart. Its rows are read as before, and other partitions and families go on.
//!
//! Of people there is one partition in most folders. All else that is decided leans on accounts and blocks, so with it
//! ends storage as a whole.

use std::fmt::Display;
use std::sync::{Arc, OnceLock};

use fanfare_engines::{EngineError, Partition};

use crate::base::error::{Error, Result};
use crate::data::storage::Storage;

/// End of one partition: its owner says it, and whoever hands in sees it. Clones share it.
#[derive(Clone)]
pub(super) struct Ending(Arc<Inner>);

struct Inner {
    storage: Storage,
    family: &'static str,
    partition: Partition,
    /// Nothing else is there that could go on.
    is_of_all: bool,
    cause: OnceLock<Arc<str>>,
}

impl Ending {
    /// Of a partition of `family`, which goes on.
    pub(super) fn new(storage: Storage, family: &'static str, partition: Partition, is_of_all: bool) -> Self {
        Self(Arc::new(Inner { storage, family, partition, is_of_all, cause: OnceLock::new() }))
    }

    /// Storage, of which the partition is a part.
    pub(super) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// The partition ends. Said once, whoever notices and however many do.
    pub(super) fn say(&self, cause: &dyn Display) {
        let Inner { storage, family, partition, is_of_all, cause: said } = &*self.0;
        if *is_of_all {
            storage.fail(cause);
        } else if said.set(cause.to_string().into()).is_ok() {
            tracing::error!(family, partition = partition.0, %cause, "a partition takes nothing more");
            storage.lacks_part();
        }
    }

    /// Whether it takes nothing more, by itself or because storage failed.
    pub(super) fn is_said(&self) -> bool {
        self.0.cause.get().is_some() || self.0.storage.has_failed()
    }

    /// Answer to whoever hands in, where it takes nothing more: nothing was done.
    pub(super) fn refusal(&self) -> Option<Error> {
        if let Some(cause) = self.0.cause.get() {
            return Some(Error::Damaged(Arc::clone(cause)));
        }
        let failed = || EngineError::Closed("storage failed before; restart the server".to_owned());
        self.0.storage.has_failed().then(|| failed().into())
    }
}

/// Outcome `done`; nothing where it was for a partition that takes nothing more, which `is_left_out` notes. Whoever
/// tells others what follows goes on with them, and begins after a restart where the first was left out: who has taken
/// something knows it.
pub(super) fn unless_ended<T>(done: Result<T>, is_left_out: &mut bool) -> Result<Option<T>> {
    match done {
        Err(Error::Damaged(_)) => {
            *is_left_out = true;
            Ok(None)
        }
        done => done.map(Some),
    }
}
