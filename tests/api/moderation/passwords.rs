//! Passwords that operators set, and wrong ones that are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare::config::Secret;
use fanfare_client::Client;
use fanfare_protocol::Code;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::{audit, clock};
use crate::realtime::device::Device;
use crate::world::{PASSWORD, World, json as send, problem_of, raw, refused, refused_field};

const SECRET: &str = "a secret of thirty-two bytes, ok";

fn jwt(now_ms: u64) -> String {
    let now_s = now_ms / 1_000;
    let claims = json!({ "sub": "jay", "iat": now_s, "exp": now_s + 36_000 });
    encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_from_an_operator_ends_all_sessions_and_holds_after_a_restart() {
    let mut world = World::new().await;
    let ann = world.person("ann").await;
    let other = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    let mut device = Device::ws(&world, &ann.token).await;
    assert_eq!(refused_field(world.operator.set_password("@ann", "short").await), "password");
    assert!(ann.me().await.is_ok());
    world.operator.set_password("@ann", "another horse").await.unwrap();
    assert_eq!(device.end().await, Some(4401));
    world.restart(&mut []).await;
    for token in [&ann.token, &other] {
        assert_eq!(refused(world.anyone.with_token(token).me().await), Code::Unauthenticated);
    }
    assert!(world.anyone.log_in("ann", PASSWORD).await.is_err());
    let session = world.anyone.log_in("ann", "another horse").await.unwrap();
    let ann = world.anyone.with_token(&session.token);
    ann.change_password("another horse", "a third horse").await.unwrap();
    assert_eq!(refused(world.operator.set_password("@nobody", "another horse").await), Code::NotFound);
    assert_eq!(audit(&world).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_operator_gives_a_password_to_who_comes_without_one() {
    let (by_hand, now_ms) = clock();
    let secret = |settings: &mut fanfare::config::Settings| {
        settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
    };
    let world = World::at(by_hand, secret).await;
    let jay = world.anyone.with_token(&jwt(now_ms));
    assert_eq!(jay.me().await.unwrap().handle, "jay");
    for current in ["", PASSWORD] {
        assert_eq!(refused(jay.change_password(current, "another horse").await), Code::Conflict);
    }
    assert!(world.anyone.log_in("jay", "another horse").await.is_err());
    world.operator.set_password("@jay", PASSWORD).await.unwrap();
    assert_eq!(refused(jay.me().await), Code::Unauthenticated, "what was out has ended");
    world.set_clock(now_ms + 65_000);
    let jay = world.anyone.with_token(&jwt(now_ms + 65_000));
    let session = world.anyone.log_in("jay", PASSWORD).await.unwrap();
    assert_eq!(jay.me().await.unwrap().id, session.user.id, "both ways lead to the same account");
    assert_eq!(refused(jay.change_password("wrong horse", "another horse").await), Code::Forbidden);
    world.anyone.with_token(&session.token).change_password(PASSWORD, "another horse").await.unwrap();
    assert!(world.anyone.log_in("jay", "another horse").await.is_ok());
}

/// A server behind a proxy on this machine, so that callers can be put at any address.
async fn behind_a_proxy(per_address: usize) -> (World, u64) {
    let (by_hand, now_ms) = clock();
    let world = World::at(by_hand, |settings| {
        settings.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        settings.auth.wrong_passwords_per_address = per_address;
    })
    .await;
    (world, now_ms)
}

/// The status of a log-in from an address, and for how long to stay away.
async fn log_in(world: &World, from: &str, handle: &str, password: &str) -> (u16, String) {
    let body = json!({ "handle": handle, "password": password }).to_string();
    let headers = [("content-type", "application/json"), ("x-forwarded-for", from)];
    let answer = raw(&world.anyone, "POST", "/v1/sessions", &headers, &body).await;
    if answer.status != 201 {
        problem_of(&answer);
    }
    (answer.status.as_u16(), answer.header("retry-after").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_wrong_passwords_close_an_account_to_one_address_and_to_no_other() {
    let (world, now_ms) = behind_a_proxy(100).await;
    world.people(["ann", "bob"]).await;
    for handle in ["ann", "nobody"] {
        for number in 0..10 {
            world.set_clock(now_ms + number * 1_000);
            let name = if number % 2 == 0 { handle.to_owned() } else { format!("@{}", handle.to_uppercase()) };
            assert_eq!(log_in(&world, "192.0.2.7", &name, "wrong horse").await.0, 401);
        }
    }
    world.set_clock(now_ms + 10_000);
    // Known or not, right or wrong: the same, until the first of the ten is a quarter of an hour old.
    for (handle, password) in [("ann", "wrong horse"), ("ann", PASSWORD)] {
        assert_eq!(log_in(&world, "192.0.2.7", handle, password).await, (429, "890".to_owned()));
    }
    assert_eq!(log_in(&world, "192.0.2.7", "nobody", PASSWORD).await.0, 429);
    assert_eq!(log_in(&world, "192.0.2.8", "ann", PASSWORD).await.0, 201, "the owner elsewhere");
    assert_eq!(log_in(&world, "192.0.2.7", "bob", PASSWORD).await.0, 201, "somebody else there");
    world.set_clock(now_ms + 900_000);
    assert_eq!(log_in(&world, "192.0.2.7", "ann", "wrong horse").await.0, 401, "one has room again");
    assert_eq!(log_in(&world, "192.0.2.7", "ann", PASSWORD).await, (429, "1".to_owned()));
    world.set_clock(now_ms + 901_000);
    assert_eq!(log_in(&world, "192.0.2.7", "ann", PASSWORD).await.0, 201);
    for _ in 0..9 {
        assert_eq!(log_in(&world, "192.0.2.7", "ann", "wrong horse").await.0, 401, "the right one has wiped the slate");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_a_bound_of_its_own_and_a_line_of_ipv6_is_one_address() {
    let (world, now_ms) = behind_a_proxy(20).await;
    world.person("ann").await;
    for number in 0..20 {
        let from = format!("2001:db8:0:1::{number:x}");
        assert_eq!(log_in(&world, &from, &format!("p{number}"), "wrong horse").await.0, 401);
    }
    assert_eq!(log_in(&world, "2001:db8:0:1:ffff::1", "ann", PASSWORD).await, (429, "900".to_owned()));
    assert_eq!(log_in(&world, "2001:db8:0:2::1", "ann", PASSWORD).await.0, 201);
    world.set_clock(now_ms + 900_000);
    assert_eq!(log_in(&world, "2001:db8:0:1::1", "ann", PASSWORD).await.0, 201);
}

/// A thousand at once get no more guesses than one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_guesses_at_once_are_no_more_than_ten() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let guesses: Vec<_> = (0..40)
        .map(|_| {
            let anyone: Client = world.anyone.clone();
            tokio::spawn(async move { refused(anyone.log_in("ann", "wrong horse").await) })
        })
        .collect();
    let (mut looked_at, mut refused_unread) = (0, 0);
    for guess in guesses {
        match guess.await.unwrap() {
            Code::RateLimited => refused_unread += 1,
            _ => looked_at += 1,
        }
    }
    assert_eq!((looked_at, refused_unread), (10, 30));
    // The same count holds where the password is asked for again.
    let body = json!({ "current_password": PASSWORD, "new_password": "another horse" }).to_string();
    assert_eq!(problem_of(&send(&ann, "PUT", "/v1/users/me/password", &body).await).code, Code::RateLimited);
    assert!(ann.me().await.is_ok(), "who is in stays in");
}

/// The change is decided under the lock that a log-in takes for its token, so that no order of the two leaves one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_in_that_races_a_change_of_password_leaves_no_token() {
    const ROUNDS: usize = 8;
    const RACERS: usize = 4;
    let world = World::with(|settings| {
        settings.auth.wrong_passwords_per_account = 100_000;
        settings.auth.wrong_passwords_per_address = 100_000;
    })
    .await;
    world.person("ann").await;
    let (mut old, mut let_in) = (PASSWORD.to_owned(), 0);
    for round in 0..ROUNDS {
        let new = format!("{PASSWORD} {round}");
        let changed = Arc::new(AtomicBool::new(false));
        let racers: Vec<_> = (0..RACERS)
            .map(|_| {
                let (anyone, old, changed) = (world.anyone.clone(), old.clone(), Arc::clone(&changed));
                tokio::spawn(async move {
                    let mut tokens = Vec::new();
                    loop {
                        // Also once after it: a log-in that was under way then has ended.
                        let last = changed.load(Ordering::Acquire);
                        tokens.extend(anyone.log_in("ann", &old).await.ok().map(|session| session.token));
                        if last {
                            return tokens;
                        }
                    }
                })
            })
            .collect();
        if round % 2 == 0 {
            world.operator.set_password("@ann", &new).await.unwrap();
        } else {
            let session = world.anyone.log_in("ann", &old).await.unwrap();
            world.anyone.with_token(&session.token).change_password(&old, &new).await.unwrap();
        }
        changed.store(true, Ordering::Release);
        for racer in racers {
            for token in racer.await.unwrap() {
                let_in += 1;
                assert_eq!(refused(world.anyone.with_token(&token).me().await), Code::Unauthenticated, "round {round}");
            }
        }
        old = new;
    }
    assert!(let_in > 0, "nobody raced");
}
