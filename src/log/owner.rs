//! Owner of a partition: the one place where its records get their ids and become durable.
//!
//! Services propose events; one thread takes what has gathered, mints ids in that order, lets products prepare and fold
//! the records (`folder.rs`), and commits records and rows together. Then the follower tells the views, in the same
//! order, and only then the callers are answered: id order is commit order is the order every view sees, and what was
//! acknowledged is durable and visible.
//!
//! One group is on its way to the log at a time. Meanwhile the next is folded on what the first leaves, and handed in
//! when the first is durable; if it is not, what was folded is thrown away, and folded anew on what is.

use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use fanfare_engines::claim::Claim;
use fanfare_engines::{
    Batch, Claimant, EngineError, Engines, Journal, NewRecord, Page, Partition, Position, RowWrite, Table, Term,
};
use fanfare_protocol::Id;

use super::ending::Ending;
use super::folder::group::Group;
use super::folder::queue::Queue;
use super::folder::{Ahead, Folder};
use super::follower::Follower;
use super::head::Head;
use super::hearing::Hearing;
use super::owners::{Answer, CurrentTerm};
use super::pace::{self, LogTime};
use super::patience::{Alarm, Patience, Tries};
use super::regain::Fence;
use super::roster::Roster;
use super::standby::Ears;
use super::takeover;
use crate::base::error::{Error, Result};
use crate::base::{limits, threads};
use crate::log::family::Family;
use crate::log::mint::Mint;

/// Name of the journal's consumer that writes rows.
pub const CONSUMER: &str = "projector";

/// Threads of a family's owners; they end when every handle of it is dropped and all that was handed in is committed.
pub struct OwnerThreads(Vec<JoinHandle<()>>);

impl OwnerThreads {
    pub(super) const fn new(threads: Vec<JoinHandle<()>>) -> Self {
        Self(threads)
    }

    /// Waits for the end of the threads.
    pub fn join(self) {
        for thread in self.0 {
            if thread.join().is_err() {
                tracing::error!("an owner's thread panicked");
            }
        }
    }
}

/// Claims a partition, and hears the log's time.
async fn take(journal: &Arc<dyn Journal>, partition: Partition, claimant: &Claimant, time: &LogTime) -> Result<Claim> {
    let asked = time.asking();
    let mut claim = Claim::take(Arc::clone(journal), partition, claimant.clone()).await?;
    time.hear(asked, claim.heard_ms());
    time.claimed();
    Ok(claim)
}

/// Writer of records and rows to the journal, under the owner's claim.
pub(super) struct Appender {
    journal: Arc<dyn Journal>,
    partition: Partition,
    /// Table of the head.
    table: Table,
    claimant: Claimant,
    claim: Claim,
    pub(super) patience: Patience,
    time: LogTime,
}

impl Appender {
    /// Claims the partition for `claimant`; its head is in `table`. Storage that is away is waited for.
    async fn claim(
        journal: &Arc<dyn Journal>,
        (partition, table): (Partition, Table),
        around: &Around,
        patience: Patience,
    ) -> Result<Self> {
        let (claimant, time) = (&around.claimant, &around.time);
        let claim = patience.until_done(|| take(journal, partition, claimant, time)).await?;
        Ok(Self::of(claim, journal, (partition, table), around, patience))
    }

    /// With a `claim` of `partition`, whose head is in `table`.
    pub(super) fn of(
        claim: Claim,
        journal: &Arc<dyn Journal>,
        (partition, table): (Partition, Table),
        Around { claimant, time, .. }: &Around,
        patience: Patience,
    ) -> Self {
        let (journal, claimant, time) = (Arc::clone(journal), claimant.clone(), time.clone());
        Self { journal, partition, table, claimant, claim, patience, time }
    }

    /// The partition.
    pub(super) const fn partition(&self) -> Partition {
        self.partition
    }

    /// Claims it anew, after another owner wrote.
    pub(super) async fn claim_again(&mut self) -> Result<()> {
        self.claim = self.patience.awaited(take(&self.journal, self.partition, &self.claimant, &self.time)).await?;
        Ok(())
    }

    /// Whether it is claimed for an import, whose ids are of any time.
    pub(super) const fn is_import(&self) -> bool {
        self.claimant.is_import
    }

    /// Asks what a takeover needs, until storage answers.
    pub(super) async fn ask<T, F: Future<Output = Result<T>>>(&self, work: impl Fn() -> F) -> Result<T> {
        self.patience.until_done(work).await
    }

