//! Reactions and recalls: who did it is shown, to those who may see the message, and to nobody else.

use std::collections::BTreeSet;

use fanfare_client::Paging;
use fanfare_protocol::{Code, Id, MessageRecalled, Reactor, ServerEvent, Transport};

use super::say;
use crate::realtime::device::Device;
use crate::world::{Person, World, raw, refused, refused_field};

/// Everybody who reacted, read by pages of `limit`.
async fn reactors(person: &Person, id: Id, seq: u64, emoji: Option<&str>, limit: u16) -> Vec<Reactor> {
    let (mut cursor, mut found) = (None::<String>, Vec::new());
    loop {
        let paging = Paging { limit: Some(limit), cursor: cursor.as_deref() };
        let page = person.reactors(id, seq, emoji, paging).await.unwrap();
        assert!(page.items.len() == usize::from(limit) || page.next_cursor.is_none(), "only the last one is short");
        found.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => return found,
        }
    }
}

fn pairs(of: &[Reactor]) -> BTreeSet<(String, Id)> {
    of.iter().map(|one| (one.emoji.clone(), one.user.id)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_who_reacted_is_listed_once_a_kind_in_pages() {
    let mut world = World::new().await;
    let [mut ann, ben, cid, dan] = world.people(["ann", "ben", "cid", "dan"]).await;
    let id = ann.group("group", &[ben.id, cid.id]).await.unwrap().id;
    let seq = say(&ann, id, "well?").await.seq;
    let mut model = BTreeSet::new();
    for (person, emoji, on) in [
        (&ben, "👍", true),
        (&cid, "👍", true),
        (&ann, "🎉", true),
        (&ben, "🎉", true),
        (&ben, "🎉", true),
        (&cid, "👍", false),
        (&ann, "👍", true),
    ] {
        if on {
            person.react(id, seq, emoji).await.unwrap();
            model.insert((emoji.to_owned(), person.id));
        } else {
            person.unreact(id, seq, emoji).await.unwrap();
            model.remove(&(emoji.to_owned(), person.id));
        }
    }
    for _ in 0..2 {
        for limit in [1, 2, 100] {
            let all = reactors(&ann, id, seq, None, limit).await;
            assert_eq!((pairs(&all), all.len()), (model.clone(), model.len()));
            let thumbs = reactors(&ann, id, seq, Some("👍"), limit).await;
            let of_kind = model.iter().filter(|(emoji, _)| emoji == "👍").cloned().collect();
            assert_eq!(pairs(&thumbs), of_kind);
            assert!(reactors(&ann, id, seq, Some("🙃"), limit).await.is_empty());
        }
        world.restart(&mut [&mut ann]).await;
    }
    let [ben, dan] = [&ben, &dan].map(|person| world.anyone.with_token(&person.token));
    assert!(reactors(&ann, id, seq, None, 100).await.iter().any(|one| one.user.handle == "ben"));
    // A cursor is of its list and its caller; what is no emoji, no number and no message is said so.
    let page = ann.reactors(id, seq, None, Paging::first(1)).await.unwrap();
    let foreign = Paging { limit: Some(1), cursor: page.next_cursor.as_deref() };
    assert_eq!(refused(ben.reactors(id, seq, None, foreign).await), Code::BadRequest);
    assert_eq!(refused_field(ann.reactors(id, seq, Some("ab"), Paging::first(1)).await), "emoji");
    assert_eq!(refused(ann.reactors(id, 99, None, Paging::first(1)).await), Code::NotFound);
    assert_eq!(raw(&ann, "GET", &format!("/v1/conversations/{id}/messages/x/reactions"), &[], "").await.status, 404);
    // Who was not there yet, and who is not in it, sees nothing of it.
    assert_eq!(refused(dan.reactors(id, seq, None, Paging::first(9)).await), Code::NotFound);
    ann.add_member(id, self_id(&dan).await).await.unwrap();
    assert_eq!(refused(dan.reactors(id, seq, None, Paging::first(9)).await), Code::NotFound);
    // They go with the words.
    ann.recall_message(id, seq).await.unwrap();
    assert!(reactors(&ann, id, seq, None, 100).await.is_empty());
}

async fn self_id(client: &fanfare_client::Client) -> Id {
    client.me().await.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_took_a_message_back_is_told_where_that_was_not_the_sender() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let (first, second) = (say(&bob, id, "mine").await.seq, say(&bob, id, "too much").await.seq);
    let mut bobs = Device::new(Transport::Websocket, &world, &bob.token, None).await;
    bob.recall_message(id, first).await.unwrap();
    ann.recall_message(id, second).await.unwrap();
    let mut known = BTreeSet::new();
    for (seq, by) in [(first, None), (second, Some(ann.id))] {
        let told = next_recall(&mut bobs, &mut known).await;
        assert_eq!((told.seq, told.recalled_by), (seq, by));
        let message = bob.message(id, seq).await.unwrap();
        assert_eq!((message.recalled, message.recalled_by), (true, by));
    }
    // Whoever comes back hears the same.
    let cursor = bobs.cursor.clone();
    drop(bobs);
    let third = say(&bob, id, "again").await.seq;
    ann.recall_message(id, third).await.unwrap();
    let mut again = Device::new(Transport::Websocket, &world, &bob.token, Some(&cursor)).await;
    let told = next_recall(&mut again, &mut known).await;
    assert_eq!((told.seq, told.recalled_by), (third, Some(ann.id)));
}

/// The next message that is taken back. What was told before may come again, also to a session that has just begun: its
/// key is known.
async fn next_recall(device: &mut Device, known: &mut BTreeSet<String>) -> MessageRecalled {
    loop {
        let event = device.until("message.recalled").await.event().unwrap();
        let ServerEvent::MessageRecalled(told) = event else { panic!("{event:?}") };
        if known.insert(told.key.clone()) {
            return told;
        }
    }
}
