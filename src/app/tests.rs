//! Records with their outcomes, over all products: the rows that the owner writes are those that follow from the lines
//! of the journal alone, however often; and what all of it takes.

#[cfg(test)]
#[path = "size_tests.rs"]
mod sizes;

use std::collections::BTreeMap;

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Id, Mention, NotificationKind};
use proptest::prelude::*;

use super::*;
use crate::base::id::first_id_at;
use crate::data::audit::Act;
use crate::data::rows::{PostRecord, PostRef, UserRow};
use crate::log::events::{EndedFollow, Event, IdempotencyKey, Notice, Record, weight};
use crate::log::fold::{Folds, Keys, State};
use crate::log::line;
use crate::log::outcome::Outcome;

const START_MS: u64 = 1_767_607_200_000;

fn folds() -> Folds {
    products(2).0.into_iter().filter_map(|product| product.fold).collect()
}

/// Rows as an engine keeps them: the highest version of each wins, and of equal ones the last.
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

    fn fold(&self, folds: &Folds, record: &Record) -> (Outcome, Batch) {
        let (mut keys, mut state, mut batch) = (Keys::default(), State::default(), Batch::default());
        folds.keys(record, &mut keys);
        for (key, own) in keys {
            let value = self.0.get(&key).and_then(|(_, value)| value.clone());
            state.load(key, value, own);
        }
        let outcome = folds.fold(record, &mut state, &mut batch).unwrap();
        (outcome, batch)
    }
}

/// Server without services: records are committed, and their lines kept.
#[derive(Default)]
struct World {
    rows: Rows,
    lines: Vec<Bytes>,
    /// Records that may be taken back.
    made: Vec<(Id, Event)>,
    next: u64,
    now_ms: u64,
}

impl World {
    fn commit(&mut self, folds: &Folds, event: Event) -> (Record, Outcome) {
        self.next += 1;
        self.commit_as(folds, event, None, None)
    }

    fn commit_as(
        &mut self,
        folds: &Folds,
        mut event: Event,
        idempotency: Option<IdempotencyKey>,
        audit: Option<Act>,
    ) -> (Record, Outcome) {
        let id = Id(first_id_at(START_MS + self.now_ms).0 + self.next);
        if let Event::Posted { post, notify } = &mut event {
            post.id = id;
            post.told = notify.iter().map(|notice| notice.user).collect();
        }
        self.made.push((id, event.clone()));
        let import_line = self.next.is_multiple_of(7).then_some(self.next);
        let record = Record { id, event, idempotency, import_line, audit };
        let (outcome, batch) = self.rows.fold(folds, &record);
        let weight = weight(&record.event, record.idempotency.as_ref(), record.audit.as_ref());
        assert!(batch.rows.len() <= weight.rows, "{} rows, and {weight:?}: {record:?}", batch.rows.len());
        let line = line::encode(&record, &outcome, folds).unwrap();
        let bytes = |row: &fanfare_engines::RowWrite| {
            row.key.partition.len() + row.key.clustering.len() + row.value.as_ref().map_or(0, Bytes::len)
        };
        let bytes = line.len() + batch.rows.iter().map(bytes).sum::<usize>();
        assert!(bytes <= weight.bytes, "{bytes} bytes, and {weight:?}: {record:?}");
        assert_same(folds, &line, &record, &batch);
        self.rows.write(batch);
        self.lines.push(line);
        (record, outcome)
    }
}

/// The line alone says the same.
fn assert_same(folds: &Folds, line: &Bytes, record: &Record, batch: &Batch) {
    let (read, outcome) = line::decode(line, folds).unwrap();
    assert_eq!(read, *record);
    let outcome = outcome.unwrap();
    let mut again = Batch::default();
    folds.rows(&read, &outcome, &mut again).unwrap();
    assert_eq!(again, *batch, "{}", String::from_utf8_lossy(line));
    assert_eq!(line::encode(&read, &outcome, folds).unwrap(), line, "a line reads back as it was written");
}