    /// Records that count from `from` on, as many as one commit may have.
    pub(super) async fn read(&self, from: Position) -> Result<Page> {
        self.read_few(from, limits::GROUP_RECORDS_MAX).await
    }

    /// Records that count from `from` on, at most so many.
    pub(super) async fn read_few(&self, from: Position, most: usize) -> Result<Page> {
        let read = self.journal.read(self.partition, from, most);
        Ok(self.patience.awaited(read).await?)
    }

    /// Time of the log.
    pub(super) const fn time(&self) -> &LogTime {
        &self.time
    }

    /// Term under which it was claimed.
    pub(super) const fn term(&self) -> Term {
        self.claim.term()
    }

    /// Position behind everything that is known to be decided.
    pub(super) const fn position(&self) -> Position {
        self.claim.position()
    }

    /// Commits records with their rows. Storage that is away is waited for. While the outcome is unknown it is tried
    /// again: the claim then reads which of the records stand, so that none stands twice.
    pub(super) async fn append(&mut self, records: &[NewRecord], batch: &Batch) -> Result<Appended> {
        let (mut tries, mut unknown): (_, Option<EngineError>) = (Tries::default(), None);
        loop {
            let asked = self.time.asking();
            let appended = self.patience.awaited(self.claim.append(records, batch)).await;
            self.time.hear(asked, self.claim.heard_ms());
            let error = match appended {
                Ok(next) => {
                    self.patience.done();
                    return Ok(Appended { next, doubted: unknown.is_some(), head: None });
                }
                // Whether an earlier try was done is to be found out, also when there is no room for more.
                Err(EngineError::Full(cause)) if unknown.is_some() => EngineError::Unavailable(cause),
                Err(error) => error,
            };
            if matches!(error, EngineError::Unknown(_)) {
                unknown = Some(error.clone());
            }
            if matches!(error, EngineError::Fenced) {
                return Err(error.into()); // the log tells what stands
            }
            if !self.patience.again(&mut tries, &error).await {
                // What an earlier try may have done, a later refusal does not take back.
                return Err(unknown.unwrap_or(error).into());
            }
        }
    }

    /// Remembers that everything below `head`, which is stored, has its rows.
    async fn checkpoint(&self, head: &Head) -> Result<()> {
        let checkpoint = self.journal.checkpoint(CONSUMER, self.partition, head.position());
        let done = self.patience.awaited(checkpoint).await;
        self.patience.done();
        Ok(done?)
    }

    /// Stores `head`: everything below it has its rows, and they are durable.
    pub(super) async fn settle(&mut self, head: Head) -> Result<()> {
        let mut batch = Batch::default();
        head.clone().write_to(self.table, self.partition, &mut batch)?;
        self.append(&[], &batch).await?;
        self.patience.until_done(|| self.checkpoint(&head)).await
    }
}

/// Place of records that were committed.
pub(super) struct Appended {
    /// Position behind them.
    next: Position,
    /// A try failed without saying whether it was done, and the log was asked.
    doubted: bool,
    /// Head that was written with them.
    head: Option<Head>,
}

/// Way back to who handed in the record of an id.
pub(super) type Numbered<F> = (Id, Answer<F>);

/// Answers a group that was not committed, of a partition that ends with it where that is for good.
pub(super) fn refuse<F: Family>(error: &Error, answers: Vec<Numbered<F>>, ending: &Ending) {
    let engine = match error {
        // Nothing was done, and nothing is wrong with the storage.
        Error::Engine(EngineError::Limit(cause)) => {
            for (_, answer) in answers {
                let _ = answer.send(Err(Error::Internal(format!("a commit is too large: {cause}"))));
            }
            return;
        }
        // Nothing was done, or nobody knows, and the server is stopping.
        Error::Engine(error @ (EngineError::Full(_) | EngineError::Unavailable(_) | EngineError::Unknown(_))) => {
            error.clone()
        }
        Error::Engine(error @ EngineError::Closed(_)) => {
            ending.storage().fail(error);
            error.clone()
        }
        // Something stored is not what it should be, found before anything was written.
        error => {
            ending.say(error);
            refuse_ended(answers, ending);
            return;
        }
    };
    for (_, answer) in answers {
        let _ = answer.send(Err(Error::Engine(engine.clone())));
    }
}

