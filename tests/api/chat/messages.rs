//! Messages: sent once, numbered without holes, read by pages, changed and taken back.

use fanfare_client::{MessagePlace, text_message};
use fanfare_protocol::{
    ChangeKind, Code, ConversationKind, Forward, Id, MessageKind, NewConversation, NewMessage, PatchConversation,
};

use super::{all_messages, say, texts};
use crate::world::{Person, World, refused, refused_field};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pair_has_one_conversation_and_both_read_the_same() {
    let mut world = World::new().await;
    let [mut ann, mut bob, eve] = world.people(["ann", "bob", "eve"]).await;
    let new = |peer: Id| NewConversation {
        kind: ConversationKind::Direct,
        member_ids: vec![peer],
        title: None,
        history: None,
    };
    let (to_bob, to_ann) = (new(bob.id), new(ann.id));
    let (first, second) = tokio::join!(ann.begin(&to_bob), bob.begin(&to_ann));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.value.id, second.value.id);
    assert!(first.created != second.created, "it is made once");
    let id = first.value.id;
    assert_eq!(ann.conversation(id).await.unwrap().peer.unwrap().id, bob.id);

    let hello = say(&ann, id, "hello").await;
    assert_eq!((hello.seq, hello.sender.id, hello.kind), (1, ann.id, MessageKind::Text));
    say(&bob, id, "hi").await;
    for number in 3..=25 {
        say(&ann, id, &format!("message {number}")).await;
    }
    for _ in 0..2 {
        let all = all_messages(&bob, id, 7).await;
        assert_eq!(all.iter().map(|message| message.seq).collect::<Vec<_>>(), (1..=25).collect::<Vec<_>>());
        assert_eq!(all[0], ann.message(id, 1).await.unwrap());
        let page = bob.messages(id, MessagePlace::Newest, 3).await.unwrap();
        assert_eq!(page.items.iter().map(|message| message.seq).collect::<Vec<_>>(), [25, 24, 23]);
        let page = bob.messages(id, MessagePlace::Before(3), 10).await.unwrap();
        assert_eq!(texts(&page.items), ["hi", "hello"]);
        let page = bob.messages(id, MessagePlace::Around(10), 5).await.unwrap();
        assert_eq!(page.items.iter().map(|message| message.seq).collect::<Vec<_>>(), [12, 11, 10, 9, 8]);
        world.restart(&mut [&mut ann, &mut bob]).await;
    }

    // Whoever is not in it finds nothing, whether it is there or not.
    let eve = world.anyone.with_token(&eve.token);
    for id in [id, Id(5)] {
        assert_eq!(refused(eve.conversation(id).await), Code::NotFound);
        assert_eq!(refused(eve.messages(id, MessagePlace::Newest, 1).await), Code::NotFound);
        assert_eq!(refused(eve.send_message(id, &text_message("a", "a")).await), Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_again_is_the_same_one_and_its_id_is_for_nothing_else() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let new = text_message("c1", "hello");
    let first = ann.send_message(id, &new).await.unwrap();
    assert!(first.created);
    for _ in 0..2 {
        let again = ann.send_message(id, &new).await.unwrap();
        assert!(!again.created);
        assert_eq!(again.value, first.value);
        assert_eq!(refused_field(ann.send_message(id, &text_message("c1", "other")).await), "client_id");
        world.restart(&mut [&mut ann]).await;
    }
    // Many at once, too: one of them makes it.
    let copies: Vec<_> = (0..8)
        .map(|_| {
            let ann = ann.clone();
            tokio::spawn(async move { ann.send_message(id, &text_message("c2", "again")).await.unwrap() })
        })
        .collect();
    let mut made = 0;
    for copy in copies {
        let copy = copy.await.unwrap();
        assert_eq!(copy.value.seq, 2);
        made += u32::from(copy.created);
    }
    assert_eq!(made, 1);
    // What was refused stays refused, also when it would be taken now.
    let group = ann.group("group", &[]).await.unwrap().id;
    let bob = world.anyone.with_token(&bob.token);
    assert_eq!(refused(bob.send_message(group, &text_message("c", "a")).await), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_a_message_is_told_by_changes_and_shows_everywhere() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let one = say(&ann, id, "first").await;
    let answer = NewMessage { reply_to: Some(one.seq), ..text_message("answer", "yes") };
    let answer = bob.send_message(id, &answer).await.unwrap().value;
    assert_eq!(answer.reply_to.as_ref().unwrap().text, "first");
    let edited = ann.edit_message(id, one.seq, "first, but better").await.unwrap();
    assert!(edited.edited_at.is_some());
    bob.react(id, one.seq, "👍").await.unwrap();
    bob.react(id, one.seq, "👍").await.unwrap();
    let liked = ann.react(id, one.seq, "👍").await.unwrap();
    assert_eq!((liked.reactions.len(), liked.reactions[0].count, liked.reactions[0].mine), (1, 2, Some(true)));
    bob.unreact(id, one.seq, "👍").await.unwrap();
    ann.pin(id, one.seq, true).await.unwrap();
    assert_eq!(refused(bob.pin(id, answer.seq, true).await), Code::Forbidden);
    for _ in 0..2 {
        let changes = bob.changes(id, 0, 100).await.unwrap();
        let kinds: Vec<_> = changes.items.iter().map(|change| (change.change_seq, change.kind, change.seq)).collect();
        use ChangeKind::{Edited, Pinned, Reacted};
        let seq = one.seq;
        assert_eq!(
            kinds,
            [(1, Edited, seq), (2, Reacted, seq), (3, Reacted, seq), (4, Reacted, seq), (5, Pinned, seq)]
        );
        assert_eq!(bob.changes(id, 4, 100).await.unwrap().items.len(), 1);
        assert_eq!(refused_field(bob.changes(id, 9, 1).await), "after");
        let now = bob.message(id, one.seq).await.unwrap();
        assert_eq!(
            (now.text.as_str(), now.reactions[0].count, now.reactions[0].mine),
            ("first, but better", 1, Some(false))
        );
        assert_eq!(bob.message(id, answer.seq).await.unwrap().reply_to.unwrap().text, "first, but better");
        assert_eq!(texts(&bob.pins(id).await.unwrap().items), ["first, but better"]);
        assert_eq!(bob.earlier_texts(id, one.seq).await.unwrap().items[0].text, "first");
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
    // Somebody else's words are not theirs to change, and what was taken back is gone from quotes and pins.
    assert_eq!(refused(bob.edit_message(id, one.seq, "no").await), Code::Forbidden);
    assert_eq!(refused(bob.recall_message(id, one.seq).await), Code::Forbidden);
    ann.recall_message(id, one.seq).await.unwrap();
    ann.recall_message(id, one.seq).await.unwrap();
    let gone = bob.message(id, one.seq).await.unwrap();
    assert!(gone.recalled && gone.text.is_empty() && gone.reactions.is_empty() && gone.recalled_by.is_none());
    let quote = bob.message(id, answer.seq).await.unwrap().reply_to.unwrap();
    assert!(quote.recalled && quote.text.is_empty());
    assert!(
        bob.pins(id).await.unwrap().items.is_empty() && bob.earlier_texts(id, one.seq).await.unwrap().items.is_empty()
    );
    assert_eq!(refused_field(ann.edit_message(id, one.seq, "again").await), "seq");
    // An admin takes others' messages back, and that is shown.
    ann.recall_message(id, answer.seq).await.unwrap();
    assert_eq!(bob.message(id, answer.seq).await.unwrap().recalled_by, Some(ann.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_names_the_field() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&ann, id, "one").await;
    ann.recall_message(id, 1).await.unwrap();
    let text = |text: &str| text_message("c", text);
    let elsewhere = bob.group("bob's own", &[]).await.unwrap().id;
    let forward =
        |conversation_id, seq| NewMessage { text: None, forward: Some(Forward { conversation_id, seq }), ..text("") };
    for (wrong, field) in [
        (text(""), "text"),
        (text("\u{200b}"), "text"),
        (text(&"a".repeat(8_001)), "text"),
        (text("a\u{0}"), "text"),
        (NewMessage { client_id: String::new(), ..text("a") }, "client_id"),
        (NewMessage { client_id: "c".repeat(65), ..text("a") }, "client_id"),
        (NewMessage { kind: MessageKind::System, ..text("a") }, "kind"),
        (NewMessage { kind: MessageKind::Image, ..text("a") }, "media_id"),
        (NewMessage { kind: MessageKind::Image, media_id: Some(Id(7)), ..text("a") }, "media_id"),
        (NewMessage { reply_to: Some(1), ..text("a") }, "reply_to"),
        (NewMessage { reply_to: Some(2), ..text("a") }, "reply_to"),
        (forward(elsewhere, 1), "forward"),
        (forward(id, 1), "forward"),
    ] {
        // What was refused is remembered, so each has an id of its own.
        let own = format!("{field} {:?} {:?}", wrong.reply_to, wrong.forward.map(|one| one.conversation_id == id));
        let client_id = if wrong.client_id == "c" { own } else { wrong.client_id.clone() };
        let new = NewMessage { client_id, ..wrong };
        assert_eq!(refused_field(ann.send_message(id, &new).await), field, "{new:?}");
    }
    assert_eq!(ann.conversation(id).await.unwrap().last_seq, 1, "nothing was placed");
    assert_eq!(refused_field(ann.mark_read(id, 2).await), "seq");
    for emoji in ["a", "👍👍", "1"] {
        assert_eq!(refused_field(ann.react(id, 1, emoji).await), "emoji");
    }
    assert_eq!(refused(ann.message(id, 2).await), Code::NotFound);
    assert_eq!(refused(ann.edit_message(id, 2, "a").await), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_can_see_can_be_passed_on() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let (first, second) = (ann.direct(bob.id).await.unwrap().id, bob.direct(cid.id).await.unwrap().id);
    say(&ann, first, "news").await;
    let forward = Some(Forward { conversation_id: first, seq: 1 });
    let new = NewMessage { text: None, forward, ..text_message("f", "") };
    let passed_on = bob.send_message(second, &new).await.unwrap().value;
    assert!(passed_on.forwarded && passed_on.text == "news" && passed_on.sender.id == bob.id);
    assert_eq!(cid.message(second, 1).await.unwrap().text, "news");
    assert_eq!(refused_field(bob.edit_message(second, 1, "other").await), "seq");
}

/// Announcements and slow mode are the group's, not the admins'.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_says_who_may_speak_and_how_often() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let change = |patch: PatchConversation| {
        let ann: Person = ann.clone();
        async move { ann.change_conversation(id, &patch).await.unwrap() }
    };
    change(PatchConversation { announcements_only: Some(true), ..PatchConversation::default() }).await;
    assert_eq!(refused(bob.send_message(id, &text_message("a", "a")).await), Code::Forbidden);
    say(&ann, id, "hear").await;
    let slow =
        PatchConversation { announcements_only: Some(false), slow_mode_s: Some(3_600), ..PatchConversation::default() };
    assert_eq!(change(slow).await.slow_mode_s, 3_600);
    // What was refused before stays refused: another try has another id.
    assert_eq!(refused(bob.send_message(id, &text_message("a", "a")).await), Code::Forbidden);
    say(&bob, id, "once").await;
    assert_eq!(refused(bob.send_message(id, &text_message("twice", "twice")).await), Code::RateLimited);
    say(&ann, id, "ann").await;
    say(&ann, id, "ann again").await;
    let refused = refused_field(
        bob.change_conversation(id, &PatchConversation { slow_mode_s: Some(86_401), ..PatchConversation::default() })
            .await,
    );
    assert_eq!(refused, "slow_mode_s");
}
