//! Requests as they are reduced, and a spool without room.

use std::net::IpAddr;

use axum::http::HeaderValue;
use fanfare_protocol::Id;

use super::super::click::Visitor;
use super::super::rollup::DAY_MS;
use super::super::spool::{RealDisk, SpoolSettings};
use super::*;

const NOW_MS: u64 = 20_000 * DAY_MS + 5;
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0";

async fn reducer(honours_gpc: bool) -> Reducer {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let salts = Arc::new(Salts::new(engines.tables, Clock::by_hand(NOW_MS)));
    salts.look().await.unwrap();
    Reducer { agents: Agents::default(), geo: None, salts, honours_gpc }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap()));
    pairs.collect()
}

fn raw<'a>(headers: &'a HeaderMap) -> RawClick<'a> {
    RawClick { code: "aZ3", link: Id(7), at_ms: NOW_MS, client: IpAddr::from([192, 0, 2, 77]), headers }
}

#[tokio::test]
async fn a_request_is_reduced_and_neither_address_nor_user_agent_is_left() {
    let reducer = reducer(true).await;
    let headers = headers(&[
        ("user-agent", FIREFOX),
        ("referer", "https://news.example/story?id=7"),
        ("accept-language", "de-CH,de;q=0.9"),
    ]);
    let click = reducer.reduce(&raw(&headers));
    let names = [&click.referrer, &click.device, &click.browser, &click.os, &click.language].map(Option::as_deref);
    assert_eq!(names, [Some("news.example"), Some("desktop"), Some("Firefox"), Some("Linux"), Some("de")]);
    assert!(!click.is_bot && click.visitor.is_some() && click.country.is_none());
    let mut bytes = Vec::new();
    click.encode(&mut bytes);
    let shown = String::from_utf8_lossy(&bytes);
    assert!(!shown.contains("192") && !shown.contains("Gecko") && !shown.contains("story"));
    assert!(!bytes.windows(4).any(|four| four == [192, 0, 2, 77] || four == [77, 2, 0, 192]));
}

#[tokio::test]
async fn whoever_asks_for_privacy_leaves_code_and_moment_only() {
    let reducer = reducer(true).await;
    for wish in ["sec-gpc", "dnt"] {
        let headers = headers(&[(wish, "1"), ("user-agent", FIREFOX), ("referer", "https://a.example/")]);
        assert_eq!(reducer.reduce(&raw(&headers)), Click::bare("aZ3", Id(7), NOW_MS), "{wish}");
    }
    let headers = headers(&[("sec-gpc", "0"), ("user-agent", FIREFOX)]);
    assert!(reducer.reduce(&raw(&headers)).visitor.is_some());
}

#[tokio::test]
async fn the_wish_may_be_left_unheard_and_prefetching_is_a_bots() {
    let reducer = reducer(false).await;
    let asked = headers(&[("sec-gpc", "1"), ("user-agent", FIREFOX)]);
    let visitor: Option<Visitor> = reducer.reduce(&raw(&asked)).visitor;
    assert!(visitor.is_some());
    let prefetched = headers(&[("sec-purpose", "prefetch;anonymous-client-ip"), ("user-agent", FIREFOX)]);
    let click = reducer.reduce(&raw(&prefetched));
    assert!(click.is_bot && click.device.as_deref() == Some("desktop") && click.visitor.is_none());
    let odd = headers(&[("user-agent", "\u{e9}\u{e8}"), ("referer", "\u{e9}"), ("accept-language", "\u{e9}")]);
    let _ = reducer.reduce(&raw(&odd));
}

#[tokio::test]
async fn a_spool_without_room_says_so_before_visits_are_given_out() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SpoolSettings { segment_bytes: 6_000, ..SpoolSettings::new(folder.path().to_owned(), 1, 6_000) };
    let spool = Arc::new(Spool::open(settings, Box::new(RealDisk), || 1).unwrap());
    let sink = Sink::new(Arc::clone(&spool), reducer(true).await, Clock::by_hand(NOW_MS));
    let headers = headers(&[("user-agent", FIREFOX)]);
    assert!(sink.is_counting() && sink.clicked(&raw(&headers)) == ClickFate::Kept);
    let mut taken = 1;
    while sink.clicked(&raw(&headers)) == ClickFate::Kept {
        taken += 1;
    }
    assert!(!sink.is_counting(), "after {taken} clicks");
}
