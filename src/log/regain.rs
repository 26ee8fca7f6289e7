//! Regaining of a partition: what an owner does once another one claimed it and wrote.
//!
//! Nothing that it holds in memory is true any more. It claims again, reads what was appended since the last place it
//! knew, writes those rows again, tells its views of those records, and goes on above their ids. Only then decisions
//! are taken again; what was decided before is refused. Whose append was fenced hears what the log says of it.

use std::sync::Arc;

use fanfare_engines::{Batch, EngineError, JournalRecord, NewRecord};
use fanfare_protocol::Id;

use super::owner::{Numbered, Owner, refuse};
use super::owners::Proposed;
use super::patience::Tries;
use super::roster::Assigned;
use crate::base::error::{Error, Result};
use crate::data::storage::Storage;
use crate::log::family::{CommittedIn, CommittedOf, Family, Past};
use crate::log::mint::Mint;

/// Memory of a fence: what was on its way when another owner claimed the partition.
pub(super) struct Fence<F: Family> {
    is_up: bool,
    /// Records of the last call that failed; of some it may be unknown whether they stand.
    undecided: Vec<NewRecord>,
    /// Undecided records that were found to stand.
    standing: Vec<CommittedIn<F>>,
    /// Fences that no commits came between.
    times: Tries,
    /// Groups that have ids and are not known to be through, by their first ids.
    groups: Vec<Id>,
}

impl<F: Family> Default for Fence<F> {
    fn default() -> Self {
        let (undecided, standing, times, groups) = Default::default();
        Self { is_up: false, undecided, standing, times, groups }
    }
}

impl<F: Family> Fence<F> {
    /// Whether the partition is another's, as far as is known.
    pub(super) const fn is_up(&self) -> bool {
        self.is_up
    }

    /// Fence of who never had the partition, or gave it up.
    pub(super) fn raised() -> Self {
        Self { is_up: true, ..Self::default() }
    }

    /// The partition is another's from now on.
    pub(super) const fn raise(&mut self) {
        self.is_up = true;
    }

    /// Groups that have ids and are not known to be through, which are known now.
    pub(super) fn take_groups(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.groups)
    }

    /// Whether any of `records` stands is for the log to say.
    pub(super) fn undecided(&mut self, records: Vec<NewRecord>) {
        (self.undecided, self.standing) = (records, Vec::new());
    }

    /// Something was committed.
    pub(super) fn ease(&mut self) {
        self.times.ease();
    }

    /// Learns that `found` stands; other owners mint ids of their own, which may be the same.
    fn found(&mut self, found: &JournalRecord, record: &CommittedIn<F>) {
        let is_it = |ours: &NewRecord| found.id == Some(ours.id) && found.payload == ours.payload;
        if self.undecided.iter().any(is_it) {
            self.standing.push(record.clone());
        }
    }

    fn answer_of(&self, id: Id) -> Result<F::Answer> {
        let standing = self.standing.iter().find(|one| F::id(&one.record) == id).cloned().map(F::answer);
        let cause = || EngineError::Unavailable("another owner wrote to the log meanwhile".to_owned()).into();
        standing.ok_or_else(cause)
    }
}

impl<F: Family> Owner<F> {
    /// Drops what is in memory, for another owner has written, takes the partition again where the roster says so, and
    /// answers the group whose append was fenced.
    pub(super) async fn fenced(&mut self, answers: Vec<Numbered<F>>, mint: &Mint, storage: &Storage) {
        tracing::warn!(partition = self.folder.partition.0, "another owner wrote to the log");
        self.fence.is_up = true;
        self.fence.groups.extend(answers.first().map(|(first, _)| *first));
        self.folder.family.forget();
        match self.regain(mint, storage).await {
            Ok(()) => {
                for (id, answer) in answers {
                    let _ = answer.send(self.fence.answer_of(id)); // a caller that went away needs no answer
                }
            }
            Err(error) if self.appender.is_import() => refuse(&error, answers, storage),
            Err(_) => refuse(&EngineError::Unknown("another owner has the log".to_owned()).into(), answers, storage),
        }
    }

