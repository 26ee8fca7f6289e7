//! Bounds of groups, and of what one record may take.

use std::sync::Arc;

use fanfare_protocol::{Id, NotificationKind};
use tokio::sync::oneshot;

use super::*;
use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::data::storage::Storage;
use crate::log::events::{EndedFollow, Event, Notice, PostRecord, weight};
use crate::log::handle::{Log, LogSetup};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::roster::Alone;
use crate::log::social::Social;

fn group_of(waiting: &[Proposed<Social>]) -> usize {
    Group::default().fits(waiting, usize::MAX)
}

fn waiting(count: usize, event: &Event) -> Vec<Proposed<Social>> {
    let proposed =
        || Proposed { proposal: event.clone().into(), term: Some(1), answer: Answer::new(oneshot::channel().0, None) };
    std::iter::repeat_with(proposed).take(count).collect()
}

fn post(text: usize, people: u64) -> Event {
    let notice = |user| Notice { user: Id(user), kind: NotificationKind::Mention };
    let post = PostRecord { text: "x".repeat(text), ..PostRecord::default() };
    Event::Posted { post, notify: (1..=people).map(notice).collect() }
}

#[test]
fn a_group_closes_by_records_by_bytes_and_by_rows() {
    assert_eq!(group_of(&waiting(1_000, &Event::Operated)), 256);
    assert_eq!(group_of(&waiting(7, &Event::Operated)), 7);
    let (long, told) = (post(100_000, 0), post(1, 50));
    let by_bytes = |event: &Event| (8 << 20) / weight(event, None, None).bytes;
    let by_rows = |event: &Event| 16_384 / weight(event, None, None).rows;
    assert!(by_bytes(&long) < 256 && by_rows(&long) > 256);
    assert_eq!(group_of(&waiting(1_000, &long)), by_bytes(&long));
    assert!(by_rows(&told) < 256 && by_rows(&told) < by_bytes(&told));
    assert_eq!(group_of(&waiting(1_000, &told)), by_rows(&told));
    // What is larger than a group is one by itself.
    assert_eq!(group_of(&waiting(3, &post(5 << 20, 0))), 1);
}

#[tokio::test]
async fn a_record_of_too_many_rows_is_refused_by_name_and_nothing_is_done() {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let setup = LogSetup {
        clock: Clock::by_hand(1_700_000_000_000),
        numbers: Numbers { others: 1 },
        storage: Storage::default(),
        roster: Arc::new(Alone),
        horizon: Horizon::default(),
    };
    let (log, thread) = Log::open(&engines, vec![], setup).await.unwrap();
    let edge = EndedFollow { follower: Id(1), followee: Id(2), since: Id(3), departed: None, silent: false };
    let blocked = |ended| Event::Blocked { blocker: Id(1), blocked: Id(2), ended: vec![edge; ended] };
    let guard = log.decide(Id(1), &[]).await.unwrap();
    match log.commit(&guard, blocked(200)).await {
        Err(Error::Internal(cause)) => assert!(cause.contains("4096 is the limit"), "{cause}"),
        other => panic!("{other:?}"),
    }
    // The next one is as if it had not been there.
    log.commit(&guard, blocked(100)).await.unwrap();
    let page = engines.journal.read(fanfare_engines::Partition(0), Default::default(), 10).await.unwrap();
    assert_eq!(page.records.len(), 1);
    drop((log, guard));
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
}
