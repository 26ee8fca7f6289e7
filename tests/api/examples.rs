//! The examples do what they say. What runs here is their own code.

use fanfare_client::{Client, Paging};
use fanfare_protocol::PostOrGone;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::world::{PASSWORD, World, eventually, raw};

#[path = "../../crates/client/examples/bot.rs"]
mod bot;
#[path = "../../examples/embedded.rs"]
mod embedded;

#[tokio::test]
async fn the_bot_answers_who_mentions_it() {
    let world = World::new().await;
    let [ann, echo] = world.people(["ann", "echo"]).await;
    let base = world.base.clone();
    let bot = tokio::spawn(async move { bot::run(&base, "echo", PASSWORD).await.map_err(|error| error.to_string()) });
    // Only what comes while it listens reaches it: somebody hears of it when it does.
    eventually("the bot listens", async || {
        let sessions = format!("/v1/admin/realtime/sessions?user_id={}", echo.id);
        let page: Value = raw(&world.operator, "GET", &sessions, &[], "").await.json().unwrap();
        (!page["items"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let asked = ann.say("Good morning @echo").await.unwrap();
    let answer = eventually("the bot answers", async || {
        let replies = ann.replies(asked.id, Paging::first(10)).await.unwrap();
        replies.items.into_iter().find_map(|reply| if let PostOrGone::Post(post) = reply { Some(post) } else { None })
    })
    .await;
    assert_eq!(answer.text, "Hello @ann, you said: Good morning @echo");
    bot.abort();
}

#[tokio::test]
async fn a_program_holds_a_server_writes_into_it_and_finds_it_again() {
    let folder = tempfile::tempdir().unwrap();
    for posts in 1..=2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr().unwrap()));
        let (stop, stopped) = oneshot::channel::<()>();
        let path = folder.path().to_owned();
        let program = tokio::spawn(async move { embedded::run(&path, listener, async { drop(stopped.await) }).await });
        eventually("the server is ready", async || client.readyz().await.ok()).await;
        let said = client.public_posts(Paging::first(10)).await.unwrap().items;
        assert_eq!(said.len(), posts);
        assert!(said.iter().all(|post| post.author.handle == "noticeboard"));
        assert_eq!(client.download("/program").await.unwrap(), "0 timelines");
        drop(stop);
        program.await.unwrap().unwrap();
    }
}
