//! Known faults, each as a test that is ignored until the repair it names.

use fanfare::base::clock::Clock;
use fanfare::config::Secret;
use fanfare_protocol::Code;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::world::{World, raw, refused};

const SECRET: &str = "a secret of thirty-two bytes, ok";
const NOW_S: u64 = 1_900_000_000;
const DAY_MS: u64 = 86_400_000;

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

async fn with_jwts() -> World {
    World::at(Clock::by_hand(NOW_S * 1_000), |settings| {
        settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jwt_within_the_leeway_opens_realtime_as_it_opens_everything() {
    let world = with_jwts().await;
    let caller = world.anyone.with_token(&signed(&json!({ "sub": "ann", "iat": NOW_S - 600, "exp": NOW_S - 20 })));
    let http = raw(&caller, "GET", "/v1/users/me", &[], "").await.status;
    let poll = raw(&caller, "GET", "/v1/realtime/poll?wait=0", &[], "").await.status;
    assert_eq!(http, poll);
    // The stream says hello, or is refused like the rest; it does not end with 4401 at once.
    let ticket = raw(&caller, "POST", "/v1/realtime/tickets", &[], "").await.status;
    assert_eq!(http.is_success(), ticket.is_success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_everywhere_ends_a_jwt_that_was_issued_ahead() {
    let world = with_jwts().await;
    let ahead = world.anyone.with_token(&signed(&json!({ "sub": "ann", "iat": NOW_S + 40, "exp": NOW_S + 600 })));
    ahead.me().await.unwrap();
    ahead.log_out_everywhere().await.unwrap();
    assert_eq!(refused(ahead.me().await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_goes_on_when_the_clock_was_ahead_for_a_while() {
    for days in [8, 20] {
        let clock = Clock::by_hand(Clock::system().now_ms() + days * DAY_MS);
        let world = World::at(clock.clone(), |_| ()).await;
        let [ann, bob] = world.people(["ann", "bob"]).await;
        bob.follow(ann.id).await.unwrap();
        ann.say("from ahead").await.unwrap();
        clock.let_go();
        let poll = async |path: String| {
            let answer = raw(&bob, "GET", &path, &[], "").await;
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json::<Value>().unwrap()
        };
        let cursor = poll("/v1/realtime/poll?wait=0".into()).await["cursor"].as_str().unwrap().to_owned();
        ann.say("from now").await.unwrap();
        let events = poll(format!("/v1/realtime/poll?wait=5&cursor={cursor}")).await["events"].to_string();
        assert!(events.contains("from now") && !events.contains("reset"), "{days} days: {events}");
    }
}
