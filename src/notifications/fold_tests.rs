//! The fold against a plain model: who does what now, and who did it first in its hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::id::first_id_at;
use crate::follows::fold::FollowFold;
use crate::log::events::PostRef;
use crate::log::fold::Folds;
use crate::notifications::list::{Happened, ListEntry};
use crate::posts::fold::PostFold;

const ANN: Id = Id(1);
const GROUP_AFTER: u64 = 2;
/// People who do several of what is grouped: each counts once.
const APART: u64 = limits::GROUP_REPOSTERS_MAX as u64;

fn folds() -> Folds {
    let products: [Arc<dyn Fold>; 3] = [
        Arc::new(FollowFold::default()),
        Arc::new(PostFold::default()),
        Arc::new(NotificationFold { spread: Spread::ONE, group_after: GROUP_AFTER }),
    ];
    products.into_iter().collect()
}

/// Rows of the list, which trimming removes beside the owner.
fn is_trimmed(key: &RowKey) -> bool {
    let list = [notification_key::ITEM, notification_key::LISTED, notification_key::GROUPED];
    key.table == tables::NOTIFICATIONS && key.clustering.first().is_some_and(|first| list.contains(first))
}

/// Rows as an engine keeps them: the highest version of each wins, deletions included.
#[derive(Default, Clone, PartialEq, Debug)]
struct Rows(BTreeMap<RowKey, (u64, Option<Bytes>)>);

impl Rows {
    fn write(&mut self, batch: Batch) {
        for row in batch.rows {
            let stored = self.0.entry(row.key).or_default();
            if row.version >= stored.0 {
                *stored = (row.version, row.value);
            }
        }
    }

    fn commit(&mut self, record: &Record) -> Vec<Notified> {
        let value = |key: &RowKey| self.0.get(key).and_then(|(_, value)| value.clone());
        let folds = folds();
        let (mut keys, mut state) = (Keys::default(), State::default());
        folds.keys(record, &mut keys);
        for (key, own) in keys {
            assert!(!(own && is_trimmed(&key)), "what trimming removes stays in no memory: {key:?}");
            state.load(key.clone(), value(&key), own);
        }
        let mut batch = Batch::default();
        let outcome = folds.fold(record, &mut state, &mut batch).unwrap();
        let notified = notified(&outcome).collect();
        self.write(batch);
        notified
    }

    fn list(&self) -> Vec<ListEntry> {
        let mine = |key: &RowKey| key.table == tables::NOTIFICATIONS && key.partition == tables::partition(ANN);
        let rows = self.0.iter().filter(|(key, _)| mine(key));
        rows.filter_map(|(key, (_, value))| ListEntry::of(&key.clustering, value.as_ref()?).unwrap()).collect()
    }
}

/// Deed that people do and take back: a like of a post, a follow, a repost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Like(u64),
    Follow,
    Repost(u64),
}

impl Deed {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::Like(11),
            1 => Self::Like(12),
            2 => Self::Follow,
            _ => Self::Repost(11),
        }
    }

    fn done(self, by: Id) -> Event {
        let post = |id| PostRef { id: Id(id), author: ANN };
        match self {
            Self::Like(id) => Event::Liked { user: by, post: post(id) },
            Self::Follow => Event::Followed { follower: by, followee: ANN, notify: true, silent: false },
            Self::Repost(id) => {
                let repost_of = Some(post(id));
                let notify = vec![crate::log::events::Notice { user: ANN, kind: NotificationKind::Repost }];
                let post = crate::log::events::PostRecord { author: by, repost_of, ..Default::default() };
                Event::Posted { post, notify }
            }
        }
    }

    fn taken_back(self, by: Id, since: Id, blocks: bool) -> Event {
        let post = |id| PostRef { id: Id(id), author: ANN };
        let edge = EndedFollow { follower: by, followee: ANN, since, departed: None, silent: false };
        match self {
            Self::Like(id) => Event::Unliked { user: by, post: post(id), since },
            Self::Follow if blocks => Event::Blocked { blocker: ANN, blocked: by, ended: vec![edge] },
            Self::Follow => Event::Unfollowed(edge),
            Self::Repost(id) => Event::PostDeleted {
                post: since,
                author: by,
                reply_to: None,
                repost_of: Some(post(id)),
                bare_repost: true,
                purged: false,
                mentioned: vec![],
                told: vec![ANN],
            },
        }
    }

    fn kind(self) -> NotificationKind {
        match self {
            Self::Like(_) => NotificationKind::Like,
            Self::Follow => NotificationKind::Follow,
            Self::Repost(_) => NotificationKind::Repost,
        }
    }

    fn subject(self) -> Id {
        match self {
            Self::Like(id) | Self::Repost(id) => Id(id),
            Self::Follow => Id(0),
        }
    }
}

