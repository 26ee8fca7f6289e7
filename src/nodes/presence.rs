//! Presence of people who are connected to other nodes.
//!
//! Each node says who came since its last word, once a second, and now and then who is here. To others that is a sign
//! of life without a session: they count a person as online until so many seconds after the last one, as they would
//! after a heartbeat. A word that is lost costs the time until the next; nothing is stored.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::Bus;
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::base::limits::nodes::{HEARTBEATS_WAITING_MAX, HERE_EVERY, HERE_PAUSE_MS, PEOPLE_IN_MESSAGE};
use crate::data::rows::{from_json, to_json};
use crate::realtime::Realtime;

const TOPIC: &str = "presence";

/// People who live on a node.
#[derive(Debug, Serialize, Deserialize)]
struct Here {
    node: Arc<str>,
    people: Vec<Id>,
}

/// People of whom others are told next. Pure.
#[derive(Debug, Default)]
struct Said {
    /// People who were here the last time.
    before: HashSet<Id>,
    words: u64,
}

impl Said {
    /// People to tell of, among those who are here now: who came; and all, every so many times.
    fn next(&mut self, here: Vec<Id>) -> Vec<Id> {
        let all = self.words.is_multiple_of(HERE_EVERY);
        self.words += 1;
        let told = here.iter().filter(|person| all || !self.before.contains(person)).copied().collect();
        self.before = here.into_iter().collect();
        told
    }
}

/// Tells other nodes who is connected to this one, which is `name`, and hears it of theirs. Without end.
pub async fn exchange(name: Arc<str>, bus: Arc<dyn Bus>, realtime: Realtime) {
    let (beats, mut heartbeats) = mpsc::channel(HEARTBEATS_WAITING_MAX);
    // Where there is no room a person's next heartbeat is as good.
    realtime.tell_of_heartbeats(move |person| {
        let _ = beats.try_send(person);
    });
    let mut said = Said::default();
    let pause = Duration::from_millis(HERE_PAUSE_MS);
    loop {
        let Ok(mut heard) = bus.subscribe(TOPIC).await else {
            tokio::time::sleep(pause).await;
            continue;
        };
        let mut tick = tokio::time::interval(pause);
        loop {
            tokio::select! {
                message = heard.messages.recv() => {
                    let Some(message) = message else { break };
                    match from_json::<Here>(&message) {
                        Ok(here) if here.node == name => {}
                        Ok(here) => for person in here.people {
                            realtime.lives_elsewhere(person).await;
                        },
                        Err(error) => tracing::warn!(%error, "who is on another node is not understood"),
                    }
                }
                _ = tick.tick() => {
                    let mut people = said.next(realtime.connected());
                    while let Ok(person) = heartbeats.try_recv() {
                        people.push(person);
                    }
                    tell(&name, &*bus, &people).await;
                }
            }
        }
    }
}

async fn tell(node: &Arc<str>, bus: &dyn Bus, people: &[Id]) {
    for people in people.chunks(PEOPLE_IN_MESSAGE) {
        let told = match to_json(&Here { node: Arc::clone(node), people: people.to_vec() }) {
            Ok(message) => bus.publish(TOPIC, message).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = told {
            tracing::debug!(error, "other nodes do not hear who is here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_is_told_of_at_once_and_everybody_now_and_then() {
        let (mut said, [ann, ben]) = (Said::default(), [Id(1), Id(2)]);
        assert_eq!(said.next(vec![ann]), [ann]);
        assert_eq!(said.next(vec![ann, ben]), [ben]);
        assert_eq!(said.next(vec![ann, ben]), []);
        assert_eq!(said.next(vec![ben]), []);
        assert_eq!(said.next(vec![ann, ben]), [ann], "who left comes again");
        for _ in 5..HERE_EVERY {
            assert_eq!(said.next(vec![ann, ben]), []);
        }
        assert_eq!(said.next(vec![ann, ben]), [ann, ben]);
    }
}
