//! Refusal of records about deleted accounts: what somebody does whose account was deleted meanwhile does not happen.
//!
//! Services look whether an account is there before they decide; the deletion may be committed between that and the
//! commit of what they decided. So the owner asks again, in the order of commits: what comes behind a deletion is
//! refused, and what comes before it is found by the purge. Rows without records are held apart by `writers.rs`.

use std::sync::Arc;

use fanfare_engines::{RowKey, Tables};
use fanfare_protocol::{Code, Id};
use quick_cache::sync::Cache;

use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::rows::{UserRow, from_json};
use crate::data::tables;
use crate::log::events::{Derived, EndedFollow, Event, Party, Record};
use crate::log::product::Committed;

/// Everybody of whom it matters whether their account is there: the [parties](Event::parties), who is told of it, and
/// whose account never will be.
fn concerned(event: &Event) -> impl Iterator<Item = Id> {
    let told = match event.told() {
        Event::Posted { notify, .. } | Event::Referred { notify, .. } => notify.as_slice(),
        _ => &[],
    };
    let other = match event {
        Event::IdBurnt { user } => Some(*user),
        Event::Derived(Derived { effect: Some(effect), .. }) => subject(effect),
        Event::LinkCreated { claim, .. } => *claim,
        _ => None,
    };
    let (asked, added): (&[Id], &[Id]) = match event.told() {
        Event::Approached { asked, added, .. } => (asked, added),
        _ => (&[], &[]),
    };
    let named = told.iter().map(|notice| notice.user).chain(asked.iter().chain(added).copied());
    event.parties().map(|(person, _)| person).chain(named).chain(other)
}

/// Person whose rows an effect adds to: what was done to somebody who is gone meanwhile leaves no rows.
const fn subject(effect: &Event) -> Option<Id> {
    match effect {
        Event::Followed { followee, .. } => Some(*followee),
        Event::Blocked { blocked, .. } => Some(*blocked),
        Event::Liked { post, .. } => Some(post.author),
        _ => None,
    }
}

/// Makes of what is derived what is left of it, as the accounts stand: the source stands, so it is never refused.
fn derive(derived: &mut Derived, standing: impl Fn(Id) -> AccountStanding) {
    let is_gone = |person| standing(person) == AccountStanding::Gone;
    let Some(effect) = derived.effect.as_deref_mut() else { return };
    match effect {
        Event::Referred { notify, .. } => notify.retain(|notice| !is_gone(notice.user)),
        Event::Approached { asked, added, .. } => {
            asked.retain(|person| !is_gone(*person));
            added.retain(|person| !is_gone(*person));
        }
        Event::Followed { follower, followee, silent, .. } if is_gone(*followee) => {
            let (follower, followee, since) = (*follower, *followee, derived.from.id);
            *effect = Event::FollowRefused(EndedFollow { follower, followee, since, departed: None, silent: *silent });
        }
        effect if subject(effect).is_some_and(is_gone) => derived.effect = None,
        _ => {}
    }
}

/// Standing of an id among accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStanding {
    /// No account was made.
    Unknown,
    /// The account is there.
    There,
    /// The account was deleted, or never will be.
    Gone,
}

/// Why `event` does not happen, as the accounts that it concerns stand; `None` if it does, and whoever is gone is not
/// told of it.
pub fn refusal(event: &mut Event, standing: impl Fn(Id) -> AccountStanding) -> Option<Error> {
    let is_gone = |person| standing(person) == AccountStanding::Gone;
    let gone = event.parties().find(|(person, _)| is_gone(*person));
    if let Some((_, part)) = gone {
        return Some(match (part, event) {
            (Party::Actor, _) => deleted(),
            (Party::Other, Event::Liked { .. }) => Error::gone("post"),
            (Party::Other, _) => Error::not_found("user"),
        });
    }
    match event {
        Event::Posted { notify, .. } => notify.retain(|notice| !is_gone(notice.user)),
        Event::Derived(derived) => derive(derived, &standing),
        // Of two who make one account, or of one who makes it and one who says that nobody will, the first did.
        Event::UserCreated { user: UserRow { id, .. } } | Event::IdBurnt { user: id }
            if standing(*id) == AccountStanding::There =>
        {
            return Some(Error::refused(Code::Conflict, "the account was made already"));
        }
        // Burnt: this took so long that somebody else has the code.
        Event::LinkCreated { claim: Some(claim), .. } if is_gone(*claim) => {
            return Some(Error::refused(Code::Conflict, "the code was given to somebody else"));
        }
        _ => {}
    }
    None
}

/// Accounts that were made and deleted, as far as records concern them: who is gone takes part in no record that
/// follows, and an account is made once.
pub struct Living {
    tables: Arc<dyn Tables>,
    /// Standing of those whom records concerned of late; only the records of one committing thread change it.
    known: Cache<Id, AccountStanding>,
}