/// A reply to a post of Ann's or a quote of it: one may write several.
#[derive(Debug, Clone)]
struct Said {
    by: Id,
    quote: bool,
    /// Ann hears of it: neither blocks the other.
    told: bool,
    at: Id,
}

impl Said {
    fn said(&self) -> Event {
        let about = Some(PostRef { id: Id(11), author: ANN });
        let (reply_to, repost_of) = if self.quote { (None, about) } else { (about, None) };
        let kind = self.kind();
        let notify = self.told.then_some(crate::log::events::Notice { user: ANN, kind }).into_iter().collect();
        let text = "yes".to_owned();
        let post = crate::log::events::PostRecord { author: self.by, text, reply_to, repost_of, ..Default::default() };
        Event::Posted { post, notify }
    }

    fn deleted(&self) -> Event {
        let Event::Posted { mut post, notify } = self.said() else { unreachable!() };
        post.told = notify.iter().map(|notice| notice.user).collect();
        post.id = self.at;
        crate::posts::service::deletion(&post, false)
    }

    fn kind(&self) -> NotificationKind {
        if self.quote { NotificationKind::Repost } else { NotificationKind::Reply }
    }
}

/// Truth, kept in the plainest way.
#[derive(Default)]
struct Truth {
    said: Vec<Said>,
    /// Deeds that are done now, by whom, since which record.
    now: BTreeMap<(Deed, Id), Id>,
    /// Deeds done at all in an hour, and by whom: again in that hour is no news, if it was taken back in it.
    rang: BTreeSet<(Deed, Id, u32)>,
    left: BTreeMap<(Deed, u32), Vec<Id>>,
}

/// Kind, subject, hour.
type Of = (NotificationKindOrd, Id, u32);

fn check(rows: &Rows, truth: &Truth) {
    let mut expected: BTreeMap<Of, BTreeSet<(Id, Id)>> = BTreeMap::new();
    for ((deed, actor), since) in &truth.now {
        let of = (deed.kind() as u8, deed.subject(), hour_of(*since));
        expected.entry(of).or_default().insert((*since, *actor));
    }
    for one in truth.said.iter().filter(|one| one.told) {
        expected.entry((one.kind() as u8, Id(11), hour_of(one.at))).or_default().insert((one.at, one.by));
    }
    let (mut ids, mut groups) = (BTreeSet::new(), Vec::new());
    for entry in rows.list() {
        assert!(ids.insert(entry.id), "two of one id: {entry:?}");
        match &entry.what {
            Happened::One { actor, post, count } => {
                assert_eq!(*count, 1);
                let subject = match entry.kind {
                    NotificationKind::Follow => Id(0),
                    NotificationKind::Like => post.unwrap(),
                    _ => Id(11),
                };
                let of = (entry.kind as u8, subject, hour_of(entry.id));
                assert!(expected.get_mut(&of).is_some_and(|who| who.remove(&(entry.id, *actor))), "{entry:?}");
            }
            Happened::Group { item, subject } => groups.push((item.clone(), *subject)),
            Happened::Chat { .. } => panic!("nobody was asked"),
        }
    }
    for (item, subject) in groups {
        assert!(item.newest.len() <= limits::GROUP_NAMED_MAX);
        let who = expected.remove(&(item.kind as u8, subject, hour_of(item.began))).unwrap_or_default();
        let people: BTreeSet<Id> = who.iter().map(|(_, actor)| *actor).collect();
        assert_eq!(item.count(|_| false), people.len() as u64, "{item:?} of {who:?}");
        let named: BTreeSet<(Id, Id)> = item.newest.iter().map(|doer| (doer.record, doer.actor)).collect();
        assert!(named.is_subset(&who), "{item:?} names what is not of {who:?}");
        assert_eq!(named.len(), item.newest.len(), "{item:?} names something twice");
        assert!(!people.is_empty(), "{item:?} is of nobody");
    }
    expected.retain(|_, who| !who.is_empty());
    assert!(expected.is_empty(), "not listed: {expected:?}");
    let key = |first: u8| move |key: &&RowKey| key.clustering.first() == Some(&first);
    let live = || rows.0.iter().filter(|(_, (_, value))| value.is_some()).map(|(key, _)| key);
    let places = live().filter(key(notification_key::LISTED)).map(|key| notification_key::grouped(&key.clustering));
    let contents = live().filter(key(notification_key::GROUPED)).map(|key| key.clustering.clone());
    assert_eq!(places.collect::<BTreeSet<_>>(), contents.collect(), "each group has its place");
}

