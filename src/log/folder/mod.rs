//! Folder of an owner: takes proposals, numbers them, and folds them into groups; it writes nothing.
//!
//! While one group is on its way to the log, the next is folded here on the state that the first leaves, if it becomes
//! durable. Whoever waits for the log stops the folding at any point, so every step leaves the group whole, and is done
//! again from its beginning. Nothing that is remembered beyond a group changes before the group is durable.

pub(super) mod group;
pub(super) mod queue;

use std::future::pending;
use std::iter;
use std::mem::take;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{EngineError, NewRecord, Partition, RowWrite};
use fanfare_protocol::Id;

use self::group::Group;
use self::queue::Queue;
use super::follower::Follower;
use super::owners::{CurrentTerm, Proposed};
use super::patience::Patience;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::log::family::{CommittedOf, Family};
use crate::log::mint::Mint;

/// Part of an owner that makes groups of proposals.
pub(super) struct Folder<F: Family> {
    pub(super) family: F,
    pub(super) partition: Partition,
    pub(super) term: CurrentTerm,
    pub(super) follower: Follower,
    #[cfg(test)]
    pub(super) broken: Option<tests::Broken>,
}

impl<F: Family> Folder<F> {
    /// Numbers those of the waiting proposals that `group` has room for, at most `most`, and answers how many: ids in
    /// the order of arrival, which is the order of commit. `before` is the group that is on its way: what is about an
    /// account that it makes or deletes waits until that is known.
    pub(super) fn take(
        &self,
        group: &mut Group<F>,
        (queue, most): (&mut Queue<F>, usize),
        mint: &Mint,
        before: Option<&Group<F>>,
    ) -> usize {
        self.refuse_earlier_terms(&mut queue.waiting);
        #[cfg(test)]
        let before = before.filter(|_| self.broken != Some(tests::Broken::DecidesEarly));
        let mut fits = group.fits(&queue.waiting, most);
        if let Some(before) = before {
            let depends = |one: &Proposed<F>| F::depends_on(&before.changes, &one.proposal);
            fits = queue.waiting.iter().take(fits).position(depends).unwrap_or(fits);
        }
        if fits == 0 {
            return 0;
        }
        mint.number(self.partition, |next| {
            for Proposed { proposal, answer, .. } in queue.waiting.drain(..fits) {
                let id = next(F::at_ms(&proposal));
                if group.is_empty() {
                    self.follower.horizon().numbered(self.partition, id);
                }
                group.push(proposal, id, answer);
            }
        });
        fits
    }

    /// Refuses what was decided before this owner had the partition: it may have been decided on rows that somebody
    /// else changed since.
    fn refuse_earlier_terms(&self, waiting: &mut Vec<Proposed<F>>) {
        let term = self.term.get();
        for late in waiting.extract_if(.., |proposed| proposed.term.is_some_and(|decided| decided != term)) {
            let _ = late.answer.send(Err(earlier_term()));
        }
    }

    /// Refuses a group that was folded ahead, for the partition is to be taken over anew. Nothing of it was handed in.
    pub(super) fn refuse_earlier(&self, ahead: Group<F>) {
        self.through(ahead.first());
        for (_, answer) in ahead.into_askers() {
            let _ = answer.send(Err(earlier_term()));
        }
    }

    /// The group that has the id `first` is through.
    pub(super) fn through(&self, first: Option<Id>) {
        if let Some(first) = first {
            self.follower.through(self.partition, first);
        }
    }

    /// Folds what `group` has taken. Nothing else is on its way, and storage that is away is waited for.
    pub(super) async fn finish(&self, group: &mut Group<F>, patience: &Patience) -> Result<()> {
        if group.failed.is_none() && !group.numbered.is_empty() {
            let standings = patience.until_done(|| self.family.standings(&group.numbered)).await?;
            admit(group, &standings);
        }
        if group.failed.is_none() && !group.admitted.is_empty() {
            let load = || self.family.load(&group.admitted, &group.state, None);
            let loaded = patience.until_done(load).await?;
            F::take_in(&mut group.state, loaded, &group.batch);
            self.fold(group);
        }
        Ok(())
    }

    /// Takes a few proposals into `ahead` and folds them, while the group `before` is on its way. Answers when there
    /// may be more to do; never when there is not, and may be dropped at any time.
    pub(super) async fn go_ahead(&self, ahead: &mut Ahead<F>, queue: &mut Queue<F>, mint: &Mint, before: &Group<F>) {
        let Ahead { group, is_stuck } = ahead;
        if *is_stuck || group.failed.is_some() {
            return pending().await;
        }
        if !group.is_behind() {
            queue.gather_many().await;
            // Ids that are ahead of the log's time are not given out.
            if mint.ahead_ms().is_some()
                || self.take(group, (queue, limits::AHEAD_RECORDS_MAX), mint, Some(before)) == 0
            {
                *is_stuck = true;
                return;
            }
        }
        // What cannot be read now is read when it is known what became of the group before.
        *is_stuck = self.fold_ahead(group, before).await.is_err();
    }

    async fn fold_ahead(&self, group: &mut Group<F>, before: &Group<F>) -> Result<()> {
        if !group.numbered.is_empty() {
            let standings = self.family.standings(&group.numbered).await?;
            admit(group, &standings);
        }
        let before = Some((&before.state, &before.batch));
        #[cfg(test)]
        let before = before.filter(|_| self.broken != Some(tests::Broken::FoldsOnStored));
        let loaded = self.family.load(&group.admitted, &group.state, before).await?;
        F::take_in(&mut group.state, loaded, &group.batch);
        self.fold(group);
        Ok(())
    }

    /// Folds what was admitted; what it needs is in the group's state.
    fn fold(&self, group: &mut Group<F>) {
        let mut left = take(&mut group.admitted).into_iter();
        while let Some(mut record) = left.next() {
            match self.fold_one(group, &mut record) {
                Ok((outcome, line)) => {
                    group.lines.push(NewRecord { id: F::id(&record).0, payload: line });
                    group.folded.push(CommittedOf { record: Arc::new(record), outcome });
                }
                Err(Error::Engine(EngineError::Corrupt(cause))) if F::REFUSES_DAMAGE => {
                    group.refuse(F::id(&record), Error::Damaged(cause.into()));
                }
                Err(error) => {
                    group.failed = Some(error);
                    group.admitted = iter::once(record).chain(left).collect();
                    return;
                }
            }
        }
    }

    fn fold_one(&self, group: &mut Group<F>, record: &mut F::Record) -> Result<(F::Outcome, Bytes)> {
        let outcome = self.family.fold(record, &mut group.state, &mut group.batch)?;
        let line = self.family.line(record, &outcome)?;
        Ok((outcome, line))
    }
}

fn earlier_term() -> Error {
    EngineError::Unavailable("the partition was taken over since this was decided".to_owned()).into()
}

/// Decides which of the numbered records happen.
fn admit<F: Family>(group: &mut Group<F>, standings: &F::Standings) {
    let numbered = take(&mut group.numbered);
    let refusals = F::admit(numbered, standings, &mut group.changes, &mut group.admitted);
    group.refused(refusals);
}

/// Group that is folded while another is on its way.
pub(super) struct Ahead<F: Family> {
    pub(super) group: Group<F>,
    /// Nothing more can be done before it is known what became of the other.
    is_stuck: bool,
}

impl<F: Family> Ahead<F> {
    /// Nothing yet, with rows to come in place of `rows`.
    pub(super) fn in_place_of(rows: Vec<RowWrite>) -> Self {
        Self { group: Group::in_place_of(rows), is_stuck: false }
    }
}

#[cfg(test)]
pub(super) mod tests;
