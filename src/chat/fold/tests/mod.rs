//! The fold beside a naive model, over random histories: answers, rows, and what a restart finds in them.

mod model;
mod uses;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{ConversationKind, History, Id, MemberRole, Mention, MessageKind};
use proptest::prelude::*;

use super::outcome::{ChatOutcome, ChatRefusal};
use super::record::{Beginning, ChatAct, ChatRecord, NewSettings, Sent};
use super::rows::rows;
use super::state::{ChatState, Folded};
use super::{apply, line, needs};
use crate::base::id::unix_ms_of;
use crate::data::rows::chat::*;
use crate::data::rows::from_json;
use crate::data::tables::chat as tables;
use model::{Answer, Group};

const PEOPLE: u64 = 5;
const GROUP: Id = Id(77);
/// Some moment, as ids have it.
const START_MS: u64 = 500_000_000_000;

/// Rows as an engine keeps them: of each the highest version.
#[derive(Debug, Clone, Default, PartialEq)]
struct Stored(HashMap<RowKey, (u64, Option<Bytes>)>);

impl Stored {
    fn write(&mut self, batch: &Batch) {
        for row in &batch.rows {
            let known = self.0.get(&row.key).map_or(0, |(version, _)| *version);
            if row.version >= known {
                self.0.insert(row.key.clone(), (row.version, row.value.clone()));
            }
        }
    }

    fn get(&self, key: &RowKey) -> Option<&Bytes> {
        self.0.get(key).and_then(|(_, value)| value.as_ref())
    }

    fn conversation(&self, id: Id) -> Folded {
        let one = |table| self.get(&tables::of_conversation(table, id));
        let head = one(tables::HEADS).and_then(|bytes| ChatHead::from_bytes(bytes));
        let info = one(tables::INFOS).map(|bytes| from_json(bytes).unwrap());
        let partition = tables::of_conversation(tables::MEMBERS, id).partition;
        let of_it = self.0.iter().filter(|(key, _)| key.table == tables::MEMBERS && key.partition == partition);
        let people = of_it.filter_map(|(key, (_, value))| {
            Some((Id::from_bytes(&key.clustering)?, MemberRow::from_bytes(value.as_ref()?)?))
        });
        Folded::new(head, info, people.collect())
    }

    /// Loads what `record` needs and is not there.
    fn load(&self, record: &ChatRecord, state: &mut ChatState) {
        state.conversations.entry(record.conversation).or_insert_with(|| self.conversation(record.conversation));
        for key in needs(record) {
            state.rows.entry(key.clone()).or_insert_with(|| self.get(&key).cloned());
        }
    }
}

#[derive(Debug, Clone)]
struct Step {
    conversation: u8,
    actor: u64,
    wait_ms: u64,
    act: Template,
    /// The state is dropped before it, as after a restart.
    forget: bool,
}

/// An act whose numbers are relative to what there is.
#[derive(Debug, Clone)]
enum Template {
    Create {
        request: bool,
        all: bool,
        barred: bool,
        invited: u64,
    },
    Send {
        client: u8,
        text: u8,
        mention: u64,
        all: bool,
        reply: Option<u8>,
        forwarded: bool,
        media: Option<(u8, bool)>,
    },
    Edit {
        back: u8,
        text: u8,
        mention: u64,
    },
    Recall {
        back: u8,
    },
    Erase {
        back: u8,
    },
    React {
        back: u8,
        kind: u8,
        on: bool,
    },
    Pin {
        back: u8,
        on: bool,
    },
    Add {
        who: Vec<u64>,
        invited: Vec<u64>,
        most: u32,
    },
    Join {
        invite: u8,
    },
    Leave,
    Remove(u64),
    Role(u64, u8),
    Owner(u64),
    Settings {
        title: u8,
        all: Option<bool>,
        announcements: Option<bool>,
        slow_s: Option<u32>,
    },
    Invite {
        uses: Option<u32>,
    },
    Revoke {
        invite: u8,
    },
    Accept,
    Decline,
    Bar {
        on: bool,
        source: u8,
    },
    Depart,
}

fn person() -> impl Strategy<Value = u64> {
    1..=PEOPLE
}

