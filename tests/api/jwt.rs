//! People who come with tokens of the operator's own backend.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fanfare::base::clock::Clock;
use fanfare::config::Secret;
use fanfare_client::Client;
use fanfare_protocol::{Code, NewUser};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::world::{PASSWORD, World, eventually, refused};

const SECRET: &str = "a secret of thirty-two bytes, ok";
const NOW_S: u64 = 1_900_000_000;

fn key_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src/users/testdata", name].iter().collect()
}

fn key_bytes(name: &str) -> Vec<u8> {
    std::fs::read(key_file(name)).unwrap()
}

fn claims(sub: &str) -> Value {
    json!({ "sub": sub, "iat": NOW_S, "exp": NOW_S + 600 })
}

fn hs256(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

fn eddsa(claims: &Value, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
    encode(&header, claims, &EncodingKey::from_ed_pem(&key_bytes("jwt_ed_private.pem")).unwrap()).unwrap()
}

fn es256(claims: &Value) -> String {
    let key = EncodingKey::from_ec_pem(&key_bytes("jwt_ec_private.pem")).unwrap();
    encode(&Header::new(Algorithm::ES256), claims, &key).unwrap()
}

fn rs256(claims: &Value) -> String {
    let key = EncodingKey::from_rsa_pem(&key_bytes("jwt_rsa_private.pem")).unwrap();
    encode(&Header::new(Algorithm::RS256), claims, &key).unwrap()
}

/// A JWKS with the Ed25519 key: its last 32 bytes are the key itself.
fn jwks(kid: &str) -> String {
    let pem = String::from_utf8(key_bytes("jwt_ed_public.pem")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).unwrap();
    let x = URL_SAFE_NO_PAD.encode(&der[der.len() - 32..]);
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x }] })
        .to_string()
}

async fn world() -> World {
    World::at(Clock::by_hand(NOW_S * 1_000), |settings| {
        settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
        settings.auth.jwt_public_key_files =
            ["jwt_rsa_public.pem", "jwt_ed_public.pem", "jwt_ec_public.pem"].map(key_file).into();
    })
    .await
}

