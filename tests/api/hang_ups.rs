//! Clients that go away in the middle: what they asked for happens once, or not at all.

use std::net::SocketAddr;

use fanfare::base::clock::Clock;
use fanfare::config::Secret;
use fanfare_client::Paging;
use fanfare_protocol::{Id, NewPost};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::world::{Person, World, seeds};

/// Hang-ups of each kind; `FANFARE_TEST_RUNS` makes them as many times as many.
fn rounds() -> usize {
    const USUAL: usize = 150;
    USUAL * seeds(1).count()
}

/// Sends a request and hangs up without reading the answer.
async fn hang_up(world: &World, person: &Person, method: &str, path: &str, headers: &str, body: &str) {
    hang_up_with(world, &person.token, method, path, headers, body).await;
}

async fn hang_up_with(world: &World, token: &str, method: &str, path: &str, headers: &str, body: &str) {
    let address: SocketAddr = world.base.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server has the request and is at work on it for as long as a sync takes; give it a turn to begin.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    stream.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_whose_client_hung_up_still_makes_one_post() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let new = NewPost { text: "once".to_owned(), ..NewPost::default() };
    for round in 0..rounds() {
        let key = format!("key {round}");
        hang_up(&world, &ann, "POST", "/v1/posts", &format!("idempotency-key: {key}\r\n"), r#"{"text":"once"}"#).await;
        // The retry comes at once, as retries do.
        while ann.publish(&new, Some(&key)).await.is_err() {}
    }
    let page = ann.posts_of(ann.id, Paging::first(100)).await.unwrap();
    assert!(page.next_cursor.is_some());
    assert_eq!(ann.me().await.unwrap().posts_count, rounds() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn likes_follows_and_reposts_of_who_hung_up_are_counted_once() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    for _ in 0..rounds() {
        let post = ann.say("hello").await.unwrap();
        hang_up(&world, &bob, "PUT", &format!("/v1/posts/{}/like", post.id), "", "").await;
        bob.like(post.id).await.unwrap();
        let repost = format!(r#"{{"repost_of":"{}"}}"#, post.id);
        hang_up(&world, &bob, "POST", "/v1/posts", "", &repost).await;
        bob.repost(post.id, "").await.unwrap();
        let seen = bob.post(post.id).await.unwrap();
        assert_eq!((seen.like_count, seen.repost_count), (1, 1));
        assert_eq!(bob.likes(post.id, Paging::default()).await.unwrap().items.len(), 1);

        hang_up(&world, &bob, "PUT", &format!("/v1/users/{}/follow", ann.id), "", "").await;
        bob.follow(ann.id).await.unwrap();
        assert_eq!(followers(&bob, ann.id).await, (1, 1));
        hang_up(&world, &bob, "DELETE", &format!("/v1/users/{}/follow", ann.id), "", "").await;
        bob.unfollow(ann.id).await.unwrap();
        assert_eq!(followers(&bob, ann.id).await, (0, 0));
    }
}

async fn followers(viewer: &Person, of: Id) -> (u64, usize) {
    let counted = viewer.user(&of.to_string()).await.unwrap().followers_count;
    (counted, viewer.followers(of, Paging::default()).await.unwrap().items.len())
}

/// A person's first request by JWT is a read, which nothing but its client holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_loses_their_handle_to_a_first_request_that_was_hung_up() {
    const SECRET: &str = "a secret of thirty-two bytes, ok";
    let world = World::with(|settings| settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()))).await;
    let now_s = Clock::system().now_ms() / 1_000;
    for number in 0..rounds() {
        let handle = format!("p{number}");
        let claims = json!({ "sub": format!("x|{number}"), "handle": handle, "iat": now_s, "exp": now_s + 3_600 });
        let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
        for _ in 0..=number % 3 {
            hang_up_with(&world, &token, "GET", "/v1/users/me", "", "").await;
        }
        assert_eq!(world.anyone.with_token(&token).me().await.unwrap().handle, handle);
    }
}
