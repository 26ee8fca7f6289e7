//! A person's list: its order, what is unread, folders, what changed, what they keep to themselves.

use fanfare_client::Paging;
use fanfare_protocol::{Conversation, Id, PatchPersonal};

use super::say;
use crate::world::{Person, World};

async fn listed(person: &Person, parameters: &[(&str, &str)], limit: u16) -> Vec<Conversation> {
    let (mut cursor, mut found) = (None, Vec::new());
    loop {
        let page = person.conversations(parameters, Paging::at(limit, cursor.as_deref())).await.unwrap();
        found.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

fn ids(conversations: &[Conversation]) -> Vec<Id> {
    conversations.iter().map(|one| one.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_stands_in_the_order_of_last_messages_and_unread_is_exact() {
    let mut world = World::new().await;
    let [mut ann, mut bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let direct = ann.direct(bob.id).await.unwrap().id;
    let mut groups = Vec::new();
    for number in 0..5 {
        groups.push(bob.group(&format!("g{number}"), &[ann.id, cid.id]).await.unwrap().id);
    }
    say(&bob, groups[1], "a").await;
    say(&bob, direct, "b @ann").await;
    say(&bob, groups[3], "c @ann").await;
    say(&bob, groups[3], "d").await;
    let expected = [groups[3], direct, groups[1], groups[4], groups[2], groups[0]];
    for _ in 0..2 {
        for limit in [1, 2, 100] {
            let all = listed(&ann, &[], limit).await;
            assert_eq!(ids(&all), expected, "by pages of {limit}");
            let unread: Vec<u64> = all.iter().map(|one| one.unread_count).collect();
            assert_eq!(unread, [2, 1, 1, 0, 0, 0], "system messages do not count");
            let mentions: Vec<u64> = all.iter().map(|one| one.mention_count).collect();
            assert_eq!(mentions, [1, 1, 0, 0, 0, 0]);
            assert_eq!(all[0].last_message.as_ref().unwrap().text, "d");
        }
        let unread = ann.unread_conversations().await.unwrap();
        assert_eq!((unread.conversations, unread.messages, unread.mentions), (3, 4, 2));
        assert_eq!(bob.unread_conversations().await.unwrap().messages, 0, "whoever speaks has read");
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
    let named = ann.mentions(Paging::first(1)).await.unwrap();
    assert_eq!(named.items[0].message.text, "c @ann");
    assert!(named.next_cursor.is_some() && !named.items[0].read);

    // Reading moves forward only.
    let last = ann.conversation(groups[3]).await.unwrap().last_seq;
    let receipt = ann.mark_read(groups[3], last - 1).await.unwrap();
    assert_eq!((receipt.read_seq, receipt.delivered_seq), (last - 1, last - 1));
    let now = ann.conversation(groups[3]).await.unwrap();
    assert_eq!((now.unread_count, now.mention_count), (1, 0));
    ann.mark_delivered(groups[3], last).await.unwrap();
    let receipt = ann.mark_read(groups[3], 1).await.unwrap();
    assert_eq!((receipt.read_seq, receipt.delivered_seq), (last - 1, last));
    let receipts = bob.receipts(groups[3]).await.unwrap().items;
    let of =
        |id: Id| receipts.iter().find(|receipt| receipt.user_id == id).map(|one| (one.delivered_seq, one.read_seq));
    assert_eq!((of(ann.id), of(bob.id), of(cid.id)), (Some((last, last - 1)), Some((last, last)), Some((0, 0))));
    // What was taken back counts until it is read.
    let one = say(&bob, groups[0], "oops").await;
    bob.recall_message(groups[0], one.seq).await.unwrap();
    assert_eq!(ann.conversation(groups[0]).await.unwrap().unread_count, 1);
    ann.mark_read(groups[0], one.seq).await.unwrap();
    assert_eq!(ann.conversation(groups[0]).await.unwrap().unread_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_keeps_to_themselves_is_theirs_alone() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let (one, two) = (ann.direct(bob.id).await.unwrap().id, ann.group("two", &[bob.id]).await.unwrap().id);
    say(&bob, one, "a").await;
    say(&bob, two, "b").await;
    let patch = |patch: PatchPersonal, id: Id| {
        let ann = ann.clone();
        async move { ann.personal(id, &patch).await.unwrap() }
    };
    patch(PatchPersonal { archived: Some(true), ..PatchPersonal::default() }, two).await;
    patch(PatchPersonal { pinned: Some(true), draft: Some("I was".to_owned()), ..PatchPersonal::default() }, one).await;
    for _ in 0..2 {
        assert_eq!(ids(&listed(&ann, &[], 10).await), [one]);
        assert_eq!(ids(&listed(&ann, &[("folder", "archived")], 10).await), [two]);
        let personal = ann.conversation(one).await.unwrap().personal;
        assert!(personal.pinned && personal.draft == "I was");
        assert_eq!(bob.conversation(one).await.unwrap().personal, fanfare_protocol::Personal::default());
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
    // Something new brings it back; what is pinned stays first where that is asked.
    say(&bob, two, "c").await;
    assert_eq!(ids(&listed(&ann, &[], 10).await), [two, one]);
    for limit in [1, 10] {
        assert_eq!(ids(&listed(&ann, &[("pinned_first", "true")], limit).await), [one, two]);
    }
    // Marked as unread: no receipt moves, and reading ends it.
    ann.mark_read(one, 1).await.unwrap();
    assert!(patch_unread(&ann, one).await);
    let now = ann.conversation(one).await.unwrap();
    assert_eq!((now.read_seq, now.unread_count, now.personal.marked_unread), (1, 0, true));
    ann.mark_read(one, 1).await.unwrap();
    assert!(!ann.conversation(one).await.unwrap().personal.marked_unread);
    // Hidden until something new comes.
    ann.hide_conversation(one).await.unwrap();
    assert_eq!(ids(&listed(&ann, &[], 10).await), [two]);
    say(&bob, one, "d").await;
    assert_eq!(ids(&listed(&ann, &[], 10).await), [one, two]);
}

async fn patch_unread(person: &Person, id: Id) -> bool {
    let patch = PatchPersonal { marked_unread: Some(true), ..PatchPersonal::default() };
    person.personal(id, &patch).await.unwrap().marked_unread
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_since_is_all_that_changed() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let mut groups = Vec::new();
    for number in 0..6 {
        groups.push(bob.group(&format!("g{number}"), &[ann.id, cid.id]).await.unwrap().id);
    }
    let first = ann.conversations(&[], Paging::first(1)).await.unwrap();
    let since = first.changes_cursor;
    let changed = async |since: &str| {
        let (mut cursor, mut found) = (since.to_owned(), Vec::new());
        loop {
            let page = ann.conversations(&[("changed_after", &cursor)], Paging::first(2)).await.unwrap();
            found.extend(page.items);
            match page.next_cursor {
                Some(next) => cursor = next,
                None => return (found, page.changes_cursor),
            }
        }
    };
    let (found, since) = changed(&since).await;
    assert!(found.is_empty(), "{found:?}");
    say(&bob, groups[1], "a").await;
    bob.remove_member(groups[2], ann.id).await.unwrap();
    ann.personal(groups[3], &PatchPersonal { pinned: Some(true), ..PatchPersonal::default() }).await.unwrap();
    say(&bob, groups[4], "b").await;
    ann.mark_read(groups[4], 2).await.unwrap();
    let (mut found, since) = changed(&since).await;
    found.sort_unstable_by_key(|one| one.id);
    assert_eq!(ids(&found), groups[1..5]);
    assert_eq!(found.iter().map(|one| one.left).collect::<Vec<_>>(), [false, true, false, false]);
    assert!(found[1].last_message.is_none() && found[1].title.is_none(), "what is not theirs is not told");
    let (found, since) = changed(&since).await;
    assert!(found.is_empty(), "{found:?}");
    ann.mark_read(groups[1], 2).await.unwrap();
    let (found, _) = changed(&since).await;
    assert_eq!(ids(&found), [groups[1]], "another device hears of it");
}
