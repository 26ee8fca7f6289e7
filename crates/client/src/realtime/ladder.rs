//! Choice of the next transport, and when it comes: the state machine behind falling back and climbing up again.
//!
//! Pure: moments are durations since an arbitrary start, chance is a seed. The driver tells it what became of each
//! connection and does what it answers.

use std::time::Duration;

use fanfare_protocol::Transport;

use super::options::Pace;

/// Why a connection is no more, or never was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Nobody listens there, or the network is down.
    Unreachable(String),
    /// The answer is not this transport's: an upgrade that was refused, another content type, an odd status.
    NotSpoken(String),
    /// Nothing came within the time for a first byte.
    NoFirstByte,
    /// Silence for longer than a heartbeat allows, after it was alive.
    Silent,
    /// Break, or a close by the server without a reason.
    Lost(String),
    /// The server stops; it says when to come back.
    Drained(Duration),
    /// 4401 or HTTP 401: the token or ticket is missing or has ended.
    Unauthenticated,
    /// 4403, HTTP 403, or 4400 with its reason: coming back would not help.
    Forbidden(String),
    /// 4408: the application reads too slowly.
    TooSlow,
    /// 4429 or HTTP 429: too many connections; come back much later, after so long if the server says it.
    Crowded(Option<Duration>),
    /// HTTP 502 to 504: nobody serves just now; come back later, after so long if the answer says it.
    Overloaded(Option<Duration>),
    /// 1001 without a drain before: an operator closed the session.
    ClosedByServer,
}

/// Next step after a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Connect by this transport after so long.
    Connect(Transport, Duration),
    /// Ask for a new token, then connect by this transport after so long.
    Renew(Transport, Duration),
    /// Give up, for this reason.
    Stop(String),
}

/// Connections in a row that are lost before they are open, or soon after, before the next transport is tried.
const LOST_IN_A_ROW_MAX: u32 = 2;

/// The allowed transports, best first, and where on them the client stands.
#[derive(Debug)]
pub struct Ladder {
    rungs: Vec<Transport>,
    at: usize,
    pace: Pace,
    dice: u64,
    /// Failures since a connection was last stable: what the backoff grows with.
    failures: u32,
    /// Connections by this rung in a row that were lost early.
    lost: u32,
    refused_tokens: u32,
    opened: Option<Duration>,
    /// Climbs that failed, or were followed by a fall: what the wait for the next one grows with.
    climbs: u32,
    climbed: bool,
    climb_at: Option<Duration>,
    /// Rung of the climb that goes on or comes next.
    climb_to: usize,
}

impl Ladder {
    /// A client at the best of `allowed`, which is sorted here; none means all four.
    #[must_use]
    pub fn new(allowed: &[Transport], pace: Pace, seed: u64) -> Self {
        let all = [Transport::Websocket, Transport::Sse, Transport::LongPoll, Transport::ShortPoll];
        let rungs: Vec<Transport> = all.into_iter().filter(|one| allowed.is_empty() || allowed.contains(one)).collect();
        Self {
            rungs,
            at: 0,
            pace,
            dice: seed,
            failures: 0,
            lost: 0,
            refused_tokens: 0,
            opened: None,
            climbs: 0,
            climbed: false,
            climb_at: None,
            climb_to: 0,
        }
    }

