//! Parts that histories share: clients who ask nodes for something and wait, what they heard beside what stands in the
//! log, and a runtime in which time passes when nobody has anything to do.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::EngineError;
use fanfare_engines::random::Random;
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::data::storage::Storage;
use crate::log::handle::LogSetup;
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::roster::Alone;

/// Patience with whoever should have been answered; it costs no time.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Answer that somebody heard: what was done, nothing where it was refused, or unknown.
pub(super) type Heard<T> = std::result::Result<Option<T>, ()>;

/// Verdict on a history: its showing, or its fault.
pub(super) type Verdict<T> = std::result::Result<T, String>;

/// Answer to whoever waited for `outcome`.
pub(super) fn heard<T>(outcome: Result<T>) -> Heard<T> {
    match outcome {
        Ok(done) => Ok(Some(done)),
        Err(Error::Engine(EngineError::Unknown(_))) => Err(()),
        Err(_) => Ok(None),
    }
}

/// Clients who wait for what they asked of nodes, each for an act of its own number.
pub(super) struct Clients<T>(Vec<(usize, u64, JoinHandle<Heard<T>>)>);

impl<T> Default for Clients<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: 'static> Clients<T> {
    /// Somebody asks `node` for the act of this number, and waits.
    pub(super) fn ask(&mut self, node: usize, act: u64, asks: impl Future<Output = Heard<T>> + 'static) {
        self.0.push((node, act, spawn_local(asks)));
    }

    /// The process of a node ends, and with it whoever waits there.
    pub(super) fn end_at(&self, node: usize) {
        self.0.iter().filter(|(at, ..)| *at == node).for_each(|(.., task)| task.abort());
    }

    /// Answers to everybody who waits, by the act.
    pub(super) async fn answers(&mut self) -> Verdict<Vec<(u64, Heard<T>)>> {
        let mut heard = Vec::new();
        for (_, act, task) in std::mem::take(&mut self.0) {
            let answer = tokio::time::timeout(PATIENCE, task).await.map_err(|_| format!("act {act} has no answer"))?;
            // Of a process that ended nobody knows.
            heard.push((act, answer.unwrap_or(Err(()))));
        }
        Ok(heard)
    }
}

/// Every act that was answered stands as it was answered: once, not at all, or, where it is unknown, once at most.
pub(super) fn look_at_answers<T: Debug + PartialEq>(
    heard: &[(u64, Heard<T>)],
    standing: &BTreeMap<u64, Vec<T>>,
) -> Verdict<()> {
    for (act, answer) in heard {
        let stands = standing.get(act).map(Vec::as_slice).unwrap_or_default();
        let is_right = match answer {
            Ok(Some(done)) => stands == std::slice::from_ref(done),
            Ok(None) => stands.is_empty(),
            Err(()) => stands.len() <= 1,
        };
        if !is_right {
            return Err(format!("act {act} was answered {answer:?}, and stands as {stands:?}"));
        }
    }
    Ok(())
}

/// Surroundings of a node that knows of no others, with the storage and the horizon that are its own.
pub(super) fn alone(node: usize, clock: &Clock) -> (LogSetup, Horizon) {
    let horizon = Horizon::default();
    let setup = LogSetup {
        clock: clock.clone(),
        numbers: Numbers::of_node(node as u16),
        storage: Storage::default(),
        roster: Arc::new(Alone),
        horizon: horizon.clone(),
    };
    (setup, horizon)
}

/// Turns for everybody else, fewer than `max`.
pub(super) async fn turns(random: &mut Random, max: u64) {
    for _ in 0..random.below(max) {
        yield_now().await;
    }
}

/// Tasks of a node end in the middle of what they do.
pub(super) fn abort(tasks: &[JoinHandle<()>]) {
    tasks.iter().for_each(JoinHandle::abort);
}

/// Owners of a node that is no more come to their end.
pub(super) async fn stopped(owners: Vec<JoinHandle<()>>) -> Verdict<()> {
    for owner in owners {
        let stopped = tokio::time::timeout(PATIENCE, owner).await.map_err(|_| "an owner does not stop".to_owned())?;
        stopped.map_err(|error| format!("an owner stops with {error}"))?;
    }
    Ok(())
}

/// Plays a history on one thread, with time that passes when nobody has anything to do.
pub(super) fn play<T>(history: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    LocalSet::new().block_on(&runtime.unwrap(), history)
}

/// Plays histories from `FANFARE_TEST_SEED` on, as many as `FANFARE_TEST_RUNS` says or `runs`; answers how many there
/// were, and the sum of what they showed. The first that is wrong ends it.
pub(super) fn play_all(runs: u64, replay: impl Fn(u64) -> Verdict<usize>) -> (u64, u64) {
    let first = super::number("FANFARE_TEST_SEED").unwrap_or_default();
    let runs = super::number("FANFARE_TEST_RUNS").unwrap_or(runs);
    let showed = (first..first + runs).map(|seed| match replay(seed) {
        Ok(showed) => showed as u64,
        Err(wrong) => panic!("seed {seed}: {wrong}"),
    });
    (runs, showed.sum())
}