/// Kinds have no order of their own.
type NotificationKindOrd = u8;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Does it, or takes it back if it is done.
    Toggle { person: u64, deed: u8, blocks: bool },
    /// Crowd of people who one after the other do it and take it back, or the other way round.
    Crowd { deed: u8, people: u64 },
    /// Writes about a post of Ann's.
    Say { person: u64, quote: bool, told: bool },
    /// Deletion of one of those posts.
    Delete { which: usize },
    /// Time goes on.
    Wait { minutes: u64 },
    /// The last records come again.
    Again { last: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let toggle =
        (1..=APART, 0..4_u8, any::<bool>()).prop_map(|(person, deed, blocks)| Step::Toggle { person, deed, blocks });
    let crowd = (0..4_u8, 1..90_u64).prop_map(|(deed, people)| Step::Crowd { deed, people });
    let say = (1..=APART, prop::bool::weighted(0.2), prop::bool::weighted(0.8))
        .prop_map(|(person, quote, told)| Step::Say { person, quote, told });
    let delete = any::<usize>().prop_map(|which| Step::Delete { which });
    let wait = (1..50_u64).prop_map(|minutes| Step::Wait { minutes });
    let again = (1..30_usize).prop_map(|last| Step::Again { last });
    prop::collection::vec(prop_oneof![30 => toggle, 1 => crowd, 30 => say, 20 => delete, 1 => wait, 1 => again], 1..400)
}

/// World of a test: what happens, and what came of it.
struct World {
    rows: Rows,
    truth: Truth,
    records: Vec<Record>,
    now_ms: u64,
}

impl World {
    fn next(&self) -> Id {
        Id(first_id_at(self.now_ms).0 + 1 + self.records.len() as u64)
    }

    fn happens(&mut self, mut event: Event) -> bool {
        let id = self.next();
        if let Event::Posted { post, .. } = &mut event {
            post.id = id;
        }
        let record = Record { id, event, idempotency: None, import_line: None, audit: None };
        let rings = !self.rows.commit(&record).is_empty();
        self.records.push(record);
        rings
    }

    fn toggle(&mut self, person: u64, deed: u8, blocks: bool) {
        let (deed, actor, id) = (Deed::of(deed), Id(100 + person), self.next());
        let hour = hour_of(id);
        let Some(since) = self.truth.now.remove(&(deed, actor)) else {
            self.truth.now.insert((deed, actor), id);
            let left = self.truth.left.get(&(deed, hour)).map_or(&[][..], Vec::as_slice);
            let at = left.iter().position(|who| *who == actor);
            let (known, full) = (at.is_some_and(|at| at < limits::GROUP_LEFT_MAX), left.len() > limits::GROUP_LEFT_MAX);
            let rings = self.happens(deed.done(actor));
            assert_eq!(rings, !known && !full, "{deed:?} {actor:?}");
            assert!(!rings || self.truth.rang.insert((deed, actor, hour)), "{deed:?} {actor:?} rings twice in an hour");
            let at_its_moment = self.rows.list().iter().any(|entry| entry.id == id);
            assert_eq!(at_its_moment, !known, "whoever is new is unread");
            return;
        };
        if hour_of(since) == hour {
            let left = self.truth.left.entry((deed, hour)).or_default();
            if !left.contains(&actor) {
                left.push(actor);
            }
        }
        self.happens(deed.taken_back(actor, since, blocks));
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait { minutes } => self.now_ms += minutes * 60_000,
            Step::Again { last } => {
                let before = self.rows.clone();
                let from = self.records.len().saturating_sub(last);
                for record in &self.records[from..] {
                    assert!(self.rows.commit(record).is_empty(), "{record:?} rings twice");
                }
                assert_eq!(self.rows, before, "what comes again changes nothing");
            }
            Step::Toggle { person, deed, blocks } => self.toggle(person, deed, blocks),
            Step::Crowd { deed, people } => {
                // Who passes on may have quoted too: as many are known apart.
                let people = if Deed::of(deed).kind() == NotificationKind::Repost { people.min(APART) } else { people };
                for person in (1..=people).flat_map(|person| [person, person]) {
                    self.toggle(person, deed, false);
                }
            }
            Step::Say { person, quote, told } => {
                let one = Said { by: Id(100 + person), quote, told, at: self.next() };
                assert_eq!(self.happens(one.said()), told);
                self.truth.said.push(one);
            }
            Step::Delete { .. } if self.truth.said.is_empty() => {}
            Step::Delete { which } => {
                let one = self.truth.said.swap_remove(which % self.truth.said.len());
                self.happens(one.deleted());
            }
        }
    }
}

fn live(steps: Vec<Step>) {
    let (rows, truth) = (Rows::default(), Truth::default());
    let mut world = World { rows, truth, records: Vec::new(), now_ms: 1_700_000_000_000 };
    for step in steps {
        world.step(step);
        check(&world.rows, &world.truth);
    }
    let mut fresh = Rows::default();
    for record in &world.records {
        fresh.commit(record);
    }
    assert_eq!(fresh, world.rows, "what is folded anew is the same");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_list_is_who_does_it_now_and_each_rings_once(steps in steps()) {
        live(steps);
    }
}

