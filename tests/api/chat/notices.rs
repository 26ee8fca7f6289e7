//! Notifications of kind `message`: who asks and who adds is told once, also through kills; requests make no sound.

use std::collections::BTreeMap;
use std::sync::Arc;

use fanfare_client::{Client, ClientError, Paging};
use fanfare_engines::random::Random;
use fanfare_protocol::{
    Id, MessageReason, NewUser, Notification, NotificationKind, NotificationPage, PatchChatPreferences, ServerEvent,
    Transport, WhoMay,
};

use super::say;
use crate::process::Process;
use crate::realtime::device::Device;
use crate::world::{PASSWORD, World, eventually};

async fn page(person: &Client) -> NotificationPage {
    person.notifications(Paging::first(100)).await.unwrap()
}

/// Conversations of which a person is told, with why and by whom, newest first.
fn told(page: &NotificationPage) -> Vec<(Id, MessageReason, String)> {
    let one = |item: &Notification| {
        assert_eq!((item.kind, item.count, item.post.is_none()), (NotificationKind::Message, 1, true), "{item:?}");
        (item.conversation_id.unwrap(), item.reason.unwrap(), item.actor.handle.clone())
    };
    page.items.iter().map(one).collect()
}

/// Waits until a person is told so much: that follows soon after the call.
async fn until_told(person: &Client, count: usize) -> NotificationPage {
    eventually("a person is told", async || {
        let page = page(person).await;
        (page.items.len() == count).then_some(page)
    })
    .await
}