fn template() -> impl Strategy<Value = Template> {
    let back = || 0..6u8;
    prop_oneof![
        3 => (any::<bool>(), any::<bool>(), prop::bool::weighted(0.1), person())
            .prop_map(|(request, all, barred, invited)| Template::Create { request, all, barred, invited }),
        14 => (0..4u8, 0..2u8, person(), prop::bool::weighted(0.1), prop::option::weighted(0.2, back()),
            prop::bool::weighted(0.1), prop::option::weighted(0.4, (0..2u8, prop::bool::weighted(0.1))))
            .prop_map(|(client, text, mention, all, reply, forwarded, media)| {
                Template::Send { client, text, mention, all, reply, forwarded, media }
            }),
        4 => (back(), 0..3u8, person()).prop_map(|(back, text, mention)| Template::Edit { back, text, mention }),
        3 => back().prop_map(|back| Template::Recall { back }),
        1 => back().prop_map(|back| Template::Erase { back }),
        5 => (back(), 0..3u8, any::<bool>()).prop_map(|(back, kind, on)| Template::React { back, kind, on }),
        2 => (back(), any::<bool>()).prop_map(|(back, on)| Template::Pin { back, on }),
        4 => (prop::collection::vec(person(), 0..4), prop::collection::vec(person(), 0..2), 3..6u32)
            .prop_map(|(who, invited, most)| Template::Add { who, invited, most }),
        2 => (0..3u8).prop_map(|invite| Template::Join { invite }),
        2 => Just(Template::Leave),
        2 => person().prop_map(Template::Remove),
        2 => (person(), 0..3u8).prop_map(|(who, role)| Template::Role(who, role)),
        1 => person().prop_map(Template::Owner),
        2 => (0..3u8, prop::option::of(any::<bool>()), prop::option::weighted(0.3, any::<bool>()),
            prop::option::of(0..60u32))
            .prop_map(|(title, all, announcements, slow_s)| Template::Settings { title, all, announcements, slow_s }),
        2 => prop::option::of(1..3u32).prop_map(|uses| Template::Invite { uses }),
        1 => (0..3u8).prop_map(|invite| Template::Revoke { invite }),
        2 => Just(Template::Accept),
        1 => Just(Template::Decline),
        2 => (any::<bool>(), 1..20u8).prop_map(|(on, source)| Template::Bar { on, source }),
        1 => Just(Template::Depart),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        8 => 0..20_000u64,
        2 => 60_000..7_200_000u64,
        // About the end of what is remembered of a send.
        1 => (7 * 86_400_000 - 30_000)..(7 * 86_400_000 + 30_000u64),
    ];
    (0..4u8, person(), wait, template(), prop::bool::weighted(0.15))
        .prop_map(|(conversation, actor, wait_ms, act, forget)| Step { conversation, actor, wait_ms, act, forget })
}

fn said(text: &str, mention: Option<u64>, all: bool) -> Said {
    let mentions = mention.map(|user| Mention { id: Id(user), handle: format!("p{user}") });
    Said { text: text.to_owned(), mentions: mentions.into_iter().collect(), all, ..Said::default() }
}

/// The record of a step; `None` where it would make no sense to ask.
fn record(step: &Step, id: Id, model: &BTreeMap<Id, Group>) -> Option<ChatRecord> {
    let direct = step.conversation < 2;
    let (one, other) = (Id(1), Id(2 + u64::from(step.conversation)));
    let conversation = if direct { tables::direct_id(one, other) } else { GROUP };
    let actor = Id(step.actor);
    let peer = if actor == one { other } else { one };
    let empty = Group::default();
    let group = model.get(&conversation).unwrap_or(&empty);
    let of_pair = !direct || actor == one || actor == other;
    let act = match &step.act {
        Template::Create { .. } if !of_pair => return None,
        Template::Create { request, all, barred, invited } => {
            ChatAct::Created(beginning(actor, direct.then_some(peer), (*request, *all, *barred), *invited))
        }
        Template::Bar { on, source } if direct && of_pair => {
            ChatAct::Barred { other: peer, on: *on, source: Id(u64::from(*source)) }
        }
        Template::Bar { .. } => return None,
        Template::Erase { .. } if group.people.get(&actor).is_some_and(|one| one.presence == Membership::In) => {
            return None;
        }
        other => act_of(other, id, group),
    };
    Some(ChatRecord { id, ..ChatRecord::new(conversation, actor, act) })
}

