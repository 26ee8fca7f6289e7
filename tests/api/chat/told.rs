//! Hearers and what is told to them: declined requests, deleted strangers, blocks, what came before a member, and marks
//! that move while lists are read.

use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_client::{MessagePlace, Paging};
use fanfare_protocol::{
    Code, Conversation, ConversationKind, History, Id, NewConversation, PatchChatPreferences, PatchConversation,
    PatchPersonal, ServerEvent, Timestamp, WhoMay,
};

use super::{chat_event, heard_nothing, say};
use crate::realtime::device::Device;
use crate::world::{Person, World, eventually, json, refused, refused_field};

/// Everything that changed since a cursor, and the cursor of the next time.
async fn changed(person: &Person, since: &str) -> (Vec<Conversation>, String) {
    let page = person.conversations(&[("changed_after", since)], Paging::first(100)).await.unwrap();
    (page.items, page.changes_cursor)
}

async fn cursor(person: &Person) -> String {
    person.conversations(&[], Paging::first(100)).await.unwrap().changes_cursor
}

async fn asks(person: &Person) {
    let who = Some(Some(WhoMay::Requests));
    let asks = PatchChatPreferences { who_may_message: who, who_may_add: who, ..PatchChatPreferences::default() };
    person.prefer(&asks).await.unwrap();
}

