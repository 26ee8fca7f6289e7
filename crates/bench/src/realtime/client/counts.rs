//! Counts of what has come in since the mark.

use std::time::{SystemTime, UNIX_EPOCH};

use super::protocol::Report;
use super::talk::Talking;
use super::wire::{self, Frame};
use crate::percentile;

/// Times of arrival that are kept; further ones are not timed.
const TIMED_MAX: usize = 20_000_000;

/// Nanoseconds since 1970: the same clock in every process of a machine.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Counters, and times from sending to reading.
#[derive(Default)]
pub struct Counts {
    /// The counters; `alive`, `lost` and `error` are those of the connections.
    pub report: Report,
    /// Conversations that go on.
    pub talking: Option<Talking>,
    timing: bool,
    took_us: Vec<u32>,
}

impl Counts {
    /// Begins from zero.
    pub fn mark(&mut self, timing: bool) {
        let Report { alive, lost, .. } = self.report;
        self.report = Report { alive, lost, ..Report::default() };
        self.timing = timing;
        self.took_us.clear();
    }

    /// Counts a frame that came at `now_ns` on a connection that has had `events` since the mark, and times it if
    /// `timed`.
    pub fn frame<'a>(&mut self, text: &'a [u8], now_ns: u64, events: &mut u32, timed: bool) -> Frame<'a> {
        let frame = wire::classify(text);
        let report = &mut self.report;
        match frame {
            Frame::Event | Frame::Message => {
                report.events += 1;
                report.reached += u64::from(*events == 0);
                *events += 1;
                if report.first_ns == 0 {
                    report.first_ns = now_ns;
                }
                report.last_ns = now_ns;
                self.time(text, now_ns, timed);
            }
            Frame::Posts => {
                report.post_frames += 1;
                report.posts += wire::posts(text);
                if timed && self.timing && wire::sent_ns(text).is_some() {
                    report.reached += u64::from(*events == 0);
                    *events += 1;
                }
            }
            Frame::Notification => {
                report.notifications += 1;
                self.time(text, now_ns, timed);
            }
            Frame::Receipt => report.receipts += 1,
            Frame::Gap => report.gaps += 1,
            Frame::Reset => report.resets += 1,
            Frame::Hello(resumed) => {
                report.hellos += 1;
                report.resumed += u64::from(resumed);
                report.last_hello_ns = now_ns;
            }
            Frame::Drain(_) => report.drains += 1,
            Frame::Connected | Frame::Ping | Frame::Reply | Frame::Other(_) => {}
        }
        frame
    }

    fn time(&mut self, text: &[u8], now_ns: u64, timed: bool) {
        if self.timing
            && timed
            && self.took_us.len() < TIMED_MAX
            && let Some(sent_ns) = wire::sent_ns(text)
        {
            self.took_us.push(u32::try_from(now_ns.saturating_sub(sent_ns) / 1_000).unwrap_or(u32::MAX));
        }
    }

    /// The counters, with what the times come to.
    pub fn report(&self) -> Report {
        let mut took: Vec<f64> = self.took_us.iter().copied().map(f64::from).collect();
        Report {
            p50_us: percentile(&mut took, 50.0),
            p95_us: percentile(&mut took, 95.0),
            p99_us: percentile(&mut took, 99.0),
            max_us: percentile(&mut took, 100.0),
            timed: took.len() as u64,
            talked: self.talking.as_ref().map_or_else(Default::default, Talking::figures),
            ..self.report.clone()
        }
    }
}
