//! Signs of owners: how far each partition is settled, told over the bus.
//!
//! A sign that is lost costs no more than the time until the next, for all of them are told again and again.

use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::Bus;

use crate::base::limits::nodes::{SIGNS_IN_MESSAGE, SIGNS_PAUSE_MS};
use crate::data::rows::{from_json, to_json};
use crate::log::hearing::{Hearing, SettledSign};

/// Tells other nodes how far the partitions of `family` that are owned here are settled, and hears it of theirs.
/// Without end.
pub async fn exchange(bus: Arc<dyn Bus>, family: &'static str, hearing: Hearing) {
    let topic = format!("settled/{family}");
    let pause = Duration::from_millis(SIGNS_PAUSE_MS);
    loop {
        let mut heard = match bus.subscribe(&topic).await {
            Ok(heard) => heard,
            Err(error) => {
                tracing::debug!(%error, family, "no signs of other nodes are heard yet");
                tokio::time::sleep(pause).await;
                continue;
            }
        };
        loop {
            tokio::select! {
                message = heard.messages.recv() => {
                    let Some(message) = message else { break };
                    match from_json::<Vec<SettledSign>>(&message) {
                        Ok(signs) => signs.into_iter().for_each(|sign| hearing.hear(sign)),
                        Err(error) => tracing::warn!(%error, family, "a sign of another node is not understood"),
                    }
                }
                () = hearing.has_news() => tell(&*bus, &topic, &hearing).await,
                () = tokio::time::sleep(pause) => tell(&*bus, &topic, &hearing).await,
            }
        }
    }
}

async fn tell(bus: &dyn Bus, topic: &str, hearing: &Hearing) {
    for signs in hearing.signs().chunks(SIGNS_IN_MESSAGE) {
        let told = match to_json(&signs) {
            Ok(message) => bus.publish(topic, message).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = told {
            tracing::debug!(error, topic, "other nodes do not hear how far this one is");
        }
    }
}
