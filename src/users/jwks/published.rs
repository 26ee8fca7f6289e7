//! Published keys over time: fetched at the start, from time to time, and when a token names a key that is not known.
//!
//! One task ([`PublishedKeys::run`]) makes all requests but the first, so that at most one is under way and no caller
//! who hangs up ends it. Callers read the keys there are; those with a token of an unknown key wait for it in
//! [`PublishedKeys::newer`].

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore, watch};

use super::fetch::{FetchError, Fetcher};
use super::kept::Kept;
use crate::base::limits::auth::{
    JWKS_FETCH_TIME, JWKS_LIFE, JWKS_REFRESH_INTERVAL, JWKS_RETRY_INTERVAL, JWKS_UNKNOWN_KEY_INTERVAL, JWKS_WAITING_MAX,
};
use crate::users::jwt::{Jwks, JwksReaders, KeyError, VerifyingKey, parse_jwks};

/// Pace of fetching keys.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Time for one fetch.
    pub fetch: Duration,
    /// Time within which there is at most one fetch for unknown keys.
    pub unknown_key: Duration,
    /// Time from one fetch to the next, where the provider does not say.
    pub refresh: Duration,
    /// The shortest and the longest time that the provider can say.
    pub life: (Duration, Duration),
    /// Wait after a failure, the first time.
    pub retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            fetch: JWKS_FETCH_TIME,
            unknown_key: JWKS_UNKNOWN_KEY_INTERVAL,
            refresh: JWKS_REFRESH_INTERVAL,
            life: JWKS_LIFE.into_inner(),
            retry: JWKS_RETRY_INTERVAL,
        }
    }
}

impl Pace {
    /// The wait after a good fetch of what lasts `max_age`.
    fn after_success(&self, max_age: Option<Duration>) -> Duration {
        max_age.map_or(self.refresh, |age| age.clamp(self.life.0, self.life.1))
    }

    /// The wait after so many failures in a row.
    fn after_failures(&self, failures: u32) -> Duration {
        let doubled = self.retry.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(self.refresh.max(self.retry))
    }
}

/// Why there are no new keys. For the operator.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// No answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// No JWKS in what came.
    #[error(transparent)]
    Document(#[from] KeyError),
    /// No key that can be used in what came. Whoever withdraws all keys at once stays in doubt: the old ones stay.
    #[error("the document holds no public key for RS256, ES256 or EdDSA (keys of other kinds: {0})")]
    NoKey(usize),
}

/// Finding of [`PublishedKeys::newer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newer {
    /// A fetch has ended: look again.
    Look,
    /// No newer keys, and none may be asked for yet.
    None,
    /// Too many wait already.
    Full,
}

/// The keys of one address.
#[derive(Debug)]
pub struct PublishedKeys {
    fetcher: Fetcher,
    pace: Pace,
    kept: Kept,
    keys: RwLock<Arc<[VerifyingKey]>>,
    state: Mutex<State>,
    /// Wakes the task.
    asked: Notify,
    /// Number of fetches that have ended.
    ended: watch::Sender<u64>,
    waiting: Semaphore,
}

#[derive(Debug)]
struct State {
    /// A fetch is under way, or the task was told to begin one.
    fetching: bool,
    /// Last beginning of a fetch for an unknown key.
    asked_at: Option<Instant>,
    /// Failures since the last good one, and the latest of them.
    failures: u32,
    trouble: Option<String>,
    /// The keys as documents; those that the folder holds, unless `unsaved`.
    sources: Vec<Value>,
    unsaved: bool,
    /// The wait until the task's first fetch.
    first_wait: Duration,
}

impl PublishedKeys {
    /// Fetches the keys, or takes the kept ones when that fails. Writes nothing.
    ///
    /// # Errors
    /// When the keys cannot be fetched, and none of this address were ever kept.
    pub async fn open(fetcher: Fetcher, kept: Kept, pace: Pace) -> Result<Self, Trouble> {
        let state = |sources, unsaved, first_wait| State {
            fetching: false,
            asked_at: None,
            failures: 0,
            trouble: None,
            sources,
            unsaved,
            first_wait,
        };
        let (keys, state) = match fetch(&fetcher).await {
            Ok((set, max_age)) => {
                remark(&fetcher, &set);
                (set.keys, state(set.sources, true, pace.after_success(max_age)))
            }
            Err(trouble) => {
                let Some(set) = kept.load() else { return Err(trouble) };
                let mut state = state(set.sources, false, pace.after_failures(1));
                (state.failures, state.trouble) = (1, Some(trouble.to_string()));
                (set.keys, state)
            }
        };
        let waiting = Semaphore::new(JWKS_WAITING_MAX);
        let (keys, state) = (RwLock::new(keys.into()), Mutex::new(state));
        Ok(Self { fetcher, pace, kept, keys, state, asked: Notify::new(), ended: watch::Sender::new(0), waiting })
    }

    /// The keys there are.
    #[must_use]
    pub fn keys(&self) -> Arc<[VerifyingKey]> {
        Arc::clone(&self.keys.read())
    }

    /// Number of fetches that have ended since the start; for [`PublishedKeys::newer`].
    #[must_use]
    pub fn ended(&self) -> u64 {
        *self.ended.borrow()
    }