fn beginning(actor: Id, peer: Option<Id>, (request, all, barred): (bool, bool, bool), invited: u64) -> Beginning {
    let Some(peer) = peer else {
        return Beginning {
            kind: ConversationKind::Group,
            members: [1, 2, 3].map(Id).into_iter().filter(|user| *user != actor).collect(),
            invited: vec![Id(invited)],
            title: Some("a group".to_owned()),
            history: all.then_some(History::All),
            request: false,
            bars: Vec::new(),
        };
    };
    let bars = barred.then_some(Bar { by: peer, source: Id(invited), on: true });
    Beginning {
        kind: ConversationKind::Direct,
        members: vec![peer],
        invited: Vec::new(),
        title: None,
        history: None,
        request,
        bars: bars.into_iter().collect(),
    }
}

/// The act of a template, in a group as it stands.
fn act_of(template: &Template, id: Id, group: &Group) -> ChatAct {
    let seq = |back: u8| (group.messages.len() as u64 + 1).saturating_sub(u64::from(back));
    let invite = |number: u8| group.invites.keys().nth(usize::from(number)).copied().unwrap_or(Id(5));
    match template {
        Template::Send { client, text, mention, all, reply, forwarded, media } => ChatAct::Sent(Box::new(Sent {
            client_id: client.to_string(),
            body: text.to_string(),
            kind: MessageKind::Text,
            said: said(&format!("text {text}"), Some(*mention), *all),
            attachment: media.map(|(number, _)| uses::upload(number)),
            attach_until_ms: media.map(|(_, late)| unix_ms_of(id) + u64::from(!late)),
            reply_to: reply.map(seq),
            forwarded: *forwarded,
        })),
        Template::Edit { back, text, mention } => {
            let said = said(&format!("text {text}"), Some(*mention), false);
            ChatAct::Edited { seq: seq(*back), said, within_ms: None }
        }
        Template::Recall { back } => ChatAct::Recalled { seq: seq(*back), within_ms: None },
        Template::Erase { back } => ChatAct::Erased { seqs: vec![seq(*back), seq(back + 1)] },
        Template::React { back, kind, on } => ChatAct::Reacted { seq: seq(*back), emoji: format!(":{kind}:"), on: *on },
        Template::Pin { back, on } => ChatAct::Pinned { seq: seq(*back), on: *on },
        Template::Add { who, invited, most } => {
            let invited: Vec<Id> = invited.iter().filter(|user| !who.contains(user)).copied().map(Id).collect();
            ChatAct::Added { members: who.iter().copied().map(Id).collect(), invited, members_max: *most }
        }
        Template::Join { invite: number } => ChatAct::Joined { invite: invite(*number), members_max: 4 },
        Template::Leave => ChatAct::Left {},
        Template::Remove(who) => ChatAct::Removed { member: Id(*who) },
        Template::Role(who, role) => {
            let role = [MemberRole::Member, MemberRole::Admin, MemberRole::Owner][usize::from(*role)];
            ChatAct::RoleChanged { member: Id(*who), role }
        }
        Template::Owner(who) => ChatAct::OwnerChanged { member: Id(*who) },
        Template::Settings { title, all, announcements, slow_s } => ChatAct::SettingsChanged(Box::new(NewSettings {
            title: (*title > 0).then(|| "t".repeat(usize::from(*title) - 1)),
            history: all.map(|all| if all { History::All } else { History::FromJoin }),
            announcements: *announcements,
            slow_s: *slow_s,
            ..NewSettings::default()
        })),
        Template::Invite { uses } => {
            ChatAct::InviteMade { hash: format!("hash {}", id.0), expires_ms: None, max_uses: *uses }
        }
        Template::Revoke { invite: number } => ChatAct::InviteRevoked { invite: invite(*number) },
        Template::Accept => ChatAct::Accepted { members_max: Some(4) },
        Template::Decline => ChatAct::Declined {},
        Template::Depart => ChatAct::Departed {},
        Template::Create { .. } | Template::Bar { .. } => unreachable!("they are made elsewhere"),
    }
}

fn answer(outcome: &ChatOutcome) -> Answer {
    match (outcome.refused, outcome.repeat) {
        (Some(refusal), None) => Answer::Refused(refusal),
        (Some(refusal), Some(_)) => Answer::RefusedAgain(refusal),
        (None, Some((_, seq))) => Answer::Again(seq),
        (None, None) => outcome.seq.filter(|_| outcome.system.is_none()).map_or(Answer::Done, Answer::Placed),
    }
}

