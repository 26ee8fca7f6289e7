//! `kill -9` and ends while links are made and followed: what was answered is there, once.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_client::{Client, ClientError, Paging, StatsQuery};
use fanfare_protocol::{NewLink, NewUser};
use hyper::Method;
use parking_lot::Mutex;

use super::{follow, led, named};
use crate::process::Process;
use crate::world::{PASSWORD, all_pages, eventually};

const ROUNDS: usize = 4;
const MAKERS: usize = 16;
/// Links that are answered for before the kill.
const MADE_MIN: usize = 60;
const VISITORS: usize = 16;
/// Visits that are answered before the server is told to end.
const VISITS_MIN: u64 = 300;

/// Links as their maker was told.
#[derive(Default)]
struct Told {
    /// Code → target, of what was answered.
    made: BTreeMap<String, String>,
    /// Targets whose last request was not answered, with what was asked for.
    open: BTreeMap<String, NewLink>,
}

async fn registered(server: &Process) -> String {
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    server.anyone.register(&new).await.unwrap().token
}

/// Makes the link that is asked for, under its target as key; false when nobody answered.
async fn make(client: &Client, new: NewLink, told: &Mutex<Told>) -> bool {
    let url = new.url.clone();
    told.lock().open.insert(url.clone(), new.clone());
    match client.make_link(&new, Some(&url)).await {
        Ok(made) => {
            let mut told = told.lock();
            told.open.remove(&url);
            let before = told.made.insert(made.link.code.clone(), url);
            assert!(before.is_none(), "{} was given for {before:?} before", made.link.code);
            true
        }
        Err(ClientError::Transport(_)) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Some with an alias: a kill between its claim and its record must not keep it from who asks again.
fn wanted(round: usize, maker: usize, number: usize) -> NewLink {
    let url = format!("https://example.com/{round}/{maker}/{number}");
    if number % 4 == 0 { named(&url, &format!("a-{round}-{maker}-{number}")) } else { NewLink::to(&url) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_code_is_given_twice_and_no_link_is_lost_through_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::serve(folder.path(), &[]).await;
    let token = registered(&server).await;
    let told: Arc<Mutex<Told>> = Arc::default();
    for round in 0..ROUNDS {
        let makers: Vec<_> = (0..MAKERS)
            .map(|maker| {
                let (client, told) = (server.anyone.with_token(&token), Arc::clone(&told));
                tokio::spawn(async move {
                    let mut number = 0;
                    while make(&client, wanted(round, maker, number), &told).await {
                        number += 1;
                    }
                })
            })
            .collect();
        let enough = told.lock().made.len() + MADE_MIN;
        eventually("links are made", async || (told.lock().made.len() >= enough).then_some(())).await;
        server.kill();
        for maker in makers {
            maker.await.unwrap();
        }
        server = Process::serve(folder.path(), &[]).await;
        let owner = server.anyone.with_token(&token);
        // Whoever got no answer asks again, and has one link in the end.
        let open: Vec<NewLink> = told.lock().open.values().cloned().collect();
        for new in open {
            assert!(make(&owner, new, &told).await, "the server that began anew answers");
        }
    }
    let owner = server.anyone.with_token(&token);
    let listed = all_pages(async |cursor| owner.links(Paging::at(100, cursor.as_deref())).await, 100).await;
    let stored: BTreeMap<String, String> = listed.iter().map(|link| (link.code.clone(), link.url.clone())).collect();
    assert_eq!((&stored, stored.len()), (&told.lock().made, listed.len()), "all that was answered, and each once");
    let targets: BTreeSet<&String> = stored.values().collect();
    assert_eq!(targets.len(), stored.len(), "one link for each that was asked for, however often");
    for (code, url) in &stored {
        assert_eq!(led(&follow(&owner, code).await), (302, url.as_str()), "{code}");
        assert!(!url.ends_with("/0") || code.starts_with("a-"), "{code} for {url}");
    }
}

/// Visitors who come until the server is gone; how many were answered.
async fn visits_until_the_end(server: &mut Process, code: &str) -> u64 {
    let answered: Arc<Mutex<u64>> = Arc::default();
    let visitors: Vec<_> = (0..VISITORS)
        .map(|_| {
            let (client, path, answered) = (server.anyone.clone(), format!("/s/{code}"), Arc::clone(&answered));
            tokio::spawn(async move {
                loop {
                    match client.send(Method::GET, &path, &[], Bytes::new()).await {
                        Ok(answer) if answer.status == 302 => *answered.lock() += 1,
                        Ok(answer) => panic!("{} while it ends", answer.status),
                        Err(_) => return,
                    }
                }
            })
        })
        .collect();
    eventually("visitors are answered", async || (*answered.lock() >= VISITS_MIN).then_some(())).await;
    server.tell_to_end();
    for visitor in visitors {
        visitor.await.unwrap();
    }
    assert_eq!(server.ended().await, Some(0));
    let answered = *answered.lock();
    answered
}

/// By the door and through the router alike: each visit is answered as ever or not at all, and what was answered is
/// counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_answers_and_counts_what_it_took_by_the_door_and_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let doors = [("FANFARE__LINKS__DOOR", "true")];
    let routed = [("FANFARE__LINKS__DOOR", "false")];
    let mut server = Process::serve_telling(folder.path(), &doors, Stdio::null()).await;
    let token = registered(&server).await;
    let new = NewLink::to("https://example.com/");
    let code = server.anyone.with_token(&token).make_link(&new, None).await.unwrap().link.code;
    let mut answered = 0;
    for settings in [&routed, &doors, &routed] {
        answered += visits_until_the_end(&mut server, &code).await;
        server = Process::serve_telling(folder.path(), settings, Stdio::null()).await;
        let owner = server.anyone.with_token(&token);
        let total = eventually("what was answered is counted", async || {
            let total = owner.link_stats(&code, StatsQuery::days()).await.unwrap().total;
            (total >= answered).then_some(total)
        })
        .await;
        assert_eq!(total, answered);
    }
}
