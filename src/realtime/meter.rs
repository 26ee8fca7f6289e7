//! Metrics of one shard: counted here, handed over once a round.

use fanfare_protocol::{Lane, Transport};
use metrics::{Counter, Gauge, counter, gauge};

const LANES: [Lane; 3] = [Lane::Urgent, Lane::Normal, Lane::Bulk];
const TRANSPORTS: [Transport; 4] = [Transport::Websocket, Transport::Sse, Transport::LongPoll, Transport::ShortPoll];

/// Counters of a shard.
pub struct Meter {
    delivered: [(u64, Counter); 3],
    dropped: [Counter; 3],
    sessions: [Gauge; 4],
    delay: Gauge,
    shown_delay_ms: u64,
}

impl Meter {
    /// All at nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            delivered: LANES.map(|lane| (0, counter!("fanfare_realtime_frames_total", "lane" => lane.name()))),
            dropped: LANES.map(|lane| counter!("fanfare_realtime_dropped_total", "lane" => lane.name())),
            sessions: TRANSPORTS.map(|transport| gauge!("fanfare_realtime_sessions", "transport" => transport.name())),
            delay: gauge!("fanfare_realtime_bulk_delay_ms"),
            shown_delay_ms: u64::MAX,
        }
    }

    /// A frame was handed to a session.
    pub fn delivered(&mut self, lane: Lane) {
        self.delivered[lane as usize].0 += 1;
    }

    /// A frame, or a post, was dropped because a session does not read.
    pub fn dropped(&self, lane: Lane) {
        self.dropped[lane as usize].increment(1);
    }

    /// A session began.
    pub fn opened(&self, transport: Transport) {
        self.sessions[transport as usize].increment(1.0);
    }

    /// A session ended.
    pub fn left(&self, transport: Transport) {
        self.sessions[transport as usize].decrement(1.0);
    }

    /// A session was closed by the server; 0 for the usual end of a poll.
    pub fn closed(&self, code: u16) {
        if code > 0 {
            counter!("fanfare_realtime_closed_total", "code" => code.to_string()).increment(1);
        }
    }

    /// Hands over what was counted.
    pub fn flush(&mut self, delay_ms: u64) {
        for (count, counter) in &mut self.delivered {
            if *count > 0 {
                counter.increment(std::mem::take(count));
            }
        }
        if delay_ms != self.shown_delay_ms {
            self.shown_delay_ms = delay_ms;
            self.delay.set(delay_ms as f64);
        }
    }
}