/// Rows of a conversation say what the model says.
fn check(stored: &Stored, id: Id, model: &Group) {
    let conversation = stored.conversation(id);
    let head = conversation.head;
    assert_eq!(head.last_seq, model.messages.len() as u64, "numbers without holes");
    assert_eq!(head.change_seq, model.changes);
    assert_eq!(head.members as usize, model.members().len());
    let Some(info) = &conversation.info else { return };
    assert_eq!((info.created, &info.title, &info.pins), (model.created, &model.title, &model.pins));
    assert_eq!((info.pending, info.history == History::All), (model.pending, model.all_history));
    for (seq, message) in (1..).zip(&model.messages) {
        let key = tables::numbered(tables::MESSAGES, id, seq);
        let row: MessageRow = from_json(stored.get(&key).unwrap_or_else(|| panic!("a hole at {seq}"))).unwrap();
        assert_eq!((row.id, row.by, row.recalled.is_some()), (message.id, message.by, message.recalled));
        let edit = stored.get(&tables::state(id, seq, tables::Which::Text));
        let edit: Option<EditRow> = edit.map(|bytes| from_json(bytes).unwrap());
        assert_eq!(edit.as_ref().map_or(0, |edit| edit.number), if message.recalled { 0 } else { message.edits });
        assert_eq!(edit.map_or(row.words.text, |edit| edit.words.text), message.text);
        for number in 1..=message.edits {
            let is_there = stored.get(&tables::edit(id, seq, number)).is_some();
            assert_eq!(is_there, !message.recalled, "what was recalled leaves no earlier words");
        }
        let reactions = stored.get(&tables::state(id, seq, tables::Which::Reactions));
        let reactions: Vec<ReactionRow> = reactions.map_or_else(Vec::new, |bytes| from_json(bytes).unwrap());
        let expected: Vec<ReactionRow> = (message.reactions.iter())
            .map(|(emoji, people)| ReactionRow {
                emoji: emoji.clone(),
                count: people.len() as u32,
                latest: people.clone(),
            })
            .collect();
        assert_eq!(reactions, expected);
    }
    let people: BTreeMap<Id, MemberRow> = conversation.people.iter().copied().collect();
    assert_eq!(people.keys().collect::<Vec<_>>(), model.people.keys().collect::<Vec<_>>());
    for (user, row) in people {
        let person = &model.people[&user];
        assert_eq!((row.role, row.presence, row.joined), (person.role, person.presence, person.joined));
        assert_eq!(row.visible_from, person.visible_from);
        let mark = stored.get(&tables::mark(id, user, tables::MarkOf::Read));
        let mark = mark.and_then(|bytes| MarkRow::from_bytes(bytes)).unwrap_or_default();
        let unread = head.counted.saturating_sub(mark.counted.max(row.counted));
        assert_eq!(unread, model.unread(user), "unread of {user} is what a recount gives");
        let activity = stored.get(&RowKey::new(tables::ACTIVITY, user.to_bytes().to_vec(), id.to_bytes().to_vec()));
        let activity = ActivityRow::from_bytes(activity.expect("a member has it in the list")).unwrap();
        assert_eq!(activity.gone, row.is_gone());
        if row.is_in() {
            assert_eq!(Some(&activity.minute), model.minutes.last(), "the list shows the last minute");
        }
    }
    let named = stored.0.iter().filter(|(key, (_, value))| key.table == tables::MENTIONED && value.is_some());
    let of_it = named.filter(|(key, _)| key.clustering.starts_with(&id.to_bytes()));
    let named: BTreeSet<(Id, u64)> = of_it
        .map(|(key, _)| (Id::from_bytes(&key.partition).unwrap(), tables::number_in(&key.clustering[8..]).unwrap()))
        .collect();
    assert_eq!(named, model.named);
    uses::check(stored, id, model);
    // Whoever leaves nobody behind leaves word of it.
    let nobody = model.people.values().all(|person| matches!(person.presence, Membership::Left | Membership::Removed));
    let is_told = stored.get(&tables::emptied(id)).is_some();
    assert!(!nobody || model.people.is_empty() || is_told, "nobody is in {id:?}");
}

