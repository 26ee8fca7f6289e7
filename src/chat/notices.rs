//! Notices: whom a record of chat asks or adds, as news for people's lists of notifications. Pure.
//!
//! A request to talk, an invitation to a group, and being added. Who joins by an invite did so themselves, and what was
//! imported is no news.

use fanfare_engines::{JournalRecord, Partition};
use fanfare_protocol::{ConversationKind, Id};

use super::fold::line;
use super::fold::outcome::ChatOutcome;
use super::fold::record::{ChatAct, ChatRecord};
use crate::base::error::{Error, Result};
use crate::data::families;
use crate::data::rows::chat::Membership;
use crate::log::effects::Effects;
use crate::log::events::Event;
use crate::log::onward::OnwardSource;
use crate::log::spread::Spread;

/// News that follow from a record for people of `spread`: at most one event a partition.
#[must_use]
pub fn of(record: &ChatRecord, outcome: &ChatOutcome, spread: Spread) -> Effects {
    let mut effects = Effects::new();
    if !outcome.came_about() || record.at_ms.is_some() {
        return effects;
    }
    let (by, conversation) = (record.actor, record.conversation);
    for (person, is_asked) in told(record, outcome) {
        let to = spread.partition_of(person);
        let place = effects.iter().position(|(partition, _)| *partition == to).unwrap_or_else(|| {
            effects.push((to, Event::Approached { by, conversation, asked: Vec::new(), added: Vec::new() }));
            effects.len() - 1
        });
        if let Some((_, Event::Approached { asked, added, .. })) = effects.get_mut(place) {
            if is_asked { asked.push(person) } else { added.push(person) }
        }
    }
    effects
}

/// People who are asked or added by a record, and whether they are asked.
fn told(record: &ChatRecord, outcome: &ChatOutcome) -> Vec<(Id, bool)> {
    match &record.act {
        ChatAct::Created(created) if created.kind == ConversationKind::Direct => {
            created.members.iter().filter(|_| created.request).map(|peer| (*peer, true)).collect()
        }
        ChatAct::Created(_) | ChatAct::Added { .. } => {
            let newcomers =
                outcome.members.iter().filter(|(user, row)| *user != record.actor && row.joined == record.id);
            newcomers.map(|(user, row)| (*user, row.presence == Membership::Invited)).collect()
        }
        _ => Vec::new(),
    }
}

