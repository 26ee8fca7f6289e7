//! The first request of somebody who comes by JWT, cut off at every step.

use std::net::{IpAddr, Ipv4Addr};

use fanfare::base::clock::Clock;
use fanfare::base::handle::Handle;
use fanfare::config::Secret;
use fanfare::data::rows::UserRow;
use fanfare_protocol::{Code, NewUser};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::{ENDS, End, Ground, Life};
use crate::world::PASSWORD;

const SECRET: &str = "a secret of thirty-two bytes, ok";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW_S: u64 = 1_900_000_000;
/// More writes than first sight takes.
const STEPS_MAX: usize = 20;

fn ground() -> Ground {
    Ground::new(|settings| settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned())))
}

async fn start(ground: &Ground) -> Life {
    // A minute and more passes with each start.
    let later_ms = u64::try_from(ground.records().await.len()).unwrap() * 100_000;
    ground.start(Clock::stand_in(NOW_S * 1_000 + later_ms)).await
}

fn jwt(sub: &str, wish: &str) -> String {
    signed(&json!({ "sub": sub, "handle": wish, "iat": NOW_S, "exp": NOW_S + 86_400 }))
}

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// Person whom the token lets in.
async fn came(life: &Life, token: &str) -> UserRow {
    let who = life.app.users().authenticate(token).await.unwrap();
    life.app.core().account(who.id).await.unwrap().row.clone()
}

/// Cuts off the first request of `token` at every step; `then` tells what comes after, in the same folder.
async fn cut_everywhere(token: &str, then: impl AsyncFn(&Ground, Life)) {
    for end in ENDS {
        let mut steps = 0;
        loop {
            let ground = ground();
            let mut life = start(&ground).await;
            let app = life.app.clone();
            let (_, reached) = life.cut(end, steps, async { app.users().authenticate(token).await.is_ok() }).await;
            drop(app);
            if end != End::HungUp {
                life.stop().await;
                life = start(&ground).await;
            }
            then(&ground, life).await;
            if !reached {
                break;
            }
            steps += 1;
            assert!(steps < STEPS_MAX, "{end:?}: never came to an end");
        }
        assert!(steps >= 4, "{end:?}: claims, reserves and makes: {steps} steps");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_cut_off_at_first_sight_comes_again_and_has_their_one_account() {
    let token = jwt("auth0|42", "ann");
    cut_everywhere(&token, async |ground, life| {
        let first = came(&life, &token).await;
        assert_eq!(first.handle, "ann");
        // Nor is a second one made for another token of the same person.
        assert_eq!(came(&life, &jwt("auth0|42", "somebody")).await, first);
        life.stop().await;
        assert_eq!(ground.accounts().await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_was_reserved_and_not_used_is_anybodys() {
    let token = jwt("auth0|42", "ann");
    cut_everywhere(&token, async |ground, life| {
        // The wish has changed, and another person has it now.
        let bert = came(&life, &jwt("auth0|42", "bert")).await;
        let other = came(&life, &jwt("auth0|43", "ann")).await;
        assert_ne!(bert.id, other.id);
        if bert.handle == "bert" {
            assert_eq!(other.handle, "ann");
            assert_eq!(life.app.core().store.by_handle("ann").await.unwrap().unwrap().row.id, other.id);
        } else {
            assert_eq!(bert.handle, "ann", "made before the client hung up");
        }
        life.stop().await;
        assert_eq!(ground.accounts().await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_registers_after_a_cut_gets_the_handle_at_once() {
    cut_everywhere(&jwt("auth0|42", "ann"), async |_, life| {
        let new = NewUser { handle: "Ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
        match life.app.users().register(new, HERE).await {
            Ok(session) => assert_eq!(session.user.handle, "Ann"),
            // The account was made before its person hung up, or is being made.
            Err(fanfare::base::error::Error::Refused(problem)) => {
                assert_eq!(problem.code, Code::Conflict);
                assert_eq!(came(&life, &jwt("auth0|42", "ann")).await.handle, "ann");
            }
            Err(other) => panic!("{other}"),
        }
        // Whoever came second goes on with another handle.
        came(&life, &jwt("auth0|42", "ann")).await;
        life.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_was_cut_off_leaves_handle_and_password_behind_for_nobody() {
    let new = || NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    for end in [End::KilledBefore, End::KilledAfter] {
        for step in 0.. {
            let ground = ground();
            let life = start(&ground).await;
            let app = life.app.clone();
            let (_, reached) = life.cut(end, step, async { app.users().register(new(), HERE).await.is_ok() }).await;
            drop(app);
            life.stop().await;
            let life = start(&ground).await;
            if ground.accounts().await == 0 {
                life.app.users().register(new(), HERE).await.unwrap();
            }
            let handle = fanfare_protocol::NewSession { handle: "ann".to_owned(), password: PASSWORD.to_owned() };
            life.app.users().log_in(handle, [127, 0, 0, 1].into()).await.unwrap();
            life.stop().await;
            assert_eq!(ground.accounts().await, 1);
            if !reached {
                assert!(step >= 3);
                break;
            }
        }
    }
}

/// An earlier version made the account first: what a hang-up left of that is found by the person it was made for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ghost_of_an_earlier_version_is_entered_by_whom_it_was_made_for() {
    use fanfare::data::tables;
    use sha2::Digest;
    let ground = ground();
    let life = start(&ground).await;
    let ghost =
        life.app.users().create(&Handle::parse("ann").unwrap(), None, None, NOW_S * 1_000).await.unwrap().row.id;
    let hash = sha2::Sha256::digest(b"auth0|42");
    let whose = fanfare_protocol::Id::from_bytes(&hash).unwrap();
    let row = fanfare_engines::RowKey::single(tables::SUBJECTS, [&b"account"[..], &ghost.to_bytes()].concat());
    let port = life.app.core().store.clone();
    port.insert_unique(row, tables::partition(whose), whose.0).await.unwrap();
    drop(port);
    assert_ne!(came(&life, &jwt("auth0|43", "ann")).await.id, ghost, "it is not another one's");
    assert_eq!(came(&life, &jwt("auth0|42", "ann")).await.id, ghost);
    life.stop().await;
}
