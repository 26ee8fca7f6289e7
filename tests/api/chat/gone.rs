//! Ends: blocks, deleted accounts, and sends that are not remembered any more.

use fanfare::base::clock::Clock;
use fanfare::data::tables::{self, chat as keys};
use fanfare_client::{MessagePlace, Paging, text_message};
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Code, ConversationKind, MemberRole, NewConversation};

use super::{all_messages, say};
use crate::deletion::clean;
use crate::world::{World, refused};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_stops_direct_messages_both_ways_with_the_same_words() {
    let mut world = World::new().await;
    let [mut ann, mut bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&ann, id, "before").await;
    let group = cid.group("group", &[ann.id, bob.id]).await.unwrap().id;
    ann.block(bob.id).await.unwrap();
    ann.block(cid.id).await.unwrap();
    for round in 0..2 {
        let text = text_message(&format!("r{round}"), "a");
        let (one, other) =
            (ann.send_message(id, &text).await.unwrap_err(), bob.send_message(id, &text).await.unwrap_err());
        assert_eq!(one.to_string(), other.to_string(), "it is not said who blocks whom");
        assert_eq!(refused(bob.react(id, 1, "👍").await), Code::Forbidden);
        assert_eq!(refused(ann.edit_message(id, 1, "other").await), Code::Forbidden);
        // Nobody blocks anybody in a group.
        say(&bob, group, &format!("in the group {round}")).await;
        say(&ann, group, &format!("ann in the group {round}")).await;
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
    // Also where they have never spoken, whoever begins.
    let new = |member| NewConversation {
        kind: ConversationKind::Direct,
        member_ids: vec![member],
        title: None,
        history: None,
    };
    let cid = world.anyone.with_token(&cid.token);
    assert_eq!(refused(ann.begin(&new(cid_id(&cid).await)).await), Code::Forbidden);
    assert_eq!(refused(cid.begin(&new(ann.id)).await), Code::Forbidden);
    ann.unblock(bob.id).await.unwrap();
    say(&bob, id, "after").await;
    let named = fanfare_protocol::NewMessage { ..text_message("named", "@ann") };
    assert!(!bob.send_message(group, &named).await.unwrap().value.mentions.is_empty());
}

async fn cid_id(cid: &fanfare_client::Client) -> fanfare_protocol::Id {
    cid.me().await.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_account_leaves_its_groups_and_takes_its_words_with_it() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let direct = ann.direct(bob.id).await.unwrap().id;
    let group = ann.group("group", &[bob.id, cid.id]).await.unwrap().id;
    for number in 0..3 {
        say(&ann, direct, &format!("d{number}")).await;
        say(&ann, group, &format!("g{number}")).await;
        say(&bob, group, &format!("b{number}")).await;
    }
    ann.delete_account().await.unwrap();
    clean(&world).await;
    let members = bob.members(group, Paging::first(10)).await.unwrap().items;
    assert_eq!(members.iter().map(|one| (one.user.id, one.role)).collect::<Vec<_>>(), {
        let mut expected = vec![(bob.id, MemberRole::Owner), (cid.id, MemberRole::Member)];
        expected.sort_unstable_by_key(|(id, _)| *id);
        expected
    });
    for id in [direct, group] {
        let all = all_messages(&bob, id, 100).await;
        assert!(all.iter().zip(1..).all(|(message, seq)| message.seq == seq), "numbers stay");
        for message in all.iter().filter(|one| one.sender.id == ann.id && one.system.is_none()) {
            assert!(message.recalled && message.text.is_empty() && message.sender.handle.is_empty(), "{message:?}");
        }
    }
    assert!(bob.conversation(direct).await.unwrap().peer.is_none());
    assert_eq!(refused(bob.send_message(direct, &text_message("late", "late")).await), Code::Forbidden);
    assert_eq!(bob.messages(group, MessagePlace::Newest, 100).await.unwrap().items.len(), 8);
    let store = &world.app().core().store;
    for table in [keys::ACTIVITY, keys::PERSONAL, keys::TOUCHED, keys::MENTIONS, keys::MENTIONED] {
        let rows = store.scan(table, &tables::partition(ann.id), KeyRange::ALL, Order::Ascending, 10).await.unwrap();
        assert!(rows.is_empty(), "{}", table.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_eight_days_no_send_is_remembered_and_after_fifteen_no_change() {
    let start_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(start_ms), |_| ()).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    for number in 0..5 {
        say(&ann, id, &format!("m{number}")).await;
    }
    ann.edit_message(id, 2, "edited").await.unwrap();
    ann.remove_member(id, bob.id).await.unwrap();
    let rows = async |table| {
        let store = &world.app().core().store;
        store.scan(table, &tables::partition(id), KeyRange::ALL, Order::Ascending, 100).await.unwrap().len()
    };
    assert_eq!(rows(keys::SENDS).await, 5);
    world.app().chat().clean().await.unwrap();
    assert_eq!(rows(keys::SENDS).await, 5);
    world.set_clock(start_ms + 8 * 86_400_000);
    say(&ann, id, "m1").await;
    world.app().chat().clean().await.unwrap();
    assert_eq!(rows(keys::SENDS).await, 1, "the same client's id is another message by now");
    assert_eq!(ann.changes(id, 0, 10).await.unwrap().items.len(), 1);
    world.set_clock(start_ms + 16 * 86_400_000);
    say(&ann, id, "late").await;
    world.app().chat().clean().await.unwrap();
    assert_eq!(refused(ann.changes(id, 0, 10).await), Code::SnapshotExpired);
    assert_eq!(ann.message(id, 2).await.unwrap().text, "edited");
}
