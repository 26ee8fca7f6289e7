//! Hearers of what happens in a conversation: its members at that moment, without those who may not see it. Pure.

use std::sync::Arc;

use fanfare_protocol::Id;

use crate::data::rows::chat::MemberRow;

/// People of a conversation when a record was folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hearers {
    /// Members, by id.
    pub members: Arc<[Id]>,
    /// Everybody who is or was in it, by id.
    pub people: Arc<Vec<(Id, MemberRow)>>,
    /// The lowest number that every member may see.
    pub seen_from: u64,
    /// Person who has not accepted it yet, and hears nothing.
    pub pending: Option<Id>,
}

impl Hearers {
    /// Members who hear of what happens to the message `seq`.
    #[must_use]
    pub fn of_message(&self, seq: u64) -> Arc<[Id]> {
        if self.pending.is_none() && self.seen_from <= seq {
            return Arc::clone(&self.members);
        }
        let sees =
            |(user, row): &&(Id, MemberRow)| row.is_in() && row.visible_from <= seq && self.pending != Some(*user);
        self.people.iter().filter(sees).map(|(user, _)| *user).collect()
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::MemberRole;

    use super::*;
    use crate::data::rows::chat::Membership;

    #[test]
    fn who_may_not_see_a_message_hears_nothing_of_it() {
        let row = |presence, visible_from| MemberRow {
            role: MemberRole::Member,
            presence,
            joined: Id(1),
            visible_from,
            counted: 0,
            left_seq: 0,
            sent_ms: 0,
            came_seq: 0,
        };
        let people = vec![
            (Id(1), row(Membership::In, 1)),
            (Id(2), row(Membership::In, 5)),
            (Id(3), row(Membership::Left, 1)),
            (Id(4), row(Membership::Invited, 1)),
        ];
        let audience = |pending| Hearers {
            members: Arc::from([Id(1), Id(2)]),
            people: Arc::new(people.clone()),
            seen_from: 5,
            pending,
        };
        assert_eq!(*audience(None).of_message(5), [Id(1), Id(2)]);
        assert_eq!(*audience(None).of_message(4), [Id(1)]);
        assert_eq!(*audience(Some(Id(2))).of_message(9), [Id(1)]);
    }
}