    /// Takes the partition again, if it is lost and the roster gives it back; else refuses what waits.
    pub(super) async fn stand_again(&mut self, waiting: &mut Vec<Proposed<F>>, mint: &Mint, storage: &Storage) {
        if !self.fence.is_up || storage.has_failed() {
            return;
        }
        if let Err(error) = self.regain(mint, storage).await {
            self.appender.patience.done(); // the next who comes has it tried again
            for Proposed { answer, .. } in waiting.drain(..) {
                let _ = answer.send(Err(match &error {
                    Error::Elsewhere(node) => Error::Elsewhere(Arc::clone(node)),
                    error => EngineError::Unavailable(format!("the log is another's: {error}")).into(),
                }));
            }
        }
    }

    /// Regains the partition, while others may claim it too, or storage may be away.
    pub(super) async fn regain(&mut self, mint: &Mint, storage: &Storage) -> Result<()> {
        let mut tries = Tries::default();
        if self.appender.is_import() {
            // Whoever came after it serves people.
            let what = "another owner claimed the log during the import: stop that server, and start the import again";
            let error = EngineError::Closed(what.to_owned());
            storage.fail(&error);
            return Err(error.into());
        }
        loop {
            if let Assigned::There(node) = self.roster.owner_of(self.folder.partition) {
                return Err(Error::Elsewhere(node));
            }
            if !self.appender.patience.back_off(&mut self.fence.times).await {
                return Err(EngineError::Unavailable("the server is stopping".to_owned()).into());
            }
            let error = match self.catch_up(mint).await {
                Ok(()) => {
                    self.appender.patience.done();
                    tracing::info!(
                        partition = self.folder.partition.0,
                        term = self.folder.term.get(),
                        "the log is this node's again"
                    );
                    return Ok(());
                }
                Err(Error::Engine(EngineError::Fenced)) => continue,
                // A claim needs little room, and there may be some again.
                Err(Error::Engine(EngineError::Full(cause))) => EngineError::Unavailable(cause),
                Err(Error::Engine(error)) => error,
                Err(error) => {
                    storage.fail(&error);
                    return Err(error);
                }
            };
            if self.appender.patience.again(&mut tries, &error).await {
                continue;
            }
            if !matches!(error, EngineError::Unavailable(_) | EngineError::Unknown(_)) {
                storage.fail(&error);
            }
            return Err(error.into());
        }
    }

    /// Claims the partition, and hears and writes again what was appended up to the claim. After an error it goes on
    /// where it was.
    async fn catch_up(&mut self, mint: &Mint) -> Result<()> {
        self.appender.claim_again().await?;
        let (partition, Past { forgotten, swept }) = (self.folder.partition, self.folder.family.past().await?);
        let end = self.appender.position();
        while self.next.offset < end.offset {
            let found = self.appender.read(self.next).await?;
            // What lies behind the claim is of somebody who claimed since, and is read under the next.
            let upto = found.records.partition_point(|one| one.offset < end.offset);
            let records = &found.records[..upto];
            if records.is_empty() {
                break;
            }
            let mut batch = Batch::default();
            let mut committed = Vec::with_capacity(records.len());
            for one in records {
                let (record, outcome) = self.folder.family.read(partition, one)?;
                // As in a takeover: what storage may have forgotten since is not brought back.
                if F::id(&record) > forgotten {
                    self.folder.family.rows(&record, &outcome, &mut batch)?;
                }
                committed.push(CommittedOf { record: Arc::new(record), outcome });
            }
            if let Some(swept) = swept {
                swept.expire_again(&mut batch);
            }
            if !batch.rows.is_empty() {
                self.appender.append(&[], &batch).await?;
            }
            self.folder.family.complete(&mut committed).await?;
            self.folder.follower.hear(&self.folder.family, partition, &committed);
            self.folder.family.learn(&committed);
            records.iter().zip(&committed).for_each(|(one, record)| self.fence.found(one, record));
            self.next = found.next;
        }
        mint.go_on_above(Id(end.last_id).max(Id(self.next.last_id))).await?;
        self.next = self.appender.position();
        // Everything is known of what was on its way: it is settled, or never will be.
        for first in self.fence.take_groups() {
            self.folder.through(Some(first));
        }
        self.fence.is_up = false;
        self.folder.term.set(self.appender.term());
        self.say();
        Ok(())
    }
}

#[cfg(test)]
#[path = "regain_tests.rs"]
mod tests;
