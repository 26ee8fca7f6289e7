//! Input that cannot be, or comes at a bad moment: it is refused by name, and nothing half-done is left.

use fanfare::base::clock::Clock;
use fanfare::base::limits::text::MENTIONS_MAX;
use fanfare_client::{Paging, Upload, media_message, text_message};
use fanfare_protocol::{
    Code, ConversationKind, MemberRole, Message, MessageKind, NewConversation, NewInvite, NewMessage,
    PatchChatPreferences, PatchConversation, PatchUser, ServerEvent, Timestamp, WhoMay,
};

use super::{chat_event, say};
use crate::realtime::device::Device;
use crate::world::{World, json, problem_of, raw, refused, refused_field};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_that_has_expired_lets_nobody_in_and_one_that_would_have_is_none() {
    let start_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(start_ms), |_| ()).await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let id = ann.group("group", &[]).await.unwrap().id;
    let until = |at_ms: u64| NewInvite { expires_at: Some(Timestamp(at_ms)), max_uses: None };
    assert_eq!(refused_field(ann.make_invite(id, &until(start_ms - 1)).await), "expires_at");
    let token = ann.make_invite(id, &until(start_ms + 60_000)).await.unwrap().token.unwrap();
    bob.join_by_invite(&token).await.unwrap();
    world.set_clock(start_ms + 61_000);
    assert_eq!(refused(cid.join_by_invite(&token).await), Code::NotFound);
    assert_eq!(refused(cid.look_at_invite(&token).await), Code::NotFound);
    assert!(ann.invites(id, Paging::first(10)).await.unwrap().items.is_empty());
    assert_eq!(ann.conversation(id).await.unwrap().member_count, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_marks_beyond_the_end_are_named_or_empty() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    for text in ["one", "two", "three"] {
        say(&ann, id, text).await;
    }
    let page = async |query: &str| raw(&bob, "GET", &format!("/v1/conversations/{id}/messages?{query}"), &[], "").await;
    for both in ["after_seq=1&before_seq=3", "around_seq=1&after_seq=1"] {
        let answer = page(both).await;
        assert_eq!((answer.status.as_u16(), &problem_of(&answer).errors[0].field[..]), (422, "after_seq"), "{both}");
    }
    for (query, seqs) in [
        ("after_seq=3", &[][..]),
        ("after_seq=18446744073709551615", &[]),
        ("before_seq=1", &[]),
        ("before_seq=0", &[]),
        ("before_seq=18446744073709551615", &[3, 2, 1]),
        ("before_seq=1000", &[3, 2, 1]),
        ("around_seq=18446744073709551615", &[3, 2, 1]),
    ] {
        let answer = page(query).await;
        let found: serde_json::Value = answer.json().unwrap();
        let found: Vec<u64> =
            found["items"].as_array().unwrap().iter().map(|one| one["seq"].as_u64().unwrap()).collect();
        assert_eq!((answer.status.as_u16(), &found[..]), (200, seqs), "{query}");
    }
    for (seq, stands) in [(2, 2), (1, 2), (0, 2), (3, 3)] {
        assert_eq!(bob.mark_read(id, seq).await.unwrap().read_seq, stands, "behind changes nothing");
        assert_eq!(bob.mark_delivered(id, seq).await.unwrap().read_seq, stands);
    }
    for ahead in [4, u64::MAX] {
        assert_eq!(refused_field(bob.mark_read(id, ahead).await), "seq");
        assert_eq!(refused_field(bob.mark_delivered(id, ahead).await), "seq");
    }
    assert_eq!(bob.conversation(id).await.unwrap().unread_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_account_is_gone_is_nobody_to_talk_with() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[]).await.unwrap().id;
    bob.delete_account().await.unwrap();
    let new = |kind| NewConversation { kind, member_ids: vec![bob.id], title: None, history: None };
    for kind in [ConversationKind::Direct, ConversationKind::Group] {
        assert_eq!(refused_field(ann.begin(&new(kind)).await), "member_ids.0");
    }
    assert_eq!(refused(ann.add_member(id, bob.id).await), Code::NotFound);
    assert_eq!(ann.conversation(id).await.unwrap().member_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_removes_whom_at_once_a_group_has_one_owner() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let id = cid.group("group", &[ann.id, bob.id]).await.unwrap().id;
    for person in [&ann, &bob] {
        cid.change_role(id, person.id, MemberRole::Admin).await.unwrap();
    }
    let (one, other) = tokio::join!(ann.remove_member(id, bob.id), bob.remove_member(id, ann.id));
    assert_eq!((refused(one), refused(other)), (Code::Forbidden, Code::Forbidden));
    let (mut owner, mut other) = (&cid, &ann);
    for round in 0..10 {
        // Each way stands for itself: whoever comes first, the other is refused or goes.
        let (handed, removed) =
            tokio::join!(owner.change_role(id, other.id, MemberRole::Owner), other.remove_member(id, owner.id));
        handed.unwrap();
        let members = bob.members(id, Paging::first(10)).await.unwrap().items;
        let owners: Vec<_> =
            members.iter().filter(|one| one.role == MemberRole::Owner).map(|one| one.user.id).collect();
        assert_eq!(owners, [other.id], "round {round}");
        assert_eq!(members.len(), if removed.is_ok() { 2 } else { 3 });
        if removed.is_ok() {
            other.add_member(id, owner.id).await.unwrap();
        }
        (owner, other) = (other, owner);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_names_very_many_names_so_many() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let many: String = (0..10 * MENTIONS_MAX).map(|number| format!("@p{number} ")).collect();
    let new = text_message("many", format!("@bob {many}").trim());
    let sent = ann.send_message(id, &new).await.unwrap().value;
    assert_eq!(sent.mentions.iter().map(|one| one.id).collect::<Vec<_>>(), [bob.id], "members alone");
    let path = format!("/v1/conversations/{id}/messages");
    for (body, field) in [
        (r#"{"client_id": "x", "kind": "hologram", "text": "x"}"#, "kind"),
        (r#"{"client_id": "x", "kind": "text", "text": "x", "ttl_s": 5}"#, "ttl_s"),
        (r#"{"client_id": 7, "kind": "text", "text": "x"}"#, "client_id"),
    ] {
        let answer = json(&ann, "POST", &path, body).await;
        assert_eq!(answer.status.as_u16(), 422, "{body}");
        assert!(problem_of(&answer).errors.iter().any(|error| error.field.contains(field)), "{body}");
    }
    assert_eq!(refused_field(ann.send_message(id, &text_message("x", &"@bob ".repeat(2_000))).await), "text");
    assert_eq!(ann.conversation(id).await.unwrap().last_seq, sent.seq);
}

/// Characters that no name holds: they turn its direction, break its line, or hide in it.
const MISLEADING: [char; 9] =
    ['\u{202e}', '\u{202a}', '\u{2066}', '\u{2028}', '\u{200b}', '\u{2060}', '\u{feff}', '\u{ad}', '\u{3164}'];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_misleads_in_titles_and_names_is_refused_by_field_and_left_out_of_file_names() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("title", &[bob.id]).await.unwrap().id;
    for c in MISLEADING {
        let name = format!("a{c}b");
        let title = |title: &str| PatchConversation { title: Some(Some(title.to_owned())), ..Default::default() };
        assert_eq!(refused_field(ann.change_conversation(id, &title(&name)).await), "title", "{c:?}");
        let new = NewConversation {
            kind: ConversationKind::Group,
            member_ids: vec![],
            title: Some(name.clone()),
            history: None,
        };
        assert_eq!(refused_field(ann.begin(&new).await), "title", "{c:?}");
        let display = PatchUser { display_name: Some(Some(name)), ..PatchUser::default() };
        assert_eq!(refused_field(ann.patch_me(&display).await), "display_name", "{c:?}");
    }
    assert_eq!(bob.conversation(id).await.unwrap().title.as_deref(), Some("title"));
    // What writing needs stands.
    let persian = PatchConversation { title: Some(Some("می\u{200c}خواهم".to_owned())), ..Default::default() };
    assert_eq!(ann.change_conversation(id, &persian).await.unwrap().title.as_deref(), Some("می\u{200c}خواهم"));
    // A file's name is its finder's, who cannot be asked for another.
    let misleading: String = MISLEADING.iter().chain(&['\u{200f}']).collect();
    let filename = format!("invoice{misleading}fdp.exe");
    let mut bobs = Device::ws(&world, &bob.token).await;
    let mut anns = Device::ws(&world, &ann.token).await;
    for (number, by_frame) in [(1, false), (2, true)] {
        let upload = Upload { filename: &filename, alt: None, bytes: b"words" };
        let media = ann.upload_for_messages(&upload).await.unwrap().id;
        let new = media_message(&format!("file {number}"), MessageKind::File, media);
        let sent: Message = if by_frame {
            let mut data = serde_json::to_value(&new).unwrap();
            data["conversation_id"] = id.to_string().into();
            let reply = anns.ask(number, "message.send", data).await;
            serde_json::from_value(reply.data.unwrap_or_else(|| panic!("{:?}", reply.error))).unwrap()
        } else {
            ann.send_message(id, &new).await.unwrap().value
        };
        let heard = loop {
            if let ServerEvent::Message(keyed) = chat_event(&mut bobs).await {
                break keyed.message;
            }
        };
        for message in [&sent, &heard, &bob.message(id, sent.seq).await.unwrap()] {
            assert_eq!(message.attachment.as_ref().unwrap().filename.as_deref(), Some("invoicefdp.exe"));
        }
        let url = heard.attachment.unwrap().media.url;
        let file = raw(&world.anyone, "GET", &url, &[], "").await;
        assert!(file.header("content-disposition").contains("filename=\"invoicefdp.exe\""), "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_recalled_of_the_system_or_unseen_is_neither_answered_nor_changed() {
    let world = World::new().await;
    let [ann, cid] = world.people(["ann", "cid"]).await;
    let id = ann.group("group", &[]).await.unwrap().id;
    let (recalled, unseen) = (say(&ann, id, "recalled").await.seq, say(&ann, id, "unseen").await.seq);
    ann.recall_message(id, recalled).await.unwrap();
    ann.add_member(id, cid.id).await.unwrap();
    let mut devices = [Device::ws(&world, &ann.token).await, Device::ws(&world, &cid.token).await];
    let before = (ann.conversation(id).await.unwrap(), ann.changes(id, 0, 100).await.unwrap().items.len());
    for (person, seq) in [(0, 0), (0, 99), (0, u64::MAX), (0, recalled), (0, 1), (1, unseen), (1, recalled), (1, 1)] {
        let (device, person) = (&mut devices[person], [&ann, &cid][person]);
        let answer = NewMessage { reply_to: Some(seq), ..text_message(&format!("{seq}"), "x") };
        assert_eq!(refused_field(person.send_message(id, &answer).await), "reply_to", "{seq}");
        let data = serde_json::json!({ "conversation_id": id, "client_id": format!("frame {seq}"), "kind": "text",
            "text": "x", "reply_to": seq });
        let reply = device.ask(1, "message.send", data).await.error.unwrap();
        assert_eq!(reply.errors[0].field, "reply_to", "{seq}");
        // Of what is there for them it is said that it cannot be changed, of all else that it is not there.
        let is_there = person.id == ann.id && [recalled, 1].contains(&seq);
        let (edited, reacted) = (person.edit_message(id, seq, "x").await, person.react(id, seq, "👍").await);
        for outcome in [edited, reacted] {
            match is_there {
                true => assert_eq!(refused_field(outcome), "seq", "{seq}"),
                false => assert_eq!(refused(outcome), Code::NotFound, "{seq}"),
            }
        }
        let pinned = refused(person.pin(id, seq, true).await);
        let expected = match (person.id == ann.id, is_there) {
            (true, true) => Code::ValidationFailed,
            (true, false) => Code::NotFound,
            (false, _) => Code::Forbidden,
        };
        assert_eq!(pinned, expected, "{seq}");
        if seq != recalled || person.id != ann.id {
            let outcome = refused(person.recall_message(id, seq).await);
            assert_eq!(outcome, if is_there { Code::ValidationFailed } else { Code::NotFound }, "{seq}");
        }
    }
    // An edit is held to the same bounds as a message.
    let own = say(&ann, id, "own").await.seq;
    for wrong in ["", " \u{200b}", &"a".repeat(8_001), "a\u{0}"] {
        assert_eq!(refused_field(ann.edit_message(id, own, wrong).await), "text");
    }
    let after = (ann.conversation(id).await.unwrap(), ann.changes(id, 0, 100).await.unwrap().items.len());
    assert_eq!((after.0.last_seq, after.1), (before.0.last_seq + 1, before.1), "nothing was half done");
    assert_eq!(ann.message(id, own).await.unwrap().text, "own");
}

/// Calls that only groups have are answered alike about a pair, whoever asks and whatever else is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_groups_have_is_a_conflict_for_a_pair() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let nobody = PatchChatPreferences { who_may_add: Some(Some(WhoMay::Nobody)), ..PatchChatPreferences::default() };
    cid.prefer(&nobody).await.unwrap();
    let member = |user| format!("/v1/conversations/{id}/members/{user}");
    for (method, path, body) in [
        ("PATCH", format!("/v1/conversations/{id}"), r#"{"title": "x"}"#),
        ("PATCH", format!("/v1/conversations/{id}"), r#"{"slow_mode_s": 86401}"#),
        ("GET", format!("/v1/conversations/{id}/invites"), ""),
        ("POST", format!("/v1/conversations/{id}/invites"), "{}"),
        ("POST", format!("/v1/conversations/{id}/invites"), r#"{"max_uses": 0}"#),
        ("DELETE", format!("/v1/conversations/{id}/invites/1"), ""),
        ("PUT", member(cid.id), ""),
        ("PUT", member(bob.id), ""),
        ("DELETE", member(bob.id), ""),
        ("DELETE", member(ann.id), ""),
        ("PATCH", member(bob.id), r#"{"role": "admin"}"#),
        ("PATCH", member(bob.id), r#"{"role": "owner"}"#),
    ] {
        let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", "application/json")] };
        let answer = raw(&ann, method, &path, headers, body).await;
        assert_eq!(problem_of(&answer).code, Code::Conflict, "{method} {path} {body}");
    }
}
