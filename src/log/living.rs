//! Refusal of records about deleted accounts: what somebody does whose account was deleted meanwhile does not happen.
//!
//! Services look whether an account is there before they decide; the deletion may be committed between that and the
//! commit of what they decided. So the owner asks again, in the order of commits: what comes behind a deletion is
//! refused, and what comes before it is found by the purge. Rows without records are held apart by `writers.rs`.

use std::sync::Arc;

use fanfare_engines::{Batch, RowKey, Tables};
use fanfare_protocol::{Code, Id};
use quick_cache::sync::Cache;

use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::rows::{UserRow, from_json};
use crate::data::tables;
use crate::log::events::{Event, Part, Record};
use crate::log::product::Committed;

/// Everybody whom it matters of whether their account is there: the [parties](Event::parties), and who is told of it.
fn concerned(event: &Event) -> impl Iterator<Item = Id> {
    let told = match event {
        Event::Posted { notify, .. } => notify.as_slice(),
        _ => &[],
    };
    event.parties().map(|(person, _)| person).chain(told.iter().map(|notice| notice.user))
}

/// Why `event` does not happen when the accounts of which `is_gone` are; `None` if it does, and whoever is gone is not
/// told of it.
pub fn refusal(event: &mut Event, is_gone: impl Fn(Id) -> bool) -> Option<Error> {
    let gone = event.parties().find(|(person, _)| is_gone(*person));
    if let Some((_, part)) = gone {
        return Some(match (part, event) {
            (Part::Actor, _) => deleted(),
            (Part::Other, Event::Liked { .. }) => Error::gone("post"),
            (Part::Other, _) => Error::not_found("user"),
        });
    }
    if let Event::Posted { notify, .. } = event {
        notify.retain(|notice| !is_gone(notice.user));
    }
    None
}

/// People whose account was deleted, as far as records concern them: who is gone takes part in no record that follows.
pub struct Living {
    tables: Arc<dyn Tables>,
    /// Whether the account was deleted; only the records of one committing thread delete.
    deleted: Cache<Id, bool>,
}

/// A record to be, with the rows that come along.
type Numbered = (Record, Batch);

impl Living {
    /// Nobody is known yet; accounts are rows of `tables`.
    #[must_use]
    pub fn new(tables: Arc<dyn Tables>) -> Self {
        Self { tables, deleted: Cache::new(limits::USER_CACHE_MAX) }
    }

    /// The records of a group that happen, and for each of the group why it does not. In their order: what comes behind
    /// a deletion is refused. [`load`](Self::load) was done for the group.
    pub fn admit(&self, group: Vec<Numbered>) -> (Vec<Numbered>, Vec<Option<Error>>) {
        let mut gone_now: Vec<Id> = Vec::new();
        let (mut admitted, mut refusals) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for (mut record, rows) in group {
            let is_gone = |person| gone_now.contains(&person) || self.deleted.get(&person) == Some(true);
            let refusal = refusal(&mut record.event, is_gone);
            if refusal.is_none() {
                gone_now.extend(deleted_by(&record.event));
                admitted.push((record, rows));
            }
            refusals.push(refusal);
        }
        (admitted, refusals)
    }

    /// Learns who was deleted by records that are durable.
    pub fn committed(&self, committed: &[Committed]) {
        for person in committed.iter().filter_map(|one| deleted_by(&one.record.event)) {
            self.deleted.insert(person, true);
        }
    }

    /// Learns who of those whom a group concerns was deleted.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load(&self, group: &[Numbered]) -> Result<()> {
        let concerned = group.iter().flat_map(|(record, _)| concerned(&record.event));
        let mut unknown: Vec<Id> = concerned.filter(|person| self.deleted.get(person).is_none()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let keys: Vec<RowKey> = unknown.iter().map(|person| tables::by_id(tables::USERS, *person)).collect();
        for (person, bytes) in unknown.iter().zip(self.tables.get_many(&keys).await?) {
            let deleted = bytes.is_some_and(|bytes| from_json::<UserRow>(&bytes).is_ok_and(|row| row.deleted));
            self.deleted.insert(*person, deleted);
        }
        Ok(())
    }
}

/// The person whose account `event` deletes.
fn deleted_by(event: &Event) -> Option<Id> {
    match event {
        Event::UserDeleted { user } => Some(user.id),
        _ => None,
    }
}

/// 401 for somebody whose account is no more.
#[must_use]
pub fn deleted() -> Error {
    Error::refused(Code::Unauthenticated, "the account was deleted")
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::NotificationKind;

    use super::*;
    use crate::log::events::{Notice, PostRecord, PostRef};

    fn code(mut event: Event, gone: u64) -> Option<Code> {
        match refusal(&mut event, |person| person == Id(gone)) {
            Some(Error::Refused(problem)) => Some(problem.code),
            None => None,
            Some(other) => panic!("{other}"),
        }
    }

    #[test]
    fn who_is_gone_does_nothing_and_nothing_is_done_to_them() {
        let liked = || Event::Liked { user: Id(1), post: PostRef { id: Id(9), author: Id(2) } };
        assert_eq!(
            (code(liked(), 1), code(liked(), 2), code(liked(), 3)),
            (Some(Code::Unauthenticated), Some(Code::Gone), None)
        );
        let followed = || Event::Followed { follower: Id(1), followee: Id(2), notify: true, silent: false };
        assert_eq!((code(followed(), 1), code(followed(), 2)), (Some(Code::Unauthenticated), Some(Code::NotFound)));
        let deleted = Event::UserDeleted { user: UserRow { id: Id(1), ..UserRow::default() } };
        assert_eq!(code(deleted, 1), Some(Code::Unauthenticated), "a second time");
        // What ends something goes on: it is how the purge works.
        assert_eq!(code(Event::Unblocked { blocker: Id(1), blocked: Id(2) }, 1), None);
    }

    #[test]
    fn who_is_gone_is_not_told() {
        let notice = |user| Notice { user: Id(user), kind: NotificationKind::Mention };
        let post = PostRecord { author: Id(1), ..PostRecord::default() };
        let mut event = Event::Posted { post, notify: vec![notice(2), notice(3)] };
        assert!(refusal(&mut event, |person| person == Id(2)).is_none());
        assert!(matches!(event, Event::Posted { notify, .. } if notify == [notice(3)]));
    }
}
