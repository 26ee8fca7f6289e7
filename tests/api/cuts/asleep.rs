//! A registration that sleeps between its reservation and its record, as on a server that was paused: there is one
//! account of a handle, whoever makes it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use fanfare::base::clock::Clock;
use fanfare::base::error::{Error, Result};
use fanfare::base::token::TokenHash;
use fanfare::data::tables;
use fanfare::users::attempts::Bounds;
use fanfare::users::jwt_keys::{JwtSettings, JwtVerifier};
use fanfare::users::password::{PasswordCost, Passwords};
use fanfare::users::service::{UserSettings, Users};
use fanfare::users::session_ender::SessionEnder;
use fanfare_protocol::{Code, Id, NewSession, NewUser};

use super::{Ground, Life};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const NOW_MS: u64 = 1_900_000_000_000;

/// Nobody is connected.
struct NoSessions;

#[async_trait]
impl SessionEnder for NoSessions {
    async fn token_ended(&self, _: Id, _: TokenHash) {}

    async fn all_ended(&self, _: Id, _: Option<TokenHash>) {}

    async fn suspended(&self, _: Id) {}
}

/// The accounts as another server has them: over the same rows and the same log, with no lock in common.
async fn elsewhere(ground: &Ground, life: &Life) -> Users {
    let settings = UserSettings {
        token_days: 30,
        registration: true,
        wrong_passwords: Bounds { per_account: 10, per_network: 100, window_ms: 1_000 },
        handle_reserved_days: 90,
    };
    let cost = PasswordCost { memory_kib: 8, iterations: 1, lanes: 1 };
    let jwt = JwtVerifier::open(JwtSettings::of(&ground.settings)).await.unwrap();
    let media = Arc::new(life.app.media().clone());
    Users::new(life.app.core().clone(), settings, Passwords::new(cost).unwrap(), jwt, media, Arc::new(NoSessions))
}

fn new(password: &str) -> NewUser {
    NewUser { handle: "ann".to_owned(), password: password.to_owned(), display_name: None }
}

fn code<T>(answer: Result<T>) -> Option<Code> {
    match answer {
        Ok(_) => None,
        Err(Error::Refused(problem)) => Some(problem.code),
        Err(other) => panic!("{other}"),
    }
}

async fn log_in(life: &Life, password: &str) -> Option<Code> {
    let session = NewSession { handle: "ann".to_owned(), password: password.to_owned() };
    code(life.app.users().log_in(session, HERE).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_sleeps_past_its_reservation_makes_no_second_account_of_the_handle() {
    let ground = Ground::new(|_| ());
    let life = ground.start(Clock::by_hand(NOW_MS)).await;
    let other = elsewhere(&ground, &life).await;
    let sleeper = life.blade.sleep_at(tables::CREDENTIALS);
    let app = life.app.clone();
    let asleep = tokio::spawn(async move { app.users().register(new("of the sleeper"), HERE).await });
    sleeper.sleeps().await;
    let ann = other.register(new("of the other"), HERE).await.unwrap().user;
    sleeper.wake();
    assert_eq!(code(asleep.await.unwrap()), Some(Code::Conflict));
    assert_eq!(ground.accounts().await, 1);
    let holder = life.app.core().store.by_handle("ann").await.unwrap().unwrap();
    assert_eq!(holder.row.id, ann.id);
    assert_eq!(log_in(&life, "of the other").await, None);
    assert_eq!(log_in(&life, "of the sleeper").await, Some(Code::InvalidCredentials));
    // Nothing of the sleeper stays but the word that there never was such an account.
    let rows = life.blade.written.lock().0.clone();
    for row in rows.into_iter().filter(|row| row.table == tables::CREDENTIALS) {
        let whose = Id::from_bytes(&row.partition).unwrap();
        let row = life.app.core().store.get(&row).await.unwrap();
        assert_eq!(row.is_some(), whose == ann.id, "credentials of {whose}");
    }
    drop(other);
    life.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wakes_first_has_the_handle_and_whoever_wanted_to_take_it_over_hears_so() {
    let ground = Ground::new(|_| ());
    let life = ground.start(Clock::by_hand(NOW_MS)).await;
    let other = elsewhere(&ground, &life).await;
    let sleeper = life.blade.sleep_at(tables::HANDLES);
    let slow = tokio::spawn(async move { other.register(new("of the other"), HERE).await });
    sleeper.sleeps().await;
    life.app.users().register(new("of the first"), HERE).await.unwrap();
    sleeper.wake();
    assert_eq!(code(slow.await.unwrap()), Some(Code::Conflict));
    assert_eq!((ground.accounts().await, log_in(&life, "of the first").await), (1, None));
    life.stop().await;
}
