//! Links that ask for a password, or have only so many visits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare_client::Answer;
use fanfare_protocol::{Code, NewLink, PatchLink};
use tokio::task::JoinSet;

use super::{browse, follow, led, made};
use crate::world::{World, eventually, problem_of, raw, refused_field};

const URL: &str = "https://example.com/secret/page";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn sends(world: &World, code: &str, password: &str, from: &str) -> Answer {
    let headers = [FORM, ("x-forwarded-for", from)];
    raw(&world.anyone, "POST", &format!("/s/{code}"), &headers, &format!("password={password}")).await
}

/// A world whose tests are a proxy, so that visitors can come from anywhere.
async fn proxied() -> World {
    World::with(|settings| settings.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_lets_in_and_nothing_else_does() {
    let world = proxied().await;
    let ann = world.person("ann").await;
    let link = made(&ann, &NewLink { password: Some("open sesame".to_owned()), ..NewLink::to(URL) }).await;
    assert!(link.has_password);
    let program = follow(&ann, &link.code).await;
    assert_eq!((led(&program), problem_of(&program).code), ((401, ""), Code::Unauthenticated));
    let page = browse(&ann, &link.code).await;
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(page.status == 200 && text.contains("<form method=\"post\">"), "{text}");
    assert!(!format!("{page:?}").contains("example.com"), "the target is nowhere in it");

    let wrong = sends(&world, &link.code, "open", "192.0.2.1").await;
    assert_eq!((led(&wrong), problem_of(&wrong).code), ((403, ""), Code::Forbidden));
    let right = sends(&world, &link.code, "open+sesame", "192.0.2.1").await;
    assert_eq!((led(&right), right.header("cache-control")), ((303, URL), "private, no-store"));
    assert_eq!(right.header("referrer-policy"), "no-referrer");

    for attempt in 0..6 {
        let answer = sends(&world, &link.code, "guess", "192.0.2.2").await;
        assert_eq!(answer.status, if attempt < 5 { 403 } else { 429 }, "{attempt}");
    }
    assert_eq!(sends(&world, &link.code, "open+sesame", "192.0.2.2").await.status, 429, "also the right one");
    assert_eq!(led(&sends(&world, &link.code, "open+sesame", "192.0.2.3").await), (303, URL), "others are let in");
    let other = made(&ann, &NewLink { password: Some("x".to_owned()), ..NewLink::to(URL) }).await;
    assert_eq!(sends(&world, &other.code, "x", "192.0.2.2").await.status, 303, "and so are they at other links");

    let none = PatchLink { password: Some(None), ..PatchLink::default() };
    assert!(!ann.change_link(&link.code, &none).await.unwrap().has_password);
    assert_eq!(led(&follow(&ann, &link.code).await), (302, URL));
    for bad in [String::new(), "x".repeat(129), "a\tb".to_owned()] {
        let new = NewLink { password: Some(bad), ..NewLink::to(URL) };
        assert_eq!(refused_field(ann.make_link(&new, None).await), "password");
    }
    let odd = raw(&world.anyone, "POST", &format!("/s/{}", other.code), &[FORM], "pass=x").await;
    assert_eq!((odd.status.as_u16(), problem_of(&odd).errors[0].field.as_str()), (422, "pass"));
    let json = raw(&world.anyone, "POST", &format!("/s/{}", other.code), &[("content-type", "text/plain")], "x").await;
    assert_eq!(json.status, 415);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_of_visits_is_given_out_exactly_whoever_asks_at_once() {
    let mut world = World::new().await;
    let mut ann = world.person("ann").await;
    let limited = |max| NewLink { max_visits: Some(max), ..NewLink::to(URL) };
    let link = made(&ann, &limited(100)).await;
    let rush = async |world: &World, code: &str| {
        let (client, code) = (world.anyone.clone(), Arc::new(format!("/s/{code}")));
        let mut askers = JoinSet::new();
        for _ in 0..64 {
            let (client, path) = (client.clone(), Arc::clone(&code));
            askers.spawn(async move {
                let mut on = 0;
                for _ in 0..4 {
                    let answer = raw(&client, "GET", &path, &[], "").await;
                    assert!(matches!(led(&answer), (302, URL) | (410, "")), "{answer:?}");
                    on += usize::from(answer.status == 302);
                }
                on
            });
        }
        askers.join_all().await.into_iter().sum::<usize>()
    };
    assert_eq!(rush(&world, &link.code).await, 100);
    let over = browse(&ann, &link.code).await;
    assert!(over.status == 410 && String::from_utf8_lossy(&over.body).contains("This link is over"));

    let second = made(&ann, &limited(300)).await;
    let before = rush(&world, &second.code).await;
    assert_eq!(before, 256);
    world.restart(&mut [&mut ann]).await;
    assert_eq!(before + rush(&world, &second.code).await, 300, "what was given out before the restart counts");

    // A limit below what is used is the end, and a higher one goes on.
    let more = |max| PatchLink { max_visits: Some(Some(max)), ..PatchLink::default() };
    ann.change_link(&second.code, &more(10)).await.unwrap();
    assert_eq!(follow(&ann, &second.code).await.status, 410);
    ann.change_link(&second.code, &more(301)).await.unwrap();
    assert_eq!(led(&follow(&ann, &second.code).await), (302, URL));
    assert_eq!(follow(&ann, &second.code).await.status, 410);
    let none = PatchLink { max_visits: Some(None), ..PatchLink::default() };
    ann.change_link(&second.code, &none).await.unwrap();
    for _ in 0..3 {
        assert_eq!(led(&follow(&ann, &second.code).await), (302, URL));
    }
    // What it had while it was open counts too, also what it had just now.
    for (max, statuses) in [(304, [410, 410]), (305, [302, 410])] {
        ann.change_link(&second.code, &more(max)).await.unwrap();
        for status in statuses {
            assert_eq!(follow(&ann, &second.code).await.status, status, "{max}");
        }
    }
    for bad in [0, 100_001] {
        assert_eq!(refused_field(ann.make_link(&limited(bad), None).await), "max_visits");
        assert_eq!(refused_field(ann.change_link(&link.code, &more(bad)).await), "max_visits");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_that_is_set_while_visitors_come_counts_all_of_them() {
    const MAX: usize = 200;
    let world = World::new().await;
    let ann = world.person("ann").await;
    for password in [None, Some("open sesame")] {
        let link = made(&ann, &NewLink { password: password.map(str::to_owned), ..NewLink::to(URL) }).await;
        let visits = Arc::new(AtomicUsize::new(0));
        let mut visitors = JoinSet::new();
        for _ in 0..8 {
            let (client, path, visits) = (world.anyone.clone(), format!("/s/{}", link.code), Arc::clone(&visits));
            visitors.spawn(async move {
                loop {
                    let answer = match password {
                        None => raw(&client, "GET", &path, &[], "").await,
                        Some(_) => raw(&client, "POST", &path, &[FORM], "password=open+sesame").await,
                    };
                    match answer.status.as_u16() {
                        302 | 303 => visits.fetch_add(1, Ordering::SeqCst),
                        410 => return,
                        _ => panic!("{answer:?}"),
                    };
                }
            });
        }
        eventually("some came", async || (visits.load(Ordering::SeqCst) >= 20).then_some(())).await;
        let limit = PatchLink { max_visits: Some(Some(MAX as u32)), ..PatchLink::default() };
        ann.change_link(&link.code, &limit).await.unwrap();
        let before = visits.load(Ordering::SeqCst);
        visitors.join_all().await;
        // Had they been too many when it was set, it would say nothing.
        assert!(before <= MAX, "{before} before the limit");
        assert_eq!(visits.load(Ordering::SeqCst), MAX, "with {before} before");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_looks_uses_nothing_up_and_sees_no_target() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let few = made(&ann, &NewLink { max_visits: Some(1), ..NewLink::to(URL) }).await;
    let secret = made(&ann, &NewLink { password: Some("open sesame".to_owned()), ..NewLink::to(URL) }).await;
    let plain = made(&ann, &NewLink::to(URL)).await;
    let robot = ("user-agent", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)");
    let ahead = ("sec-purpose", "prefetch");
    for link in [&few, &secret] {
        for (method, header) in [("GET", robot), ("GET", ahead), ("HEAD", robot), ("HEAD", ("accept", "*/*"))] {
            let looked = raw(&world.anyone, method, &format!("/s/{}", link.code), &[header], "").await;
            assert_eq!(looked.status, 200, "{method} {header:?}");
            assert!(!format!("{looked:?}").contains("example.com"), "{looked:?}");
        }
    }
    let shown = raw(&world.anyone, "GET", &format!("/s/{}", plain.code), &[robot], "").await;
    assert_eq!(led(&shown), (302, URL), "an open link may be shown");
    assert_eq!(led(&follow(&ann, &few.code).await), (302, URL), "the visit is still there");
    let looked = raw(&world.anyone, "GET", &format!("/s/{}", few.code), &[robot], "").await;
    assert_eq!(looked.status, 200);
    assert_eq!(follow(&ann, &few.code).await.status, 410);
}
