//! Standby: what an owner does while its partition is another node's. It hears what is settled there, tells its own
//! views of it, and takes the partition when the roster says so.
//!
//! It is an owner that is fenced, for as long as it takes: it holds nothing in memory, and nothing is decided here. On
//! a node that is alone nobody stands by.

use std::sync::Arc;

use fanfare_engines::claim::Claim;
use fanfare_engines::{EngineError, Engines, Partition};
use fanfare_protocol::Id;
use tokio::sync::watch;

use super::folder::Folder;
use super::head::Head;
use super::hearing::{Hearing, ROSTER_PAUSE, SettledEnd};
use super::owner::{Appender, Around, Owner, Work};
use super::owners::CurrentTerm;
use super::patience::Patience;
use super::regain::Fence;
use super::roster::Assigned;
use crate::base::error::{Error, Result};
use crate::log::family::{CommittedOf, Family};

/// Ears of an owner.
pub(super) struct Ears {
    hearing: Hearing,
    ends: watch::Receiver<Option<SettledEnd>>,
    /// A record could not be read: it hears nothing more.
    is_deaf: bool,
    /// Pauses since the log was looked at.
    pauses: u32,
}

/// Pauses of an owner that has nothing to do, until it looks whether the log is still its own.
const LOOK_PAUSES: u32 = 20;

impl Ears {
    pub(super) fn of(hearing: Option<&Hearing>, partition: Partition) -> Option<Self> {
        let hearing = hearing?.clone();
        let ends = hearing.ends_of(partition)?;
        Some(Self { hearing, ends, is_deaf: false, pauses: 0 })
    }
}

impl<F: Family> Owner<F> {
    /// Stands by for `partition`, from the head on: rows of everything below are written. Answers the highest id there.
    pub(super) async fn stand_by(
        engines: &Engines,
        (partition, family): (Partition, F),
        around: &Around,
        patience: Patience,
    ) -> Result<(Self, Id)> {
        around.time.stands_by();
        let read = || Head::read_from(&*engines.tables, F::OWN_TABLE, partition);
        let head = patience.until_done(read).await?;
        family.begin(head.taken());
        let next = head.position();
        let claim = Claim::none(Arc::clone(&engines.journal), partition, around.claimant.clone(), next);
        let appender = Appender::of(claim, &engines.journal, (partition, F::OWN_TABLE), around, patience);
        let last = Id(next.last_id);
        family.opened(last);
        let folder = Folder {
            family,
            partition,
            term: CurrentTerm::new(appender.term()),
            follower: around.follower.clone(),
            #[cfg(test)]
            broken: None,
        };
        let ears = Ears::of(around.hearing.as_ref(), partition);
        let (roster, fence) = (Arc::clone(&around.roster), Fence::raised());
        Ok((Self { appender, folder, commits: 0, next, roster, fence, ears, spare: Vec::new() }, last))
    }

    /// Waits for proposals, and hears meanwhile what others settle; false when nobody has a way in any more.
    pub(super) async fn wait(&mut self, work: &mut Work<F>) -> bool {
        loop {
            if self.ears.is_none() {
                return work.queue.wait().await;
            }
            self.follow(work).await;
            let Some(ears) = &mut self.ears else { continue };
            // What others settled was heard just now, so proposals that come all the time keep nobody from hearing.
            tokio::select! {
                biased;
                is_open = work.queue.wait() => return is_open,
                changed = ears.ends.changed(), if !ears.is_deaf => ears.is_deaf |= changed.is_err(),
                () = tokio::time::sleep(ROSTER_PAUSE) => ears.pauses += 1,
            }
        }
    }

    /// Says where an own partition is settled.
    pub(super) fn say(&self) {
        if let Some(ears) = &self.ears {
            ears.hearing.say(self.folder.partition, self.next);
        }
    }