    /// The transport that the client stands on.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.rungs[self.at]
    }

    /// A connection by [`transport`](Self::transport) is open: `hello`, or a poll's first answer, was received.
    pub fn opened(&mut self, now: Duration) {
        self.opened = Some(now);
        self.refused_tokens = 0;
        self.plan_climb(now);
    }

    /// Moment to try a better transport beside the open connection; `None` on the best.
    #[must_use]
    pub fn climb_at(&self) -> Option<Duration> {
        self.climb_at
    }

    /// The better transport to try now.
    pub fn climb(&mut self) -> Transport {
        self.climb_at = None;
        self.rungs[self.climb_to]
    }

    /// The better transport is open: the client stands on it now.
    pub fn climbed(&mut self, now: Duration) {
        (self.at, self.climb_to, self.climbed) = (self.climb_to, 0, true);
        (self.failures, self.lost) = (0, 0);
        self.opened(now);
    }

    /// The better transport did not open. The next is tried at once, the best again after a longer wait.
    pub fn climb_failed(&mut self, now: Duration) {
        self.climb_to += 1;
        if self.climb_to < self.at {
            self.climb_at = Some(now);
            return;
        }
        self.climb_to = 0;
        self.climbs = self.climbs.saturating_add(1);
        self.plan_climb(now);
    }

    /// Step after the end of the connection, or of the attempt.
    pub fn ended(&mut self, why: &Ended, now: Duration) -> Next {
        let open_for = self.opened.take().map(|opened| now.saturating_sub(opened));
        if open_for.is_some_and(|open| open >= self.pace.stable_after) {
            (self.failures, self.lost, self.climbs) = (0, 0, 0);
        }
        (self.climb_at, self.climb_to) = (None, 0);
        match why {
            Ended::Drained(after) => Next::Connect(self.transport(), *after),
            Ended::Forbidden(reason) => Next::Stop(reason.clone()),
            Ended::Unauthenticated => {
                self.refused_tokens += 1;
                match self.refused_tokens {
                    1 => Next::Renew(self.transport(), Duration::ZERO),
                    _ => Next::Stop("the token is refused".to_owned()),
                }
            }
            Ended::Crowded(after) => {
                let wait = self.backoff().max(self.jittered(self.pace.crowded));
                Next::Connect(self.transport(), after.map_or(wait, |after| after.max(wait)))
            }
            Ended::Overloaded(after) => {
                let wait = self.backoff();
                Next::Connect(self.transport(), after.map_or(wait, |after| after.max(wait)))
            }
            Ended::Unreachable(_) | Ended::TooSlow | Ended::ClosedByServer => {
                Next::Connect(self.transport(), self.backoff())
            }
            Ended::NotSpoken(_) | Ended::NoFirstByte | Ended::Silent => self.step_down(),
            Ended::Lost(_) => {
                self.lost += 1;
                if self.lost >= LOST_IN_A_ROW_MAX && open_for.is_none_or(|open| open < self.pace.stable_after) {
                    return self.step_down();
                }
                // The first one after a good while comes back almost at once: a proxy or server was restarted.
                Next::Connect(self.transport(), self.backoff())
            }
        }
    }

    /// The next rung, at once; below the last one the first again, after a wait.
    fn step_down(&mut self) -> Next {
        self.lost = 0;
        if std::mem::take(&mut self.climbed) {
            self.climbs = self.climbs.saturating_add(1);
        }
        self.at += 1;
        if self.at < self.rungs.len() {
            return Next::Connect(self.transport(), Duration::ZERO);
        }
        self.at = 0;
        Next::Connect(self.transport(), self.backoff())
    }

    fn plan_climb(&mut self, now: Duration) {
        let wait = grown(self.pace.climb_after, self.climbs, self.pace.climb_max);
        self.climb_at = (self.at > 0).then(|| now + self.jittered(wait));
    }

    fn backoff(&mut self) -> Duration {
        let wait = grown(self.pace.backoff_min, self.failures, self.pace.backoff_max);
        self.failures = self.failures.saturating_add(1);
        self.jittered(wait)
    }

    /// Between half and all of `wait`, so that many clients do not come at the same moment.
    fn jittered(&mut self, wait: Duration) -> Duration {
        // SplitMix64, as in `fanfare_engines::random`.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        wait.mul_f64(0.5 + 0.5 * ((mixed >> 11) as f64 / (1_u64 << 53) as f64))
    }
}

