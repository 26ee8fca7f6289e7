//! Topics in memory, each with its subscribers' bounded queues.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::limits::{check_message, check_topic};
use crate::ports::{BACKLOG_MAX, Bus, EngineError, Subscription};

/// Topics below which nobody looks for topics that lost their last subscriber.
const SWEEP_TOPICS_MIN: usize = 1_024;

#[derive(Debug, Default)]
struct Topics {
    subscribers: HashMap<String, Vec<mpsc::Sender<Bytes>>>,
    /// Topics left after the last sweep; sweeping at twice as many makes its cost constant per subscription.
    swept: usize,
}

/// A bus inside one process.
#[derive(Debug, Default)]
pub struct LocalBus {
    topics: RwLock<Topics>,
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, topic: &str, message: Bytes) -> Result<(), EngineError> {
        check_topic(topic)?;
        check_message(&message)?;
        let topics = self.topics.read();
        for subscriber in topics.subscribers.get(topic).into_iter().flatten() {
            // Full or gone: the port says that this message is lost.
            let _ = subscriber.try_send(message.clone());
        }
        Ok(())
    }

    async fn subscribe(&self, topic: &str) -> Result<Subscription, EngineError> {
        check_topic(topic)?;
        let (sender, messages) = mpsc::channel(BACKLOG_MAX);
        let mut topics = self.topics.write();
        let subscribers = topics.subscribers.entry(topic.to_owned()).or_default();
        subscribers.retain(|subscriber| !subscriber.is_closed());
        subscribers.push(sender);
        if topics.subscribers.len() >= SWEEP_TOPICS_MIN.max(2 * topics.swept) {
            topics.subscribers.retain(|_, subscribers| {
                subscribers.retain(|subscriber| !subscriber.is_closed());
                !subscribers.is_empty()
            });
            topics.swept = topics.subscribers.len();
        }
        Ok(Subscription { messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn topics_without_subscribers_are_forgotten() {
        let bus = LocalBus::default();
        for topic in 0..10 * SWEEP_TOPICS_MIN {
            drop(bus.subscribe(&topic.to_string()).await.unwrap());
        }
        assert!(bus.topics.read().subscribers.len() <= SWEEP_TOPICS_MIN);
    }
}