impl Living {
    /// Nobody is known yet; accounts are rows of `tables`.
    #[must_use]
    pub fn new(tables: Arc<dyn Tables>) -> Self {
        Self::of_size(tables, limits::USER_CACHE_MAX)
    }

    /// Counterpart of [`new`](Self::new) that remembers at most `known_max` people.
    fn of_size(tables: Arc<dyn Tables>, known_max: usize) -> Self {
        Self { tables, known: Cache::new(known_max) }
    }

    /// Why each of `records` does not happen; those that do are added to `admitted`, and whom they make and delete to
    /// `changed`. In their order: what comes behind a deletion is refused, and `changed` tells of records before these
    /// that are not durable yet. `standings` are those that were [loaded](Self::load) for the records.
    #[must_use]
    pub fn admit(
        records: Vec<Record>,
        standings: &Standings,
        changed: &mut Vec<(Id, AccountStanding)>,
        admitted: &mut Vec<Record>,
    ) -> Vec<Option<Error>> {
        let mut refusals = Vec::with_capacity(records.len());
        for mut record in records {
            let standing = |person| {
                let now = changed.iter().rev().find(|(one, _)| *one == person).map(|(_, standing)| *standing);
                now.unwrap_or_else(|| standings.of(person))
            };
            let refusal = refusal(&mut record.event, standing);
            if refusal.is_none() {
                changed.extend(changed_by(&record.event));
                admitted.push(record);
            }
            refusals.push(refusal);
        }
        refusals
    }

    /// Forgets everybody: another owner wrote.
    pub fn forget(&self) {
        self.known.clear();
    }

    /// Learns who was made and deleted by records that are durable.
    pub fn committed(&self, changed: &[(Id, AccountStanding)]) {
        for (person, standing) in changed {
            self.known.insert(*person, *standing);
        }
    }

    /// Standings of those whom `records` concern. No record about one of them that makes or deletes them is on its way.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load(&self, records: &[Record]) -> Result<Standings> {
        let mut people: Vec<Id> = records.iter().flat_map(|record| concerned(&record.event)).collect();
        people.sort_unstable();
        people.dedup();
        let (mut standings, mut unknown) = (Vec::with_capacity(people.len()), Vec::new());
        for person in people {
            let known = self.known.get(&person);
            if known.is_none() {
                unknown.push(standings.len());
            }
            standings.push((person, known.unwrap_or(AccountStanding::Unknown)));
        }
        if !unknown.is_empty() {
            let row = |place: &usize| tables::by_id(tables::USERS, standings[*place].0);
            let keys: Vec<RowKey> = unknown.iter().map(row).collect();
            for (place, bytes) in unknown.into_iter().zip(self.tables.get_many(&keys).await?) {
                let (person, standing) = &mut standings[place];
                *standing = match bytes.map(|bytes| from_json::<UserRow>(&bytes)) {
                    Some(Ok(row)) if row.deleted => AccountStanding::Gone,
                    Some(_) => AccountStanding::There,
                    None => AccountStanding::Unknown,
                };
                // Of attempts to make something there is a new one each time: only what is known of them is kept.
                if *standing != AccountStanding::Unknown {
                    self.known.insert(*person, *standing);
                }
            }
        }
        Ok(Standings(standings))
    }
}

/// Standings of those whom records concern, before these records; sorted by person.
pub struct Standings(Vec<(Id, AccountStanding)>);

impl Standings {
    fn of(&self, person: Id) -> AccountStanding {
        let place = self.0.binary_search_by_key(&person, |(one, _)| *one);
        place.map_or(AccountStanding::Unknown, |place| self.0[place].1)
    }
}

/// People whom durable records made and deleted.
#[must_use]
pub fn changes(committed: &[Committed]) -> Vec<(Id, AccountStanding)> {
    committed.iter().filter_map(|one| changed_by(&one.record.event)).collect()
}

/// Whether `event` is about somebody whom records before it, which are not durable yet, make or delete.
#[must_use]
pub fn depends_on(changed: &[(Id, AccountStanding)], event: &Event) -> bool {
    !changed.is_empty() && concerned(event).any(|person| changed.iter().any(|(one, _)| *one == person))
}

