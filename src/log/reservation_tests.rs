//! Nodes that reserve on the same tables, with clocks of their own, and that end in the middle of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{Partition, memory};

use super::*;
use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits::{HEARTBEAT_MS, RESERVE_MS};
use crate::log::mint::{Mint, Numbers};

const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

async fn open(tables: &Arc<dyn Tables>, clock: &Clock, node: u16) -> Result<Mint> {
    Mint::open(Arc::clone(tables), clock.clone(), Numbers::of_node(node), Id(0), false).await
}

/// Repeats what storage did not do, or of which nobody knows.
async fn sure<T, F: Future<Output = Result<T>>>(call: impl Fn() -> F) -> T {
    for _ in 0..1_000 {
        match call().await {
            Ok(done) => return done,
            Err(error) if error.is_of_storage() => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("never answered");
}

/// Of two nodes that wrote one row the later took what the earlier one had reserved, and a start gave it out again.
#[tokio::test]
async fn a_start_begins_above_what_any_node_reserved() {
    let tables = memory::open(1).unwrap().tables;
    let (early, late) = (Clock::stand_in(NOW_MS), Clock::stand_in(NOW_MS + HOUR_MS));
    let (first, second) = (open(&tables, &early, 0).await.unwrap(), open(&tables, &late, 1).await.unwrap());
    let ahead = second.mint().await.unwrap();
    let mut given = Id(0);
    for _ in 0..5 {
        early.pass(RESERVE_MS);
        given = first.mint().await.unwrap();
    }
    assert!(unix_ms_of(given) < unix_ms_of(ahead), "each keeps its own time");
    assert!(read(&*tables).await.unwrap().reserved >= ahead);
    drop((first, second));
    for node in [0, 1, 2] {
        let next = open(&tables, &early, node).await.unwrap().mint().await.unwrap();
        assert!(next > ahead && next > given, "node {node}");
    }
}

#[tokio::test]
async fn a_node_that_is_alone_goes_on_where_several_were_and_they_where_it_was() {
    let tables = memory::open(1).unwrap().tables;
    let clock = Clock::stand_in(NOW_MS);
    let mut given = Id(0);
    for is_alone in [true, false, true, true, false, false, true] {
        for node in [0, 1] {
            let numbers = Numbers::of_node(node);
            let mint = Mint::open(Arc::clone(&tables), clock.clone(), numbers, Id(0), is_alone).await.unwrap();
            let next = mint.mint().await.unwrap();
            assert!(next > given, "{next} after {given}");
            given = next;
            if node == 1 {
                mint.close().await.unwrap();
            }
            clock.step(-1_000);
        }
    }
}

#[tokio::test]
async fn heartbeats_and_what_was_accepted_are_those_of_all_nodes() {
    let tables = memory::open(1).unwrap().tables;
    let clock = Clock::stand_in(NOW_MS);
    let (first, second) = (open(&tables, &clock, 0).await.unwrap(), open(&tables, &clock, 1).await.unwrap());
    clock.pass(HEARTBEAT_MS);
    first.beat().await.unwrap();
    let beaten = read(&*tables).await.unwrap();
    clock.pass(60_000);
    second.beat().await.unwrap();
    assert_eq!(beaten.heartbeat_ms, NOW_MS + HEARTBEAT_MS);
    assert_eq!(read(&*tables).await.unwrap().heartbeat_ms, NOW_MS + HEARTBEAT_MS + 60_000);
    let behind = Clock::stand_in(NOW_MS - 48 * HOUR_MS);
    let refused = open(&tables, &behind, 2).await.err().unwrap();
    assert!(matches!(&refused, Error::Setting(why) if why.contains("--accept-clock")), "{refused}");
}

/// A clean stop stores the exact end, unless another node of the number has gone on from there.
#[tokio::test]
async fn a_clean_stop_takes_back_nothing_of_others() {
    let tables = memory::open(1).unwrap().tables;
    let clock = Clock::stand_in(NOW_MS);
    let alone = open(&tables, &clock, 0).await.unwrap();
    let last = alone.mint().await.unwrap();
    alone.close().await.unwrap();
    assert_eq!(read(&*tables).await.unwrap().reserved, last);
    let (first, second) = (open(&tables, &clock, 0).await.unwrap(), open(&tables, &clock, 24).await.unwrap());
    let _ = first.mint().await.unwrap();
    let of_second = second.mint().await.unwrap();
    first.close().await.unwrap();
    assert!(read(&*tables).await.unwrap().reserved >= of_second);
    assert!(second.mint().await.unwrap() > of_second);
}

/// Two nodes of one number and one of another, over storage that answers late, twice or not at all.
#[tokio::test]
async fn no_id_is_given_out_twice_by_whichever_nodes() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let world = Hostile::new(seed, 1, Faults { lost_values: 0, ..Faults::SOME }).unwrap();
        let tables = world.engines().tables;
        // Nodes 0 and 24 have one number.
        let nodes = [0, 24, 1];
        let clocks = nodes.map(|_| Clock::stand_in(NOW_MS));
        let mut mints: [Option<Mint>; 3] = [None, None, None];
        let mut given: BTreeMap<Id, u16> = BTreeMap::new();
        for _ in 0..120 {
            let one = random.index(nodes.len());
            let clock = &clocks[one];
            clocks.iter().for_each(|clock| clock.pass(random.below(700)));
            match random.below(20) {
                0 => mints[one] = None,
                1 => clock.step(random.below(2 * HOUR_MS) as i64 - HOUR_MS as i64),
                2 => {
                    if let Some(mint) = mints[one].take() {
                        // Whatever comes of it.
                        let _ = mint.close().await;
                    }
                }
                _ => {
                    if mints[one].is_none() {
                        mints[one] = Some(sure(|| open(&tables, clock, nodes[one])).await);
                    }
                    let Some(mint) = &mints[one] else { continue };
                    // Records go between.
                    let record = mint.number(Partition(0), |next| next(None));
                    assert!(!given.contains_key(&record), "seed {seed}");
                    let Ok(id) = mint.mint().await else { continue };
                    let before = given.insert(id, nodes[one]);
                    assert_eq!(before, None, "seed {seed}: node {} gives out {id} again", nodes[one]);
                }
            }
        }
        assert!(given.len() > 30, "seed {seed}: {}", given.len());
        // And a start begins above all of them.
        world.settle();
        let next = sure(|| open(&tables, &clocks[0], 2)).await;
        let next = sure(|| next.mint()).await;
        assert!(given.keys().all(|id| *id < next), "seed {seed}");
    }
}

#[tokio::test]
async fn ids_of_nodes_with_one_number_are_near_the_time() {
    let tables = memory::open(1).unwrap().tables;
    let clock = Clock::stand_in(NOW_MS);
    let (first, second) = (open(&tables, &clock, 0).await.unwrap(), open(&tables, &clock, 24).await.unwrap());
    for round in 1..200 {
        clock.pass(100);
        for mint in [&first, &second] {
            mint.keep_reserved().await.unwrap();
            let id = mint.mint().await.unwrap();
            let near = first_id_at(NOW_MS + round * 100 + 2 * RESERVE_MS);
            assert!(id < near, "round {round}: {} ms ahead", unix_ms_of(id) - NOW_MS - round * 100);
        }
    }
}
