//! A group of a hundred and one: who writes is told up to a hundred members, and a hundred who read make few frames.

use std::collections::BTreeMap;
use std::time::Instant;

use fanfare_protocol::{Id, ServerEvent};
use futures_util::future::join_all;
use serde_json::json;

use super::{heard_nothing, say};
use crate::realtime::device::Device;
use crate::world::{Person, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_who_read_make_a_frame_a_second_and_beyond_a_hundred_nobody_is_told_who_writes() {
    let world = World::new().await;
    let names: Vec<String> = (0..101).map(|number| format!("p{number}")).collect();
    let mut people: Vec<Person> = Vec::new();
    // As many at once as passwords are hashed at once.
    for some in names.chunks(8) {
        people.extend(join_all(some.iter().map(|name| world.person(name))).await);
    }
    let ids: Vec<Id> = people.iter().map(|person| person.id).collect();
    let (ann, bob) = (&people[0], &people[1]);
    let id = ann.group("crowd", &ids[1..100]).await.unwrap().id;
    let last = say(ann, id, "hello, all").await.seq;
    let mut anns = Device::ws(&world, &ann.token).await;
    let mut bobs = Device::ws(&world, &bob.token).await;
    bobs.ask(1, "typing", json!({ "conversation_id": id })).await;
    let ServerEvent::Typing(typing) = anns.until("typing").await.event().unwrap() else { panic!() };
    assert_eq!(typing.user_id, Some(bob.id));
    // Told once in three seconds, however often it is said; then the next is another person's.
    bobs.ask(2, "typing", json!({ "conversation_id": id })).await;
    let mut cids = Device::ws(&world, &people[2].token).await;
    cids.ask(3, "typing", json!({ "conversation_id": id })).await;
    let ServerEvent::Typing(typing) = anns.until("typing").await.event().unwrap() else { panic!() };
    assert_eq!(typing.user_id, Some(people[2].id));
    // Everybody says twice how far they have come; a frame holds all who moved since the one before.
    let began = Instant::now();
    let reads = people[1..100].iter().map(|person| async move {
        person.mark_delivered(id, last - 1).await.unwrap();
        person.mark_read(id, last).await.unwrap();
    });
    join_all(reads).await;
    let (mut frames, mut marks) = (0, BTreeMap::new());
    while marks.values().filter(|read| **read == last).count() < 99 {
        let ServerEvent::Receipt(told) = anns.until("receipt").await.event().unwrap() else { panic!() };
        frames += 1;
        for receipt in told.receipts {
            let before = marks.insert(receipt.user_id, receipt.read_seq).unwrap_or_default();
            assert!(before <= receipt.read_seq && receipt.delivered_seq >= receipt.read_seq, "{receipt:?}");
        }
    }
    // A bound, and no wish: there are no more however slow this is.
    assert!(frames <= 1 + began.elapsed().as_secs(), "{frames} frames in {:?}", began.elapsed());
    ann.add_member(id, ids[100]).await.unwrap();
    anns.until("message").await;
    let mut dans = Device::ws(&world, &people[3].token).await;
    dans.ask(4, "typing", json!({ "conversation_id": id })).await;
    anns.until("conversation.updated").await;
    heard_nothing(&mut anns).await;
}
