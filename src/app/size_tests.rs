//! Sizes of records: what outcomes add to them, in floods too, and what one record and one group take at most.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_protocol::{Media, MediaKind};

use super::*;
use crate::base::limits::{self, live};
use crate::data::audit::{Action, Actor, Operator};
use crate::data::rows::{
    Counters, Doer, GroupItem, GroupMemory, Known, Left, LinkRow, LiveEdit, LiveRow, Planned, to_json,
};
use crate::data::tables::{self, notification_key};
use crate::data::uncounted::Of;
use crate::log::events::{Derived, SourceRecord};

/// Bytes of the last line, with and without its outcome.
fn sizes(world: &World) -> (usize, usize) {
    let line = world.lines.last().unwrap();
    let text = std::str::from_utf8(line).unwrap();
    let outcome = text.rfind(r#","out":"#).unwrap();
    (line.len(), outcome + 1)
}

/// Counters of people whom many follow, who follow many and wrote much.
fn counters_of_stars() -> Batch {
    let values = [1_234_567, 4_321, 98_765];
    let counters = Counters { values, applied: Id(1), gone: false };
    let mut batch = Batch::default();
    for number in 1..9 {
        batch.put_versioned(Of::User(person(number)).row(), counters.to_bytes(), 1);
    }
    batch
}

/// World of people who are well known.
fn famous() -> World {
    let mut world = World { now_ms: 1, ..World::default() };
    world.rows.write(counters_of_stars());
    world
}

/// A deed of `who` to the first person, or to their post.
fn deed(world: &World, name: &str, who: u64, post: PostRef) -> Event {
    match name {
        "a like" => Event::Liked { user: person(who), post },
        "a follow" => Event::Followed { follower: person(who), followee: post.author, notify: true, silent: false },
        "a plain post" => {
            let text = "Words of a post that says nothing, as most of them do.".to_owned();
            // By somebody whose counters are long.
            let post = PostRecord { author: person(1), text, ..PostRecord::default() };
            Event::Posted { post, notify: vec![] }
        }
        _ => world.event(8, (1, 2), 0).unwrap(),
    }
}

fn post_of_the_first(world: &mut World, folds: &Folds) -> PostRef {
    let post = PostRecord { author: person(1), text: "x".to_owned(), ..PostRecord::default() };
    let (record, _) = world.commit(folds, Event::Posted { post, notify: vec![] });
    PostRef { id: record.id, author: person(1) }
}

#[test]
fn an_outcome_adds_few_bytes_to_a_record_in_a_flood_too() {
    let folds = folds();
    for (name, ratio_max) in
        [("a plain post", 1.25), ("a like", 2.5), ("a follow", 2.5), ("a post with ten mentions", 2.5)]
    {
        let mut world = famous();
        let post = post_of_the_first(&mut world, &folds);
        for number in 1..=600 {
            // Some take it back, and one of them does it again.
            let who = if number == 500 { 411 } else { 10 + number };
            let event = deed(&world, name, who, post);
            let (record, _) = world.commit(&folds, event);
            let (with, without) = sizes(&world);
            let ratio = with as f64 / without as f64;
            if [1, 400, 600].contains(&number) {
                println!(
                    "{name}, number {number} in an hour: {with} bytes, without its outcome {without}: x {ratio:.2}"
                );
            }
            assert!(ratio <= ratio_max, "{name}, number {number}: x {ratio:.2}, {:?}", world.lines.last());
            // Within the hour, and no two as far from each other.
            world.now_ms += 37 + number * 7 % 9_000;
            if (401..450).contains(&number) && record.event.parties().count() == 2 {
                let back = world.taken_back(world.made.len() - 1).unwrap();
                world.commit(&folds, back);
            }
        }
    }
}

/// Step of a flood about one post and its author.
#[derive(Debug, Clone, Copy)]
enum Wave {
    /// People who do it, one after the other.
    Do { what: usize, from: u64, people: u64 },
    /// Deeds are taken back: the latest, or some from long before.
    Undo { latest: bool, deeds: usize },
    /// Somebody else's notification comes between: the group is not the newest.
    Between,
}

fn waves() -> impl Strategy<Value = Vec<Wave>> {
    let done = (0..5_usize, 0..300_u64, 1..90_u64).prop_map(|(what, from, people)| Wave::Do { what, from, people });
    let undone = (any::<bool>(), 1..80_usize).prop_map(|(latest, deeds)| Wave::Undo { latest, deeds });
    prop::collection::vec(prop_oneof![5 => done, 3 => undone, 1 => Just(Wave::Between)], 1..24)
}

/// Somebody whose id has nothing in common with those of others.
fn stranger(number: u64) -> Id {
    Id(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1)
}

/// Deeds that are grouped: two that are news once, and three kinds of posts.
fn flooded(what: usize, who: Id, post: PostRef) -> Event {
    let of = |text: &str, reply: bool| {
        let (reply_to, repost_of) = if reply { (Some(post), None) } else { (None, Some(post)) };
        let kind = if reply { NotificationKind::Reply } else { NotificationKind::Repost };
        let written = PostRecord { author: who, text: text.to_owned(), reply_to, repost_of, ..PostRecord::default() };
        Event::Posted { post: written, notify: vec![Notice { user: post.author, kind }] }
    };
    match what {
        0 => Event::Liked { user: who, post },
        1 => Event::Followed { follower: who, followee: post.author, notify: true, silent: false },
        2 => of("an answer", true),
        3 => of("a quote", false),
        _ => of("", false),
    }
}

impl World {
    /// Commits a deed of a flood, whose outcome for the one person whom it tells has a bound.
    fn flooded(&mut self, folds: &Folds, event: Event, spread: u64) -> usize {
        // Anywhere in the hour and in the sequence of its millisecond.
        self.now_ms += spread * 7_919 % 1_300;
        self.next += 1 + spread * 31 % 17;
        let (_, outcome) = self.commit_as(folds, event, None, None);
        let mut bytes = 0;
        for (name, part) in outcome.parts().filter(|(name, _)| *name == "n") {
            let mut json = Vec::new();
            part.write(&mut json).unwrap();
            bytes = json.len() + name.len() + r#","":"#.len();
        }
        assert!(bytes <= limits::NOTICE_OUTCOME_BYTES_MAX, "{bytes} bytes: {:?}", self.lines.last());
        bytes
    }

    fn wave(&mut self, folds: &Folds, post: PostRef, wave: Wave) -> usize {
        let mut largest = 0;
        match wave {
            Wave::Do { what, from, people } => {
                for number in from..from + people {
                    largest = self.flooded(folds, flooded(what, stranger(number), post), number).max(largest);
                }
            }
            Wave::Undo { latest, deeds } => {
                for number in 0..deeds.min(self.made.len()) {
                    let at = if latest { self.made.len() - 1 } else { (number * 7) % self.made.len() };
                    let Some(back) = self.taken_back(at) else { continue };
                    self.made.remove(at);
                    largest = self.flooded(folds, back, number as u64).max(largest);
                    self.made.pop();
                }
            }
            Wave::Between => {
                let event = Event::Liked { user: stranger(9_999), post: PostRef { id: stranger(self.next), ..post } };
                largest = self.flooded(folds, event, 1);
                self.made.pop();
            }
        }
        largest
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whoever does what, takes it back and does it again: that the weight is never below what comes of it, and that
    /// the rows follow from the line alone, is asserted of each record too.
    #[test]
    fn what_a_record_says_of_somebodys_notifications_has_a_bound(waves in waves()) {
        let folds = folds();
        let mut world = famous();
        let post = post_of_the_first(&mut world, &folds);
        world.made.clear();
        for wave in waves {
            world.wave(&folds, post, wave);
        }
    }
}

/// The most that there is to say: everybody does it twice within the hour, and takes it back.
#[test]
fn the_worst_flood_stays_below_the_bound() {
    let folds = folds();
    let mut largest = BTreeMap::new();
    for what in 0..5 {
        let mut world = famous();
        let post = post_of_the_first(&mut world, &folds);
        world.made.clear();
        for wave in [
            Wave::Do { what, from: 0, people: 300 },
            Wave::Undo { latest: true, deeds: 80 },
            Wave::Between,
            Wave::Do { what, from: 0, people: 300 },
            Wave::Undo { latest: false, deeds: 80 },
            Wave::Between,
            Wave::Do { what, from: 200, people: 100 },
            Wave::Undo { latest: true, deeds: 20 },
        ] {
            let bytes = largest.entry(what).or_default();
            *bytes = world.wave(&folds, post, wave).max(*bytes);
        }
    }
    println!("the largest part of a notice, by the kind of flood: {largest:?} bytes");
    assert!(largest.values().all(|bytes| *bytes > 100), "floods are grouped: {largest:?}");
}

/// Rows of format 1 in the hour of the upgrade: longer than those of today.
fn rows_of_format_1(post: PostRef, at: Id) -> Batch {
    let mut batch = Batch::default();
    let hour = crate::base::id::hour_of(at);
    for kind in [NotificationKind::Like, NotificationKind::Reply, NotificationKind::Repost] {
        let row = |clustering| RowKey::new(tables::NOTIFICATIONS, tables::partition(post.author), clustering);
        let left = (0..64).map(|number| Left { actor: stranger(5_000 + number), first: Id(at.0 + number) }).collect();
        let memory = GroupMemory { events: 500, left, full: true, ..GroupMemory::default() };
        batch.put_versioned(row(notification_key::group(kind, post.id, hour)), to_json(&memory).unwrap(), 2);
        let mut group = GroupItem { more: 1_000, below: at, ..GroupItem::new(kind, at) };
        let doer = |number| Doer { actor: stranger(number), record: Id(at.0 + 900 - number), earlier: Some(at) };
        group.newest = (0..limits::GROUP_NAMED_FORMAT_1_MAX as u64).map(doer).collect();
        let known = |number| Known { actor: stranger(7_000 + number), deeds: 1_000 };
        group.known = (0..limits::GROUP_KNOWN_FORMAT_1_MAX as u64).map(known).collect();
        let place = notification_key::listed(hour, kind, post.id);
        batch.put_versioned(row(notification_key::grouped(&place)), to_json(&group).unwrap(), 2);
        batch.put_versioned(row(place), Bytes::new(), 2);
    }
    batch
}

/// Text of letters that take three bytes each.
fn long(chars: usize) -> String {
    "\u{5b89}".repeat(chars)
}

/// People who are named in a post, more than hear of it.
fn named() -> Vec<Id> {
    (0..2_000).map(|number| stranger(20_000 + number)).collect()
}

/// A post with as much in it as there can be, and more.
fn long_post(post: PostRef) -> Event {
    let media = Media {
        id: person(3),
        url: "/media/2118412345678905344/original".to_owned(),
        kind: MediaKind::Image,
        content_type: "image/jpeg".to_owned(),
        bytes: u64::MAX,
        width: Some(u32::MAX),
        height: Some(u32::MAX),
        thumbnail_url: Some("/media/2118412345678905344/thumbnail".to_owned()),
        alt: Some("\n".repeat(1_500)),
        notice: Some("n".repeat(200)),
        expires_at: None,
    };
    let named = named();
    let mentions = named.iter().map(|id| Mention { id: *id, handle: "h".repeat(30) }).collect();
    let told = named.iter().take(limits::POST_NOTICES_MAX);
    let mut notify: Vec<Notice> =
        told.clone().map(|user| Notice { user: *user, kind: NotificationKind::Mention }).collect();
    notify[0] = Notice { user: post.author, kind: NotificationKind::Reply };
    let written = PostRecord {
        author: person(2),
        text: "\"".repeat(100_000),
        mentions,
        links: vec!["https://example.com/".repeat(10); 1_000],
        media: vec![media; limits::POST_MEDIA_MAX],
        reply_to: Some(post),
        repost_of: Some(post),
        ..PostRecord::default()
    };
    Event::Posted { post: written, notify }
}

/// Events of every kind with as much in them as the services let through.
fn heaviest(post: PostRef) -> Vec<Event> {
    let named = named();
    let user = UserRow {
        id: person(1),
        handle: "h".repeat(30),
        display_name: Some("\u{5b89} ".repeat(limits::DISPLAY_NAME_CHARS_MAX / 2)),
        bio: "\n".repeat(limits::BIO_CHARS_MAX),
        ..UserRow::default()
    };
    let edge = |follower, followee| EndedFollow {
        follower,
        followee,
        since: Id(post.id.0 + 1),
        departed: Some(Id(post.id.0 + 2)),
        silent: false,
    };
    let (one, other) = (person(1), person(2));
    let old_display_name = Some(long(limits::DISPLAY_NAME_CHARS_MAX));
    vec![
        Event::UserCreated { user: user.clone() },
        Event::ProfileChanged { user: user.clone(), old_display_name },
        Event::UserDeleted { user },
        Event::IdBurnt { user: person(4) },
        Event::Followed { follower: other, followee: one, notify: true, silent: true },
        Event::Unfollowed(edge(other, one)),
        Event::Blocked { blocker: one, blocked: other, ended: vec![edge(one, other), edge(other, one)] },
        Event::Unblocked { blocker: one, blocked: other },
        Event::Muted { muter: one, muted: other },
        Event::Unmuted { muter: one, muted: other },
        long_post(post),
        Event::Posted {
            post: PostRecord { author: stranger(5_001), repost_of: Some(post), ..PostRecord::default() },
            notify: vec![Notice { user: post.author, kind: NotificationKind::Repost }],
        },
        Event::PostDeleted {
            post: Id(post.id.0 + 890),
            author: stranger(10),
            reply_to: Some(post),
            repost_of: Some(post),
            bare_repost: true,
            purged: false,
            mentioned: named.clone(),
            told: named.iter().take(limits::POST_NOTICES_MAX).copied().chain([post.author]).collect(),
        },
        Event::Liked { user: stranger(5_001), post },
        Event::Unliked { user: stranger(10), post, since: Id(post.id.0 + 890) },
        Event::Suspended { user: other, reason: long(limits::REASON_CHARS_MAX), until_ms: Some(u64::MAX / 2) },
        Event::Unsuspended { user: other },
        Event::Operated,
        Event::Referred {
            author: stranger(5_001),
            reply_to: None,
            repost_of: Some(post),
            bare_repost: true,
            notify: vec![Notice { user: post.author, kind: NotificationKind::Repost }],
        },
        Event::FollowRefused(edge(other, one)),
        Event::Derived(Derived {
            from: SourceRecord { partition: 1, id: Id(post.id.0 + 3), after: Id(post.id.0 + 2) },
            to: 0,
            effect: Some(Box::new(Event::Blocked { blocker: one, blocked: other, ended: vec![edge(one, other)] })),
        }),
    ]
    .into_iter()
    .chain(heaviest_of_sessions(post))
    .chain(heaviest_of_chat(post))
    .chain(heaviest_of_links())
    .collect()
}

/// People asked and added, as many as a group has members.
fn heaviest_of_chat(post: PostRef) -> Vec<Event> {
    let people: Vec<Id> = (0..limits::chat::GROUP_MEMBERS_MAX as u64).map(|number| stranger(number + 1)).collect();
    let (asked, added) = people.split_at(people.len() / 2);
    let (asked, added) = (asked.to_vec(), added.to_vec());
    let approached = Event::Approached { by: person(1), conversation: post.id, asked, added };
    let from = SourceRecord { partition: 1, id: Id(post.id.0 + 4), after: Id(post.id.0 + 3) };
    let derived = Derived { from, to: 0, effect: Some(Box::new(approached.clone())) };
    vec![approached, Event::Derived(derived)]
}

/// A session whose every plan was changed, with titles and addresses as long as they may be.
fn planned_session(post: PostRef) -> LiveRow {
    let plan = |number| Planned { by: Id(post.id.0 + number), at_ms: u64::MAX };
    let planned = (0..=live::STARTS_AT_CHANGES_MAX as u64).map(plan).collect();
    let title = "\"".repeat(live::TITLE_CHARS_MAX);
    let id = Id(post.id.0 + 1);
    LiveRow { planned, ..LiveRow::announced(id, post.author, title, u64::MAX) }
}

fn heaviest_of_sessions(post: PostRef) -> Vec<Event> {
    let LiveRow { id: session, host, title, .. } = planned_session(post);
    let url = || "https://example.com/".repeat(100);
    let edit = LiveEdit { title: Some(long(live::TITLE_CHARS_MAX)), starts_at_ms: None, replay_url: None };
    let recording = LiveEdit { replay_url: Some(Some(url())), ..LiveEdit::default() };
    vec![
        Event::LiveAnnounced { host, title, starts_at_ms: u64::MAX },
        Event::LiveEdited { session, host, edit },
        Event::LiveStarted { session, host },
        Event::LiveReminded {
            session,
            host,
            people: named().into_iter().take(live::REMINDED_AT_ONCE).collect(),
            upto: post.id,
        },
        Event::LiveEnded { session, host, replay_url: Some(url()), policy: crate::data::rows::Policy::default() },
        Event::LiveEdited { session, host, edit: recording },
        Event::LiveRemoved { session, host, ended: Some(post.id) },
    ]
}

fn heaviest_of_links() -> Vec<Event> {
    let code = || "a".repeat(64);
    let link = LinkRow {
        id: person(6),
        owner: person(1),
        url: "https://example.com/".repeat(102),
        own_expiry: true,
        expires_ms: Some(u64::MAX / 2),
        max_visits: Some(u32::MAX),
        password: Some("p".repeat(200)),
        ..LinkRow::default()
    };
    let changed = LinkRow { made: Some(Box::new((&link).into())), ..link.clone() };
    vec![
        Event::LinkCreated { code: code(), claim: Some(person(5)), link: link.clone(), number: Some(u64::MAX) },
        Event::LinkChanged { code: code(), link: changed },
        Event::LinkDeleted { code: code(), link: person(6), owner: person(1) },
    ]
}

/// The weight of each is above what it makes ([`World::commit_as`] asserts it), over rows of format 1 too.
#[test]
fn a_record_of_any_kind_has_few_rows_and_no_more_bytes_than_was_said_before() {
    let folds = folds();
    let address = "2001:db8::1".parse().unwrap();
    let (mut kinds, mut most) = (BTreeSet::new(), 0);
    for is_old in [true, false] {
        let mut world = famous();
        let post = post_of_the_first(&mut world, &folds);
        if is_old {
            world.rows.write(rows_of_format_1(post, Id(post.id.0 + 1)));
        } else {
            world.wave(&folds, post, Wave::Do { what: 3, from: 0, people: 300 });
            world.wave(&folds, post, Wave::Do { what: 0, from: 0, people: 300 });
        }
        let session = planned_session(post);
        let mut planned = Batch::default();
        planned.put_versioned(tables::by_id(tables::LIVE, session.id), to_json(&session).unwrap(), 2);
        world.rows.write(planned);
        let operator = Operator { actor: Actor::Person(person(1)), address };
        for event in heaviest(post) {
            kinds.insert(serde_json::to_value(&event).unwrap()["type"].as_str().unwrap().to_owned());
            world.next += 1;
            let key = IdempotencyKey {
                caller: person(1),
                route: "POST /v1/posts".to_owned(),
                key: "k".repeat(255),
                body_hash: "ab".repeat(32),
            };
            let target = "t".repeat(limits::AUDIT_TARGET_CHARS_MAX);
            let act = operator.act(Action::Suspend, target, Some("\u{5b89}".repeat(limits::REASON_CHARS_MAX)));
            world.next += 1_000;
            let (record, _) = world.commit_as(&folds, event, Some(key), Some(act));
            let rows = weight(&record.event, record.idempotency.as_ref(), record.audit.as_ref()).rows;
            most = most.max(rows);
            assert!(rows <= limits::RECORD_ROWS_MAX, "{rows} rows: {record:?}");
        }
    }
    assert_eq!(kinds.len(), known_kinds(), "{kinds:?}");
    println!("the most rows of a record: {most} of {}", limits::RECORD_ROWS_MAX);
}

/// Number of kinds of events: a reader of an unknown one lists those that it knows.
fn known_kinds() -> usize {
    let error = serde_json::from_str::<Event>(r#"{"type":"?"}"#).unwrap_err().to_string();
    error.split_once("expected one of ").unwrap().1.matches('`').count() / 2
}
