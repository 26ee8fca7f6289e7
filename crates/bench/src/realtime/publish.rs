//! Traffic while a bench runs: events of an operator with the time of sending in them, and posts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fanfare_protocol::Id;

use super::client::{now_ns, wire};
use super::http::{Calls, ManyCalls, request};
use super::scene::Scene;
use super::{BenchError, Result};

/// Path at which events are published.
const PATH: &str = "/v1/admin/realtime/publish";

/// An operator.
pub struct Operator {
    calls: ManyCalls,
    authorization: String,
}

impl Operator {
    /// Connects, so that up to `at_once` events can be published at the same moment.
    pub fn new(scene: &Scene, address: SocketAddr, at_once: usize) -> Result<Self> {
        Ok(Self { calls: ManyCalls::open(address, at_once)?, authorization: scene.operator()? })
    }

    /// Publishes `data` (JSON) to everybody `times` times, all requests at once.
    pub fn publish(&mut self, data: &str, times: usize) -> Result<()> {
        let body = format!(r#"{{"all":true,"type":"bench.event","data":{data}}}"#);
        let one = request("POST", PATH, &self.authorization, &body);
        self.calls.ask(&one, times)
    }

    /// Publishes to one person, in the urgent lane.
    pub fn urgent(&mut self, user: Id, data: &str) -> Result<()> {
        self.send_one(user, "urgent", data)
    }

    /// Publishes to one person.
    pub fn send_one(&mut self, user: Id, lane: &str, data: &str) -> Result<()> {
        let body = format!(r#"{{"user_ids":["{user}"],"type":"bench.event","lane":"{lane}","data":{data}}}"#);
        self.calls.ask(&request("POST", PATH, &self.authorization, &body), 1)
    }
}

/// JSON of `bytes` bytes that says when it was made.
pub fn data(bytes: usize) -> String {
    let begin = format!(r#"{{"text":"{}{} "#, wire::SENT, now_ns());
    let filling = bytes.saturating_sub(begin.len() + 2);
    format!("{begin}{}\"}}", "x".repeat(filling))
}

/// Somebody who posts.
pub struct Author {
    calls: Calls,
    authorization: String,
}

impl Author {
    /// Connects as `user`.
    pub fn new(scene: &Scene, address: SocketAddr, user: usize) -> Result<Self> {
        Ok(Self { calls: Calls::open(address)?, authorization: scene.authorization(user)? })
    }

    /// Posts.
    pub fn post(&mut self, text: &str) -> Result<()> {
        let body = format!(r#"{{"text":"{text}"}}"#);
        self.calls.ask(&request("POST", "/v1/posts", &self.authorization, &body))?;
        Ok(())
    }
}

/// Calls `act` `rate` times a second until `stop`; answers how often. What came too late is not made up for beyond a
/// second.
pub fn paced(rate: f64, stop: &AtomicBool, mut act: impl FnMut() -> Result<()>) -> Result<u64> {
    let step = Duration::from_secs_f64(1.0 / rate);
    let (mut due, mut count) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        act()?;
        count += 1;
        due = (due + step).max(Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or(due));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(count)
}

/// The star's posts, `rate` a second on several connections, while `meanwhile` runs; answers what that does, and how
/// many posts were made.
pub fn while_posting<T>(
    scene: &Scene,
    address: SocketAddr,
    rate: f64,
    meanwhile: impl FnOnce() -> Result<T>,
) -> Result<(T, u64)> {
    /// Posts share commits: more authors at once can post more.
    const HANDS: usize = 4;
    let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let text = super::super::world::text();
    let hand = || -> Result<()> {
        let mut author = Author::new(scene, address, scene.star())?;
        let posted = paced(rate / HANDS as f64, &stop, || author.post(&text))?;
        made.fetch_add(posted, Ordering::Relaxed);
        Ok(())
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
        let result = meanwhile();
        stop.store(true, Ordering::Relaxed);
        for hand in hands {
            hand.join().map_err(|_| BenchError::Wrong("an author panicked".to_owned()))??;
        }
        Ok((result?, made.load(Ordering::Relaxed)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_has_the_size_that_was_asked_for_and_the_time() {
        let text = data(200);
        assert_eq!(text.len(), 200);
        assert!(wire::sent_ns(text.as_bytes()).is_some_and(|sent| sent <= now_ns()));
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
