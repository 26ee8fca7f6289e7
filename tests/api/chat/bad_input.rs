//! Input that cannot be, or comes at a bad moment: it is refused by name, and nothing half-done is left.

use fanfare::base::clock::Clock;
use fanfare::base::limits::text::MENTIONS_MAX;
use fanfare_client::{Paging, text_message};
use fanfare_protocol::{Code, ConversationKind, MemberRole, NewConversation, NewInvite, Timestamp};

use super::say;
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
