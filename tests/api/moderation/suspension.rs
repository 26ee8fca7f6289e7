//! Suspended people: where they are not let in, who does not see them, and how it ends.

use std::sync::atomic::{AtomicBool, Ordering};

use fanfare::config::Secret;
use fanfare_client::{Client, Paging};
use fanfare_protocol::{Code, NewPost, PatchUser, Suspension, Ticket, Transport};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::{audit, because, clock};
use crate::process::Process;
use crate::realtime::device::{ALL, Device, close_code};
use crate::world::{
    PASSWORD, World, all_pages, eventually, ids, json as send, problem_of, raw, refused, refused_field, whole_feed,
};

const SECRET: &str = "a secret of thirty-two bytes, ok";
const HOUR_MS: u64 = 3_600_000;

fn jwt(sub: &str, now_ms: u64) -> String {
    let now_s = now_ms / 1_000;
    let claims = json!({ "sub": sub, "iat": now_s, "exp": now_s + 36_000, "handle": sub });
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_person_is_let_in_nowhere_and_learns_why_only_with_proof() {
    let (by_hand, now_ms) = clock();
    let world = World::at(by_hand, |settings| settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()))).await;
    let ann = world.person("ann").await;
    let jay = world.anyone.with_token(&jwt("jay", now_ms));
    jay.me().await.unwrap();
    let ticket = async |client: &Client| {
        raw(client, "POST", "/v1/realtime/tickets", &[], "").await.json::<Ticket>().unwrap().ticket
    };
    let (before, other) = (ticket(&ann).await, ticket(&jay).await);
    for name in ["@ann", "@jay"] {
        world.operator.suspend(name, &because("spam", Some(now_ms + HOUR_MS))).await.unwrap();
    }
    // A wrong password, or no account at all, hears nothing of it.
    let wrong = refused(world.anyone.log_in("ann", "wrong horse").await);
    assert_eq!(wrong, refused(world.anyone.log_in("nobody", "wrong horse").await));
    assert_ne!(wrong, Code::AccountSuspended);
    let body = json!({ "handle": "ann", "password": PASSWORD }).to_string();
    let told = problem_of(&send(&world.anyone, "POST", "/v1/sessions", &body).await);
    assert_eq!((told.status, told.code), (403, Code::AccountSuspended));
    assert!(told.detail.contains("until 20") && !told.detail.contains("spam"), "{told:?}");
    for caller in [&ann as &Client, &jay] {
        assert_eq!(refused(caller.me().await), Code::AccountSuspended);
        assert_eq!(refused(caller.say("let me in").await), Code::AccountSuspended);
        assert_eq!(refused(caller.feed(fanfare_client::FeedQuery::default()).await), Code::AccountSuspended);
        // Nor where a token is not needed: one that is shown must be good.
        assert_eq!(refused(caller.public_posts(Paging::default()).await), Code::AccountSuspended);
    }
    assert_eq!(refused(world.anyone.with_token("abc").me().await), Code::Unauthenticated);
    let bearer = format!("Bearer {}", ann.token);
    assert_eq!(close_code(&world, "", &[("authorization", &bearer)]).await, 4403);
    for ticket in [before, other] {
        assert!([4401, 4403].contains(&close_code(&world, &format!("?ticket={ticket}"), &[]).await));
    }
    let poll = problem_of(&raw(&ann, "GET", "/v1/realtime/poll?wait=0", &[], "").await);
    assert_eq!(poll.code, Code::AccountSuspended);
    // Over by the clock alone; tokens from before are good again.
    world.set_clock(now_ms + HOUR_MS);
    ann.say("here again").await.unwrap();
    jay.me().await.unwrap();
    assert!(world.anyone.log_in("ann", PASSWORD).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_streams_of_a_suspended_person_are_closed_at_once_and_nobody_elses() {
    let world = crate::realtime::world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    bob.follow(bob.id).await.unwrap_err();
    let mut bobs = Device::ws(&world, &bob.token).await;
    for transport in ALL.into_iter().filter(|transport| *transport != Transport::LongPoll) {
        let mut device = Device::new(transport, &world, &ann.token, None).await;
        world.operator.suspend("@ann", &because("spam", None)).await.unwrap();
        assert_eq!(device.end().await, (transport == Transport::Websocket).then_some(4403));
        world.operator.unsuspend("@ann", None).await.unwrap();
    }
    // A poll that waits ends too, and the next one is refused.
    let first = crate::realtime::device::poll(&world.base, &ann.token, None, 0).await;
    let path = format!("/v1/realtime/poll?wait=60&cursor={}", first.cursor);
    let (base, token) = (world.base.clone(), ann.token.clone());
    let waiting = tokio::spawn(async move { crate::realtime::device::get(&base, &path, &token).await });
    let seen = format!("/v1/admin/realtime/sessions?user_id={}", ann.id);
    let waits = async || {
        let page = crate::realtime::device::seen_by_operator(&world, &seen).await;
        (!page["items"].as_array().unwrap().is_empty()).then_some(())
    };
    eventually("the poll waits", waits).await;
    world.operator.suspend("@ann", &because("spam", None)).await.unwrap();
    waiting.await.unwrap();
    assert_eq!(refused(ann.me().await), Code::AccountSuspended);
    let post = bob.say("still here").await.unwrap().id;
    bobs.posts_until(post).await;
}

/// Whoever opens a session while the suspension comes is refused or closed: nobody stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_races_with_a_suspension_does_not_stay() {
    let world = crate::realtime::world().await;
    let ann = world.person("ann").await;
    let bearer = format!("Bearer {}", ann.token);
    let headers = [("authorization", bearer.as_str())];
    for round in 0..20 {
        let opens = async {
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            close_code(&world, "", &headers).await
        };
        let new = because("spam", None);
        let (code, suspended) = tokio::join!(opens, world.operator.suspend("@ann", &new));
        suspended.unwrap();
        assert!([4401, 4403].contains(&code), "{code}");
        world.operator.unsuspend("@ann", None).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_of_a_suspension_is_checked_and_repeats_take_the_place_of_each_other() {
    let (by_hand, now_ms) = clock();
    let world = World::at(by_hand, |_| ()).await;
    let ann = world.person("ann").await;
    for (reason, until_ms, field) in
        [("", None, "reason"), ("  ", None, "reason"), ("a\nb", None, "reason"), ("spam", Some(now_ms), "until")]
    {
        assert_eq!(refused_field(world.operator.suspend("@ann", &because(reason, until_ms)).await), field);
    }
    for body in [r#"{"reason": "x", "until": "tomorrow"}"#, r#"{"reason": "x", "forever": true}"#, "{}"] {
        assert_eq!(
            problem_of(&send(&world.operator, "PUT", "/v1/admin/users/@ann/suspension", body).await).status,
            422
        );
    }
    for nobody in ["@nobody", "1", "ann"] {
        assert_eq!(refused(world.operator.suspend(nobody, &because("spam", None)).await), Code::NotFound);
        assert_eq!(refused(world.operator.unsuspend(nobody, None).await), Code::NotFound);
    }
    assert!(ann.me().await.is_ok() && audit(&world).await.is_empty());
    world.operator.unsuspend("@ann", None).await.unwrap();
    assert!(audit(&world).await.is_empty(), "nothing was lifted");
    let short = world.operator.suspend("@ann", &because(" spam ", Some(now_ms + 1_000))).await.unwrap();
    assert_eq!((short.user_id, short.reason.as_str(), short.until.unwrap().0), (ann.id, "spam", now_ms + 1_000));
    let long = world.operator.suspend(&ann.id.to_string(), &because("more", None)).await.unwrap();
    assert_eq!(long.until, None);
    world.set_clock(now_ms + 10_000);
    assert_eq!(refused(ann.me().await), Code::AccountSuspended, "the longer one holds");
    world.operator.suspend("@ann", &because("less", Some(now_ms + 20_000))).await.unwrap();
    world.set_clock(now_ms + 20_000);
    assert!(ann.me().await.is_ok(), "the shorter one holds");
    let reasons: Vec<_> = audit(&world).await.into_iter().map(|line| line.reason.unwrap()).collect();
    assert_eq!(reasons, ["less", "more", "spam"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_and_its_end_survive_a_restart_and_the_janitor() {
    let (by_hand, now_ms) = clock();
    let mut world = World::at(by_hand, |_| ()).await;
    let [mut ann, mut bob, mut eve] = world.people(["ann", "bob", "eve"]).await;
    eve.follow(ann.id).await.unwrap();
    eve.follow(bob.id).await.unwrap();
    let (hers, his) = (ann.say("hers").await.unwrap().id, bob.say("his").await.unwrap().id);
    world.operator.suspend("@ann", &because("a while", Some(now_ms + 2 * HOUR_MS))).await.unwrap();
    world.operator.suspend("@bob", &because("a while", Some(now_ms + 2 * HOUR_MS))).await.unwrap();
    world.operator.suspend("@bob", &because("for good", None)).await.unwrap();
    world.restart(&mut [&mut ann, &mut bob, &mut eve]).await;
    assert_eq!(whole_feed(&eve).await, []);
    assert_eq!(refused(ann.me().await), Code::AccountSuspended);
    crate::deletion::clean(&world).await;
    // Long after: the row of the one that ended is swept, that of the one made longer is not.
    world.set_clock(now_ms + 9 * HOUR_MS);
    crate::deletion::clean(&world).await;
    world.restart(&mut [&mut ann, &mut bob, &mut eve]).await;
    let (store, one) = (&world.app().core().store, fanfare::data::tables::ONE);
    let range = fanfare_engines::KeyRange::ALL;
    let order = fanfare_engines::Order::Ascending;
    let rows = store.scan(fanfare::data::tables::SUSPENSIONS, &one, range, order, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(whole_feed(&eve).await, [hers]);
    assert_eq!(refused(bob.me().await), Code::AccountSuspended);
    world.operator.unsuspend("@bob", None).await.unwrap();
    assert_eq!(whole_feed(&eve).await, [his, hers]);
    world.restart(&mut [&mut ann, &mut bob, &mut eve]).await;
    assert_eq!(whole_feed(&eve).await, [his, hers]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_suspended_person_is_remembered_once_their_account_is_cleared_away() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let post = bob.say("hello").await.unwrap();
    ann.like(post.id).await.unwrap();
    ann.follow(bob.id).await.unwrap();
    world.operator.suspend("@ann", &because("spam", None)).await.unwrap();
    let uncounted = &world.app().core().store.uncounted;
    assert!(!uncounted.watch(ann.id), "what she adds to counts is known");
    world.app().users().delete(ann.id).await.unwrap();
    crate::deletion::clean(&world).await;
    assert!(uncounted.watch(ann.id), "it would be asked for anew");
    uncounted.forget(ann.id);
    assert_eq!(bob.post(post.id).await.unwrap().like_count, 0);
    assert_eq!(bob.me().await.unwrap().followers_count, 0);
}

/// Feeds that were built while somebody was hidden show them afterwards, and the other way round, however posts reach
/// them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_hide_and_show_again_on_the_next_read_whatever_they_were_built_from() {
    for (push_below, pull_above) in [(10, 20), (0, 0), (0, 100)] {
        let (by_hand, now_ms) = clock();
        let change = |settings: &mut fanfare::config::Settings| {
            settings.feed.push_below = push_below;
            settings.feed.pull_above = pull_above;
        };
        let mut world = World::at(by_hand, change).await;
        let [ann, bob, mut eve] = world.people(["ann", "bob", "eve"]).await;
        for author in [&ann, &bob] {
            eve.follow(author.id).await.unwrap();
        }
        let (first, his) = (ann.say("first").await.unwrap().id, bob.say("his").await.unwrap().id);
        let again = bob.repost(first, "").await.unwrap().id;
        assert_eq!(whole_feed(&eve).await, [again, his, first]);
        let unread = async |eve: &Client| eve.unread().await.unwrap().count;
        assert_eq!(unread(&eve).await, 3);
        world.operator.suspend("@ann", &because("spam", Some(now_ms + HOUR_MS))).await.unwrap();
        assert_eq!(whole_feed(&eve).await, [his], "hers is hidden, and what passes it on");
        assert_eq!(unread(&eve).await, 1);
        assert_eq!(ids(&world.anyone.public_posts(Paging::default()).await.unwrap().items), [his]);
        // Built anew while she is hidden.
        world.restart(&mut [&mut eve]).await;
        assert_eq!(whole_feed(&eve).await, [his]);
        world.set_clock(now_ms + HOUR_MS);
        assert_eq!(whole_feed(&eve).await, [again, his, first]);
        assert_eq!(unread(&eve).await, 3);
    }
}

/// Killed between and after: what was answered holds, with its line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acts_survive_a_kill_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..3 {
        let server = Process::serve(folder.path(), &[]).await;
        let token = std::fs::read_to_string(folder.path().join("admin.token")).unwrap();
        let operator = server.anyone.with_token(token.trim());
        let new = fanfare_protocol::NewUser {
            handle: format!("p{round}"),
            password: PASSWORD.to_owned(),
            display_name: None,
        };
        let session = server.anyone.register(&new).await.unwrap();
        let post = server.anyone.with_token(&session.token).say("hello").await.unwrap().id;
        operator.suspend(&format!("@p{round}"), &because("spam", None)).await.unwrap();
        operator.remove_post(post, None).await.unwrap();
        server.kill();
        expected.extend(["user.suspend", "post.delete"]);
        let again = Process::serve(folder.path(), &[]).await;
        let operator = again.anyone.with_token(token.trim());
        for earlier in 0..=round {
            let name = format!("p{earlier}");
            assert_eq!(refused(again.anyone.log_in(&name, PASSWORD).await), Code::AccountSuspended);
            assert_eq!(refused(again.anyone.user(&format!("@{name}")).await), Code::NotFound);
        }
        assert_eq!(refused(again.anyone.post(post).await), Code::Gone);
        let lines = operator.audit(Paging::first(100)).await.unwrap().items;
        let names: Vec<&str> = lines.iter().rev().map(|line| line.action.as_str()).collect();
        assert_eq!(names, expected);
        again.kill();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_read_who_is_suspended_now_in_pages() {
    let (by_hand, now_ms) = clock();
    let mut world = World::at(by_hand, |_| ()).await;
    let mut suspended = Vec::new();
    for number in 0..7 {
        let person = world.person(&format!("p{number}")).await;
        let until_ms = (number % 2 == 1).then_some(now_ms + HOUR_MS);
        let why = because(&format!("spam {number}"), until_ms);
        suspended.insert(0, world.operator.suspend(&person.id.to_string(), &why).await.unwrap());
    }
    let lifted = suspended.remove(2);
    world.operator.unsuspend(&lifted.user_id.to_string(), None).await.unwrap();
    async fn listed(world: &World) -> Vec<Suspension> {
        all_pages(async |cursor: Option<String>| world.operator.suspensions(Paging::at(2, cursor.as_deref())).await, 2)
            .await
    }
    assert_eq!(listed(&world).await, suspended);
    world.restart(&mut []).await;
    assert_eq!(listed(&world).await, suspended);
    // What has ended by the clock is not listed, whether or not the janitor came.
    world.set_clock(now_ms + HOUR_MS);
    suspended.retain(|one| one.until.is_none());
    assert_eq!(listed(&world).await, suspended);
    let ann = world.person("ann").await;
    assert_eq!(refused(ann.suspensions(Paging::default()).await), Code::Forbidden);
    assert_eq!(refused(world.anyone.suspensions(Paging::default()).await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_like_that_was_done_is_answered_as_done_whatever_hides_the_post_meanwhile() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut posts = Vec::new();
    for number in 0..60 {
        posts.push(ann.say(&format!("{number}")).await.unwrap().id);
    }
    let ends = AtomicBool::new(false);
    let hide = async {
        while !ends.load(Ordering::Relaxed) {
            world.operator.suspend("@ann", &because("spam", None)).await.unwrap();
            world.operator.unsuspend("@ann", None).await.unwrap();
        }
    };
    let like = async {
        let mut refused_likes = Vec::new();
        for id in &posts {
            match bob.like(*id).await {
                Ok(post) => assert!(post.liked && post.like_count == 1, "{post:?}"),
                Err(error) => {
                    assert!(error.to_string().contains("no such post"), "{error}");
                    refused_likes.push(*id);
                }
            }
        }
        ends.store(true, Ordering::Relaxed);
        refused_likes
    };
    let ((), refused_likes) = tokio::join!(hide, like);
    for id in posts {
        let post = bob.post(id).await.unwrap();
        assert_eq!(post.liked, !refused_likes.contains(&id), "what was refused did not happen");
    }
}

/// Posts that were published were answered 410 when their author was suspended just then, as were those that a key
/// asked for again, and reposts of somebody who was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_is_answered_as_done_whoever_is_suspended_meanwhile() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let original = ann.say("original").await.unwrap().id;
    let ends = AtomicBool::new(false);
    let hide = async {
        while !ends.load(Ordering::Relaxed) {
            for name in ["@ann", "@bob"] {
                world.operator.suspend(name, &because("spam", None)).await.unwrap();
                world.operator.unsuspend(name, None).await.unwrap();
            }
        }
    };
    let publish = async {
        let mut answered = [0; 3];
        for number in 0..40 {
            let quote = NewPost { text: number.to_string(), repost_of: Some(original), ..NewPost::default() };
            let bare = NewPost { repost_of: Some(original), ..NewPost::default() };
            for (place, key, new) in
                [(0, format!("q{number}"), &quote), (1, format!("q{number}"), &quote), (2, "bare".to_owned(), &bare)]
            {
                match bob.publish(new, Some(&key)).await {
                    Ok(published) => {
                        assert_eq!(published.post.text, new.text);
                        answered[place] += 1;
                    }
                    Err(error) => {
                        let code = refused::<()>(Err(error));
                        // The original is not seen just then, or nobody lets bob in.
                        let is_before = matches!(code, Code::NotFound | Code::AccountSuspended | Code::Unauthenticated);
                        assert!(is_before, "{code:?}");
                    }
                }
            }
        }
        ends.store(true, Ordering::Relaxed);
        answered
    };
    let ((), answered) = tokio::join!(hide, publish);
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_profile_counts_ones_own_list() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("to pass on").await.unwrap().id;
    bob.say("own").await.unwrap();
    bob.repost(post, "").await.unwrap();
    world.operator.suspend("@ann", &because("spam", None)).await.unwrap();
    let listed = bob.posts_of(bob.id, Paging::first(10)).await.unwrap().items.len() as u64;
    let patched = bob.patch_me(&PatchUser::default()).await.unwrap().posts_count;
    let by_id = bob.user("@bob").await.unwrap().posts_count;
    assert_eq!((listed, bob.me().await.unwrap().posts_count, by_id, patched), (2, 2, 2, 2));
}
