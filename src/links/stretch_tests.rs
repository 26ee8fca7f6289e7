//! Codes that are given out, and aliases of the same numbers, by servers over storage that fails, answers late and
//! forgets answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use fanfare_engines::Unique;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use super::*;
use crate::base::clock::Clock;
use crate::base::token;
use crate::data::rows::claim_value;

/// Numbers of a story: all are in one stretch but the last few.
const NUMBERS: LeasedNumbers = STRETCH_NUMBERS - 24..STRETCH_NUMBERS + 8;
/// Numbers of a lease.
const LEASED: usize = 4;
/// Times that somebody wants an alias.
const ALIASES: u64 = 40;

/// Way in which codes and aliases keep out of each other's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Way of the server: both write, and look then.
    Right,
    /// A variant that is broken on purpose: claims are looked at before the stretch is opened.
    LooksThenOpens,
    /// A variant that is broken on purpose: an alias is claimed after it was looked whether the stretch is open.
    LooksThenClaims,
}

/// Outcome of a story.
#[derive(Debug, Default)]
struct Told {
    /// Numbers that were given out as codes, and as aliases; and those that two have.
    given: BTreeSet<u64>,
    aliases: BTreeSet<u64>,
    twice: Vec<u64>,
    /// Numbers that were skipped, and aliases that were refused because their stretch is open.
    skipped: usize,
    refused: usize,
}

impl Told {
    fn give(&mut self, number: u64, is_alias: bool) {
        if self.given.contains(&number) || self.aliases.contains(&number) {
            self.twice.push(number);
        }
        if is_alias {
            self.aliases.insert(number)
        } else {
            self.given.insert(number)
        };
    }
}

fn attempt() -> Id {
    Id(token::attempt().unwrap())
}

async fn pause(random: &Mutex<Random>) {
    let turns = random.lock().below(6);
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

/// Numbers of a part of a lease that may be given out, however often it takes.
async fn opened(store: &Store, codes: &Codes, part: &LeasedNumbers, how: How, random: &Mutex<Random>) -> Vec<u64> {
    loop {
        if how == How::LooksThenOpens {
            let claims: Vec<_> =
                part.clone().map(|number| tables::link_claim_row(&codes.code(number).unwrap())).collect();
            let Ok(claims) = store.get_many(&claims).await else { continue };
            pause(random).await;
            if open(store, codes, part.clone(), attempt()).await.is_ok() {
                return part
                    .clone()
                    .zip(claims)
                    .filter(|(_, claim)| claim.is_none())
                    .map(|(number, _)| number)
                    .collect();
            }
            continue;
        }
        if let Ok(free) = open(store, codes, part.clone(), attempt()).await {
            return free;
        }
    }
}

/// Whether the alias that is the code of `number` is taken; whoever is not told gives up.
async fn took(store: &Store, codes: &Codes, number: u64, how: How, told: &Mutex<Told>, random: &Mutex<Random>) -> bool {
    let (row, claim) = (tables::link_claim_row(&codes.code(number).unwrap()), attempt());
    let looked = if how == How::LooksThenClaims { Some(is_open(store, number).await.unwrap_or(true)) } else { None };
    pause(random).await;
    if store.insert_unique(row.clone(), claim_value(claim, Id(1)), claim.0).await.ok() != Some(Unique::Mine) {
        return false;
    }
    pause(random).await;
    let is_open = match looked {
        Some(is_open) => is_open,
        None => match is_open(store, number).await {
            Ok(is_open) => is_open,
            Err(_) => return false,
        },
    };
    if is_open {
        told.lock().refused += 1;
        drop(store.release_unique(&row, claim.0).await);
    }
    pause(random).await;
    !is_open
}

/// Two servers give out codes of leases in turn, while aliases are taken of the same numbers.
async fn story(seed: u64, how: How) -> Told {
    let world = Hostile::new(seed, 1, Faults::SOME).unwrap();
    let random = Arc::new(Mutex::new(Random::new(seed)));
    let codes = Codes::new(&[3; 16]);
    let stores = [0, 1].map(|_| Arc::new(Store::new(world.engines(), Clock::by_hand(1_900_000_000_000))));
    let told = Arc::new(Mutex::new(Told::default()));
    let mut tasks = JoinSet::new();
    for (place, first) in NUMBERS.step_by(LEASED).enumerate() {
        let (store, codes, random, told) =
            (Arc::clone(&stores[place % 2]), codes.clone(), Arc::clone(&random), Arc::clone(&told));
        tasks.spawn(async move {
            for _ in 0..place {
                pause(&random).await;
            }
            let lease = first..first + LEASED as u64;
            let part = first_part(&lease);
            assert_eq!(part, lease, "a lease of this story lies in one stretch");
            let free = opened(&store, &codes, &part, how, &random).await;
            told.lock().skipped += LEASED - free.len();
            for number in free {
                pause(&random).await;
                told.lock().give(number, false);
            }
        });
    }
    for place in 0..ALIASES {
        let (store, codes, random, told) =
            (Arc::clone(&stores[place as usize % 2]), codes.clone(), Arc::clone(&random), Arc::clone(&told));
        tasks.spawn(async move {
            for _ in 0..place / 4 {
                pause(&random).await;
            }
            let number = NUMBERS.start + random.lock().below(NUMBERS.end - NUMBERS.start);
            if took(&store, &codes, number, how, &told, &random).await {
                told.lock().give(number, true);
            }
        });
    }
    tasks.join_all().await;
    std::mem::take(&mut *told.lock())
}

#[tokio::test]
async fn no_code_is_somebodys_alias_too() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first = number("FANFARE_TEST_SEED").unwrap_or_default();
    let (mut given, mut aliases, mut skipped, mut refused) = (0, 0, 0, 0);
    for seed in first..first + number("FANFARE_TEST_RUNS").unwrap_or(200) {
        let told = story(seed, How::Right).await;
        assert!(told.twice.is_empty(), "seed {seed}: {told:?}");
        given += told.given.len();
        aliases += told.aliases.len();
        skipped += told.skipped;
        refused += told.refused;
    }
    assert!([given, aliases, skipped, refused].iter().all(|count| *count > 0), "{given} {aliases} {skipped} {refused}");
}

/// The story above tells what a variant does wrong.
#[tokio::test]
async fn whoever_looks_before_it_writes_is_caught() {
    for how in [How::LooksThenOpens, How::LooksThenClaims] {
        let mut caught = 0;
        for seed in 0..200 {
            caught += usize::from(!story(seed, how).await.twice.is_empty());
            if caught == 3 {
                break;
            }
        }
        assert_eq!(caught, 3, "{how:?}");
    }
}

#[test]
fn a_part_of_a_lease_ends_where_its_stretch_does() {
    let stretch = STRETCH_NUMBERS;
    assert_eq!(first_part(&(0..10)), 0..10);
    assert_eq!(first_part(&(5..3 * stretch)), 5..stretch);
    assert_eq!(first_part(&(stretch..3 * stretch)), stretch..2 * stretch);
    assert_eq!(first_part(&(stretch - 1..stretch + 1)), stretch - 1..stretch);
}
