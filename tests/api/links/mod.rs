//! Short links, as their owners and whoever follows them meet them.

mod abuse;
mod codes;
mod door;
mod guarded;
mod kills;
mod life;
mod targets;

use fanfare_client::{Answer, Client};
use fanfare_protocol::{Link, NewLink};

use crate::world::{Person, raw};

/// Answer to a program that follows a code.
pub async fn follow(client: &Client, code: &str) -> Answer {
    raw(&client.anonymous(), "GET", &format!("/s/{code}"), &[], "").await
}

/// Answer to a browser that follows a code.
pub async fn browse(client: &Client, code: &str) -> Answer {
    let accept = [("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")];
    raw(&client.anonymous(), "GET", &format!("/s/{code}"), &accept, "").await
}

/// Status and target of an answer; no target is empty.
pub fn led(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), answer.header("location"))
}

/// A link with an alias.
pub fn named(url: &str, alias: &str) -> NewLink {
    NewLink { alias: Some(alias.to_owned()), ..NewLink::to(url) }
}

/// Makes a link.
pub async fn made(person: &Person, new: &NewLink) -> Link {
    person.make_link(new, None).await.unwrap().link
}