/// Answers a group of a partition that takes nothing more.
fn refuse_ended<F: Family>(answers: Vec<Numbered<F>>, ending: &Ending) {
    for (_, answer) in answers {
        let _ = answer
            .send(ending.refusal().map_or_else(|| Err(Error::Internal("an end without a cause".to_owned())), Err));
    }
}

/// Surroundings of the owners of a family.
pub(super) struct Around {
    /// Node, as the log names it.
    pub(super) claimant: Claimant,
    /// Time of the log.
    pub(super) time: LogTime,
    pub(super) follower: Follower,
    pub(super) roster: Arc<dyn Roster>,
    /// Way to hear what other nodes settle; none on a node that is alone.
    pub(super) hearing: Option<Hearing>,
}

/// Owner of a partition, on a thread of its own.
pub(super) struct Owner<F: Family> {
    pub(super) appender: Appender,
    pub(super) folder: Folder<F>,
    pub(super) commits: u64,
    /// Position behind the last commit, or behind what was heard of another owner.
    pub(super) next: Position,
    pub(super) roster: Arc<dyn Roster>,
    pub(super) fence: Fence<F>,
    pub(super) ears: Option<Ears>,
    /// Place of the rows of the last group, for the next but one.
    pub(super) spare: Vec<RowWrite>,
}

/// Work of an owner: proposals, and the rest that it needs for them.
pub(super) struct Work<F: Family> {
    pub(super) queue: Queue<F>,
    pub(super) mint: Mint,
}

impl<F: Family> Owner<F> {
    /// Takes `partition` over; answers the highest id in it too, and a record in it that cannot be read, if there is
    /// one: then nothing may be appended.
    pub(super) async fn take_over(
        engines: &Engines,
        (partition, family): (Partition, F),
        around: &Around,
        patience: Patience,
    ) -> Result<(Self, Id, Option<Error>)> {
        let place = (partition, F::OWN_TABLE);
        let mut appender = Appender::claim(&engines.journal, place, around, patience).await?;
        let taken = takeover::take_over(engines, &family, &mut appender).await?;
        let folder = Folder {
            family,
            partition,
            term: CurrentTerm::new(appender.term()),
            follower: around.follower.clone(),
            #[cfg(test)]
            broken: None,
        };
        let roster = Arc::clone(&around.roster);
        let (commits, next, fence) = (0, taken.next, Fence::default());
        let ears = Ears::of(around.hearing.as_ref(), partition);
        let owner = Self { appender, folder, commits, next, roster, fence, ears, spare: Vec::new() };
        Ok((owner, taken.last, taken.unreadable))
    }

    /// End of its partition.
    pub(super) const fn ending(&self) -> &Ending {
        self.appender.patience.ending()
    }

    /// Term of this owner.
    pub(super) fn term(&self) -> CurrentTerm {
        self.folder.term.clone()
    }

    /// Starts the thread, which takes what comes through `queue`.
    pub(super) fn start(self, queue: Queue<F>, mint: Mint) -> Result<JoinHandle<()>> {
        let alarm = Alarm(self.ending().storage().clone());
        let name = if F::HAS_CLOCK { "owner".to_owned() } else { format!("owner-{}", F::NAME) };
        let work = async move {
            let _alarm = alarm;
            self.run(queue, mint).await;
        };
        threads::spawn(name, work).map_err(|error| Error::Internal(format!("cannot start the owner's thread: {error}")))
    }

    /// Takes what comes through `queue` until nobody has a way in.
    pub(super) async fn run(mut self, queue: Queue<F>, mint: Mint) {
        let mut work = Work { queue, mint };
        let mut next = Group::default();
        if !self.fence.is_up() {
            self.say();
        }
        while !next.is_empty() || self.wait(&mut work).await {
            work.queue.gather();
            self.stand_again(&mut work.queue.waiting, &work.mint).await;
            pace::keep(&mut work.queue, &work.mint, &self.appender.patience).await;
            self.folder.take(&mut next, (&mut work.queue, limits::GROUP_RECORDS_MAX), &work.mint, None);
            if !next.is_empty() {
                next = self.commit(next, &mut work).await;
            }
            self.appender.patience.done();
        }
        if self.ending().is_said() || self.fence.is_up() {
            return;
        }
        if F::HAS_CLOCK
            && let Err(error) = work.mint.close().await
        {
            tracing::warn!(%error, "the end of the ids is not stored; the next start begins a little above it");
        }
        if let Err(error) = self.appender.settle(Head::new(self.next).having(self.folder.family.taken())).await {
            tracing::warn!(%error, "the last head was not written; the next start writes a few rows again");
        }
    }

