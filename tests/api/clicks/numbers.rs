//! Numbers of links: what is in them, whose they are, and how they are asked for.

use std::path::Path;

use fanfare::base::clock::Clock;
use fanfare::data::tables;
use fanfare_client::StatsQuery;
use fanfare_protocol::{Bots, Code, Interval, NewLink, StatsName, Timestamp};

use super::{FIREFOX, counted, visit};
use crate::links::{follow, made, named};
use crate::world::{World, eventually, problem_of, raw, refused, refused_field};

const URL: &str = "https://example.com/page";
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn names(list: &[StatsName]) -> Vec<(&str, u64)> {
    list.iter().map(|name| (&*name.name, name.count)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visits_are_counted_by_where_they_come_from_and_programs_apart() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let code = made(&ann, &NewLink::to(URL)).await.code;
    let from = [("referer", "https://news.example/a?b"), ("accept-language", "de-CH,de;q=0.9,en;q=0.5")];
    for _ in 0..3 {
        assert_eq!(visit(&ann, &code, &from).await.status, 302);
    }
    visit(&ann, &code, &[]).await;
    visit(&ann, &code, &[("sec-gpc", "1"), ("referer", "https://secret.example/")]).await;
    visit(&ann, &code, &[("sec-purpose", "prefetch")]).await;
    raw(&ann.anonymous(), "GET", &format!("/s/{code}"), &[("user-agent", "curl/8.5.0")], "").await;
    raw(&ann.anonymous(), "HEAD", &format!("/s/{code}"), &[("user-agent", FIREFOX)], "").await;
    raw(&ann.anonymous(), "GET", "/s/nothing-there", &[("user-agent", FIREFOX)], "").await;
    let stats = counted(&ann, &code, 7).await;
    assert_eq!((stats.bots, stats.series.len()), (2, 1));
    assert_eq!(stats.series.iter().map(|point| point.count).sum::<u64>(), 7);
    assert_eq!(names(&stats.referrers), [("news.example", 3), ("unknown", 4)]);
    assert_eq!(names(&stats.browsers), [("Firefox", 5), ("HTTP Library", 1), ("unknown", 1)]);
    assert_eq!(names(&stats.devices), [("desktop", 5), ("bot", 1), ("unknown", 1)]);
    assert_eq!(names(&stats.languages), [("de", 3), ("unknown", 4)]);
    assert_eq!(names(&stats.countries), [("unknown", 7)]);
    assert_eq!(stats.unique, 2, "a browser and curl; who asks for privacy is nobody");
    let people = ann.link_stats(&code, StatsQuery { bots: Bots::Exclude, ..StatsQuery::days() }).await.unwrap();
    assert_eq!((people.total, people.bots, people.series[0].count, people.unique), (7, 2, 5, 1));
    assert_eq!(people.devices.iter().map(|name| name.count).sum::<u64>(), 5);
    assert_eq!(
        (
            ann.link(&code).await.unwrap().visits,
            ann.links(fanfare_client::Paging::first(5)).await.unwrap().items[0].visits
        ),
        (7, 7)
    );
    let csv = ann.link_stats_csv(&code, StatsQuery::days()).await.unwrap();
    assert!(
        csv.starts_with("kind,name,count\r\ntotal,,7\r\nbots,,2\r\n") && csv.contains("referrer,news.example,3\r\n")
    );
    assert_eq!(refused(bob.link_stats(&code, StatsQuery::days()).await), Code::NotFound);
    assert_eq!(refused(bob.link_stats_csv(&code, StatsQuery::days()).await), Code::NotFound);
    assert_eq!(refused(ann.link_stats("nothing-there", StatsQuery::days()).await), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_stay_through_a_restart_and_go_with_the_link() {
    let mut world = World::new().await;
    let mut ann = world.person("ann").await;
    let link = made(&ann, &named(URL, "kept")).await;
    for _ in 0..5 {
        visit(&ann, "kept", &[]).await;
    }
    let before = counted(&ann, "kept", 5).await;
    world.restart(&mut [&mut ann]).await;
    assert_eq!(ann.link_stats("kept", StatsQuery::days()).await.unwrap().unique, before.unique);
    visit(&ann, "kept", &[]).await;
    let after = counted(&ann, "kept", 6).await;
    assert_eq!((after.unique, ann.link("kept").await.unwrap().visits), (1, 6), "the salt of the day is kept");
    ann.delete_link("kept").await.unwrap();
    assert_eq!(refused(ann.link_stats("kept", StatsQuery::days()).await), Code::Gone);
    let store = &world.app().core().store;
    let made_id = store.get(&tables::link_row("kept")).await.unwrap();
    assert!(made_id.is_some(), "{link:?}: its code is never given out again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_is_none_too_long_or_not_kept_is_refused_with_what_to_ask_for() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let code = made(&ann, &NewLink::to(URL)).await.code;
    let now_ms = Clock::system().now_ms();
    let asked = |from_ms: u64, to_ms: u64, interval: Interval| {
        let query =
            StatsQuery { from: Some(Timestamp(from_ms)), to: Some(Timestamp(to_ms)), interval, ..StatsQuery::days() };
        ann.link_stats(&code, query)
    };
    assert_eq!(refused_field(asked(now_ms, now_ms - 1, Interval::Day).await), "from");
    assert_eq!(refused_field(asked(now_ms - 2 * DAY_MS, now_ms, Interval::Minute).await), "interval");
    assert_eq!(
        refused_field(asked(now_ms - 9 * DAY_MS, now_ms - 9 * DAY_MS + HOUR_MS, Interval::Minute).await),
        "interval"
    );
    assert_eq!(refused_field(asked(now_ms - 95 * DAY_MS, now_ms - 94 * DAY_MS, Interval::Hour).await), "interval");
    let minutes = asked(now_ms / DAY_MS * DAY_MS, now_ms / DAY_MS * DAY_MS + DAY_MS, Interval::Minute).await.unwrap();
    assert_eq!((minutes.series.len(), minutes.total), (1_440, 0), "the empty ones are there");
    for (query, field) in [("interval=week", "interval"), ("from=yesterday", "from"), ("bots=some", "bots")] {
        let answer = raw(&ann, "GET", &format!("/v1/links/{code}/stats?{query}"), &[], "").await;
        assert_eq!(answer.status, 422, "{query}");
        assert_eq!(problem_of(&answer).errors[0].field, field);
    }
}

/// Files below `folder` that hold one of `texts`.
fn holding(folder: &Path, texts: &[&[u8]]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(holding(&entry, texts));
        } else if let Ok(bytes) = std::fs::read(&entry) {
            let has = |text: &&[u8]| bytes.windows(text.len()).any(|window| window == *text);
            found.extend(texts.iter().any(has).then(|| entry.display().to_string()));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_address_and_no_user_agent_is_ever_written() {
    let world = World::with(|settings| settings.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let ann = world.person("ann").await;
    let code = made(&ann, &NewLink::to(URL)).await.code;
    let headers = [("x-forwarded-for", "203.0.113.77"), ("user-agent", "Mozilla/5.0 (Rarebird 77.1) Firefox/131.7")];
    raw(&ann.anonymous(), "GET", &format!("/s/{code}"), &headers, "").await;
    counted(&ann, &code, 1).await;
    let texts: [&[u8]; 2] = [b"203.0.113.77", b"Rarebird"];
    assert_eq!(holding(world.folder(), &texts), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_of_two_days_is_two_and_nobody_keeps_the_salt_between() {
    let start_ms = Clock::system().now_ms() / DAY_MS * DAY_MS + 23 * HOUR_MS + HOUR_MS / 2;
    let clock = Clock::stand_in(start_ms);
    let world = World::at(clock.clone(), |_| ()).await;
    let ann = world.person("ann").await;
    let code = made(&ann, &NewLink::to(URL)).await.code;
    for _ in 0..2 {
        visit(&ann, &code, &[]).await;
    }
    assert_eq!(counted(&ann, &code, 2).await.unique, 1);
    let salt_of = async |day: u64| {
        let row = tables::click_salt_row(day as u32);
        world.app().core().store.get(&row).await.unwrap()
    };
    let today = start_ms / DAY_MS;
    assert!(salt_of(today).await.is_some() && salt_of(today + 1).await.is_some(), "tomorrow's is made in time");
    let salt = salt_of(today).await.unwrap();
    let pads = || std::fs::read_dir(world.folder().join("store/pads")).unwrap().count();
    assert_eq!((pads(), holding(world.folder(), &[&salt])), (2, Vec::new()), "no file holds a salt as it is");
    clock.pass(HOUR_MS);
    visit(&ann, &code, &[]).await;
    assert_eq!(counted(&ann, &code, 3).await.unique, 2);
    world.app().salts().look().await.unwrap();
    assert!(salt_of(today).await.is_none());
    assert_eq!(pads(), 1, "and what told what the files hold of it is gone");
    assert_eq!(counted(&ann, &code, 3).await.unique, 2, "what was counted stays");
    eventually("the old link still leads on", async || (follow(&ann, &code).await.status == 302).then_some(())).await;
}
