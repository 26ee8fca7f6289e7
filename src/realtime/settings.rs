//! Settings of realtime delivery.

use crate::base::limits::realtime::BULK_DELAY_MS_MAX;
use crate::config::Settings;

/// From `[realtime]`.
#[derive(Debug, Clone)]
pub struct RealtimeSettings {
    /// Seconds between heartbeats.
    pub heartbeat_s: u64,
    /// Seconds without a sign of life after which a session is dead and a person offline.
    pub offline_after_s: u64,
    /// Milliseconds over which followed posts are gathered.
    pub bulk_delay_ms: u64,
    /// Milliseconds at most, under load.
    pub bulk_delay_ms_max: u64,
    /// Threads that carry sessions.
    pub shards: usize,
    /// Sessions at once.
    pub sessions_max: usize,
    /// Sessions at once of one person.
    pub sessions_per_user_max: usize,
    /// Sessions at once from one address.
    pub sessions_per_address_max: usize,
    /// Origins that may open sessions; empty: all.
    pub allowed_origins: Vec<String>,
    /// Bytes of a client's message.
    pub message_bytes_max: usize,
    /// Messages a second of a client.
    pub messages_per_s: u32,
    /// Bytes that may wait for one session.
    pub session_bytes_max: usize,
    /// Seconds that a session may take nothing of them.
    pub stall_max_s: u64,
    /// WebSocket messages are compressed where the client can.
    pub compression: bool,
    /// Seconds over which clients come back after a drain.
    pub drain_spread_s: u64,
}

impl RealtimeSettings {
    /// From the configuration; threads are counted out here.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let realtime = &settings.realtime;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let shards = if realtime.shards == 0 { cores.div_ceil(2) } else { usize::from(realtime.shards) };
        Self {
            heartbeat_s: realtime.heartbeat_s,
            offline_after_s: realtime.offline_after_s,
            bulk_delay_ms: realtime.bulk_delay_ms,
            bulk_delay_ms_max: realtime.bulk_delay_ms.max(BULK_DELAY_MS_MAX),
            shards,
            sessions_max: realtime.sessions_max,
            sessions_per_user_max: realtime.sessions_per_user_max,
            sessions_per_address_max: realtime.sessions_per_address_max.min(realtime.sessions_max / 2).max(1),
            allowed_origins: realtime.allowed_origins.iter().map(|origin| origin.0.clone()).collect(),
            message_bytes_max: realtime.message_bytes_max,
            messages_per_s: realtime.messages_per_s,
            session_bytes_max: realtime.session_bytes_max,
            stall_max_s: realtime.stall_max_s,
            compression: realtime.compression,
            drain_spread_s: realtime.drain_spread_s,
        }
    }
}