    /// Commits a group and answers everybody in it. Answers the group that was begun meanwhile.
    async fn commit(&mut self, mut group: Group<F>, work: &mut Work<F>) -> Group<F> {
        let (first, mut ahead) = (group.first(), Ahead::in_place_of(std::mem::take(&mut self.spare)));
        if self.ending().is_said() {
            self.folder.through(first);
            refuse_ended(group.into_askers(), self.ending());
            return Group::default();
        }
        let committed = self.append(&mut group, &mut ahead, work).await;
        let mut ahead = ahead.group;
        match committed {
            Ok(appended) => {
                let is_sure = appended.as_ref().is_none_or(|appended| !appended.doubted);
                let head = self.settle(&mut group, appended);
                self.folder.through(first);
                self.spare = group.take_place();
                let last = group.folded.last().map_or(Id(0), |last| F::id(&last.record));
                self.folder.follower.answer(last, move || group.answer());
                self.checkpoint(head).await;
                if is_sure {
                    return ahead;
                }
            }
            Err(Error::Engine(EngineError::Fenced)) => {
                self.fence.undecided(std::mem::take(&mut group.lines));
                self.folder.refuse_earlier(ahead);
                self.fenced(group.into_askers(), &work.mint).await;
                return Group::default();
            }
            Err(error) => {
                let is_unknown = matches!(error, Error::Engine(EngineError::Unknown(_)));
                self.fence.undecided(std::mem::take(&mut group.lines));
                refuse(&error, group.into_askers(), self.ending());
                // Of what is unknown some may settle yet, but not by an owner that takes nothing more.
                if !is_unknown || self.ending().is_said() {
                    self.folder.through(first);
                }
            }
        }
        #[cfg(test)]
        if self.folder.broken == Some(super::folder::tests::Broken::KeepsFolds) {
            return ahead;
        }
        // It was begun on what did not come about, or on what was read before the engine lost its way.
        ahead.unfold();
        ahead
    }

    /// Folds the rest of `group` and appends it; nothing where none of its records happens. Meanwhile `ahead` is begun.
    async fn append(
        &mut self,
        group: &mut Group<F>,
        ahead: &mut Ahead<F>,
        work: &mut Work<F>,
    ) -> Result<Option<Appended>> {
        let Self { appender, folder, .. } = self;
        folder.finish(group, &appender.patience).await?;
        if let Some(error) = group.failed.take() {
            return Err(error);
        }
        if group.lines.is_empty() {
            return Ok(None);
        }
        self.commits += 1;
        // What was settled before, now and then; this commit may tear.
        let head = self.commits.is_multiple_of(limits::CHECKPOINT_EVERY);
        let head = head.then(|| Head::new(self.next).having(folder.family.taken()));
        head.clone().map_or(Ok(()), |head| head.write_to(F::OWN_TABLE, folder.partition, &mut group.batch))?;
        let Work { queue, mint, .. } = work;
        let reserving = if F::HAS_CLOCK { mint.reserve_in(&mut group.batch) } else { None };
        let group = &*group;
        let mut append = pin!(appender.append(&group.lines, &group.batch));
        let appended = loop {
            tokio::select! {
                biased;
                appended = &mut append => break appended?,
                () = folder.go_ahead(ahead, queue, mint, group) => {}
            }
        };
        mint.reserved(reserving.as_ref());
        Ok(Some(Appended { head, ..appended }))
    }

    /// Remembers what a durable group made, and tells the listeners. Answers a head that was written with it.
    fn settle(&mut self, group: &mut Group<F>, appended: Option<Appended>) -> Option<Head> {
        let Appended { next, doubted, head } = appended?;
        self.fence.ease();
        if doubted {
            // What is in memory was read before the engine lost its way.
            self.folder.family.forget();
        }
        self.folder.family.keep(std::mem::take(&mut group.state), &group.changes);
        self.folder.follower.hear(&self.folder.family, self.folder.partition, &group.folded);
        self.next = next;
        self.say();
        head
    }

    /// Remembers that everything below `head` has its rows.
    async fn checkpoint(&self, head: Option<Head>) {
        if let Some(head) = head
            && let Err(error) = self.appender.checkpoint(&head).await
        {
            // The records are durable and told of; a later checkpoint covers them.
            tracing::debug!(%error, "a checkpoint was not written");
        }
    }
}
