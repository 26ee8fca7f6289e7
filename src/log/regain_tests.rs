//! Two owners of one partition who take it from each other, over the engine in memory.

use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_engines::{Engines, Partition, memory};
use parking_lot::Mutex;

use super::*;
use crate::base::clock::Clock;
use crate::data::storage::Storage;
use crate::log::events::Event;
use crate::log::handle::{Guard, Log, LogSetup};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::owner::OwnerThreads;
use crate::log::product::{Committed, Listener, Product};
use crate::log::roster::Roster;

/// Roster that may say that another node owns everything.
#[derive(Clone, Default)]
struct Says {
    there: Arc<AtomicBool>,
}

impl Roster for Says {
    fn owner_of(&self, _partition: Partition) -> Assigned {
        if self.there.load(Ordering::SeqCst) { Assigned::There("other".into()) } else { Assigned::Here }
    }

    fn tells_what_is_settled(&self) -> bool {
        // Here they hear of each other by the log alone.
        false
    }
}

/// View that remembers whom it heard follow.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Id>>>);

impl Listener for Heard {
    fn committed(&self, committed: &[Committed], horizon: Id) {
        let mut heard = self.0.lock();
        for one in committed {
            assert!(one.record.id <= horizon);
            let Event::Followed { follower, .. } = one.record.event else { panic!("{:?}", one.record) };
            heard.push(follower);
        }
    }
}

struct Node {
    log: Log,
    heard: Heard,
    says: Says,
    horizon: Horizon,
    _thread: OwnerThreads,
}

async fn open(engines: &Engines, number: u16) -> Node {
    let (heard, says, horizon) = (Heard::default(), Says::default(), Horizon::default());
    let setup = LogSetup {
        clock: Clock::stand_in(1_800_000_000_000),
        numbers: Numbers::of_node(number),
        storage: Storage::default(),
        roster: Arc::new(says.clone()),
        horizon: horizon.clone(),
    };
    let (log, thread) = Log::open(engines, vec![Product::listens(heard.clone())], setup).await.unwrap();
    Node { log, heard, says, horizon, _thread: thread }
}

fn followed(follower: u64) -> Event {
    Event::Followed { follower: Id(follower), followee: Id(2), notify: false, silent: false }
}

async fn guard(node: &Node) -> Guard {
    node.log.decide(Id(1), &[]).await.unwrap()
}

async fn follow(node: &Node, follower: u64) -> Result<Id> {
    let guard = node.log.decide(Id(follower), &[]).await?;
    Ok(node.log.commit(&guard, followed(follower)).await?.id)
}

fn is_unavailable(result: &Result<Id>) -> bool {
    matches!(result, Err(Error::Engine(EngineError::Unavailable(_))))
}

#[tokio::test]
async fn an_owner_that_was_fenced_catches_up_and_goes_on() {
    let engines = memory::open(1).unwrap();
    let one = open(&engines, 1).await;
    let first = follow(&one, 11).await.unwrap();
    let other = open(&engines, 2).await;
    let stale = guard(&one).await;
    let second = follow(&other, 21).await.unwrap();
    assert!(second > first);
    let refused = follow(&one, 12).await;
    assert!(is_unavailable(&refused), "{refused:?}: nothing of it stands");
    // Once it is answered, views have heard what the other wrote, and what is decided now counts.
    assert_eq!(*one.heard.0.lock(), [Id(11), Id(21)]);
    assert!(one.horizon.reached() >= second);
    let late = one.log.commit(&stale, followed(13)).await.map(|record| record.id);
    assert!(is_unavailable(&late), "{late:?}: it was decided before");
    let third = follow(&one, 14).await.unwrap();
    assert!(third > second && one.log.takes());
    // The same the other way round, again and again.
    for follower in 30..33 {
        let node = if follower % 2 == 0 { &other } else { &one };
        assert!(is_unavailable(&follow(node, follower).await));
        assert!(follow(node, follower).await.unwrap() > third);
        assert!(node.log.takes());
    }
    assert_eq!(*other.heard.0.lock(), [21, 14, 30, 31, 32].map(Id), "it was filled with what was there when it opened");
}

#[tokio::test]
async fn a_fenced_owner_leaves_the_partition_to_whom_the_roster_names() {
    let engines = memory::open(1).unwrap();
    let one = open(&engines, 1).await;
    let other = open(&engines, 2).await;
    let decided = guard(&one).await;
    follow(&other, 20).await.unwrap();
    one.says.there.store(true, Ordering::SeqCst);
    let unknown = one.log.commit(&decided, followed(11)).await;
    assert!(matches!(unknown, Err(Error::Engine(EngineError::Unknown(_)))), "{unknown:?}");
    assert!(matches!(follow(&one, 12).await, Err(Error::Elsewhere(_))), "at the door");
    let late = one.log.commit(&decided, followed(13)).await;
    assert!(matches!(late, Err(Error::Elsewhere(_))), "{late:?}: what was on its way");
    follow(&other, 21).await.unwrap();
    one.says.there.store(false, Ordering::SeqCst);
    assert!(is_unavailable(&follow(&one, 14).await), "it is regained for this one, which was decided before");
    follow(&one, 15).await.unwrap();
    assert_eq!(*one.heard.0.lock(), [20, 21, 15].map(Id));
}
