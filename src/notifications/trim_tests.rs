//! The race of trimming and folding: what removes the oldest is read at one moment and written at a later one, and
//! whatever happens in between stays, whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fanfare_engines::Batch;
use fanfare_protocol::NotificationKind;
use proptest::prelude::*;

use super::*;
use crate::base::clock::Clock;
use crate::base::id::first_id_at;
use crate::follows::fold::FollowFold;
use crate::log::events::{Event, PostRef, Record};
use crate::log::fold::{Fold, Folds, Keys, State};
use crate::log::spread::Spread;
use crate::notifications::fold::{NotificationFold, notified};
use crate::posts::fold::PostFold;

const ANN: Id = Id(1);
const START_MS: u64 = 1_700_000_000_000;
const GROUP_AFTER: u64 = 1;
const KEPT_MAX: u64 = 6;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Likes a post of Ann's, or takes it back.
    Toggle { person: u64, post: u64 },
    /// Somebody looks for what is to be trimmed.
    Read,
    /// Rows that were found first are removed.
    Write,
    /// The next hour begins.
    Hour,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let toggle = (0..12_u64, 0..6_u64).prop_map(|(person, post)| Step::Toggle { person, post });
    prop::collection::vec(
        prop_oneof![12 => toggle, 2 => Just(Step::Read), 2 => Just(Step::Write), 1 => Just(Step::Hour)],
        1..160,
    )
}

struct World {
    store: Store,
    now_ms: u64,
    next: u64,
    /// Likes: who likes what, since which record.
    likes: BTreeMap<(Id, Id), Id>,
    seq: u64,
    /// Found and not yet removed.
    trims: Vec<Batch>,
}

impl World {
    fn new() -> Self {
        let store = Store::new(fanfare_engines::memory::open(1).unwrap(), Clock::by_hand(START_MS));
        let (likes, trims) = (BTreeMap::new(), Vec::new());
        Self { store, now_ms: START_MS, next: 0, likes, seq: 0, trims }
    }

    async fn happens(&mut self, event: impl FnOnce(Id) -> Event) -> Id {
        self.next += 1;
        let id = Id(first_id_at(self.now_ms).0 + self.next);
        let record = Record { id, event: event(id), idempotency: None, import_line: None, audit: None };
        let products: [Arc<dyn Fold>; 3] = [
            Arc::new(FollowFold::default()),
            Arc::new(PostFold::default()),
            Arc::new(NotificationFold { spread: Spread::ONE, group_after: GROUP_AFTER }),
        ];
        let folds: Folds = products.into_iter().collect();
        let (mut keys, mut state, mut batch) = (Keys::default(), State::default(), Batch::default());
        folds.keys(&record, &mut keys);
        for (key, own) in keys {
            let value = self.store.get(&key).await.unwrap();
            state.load(key, value, own);
        }
        let outcome = folds.fold(&record, &mut state, &mut batch).unwrap();
        let notified: Vec<_> = notified(&outcome).collect();
        self.seq = notified.iter().map(|one| one.seq).max().unwrap_or(self.seq).max(self.seq);
        self.store.write(batch).await.unwrap();
        id
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Toggle { person, post } => {
                let (user, post) = (Id(100 + person), PostRef { id: Id(10 + post), author: ANN });
                match self.likes.remove(&(user, post.id)) {
                    Some(since) => drop(self.happens(|_| Event::Unliked { user, post, since }).await),
                    None => {
                        let since = self.happens(|_| Event::Liked { user, post }).await;
                        self.likes.insert((user, post.id), since);
                    }
                }
            }
            Step::Read => {
                let Some(upto) = self.seq.checked_sub(KEPT_MAX) else { return };
                self.trims.push(without_oldest(&self.store, ANN, upto, 100).await.unwrap());
            }
            Step::Write if self.trims.is_empty() => {}
            Step::Write => {
                let batch = self.trims.remove(0);
                self.store.write(batch).await.unwrap();
            }
            Step::Hour => self.now_ms += 3_600_000,
        }
    }

    /// Live rows of the list that begin so.
    async fn rows(&self, first: u8) -> Vec<Row> {
        scan(&self.store, ANN, KeyRange::prefix(&[first]), Order::Ascending, 10_000).await.unwrap()
    }

    async fn check(&self, last: Option<Id>) {
        let places: BTreeSet<Bytes> =
            self.rows(notification_key::LISTED).await.into_iter().map(|row| row.clustering).collect();
        let mut groups = BTreeMap::new();
        for row in self.rows(notification_key::GROUPED).await {
            let item: GroupItem = from_json(&row.value).unwrap();
            let (hour, subject) = notification_key::of_listed(&row.clustering).unwrap();
            let place = notification_key::listed(hour, NotificationKind::Like, subject);
            assert!(places.contains(&place), "a group without its place: {item:?}");
            groups.insert((hour, subject), item);
        }
        assert_eq!(places.len(), groups.len(), "places without a group: {places:?}");
        let mut in_groups: BTreeMap<(u32, Id), u64> = BTreeMap::new();
        let mut items = BTreeMap::new();
        for row in self.rows(notification_key::ITEM).await {
            let (id, item) =
                (Id::from_bytes(&row.clustering[1..]).unwrap(), from_json::<NotificationRow>(&row.value).unwrap());
            assert_eq!(self.likes.get(&(item.actor, item.post.unwrap())), Some(&id), "nobody does it: {item:?}");
            items.insert(id, item);
        }
        for ((_, post), since) in self.likes.iter().filter(|(_, since)| !items.contains_key(since)) {
            *in_groups.entry((hour_of(*since), *post)).or_default() += 1;
        }
        for (of, item) in &groups {
            let who = in_groups.get(of).copied().unwrap_or_default();
            // What was trimmed as an item is in no group; nobody is in it who does not do it.
            assert!(item.count(|_| false) <= who, "{item:?} counts more than {who}");
            assert!(!item.is_empty(), "{item:?} is of nobody");
        }
        // What came last is listed, whatever is being trimmed beside it.
        if let Some(last) = last {
            let post = self.likes.iter().find(|(_, since)| **since == last).map(|((_, post), _)| *post).unwrap();
            let group = groups.get(&(hour_of(last), post));
            let named = group.is_some_and(|group| group.newest.iter().any(|doer| doer.record == last));
            assert!(items.contains_key(&last) || named, "{last} is lost");
        }
        for item in items.values().map(|item| item.seq).chain(groups.values().map(|item| item.seq)) {
            assert!(item <= self.seq);
        }
    }
}

fn live(steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        // Who did something since the last two removals were looked for: it must be there.
        let mut newest: Option<Id> = None;
        for step in steps {
            let before = world.likes.clone();
            world.step(step).await;
            if let Some((_, since)) = world.likes.iter().find(|(key, _)| !before.contains_key(*key)) {
                newest = Some(*since);
            }
            newest = newest.filter(|newest| world.likes.values().any(|since| since == newest));
            // What was looked for after it may take it, when it is old enough by then.
            if matches!(step, Step::Read) && world.seq > KEPT_MAX {
                newest = None;
            }
            world.check(newest).await;
        }
        let last = Step::Toggle { person: 99, post: 99 };
        world.step(last).await;
        while !world.trims.is_empty() {
            world.step(Step::Write).await;
        }
        world.check(world.likes.get(&(Id(199), Id(109))).copied()).await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_comes_between_the_look_and_the_removal_stays_whole(steps in steps()) {
        live(steps);
    }
}
