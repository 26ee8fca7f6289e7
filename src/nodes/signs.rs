//! Signs of owners: how far each partition is settled, told over the bus.
//!
//! A sign that is lost costs no more than the time until the next, for all of them are told again and again.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::Bus;
use tokio::time::MissedTickBehavior;

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
        // Whatever is heard meanwhile: a node that hears of others all the time has to be heard too.
        let mut again = tokio::time::interval(pause);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let message = tokio::select! {
                biased;
                _ = again.tick() => None,
                () = hearing.has_news() => None,
                message = heard.messages.recv() => match message {
                    None => break,
                    message => message,
                },
            };
            if message.is_none() {
                tell(&*bus, &topic, &hearing).await;
            }
            // Of those who have much to say everything is heard between two of the own signs.
            let waiting = heard.messages.len();
            let more = iter::from_fn(|| heard.messages.try_recv().ok()).take(waiting);
            for message in message.into_iter().chain(more) {
                match from_json::<Vec<SettledSign>>(&message) {
                    Ok(signs) => signs.into_iter().for_each(|sign| hearing.hear(sign)),
                    Err(error) => tracing::warn!(%error, family, "a sign of another node is not understood"),
                }
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use fanfare_engines::{Offset, Partition, Position, Term, memory};

    use super::*;

    /// The pause until the next of the own signs began anew with each that came.
    #[tokio::test(start_paused = true)]
    async fn who_hears_of_others_all_the_time_says_again_what_is_settled() {
        let bus = memory::open(1).unwrap().bus;
        let hearing = Hearing::new(Partition(0), 2);
        let position = Position { offset: Offset(7), term: Some(Term(3)), ..Position::START };
        hearing.say(Partition(0), position);
        let mut heard = bus.subscribe("settled/social").await.unwrap();
        let telling = tokio::spawn(exchange(Arc::clone(&bus), "social", hearing));
        let mut signs = 0;
        for _ in 0..40 {
            // Time passes when nobody has anything to do.
            let _ = tokio::time::timeout(Duration::from_millis(SIGNS_PAUSE_MS / 4), pending::<()>()).await;
            bus.publish("settled/social", "[]".into()).await.unwrap();
            let own = iter::from_fn(|| heard.messages.try_recv().ok());
            signs += own.filter(|message| *message != "[]").count();
        }
        telling.abort();
        assert!((9..=12).contains(&signs), "{signs}");
    }
}
