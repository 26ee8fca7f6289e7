//! The bus. Its messages may be lost, so what is checked is order, separation and bounds.

use std::time::Duration;

use bytes::Bytes;

use super::{refused, sure, text};
use crate::Engines;
use crate::limits::{MESSAGE_BYTES_MAX, TOPIC_BYTES_MAX};
use crate::ports::{BACKLOG_MAX, Subscription};

/// Longest time that a message which was not lost may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Publishes an end mark until it arrives; answers what came before it.
async fn received(engines: &Engines, topic: &str, subscription: &mut Subscription) -> Vec<Bytes> {
    let mut messages = Vec::new();
    let until_end = async {
        loop {
            sure(|| engines.bus.publish(topic, text("end"))).await;
            while let Ok(message) = subscription.messages.try_recv() {
                if message == "end" {
                    return;
                }
                messages.push(message);
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, until_end).await.is_ok(), "nothing arrives on {topic}");
    messages
}

fn in_order(messages: &[Bytes]) -> bool {
    messages.is_sorted_by(|earlier, later| earlier < later)
}

pub(super) async fn arrive_in_order_at_every_subscriber(engines: Engines) {
    sure(|| engines.bus.publish("topic", text("before anybody listens"))).await;
    let mut first = sure(|| engines.bus.subscribe("topic")).await;
    let mut second = sure(|| engines.bus.subscribe("topic")).await;
    drop(sure(|| engines.bus.subscribe("topic")).await);
    for number in 0..100 {
        sure(|| engines.bus.publish("topic", text(format!("{number:03}")))).await;
    }
    for subscription in [&mut first, &mut second] {
        let messages = received(&engines, "topic", subscription).await;
        assert!(in_order(&messages), "{messages:?}");
        assert!(messages.iter().all(|message| message.len() == 3), "{messages:?}");
    }
}

pub(super) async fn stay_in_their_topic(engines: Engines) {
    let mut subscription = sure(|| engines.bus.subscribe("a")).await;
    let other = sure(|| engines.bus.subscribe("ab")).await;
    sure(|| engines.bus.publish("ab", text("elsewhere"))).await;
    assert_eq!(received(&engines, "a", &mut subscription).await, Vec::<Bytes>::new());
    drop(other);
}

pub(super) async fn a_slow_subscriber_loses_the_newest(engines: Engines) {
    let mut subscription = sure(|| engines.bus.subscribe("topic")).await;
    for number in 0..2 * BACKLOG_MAX {
        sure(|| engines.bus.publish("topic", text(format!("{number:06}")))).await;
    }
    let messages = received(&engines, "topic", &mut subscription).await;
    assert!(messages.len() <= BACKLOG_MAX && in_order(&messages), "{} messages", messages.len());
}

pub(super) async fn limits_are_refused(engines: Engines) {
    let long = "t".repeat(TOPIC_BYTES_MAX + 1);
    for topic in ["", &long] {
        refused("publishing on a bad topic", || engines.bus.publish(topic, Bytes::new())).await;
        refused("subscribing to a bad topic", || engines.bus.subscribe(topic)).await;
    }
    let large = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1]);
    refused("a large message", || engines.bus.publish("topic", large.clone())).await;
}