fn comes(world: &World, token: &str) -> Client {
    world.anyone.with_token(token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_algorithm_names_the_same_person_made_at_first_sight() {
    let mut world = world().await;
    let mut claims = claims("auth0|42");
    claims["name"] = json!("Ann");
    claims["handle"] = json!("ann");
    let first = comes(&world, &hs256(&claims)).me().await.unwrap();
    assert_eq!((first.handle.as_str(), first.display_name.as_str()), ("ann", "Ann"));
    for token in [rs256(&claims), es256(&claims), eddsa(&claims, None)] {
        assert_eq!(comes(&world, &token).me().await.unwrap().id, first.id);
    }
    world.restart(&mut []).await;
    assert_eq!(comes(&world, &rs256(&claims)).me().await.unwrap(), first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_first_requests_of_one_person_make_one_account() {
    let world = world().await;
    let token = hs256(&claims("somebody"));
    let asked: Vec<_> = (0..16)
        .map(|_| {
            let caller = comes(&world, &token);
            tokio::spawn(async move { caller.me().await.unwrap().id })
        })
        .collect();
    let first = comes(&world, &token).me().await.unwrap().id;
    for one in asked {
        assert_eq!(one.await.unwrap(), first);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_subjects_never_share_an_account() {
    let mut world = world().await;
    let mut wish = claims("mallory-77");
    wish["handle"] = json!("bob");
    let mut seen = Vec::new();
    for claims in [claims("alice"), claims("Alice"), wish, claims("bob")] {
        seen.push(comes(&world, &hs256(&claims)).me().await.unwrap().id);
    }
    let mut distinct = seen.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 4, "{seen:?}");
    world.restart(&mut []).await;
    assert_eq!(comes(&world, &hs256(&claims("bob"))).me().await.unwrap().id, seen[3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_with_a_password_is_not_given_away_to_a_subject() {
    let world = world().await;
    let ann = world.person("ann").await;
    let caller = comes(&world, &hs256(&claims("ann"))).me().await.unwrap();
    assert_ne!(caller.id, ann.id);
    assert_ne!(caller.handle, "ann");
    // Nor is one that the operators keep.
    let admin = comes(&world, &hs256(&claims("admin"))).me().await.unwrap();
    assert_ne!(admin.handle, "admin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_are_wrong_are_refused() {
    let world = world().await;
    let with = |name: &str, value: Value| {
        let mut claims = claims("ann");
        claims[name] = value;
        hs256(&claims)
    };
    let forged =
        encode(&Header::default(), &claims("ann"), &EncodingKey::from_secret(b"another secret, long enough")).unwrap();
    let none = format!(
        "{}.{}.",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
        URL_SAFE_NO_PAD.encode(claims("ann").to_string())
    );
    for token in [
        forged,
        none,
        with("exp", json!(NOW_S - 3_600)),
        with("nbf", json!(NOW_S + 3_600)),
        with("sub", json!("")),
        with("sub", Value::Null),
        with("exp", Value::Null),
    ] {
        assert_eq!(refused(comes(&world, &token).me().await), Code::Unauthenticated, "{token}");
    }
    let good = hs256(&claims("ann"));
    assert!(comes(&world, &good).me().await.is_ok());
    world.set_clock((NOW_S + 3_600) * 1_000);
    assert_eq!(refused(comes(&world, &good).me().await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_everywhere_ends_jwts_too_and_a_deleted_account_stays_deleted() {
    let world = world().await;
    let caller = comes(&world, &hs256(&claims("ann")));
    caller.me().await.unwrap();
    assert_eq!(refused(caller.log_out().await), Code::Conflict);
    world.set_clock((NOW_S + 10) * 1_000);
    caller.log_out_everywhere().await.unwrap();
    assert_eq!(refused(caller.me().await), Code::Unauthenticated);
    let later = comes(&world, &hs256(&json!({ "sub": "ann", "iat": NOW_S + 20, "exp": NOW_S + 600 })));
    world.set_clock((NOW_S + 20) * 1_000);
    later.delete_account().await.unwrap();
    assert_eq!(refused(later.me().await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_without_iat_counts_as_issued_when_it_was_first_shown() {
    let mut world = world().await;
    let without = |life_s: u64| hs256(&json!({ "sub": "ann", "exp": NOW_S + life_s }));
    let first = comes(&world, &without(600));
    let ann = first.me().await.unwrap();
    world.set_clock((NOW_S + 10) * 1_000);
    first.log_out_everywhere().await.unwrap();
    assert_eq!(refused(first.me().await), Code::Unauthenticated);
    // What comes now is new, and the old one is known also after a restart.
    assert_eq!(comes(&world, &without(601)).me().await.unwrap(), ann);
    world.restart(&mut []).await;
    assert_eq!(comes(&world, &without(601)).me().await.unwrap(), ann);
    assert_eq!(refused(comes(&world, &without(600)).me().await), Code::Unauthenticated);
}

/// A backend whose clock is ahead by so many seconds.
struct Backend {
    ahead_s: u64,
}

impl Backend {
    /// A token that it issues at that second of the server's.
    fn issued(&self, at_s: u64) -> String {
        hs256(&json!({ "sub": "ann", "iat": at_s + self.ahead_s, "exp": NOW_S + 3_600 }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_turns_out_to_be_ahead_after_the_log_out_lets_no_old_token_live_on() {
    let mut world = world().await;
    let right = Backend { ahead_s: 0 };
    comes(&world, &right.issued(NOW_S - 100)).me().await.unwrap();
    // Neither was ever shown, and none like them: nobody knows that those clocks are ahead.
    let stolen: Vec<String> = [1, 40, 60].map(|ahead_s| Backend { ahead_s }.issued(NOW_S - 1)).into();
    comes(&world, &right.issued(NOW_S - 50)).log_out_everywhere().await.unwrap();
    for (later_s, restarts) in [(0, false), (2, false), (70, true), (3_000, true)] {
        world.set_clock((NOW_S + later_s) * 1_000);
        for old in &stolen {
            assert_eq!(refused(comes(&world, old).me().await), Code::Unauthenticated, "{later_s} s later");
        }
        if restarts {
            world.restart(&mut []).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_token_was_seen_of_late_a_log_out_ends_whatever_a_clock_may_have_issued() {
    let mut world = world().await;
    comes(&world, &Backend { ahead_s: 0 }.issued(NOW_S - 1)).me().await.unwrap();
    let stolen = [1, 40, 60].map(|ahead_s| Backend { ahead_s }.issued(NOW_S - 1));
    // What was seen is in memory only.
    world.restart(&mut []).await;
    world.operator.set_password("@ann", "correct horse battery").await.unwrap();
    for later_s in [70, 3_000] {
        world.set_clock((NOW_S + later_s) * 1_000);
        for old in &stolen {
            assert_eq!(refused(comes(&world, old).me().await), Code::Unauthenticated, "{later_s} s later");
        }
    }
    assert!(comes(&world, &Backend { ahead_s: 0 }.issued(NOW_S + 70)).me().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_logged_out_everywhere_gets_in_again_at_once_by_the_clock_that_issued_before() {
    for backend in [0, 30, 60].map(|ahead_s| Backend { ahead_s }) {
        let world = world().await;
        comes(&world, &backend.issued(NOW_S)).log_out_everywhere().await.unwrap();
        world.set_clock((NOW_S + 1) * 1_000);
        assert!(comes(&world, &backend.issued(NOW_S + 1)).me().await.is_ok(), "{} s ahead", backend.ahead_s);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_a_clock_that_is_behind_the_one_before_they_are_told_when_a_new_token_is_taken() {
    let world = world().await;
    let right = Backend { ahead_s: 0 };
    comes(&world, &Backend { ahead_s: 30 }.issued(NOW_S - 1)).log_out_everywhere().await.unwrap();
    world.set_clock((NOW_S + 1) * 1_000);
    let words = comes(&world, &right.issued(NOW_S + 1)).me().await.unwrap_err().problem().unwrap().detail.clone();
    let wait_s: u64 = words.rsplit(' ').nth(1).unwrap().parse().unwrap_or_else(|_| panic!("{words}"));
    let again = NOW_S + 1 + wait_s;
    world.set_clock(again * 1_000);
    assert!(comes(&world, &right.issued(again)).me().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_further_ahead_than_the_setting_says_is_refused() {
    let world = World::at(Clock::by_hand(NOW_S * 1_000), |settings| {
        settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
        settings.auth.jwt_ahead_s = 1;
    })
    .await;
    for (ahead_s, taken) in [(0, true), (1, true), (2, false)] {
        assert_eq!(comes(&world, &Backend { ahead_s }.issued(NOW_S)).me().await.is_ok(), taken, "{ahead_s} s ahead");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_jwks_file_are_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks("old")).unwrap();
    let world =
        World::at(Clock::by_hand(NOW_S * 1_000), |settings| settings.auth.jwt_jwks_file = Some(file.clone())).await;
    let token = |kid| eddsa(&claims("ann"), Some(kid));
    assert!(comes(&world, &token("old")).me().await.is_ok());
    assert_eq!(refused(comes(&world, &token("new")).me().await), Code::Unauthenticated);
    std::fs::write(&file, format!("{} ", jwks("new"))).unwrap();
    eventually("the new key is known", async || comes(&world, &token("new")).me().await.ok()).await;
    assert_eq!(refused(comes(&world, &token("old")).me().await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn issuer_and_audience_are_asked_for_when_they_are_set() {
    let world = World::at(Clock::by_hand(NOW_S * 1_000), |settings| {
        settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
        settings.auth.jwt_issuer = Some("the operator".to_owned());
        settings.auth.jwt_audience = Some("fanfare".to_owned());
    })
    .await;
    let mut claims = claims("ann");
    assert_eq!(refused(comes(&world, &hs256(&claims)).me().await), Code::Unauthenticated);
    claims["iss"] = json!("the operator");
    claims["aud"] = json!(["other", "fanfare"]);
    assert!(comes(&world, &hs256(&claims)).me().await.is_ok());
    claims["aud"] = json!("other");
    assert_eq!(refused(comes(&world, &hs256(&claims)).me().await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_no_jwt_is_taken() {
    let world = World::at(Clock::by_hand(NOW_S * 1_000), |_| ()).await;
    assert_eq!(refused(comes(&world, &hs256(&claims("ann"))).me().await), Code::Unauthenticated);
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    assert!(world.anyone.register(&new).await.is_ok());
}