fn run(steps: &[Step]) -> (Vec<(ChatRecord, ChatOutcome)>, Stored) {
    let (mut state, mut stored, mut model) = (ChatState::default(), Stored::default(), BTreeMap::<Id, Group>::new());
    let (mut now_ms, mut told) = (START_MS, Vec::new());
    let mut last = Id(0);
    for step in steps {
        now_ms += step.wait_ms;
        let id = Id((now_ms << 22).max(last.0 + 1));
        let Some(record) = record(step, id, &model) else { continue };
        last = id;
        if step.forget {
            state = ChatState::default();
        }
        stored.load(&record, &mut state);
        let mut batch = Batch::default();
        let outcome = apply(&mut state, &record, &mut batch).unwrap();
        if let ChatAct::Erased { .. } = record.act {
            // Nothing is asked of the model: no person does it. What is there afterwards is what a recall leaves.
            continue_erased(&mut model, &record, &outcome);
        } else {
            let expected = model.entry(record.conversation).or_default().apply(&record);
            assert_eq!(answer(&outcome), expected, "{record:?}");
        }
        let line = line::encode(&record, &outcome).unwrap();
        let (read, mut read_outcome) = line::decode(&line).unwrap();
        read_outcome.audience.clone_from(&outcome.audience);
        assert_eq!((&read, &read_outcome), (&record, &outcome), "a line reads back");
        let mut again = Batch::default();
        rows(&read, &read_outcome, &mut again).unwrap();
        assert_eq!(again, batch, "rows follow from the line alone");
        stored.write(&batch);
        check(&stored, record.conversation, &model[&record.conversation]);
        told.push((record, outcome));
    }
    (told, stored)
}

fn continue_erased(model: &mut BTreeMap<Id, Group>, record: &ChatRecord, outcome: &ChatOutcome) {
    let group = model.entry(record.conversation).or_default();
    for (seq, ..) in &outcome.remains {
        let message = &mut group.messages[*seq as usize - 1];
        assert!(message.by == record.actor && !message.system && !message.recalled);
        group.ends.extend(message.media.map(|media| (media, record.id)));
        message.recalled = true;
        message.text.clear();
        message.reactions.clear();
        group.pins.retain(|pin| pin != seq);
        group.changes += 1;
        group.minutes.insert((crate::base::id::unix_ms_of(record.id) / 60_000) as u32);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Answers, numbers, unread, roles, histories, requests and blocks are what the plain rules say, also when the
    /// state is forgotten anywhere and read again from rows.
    #[test]
    fn the_fold_does_what_the_plain_rules_say(steps in prop::collection::vec(step(), 1..120)) {
        run(&steps);
    }

    /// Batches that arrive late, twice, and in any order leave the same rows.
    #[test]
    fn rows_that_come_late_and_twice_change_nothing(
        steps in prop::collection::vec(step(), 1..60),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
    ) {
        let (told, stored) = run(&steps);
        let mut late = Stored::default();
        let write = |late: &mut Stored, (record, outcome): &(ChatRecord, ChatOutcome)| {
            let mut batch = Batch::default();
            rows(record, outcome, &mut batch).unwrap();
            late.write(&batch);
        };
        if !told.is_empty() {
            order.iter().for_each(|index| write(&mut late, &told[index.index(told.len())]));
        }
        told.iter().rev().for_each(|one| write(&mut late, one));
        prop_assert_eq!(late, stored);
    }
}

#[test]
fn a_line_of_a_later_version_says_so_and_unknown_fields_are_refused() {
    let record = ChatRecord { id: Id(9), ..ChatRecord::new(Id(1), Id(2), ChatAct::Left {}) };
    let text = String::from_utf8(line::encode(&record, &ChatOutcome::default()).unwrap().to_vec()).unwrap();
    let later = text.replacen(r#""v":1"#, r#""v":2"#, 1);
    let error = line::decode(later.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("start the version that wrote it"), "{error}");
    for changed in [
        text.replacen(r#""v":1"#, r#""v":1,"w":1"#, 1),
        text.replacen(r#""actor""#, r#""teleports":1,"actor""#, 1),
        text.replacen(r#""type":"left""#, r#""type":"left","teleports":1"#, 1),
        text.replacen(r#""type":"left""#, r#""type":"teleported""#, 1),
        text.replacen(r#""out":{"#, r#""out":{"teleports":1"#, 1),
    ] {
        assert!(changed != text && line::decode(changed.as_bytes()).is_err(), "{changed}");
    }
}

#[test]
fn who_is_too_fast_may_try_again_with_the_same_id() {
    assert!(ChatRefusal::Slow(3).code().is_none());
    for refusal in [
        ChatRefusal::NotFound,
        ChatRefusal::Closed,
        ChatRefusal::Announcements,
        ChatRefusal::ReplyTo,
        ChatRefusal::Kind,
        ChatRefusal::NoMedia,
    ] {
        assert_eq!(refusal.code().and_then(ChatRefusal::of_code), Some(refusal));
    }
}
