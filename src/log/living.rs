//! Whose record it is: what somebody does whose account was deleted meanwhile does not happen.
//!
//! Pure. Services look whether an account is there before they decide; the deletion may be committed between that and
//! the commit of what they decided. So the sequencer asks again, in the order of commits: what comes behind a deletion is
//! refused, and what comes before it is found by the purge. Rows without records are held apart by `writers.rs`.

use fanfare_protocol::{Code, Id};

use crate::base::error::Error;
use crate::log::events::Event;

/// What somebody is to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// They do it.
    Actor,
    /// It is done to them, or to what is theirs.
    Other,
}

/// Whose accounts must be there for `event` to happen.
pub fn parties(event: &Event) -> impl Iterator<Item = (Id, Part)> {
    let (actor, other) = match event {
        Event::UserCreated { user } | Event::ProfileChanged { user, .. } | Event::UserDeleted { user } => {
            (Some(user.id), None)
        }
        Event::Followed { follower, followee, .. } => (Some(*follower), Some(*followee)),
        Event::Blocked { blocker, blocked, .. } => (Some(*blocker), Some(*blocked)),
        Event::Muted { muter, muted } => (Some(*muter), Some(*muted)),
        Event::Posted { post, .. } => (Some(post.author), None),
        Event::Liked { user, post } => (Some(*user), Some(post.author)),
        Event::Suspended { user, .. } => (None, Some(*user)),
        // They end something: the purge itself does so.
        _ => (None, None),
    };
    let actor = actor.map(|person| (person, Part::Actor));
    actor.into_iter().chain(other.map(|person| (person, Part::Other)))
}

/// Everybody whom it matters of whether their account is there: the [`parties`], and who is told of it.
pub fn concerned(event: &Event) -> impl Iterator<Item = Id> {
    let told = match event {
        Event::Posted { notify, .. } => notify.as_slice(),
        _ => &[],
    };
    parties(event).map(|(person, _)| person).chain(told.iter().map(|notice| notice.user))
}

/// Why `event` does not happen when the accounts of which `is_gone` are; `None` if it does, and whoever is gone is not
/// told of it.
pub fn refusal(event: &mut Event, is_gone: impl Fn(Id) -> bool) -> Option<Error> {
    let gone = parties(event).find(|(person, _)| is_gone(*person));
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

/// 401 for somebody whose account is no more.
#[must_use]
pub fn deleted() -> Error {
    Error::refused(Code::Unauthenticated, "the account was deleted")
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::NotificationKind;

    use super::*;
    use crate::data::rows::UserRow;
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
