//! Bounds of abuse: blocked hosts, operators, scanning, so many links and no more.

use std::time::{Duration, Instant};

use fanfare_client::Paging;
use fanfare_protocol::{Code, NewLink, NewSuspension, PatchLink};

use super::{browse, follow, led, made, named};
use crate::world::{World, eventually, problem_of, raw, refused, refused_field};

const URL: &str = "https://example.com/page";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocked_hosts_and_codes_lead_nowhere_as_soon_as_the_file_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("blocked");
    std::fs::write(&file, "evil.example\n").unwrap();
    let world = World::with(|settings| settings.links.blocklist_file = Some(file.clone())).await;
    let ann = world.person("ann").await;
    for url in ["https://evil.example/", "http://a.b.EVIL.example./x"] {
        assert_eq!(refused_field(ann.make_link(&NewLink::to(url), None).await), "url");
    }
    let link = made(&ann, &named("https://later.example/", "first")).await;
    let other = made(&ann, &named(URL, "second")).await;
    let to = PatchLink { url: Some("https://evil.example/".to_owned()), ..PatchLink::default() };
    assert_eq!(refused_field(ann.change_link(&link.code, &to).await), "url");
    assert_eq!(follow(&ann, "first").await.status, 302);
    std::fs::write(&file, "# both\nlater.example\nsecond\nthird\n").unwrap();
    let changed = Instant::now();
    eventually("the file is read again", async || (follow(&ann, "first").await.status == 403).then_some(())).await;
    assert!(changed.elapsed() < Duration::from_secs(20), "it is looked at every second");
    let answer = follow(&ann, "second").await;
    assert_eq!((led(&answer), problem_of(&answer).code), ((403, ""), Code::Forbidden));
    assert!(String::from_utf8_lossy(&browse(&ann, "first").await.body).contains("turned off"));
    assert_eq!(refused_field(ann.make_link(&named(URL, "third"), None).await), "alias");
    assert!(world.operator.admin_link(&other.code).await.unwrap().blocked);
    std::fs::write(&file, "").unwrap();
    eventually("what is not blocked leads on", async || (follow(&ann, "first").await.status == 302).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_and_delete_links_of_everybody_and_the_audit_says_so() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let link = made(&ann, &named(URL, "of-ann")).await;
    assert_eq!(refused(bob.admin_link("of-ann").await), Code::Forbidden);
    assert_eq!(refused(world.operator.admin_link("nothing").await), Code::NotFound);
    let seen = world.operator.admin_link("of-ann").await.unwrap();
    assert_eq!((seen.owner, seen.blocked, seen.link.url, seen.link.visits), (ann.id, false, link.url, 0));
    world.operator.remove_link("of-ann", Some("spam")).await.unwrap();
    assert_eq!(refused(world.operator.remove_link("of-ann", None).await), Code::Gone);
    assert_eq!((follow(&ann, "of-ann").await.status.as_u16(), refused(ann.link("of-ann").await)), (410, Code::Gone));
    let audit = world.operator.audit(Paging::first(5)).await.unwrap().items;
    let line = audit.iter().find(|line| line.action == "link.delete").unwrap();
    assert_eq!((line.target.as_str(), line.reason.as_deref()), ("links/of-ann", Some("spam")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_the_suspended_are_turned_off_until_the_suspension_ends() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    made(&ann, &named(URL, "of-ann")).await;
    assert_eq!(follow(&ann, "of-ann").await.status, 302);
    let suspension = NewSuspension { reason: "spam".to_owned(), until: None };
    world.operator.suspend(&ann.id.to_string(), &suspension).await.unwrap();
    assert_eq!(led(&follow(&ann, "of-ann").await), (403, ""));
    world.operator.unsuspend(&ann.id.to_string(), None).await.unwrap();
    assert_eq!(led(&follow(&ann, "of-ann").await), (302, URL));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_tries_codes_is_slowed_down_and_hits_cost_nothing() {
    let world = World::with(|settings| settings.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let ann = world.person("ann").await;
    made(&ann, &named(URL, "there")).await;
    let asks = async |code: &str, from: &str| {
        let headers = [("x-forwarded-for", from)];
        raw(&world.anyone, "GET", &format!("/s/{code}"), &headers, "").await
    };
    let mut refused = 0;
    for number in 0..100 {
        let answer = asks(&format!("zz-{number}"), "192.0.2.1").await;
        refused += usize::from(answer.status == 429);
        assert!(answer.status == 404 || problem_of(&answer).code == Code::RateLimited);
        assert_eq!(asks("there", "192.0.2.1").await.status, 302, "what is there is found all the same");
    }
    // Each second lets another one through.
    assert!((20..=40).contains(&refused), "{refused} of 100");
    assert_eq!(asks("zz-1", "192.0.2.2").await.status, 404, "others are not slowed down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_more_links_than_they_may_however_fast_they_ask() {
    let world = World::with(|settings| settings.links.per_user_max = 5).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let tries = futures_util::future::join_all((0..20).map(|_| ann.shorten(URL))).await;
    let made_now = tries.iter().filter(|answer| answer.is_ok()).count();
    assert!((1..=5).contains(&made_now), "{made_now}");
    while ann.links(Paging::first(10)).await.unwrap().items.len() < 5 {
        ann.shorten(URL).await.unwrap();
    }
    assert_eq!(refused_field(ann.make_link(&NewLink::to(URL), None).await), "url");
    bob.shorten(URL).await.unwrap();
    let first = ann.links(Paging::first(1)).await.unwrap().items.remove(0);
    ann.delete_link(&first.code).await.unwrap();
    ann.shorten(URL).await.unwrap();
    assert_eq!(refused_field(ann.make_link(&NewLink::to(URL), None).await), "url");
}
