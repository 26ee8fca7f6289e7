//! Registration, sessions, passwords, profiles, search.

use fanfare::base::clock::Clock;
use fanfare_client::Paging;
use fanfare_protocol::{Code, NewUser, PatchUser};

use crate::world::{PASSWORD, Person, World, all_pages, json, problem_of, raw, refused, refused_field};

const DAY_MS: u64 = 86_400_000;

fn new(handle: &str, password: &str) -> NewUser {
    NewUser { handle: handle.to_owned(), password: password.to_owned(), display_name: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_registers_logs_in_and_is_found_by_id_and_handle() {
    let world = World::new().await;
    let body = r#"{"handle": "Ann_1", "password": "correct horse", "display_name": " Ann One "}"#;
    let answer = json(&world.anyone, "POST", "/v1/users", body).await;
    assert_eq!(answer.status, 201);
    let session: fanfare_protocol::Session = answer.json().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/users/{}", session.user.id));
    assert_eq!((session.user.handle.as_str(), session.user.display_name.as_str()), ("Ann_1", "Ann One"));
    assert_eq!((session.user.followers_count, session.user.following_count, session.user.posts_count), (0, 0, 0));
    assert!(session.user.relationship.is_none());

    let ann = world.anyone.with_token(&session.token);
    assert_eq!(ann.me().await.unwrap(), session.user);
    for name in [session.user.id.to_string(), "@ann_1".to_owned(), "@ANN_1".to_owned()] {
        assert_eq!(world.anyone.user(&name).await.unwrap(), session.user, "{name}");
    }
    for name in ["@nobody", "1", "99999999999999999999", "ann_1", "@", "%40ann_1%00"] {
        assert_eq!(refused(world.anyone.user(name).await), Code::NotFound, "{name}");
    }
    for handle in ["Ann_1", "@ann_1", "ANN_1"] {
        let again = world.anyone.log_in(handle, PASSWORD).await.unwrap();
        assert_eq!(again.user.id, session.user.id);
        assert_ne!(again.token, session.token);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_is_taken_whatever_its_case_and_by_one_of_many_who_race() {
    let world = World::new().await;
    world.person("ann").await;
    assert_eq!(refused(world.anyone.register(&new("ANN", PASSWORD)).await), Code::Conflict);
    let race = (0..16).map(|_| {
        let anyone = world.anyone.clone();
        tokio::spawn(async move { anyone.register(&new("bob", PASSWORD)).await })
    });
    let mut won = 0;
    for registered in race.collect::<Vec<_>>() {
        match registered.await.unwrap() {
            Ok(_) => won += 1,
            refusal => assert_eq!(refused(refusal), Code::Conflict),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_registration_is_named() {
    let world = World::new().await;
    for handle in ["", "a b", "a-b", "ä", "@ann", "admin", "me", &"a".repeat(31)] {
        assert_eq!(refused_field(world.anyone.register(&new(handle, PASSWORD)).await), "handle", "{handle}");
    }
    for password in ["", "short12", &"x".repeat(129)] {
        assert_eq!(refused_field(world.anyone.register(&new("ann", password)).await), "password");
    }
    let long_name = NewUser { display_name: Some("x".repeat(51)), ..new("ann", PASSWORD) };
    assert_eq!(refused_field(world.anyone.register(&long_name).await), "display_name");
    let both = json(&world.anyone, "POST", "/v1/users", r#"{"handle": "", "password": ""}"#).await;
    assert_eq!(problem_of(&both).errors.len(), 2);
    assert!(world.anyone.register(&new(&"a".repeat(30), &"ü".repeat(128))).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registration_can_be_closed() {
    let world = World::with(|settings| settings.api.registration = false).await;
    assert_eq!(refused(world.anyone.register(&new("ann", PASSWORD)).await), Code::Forbidden);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_handle_look_the_same() {
    let world = World::new().await;
    world.person("ann").await;
    let wrong = world.anyone.log_in("ann", "wrong horse").await.unwrap_err();
    let unknown = world.anyone.log_in("nobody", "wrong horse").await.unwrap_err();
    assert_eq!(wrong.problem().unwrap(), unknown.problem().unwrap());
    // A code of its own: no token is at fault, and clients must not try to renew one.
    assert_eq!(wrong.problem().unwrap().code, Code::InvalidCredentials);
    assert_eq!(wrong.problem().unwrap().status, 401);
    assert_eq!(refused(world.anyone.log_in("ann", &"x".repeat(10_000)).await), Code::InvalidCredentials);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_ends_one_session_and_everywhere_ends_all() {
    let mut world = World::new().await;
    let mut first = world.person("ann").await;
    let session =
        async |world: &World| world.anyone.with_token(&world.anyone.log_in("ann", PASSWORD).await.unwrap().token);
    let second = session(&world).await;
    second.log_out().await.unwrap();
    assert_eq!(refused(second.me().await), Code::Unauthenticated);
    assert!(first.me().await.is_ok());

    let third = session(&world).await;
    third.log_out_everywhere().await.unwrap();
    for ended in [&*first, &third] {
        assert_eq!(refused(ended.me().await), Code::Unauthenticated);
    }
    let fourth = world.anyone.log_in("ann", PASSWORD).await.unwrap();
    assert!(world.anyone.with_token(&fourth.token).me().await.is_ok());
    world.restart(&mut [&mut first]).await;
    assert_eq!(refused(first.me().await), Code::Unauthenticated);
    assert!(world.anyone.with_token(&fourth.token).me().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changing_the_password_keeps_the_callers_session_only() {
    let mut world = World::new().await;
    let mut ann = world.person("ann").await;
    let other = world.anyone.with_token(&world.anyone.log_in("ann", PASSWORD).await.unwrap().token);
    assert_eq!(refused(ann.change_password("wrong horse", "a new password").await), Code::Forbidden);
    assert_eq!(refused_field(ann.change_password(PASSWORD, "short").await), "new_password");
    assert!(other.me().await.is_ok());
    ann.change_password(PASSWORD, "a new password").await.unwrap();
    assert!(ann.me().await.is_ok());
    assert_eq!(refused(other.me().await), Code::Unauthenticated);
    assert_eq!(refused(world.anyone.log_in("ann", PASSWORD).await), Code::InvalidCredentials);
    world.restart(&mut [&mut ann]).await;
    assert!(ann.me().await.is_ok() && world.anyone.log_in("ann", "a new password").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_expires_after_its_days() {
    let now_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(now_ms), |settings| settings.auth.token_days = 1).await;
    let ann = world.person("ann").await;
    world.set_clock(now_ms + DAY_MS - 1_000);
    assert!(ann.me().await.is_ok());
    world.set_clock(now_ms + DAY_MS + 1_000);
    assert_eq!(refused(ann.me().await), Code::Unauthenticated);
    assert!(world.anyone.log_in("ann", PASSWORD).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_need_a_token_say_so() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap();
    let id = ann.id;
    for (method, path) in [
        ("GET", "/v1/users/me".to_owned()),
        ("PATCH", "/v1/users/me".to_owned()),
        ("DELETE", "/v1/users/me".to_owned()),
        ("PUT", "/v1/users/me/password".to_owned()),
        ("DELETE", "/v1/sessions".to_owned()),
        ("DELETE", "/v1/sessions/current".to_owned()),
        ("GET", "/v1/users/me/blocks".to_owned()),
        ("GET", "/v1/users/me/mutes".to_owned()),
        ("GET", "/v1/search/users?q=a".to_owned()),
        ("PUT", format!("/v1/users/{id}/follow")),
        ("DELETE", format!("/v1/users/{id}/follow")),
        ("PUT", format!("/v1/users/{id}/block")),
        ("PUT", format!("/v1/users/{id}/mute")),
        ("POST", "/v1/posts".to_owned()),
        ("DELETE", format!("/v1/posts/{}", post.id)),
        ("PUT", format!("/v1/posts/{}/like", post.id)),
        ("GET", "/v1/feed".to_owned()),
        ("GET", "/v1/feed/unread".to_owned()),
        ("PUT", "/v1/feed/read".to_owned()),
        ("GET", "/v1/notifications".to_owned()),
        ("PUT", "/v1/notifications/read".to_owned()),
        ("POST", "/v1/media".to_owned()),
        ("GET", "/v1/admin/status".to_owned()),
        ("GET", "/v1/admin/settings".to_owned()),
    ] {
        for header in [None, Some("Bearer nonsense"), Some("Basic YTpi"), Some("Bearer"), Some("Bearer a.b.c")] {
            let headers: Vec<(&str, &str)> = header.map(|value| ("authorization", value)).into_iter().collect();
            let answer = raw(&world.anyone, method, &path, &headers, "").await;
            assert_eq!(problem_of(&answer).code, Code::Unauthenticated, "{method} {path} {header:?}");
        }
    }
    // A wrong token is refused also where none is needed.
    let wrong = world.anyone.with_token("nonsense");
    assert_eq!(refused(wrong.post(post.id).await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn public_reads_can_be_closed() {
    let world = World::with(|settings| settings.api.public_reads = false).await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap();
    let id = ann.id;
    for path in [
        format!("/v1/users/{id}"),
        format!("/v1/users/{id}/posts"),
        format!("/v1/users/{id}/followers"),
        format!("/v1/users/{id}/following"),
        format!("/v1/posts/{}", post.id),
        format!("/v1/posts/{}/likes", post.id),
        format!("/v1/posts/{}/replies", post.id),
        format!("/v1/posts/{}/thread", post.id),
        "/v1/posts?scope=public".to_owned(),
    ] {
        let answer = raw(&world.anyone, "GET", &path, &[], "").await;
        assert_eq!(problem_of(&answer).code, Code::Unauthenticated, "{path}");
        assert_eq!(raw(&ann, "GET", &path, &[], "").await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_is_patched_by_merging() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let patch = async |body: &str| json(&ann, "PATCH", "/v1/users/me", body).await;
    let named = patch(r#"{"display_name": "Ann", "bio": "I write."}"#).await.json::<fanfare_protocol::User>().unwrap();
    assert_eq!((named.display_name.as_str(), named.bio.as_str()), ("Ann", "I write."));
    assert_eq!(ann.patch_me(&PatchUser::default()).await.unwrap(), named);
    let cleared = patch(r#"{"display_name": null}"#).await.json::<fanfare_protocol::User>().unwrap();
    assert_eq!((cleared.display_name.as_str(), cleared.bio.as_str()), ("ann", "I write."));
    assert_eq!(world.anyone.user("@ann").await.unwrap().bio, "I write.");
    for (body, field) in [
        (r#"{"handle": "other"}"#.to_owned(), "handle"),
        (format!(r#"{{"bio": "{}"}}"#, "x".repeat(501)), "bio"),
        (format!(r#"{{"display_name": "{}"}}"#, "x".repeat(51)), "display_name"),
        (r#"{"avatar_media_id": "12345"}"#.to_owned(), "avatar_media_id"),
        (r#"{"bio": 5}"#.to_owned(), "bio"),
    ] {
        let problem = problem_of(&patch(&body).await);
        assert_eq!((problem.code, problem.errors[0].field.as_str()), (Code::ValidationFailed, field), "{body}");
    }
    assert_eq!(world.anyone.user("@ann").await.unwrap().bio, "I write.");
    // A merge patch has a media type of its own.
    let merge = [("content-type", "application/merge-patch+json")];
    assert_eq!(raw(&ann, "PATCH", "/v1/users/me", &merge, r#"{"bio": null}"#).await.status, 200);
    assert_eq!(world.anyone.user("@ann").await.unwrap().bio, "");
}

async fn found(caller: &Person, query: &str) -> Vec<String> {
    let read = async |cursor: Option<String>| caller.search_users(query, Paging::at(2, cursor.as_deref())).await;
    all_pages(read, 2).await.into_iter().map(|user| user.handle).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_found_by_the_beginning_of_handle_and_name() {
    let world = World::new().await;
    let [ann, anna, bob, carl] = world.people(["ann", "Anna", "bob", "carl"]).await;
    let name = |name: &str| PatchUser { display_name: Some(Some(name.to_owned())), ..PatchUser::default() };
    bob.patch_me(&name("Annika Ärmel")).await.unwrap();
    carl.patch_me(&name("Zoë")).await.unwrap();
    assert_eq!(found(&ann, "an").await, ["ann", "Anna", "bob"]);
    assert_eq!(found(&ann, "@AN").await, ["ann", "Anna", "bob"]);
    assert_eq!(found(&ann, "ärm").await, ["bob"]);
    assert_eq!(found(&ann, "zoë").await, ["carl"]);
    bob.patch_me(&name("Bob")).await.unwrap();
    assert_eq!(found(&ann, "an").await, ["ann", "Anna"]);
    assert_eq!(found(&ann, "x").await, Vec::<String>::new());
    anna.block(ann.id).await.unwrap();
    assert_eq!(found(&ann, "an").await, ["ann"]);
    for query in ["", " ", "@", &"x".repeat(51)] {
        assert_eq!(refused_field(ann.search_users(query, Paging::default()).await), "q");
    }
}
