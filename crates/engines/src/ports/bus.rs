//! Light signals between nodes: at most once, gone when nobody listens.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::EngineError;

/// Messages that wait for one subscriber.
pub const BACKLOG_MAX: usize = 1_024;

/// Messages of one subscription; dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    /// At most [`BACKLOG_MAX`] messages wait here; when it is full the newest are dropped.
    pub messages: mpsc::Receiver<Bytes>,
}

/// Publish and subscribe by topic, at most once.
///
/// Messages of one publisher on one topic arrive in order; a subscriber that is slow or away loses messages without
/// notice. What must not be lost belongs into the journal.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Hands `message` (at most 64 KiB) to those who are subscribed to `topic` now.
    async fn publish(&self, topic: &str, message: Bytes) -> Result<(), EngineError>;

    /// Hears what is published on `topic` from when this answers.
    async fn subscribe(&self, topic: &str) -> Result<Subscription, EngineError>;
}