fn group_of(members: &[Id], history: History) -> NewConversation {
    let (kind, history) = (ConversationKind::Group, Some(history));
    NewConversation { kind, member_ids: members.to_vec(), title: Some("group".to_owned()), history }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declining_is_told_to_the_own_devices_and_to_nobody_else() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    asks(&bob).await;
    let direct = ann.direct(bob.id).await.unwrap().id;
    let group = ann.group("group", &[bob.id]).await.unwrap().id;
    say(&ann, direct, "please @bob").await;
    assert_eq!(bob.mentions(Paging::first(10)).await.unwrap().items, [], "a request says nothing yet");
    let (ann_knows, bob_knows) = (cursor(&ann).await, cursor(&bob).await);
    let (mut anns, mut bobs) = (Device::ws(&world, &ann.token).await, Device::ws(&world, &bob.token).await);
    for id in [direct, group] {
        bob.decline_request(id).await.unwrap();
        let ServerEvent::ConversationUpdated(told) = chat_event(&mut bobs).await else { panic!() };
        assert_eq!(told.conversation_id, id);
    }
    heard_nothing(&mut anns).await;
    assert_eq!(changed(&ann, &ann_knows).await.0, []);
    let (items, bob_knows) = changed(&bob, &bob_knows).await;
    let mut gone: Vec<_> = items.iter().map(|one| (one.id, one.hidden, one.left)).collect();
    gone.sort_unstable();
    let mut expected = [(direct, true, false), (group, false, true)];
    expected.sort_unstable();
    assert_eq!(gone, expected);
    // Nor is a block.
    let ends = ann.direct(world.person("cid").await.id).await.unwrap();
    let before = cursor(&ann).await;
    ann.block(ends.peer.unwrap().id).await.unwrap();
    assert_eq!(changed(&ann, &before).await.0, []);
    // What comes for the declined one later is no news either.
    say(&ann, direct, "are you there?").await;
    assert_eq!(changed(&bob, &bob_knows).await.0, []);
    heard_nothing(&mut bobs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_somebody_who_deletes_their_account_is_gone_and_never_becomes_a_conversation() {
    let world = World::new().await;
    let [ann, cid, bob] = world.people(["ann", "cid", "bob"]).await;
    asks(&bob).await;
    let (open, declined) = (ann.direct(bob.id).await.unwrap().id, cid.direct(bob.id).await.unwrap().id);
    say(&ann, open, "spam").await;
    say(&cid, declined, "spam").await;
    bob.decline_request(declined).await.unwrap();
    let known = cursor(&bob).await;
    let mut bobs = Device::ws(&world, &bob.token).await;
    ann.delete_account().await.unwrap();
    cid.delete_account().await.unwrap();
    let requests = async || {
        let requests = bob.conversations(&[("folder", "requests")], Paging::first(10)).await.unwrap().items;
        requests.is_empty().then_some(())
    };
    eventually("the request is gone", requests).await;
    let inbox = bob.conversations(&[], Paging::first(10)).await.unwrap().items;
    assert_eq!(inbox, []);
    let unread = bob.unread_conversations().await.unwrap();
    assert_eq!((unread.conversations, unread.messages, unread.requests), (0, 0, 0));
    heard_nothing(&mut bobs).await;
    let told: Vec<_> = changed(&bob, &known).await.0.iter().map(|one| (one.id, one.left)).collect();
    assert_eq!(told, [(open, true)], "other devices let go of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_later_has_read_what_was_there_and_pages_begin_where_they_may_read() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let all = ann.begin(&group_of(&[], History::All)).await.unwrap().value.id;
    let later = ann.begin(&group_of(&[], History::FromJoin)).await.unwrap().value.id;
    for number in 0..30 {
        say(&ann, all, &format!("{number}")).await;
        say(&ann, later, &format!("{number}")).await;
    }
    for id in [all, later] {
        ann.add_member(id, bob.id).await.unwrap();
        let seen = bob.conversation(id).await.unwrap();
        assert_eq!((seen.read_seq, seen.unread_count), (31, 0));
        say(&ann, id, "one more @bob").await;
        let seen = bob.conversation(id).await.unwrap();
        assert_eq!((seen.read_seq, seen.unread_count, seen.mention_count), (31, 1, 1));
        bob.mark_read(id, 32).await.unwrap();
        assert_eq!(bob.conversation(id).await.unwrap().unread_count, 1, "system messages count nothing");
    }
    // A page by `after_seq` is whole wherever it begins.
    for after in [0, 20, 31] {
        let page = bob.messages(later, MessagePlace::After(after), 2).await.unwrap();
        assert_eq!(page.items.iter().map(|one| one.seq).collect::<Vec<_>>(), [32, 33]);
    }
    assert_eq!(bob.messages(all, MessagePlace::After(0), 2).await.unwrap().items.len(), 2);
    // Who leaves and comes back has nothing unread of before, nor a mention.
    bob.remove_member(all, bob.id).await.unwrap();
    let left = bob.conversations(&[("changed_after", &cursor(&cid).await)], Paging::first(10)).await;
    assert_eq!(refused(left), Code::BadRequest);
    ann.add_member(all, bob.id).await.unwrap();
    let seen = bob.conversation(all).await.unwrap();
    assert_eq!((seen.unread_count, seen.mention_count), (0, 0));
    let named = bob.mentions(Paging::first(10)).await.unwrap().items;
    assert!(named.iter().filter(|one| one.message.conversation_id == all).all(|one| one.read), "{named:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_does_not_name_whom_a_block_stands_between_and_who_left_learns_no_setting() {
    let world = World::new().await;
    let [ann, bob, cid, dee] = world.people(["ann", "bob", "cid", "dee"]).await;
    let id = ann.group("group", &[bob.id, cid.id, dee.id]).await.unwrap().id;
    bob.block(ann.id).await.unwrap();
    ann.block(cid.id).await.unwrap();
    let sent = say(&ann, id, "@all hello").await;
    let second = say(&ann, id, "hello").await;
    ann.edit_message(id, second.seq, "@all hello again").await.unwrap();
    assert!(sent.mentions_all);
    for (person, count) in [(&bob, 0), (&cid, 0), (&dee, 2)] {
        let seen = person.conversation(id).await.unwrap();
        assert_eq!((seen.mention_count, seen.unread_count), (count, 2));
        assert_eq!(person.mentions(Paging::first(10)).await.unwrap().items.len() as u64, count);
        assert_eq!(person.unread_conversations().await.unwrap().mentions, count);
    }
    let known = cursor(&dee).await;
    ann.remove_member(id, dee.id).await.unwrap();
    let slow = PatchConversation { slow_mode_s: Some(77), announcements_only: Some(true), ..Default::default() };
    ann.change_conversation(id, &slow).await.unwrap();
    let (items, _) = changed(&dee, &known).await;
    assert_eq!(
        items.iter().map(|one| (one.left, one.slow_mode_s, one.announcements_only)).collect::<Vec<_>>(),
        [(true, 0, false)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_say_nothing_of_whose_a_reaction_is() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let seq = say(&ann, id, "hello").await.seq;
    let mut bobs = Device::ws(&world, &bob.token).await;
    assert_eq!(bob.react(id, seq, "👍").await.unwrap().reactions[0].mine, Some(true));
    let frame = loop {
        let frame = bobs.frame().await;
        if frame.kind == "message.updated" {
            break frame;
        }
    };
    let reaction = &frame.data.unwrap()["message"]["reactions"][0];
    assert_eq!((&reaction["count"], reaction.get("mine")), (&1.into(), None));
    assert_eq!(ann.message(id, seq).await.unwrap().reactions[0].mine, Some(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archived_conversation_comes_back_with_a_message_that_finds_it_not_muted_and_stays_back() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let until = Timestamp(bob.conversation(id).await.unwrap().created_at.0 + 3_600_000);
    let set = async |patch: PatchPersonal| bob.personal(id, &patch).await.unwrap().archived;
    let mute = |until| PatchPersonal { muted_until: Some(until), ..PatchPersonal::default() };
    say(&ann, id, "one").await;
    assert!(set(PatchPersonal { archived: Some(true), ..PatchPersonal::default() }).await);
    say(&ann, id, "two").await;
    assert!(!bob.conversation(id).await.unwrap().personal.archived);
    assert!(!set(mute(Some(until))).await, "a mute archives nothing");
    assert!(set(PatchPersonal { archived: Some(true), ..PatchPersonal::default() }).await);
    say(&ann, id, "three").await;
    assert!(bob.conversation(id).await.unwrap().personal.archived, "it was muted when the message came");
    assert!(set(mute(None)).await, "and is where it was when that ends");
    say(&ann, id, "four").await;
    assert!(!bob.conversation(id).await.unwrap().personal.archived);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn null_clears_and_is_named_where_it_cannot_stand() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.begin(&group_of(&[bob.id], History::All)).await.unwrap().value.id;
    let path = format!("/v1/conversations/{id}");
    json(&ann, "PATCH", &path, r#"{"slow_mode_s": 9, "announcements_only": true}"#).await;
    json(&ann, "PATCH", &path, r#"{"slow_mode_s": null, "announcements_only": null, "history": null}"#).await;
    let seen = ann.conversation(id).await.unwrap();
    assert_eq!((seen.slow_mode_s, seen.announcements_only, seen.history), (0, false, History::FromJoin));
    json(&ann, "PATCH", "/v1/users/me/chat", r#"{"who_may_add": "nobody", "read_receipts": false}"#).await;
    json(&ann, "PATCH", "/v1/users/me/chat", r#"{"who_may_add": null, "read_receipts": null}"#).await;
    let chosen = ann.preferences().await.unwrap();
    assert_eq!((chosen.who_may_add, chosen.read_receipts), (WhoMay::Everybody, true));
    let personal = format!("{path}/personal");
    json(&ann, "PUT", &personal, r#"{"draft": "begun", "pinned": true}"#).await;
    json(&ann, "PUT", &personal, r#"{"draft": null, "pinned": null}"#).await;
    let own = ann.conversation(id).await.unwrap().personal;
    assert_eq!((own.draft.as_str(), own.pinned), ("", false));
    for (method, path, body, field) in [
        ("POST", "/v1/conversations".to_owned(), r#"{"kind": null, "member_ids": []}"#, "kind"),
        ("PATCH", format!("{path}/members/{}", bob.id), r#"{"role": null}"#, "role"),
        ("POST", format!("{path}/messages"), r#"{"client_id": "c", "kind": null, "text": "t"}"#, "kind"),
    ] {
        let answer = json(&ann, method, &path, body).await;
        let problem = crate::world::problem_of(&answer);
        assert_eq!((problem.code, problem.errors[0].field.as_str()), (Code::ValidationFailed, field), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_already_costs_nothing_and_a_key_is_kept_with_it() {
    let world = World::with(|settings| {
        settings.chat.conversations_per_hour = 4;
        settings.chat.requests_per_hour = 1;
    })
    .await;
    let [ann, bob, cid, dee] = world.people(["ann", "bob", "cid", "dee"]).await;
    for person in [&bob, &cid] {
        asks(person).await;
    }
    let direct =
        |peer| NewConversation { kind: ConversationKind::Direct, member_ids: vec![peer], title: None, history: None };
    let id = ann.begin_once(&direct(dee.id), "first").await.unwrap().value.id;
    ann.direct(bob.id).await.unwrap();
    for _ in 0..5 {
        // Refused for whom it asks: no conversation was begun.
        assert_eq!(refused(ann.begin(&direct(cid.id)).await), Code::RateLimited);
    }
    let group = ann.group("group", &[dee.id]).await.unwrap().id;
    // Who is in it, or was asked, is so.
    dee.prefer(&PatchChatPreferences { who_may_add: Some(Some(WhoMay::Nobody)), ..Default::default() }).await.unwrap();
    ann.add_member(group, dee.id).await.unwrap();
    // The same key with another body, where the pair had its conversation already.
    assert!(!ann.begin_once(&direct(dee.id), "again").await.unwrap().created);
    let other = group_of(&[], History::All);
    assert_eq!(refused_field(ann.begin_once(&other, "again").await), "Idempotency-Key");
    assert_eq!(ann.begin_once(&direct(dee.id), "again").await.unwrap().value.id, id);
}

/// Marks and drafts move while lists are read: whoever asks what changed since a list finds what that did not show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_personal_falls_between_a_list_and_what_changed_since() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let ends = AtomicBool::new(false);
    let shown = |list: &[Conversation]| list.iter().find(|one| one.id == id).map(|one| one.personal.draft.clone());
    let write = async {
        for number in 0..150 {
            let draft = Some(format!("draft {number}"));
            bob.personal(id, &PatchPersonal { draft, ..PatchPersonal::default() }).await.unwrap();
        }
        ends.store(true, Ordering::Relaxed);
    };
    let read = async {
        let mut found = Vec::new();
        while !ends.load(Ordering::Relaxed) {
            let page = bob.conversations(&[], Paging::first(10)).await.unwrap();
            found.push((shown(&page.items).unwrap(), page.changes_cursor));
        }
        found
    };
    let ((), found) = tokio::join!(write, read);
    let last = shown(&bob.conversations(&[], Paging::first(10)).await.unwrap().items).unwrap();
    assert!(found.len() > 10, "{}", found.len());
    for (draft, since) in found {
        let now = shown(&changed(&bob, &since).await.0).unwrap_or_else(|| draft.clone());
        assert_eq!(now, last, "a list that showed {draft:?}");
    }
}