    /// Does what roster and other nodes say: takes the partition, lets go of it, or hears what is settled in it.
    async fn follow(&mut self, work: &mut Work<F>) {
        if self.ending().is_said() {
            return;
        }
        let Some(ears) = &mut self.ears else { return };
        let heard = *ears.ends.borrow_and_update();
        #[cfg(test)]
        let heard = ears.hearing.believed(heard);
        let is_here = matches!(self.roster.owner_of(self.folder.partition), Assigned::Here);
        if !self.fence.is_up() {
            let is_another_s = heard.is_some_and(|end| end.term > self.appender.term().0);
            if is_here && !is_another_s && !self.is_claimed().await {
                return;
            }
            let Some(ears) = &self.ears else { return };
            ears.hearing.be_silent(self.folder.partition);
            tracing::info!(partition = self.folder.partition.0, is_here, "the log is another node's");
            self.fence.raise();
            self.folder.family.forget();
        }
        if is_here {
            if let Err(error) = self.regain(&work.mint).await {
                tracing::debug!(partition = self.folder.partition.0, %error, "the partition is not taken over yet");
                self.appender.patience.done();
            }
        } else if let Some(end) = heard
            && !self.ears.as_ref().is_some_and(|ears| ears.is_deaf)
            && let Err(error) = self.hear_upto(end).await
        {
            self.not_heard(&error);
        }
    }

    /// Whether another node has claimed the partition, which is looked at now and then: the sign of that may be lost,
    /// and whoever gave it may be gone, or own nothing any more. What it wrote would be seen with the next write here.
    async fn is_claimed(&mut self) -> bool {
        let Some(ears) = self.ears.as_mut().filter(|ears| ears.pauses >= LOOK_PAUSES) else { return false };
        ears.pauses = 0;
        let found = self.appender.read_few(self.next, 1).await;
        self.appender.patience.done();
        found.is_ok_and(|found| found.next.term.is_some_and(|term| term > self.appender.term()))
    }

    /// Tells of what could not be read: it is read at the next sign, or never where nobody can read it.
    fn not_heard(&mut self, error: &Error) {
        let partition = self.folder.partition.0;
        if matches!(error, Error::Engine(EngineError::Unavailable(_) | EngineError::Unknown(_))) {
            tracing::debug!(partition, %error, "what another node settled is read again");
            return;
        }
        tracing::error!(partition, %error, "what another node settled cannot be read, and is told no further");
        if let Some(ears) = &mut self.ears {
            ears.is_deaf = true;
        }
    }

    /// Reads what is settled, and tells the views of it.
    async fn hear_upto(&mut self, end: SettledEnd) -> Result<()> {
        let partition = self.folder.partition;
        while self.next.offset.0 < end.offset {
            let mut found = self.appender.read(self.next).await?;
            let settled = found.records.partition_point(|one| one.offset.0 < end.offset);
            if settled < found.records.len() {
                if settled == 0 {
                    break;
                }
                // The position behind the last of them is the journal's to say.
                found = self.appender.read_few(self.next, settled).await?;
            }
            let is_end = found.records.is_empty();
            let mut committed = Vec::with_capacity(found.records.len());
            for one in &found.records {
                if one.id.is_some() {
                    self.appender.time().stored(one.appended_ms);
                }
                let (record, outcome) = self.folder.family.read(partition, one)?;
                committed.push(CommittedOf { record: Arc::new(record), outcome });
            }
            self.folder.family.complete(&mut committed).await?;
            self.folder.follower.hear(&self.folder.family, partition, &committed);
            // After views: whoever waits for what follows from a record waits until they know of it.
            self.folder.family.learn(&committed);
            self.next = found.next;
            if is_end {
                break;
            }
        }
        if self.next.term.is_some_and(|term| term > self.appender.term()) {
            // Nothing more of the own term can come.
            for first in self.fence.take_groups() {
                self.folder.through(Some(first));
            }
        }
        Ok(())
    }
}
