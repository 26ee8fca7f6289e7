//! More than a resume sends: whatever was missed is among the frames, or stands in a gap.

use std::ops::Range;

use fanfare::chat::service::{Before, Replayed};
use fanfare_client::text_message;
use fanfare_protocol::{Id, ServerEvent, Transport};
use futures_util::future::join_all;

use crate::realtime::device::Device;
use crate::world::{Person, World};

/// Messages of a group that nobody heard of: of two groups as many as are looked at, and more.
const MISSED: u64 = 1_600;

/// Says something in all groups in turn, as many times, without a wait between.
async fn talk(world: &World, by: &Person, groups: &[Id]) -> Vec<Id> {
    let chat = world.app().chat();
    let mut said = Vec::new();
    for number in 0..MISSED {
        for group in groups {
            let before = Before { conversation: *group, by: by.id, at_ms: 1_700_000_000_000 };
            said.push(chat.said_before(before, text_message(&number.to_string(), "words")).await.unwrap());
        }
    }
    let placed = join_all(said.into_iter().map(Replayed::durable)).await;
    placed.into_iter().map(|one| one.unwrap().record.id).collect()
}

/// The gap stood for what was looked at alone: messages of the third group were in no frame and in no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_resume_does_not_look_at_stands_in_the_gap() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut groups = Vec::new();
    for title in ["one", "two", "three"] {
        groups.push(ann.group(title, &[bob.id]).await.unwrap().id);
    }
    let cursor = Device::ws(&world, &bob.token).await.cursor;
    let said = talk(&world, &ann, &groups).await;
    let last = ann.send_message(groups[0], &text_message("last", "the last")).await.unwrap().value;
    let mut device = Device::new(Transport::Websocket, &world, &bob.token, Some(&cursor)).await;
    let (mut heard, mut gaps) = (Vec::<Id>::new(), Vec::<Range<u64>>::new());
    let is_told = |heard: &[Id], gaps: &[Range<u64>], id: Id| {
        heard.contains(&id) || gaps.iter().any(|gap| gap.start < id.0 && gap.contains(&id.0))
    };
    while !is_told(&heard, &gaps, last.id) {
        match device.event().await {
            ServerEvent::Message(keyed) => heard.push(keyed.message.id),
            ServerEvent::Gap(gap) => gaps.push(gap.after.0..gap.before.0),
            _ => {}
        }
    }
    let lacks = said.iter().filter(|id| !is_told(&heard, &gaps, **id)).count();
    assert_eq!(lacks, 0, "of {} are in no frame and in no gap: {gaps:?}", said.len());
    assert_eq!(gaps.len(), 1);
}