#[derive(Debug, Clone)]
enum Step {
    Does { what: u8, who: u64, whom: u64, which: usize },
    TakesBack(usize),
    Waits(u64),
}

fn acts() -> impl Strategy<Value = Vec<Step>> {
    let does = (0..14_u8, 1..9_u64, 1..5_u64, any::<usize>()).prop_map(|(what, who, whom, which)| Step::Does {
        what,
        who,
        whom,
        which,
    });
    let waits = prop_oneof![3 => 1_000..90_000_u64, 1 => Just(3_600_000)].prop_map(Step::Waits);
    let back = any::<usize>().prop_map(Step::TakesBack);
    prop::collection::vec(prop_oneof![8 => does, 3 => back, 2 => waits], 1..120)
}

fn person(number: u64) -> Id {
    Id((1_u64 << 60) + number * 4_194_304_000)
}

fn user(number: u64) -> UserRow {
    let names = [None, Some("Ann of the Hill"), Some("One Two Three Four Five Six Seven Eight"), Some("安")];
    let display_name = names[number as usize % names.len()].map(str::to_owned);
    UserRow { id: person(number), handle: format!("person_{number}"), display_name, ..UserRow::default() }
}

impl World {
    fn post(&self, which: usize) -> Option<PostRef> {
        let posts: Vec<PostRef> = self
            .made
            .iter()
            .filter_map(|(id, event)| match event {
                Event::Posted { post, .. } => Some(PostRef { id: *id, author: post.author }),
                _ => None,
            })
            .collect();
        // Few are popular.
        (!posts.is_empty()).then(|| posts[which % posts.len().min(3)])
    }

    fn event(&self, what: u8, (who, whom): (u64, u64), which: usize) -> Option<Event> {
        let (one, other) = (person(who), person(whom));
        let text = "a few words".to_owned();
        let post = PostRecord { author: one, text, ..PostRecord::default() };
        let notice = |user, kind| if user == one { vec![] } else { vec![Notice { user, kind }] };
        Some(match what {
            0 => Event::UserCreated { user: user(who) },
            1 => Event::ProfileChanged { user: user(who), old_display_name: user(whom).display_name },
            2 => Event::UserDeleted { user: user(who) },
            3 | 4 => Event::Followed { follower: one, followee: other, notify: what == 3, silent: what == 4 },
            5 => Event::Muted { muter: one, muted: other },
            6 => Event::Suspended { user: one, reason: "because".to_owned(), until_ms: Some(START_MS * whom) },
            7 => Event::Posted { post, notify: vec![] },
            8 => {
                let named = (1..=10).map(|number| person(20 + number));
                let mentions = named.clone().map(|id| Mention { id, handle: format!("p{}", id.0) }).collect();
                let notify = named.map(|user| Notice { user, kind: NotificationKind::Mention }).collect();
                Event::Posted { post: PostRecord { mentions, ..post }, notify }
            }
            9 => {
                let parent = self.post(which)?;
                let notify = notice(parent.author, NotificationKind::Reply);
                Event::Posted { post: PostRecord { reply_to: Some(parent), ..post }, notify }
            }
            10 | 11 => {
                let original = self.post(which)?;
                let text = if what == 10 { String::new() } else { "yes".to_owned() };
                let notify = notice(original.author, NotificationKind::Repost);
                Event::Posted { post: PostRecord { text, repost_of: Some(original), ..post }, notify }
            }
            12 => Event::Liked { user: one, post: self.post(which)? },
            _ => Event::Operated,
        })
    }