/// `first`, doubled `times`, up to `max`.
fn grown(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX)).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn ladder() -> Ladder {
        Ladder::new(&[], Pace::default(), 7)
    }

    fn transport(next: &Next) -> Transport {
        match next {
            Next::Connect(transport, _) | Next::Renew(transport, _) => *transport,
            Next::Stop(reason) => panic!("stopped: {reason}"),
        }
    }

    fn wait(next: &Next) -> Duration {
        match next {
            Next::Connect(_, wait) => *wait,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_transport_that_is_not_spoken_or_buffered_makes_place_for_the_next_and_the_last_for_the_first() {
        let mut ladder = ladder();
        let reasons = [Ended::NotSpoken("426".into()), Ended::NoFirstByte, Ended::NoFirstByte];
        let seen: Vec<Transport> = reasons.iter().map(|why| transport(&ladder.ended(why, secs(1)))).collect();
        assert_eq!(seen, [Transport::Sse, Transport::LongPoll, Transport::ShortPoll]);
        let again = ladder.ended(&Ended::NotSpoken("502".into()), secs(2));
        assert_eq!(transport(&again), Transport::Websocket);
        assert!(wait(&again) >= Pace::default().backoff_min / 2);
    }

    #[test]
    fn a_server_that_is_down_is_no_reason_to_leave_the_transport_and_the_waits_grow_with_jitter() {
        let mut ladder = ladder();
        let waits: Vec<Duration> = (0..12)
            .map(|_| {
                let next = ladder.ended(&Ended::Unreachable("refused".into()), secs(1));
                assert_eq!(transport(&next), Transport::Websocket);
                wait(&next)
            })
            .collect();
        let pace = Pace::default();
        for (times, wait) in waits.iter().enumerate() {
            let whole = grown(pace.backoff_min, times as u32, pace.backoff_max);
            assert!(*wait >= whole / 2 && *wait <= whole, "{times}: {wait:?}");
        }
        let other = Ladder::new(&[], pace, 8).ended(&Ended::Unreachable(String::new()), secs(1));
        assert_ne!(wait(&other), waits[0], "another client waits otherwise");
    }

    #[test]
    fn silence_after_hello_falls_back_and_the_climb_tries_the_best_first() {
        let mut ladder = ladder();
        ladder.opened(secs(0));
        assert_eq!(ladder.climb_at(), None);
        assert_eq!(transport(&ladder.ended(&Ended::Silent, secs(50))), Transport::Sse);
        assert_eq!(transport(&ladder.ended(&Ended::NoFirstByte, secs(60))), Transport::LongPoll);
        ladder.opened(secs(61));
        let at = ladder.climb_at().unwrap();
        assert!(at > secs(61) && at <= secs(61) + Pace::default().climb_after);
        assert_eq!(ladder.climb(), Transport::Websocket);
        ladder.climb_failed(at);
        assert_eq!((ladder.climb_at(), ladder.climb()), (Some(at), Transport::Sse));
        ladder.climbed(at);
        assert_eq!(ladder.transport(), Transport::Sse);
        assert!(ladder.climb_at().is_some(), "and goes on to the best");
    }

    #[test]
    fn climbs_that_fail_or_do_not_last_are_tried_ever_less_often() {
        let pace = Pace::default();
        let mut ladder = ladder();
        ladder.ended(&Ended::NoFirstByte, secs(0));
        let (mut now, mut waits) = (secs(1), Vec::new());
        ladder.opened(now);
        for _ in 0..12 {
            let at = ladder.climb_at().unwrap();
            waits.push(at - now);
            assert_eq!(ladder.climb(), Transport::Websocket);
            now = at;
            ladder.climb_failed(now);
        }
        assert!(waits[11] >= pace.climb_max / 2 && waits[11] <= pace.climb_max);
        ladder.climb();
        ladder.climbed(now);
        assert_eq!(transport(&ladder.ended(&Ended::Silent, now + secs(1))), Transport::Sse);
        ladder.opened(now + secs(2));
        assert!(ladder.climb_at().unwrap() - now > pace.climb_max / 2);
    }

    #[test]
    fn a_connection_that_is_cut_again_and_again_falls_back_and_one_that_lasted_comes_back() {
        let mut ladder = ladder();
        let cut = Ended::Lost("reset".into());
        for round in 0..5 {
            ladder.opened(secs(1_000 * round));
            let next = ladder.ended(&cut, secs(1_000 * round + 900));
            assert_eq!(transport(&next), Transport::Websocket);
            assert!(wait(&next) <= Pace::default().backoff_min);
        }
        ladder.opened(secs(10_000));
        assert_eq!(transport(&ladder.ended(&cut, secs(10_001))), Transport::Sse, "cut twice in a row");
    }

    #[test]
    fn a_refused_token_is_renewed_once_and_what_is_forbidden_ends_it() {
        let mut ladder = ladder();
        assert_eq!(ladder.ended(&Ended::Unauthenticated, secs(0)), Next::Renew(Transport::Websocket, Duration::ZERO));
        assert!(matches!(ladder.ended(&Ended::Unauthenticated, secs(1)), Next::Stop(_)));
        let mut ladder = self::ladder();
        ladder.ended(&Ended::Unauthenticated, secs(0));
        ladder.opened(secs(1));
        assert!(matches!(ladder.ended(&Ended::Unauthenticated, secs(3_600)), Next::Renew(..)), "expired again");
        assert!(
            matches!(ladder.ended(&Ended::Forbidden("origin".into()), secs(1)), Next::Stop(why) if why == "origin")
        );
    }

    #[test]
    fn a_drain_is_waited_for_as_the_server_says_and_a_crowd_for_long() {
        let mut ladder = ladder();
        ladder.opened(secs(0));
        let drained = ladder.ended(&Ended::Drained(secs(3)), secs(1));
        assert_eq!(drained, Next::Connect(Transport::Websocket, secs(3)));
        assert!(wait(&ladder.ended(&Ended::Crowded(None), secs(5))) >= Pace::default().crowded / 2);
        assert!(wait(&ladder.ended(&Ended::Crowded(Some(secs(500))), secs(9))) >= secs(500));
    }

    #[test]
    fn only_allowed_transports_are_used() {
        let mut ladder = Ladder::new(&[Transport::ShortPoll, Transport::Sse], Pace::default(), 1);
        assert_eq!(ladder.transport(), Transport::Sse);
        assert_eq!(transport(&ladder.ended(&Ended::NoFirstByte, secs(1))), Transport::ShortPoll);
        assert_eq!(transport(&ladder.ended(&Ended::NoFirstByte, secs(1))), Transport::Sse);
    }
}
