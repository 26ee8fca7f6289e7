//! The services over engines that promise little: random calls, crashes and restarts, against what was told.
//!
//! `life` starts and crashes the server, `act` makes the calls and remembers what was told, `check` compares once all
//! is quiet. Everything each person did is theirs to remember, so many can act at once.

mod act;
mod check;
mod hang_ups;
mod life;

use fanfare::data::families::families;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;

use act::{PEOPLE, Story};
use life::{FEW, Life, MANY};

const SEEDS: u64 = 8;
const LIVES: u64 = 4;
const CALLS: u64 = 70;
/// Times that a life is compared while it goes on.
const ROUNDS: u64 = 8;

/// Late writes of a process that died are all there before the next one starts: a store in which they can arrive
/// later still needs a fence, which a single machine does not.
async fn crash(world: &Hostile, life: Life) {
    world.crash();
    life.stop().await;
    world.settle();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_after_another_over_the_hostile_engine_all_that_was_told_is_true() {
    for seed in crate::world::seeds(SEEDS) {
        let world = Hostile::with_families(seed, &families(1), Faults::NONE).unwrap();
        let mut story = Story::default();
        let mut dice = Random::new(seed ^ 0x5eed);
        for number in 0..LIVES {
            let life = Life::start(world.engines(), if seed % 2 == 0 { MANY } else { FEW }).await;
            story.meet(&life).await;
            world.set_faults(Faults::SOME);
            for _ in 0..CALLS {
                story.call(&life, &mut dice, None).await;
            }
            world.set_faults(Faults::NONE);
            world.settle();
            let again = match number % 2 {
                0 => {
                    crash(&world, life).await;
                    Life::start(world.engines(), FEW).await
                }
                _ => life.unless_failed(&world).await,
            };
            check::all(&again, &mut story, &format!("seed {seed}, life {number}")).await;
            again.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_at_once_over_the_hostile_engine_crashed_in_the_middle_all_that_was_told_is_true() {
    for seed in crate::world::seeds(SEEDS) {
        let world = Hostile::with_families(seed, &families(1), Faults::NONE).unwrap();
        let mut story = Story::default();
        for number in 0..LIVES {
            let life = Life::start(world.engines(), if seed % 2 == 0 { MANY } else { FEW }).await;
            story.meet(&life).await;
            world.set_faults(Faults::SOME);
            let acting = story.act_at_once(&life, seed * 1_000 + number, CALLS / 2);
            if number % 2 == 0 {
                act::after(&acting, CALLS).await;
                world.crash();
            }
            story.join(acting).await;
            world.set_faults(Faults::NONE);
            crash(&world, life).await;
            let again = Life::start(world.engines(), FEW).await;
            check::all(&again, &mut story, &format!("seed {seed}, life {number}")).await;
            again.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_at_once_in_memory_all_that_was_told_is_true_before_and_after_a_restart() {
    let engines = fanfare_engines::memory::open_families(&families(1)).unwrap();
    let mut story = Story::default();
    for number in 0..LIVES {
        let life = Life::start(engines.clone(), if number % 2 == 0 { MANY } else { FEW }).await;
        story.meet(&life).await;
        for round in 0..ROUNDS {
            let acting = story.act_at_once(&life, number * ROUNDS + round, CALLS / PEOPLE as u64);
            story.join(acting).await;
            check::all(&life, &mut story, &format!("life {number}, round {round}")).await;
        }
        life.stop().await;
        let again = Life::start(engines.clone(), MANY).await;
        check::all(&again, &mut story, &format!("life {number}, again")).await;
        again.stop().await;
    }
}