    fn taken_back(&self, which: usize) -> Option<Event> {
        if self.made.is_empty() {
            return None;
        }
        let (since, event) = &self.made[which % self.made.len()];
        let since = *since;
        Some(match event {
            Event::Followed { follower, followee, silent, .. } => {
                let edge = |follower, followee| EndedFollow {
                    follower,
                    followee,
                    since,
                    departed: (since.0.is_multiple_of(3)).then_some(since),
                    silent: *silent,
                };
                let (one, other) = (edge(*follower, *followee), edge(*followee, *follower));
                match since.0 % 2 {
                    0 => Event::Unfollowed(one),
                    _ => Event::Blocked { blocker: *follower, blocked: *followee, ended: vec![one, other] },
                }
            }
            Event::Muted { muter, muted } => Event::Unmuted { muter: *muter, muted: *muted },
            Event::Blocked { blocker, blocked, .. } => Event::Unblocked { blocker: *blocker, blocked: *blocked },
            Event::Suspended { user, .. } => Event::Unsuspended { user: *user },
            Event::Liked { user, post } => Event::Unliked { user: *user, post: *post, since },
            Event::Posted { post, .. } => crate::posts::service::deletion(post, since.0.is_multiple_of(5)),
            _ => return None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn rows_follow_from_the_lines_of_the_journal_alone(acts in acts()) {
        let folds = folds();
        let mut world = World::default();
        for act in acts {
            let event = match act {
                Step::Waits(ms) => {
                    world.now_ms += ms;
                    continue;
                }
                Step::Does { what, who, whom, which } => world.event(what, (who, whom), which),
                Step::TakesBack(which) => world.taken_back(which),
            };
            let Some(event) = event else { continue };
            world.next += 1;
            let key = world.next.is_multiple_of(5).then(|| IdempotencyKey {
                caller: person(1),
                route: "POST /v1/posts".to_owned(),
                key: world.next.to_string(),
                body_hash: "ab".to_owned(),
            });
            world.commit_as(&folds, event, key, None);
        }
        // Over nothing, and once more over all of it: from anywhere to the end, and each twice.
        let mut again = Rows::default();
        for line in &world.lines {
            again.apply(&folds, line);
        }
        assert_eq!(again, world.rows);
        for line in world.lines.iter().skip(world.lines.len() / 2) {
            again.apply(&folds, line);
            again.apply(&folds, line);
        }
        assert_eq!(again, world.rows);
    }
}

impl Rows {
    fn apply(&mut self, folds: &Folds, line: &Bytes) {
        let (record, outcome) = line::decode(line, folds).unwrap();
        let mut batch = Batch::default();
        folds.rows(&record, &outcome.unwrap(), &mut batch).unwrap();
        self.write(batch);
    }
}

#[test]
fn nothing_that_is_not_understood_is_skipped() {
    let folds = folds();
    let head = r#"{"id":"9","type":"liked","user":"5","post":{"id":"7","author":"1"},"out":"#;
    for (out, good) in [
        (r#"{"c":[[1]]}"#, true),
        (r#"{"c":[0]}"#, true),
        (r#"{"c":[[1]],"n":["TwEBAA"]}"#, true),
        (r#"{"c":[[1],[2]]}"#, false),
        (r#"{"c":[[1,2,3,4]]}"#, false),
        (r#"{"c":[[1]],"n":["TwEBAA","TwEBAA"]}"#, false),
        (r#"{"c":[[1]],"n":["TwEB"]}"#, false),
        (r#"{"c":[[1]],"n":["TwEBAAA"]}"#, false),
        // A bit that nobody knows.
        (r#"{"c":[[1]],"n":["gIACAQ"]}"#, false),
        (r#"{"c":[[1]],"n":["?"]}"#, false),
        (r#"{"c":[[1]],"n":[{"s":1}]}"#, false),
        (r#"{"c":[[1]],"zz":[]}"#, false),
    ] {
        assert_eq!(line::decode(format!("{head}{out}}}").as_bytes(), &folds).is_ok(), good, "{out}");
    }
    assert!(line::decode(format!("{}}}", head.trim_end_matches(r#","out":"#)).as_bytes(), &folds).unwrap().1.is_none());
}
