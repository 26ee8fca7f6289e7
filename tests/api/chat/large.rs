//! Large groups, whose members hear of what happens in slices, and changes that are gathered: what each device hears
//! has one order and no holes, however a group grows and shrinks.

use fanfare_engines::random::Random;
use fanfare_protocol::ServerEvent;

use super::say;
use crate::realtime::device::Device;
use crate::world::World;

/// Acts of a history.
const ACTS: u64 = 80;

/// Numbers of messages and changes that a device heard up to the last ones; each follows the one before.
async fn heard(device: &mut Device, last_seq: u64, last_change: u64) {
    let (mut seq, mut change) = (0, 0);
    while seq < last_seq || change < last_change {
        match device.event().await {
            ServerEvent::Message(keyed) => {
                let number = keyed.message.seq;
                assert!(seq == 0 || number == seq + 1, "message {number} came after {seq}");
                seq = number;
            }
            ServerEvent::MessageChanged(one) => {
                assert_eq!(one.after, change, "up to change {}", one.change_seq);
                assert!(one.change_seq > one.after);
                change = one.change_seq;
            }
            ServerEvent::MessageRecalled(one) => {
                assert_eq!(one.after, change, "the recall {}", one.change_seq);
                change = one.change_seq;
            }
            ServerEvent::ConversationUpdated(_) | ServerEvent::Receipt(_) | ServerEvent::Notification(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_heard_of_a_group_stays_in_order_while_it_grows_and_shrinks_over_the_bound() {
    // Three members are a large group here, two are a small one.
    let world = World::with(|settings| settings.chat.fanout_async_from = 2).await;
    let [ann, bob, eve] = world.people(["ann", "bob", "eve"]).await;
    let group = ann.group("group", &[bob.id]).await.unwrap().id;
    let mut device = Device::ws(&world, &bob.token).await;
    let mut dice = Random::new(3);
    let (mut is_large, mut said) = (false, vec![say(&ann, group, "first").await.seq]);
    for number in 0..ACTS {
        let seq = said[dice.index(said.len())];
        match dice.below(6) {
            0 if is_large => {
                ann.remove_member(group, eve.id).await.unwrap();
                is_large = false;
            }
            0 => {
                ann.add_member(group, eve.id).await.unwrap();
                is_large = true;
            }
            1 => drop(ann.edit_message(group, seq, &format!("changed {number}")).await.unwrap()),
            2 | 3 => {
                let emoji = ["👍", "🎉", "👀"][dice.index(3)];
                let person = [&ann, &bob][dice.index(2)];
                if dice.below(3) == 0 {
                    person.unreact(group, seq, emoji).await.unwrap();
                } else {
                    person.react(group, seq, emoji).await.unwrap();
                }
            }
            _ => said.push(say(&ann, group, &format!("message {number}")).await.seq),
        }
    }
    let last = say(&ann, group, "the last").await;
    ann.recall_message(group, last.seq).await.unwrap();
    let page = ann.changes(group, 0, 1).await.unwrap();
    heard(&mut device, last.seq, page.change_seq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_reactions_to_one_message_are_heard_as_one_run_that_ends_with_all_of_them() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let direct = ann.direct(bob.id).await.unwrap().id;
    let message = say(&ann, direct, "what do you think?").await;
    let mut device = Device::ws(&world, &ann.token).await;
    let kinds = ["👍", "🎉", "👀", "❤️", "😂", "🔥", "🚀", "😢"];
    for emoji in kinds {
        bob.react(direct, message.seq, emoji).await.unwrap();
    }
    let (mut change, mut last) = (0, None);
    while change < kinds.len() as u64 {
        if let ServerEvent::MessageChanged(one) = device.event().await {
            assert_eq!(one.after, change);
            change = one.change_seq;
            last = Some(one.message);
        }
    }
    assert_eq!(last.unwrap().reactions.len(), kinds.len());
}
