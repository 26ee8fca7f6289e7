//! Edges of chat: bounds that hold whoever comes in by which door, and requests that come twice.

use fanfare_client::{Client, Paging, text_message};
use fanfare_protocol::{
    Code, Conversation, ConversationKind, Forward, Id, MemberRole, MessageKind, NewConversation, NewInvite, NewMessage,
    PatchChatPreferences, PatchPersonal, WhoMay,
};

use super::say;
use crate::world::{Person, World, json, problem_of, raw, refused, refused_field};

fn asks() -> PatchChatPreferences {
    let (message, add) = (Some(Some(WhoMay::Requests)), Some(Some(WhoMay::Requests)));
    PatchChatPreferences { who_may_message: message, who_may_add: add, read_receipts: None, last_seen: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_full_for_whoever_was_asked_too() {
    let world = World::with(|settings| settings.chat.group_max = 3).await;
    let [ann, bob, cid, dan] = world.people(["ann", "bob", "cid", "dan"]).await;
    let id = ann.group("group", &[]).await.unwrap().id;
    for person in [&bob, &cid, &dan] {
        person.prefer(&asks()).await.unwrap();
        ann.add_member(id, person.id).await.unwrap();
    }
    let (bobs, cids, dans) = tokio::join!(bob.accept_request(id), cid.accept_request(id), dan.accept_request(id));
    let came = [&bobs, &cids, &dans].into_iter().filter(|result| result.is_ok()).count();
    assert_eq!((came, ann.conversation(id).await.unwrap().member_count), (2, 3));
    let late = [bobs, cids, dans].into_iter().find(Result::is_err).unwrap();
    assert_eq!(refused_field(late), "id");
    // Each refusal for want of room names what is too much.
    let eve = world.person("eve").await;
    assert_eq!(refused_field(ann.add_member(id, eve.id).await), "user");
    let open = ann.make_invite(id, &NewInvite::default()).await.unwrap().token.unwrap();
    assert_eq!(refused_field(eve.join_by_invite(&open).await), "token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invites_that_are_good_no_more_take_no_room() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[]).await.unwrap().id;
    let once = NewInvite { max_uses: Some(1), expires_at: None };
    for _ in 0..100 {
        let token = ann.make_invite(id, &once).await.unwrap().token.unwrap();
        bob.join_by_invite(&token).await.unwrap();
        bob.remove_member(id, bob.id).await.unwrap();
    }
    // The body has nothing that must be there.
    let answer = raw(&ann, "POST", &format!("/v1/conversations/{id}/invites"), &[], "").await;
    assert_eq!(answer.status.as_u16(), 201);
    for _ in 0..99 {
        ann.make_invite(id, &once).await.unwrap();
    }
    assert_eq!(refused(ann.make_invite(id, &once).await), Code::ValidationFailed, "these are good");
    let listed = ann.invites(id, Paging::first(100)).await.unwrap();
    assert_eq!((listed.items.len(), listed.next_cursor), (100, None));
    ann.revoke_invite(id, listed.items[0].id).await.unwrap();
    ann.make_invite(id, &once).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_asked_gives_no_receipt_before_they_accept() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    bob.prefer(&asks()).await.unwrap();
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&ann, id, "please").await;
    bob.mark_read(id, 1).await.unwrap();
    let of_bob = async |person: &Person| {
        let receipts = person.receipts(id).await.unwrap().items;
        let found = receipts.into_iter().find(|one| one.user_id == bob.id).unwrap();
        (found.delivered_seq, found.read_seq)
    };
    assert_eq!((of_bob(&ann).await, of_bob(&bob).await), ((0, 0), (1, 1)));
    bob.accept_request(id).await.unwrap();
    assert_eq!(of_bob(&ann).await, (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_send_again_is_answered_the_same_whatever_became_of_what_it_names() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let group = bob.group("group", &[ann.id]).await.unwrap().id;
    let secret = say(&bob, group, "secret").await;
    let forward = Some(Forward { conversation_id: group, seq: secret.seq });
    let passes_on = NewMessage { text: None, forward, ..text_message("f", "") };
    let first = ann.send_message(id, &passes_on).await.unwrap();
    bob.recall_message(group, secret.seq).await.unwrap();
    let again = ann.send_message(id, &passes_on).await.unwrap();
    assert_eq!((again.created, again.value.seq, &again.value.text[..]), (false, first.value.seq, "secret"));
    ann.remove_member(group, ann.id).await.unwrap();
    assert!(!ann.send_message(id, &passes_on).await.unwrap().created);
    let other = NewMessage { kind: MessageKind::Text, client_id: "g".to_owned(), ..passes_on };
    assert_eq!(refused_field(ann.send_message(id, &other).await), "forward");
    // What was refused stays refused, also once what it answers is there.
    let early = NewMessage { reply_to: Some(3), ..text_message("early", "early") };
    assert_eq!(refused_field(ann.send_message(id, &early).await), "reply_to");
    say(&bob, id, "two").await;
    say(&bob, id, "three").await;
    assert_eq!(refused_field(ann.send_message(id, &early).await), "reply_to");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_asked_for_twice_with_one_key_is_made_once() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    let new = NewConversation {
        kind: ConversationKind::Group,
        member_ids: vec![bob.id],
        title: Some("group".to_owned()),
        history: None,
    };
    let body = serde_json::to_string(&new).unwrap();
    let begin = async |person: &Client, body: &str| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "once")];
        raw(person, "POST", "/v1/conversations", &headers, body).await
    };
    let first = begin(&ann, &body).await;
    assert_eq!(first.status.as_u16(), 201);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let made: Conversation = serde_json::from_slice(&first.body).unwrap();
    for _ in 0..2 {
        let again = begin(&ann, &body).await;
        assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
        let same: Conversation = serde_json::from_slice(&again.body).unwrap();
        assert_eq!((same.id, again.headers.get("location")), (made.id, first.headers.get("location")));
        world.restart(&mut [&mut ann]).await;
    }
    let other = begin(&ann, &body.replace("\"title\":\"group\"", "\"title\":\"other\"")).await;
    assert_eq!((other.status.as_u16(), &problem_of(&other).errors[0].field[..]), (422, "Idempotency-Key"));
    let bob = world.anyone.with_token(&bob.token);
    let listed = bob.conversations(&[], Paging::first(10)).await.unwrap().items;
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [made.id]);
    let again = ann.begin_once(&new, "once").await.unwrap();
    assert_eq!((again.created, again.value.id), (false, made.id));
    // Somebody else's key is another.
    let bobs = begin(&bob, r#"{"kind": "group", "member_ids": []}"#).await;
    assert_eq!((bobs.status.as_u16(), bobs.headers.get("idempotency-replayed")), (201, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_keep_to_their_limit_with_pinned_ones_and_with_changes() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut groups: Vec<Id> = Vec::new();
    let since = ann.conversations(&[], Paging::first(1)).await.unwrap().changes_cursor;
    for number in 0..7 {
        groups.push(ann.group(&format!("g{number}"), &[bob.id]).await.unwrap().id);
    }
    let pinned = [groups[0], groups[2], groups[3]];
    for id in pinned {
        ann.personal(id, &PatchPersonal { pinned: Some(true), ..PatchPersonal::default() }).await.unwrap();
    }
    let newest = |ids: &[Id]| ids.iter().rev().copied().collect::<Vec<_>>();
    let others: Vec<Id> = groups.iter().copied().filter(|id| !pinned.contains(id)).collect();
    let expected = [newest(&pinned), newest(&others)].concat();
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a [Id]>);
    let cases: [Case<'_>; 2] = [(&[("pinned_first", "true")], Some(&expected)), (&[("changed_after", &since)], None)];
    for (parameters, order) in cases {
        for limit in 1..=8 {
            let (mut cursor, mut found) = (None, Vec::new());
            loop {
                let page = ann.conversations(parameters, Paging::at(limit, cursor.as_deref())).await.unwrap();
                assert!(page.items.len() == usize::from(limit) || page.next_cursor.is_none(), "{limit}");
                assert!(page.items.len() <= usize::from(limit), "{limit}");
                found.extend(page.items.iter().map(|one| one.id));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            match order {
                Some(order) => assert_eq!(found, order, "by pages of {limit}"),
                None => {
                    found.sort_unstable();
                    assert_eq!(found, groups, "by pages of {limit}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_named_by_id_or_handle() {
    let world = World::new().await;
    let [ann, bob, eve] = world.people(["ann", "bob", "eve"]).await;
    let id = ann.group("group", &[]).await.unwrap().id;
    let member = format!("/v1/conversations/{id}/members/@Bob");
    assert_eq!(json(&ann, "PUT", &member, "").await.status.as_u16(), 200);
    assert_eq!(json(&ann, "PATCH", &member, r#"{"role": "admin"}"#).await.status.as_u16(), 200);
    let roles = ann.members(id, Paging::first(10)).await.unwrap().items;
    assert!(roles.iter().any(|one| one.user.id == bob.id && one.role == MemberRole::Admin));
    assert_eq!(json(&eve, "DELETE", &member, "").await.status.as_u16(), 404);
    assert_eq!(json(&ann, "DELETE", &member, "").await.status.as_u16(), 204);
    let nobody = json(&ann, "PUT", &format!("/v1/conversations/{id}/members/@nobody"), "").await;
    assert_eq!(nobody.status.as_u16(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_stops_pins_too_and_marks_do_not_undo_drafts() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&ann, id, "hello").await;
    ann.block(bob.id).await.unwrap();
    for person in [&ann, &bob] {
        assert_eq!(refused(person.pin(id, 1, true).await), Code::Forbidden);
    }
    ann.unblock(bob.id).await.unwrap();
    bob.pin(id, 1, true).await.unwrap();
    // A draft and a mark at once: both stand.
    for round in 0..20 {
        let unread = PatchPersonal { marked_unread: Some(true), ..PatchPersonal::default() };
        bob.personal(id, &unread).await.unwrap();
        let draft = PatchPersonal { draft: Some(format!("draft {round}")), ..PatchPersonal::default() };
        let (drafted, read) = tokio::join!(bob.personal(id, &draft), bob.mark_read(id, 1));
        drafted.unwrap();
        read.unwrap();
        let personal = bob.conversation(id).await.unwrap().personal;
        assert_eq!((personal.draft, personal.marked_unread), (format!("draft {round}"), false));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_hidden_says_so_until_something_new_comes_and_speaking_ends_the_mark() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&bob, id, "hello").await;
    let since = ann.conversations(&[], Paging::first(10)).await.unwrap().changes_cursor;
    ann.hide_conversation(id).await.unwrap();
    let hidden = async || {
        let changed = ann.conversations(&[("changed_after", &since)], Paging::first(10)).await.unwrap();
        let listed = ann.conversations(&[], Paging::first(10)).await.unwrap();
        let alone = ann.conversation(id).await.unwrap().hidden;
        (changed.items.iter().map(|one| one.hidden).collect::<Vec<_>>(), listed.items.len(), alone)
    };
    assert_eq!(hidden().await, (vec![true], 0, true));
    assert!(!bob.conversation(id).await.unwrap().hidden, "others see it");
    say(&bob, id, "again").await;
    assert_eq!(hidden().await, (vec![false], 1, false));
    // Whoever speaks has read, also what they marked as unread.
    let unread = PatchPersonal { marked_unread: Some(true), ..PatchPersonal::default() };
    assert!(ann.personal(id, &unread).await.unwrap().marked_unread);
    assert_eq!(ann.unread_conversations().await.unwrap().conversations, 1);
    say(&ann, id, "here I am").await;
    assert!(!ann.conversation(id).await.unwrap().personal.marked_unread);
    assert_eq!(ann.unread_conversations().await.unwrap().conversations, 0);
    assert!(ann.personal(id, &unread).await.unwrap().marked_unread, "and it can be marked again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_named_no_more_is_not_counted_as_named() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let numbers = async || {
        let conversation = bob.conversation(id).await.unwrap();
        let listed = bob.mentions(Paging::first(10)).await.unwrap().items.len();
        (conversation.mention_count, bob.unread_conversations().await.unwrap().mentions, listed)
    };
    let first = say(&ann, id, "hello @bob").await.seq;
    let second = say(&ann, id, "and @all").await.seq;
    assert_eq!(numbers().await, (2, 2, 2));
    ann.edit_message(id, first, "hello").await.unwrap();
    assert_eq!(numbers().await, (1, 1, 1));
    ann.recall_message(id, second).await.unwrap();
    assert_eq!(numbers().await, (0, 0, 0));
    ann.edit_message(id, first, "hello again @bob").await.unwrap();
    assert_eq!(numbers().await, (1, 1, 1));
    assert_eq!(bob.conversation(id).await.unwrap().unread_count, 2, "what was recalled counts until it is read");
    bob.mark_read(id, second).await.unwrap();
    assert_eq!(numbers().await, (0, 0, 1));
}
