//! Strangers: who may talk to whom and add whom, requests, and who shares what they have read.

use fanfare_client::{Paging, text_message};
use fanfare_protocol::{
    Code, ConversationKind, Id, NewConversation, PatchChatPreferences, ServerEvent, Transport, WhoMay,
};

use super::{heard_nothing, say};
use crate::realtime::device::Device;
use crate::world::{Person, World, raw, refused, refused_field};

async fn in_folder(person: &Person, folder: &str) -> Vec<Id> {
    let page = person.conversations(&[("folder", folder)], Paging::first(10)).await.unwrap();
    page.items.into_iter().map(|one| one.id).collect()
}

fn who(message: WhoMay, add: WhoMay) -> PatchChatPreferences {
    PatchChatPreferences {
        who_may_message: Some(Some(message)),
        who_may_add: Some(Some(add)),
        ..PatchChatPreferences::default()
    }
}

fn direct(peer: Id) -> NewConversation {
    NewConversation { kind: ConversationKind::Direct, member_ids: vec![peer], title: None, history: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_makes_no_sound_takes_three_messages_and_an_answer_accepts_it() {
    let mut world = World::new().await;
    let [ann, mut bob, cid] = world.people(["ann", "bob", "cid"]).await;
    bob.prefer(&who(WhoMay::Requests, WhoMay::Requests)).await.unwrap();
    bob.follow(cid.id).await.unwrap();
    let mut bobs = Device::new(Transport::Websocket, &world, &bob.token, None).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    for number in 0..3 {
        say(&ann, id, &format!("please {number}")).await;
    }
    assert_eq!(refused(ann.send_message(id, &text_message("four", "four")).await), Code::Forbidden);
    heard_nothing(&mut bobs).await;
    for _ in 0..2 {
        assert_eq!((in_folder(&bob, "inbox").await, in_folder(&bob, "requests").await), (vec![], vec![id]));
        let unread = bob.unread_conversations().await.unwrap();
        assert_eq!((unread.messages, unread.requests), (0, 1));
        let seen = bob.conversation(id).await.unwrap();
        assert!(seen.is_request && seen.last_message.is_some());
        world.restart(&mut [&mut bob]).await;
    }
    say(&bob, id, "who are you?").await;
    assert_eq!((in_folder(&bob, "inbox").await, in_folder(&bob, "requests").await), (vec![id], vec![]));
    let ann = world.anyone.with_token(&ann.token);
    assert!(ann.send_message(id, &text_message("five", "five")).await.unwrap().created);
    // Whom bob follows does not ask.
    let cid = world.anyone.with_token(&cid.token);
    assert!(!cid.direct(bob.id).await.unwrap().is_request);
    assert_eq!(in_folder(&bob, "requests").await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declining_says_nothing_and_who_takes_nobody_is_not_talked_to() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    bob.prefer(&who(WhoMay::Requests, WhoMay::Nobody)).await.unwrap();
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&ann, id, "please").await;
    bob.decline_request(id).await.unwrap();
    bob.decline_request(id).await.unwrap();
    assert_eq!((in_folder(&bob, "inbox").await, in_folder(&bob, "requests").await), (vec![], vec![]));
    say(&ann, id, "are you there?").await;
    assert_eq!(in_folder(&bob, "requests").await, []);
    let group = NewConversation { kind: ConversationKind::Group, ..direct(bob.id) };
    assert_eq!(refused_field(ann.begin(&group).await), "member_ids.0");
    let own = ann.group("group", &[]).await.unwrap().id;
    assert_eq!(refused(ann.add_member(own, bob.id).await), Code::Forbidden);
    let cid = world.person("cid").await;
    cid.prefer(&who(WhoMay::Nobody, WhoMay::Requests)).await.unwrap();
    assert_eq!(refused(ann.begin(&direct(cid.id)).await), Code::Forbidden);
    // Asked to join: seen as a request, and read only once it is accepted.
    ann.add_member(own, cid.id).await.unwrap();
    say(&ann, own, "before").await;
    assert_eq!(in_folder(&cid, "requests").await, [own]);
    let seen = cid.conversation(own).await.unwrap();
    assert!(seen.is_request && seen.last_message.is_none() && seen.title.as_deref() == Some("group"));
    assert_eq!(refused(cid.message(own, 1).await), Code::NotFound);
    assert_eq!(refused(cid.send_message(own, &text_message("x", "x")).await), Code::NotFound);
    assert!(!cid.accept_request(own).await.unwrap().is_request);
    assert!(cid.send_message(own, &text_message("y", "y")).await.unwrap().created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_requests_are_declined_at_once_and_what_was_accepted_stays() {
    let world = World::with(|settings| settings.chat.default_who_may = WhoMay::Requests).await;
    let [bob, known] = world.people(["bob", "known"]).await;
    assert_eq!(bob.preferences().await.unwrap().who_may_message, WhoMay::Requests, "the operator's default");
    let kept = known.direct(bob.id).await.unwrap().id;
    bob.accept_request(kept).await.unwrap();
    let strangers = world.people(["a1", "a2", "a3", "a4"]).await;
    for stranger in &strangers[..3] {
        let id = stranger.direct(bob.id).await.unwrap().id;
        say(stranger, id, "please").await;
    }
    let group = strangers[3].group("join us", &[bob.id]).await.unwrap().id;
    assert_eq!(in_folder(&bob, "requests").await.len(), 4);
    let all = bob.decline_all_requests().await.unwrap();
    assert_eq!((all.declined, all.more), (4, false));
    assert_eq!((in_folder(&bob, "inbox").await, in_folder(&bob, "requests").await), (vec![kept], vec![]));
    let again = bob.decline_all_requests().await.unwrap();
    assert_eq!((again.declined, again.more), (0, false));
    // Who asked hears nothing of it, and does not get through by asking again.
    let own = strangers[0].direct(bob.id).await.unwrap();
    assert!(!own.is_request && own.last_message.is_some());
    assert_eq!(refused(bob.conversation(group).await), Code::NotFound);
    say(&strangers[0], own.id, "hello?").await;
    assert_eq!(in_folder(&bob, "requests").await, []);
    // What bob chooses stands whatever the default is; also where it is what others have by default.
    let chosen = bob.prefer(&who(WhoMay::Everybody, WhoMay::Everybody)).await.unwrap();
    assert_eq!((chosen.who_may_message, chosen.who_may_add), (WhoMay::Everybody, WhoMay::Everybody));
    assert!(!world.person("late").await.direct(bob.id).await.unwrap().is_request);
    // Requests are the caller's own: nobody else's name is taken.
    let odd = raw(&bob, "POST", "/v1/conversations/requests/accept", &[], "").await;
    assert_eq!(odd.status.as_u16(), 404, "an id is digits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shares_nothing_sees_nothing_of_what_others_read() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&ann, id, "hello").await;
    let silent = PatchChatPreferences { read_receipts: Some(false), ..PatchChatPreferences::default() };
    assert!(!bob.prefer(&silent).await.unwrap().read_receipts);
    let mut anns = Device::new(Transport::Websocket, &world, &ann.token, None).await;
    bob.mark_read(id, 1).await.unwrap();
    let ServerEvent::Receipt(told) = anns.until("receipt").await.event().unwrap() else { panic!() };
    assert_eq!((told.receipts[0].read_seq, told.receipts[0].delivered_seq), (0, 1));
    for (viewer, whose) in [(&ann, bob.id), (&bob, ann.id)] {
        let receipts = viewer.receipts(id).await.unwrap().items;
        assert_eq!(receipts.iter().find(|one| one.user_id == whose).unwrap().read_seq, 0);
        assert_eq!(receipts.iter().find(|one| one.user_id != whose).unwrap().read_seq, 1, "one's own is seen");
    }
}