/// Each of these is a row that the version before wrote.
#[test]
fn rows_of_the_version_before_are_read_and_taken_back_from() {
    let (old, id) = (first_id_at(1_700_000_000_000), Id(first_id_at(1_700_000_000_000).0 + 9));
    let mut rows = Rows::default();
    let row = |clustering: Bytes| RowKey::new(tables::NOTIFICATIONS, tables::partition(ANN), clustering);
    let mut batch = Batch::default();
    let version = id.0;
    let like = NotificationKind::Like;
    batch.put_versioned(row(notification_key::STATE), format!(r#"{{"seq":3,"applied":"{id}"}}"#), version);
    let memory = format!(r#"{{"events":4,"grouped":"{id}","last_actor":"104"}}"#);
    batch.put_versioned(row(notification_key::group(like, Id(11), hour_of(id))), memory, version);
    let one = r#"{"kind":"like","actor":"101","post":"11","count":1,"seq":1}"#;
    batch.put_versioned(row(notification_key::item(old)), one, version);
    let many = r#"{"kind":"like","actor":"104","post":"11","count":2,"seq":3}"#;
    batch.put_versioned(row(notification_key::item(id)), many, version);
    rows.write(batch);
    let counts = |rows: &Rows| {
        let count = |entry: ListEntry| match entry.what {
            Happened::One { count, .. } => count,
            Happened::Group { item, .. } => item.count(|_| false),
            Happened::Chat { .. } => 1,
        };
        rows.list().into_iter().map(count).collect::<Vec<_>>()
    };
    assert_eq!(counts(&rows), [1, 2]);
    let record =
        |above: u64, event| Record { id: Id(id.0 + above), event, idempotency: None, import_line: None, audit: None };
    rows.commit(&record(1, Deed::Like(11).done(Id(105))));
    assert_eq!(counts(&rows), [1, 2, 1], "who comes now is in a group of today");
    rows.commit(&record(2, Deed::Like(11).taken_back(Id(104), id, false)));
    rows.commit(&record(3, Deed::Like(11).taken_back(Id(101), old, false)));
    assert_eq!(counts(&rows), [1, 1]);
}

/// A like of a flood rewrites the group under its key, in a row that no scan passes: nothing is left of those before.
#[test]
fn a_flood_leaves_one_row_whatever_its_size() {
    let (mut rows, mut keys) = (Rows::default(), BTreeSet::new());
    let start = first_id_at(1_700_000_000_000).0;
    for number in 1..=2_000 {
        let record = Record {
            id: Id(start + number),
            event: Deed::Like(11).done(Id(100 + number)),
            idempotency: None,
            import_line: None,
            audit: None,
        };
        let notified = rows.commit(&record).remove(0);
        keys.extend(rows.0.keys().filter(|key| is_trimmed(key)).cloned());
        assert_eq!(notified.grew, number <= GROUP_AFTER + 1);
    }
    // The items, and of the group its place, which is written once, and what is in it.
    assert_eq!(keys.len() as u64, GROUP_AFTER + 2);
    assert_eq!(rows.list().len() as u64, GROUP_AFTER + 1);
    let first = |byte: u8| rows.0.iter().find(move |(key, _)| key.clustering.first() == Some(&byte));
    let place = first(notification_key::LISTED).map(|(_, (version, _))| *version);
    assert_eq!(place, Some(start + GROUP_AFTER + 1));
    let value = first(notification_key::GROUPED);
    let bytes = value.and_then(|(_, (_, value))| value.as_ref()).map_or(0, Bytes::len);
    assert!(bytes < 2_048, "{bytes} bytes");
}

fn like(number: u64, by: u64, post: u64) -> Record {
    let (id, event) = (Id(first_id_at(1_700_000_000_000).0 + number), Deed::Like(post).done(Id(by)));
    Record { id, event, idempotency: None, import_line: None, audit: None }
}

#[test]
fn a_follow_of_which_nobody_was_told_takes_nobody_out_of_a_group_when_it_ends() {
    let mut rows = Rows::default();
    let record = |number: u64, event| Record { event, ..like(number, 0, 0) };
    let silent = record(1, Event::Followed { follower: Id(99), followee: ANN, notify: false, silent: true });
    assert!(rows.commit(&silent).is_empty());
    for number in 2..40 {
        rows.commit(&record(number, Deed::Follow.done(Id(100 + number))));
    }
    let before = rows.list();
    let edge = EndedFollow { follower: Id(99), followee: ANN, since: silent.id, departed: None, silent: true };
    rows.commit(&record(50, Event::Unfollowed(edge)));
    assert_eq!(rows.list(), before);
    // Whoever follows then is news.
    assert_eq!(rows.commit(&record(51, Deed::Follow.done(Id(99)))).len(), 1);
}