/// Acts of which something may follow, as they stand in lines.
const ACTS: [&[u8]; 2] = [br#""act":{"type":"created""#, br#""act":{"type":"added""#];

/// Chat's log as the bearers of notices read it.
pub struct Notices {
    /// Partitions of people.
    pub spread: Spread,
    /// Records up to here were made by a version that tells nobody.
    pub after: Id,
}

impl OnwardSource for Notices {
    fn consumer(&self) -> &'static str {
        families::NOTICES
    }

    fn follows(&self, partition: Partition, one: &JournalRecord) -> Result<(Id, Effects)> {
        let id = one.id.map(Id).unwrap_or_default();
        let may_tell = || ACTS.iter().any(|act| memchr::memmem::find(&one.payload, act).is_some());
        if id <= self.after || !may_tell() {
            return Ok((id, Effects::new()));
        }
        let (record, outcome) = line::decode(&one.payload).map_err(|cause| {
            let what = format!("journal partition {}, offset {}: {cause}", partition.0, one.offset.0);
            Error::Engine(fanfare_engines::EngineError::Corrupt(what))
        })?;
        Ok((record.id, of(&record, &outcome, self.spread)))
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{History, MemberRole};

    use super::*;
    use crate::chat::fold::record::Beginning;
    use crate::data::rows::chat::{ChatHead, MemberRow};

    const ONE: Spread = Spread::ONE;

    fn begun(kind: ConversationKind, request: bool) -> ChatAct {
        ChatAct::Created(Beginning {
            kind,
            members: vec![Id(2)],
            invited: vec![Id(3)],
            title: None,
            history: Some(History::All),
            request,
            bars: Vec::new(),
        })
    }

    fn record(act: ChatAct) -> ChatRecord {
        ChatRecord { id: Id(9), ..ChatRecord::new(Id(7), Id(1), act) }
    }

    fn outcome() -> ChatOutcome {
        let row = |presence, joined| MemberRow {
            role: MemberRole::Member,
            presence,
            joined: Id(joined),
            visible_from: 1,
            counted: 0,
            left_seq: 0,
            sent_ms: 0,
            came_seq: 0,
        };
        let members = vec![
            (Id(1), row(Membership::In, 9)),
            (Id(2), row(Membership::In, 9)),
            (Id(3), row(Membership::Invited, 9)),
            (Id(4), row(Membership::In, 8)),
        ];
        ChatOutcome { head: Some(ChatHead::default()), members, ..ChatOutcome::default() }
    }

    fn told(record: &ChatRecord, outcome: &ChatOutcome) -> Vec<(Vec<u64>, Vec<u64>)> {
        let ids = |people: &[Id]| people.iter().map(|person| person.0).collect();
        let one = |(_, event): &(Partition, Event)| match event {
            Event::Approached { by: Id(1), conversation: Id(7), asked, added } => (ids(asked), ids(added)),
            other => panic!("{other:?}"),
        };
        of(record, outcome, ONE).iter().map(one).collect()
    }

    #[test]
    fn who_is_asked_and_who_is_added_is_told_and_nobody_else() {
        let group = record(begun(ConversationKind::Group, false));
        assert_eq!(told(&group, &outcome()), [(vec![3], vec![2])], "not who did it, nor who was there");
        let added = ChatAct::Added { members: vec![Id(2)], invited: vec![Id(3)], members_max: 9 };
        assert_eq!(told(&record(added), &outcome()), [(vec![3], vec![2])]);
        let asks = record(begun(ConversationKind::Direct, true));
        assert_eq!(told(&asks, &outcome()), [(vec![2], vec![])]);
        // Who talks to somebody at once is told of by their messages.
        assert!(told(&record(begun(ConversationKind::Direct, false)), &outcome()).is_empty());
        let joined = ChatAct::Joined { invite: Id(5), members_max: 9 };
        assert!(told(&record(joined), &outcome()).is_empty(), "they did so themselves");
        let imported = ChatRecord { at_ms: Some(1), ..group.clone() };
        assert!(told(&imported, &outcome()).is_empty());
        for nothing in [ChatOutcome::default(), ChatOutcome { repeat: Some((Id(8), 0)), ..outcome() }] {
            assert!(told(&group, &nothing).is_empty(), "nothing came about");
        }
        let several = Spread::over(0, 12);
        let partitions: Vec<Partition> = of(&group, &outcome(), several).iter().map(|(to, _)| *to).collect();
        assert_eq!(partitions, [several.partition_of(Id(2)), several.partition_of(Id(3))]);
    }

    #[test]
    fn lines_of_other_acts_are_passed_over_unread_and_old_ones_too() {
        let notices = Notices { spread: ONE, after: Id(5) };
        let line = |id, act: ChatAct| {
            let record = ChatRecord { id: Id(id), ..record(act) };
            let payload = line::encode(&record, &outcome()).unwrap();
            JournalRecord { offset: fanfare_engines::Offset(1), id: Some(id), payload, appended_ms: 0 }
        };
        let follows = |one: &JournalRecord| notices.follows(Partition(1), one).map(|(id, effects)| (id, effects.len()));
        assert_eq!(follows(&line(9, begun(ConversationKind::Group, false))).unwrap(), (Id(9), 1));
        let added = ChatAct::Added { members: vec![Id(2)], invited: Vec::new(), members_max: 9 };
        assert_eq!(follows(&line(9, added)).unwrap(), (Id(9), 1));
        assert_eq!(follows(&line(5, begun(ConversationKind::Group, false))).unwrap(), (Id(5), 0));
        assert_eq!(follows(&line(9, ChatAct::Left {})).unwrap(), (Id(9), 0));
        let damaged = JournalRecord {
            payload: br#"{"record":{"act":{"type":"created"}"#[..].into(),
            ..line(9, ChatAct::Left {})
        };
        assert!(follows(&damaged).unwrap_err().to_string().contains("partition 1"));
    }
}
