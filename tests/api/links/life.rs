//! The life of a link: made, followed, listed, changed, expired, deleted.

use fanfare::base::clock::Clock;
use fanfare_client::Paging;
use fanfare_protocol::{Code, NewLink, PatchLink, RedirectKind, Timestamp};

use super::{browse, follow, led, made, named};
use crate::deletion::clean;
use crate::world::{World, all_pages, problem_of, raw, refused, refused_field};

const URL: &str = "https://example.com/a/long/page";
const OTHER: &str = "https://example.org/other";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leads_on_until_it_is_deleted_and_then_nowhere_for_ever() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    let link = ann.shorten("HTTPS://Example.com/a/long/page").await.unwrap();
    assert_eq!((link.url.as_str(), link.code.len(), link.visits), (URL, 5, 0));
    assert_eq!((link.redirect, link.has_password, link.max_visits), (RedirectKind::Found, false, None));
    let years = (link.expires_at.unwrap().0 - link.created_at.0) as f64 / 31_557_600_000.0;
    assert!((4.9..5.1).contains(&years), "five years: {years}");

    let answer = follow(&ann, &link.code).await;
    assert_eq!((led(&answer), &answer.body[..]), ((302, URL), &b""[..]));
    assert_eq!(answer.header("cache-control"), "private, no-store");
    assert_eq!(answer.header("referrer-policy"), "", "the target sees where visitors come from");
    let head = raw(&world.anyone, "HEAD", &format!("/s/{}", link.code), &[], "").await;
    assert_eq!(led(&head), (302, URL));

    assert_eq!(ann.link(&link.code).await.unwrap(), link);
    assert_eq!(refused(bob.link(&link.code).await), Code::NotFound);
    assert_eq!(refused(bob.change_link(&link.code, &PatchLink::default()).await), Code::NotFound);
    assert_eq!(refused(bob.delete_link(&link.code).await), Code::NotFound);
    assert_eq!(refused(world.anyone.link(&link.code).await), Code::Unauthenticated);

    let to = PatchLink { url: Some(OTHER.to_owned()), ..PatchLink::default() };
    let changed = ann.change_link(&link.code, &to).await.unwrap();
    assert_eq!((changed.url.as_str(), changed.created_at), (OTHER, link.created_at));
    assert_eq!(led(&follow(&ann, &link.code).await), (302, OTHER));
    world.restart(&mut [&mut ann]).await;
    assert_eq!(led(&follow(&ann, &link.code).await), (302, OTHER));

    ann.delete_link(&link.code).await.unwrap();
    for _ in 0..2 {
        let gone = follow(&ann, &link.code).await;
        assert_eq!((led(&gone), problem_of(&gone).code), ((410, ""), Code::Gone));
        assert_eq!(refused(ann.link(&link.code).await), Code::Gone);
        assert_eq!(refused(ann.delete_link(&link.code).await), Code::Gone);
        assert_eq!(refused(ann.make_link(&named(URL, &link.code), None).await), Code::Conflict, "never again");
        assert!(ann.links(Paging::first(10)).await.unwrap().items.is_empty());
        world.restart(&mut [&mut ann]).await;
    }
    let unknown = follow(&ann, "nothing-here").await;
    assert_eq!((led(&unknown), problem_of(&unknown).code), ((404, ""), Code::NotFound));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_listed_newest_first_in_pages_and_as_csv() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut codes = Vec::new();
    for number in 0..13 {
        codes.push(ann.shorten(&format!("{URL}?n={number}")).await.unwrap().code);
    }
    made(&bob, &named(URL, "of-bob")).await;
    ann.delete_link(&codes.remove(4)).await.unwrap();
    made(&ann, &named("https://example.com/?q=a,b", "-dash")).await;
    codes.push("-dash".to_owned());
    codes.reverse();
    let read = async |cursor: Option<String>| ann.links(Paging::at(4, cursor.as_deref())).await;
    let listed: Vec<String> = all_pages(read, 4).await.into_iter().map(|link| link.code).collect();
    assert_eq!(listed, codes);
    let foreign = ann.links(Paging::first(4)).await.unwrap().next_cursor;
    assert_eq!(refused(bob.links(Paging::at(4, foreign.as_deref())).await), Code::BadRequest);

    let csv = ann.links_csv().await.unwrap();
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines[0], "code,short_url,url,redirect,created_at,expires_at,max_visits,has_password,visits");
    assert_eq!((lines.len(), *lines.last().unwrap()), (1 + 13 + 1, ""));
    assert!(lines[1].starts_with("'-dash,/s/-dash,\"https://example.com/?q=a,b\",302,"), "{}", lines[1]);
    assert!(lines[1].ends_with(",,false,0"), "{}", lines[1]);
    let answer = raw(&ann, "GET", "/v1/links.csv", &[], "").await;
    assert_eq!(answer.header("content-type"), "text/csv; charset=utf-8");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_is_made_once_with_a_key() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let first = ann.make_link(&NewLink::to(URL), Some("k")).await.unwrap();
    let again = ann.make_link(&NewLink::to(URL), Some("k")).await.unwrap();
    assert_eq!((first.replayed, again.replayed, &again.link), (false, true, &first.link));
    assert_eq!(refused_field(ann.make_link(&NewLink::to(OTHER), Some("k")).await), "Idempotency-Key");
    // However it is changed meanwhile, the answer is the first one.
    for patch in [
        PatchLink {
            url: Some(OTHER.to_owned()),
            password: Some(Some("open sesame".to_owned())),
            ..PatchLink::default()
        },
        PatchLink { max_visits: Some(Some(5)), expires_at: Some(None), ..PatchLink::default() },
        PatchLink { password: Some(None), max_visits: Some(None), ..PatchLink::default() },
        PatchLink { redirect: Some(RedirectKind::Permanent), ..PatchLink::default() },
    ] {
        let changed = ann.change_link(&first.link.code, &patch).await.unwrap();
        assert_ne!(changed, first.link);
        let again = ann.make_link(&NewLink::to(URL), Some("k")).await.unwrap();
        assert_eq!((again.replayed, again.link), (true, first.link.clone()), "{patch:?}");
    }
    assert_eq!(ann.links(Paging::first(10)).await.unwrap().items.len(), 1);
    ann.delete_link(&first.link.code).await.unwrap();
    assert_eq!(refused(ann.make_link(&NewLink::to(URL), Some("k")).await), Code::Gone);
    let answer =
        raw(&ann, "POST", "/v1/links", &[("content-type", "application/json")], &format!("{{\"url\":\"{URL}\"}}"))
            .await;
    let link: fanfare_protocol::Link = answer.json().unwrap();
    assert_eq!((answer.status.as_u16(), answer.header("location")), (201, format!("/v1/links/{}", link.code).as_str()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_ends_at_its_moment_and_never_where_it_says_so() {
    const NOW_MS: u64 = 1_900_000_000_000;
    let clock = Clock::stand_in(NOW_MS);
    let world = World::at(clock.clone(), |settings| settings.links.expiry_days = 2).await;
    let ann = world.person("ann").await;
    let until = |ms| NewLink { expires_at: Some(ms), ..NewLink::to(URL) };
    let own = made(&ann, &until(Some(Timestamp(NOW_MS + 60_000)))).await;
    let default = made(&ann, &NewLink::to(URL)).await;
    let never = made(&ann, &until(None)).await;
    assert_eq!((default.expires_at.unwrap().0, never.expires_at), (NOW_MS + 2 * 86_400_000, None));
    clock.pass(59_999);
    assert_eq!(led(&follow(&ann, &own.code).await), (302, URL));
    clock.pass(1);
    assert_eq!(led(&follow(&ann, &own.code).await), (410, ""), "by the clock, though it is in memory");
    assert_eq!(led(&follow(&ann, &default.code).await), (302, URL));
    clock.pass(2 * 86_400_000);
    assert_eq!(led(&follow(&ann, &default.code).await), (410, ""));
    assert_eq!(led(&follow(&ann, &never.code).await), (302, URL));
    // It is its owner's still, with its numbers, and can be taken up again.
    let forever = PatchLink { expires_at: Some(None), ..PatchLink::default() };
    assert_eq!(ann.change_link(&own.code, &forever).await.unwrap().expires_at, None);
    assert_eq!(led(&follow(&ann, &own.code).await), (302, URL));

    let past = until(Some(Timestamp(NOW_MS)));
    let beyond = until(Some(Timestamp(3_471_292_800_000)));
    for bad in [past, beyond] {
        assert_eq!(refused_field(ann.make_link(&bad, None).await), "expires_at");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permanent_redirect_goes_with_nothing_that_ends() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let permanent = NewLink { redirect: Some(RedirectKind::Permanent), ..NewLink::to(URL) };
    let link = made(&ann, &permanent).await;
    let answer = follow(&ann, &link.code).await;
    assert_eq!((led(&answer), answer.header("cache-control")), ((301, URL), "private, max-age=3600"));
    let end = Timestamp(link.created_at.0 + 60_000);
    for forbidden in [
        NewLink { password: Some("open sesame".to_owned()), ..permanent.clone() },
        NewLink { max_visits: Some(3), ..permanent.clone() },
        NewLink { expires_at: Some(Some(end)), ..permanent.clone() },
    ] {
        assert_eq!(refused_field(ann.make_link(&forbidden, None).await), "redirect");
    }
    for forbidden in [
        PatchLink { password: Some(Some("open sesame".to_owned())), ..PatchLink::default() },
        PatchLink { max_visits: Some(Some(3)), ..PatchLink::default() },
        PatchLink { expires_at: Some(Some(end)), ..PatchLink::default() },
    ] {
        assert_eq!(refused_field(ann.change_link(&link.code, &forbidden).await), "redirect");
    }
    let never = PatchLink { expires_at: Some(None), ..PatchLink::default() };
    assert_eq!(ann.change_link(&link.code, &never).await.unwrap().expires_at, None, "for ever is for ever");
    let both = PatchLink { redirect: Some(RedirectKind::Found), max_visits: Some(Some(3)), ..PatchLink::default() };
    assert_eq!(ann.change_link(&link.code, &both).await.unwrap().max_visits, Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_a_deleted_account_are_gone_at_once_and_for_ever() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut codes = Vec::new();
    for number in 0..5 {
        codes.push(ann.shorten(&format!("{URL}?n={number}")).await.unwrap().code);
    }
    let limited = made(&ann, &NewLink { max_visits: Some(5), ..NewLink::to(URL) }).await;
    assert_eq!(follow(&ann, &limited.code).await.status, 302);
    assert_eq!(follow(&ann, &codes[0]).await.status, 302, "it is in memory");
    ann.delete_account().await.unwrap();
    let all_gone = async || {
        for code in codes.iter().chain([&limited.code]) {
            assert_eq!(led(&follow(&bob, code).await), (410, ""), "{code}");
        }
    };
    all_gone().await;
    clean(&world).await;
    all_gone().await;
    assert_eq!(refused(bob.make_link(&named(URL, &codes[0]), None).await), Code::Conflict);
    let store = &world.app().core().store;
    let rows = |table, partition: &'static [u8]| async move {
        let (range, order) = (fanfare_engines::KeyRange::ALL, fanfare_engines::Order::Ascending);
        store.scan(table, partition, range, order, 10).await.unwrap().len()
    };
    let code: &'static [u8] = limited.code.clone().leak().as_bytes();
    assert_eq!(rows(fanfare::data::tables::LINK_SLOTS, code).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_go_nowhere_get_a_page_in_their_language() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let gone = ann.shorten(URL).await.unwrap().code;
    ann.delete_link(&gone).await.unwrap();
    for (code, status, title) in [("nothing-here", 404, "No such link"), (&gone, 410, "This link is over")] {
        let page = browse(&ann, code).await;
        let text = String::from_utf8(page.body.to_vec()).unwrap();
        assert_eq!((page.status.as_u16(), page.header("content-type")), (status, "text/html; charset=utf-8"));
        assert!(text.len() <= 2_048 && text.contains(title) && text.contains("noindex"), "{text}");
        assert_eq!((page.header("x-robots-tag"), page.header("content-language")), ("noindex", "en"));
    }
    let chinese = [("accept", "text/html"), ("accept-language", "zh-CN,zh;q=0.9")];
    let page = raw(&world.anyone, "GET", "/s/nothing-here", &chinese, "").await;
    assert!(String::from_utf8_lossy(&page.body).contains("链接不存在"), "{page:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_host_has_links_and_nothing_else() {
    let world = World::with(|settings| {
        settings.links.short_url = Some("https://s.example".parse().unwrap());
        settings.links.home_url = Some("https://example.org/about".parse().unwrap());
        settings.http.public_url = Some("https://social.example".parse().unwrap());
    })
    .await;
    let ann = world.person("ann").await;
    let link = made(&ann, &named(URL, "healthy")).await;
    assert_eq!(link.short_url, "https://s.example/healthy");
    let at = async |host: &str, path: &str| raw(&world.anyone, "GET", path, &[("host", host)], "").await;
    for host in ["s.example", "S.EXAMPLE", "s.example:8443", "s.example."] {
        assert_eq!(led(&at(host, "/healthy").await), (302, URL), "{host}");
    }
    assert_eq!(led(&at("s.example", "/").await), (302, "https://example.org/about"));
    assert!(String::from_utf8_lossy(&at("s.example", "/robots.txt").await.body).contains("User-agent: *"));
    for path in ["/healthz", "/v1/links", "/metrics", "/docs", "/s/healthy", "/v1/posts?scope=public"] {
        assert_eq!(at("s.example", path).await.status, 404, "{path}");
    }
    assert_eq!(led(&at("social.example", "/s/healthy").await), (302, URL), "and the other host has them too");
    assert_eq!(at("social.example", "/healthz").await.status, 200);
    let qr = ann.link_qr("healthy").await.unwrap();
    assert!(qr.contains("<svg") && qr.len() > 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_are_full_while_links_are_deleted() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let mut codes = Vec::new();
    for number in 0..60 {
        let link = NewLink { alias: Some(format!("a{number}")), ..NewLink::to("https://example.com/") };
        codes.push(made(&ann, &link).await.code);
    }
    let (deleted, kept): (Vec<String>, Vec<String>) = codes.into_iter().partition(|code| !code.ends_with('7'));
    let deletes = async {
        for code in &deleted {
            ann.delete_link(code).await.unwrap();
        }
    };
    let reads = async {
        for _ in 0..20 {
            let (mut cursor, mut found) = (None, Vec::new());
            loop {
                let page = ann.links(Paging::at(5, cursor.as_deref())).await.unwrap();
                assert!(page.items.len() == 5 || page.next_cursor.is_none(), "{} of 5", page.items.len());
                found.extend(page.items.into_iter().map(|link| link.code));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert!(kept.iter().all(|code| found.contains(code)), "{found:?}");
        }
    };
    tokio::join!(deletes, reads);
}