/// Fails if a device has heard of another conversation than this by now. What was just sent of this one may come again,
/// and its first message and the notice of it come by streams of their own, in any order.
async fn hears_of_alone(device: &mut Device, conversation: Id) {
    device.send(r#"{"ref": 9, "type": "ping"}"#).await;
    loop {
        let frame = device.frame().await;
        match frame.kind.as_str() {
            "reply" => return,
            "pong" => {}
            _ => {
                let of = frame.data.as_ref().map(|data| data["conversation_id"].clone());
                assert_eq!(of, Some(conversation.to_string().into()), "{frame:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_added_hears_of_it_and_who_is_asked_finds_it_as_long_as_it_waits() {
    let mut world = World::new().await;
    let [ann, mut bob, cid, dan] = world.people(["ann", "bob", "cid", "dan"]).await;
    let mut bobs = Device::new(Transport::Websocket, &world, &bob.token, None).await;
    let group = ann.group("group", &[bob.id, cid.id]).await.unwrap().id;
    let ServerEvent::Notification(rung) = bobs.until("notification").await.event().unwrap() else { panic!() };
    let rung = rung.notification;
    assert_eq!((rung.conversation_id, rung.reason), (Some(group), Some(MessageReason::Added)));
    let seen = until_told(&bob, 1).await;
    assert_eq!((seen.unread_count, seen.items[0].id), (1, rung.id));
    assert_eq!(told(&seen), [(group, MessageReason::Added, "ann".to_owned())]);
    bob.mark_notifications_read(rung.id).await.unwrap();
    assert_eq!(page(&bob).await.unread_count, 0);
    // From now on bob is asked: without a sound and a badge, and no message of it is told of.
    let asks = PatchChatPreferences {
        who_may_message: Some(Some(WhoMay::Requests)),
        who_may_add: Some(Some(WhoMay::Requests)),
        ..PatchChatPreferences::default()
    };
    bob.prefer(&asks).await.unwrap();
    let request = dan.direct(bob.id).await.unwrap().id;
    say(&dan, request, "please").await;
    let club = cid.group("club", &[bob.id]).await.unwrap().id;
    let expected = [
        (club, MessageReason::Invitation, "cid".to_owned()),
        (request, MessageReason::Request, "dan".to_owned()),
        (group, MessageReason::Added, "ann".to_owned()),
    ];
    for _ in 0..2 {
        let seen = until_told(&bob, 3).await;
        assert_eq!((told(&seen), seen.unread_count), (expected.to_vec(), 0));
        world.restart(&mut [&mut bob]).await;
    }
    let [ann, cid, dan] = [&ann, &cid, &dan].map(|person| world.anyone.with_token(&person.token));
    // Page by page it is the same, and a device that comes back hears of what rang alone.
    let first = bob.notifications(Paging::first(2)).await.unwrap();
    let second = bob.notifications(Paging { limit: Some(2), cursor: first.next_cursor.as_deref() }).await.unwrap();
    assert_eq!((first.items.len(), second.items.len(), second.next_cursor), (2, 1, None));
    let mut again = Device::new(Transport::Websocket, &world, &bob.token, Some(&bobs.cursor)).await;
    hears_of_alone(&mut again, group).await;
    // What is answered, either way, is listed no more; neither is what is over.
    bob.accept_request(request).await.unwrap();
    bob.decline_request(club).await.unwrap();
    assert_eq!(told(&page(&bob).await), [(group, MessageReason::Added, "ann".to_owned())]);
    ann.remove_member(group, bob.id).await.unwrap();
    assert_eq!(told(&page(&bob).await), []);
    // Asked anew by others, and hidden as long as bob does not want to hear of them.
    cid.add_member(club, bob.id).await.unwrap();
    until_told(&bob, 1).await;
    bob.mute(cid.me().await.unwrap().id).await.unwrap();
    assert_eq!(told(&page(&bob).await), []);
    bob.unmute(cid.me().await.unwrap().id).await.unwrap();
    assert_eq!(told(&page(&bob).await), [(club, MessageReason::Invitation, "cid".to_owned())]);
    bob.block(cid.me().await.unwrap().id).await.unwrap();
    assert_eq!(told(&page(&bob).await), []);
    // Whoever did it, talks at once, or joins by an invite is told of nothing.
    let _ = dan.direct(ann.me().await.unwrap().id).await.unwrap();
    assert_eq!((told(&page(&ann).await), told(&page(&dan).await)), (vec![], vec![]));
}

const PEOPLE: usize = 5;
const ROUNDS: u64 = 4;
const ACTS: usize = 12;

/// Begins groups, with random others in them, until the server is gone; answers those that were begun.
async fn begin_groups(client: Client, others: Vec<Id>, seed: u64) -> Vec<Id> {
    let (mut dice, mut begun) = (Random::new(seed), Vec::new());
    loop {
        let members: Vec<Id> = others.iter().copied().filter(|_| dice.below(2) == 0).collect();
        match client.group(&format!("{seed}"), &members).await {
            Ok(group) => begun.push(group.id),
            Err(ClientError::Transport(_)) => return begun,
            Err(other) => panic!("{other}"),
        }
    }
}

/// Everybody's conversations, and who is to be told of which: who is in it and did not begin it.
async fn expected(people: &[(Client, Id)]) -> Vec<BTreeMap<Id, MessageReason>> {
    let mut of = Vec::new();
    for (client, _) in people {
        let mut known = BTreeMap::new();
        for (folder, reason) in [("inbox", MessageReason::Added), ("requests", MessageReason::Invitation)] {
            let mut cursor = None::<String>;
            loop {
                let paging = Paging { limit: Some(100), cursor: cursor.as_deref() };
                let page = client.conversations(&[("folder", folder)], paging).await.unwrap();
                let others = page.items.iter().filter(|one| one.role != fanfare_protocol::MemberRole::Owner);
                known.extend(others.map(|one| (one.id, reason)));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
        }
        of.push(known);
    }
    of
}

/// Everything that a person is told, page by page.
async fn all_told(client: &Client) -> Vec<(Id, MessageReason)> {
    let (mut cursor, mut found) = (None::<String>, Vec::new());
    loop {
        let page = client.notifications(Paging { limit: Some(100), cursor: cursor.as_deref() }).await.unwrap();
        found.extend(page.items.iter().map(|item| (item.conversation_id.unwrap(), item.reason.unwrap())));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_everybody_is_told_once_of_every_group() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("FANFARE__CHAT__CONVERSATIONS_PER_HOUR", "0"), ("FANFARE__CHAT__REQUESTS_PER_HOUR", "0")];
    let mut server = Process::serve(folder.path(), &settings).await;
    let mut known = Vec::new();
    for number in 0..PEOPLE {
        let new = NewUser { handle: format!("p{number}"), password: PASSWORD.to_owned(), display_name: None };
        let session = server.anyone.register(&new).await.unwrap();
        known.push((session.token, session.user.id));
    }
    // Some are asked.
    let asks = PatchChatPreferences { who_may_add: Some(Some(WhoMay::Requests)), ..PatchChatPreferences::default() };
    server.anyone.with_token(&known[4].0).prefer(&asks).await.unwrap();
    let clients = |server: &Process| -> Vec<(Client, Id)> {
        known.iter().map(|(token, id)| (server.anyone.with_token(token), *id)).collect()
    };
    let mut dice = Random::new(7);
    for round in 0..ROUNDS {
        let people = clients(&server);
        let acts: Vec<_> = (0..PEOPLE)
            .map(|me| {
                let others = people.iter().map(|(_, id)| *id).filter(|id| *id != people[me].1).collect();
                tokio::spawn(begin_groups(people[me].0.clone(), others, round * 100 + me as u64))
            })
            .collect();
        // In the middle of it, at no moment that anything waits for.
        let watched = Arc::new(people[0].0.clone());
        let wanted = (round as usize + 1) * ACTS + dice.below(8) as usize;
        eventually("groups are begun", async || {
            let page = watched.conversations(&[], Paging::first(100)).await.unwrap();
            (page.items.len() >= wanted.min(100)).then_some(())
        })
        .await;
        server.kill();
        let mut begun = Vec::new();
        for (me, act) in acts.into_iter().enumerate() {
            begun.extend(act.await.unwrap().into_iter().map(|id| (me, id)));
        }
        server = Process::serve(folder.path(), &settings).await;
        let people = clients(&server);
        for (me, id) in begun {
            assert!(people[me].0.conversation(id).await.is_ok(), "{id} was answered");
        }
        let expected = expected(&people).await;
        for ((client, id), expected) in people.iter().zip(expected) {
            let found = eventually("everybody is told", async || {
                let found = all_told(client).await;
                (found.len() >= expected.len()).then_some(found)
            })
            .await;
            let unique: BTreeMap<Id, MessageReason> = found.iter().copied().collect();
            assert_eq!(unique.len(), found.len(), "{id} is told twice");
            assert_eq!(unique, expected, "{id}");
        }
    }
    server.kill();
}
