//! A bot: whoever mentions it is answered.
//!
//! `FANFARE_PASSWORD=… cargo run -p fanfare-client --example bot -- http://127.0.0.1:7070 HANDLE`, with the handle and
//! the password of an account of its own.

use std::error::Error;

use fanfare_client::Client;
use fanfare_client::realtime::{Event, Options, Realtime};
use fanfare_protocol::{NotificationKind, ServerEvent};

/// Logs in and answers until the connection is given up.
pub async fn run(server: &str, handle: &str, password: &str) -> Result<(), Box<dyn Error>> {
    let anyone = Client::new(server);
    let bot = anyone.with_token(&anyone.log_in(handle, password).await?.token);
    let mut realtime = Realtime::connect(&bot, Options::default());
    while let Some(event) = realtime.next().await {
        let Event::Frame(ServerEvent::Notification(told)) = event else { continue };
        let (kind, actor, post) = (told.notification.kind, told.notification.actor, told.notification.post);
        if let (NotificationKind::Mention, Some(post)) = (kind, post) {
            let answered = bot.reply(post.id, &format!("Hello @{}, you said: {}", actor.handle, post.text)).await;
            answered.inspect_err(|refused| eprintln!("no answer to {}: {refused}", post.id)).ok();
        }
    }
    Ok(())
}

#[tokio::main]
#[allow(dead_code, reason = "the test of this file calls `run`")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(server), Some(handle)) = (arguments.next(), arguments.next()) else { return Err("SERVER HANDLE".into()) };
    run(&server, &handle, &std::env::var("FANFARE_PASSWORD")?).await
}
