//! The list, read in pieces, against the whole of it in order.

#[cfg(test)]
#[path = "trim_tests.rs"]
mod trim;

use fanfare_engines::{Batch, RowKey};
use proptest::prelude::*;

use super::*;
use crate::base::clock::Clock;
use crate::base::id::first_id_at;
use crate::data::rows::to_json;
use crate::notifications::group::{GroupItem, GroupRoom};

const ANN: Id = Id(1);
const START_MS: u64 = 1_700_000_000_000;

/// Minutes after the start, and whether it is a group.
type Placed = Vec<(u64, bool)>;

fn rows(placed: &Placed) -> (Batch, Vec<Id>) {
    let (mut batch, mut ids) = (Batch::default(), Vec::new());
    for (number, (minutes, is_group)) in placed.iter().enumerate() {
        let id = Id(first_id_at(START_MS + minutes * 60_000).0 + number as u64);
        let kind = NotificationKind::Like;
        let mut put = |clustering, value: Bytes| {
            batch.put_versioned(RowKey::new(tables::NOTIFICATIONS, tables::partition(ANN), clustering), value, id.0);
        };
        if *is_group {
            let mut item = GroupItem::new(kind, id);
            item.enter(Doer { actor: Id(7), record: id, earlier: None }, GroupRoom::of(kind));
            let place = notification_key::listed(hour_of(id), kind, Id(1_000 + number as u64));
            put(notification_key::grouped(&place), to_json(&item).unwrap());
            put(place, Bytes::new());
        } else {
            let row = NotificationRow { kind, actor: Id(7), post: None, count: 1, seq: 1, chat: None };
            put(notification_key::item(id), to_json(&row).unwrap());
        }
        ids.push(id);
    }
    ids.sort_unstable_by_key(|id| std::cmp::Reverse(*id));
    (batch, ids)
}

async fn pages_are_the_list(placed: Placed, limit: usize) {
    let store = Store::new(fanfare_engines::memory::open(1).unwrap(), Clock::by_hand(START_MS));
    let (batch, expected) = rows(&placed);
    for some in batch.rows.chunks(512) {
        store.write(Batch { rows: some.to_vec() }).await.unwrap();
    }
    let (mut read, mut before) = (Vec::new(), None);
    loop {
        let page = newest(&store, ANN, Id(0), before, limit).await.unwrap();
        before = page.last().map(|entry| entry.id);
        read.extend(page.iter().map(|entry| entry.id));
        if page.len() < limit {
            break;
        }
    }
    assert_eq!(read, expected);
    for after in expected.iter().step_by(7) {
        let above = newest(&store, ANN, *after, None, usize::from(u16::MAX)).await.unwrap();
        let above: Vec<Id> = above.iter().map(|entry| entry.id).collect();
        assert_eq!(above, expected[..expected.iter().position(|id| id == after).unwrap()]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pages_of_any_size_are_the_whole_list_in_order(
        placed in prop::collection::vec((0..400_u64, any::<bool>()), 0..120),
        limit in 1..40_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(pages_are_the_list(placed, limit));
    }
}

/// More groups in an hour than are read at once, in no order of their own.
#[tokio::test]
async fn an_hour_full_of_groups_is_read_whole() {
    let groups = limits::GROUPS_STEP_ROWS as u64 * 2 + 9;
    let placed = (0..groups).map(|number| ((number * 37) % 130, number % 5 > 0)).collect();
    pages_are_the_list(placed, 20).await;
}

/// Very many groups in an hour, as of somebody with thousands of posts that all are liked: a page does not read them
/// all.
#[tokio::test]
async fn of_very_many_groups_in_an_hour_some_are_read_and_those_of_other_hours_all() {
    let store = Store::new(fanfare_engines::memory::open(1).unwrap(), Clock::by_hand(START_MS));
    let many = 2 * limits::GROUPS_HOUR_MAX as u64;
    // The hour before, the full hour, the hour after.
    let placed: Placed = (0..many + 60)
        .map(|number| (60 * (1 + u64::from(number >= 30) + u64::from(number >= many + 30)), true))
        .collect();
    let (batch, ids) = rows(&placed);
    for some in batch.rows.chunks(512) {
        store.write(Batch { rows: some.to_vec() }).await.unwrap();
    }
    let (mut read, mut before) = (Vec::new(), None);
    loop {
        let page = newest(&store, ANN, Id(0), before, 50).await.unwrap();
        before = page.last().map(|entry| entry.id);
        read.extend(page.iter().map(|entry| entry.id));
        if page.len() < 50 {
            break;
        }
    }
    let of_hours =
        |ids: &[Id]| [1, 2, 3].map(|hour| ids.iter().filter(|id| hour_of(**id) == hour_of(ids[0]) + hour - 3).count());
    let [first, full, last] = of_hours(&read);
    assert_eq!([first, last], [30, 30]);
    assert!((limits::GROUPS_HOUR_MAX..=limits::GROUPS_HOUR_MAX + limits::GROUPS_STEP_ROWS).contains(&full), "{full}");
    assert_eq!(of_hours(&ids), [30, many as usize, 30]);
    assert!(read.is_sorted_by(|one, next| one > next));
}