    /// Why the last fetch failed, if it did.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.state.lock().trouble.clone()
    }

    /// Waits until a fetch has ended after the `seen` ones: one that is under way, or one that begins now if the pace
    /// allows it. The wait is bounded by the time of a fetch, the number of those who wait by [`JWKS_WAITING_MAX`].
    pub async fn newer(&self, seen: u64) -> Newer {
        let mut ended = self.ended.subscribe();
        let Ok(_place) = self.waiting.try_acquire() else { return Newer::Full };
        {
            let mut state = self.state.lock();
            // Under the lock: a fetch that ends later finds the subscription.
            if *ended.borrow_and_update() != seen {
                return Newer::Look;
            }
            if !state.fetching {
                let now = Instant::now();
                if state.asked_at.is_some_and(|at| now.saturating_duration_since(at) < self.pace.unknown_key) {
                    return Newer::None;
                }
                state.asked_at = Some(now);
                state.fetching = true;
                self.asked.notify_one();
            }
        }
        // The task may have been about to begin: twice the time is enough for any.
        match tokio::time::timeout(self.pace.fetch * 2, ended.changed()).await {
            Ok(Ok(())) => Newer::Look,
            _ => Newer::None,
        }
    }

    /// Fetches again and again; ends when it is dropped.
    pub async fn run(self: Arc<Self>) {
        // What happened before there was anybody to count it.
        metrics::gauge!("fanfare_jwks_fetched_timestamp_seconds").set(0.0);
        metrics::gauge!("fanfare_jwks_keys").set(self.keys().len() as f64);
        count(self.trouble().is_none());
        self.keep().await;
        let mut wait = self.state.lock().first_wait;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.asked.notified() => {}
            }
            wait = self.refresh().await;
        }
    }

    /// Fetches once; answers the wait until the next.
    async fn refresh(&self) -> Duration {
        self.state.lock().fetching = true;
        let outcome = fetch(&self.fetcher).await;
        count(outcome.is_ok());
        let wait = match outcome {
            Ok((set, max_age)) => {
                self.take(set);
                self.keep().await;
                self.pace.after_success(max_age)
            }
            Err(trouble) => self.endure(&trouble),
        };
        let mut state = self.state.lock();
        state.fetching = false;
        self.ended.send_modify(|ended| *ended += 1);
        wait
    }

    fn take(&self, set: Jwks) {
        let url = &self.fetcher.url().0;
        let mut state = self.state.lock();
        if state.trouble.take().is_some() {
            tracing::info!(%url, failures = state.failures, "JWKS fetched again");
        }
        state.failures = 0;
        if state.sources == set.sources {
            return;
        }
        remark(&self.fetcher, &set);
        metrics::gauge!("fanfare_jwks_keys").set(set.keys.len() as f64);
        (state.sources, state.unsaved) = (set.sources, true);
        *self.keys.write() = set.keys.into();
    }

    /// Goes on with the keys there are; the first failure of a row is told.
    fn endure(&self, trouble: &Trouble) -> Duration {
        let url = &self.fetcher.url().0;
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        if state.trouble.is_none() {
            tracing::warn!(%url, %trouble, "JWKS not fetched: the keys known stay in use");
        } else {
            tracing::debug!(%url, %trouble, failures = state.failures, "JWKS not fetched");
        }
        state.trouble = Some(trouble.to_string());
        self.pace.after_failures(state.failures)
    }

    /// Writes the keys to the data folder if they are not there; a failure is told and tried again with the next
    /// change.
    async fn keep(&self) {
        let sources = {
            let mut state = self.state.lock();
            if !std::mem::take(&mut state.unsaved) {
                return;
            }
            state.sources.clone()
        };
        let kept = self.kept.clone();
        let stored = tokio::task::spawn_blocking(move || kept.store(&sources)).await;
        if let Err(error) = stored.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked))) {
            tracing::warn!(%error, "the JWKS is not kept in the data folder: a start without the provider would fail");
        }
    }
}

async fn fetch(fetcher: &Fetcher) -> Result<(Jwks, Option<Duration>), Trouble> {
    let fetched = fetcher.fetch().await?;
    let set = parse_jwks(&fetched.text, JwksReaders::Everybody)?;
    if set.keys.is_empty() { Err(Trouble::NoKey(set.skipped)) } else { Ok((set, fetched.max_age)) }
}

fn remark(fetcher: &Fetcher, set: &Jwks) {
    let (keys, left_out) = (set.keys.len(), set.skipped);
    tracing::info!(url = %fetcher.url().0, keys, left_out, "JWKS fetched, with keys that are new");
}

fn count(good: bool) {
    metrics::counter!("fanfare_jwks_fetches_total", "outcome" => if good { "good" } else { "failed" }).increment(1);
    if good {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics::gauge!("fanfare_jwks_fetched_timestamp_seconds").set(now.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_bounded_whatever_the_provider_says() {
        let pace = Pace::default();
        let minutes = |count: u64| Duration::from_secs(count * 60);
        for (max_age, wait) in [
            (None, minutes(10)),
            (Some(Duration::ZERO), minutes(1)),
            (Some(minutes(5)), minutes(5)),
            (Some(minutes(360)), minutes(60)),
            (Some(Duration::MAX), minutes(60)),
        ] {
            assert_eq!(pace.after_success(max_age), wait, "{max_age:?}");
        }
        let waits: Vec<u64> =
            [1, 2, 3, 5, 6, 40, u32::MAX].map(|failures| pace.after_failures(failures).as_secs()).into();
        assert_eq!(waits, [30, 60, 120, 480, 600, 600, 600]);
    }
}
