//! Conversations that nobody is in any more: their files go, whatever they were left by.

use fanfare::base::clock::Clock;
use fanfare::base::limits::chat::EMPTIED_MESSAGES_MAX;
use fanfare::chat::service::{Before, Replayed};
use fanfare::config::ChatDeletion;
use fanfare_client::text_message;
use fanfare_protocol::{Code, History, Id, MemberRole, NewInvite, PatchConversation};
use futures_util::future::join_all;

use super::media::{media_of, note, objects, pass_on, show};
use crate::deletion::clean;
use crate::world::{Person, World, refused};

const HOUR_MS: u64 = 3_600_000;

/// A server whose time is told, and the moment.
async fn world() -> (World, u64) {
    let start_ms = Clock::system().now_ms();
    (World::at(Clock::by_hand(start_ms), |settings| settings.chat.deletion = ChatDeletion::Anonymise).await, start_ms)
}

/// A round of the janitor, and one when an hour is over.
async fn an_hour_later(world: &World, now_ms: &mut u64) {
    clean(world).await;
    *now_ms += HOUR_MS + 60_000;
    world.set_clock(*now_ms);
    clean(world).await;
}

async fn leave(person: &Person, group: Id) {
    person.remove_member(group, person.id).await.unwrap();
}

/// Nobody could see them any more, nor take them back, and they stayed for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_group_that_everybody_left_go_but_for_what_was_passed_on() {
    let (world, mut now_ms) = world().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let group = ann.group("group", &[bob.id]).await.unwrap().id;
    let other = bob.group("other", &[cid.id]).await.unwrap().id;
    let (lost, kept) = (note(&ann, b"lost").await.id, note(&bob, b"kept").await.id);
    show(&ann, group, lost).await;
    let sent = show(&bob, group, kept).await;
    let passed = pass_on(&bob, other, (group, sent.seq)).await;
    leave(&ann, group).await;
    an_hour_later(&world, &mut now_ms).await;
    assert_eq!((objects(&world, lost), objects(&world, kept)), (1, 1), "somebody is there");
    leave(&bob, group).await;
    clean(&world).await;
    assert_eq!(objects(&world, lost), 1, "an hour is not over");
    an_hour_later(&world, &mut now_ms).await;
    assert_eq!((objects(&world, lost), objects(&world, kept)), (0, 1));
    let url = media_of(&cid.message(other, passed.seq).await.unwrap()).url.clone();
    assert_eq!(&world.anyone.download(&url).await.unwrap()[..], b"kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_pair_whose_accounts_are_gone_go_though_words_of_deleted_accounts_stay() {
    let (world, mut now_ms) = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let direct = ann.direct(bob.id).await.unwrap().id;
    let file = note(&ann, b"between us").await.id;
    let sent = show(&ann, direct, file).await;
    ann.delete_account().await.unwrap();
    an_hour_later(&world, &mut now_ms).await;
    let url = media_of(&bob.message(direct, sent.seq).await.unwrap()).url.clone();
    assert_eq!(&world.anyone.download(&url).await.unwrap()[..], b"between us", "the other one sees it");
    bob.delete_account().await.unwrap();
    an_hour_later(&world, &mut now_ms).await;
    an_hour_later(&world, &mut now_ms).await;
    assert_eq!(objects(&world, file), 0);
}

/// The group was nobody's then: who came by the invite could neither change nor hand over anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_into_a_group_that_all_have_left_has_it_and_its_files_stay_for_them() {
    let (world, mut now_ms) = world().await;
    let [ann, cid, dan] = world.people(["ann", "cid", "dan"]).await;
    let group = ann.group("group", &[]).await.unwrap().id;
    let all = PatchConversation { history: Some(History::All), ..PatchConversation::default() };
    ann.change_conversation(group, &all).await.unwrap();
    let token = ann.make_invite(group, &NewInvite::default()).await.unwrap().token.unwrap();
    let file = note(&ann, b"for who comes").await.id;
    let sent = show(&ann, group, file).await;
    leave(&ann, group).await;
    assert_eq!(refused(ann.message(group, sent.seq).await), Code::NotFound);
    cid.join_by_invite(&token).await.unwrap();
    an_hour_later(&world, &mut now_ms).await;
    let url = media_of(&cid.message(group, sent.seq).await.unwrap()).url.clone();
    assert_eq!(&world.anyone.download(&url).await.unwrap()[..], b"for who comes");
    let title = PatchConversation { title: Some(Some("mine".to_owned())), ..PatchConversation::default() };
    assert_eq!(cid.change_conversation(group, &title).await.unwrap().title.as_deref(), Some("mine"));
    dan.join_by_invite(&token).await.unwrap();
    let roles = cid.members(group, fanfare_client::Paging::first(10)).await.unwrap();
    let role = |person: &Person| roles.items.iter().find(|member| member.user.id == person.id).map(|one| one.role);
    assert_eq!((role(&cid), role(&dan)), (Some(MemberRole::Owner), Some(MemberRole::Member)));
    leave(&cid, group).await;
    leave(&dan, group).await;
    an_hour_later(&world, &mut now_ms).await;
    assert_eq!(objects(&world, file), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_looks_at_so_many_messages_and_the_next_one_goes_on() {
    let (world, mut now_ms) = world().await;
    let ann = world.person("ann").await;
    let group = ann.group("group", &[]).await.unwrap().id;
    let first = note(&ann, b"first").await.id;
    show(&ann, group, first).await;
    let chat = world.app().chat();
    let mut said = Vec::new();
    for number in 0..EMPTIED_MESSAGES_MAX {
        let before = Before { conversation: group, by: ann.id, at_ms: now_ms };
        said.push(chat.said_before(before, text_message(&number.to_string(), "words")).await.unwrap());
    }
    for one in join_all(said.into_iter().map(Replayed::durable)).await {
        one.unwrap();
    }
    let last = note(&ann, b"last").await.id;
    show(&ann, group, last).await;
    leave(&ann, group).await;
    clean(&world).await;
    now_ms += HOUR_MS + 60_000;
    world.set_clock(now_ms);
    clean(&world).await;
    assert_eq!((objects(&world, first), objects(&world, last)), (0, 1), "one round, and the next just now");
    an_hour_later(&world, &mut now_ms).await;
    assert_eq!(objects(&world, last), 0);
}
