//! Logs that are trimmed while somebody still needs what would go.

use fanfare_engines::claim::Claim;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::{Claimant, EngineError, Engines, NewRecord, memory};

use super::*;
use crate::base::clock::Clock;

const P: Partition = Partition(0);
const BYTES_MAX: u64 = 100;

fn consumers(engines: &Engines) -> Consumers {
    Consumers::new(Arc::new(Store::new(engines.clone(), Clock::by_hand(1_800_000_000_000))))
}

/// Appends ten records of ten bytes, with their rows written; answers the position behind each of them.
async fn append(engines: &Engines) -> Vec<Position> {
    let claimant = Claimant { node: "owner".to_owned(), is_import: false };
    let mut claim = sure(|| Claim::take(engines.journal.clone(), P, claimant.clone())).await;
    let (mut last_id, mut positions) = (claim.position().last_id, Vec::new());
    for _ in 0..10 {
        last_id += 1;
        let record = [NewRecord { id: last_id, payload: vec![7; 10].into() }];
        let next = loop {
            match claim.append(&record, &Batch::default()).await {
                Ok(next) => break next,
                Err(EngineError::Unavailable(_) | EngineError::Unknown(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        positions.push(next);
    }
    sure(|| engines.journal.checkpoint(CONSUMER, P, claim.position())).await;
    positions
}

/// Repeats what storage did not do now.
async fn sure<T, E: Into<Error>, F: Future<Output = Result<T, E>>>(call: impl Fn() -> F) -> T {
    for _ in 0..1_000 {
        match call().await.map_err(Into::into) {
            Ok(done) => return done,
            Err(error) if error.is_of_storage() => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("never answered");
}

async fn kept(engines: &Engines) -> usize {
    sure(|| engines.journal.read(P, Position::START, 1_000)).await.records.len()
}

/// Only the writer of rows was asked: what somebody else had not seen went.
#[tokio::test]
async fn the_limit_gives_way_to_whoever_is_registered_and_they_are_named() {
    let engines = memory::open(1).unwrap();
    let positions = [append(&engines).await, append(&engines).await, append(&engines).await].concat();
    let names = |consumers: &Consumers| -> Vec<(String, u64)> {
        consumers.holders().into_iter().map(|holder| (holder.consumer, holder.bytes)).collect()
    };
    consumers(&engines).register("effects").await.unwrap();
    // Also after a restart, in which it does not run.
    let ours = consumers(&engines);
    for _ in 0..2 {
        ours.trim(BYTES_MAX).await.unwrap();
        assert_eq!((kept(&engines).await, names(&ours)), (30, vec![("effects".to_owned(), 300)]));
    }
    ours.register("links").await.unwrap();
    ours.done("effects", P, positions[4]).await.unwrap();
    ours.done("links", P, positions[9]).await.unwrap();
    ours.trim(BYTES_MAX).await.unwrap();
    assert_eq!((kept(&engines).await, names(&ours)), (25, vec![("effects".to_owned(), 250)]), "the slowest is named");
    ours.done("effects", P, positions[9]).await.unwrap();
    ours.trim(BYTES_MAX).await.unwrap();
    let both = vec![("effects".to_owned(), 200), ("links".to_owned(), 200)];
    assert_eq!((kept(&engines).await, names(&ours)), (20, both));
    ours.leave("links").await.unwrap();
    ours.done("effects", P, positions[25]).await.unwrap();
    ours.trim(BYTES_MAX).await.unwrap();
    assert_eq!((kept(&engines).await, names(&ours)), (10, Vec::new()), "nobody holds more than the limit");
    ours.register("links").await.unwrap();
    append(&engines).await;
    ours.trim(0).await.unwrap();
    assert_eq!(kept(&engines).await, 20, "who comes back finds what is still there");
}

#[tokio::test]
async fn whoever_writes_the_rows_holds_what_it_has_not_written_and_is_named_too() {
    let engines = memory::open(1).unwrap();
    append(&engines).await;
    let ours = consumers(&engines);
    let claimant = Claimant { node: "owner".to_owned(), is_import: false };
    let mut claim = Claim::take(engines.journal.clone(), P, claimant).await.unwrap();
    let record = NewRecord { id: claim.position().last_id + 1, payload: vec![7; 500].into() };
    claim.append(&[record], &Batch::default()).await.unwrap();
    ours.trim(BYTES_MAX).await.unwrap();
    assert_eq!(kept(&engines).await, 1);
    let holder = Holder { consumer: CONSUMER.to_owned(), partition: 0, bytes: 500 };
    assert_eq!(ours.holders(), [holder]);
}

#[tokio::test]
async fn names_are_checked_and_bounded() {
    let ours = consumers(&memory::open(1).unwrap());
    for bad in ["", "Effects", "a b"] {
        assert!(matches!(ours.register(bad).await, Err(Error::Engine(EngineError::Limit(_)))), "{bad:?}");
    }
    for number in 0..CONSUMERS_MAX {
        ours.register(&format!("c{number}")).await.unwrap();
    }
    assert!(ours.register("one-more").await.is_err());
    ours.register("c0").await.unwrap();
    ours.leave("c1").await.unwrap();
    ours.register("one-more").await.unwrap();
}

/// A consumer that was of an earlier version held the log for ever, and nobody could end it.
#[tokio::test]
async fn who_does_not_run_any_more_can_be_removed_and_nobody_else() {
    let engines = memory::open(1).unwrap();
    append(&engines).await;
    let (before, ours) = (consumers(&engines), consumers(&engines));
    let code = async |name: &str| match ours.remove(name).await {
        Ok(()) => None,
        Err(Error::Refused(problem)) => Some(problem.code),
        Err(other) => panic!("{other}"),
    };
    before.register("effects").await.unwrap();
    ours.register("clicks").await.unwrap();
    assert_eq!(ours.registered().await.unwrap(), ["clicks", "effects"]);
    assert_eq!((code("clicks").await, code("nobody").await), (Some(Code::Conflict), Some(Code::NotFound)));
    assert_eq!(code(CONSUMER).await, Some(Code::NotFound), "who writes the rows is not registered");
    assert_eq!((code("effects").await, code("effects").await), (None, Some(Code::NotFound)));
    ours.trim(0).await.unwrap();
    assert_eq!(kept(&engines).await, 10, "clicks needs them");
    ours.leave("clicks").await.unwrap();
    ours.trim(0).await.unwrap();
    assert_eq!((kept(&engines).await, ours.registered().await.unwrap()), (0, Vec::new()));
}

/// Whatever storage answers: what somebody registered for is there.
#[tokio::test]
async fn nothing_that_is_needed_goes_on_storage_that_fails() {
    for seed in 0..30 {
        let world = Hostile::new(seed, 1, Faults { lost_values: 0, ..Faults::SOME }).unwrap();
        let engines = world.engines();
        let ours = consumers(&engines);
        sure(|| ours.register("effects")).await;
        let positions = append(&engines).await;
        sure(|| ours.done("effects", P, positions[3])).await;
        for _ in 0..3 {
            sure(|| ours.trim(0)).await;
        }
        let found = sure(|| engines.journal.read(P, positions[3], 1_000)).await.records;
        assert_eq!(found.len(), 6, "seed {seed}");
        assert!(ours.holders().iter().any(|holder| holder.consumer == "effects"), "seed {seed}: {:?}", ours.holders());
    }
}