/// The person whose standing `event` changes.
fn changed_by(event: &Event) -> Option<(Id, AccountStanding)> {
    match event {
        Event::UserCreated { user } => Some((user.id, AccountStanding::There)),
        Event::UserDeleted { user } => Some((user.id, AccountStanding::Gone)),
        Event::IdBurnt { user } => Some((*user, AccountStanding::Gone)),
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
    use std::collections::HashMap;

    use fanfare_engines::Batch;
    use fanfare_engines::random::Random;
    use fanfare_protocol::NotificationKind;

    use super::*;
    use crate::data::rows::to_json;
    use crate::log::events::{Notice, PostRecord, PostRef};

    fn code(mut event: Event, gone: u64) -> Option<Code> {
        let standing = |person| if person == Id(gone) { AccountStanding::Gone } else { AccountStanding::There };
        match refusal(&mut event, standing) {
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
        let standing = |person| if person == Id(2) { AccountStanding::Gone } else { AccountStanding::There };
        assert!(refusal(&mut event, standing).is_none());
        assert!(matches!(event, Event::Posted { notify, .. } if notify == [notice(3)]));
    }

    fn numbered(id: u64, event: Event) -> Record {
        Record { id: Id(id), event, idempotency: None, import_line: None, audit: None }
    }

    /// People whom the records of a group change, and why each of them does not happen.
    async fn admit(living: &Living, group: Vec<Record>) -> (Vec<(Id, AccountStanding)>, Vec<Option<Error>>) {
        let standings = living.load(&group).await.unwrap();
        let mut changed = Vec::new();
        let refusals = Living::admit(group, &standings, &mut changed, &mut Vec::new());
        (changed, refusals)
    }

    fn codes(refusals: Vec<Option<Error>>) -> Vec<Option<Code>> {
        let code = |error: Error| match error {
            Error::Refused(problem) => problem.code,
            other => panic!("{other}"),
        };
        refusals.into_iter().map(|refusal| refusal.map(code)).collect()
    }

    #[tokio::test]
    async fn an_account_is_made_once_or_never_whoever_comes_first() {
        let made = || Event::UserCreated { user: UserRow { id: Id(1), ..UserRow::default() } };
        let burnt = || Event::IdBurnt { user: Id(1) };
        let (conflict, gone) = (Some(Code::Conflict), Some(Code::Unauthenticated));
        for (events, expected) in [
            (vec![made(), burnt(), made()], [None, conflict, conflict]),
            (vec![burnt(), made(), burnt()], [None, gone, None]),
        ] {
            let engines = fanfare_engines::memory::open(1).unwrap();
            let living = Living::new(engines.tables.clone());
            // In one commit, and in commits of their own.
            let group = events.iter().cloned().zip(5..).map(|(event, id)| numbered(id, event)).collect();
            assert_eq!(codes(admit(&living, group).await.1), expected);
            for (event, expected) in events.into_iter().zip(expected) {
                let (changed, refusals) = admit(&living, vec![numbered(9, event)]).await;
                assert_eq!(codes(refusals), [expected]);
                living.committed(&changed);
            }
        }
    }

    /// Why `event` does not happen, if those stand so: as [`refusal`], for what these tests propose.
    fn told(standing: AccountStanding, event: &Event) -> Option<Code> {
        match (event, standing) {
            (Event::UserCreated { .. } | Event::IdBurnt { .. }, AccountStanding::There) => Some(Code::Conflict),
            (Event::UserCreated { .. } | Event::UserDeleted { .. }, AccountStanding::Gone) => {
                Some(Code::Unauthenticated)
            }
            _ => None,
        }
    }

    /// Whoever was put out of memory by the next of the same group counted as somebody without an account.
    #[tokio::test]
    async fn it_does_not_matter_how_many_people_are_remembered() {
        const PEOPLE: u64 = 5;
        for (seed, known_max) in (0..40).flat_map(|seed| [(seed, 1), (seed, 2), (seed, 1_000)]) {
            let mut random = Random::new(seed);
            let engines = fanfare_engines::memory::open(1).unwrap();
            let living = Living::of_size(engines.tables.clone(), known_max);
            let mut truth: HashMap<Id, AccountStanding> = HashMap::new();
            for _ in 0..40 {
                let mut group = Vec::new();
                let mut expected = Vec::new();
                let mut next = truth.clone();
                for id in 0..=random.below(6) {
                    let user = UserRow { id: Id(1 + random.below(PEOPLE)), ..UserRow::default() };
                    let person = user.id;
                    let event = match random.below(3) {
                        0 => Event::UserCreated { user },
                        1 => Event::UserDeleted { user },
                        _ => Event::IdBurnt { user: person },
                    };
                    let refused = told(next.get(&person).copied().unwrap_or(AccountStanding::Unknown), &event);
                    if refused.is_none() {
                        next.extend(changed_by(&event));
                    }
                    expected.push(refused);
                    group.push(numbered(1 + id, event));
                }
                let (changed, refusals) = admit(&living, group).await;
                assert_eq!(codes(refusals), expected, "seed {seed}, {known_max} remembered");
                let mut batch = Batch::default();
                for (person, standing) in &changed {
                    let deleted = *standing == AccountStanding::Gone;
                    let row = UserRow { id: *person, deleted, ..UserRow::default() };
                    batch.put(tables::by_id(tables::USERS, *person), to_json(&row).unwrap());
                }
                engines.tables.write(batch).await.unwrap();
                living.committed(&changed);
                truth = next;
            }
        }
    }
}
