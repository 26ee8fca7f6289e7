//! People in groups: who comes, goes, and sees what; roles, invites, blocks.

use fanfare_client::{Paging, text_message};
use fanfare_protocol::{
    Code, ConversationKind, History, Id, MemberRole, NewConversation, NewInvite, PatchConversation, SystemKind,
};

use super::{all_messages, say, texts};
use crate::world::{Person, World, json, refused, refused_field};

async fn roles(person: &Person, id: Id) -> Vec<(Id, MemberRole)> {
    let page = person.members(id, Paging::first(100)).await.unwrap();
    page.items.into_iter().map(|member| (member.user.id, member.role)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_sees_from_their_joining_and_who_goes_sees_nothing() {
    let mut world = World::new().await;
    let [ann, bob, mut cid] = world.people(["ann", "bob", "cid"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    say(&ann, id, "before").await;
    assert_eq!(refused(bob.add_member(id, cid.id).await), Code::Forbidden);
    ann.add_member(id, cid.id).await.unwrap();
    ann.add_member(id, cid.id).await.unwrap();
    say(&bob, id, "after").await;
    let seen = all_messages(&cid, id, 100).await;
    assert_eq!(seen.len(), 2, "that they were added, and what came after");
    let event = seen[0].system.as_ref().unwrap();
    assert_eq!((event.kind, &event.user_ids[..]), (SystemKind::Added, &[cid.id][..]));
    assert_eq!(cid.conversation(id).await.unwrap().unread_count, 1);
    assert_eq!(refused(cid.message(id, 1).await), Code::NotFound);
    // What was there before can be answered by nobody who does not see it.
    let answer = fanfare_protocol::NewMessage { reply_to: Some(2), ..text_message("x", "x") };
    assert_eq!(refused_field(cid.send_message(id, &answer).await), "reply_to");
    ann.remove_member(id, cid.id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(refused(cid.conversation(id).await), Code::NotFound);
        assert_eq!(refused(cid.message(id, 4).await), Code::NotFound);
        assert_eq!(refused(cid.mark_read(id, 1).await), Code::NotFound);
        world.restart(&mut [&mut cid]).await;
    }
    // A group may show all of its history.
    let [ann, bob] = [&ann, &bob].map(|person| world.anyone.with_token(&person.token));
    let all = PatchConversation { history: Some(History::All), ..PatchConversation::default() };
    ann.change_conversation(id, &all).await.unwrap();
    ann.add_member(id, cid.id).await.unwrap();
    let seen = all_messages(&cid, id, 100).await;
    assert_eq!(seen[0].seq, 1);
    assert!(texts(&seen).contains(&"before"));
    assert_eq!(bob.conversation(id).await.unwrap().member_count, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_always_has_an_owner_who_decides_about_roles() {
    let world = World::new().await;
    let [ann, bob, cid, dan] = world.people(["ann", "bob", "cid", "dan"]).await;
    let id = ann.group("group", &[bob.id, cid.id, dan.id]).await.unwrap().id;
    ann.change_role(id, cid.id, MemberRole::Admin).await.unwrap();
    assert_eq!(refused(cid.change_role(id, dan.id, MemberRole::Admin).await), Code::Forbidden);
    assert_eq!(refused(cid.remove_member(id, ann.id).await), Code::Forbidden);
    assert_eq!(refused(bob.remove_member(id, dan.id).await), Code::Forbidden);
    // Two admins remove each other at once: none of them can.
    ann.change_role(id, dan.id, MemberRole::Admin).await.unwrap();
    let (one, other) = tokio::join!(cid.remove_member(id, dan.id), dan.remove_member(id, cid.id));
    assert_eq!((refused(one), refused(other)), (Code::Forbidden, Code::Forbidden));
    // Who leaves hands over to the longest-serving admin.
    ann.remove_member(id, ann.id).await.unwrap();
    let now = roles(&bob, id).await;
    let owners: Vec<Id> = now.iter().filter(|(_, role)| *role == MemberRole::Owner).map(|(id, _)| *id).collect();
    assert_eq!(owners, [cid.id.min(dan.id)]);
    let (owner, other) = if owners[0] == cid.id { (&cid, &dan) } else { (&dan, &cid) };
    owner.change_role(id, bob.id, MemberRole::Owner).await.unwrap();
    assert!(roles(&bob, id).await.contains(&(bob.id, MemberRole::Owner)));
    assert!(roles(&bob, id).await.contains(&(owner.id, MemberRole::Admin)));
    // The last one closes the door.
    for person in [owner, other, &bob] {
        person.remove_member(id, person.id).await.unwrap();
    }
    assert_eq!(refused(bob.conversation(id).await), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invite_lets_in_until_it_is_used_up_expired_or_revoked() {
    let world = World::new().await;
    let [ann, bob, cid, dan] = world.people(["ann", "bob", "cid", "dan"]).await;
    let id = ann.group("group", &[]).await.unwrap().id;
    let once = ann.make_invite(id, &NewInvite { max_uses: Some(1), expires_at: None }).await.unwrap();
    let token = once.token.unwrap();
    let look = bob.look_at_invite(&token).await.unwrap();
    assert_eq!(
        (look.conversation_id, look.title.as_deref(), look.member_count, look.joined),
        (id, Some("group"), 1, false)
    );
    assert_eq!(refused(bob.conversation(id).await), Code::NotFound, "looking is not joining");
    bob.join_by_invite(&token).await.unwrap();
    bob.join_by_invite(&token).await.unwrap();
    assert_eq!(refused(cid.join_by_invite(&token).await), Code::NotFound);
    assert_eq!(refused(cid.look_at_invite("forged").await), Code::NotFound);
    let open = ann.make_invite(id, &NewInvite::default()).await.unwrap();
    let token = open.token.clone().unwrap();
    assert_eq!(ann.invites(id, Paging::first(10)).await.unwrap().items.len(), 1, "the used one is good no more");
    assert_eq!(refused(bob.invites(id, Paging::first(10)).await), Code::Forbidden);
    cid.join_by_invite(&token).await.unwrap();
    // Who was removed does not come back by it.
    ann.remove_member(id, cid.id).await.unwrap();
    assert_eq!(refused(cid.join_by_invite(&token).await), Code::NotFound);
    ann.revoke_invite(id, open.id).await.unwrap();
    assert_eq!(refused(dan.join_by_invite(&token).await), Code::NotFound);
    assert_eq!(refused(ann.revoke_invite(id, open.id).await), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_cannot_be_names_the_field() {
    let world = World::with(|settings| settings.chat.group_max = 3).await;
    let [ann, bob, cid, dan] = world.people(["ann", "bob", "cid", "dan"]).await;
    let new = |kind, member_ids: &[Id], title: Option<&str>| NewConversation {
        kind,
        member_ids: member_ids.to_vec(),
        title: title.map(str::to_owned),
        history: None,
    };
    use ConversationKind::{Direct, Group};
    for (wrong, field) in [
        (new(Direct, &[], None), "member_ids"),
        (new(Direct, &[ann.id], None), "member_ids.0"),
        (new(Direct, &[Id(5)], None), "member_ids.0"),
        (new(Direct, &[bob.id], Some("title")), "title"),
        (new(Group, &[bob.id, bob.id], None), "member_ids.1"),
        (new(Group, &[bob.id, cid.id, dan.id], None), "member_ids"),
        (new(Group, &[], Some("a\u{202e}b")), "title"),
        (new(Group, &[], Some(&"a".repeat(101))), "title"),
    ] {
        assert_eq!(refused_field(ann.begin(&wrong).await), field, "{wrong:?}");
    }
    let id = ann.group("full", &[bob.id, cid.id]).await.unwrap().id;
    assert_eq!(refused(ann.add_member(id, dan.id).await), Code::ValidationFailed);
    let direct = ann.direct(bob.id).await.unwrap().id;
    assert_eq!(refused(ann.add_member(direct, cid.id).await), Code::Conflict);
    assert_eq!(refused(ann.remove_member(direct, ann.id).await), Code::Conflict);
    let answer = json(&ann, "POST", "/v1/conversations", r#"{"kind":"channel","member_ids":[]}"#).await;
    assert_eq!(answer.status, 422);
}
