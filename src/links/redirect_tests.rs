//! Visits of every kind of link.

use axum::http::StatusCode;
use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;

fn link(change: impl FnOnce(&mut LinkRow)) -> Loaded {
    let mut row = LinkRow { id: Id(1), owner: Id(2), url: "https://example.com/".to_owned(), ..LinkRow::default() };
    change(&mut row);
    let answer = Arc::new(Prepared::new(StatusCode::FOUND, [], true));
    Loaded { row, host: Some("example.com".to_owned()), answer }
}

const VISIT: Visit =
    Visit { at_ms: NOW_MS, owner: Standing::Stands, is_blocked: false, only_looks: false, is_let_in: false };

#[test]
fn a_visit_is_answered_by_the_first_thing_that_stands_in_its_way() {
    let plain = link(|_| {});
    assert_eq!(decide(None, VISIT), Answer::Unknown);
    assert_eq!(decide(Some(&plain), VISIT), Answer::Go);
    assert_eq!(decide(Some(&plain), Visit { only_looks: true, ..VISIT }), Answer::Go);
    assert_eq!(decide(Some(&link(|row| row.deleted = true)), VISIT), Answer::Deleted);
    assert_eq!(decide(Some(&plain), Visit { owner: Standing::Gone, ..VISIT }), Answer::Deleted);
    assert_eq!(decide(Some(&plain), Visit { owner: Standing::Hidden, ..VISIT }), Answer::Blocked);
    assert_eq!(decide(Some(&plain), Visit { is_blocked: true, ..VISIT }), Answer::Blocked);
    assert_eq!(decide(Some(&Loaded { host: None, ..plain }), VISIT), Answer::Blocked);
    let until = |ms| link(move |row| row.expires_ms = Some(ms));
    assert_eq!(decide(Some(&until(NOW_MS + 1)), VISIT), Answer::Go);
    assert_eq!(decide(Some(&until(NOW_MS)), VISIT), Answer::Expired);
    let secret = link(|row| row.password = Some("hash".to_owned()));
    assert_eq!(decide(Some(&secret), VISIT), Answer::Ask);
    assert_eq!(decide(Some(&secret), Visit { is_let_in: true, ..VISIT }), Answer::Go);
    assert_eq!(decide(Some(&secret), Visit { only_looks: true, ..VISIT }), Answer::Veiled);
    let few = link(|row| row.max_visits = Some(1));
    assert_eq!(decide(Some(&few), VISIT), Answer::Claim);
    assert_eq!(decide(Some(&few), Visit { only_looks: true, ..VISIT }), Answer::Veiled);
}

proptest! {
    /// Whatever the link and the visit are, nobody is sent on past a lock.
    #[test]
    fn nobody_is_sent_past_a_lock(
        bits in 0_u32..1 << 8, at in -2_i64..3, expires in prop::option::of(-2_i64..3), standing in 0_usize..3
    ) {
        let bit = |number: u32| bits >> number & 1 == 1;
        let ms = |offset: i64| NOW_MS.saturating_add_signed(offset);
        let mut link = link(|row| {
            row.deleted = bit(0);
            row.password = bit(1).then(|| "hash".to_owned());
            row.max_visits = bit(2).then_some(1);
            row.expires_ms = expires.map(ms);
        });
        if bit(3) {
            link.host = None;
        }
        let owner = [Standing::Stands, Standing::Gone, Standing::Hidden][standing];
        let visit = Visit { at_ms: ms(at), owner, is_blocked: bit(4), only_looks: bit(5), is_let_in: bit(6) };
        let is_open = !bit(0) && !bit(3) && !bit(4) && owner == Standing::Stands
            && expires.is_none_or(|expires| expires > at);
        match decide(Some(&link), visit) {
            Answer::Go => prop_assert!(is_open && !bit(2) && (!bit(1) || (bit(6) && !bit(5)))),
            Answer::Claim => prop_assert!(is_open && bit(2) && !bit(5) && (!bit(1) || bit(6))),
            Answer::Ask | Answer::Veiled => prop_assert!(is_open && (bit(1) || bit(2))),
            _ => prop_assert!(!is_open),
        }
    }
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[test]
fn programs_that_unfurl_links_are_known_by_their_names() {
    for agent in [
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "facebookexternalhit/1.1",
        "Twitterbot/1.0",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "WhatsApp/2.23.20.0",
        "TelegramBot (like TwitterBot)",
        "LinkedInBot/1.0",
        "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1)",
        "http.rb/5.1 (Mastodon/4.2; +https://example.social/) Bot",
    ] {
        assert!(only_looks(&headers(&[("user-agent", agent)])), "{agent}");
    }
    for agent in ["Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0", "curl/8.5.0", ""] {
        assert!(!only_looks(&headers(&[("user-agent", agent)])), "{agent}");
    }
    assert!(only_looks(&headers(&[("sec-purpose", "prefetch;prerender")])));
    assert!(!only_looks(&HeaderMap::new()));
}

#[test]
fn browsers_get_pages_and_programs_problems() {
    for (accept, page) in [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
        ("application/json, text/HTML;q=0.1", true),
        ("*/*", false),
        ("application/json", false),
        ("text/html;q=0", false),
        ("text/htmlx", false),
        ("", false),
    ] {
        assert_eq!(wants_page(&headers(&[("accept", accept)])), page, "{accept}");
    }
    assert!(!wants_page(&HeaderMap::new()));
}
