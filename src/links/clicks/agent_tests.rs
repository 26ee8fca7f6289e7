//! Agents of people and programs, and the headers beside them.

use std::io::Read as _;

use super::*;

const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

#[test]
fn every_pattern_of_the_list_is_one_here() {
    let bots = Bots::new();
    let patterns = BOTS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    assert!(patterns > 150, "{patterns}");
    assert_eq!(bots.plain.len() + bots.looking.len(), patterns);
    assert!(BOTS.lines().nth(1).is_some_and(|line| line.contains("isbot") && line.contains("public domain")));
}

#[test]
fn people_and_programs_are_told_apart() {
    let agents = Agents::default();
    for (agent, device, browser, os) in [
        (CHROME, "desktop", "Chrome", "Windows 10"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "desktop", "Firefox", "Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
            "mobile",
            "Safari",
            "iPhone",
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 15_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.0 Mobile/15E148 Safari/604.1",
            "tablet",
            "Safari",
            "iPad",
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
            "mobile",
            "Chrome",
            "Android",
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "tablet",
            "Chrome",
            "Android",
        ),
    ] {
        let found = agents.of(Some(agent));
        let names = (found.device, found.browser.as_deref(), found.os.as_deref(), found.is_bot);
        assert_eq!(names, (Some(device), Some(browser), Some(os), false), "{agent}");
    }
    for agent in [
        "curl/8.5.0",
        "Wget/1.21",
        "python-requests/2.32",
        "Go-http-client/1.1",
        "Java/17.0.1",
        "axios/1.7",
        "okhttp/4.12",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Slackbot-LinkExpanding 1.0",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Twitterbot/1.0",
        "-",
        "",
    ] {
        let found = agents.of(Some(agent));
        assert!(found.is_bot && found.device == Some(BOT), "{agent}: {found:?}");
    }
    assert!(agents.of(None).is_bot);
    assert!(Arc::ptr_eq(&agents.of(Some(CHROME)), &agents.of(Some(CHROME))), "looked at once");
    let _ = agents.of(Some(&"ü".repeat(5_000)));
}

#[test]
fn a_referrer_is_reduced_to_its_host() {
    for (referrer, host) in [
        ("https://News.Example/a/b?c=d#e", Some("news.example")),
        ("http://user:pw@shop.example:8080/x", Some("shop.example")),
        ("https://[2001:db8::1]:443/", Some("2001:db8::1")),
        ("android-app://com.example.mail/", Some("com.example.mail")),
        ("https://dot.example.", Some("dot.example")),
        ("https://evil.example\\@good.example/", Some("evil.example")),
        ("about:blank", None),
        ("file:///etc/passwd", None),
        ("https:///path", None),
        ("https://bad host/", None),
        ("https://=cmd|' /C calc'!A0/", None),
        ("-", None),
        ("", None),
    ] {
        assert_eq!(referrer_host(referrer).as_deref(), host, "{referrer}");
    }
    assert_eq!(referrer_host(&format!("https://{}/", "a".repeat(300))).unwrap().len(), 60);
}

#[test]
fn the_language_is_the_one_with_the_highest_weight() {
    for (accepted, expected) in [
        ("en-US,en;q=0.9,de;q=0.8", Some("en")),
        ("fr;q=0.3, zh-CN;q=0.8", Some("zh")),
        ("*", None),
        ("de;q=0", None),
        ("x-klingon, DE", Some("de")),
        ("de;q=banana, fr;q=0.1", Some("fr")),
        ("", None),
    ] {
        assert_eq!(language(accepted).as_deref(), expected, "{accepted}");
    }
    assert!(is_prefetch("prefetch;prerender") && is_prefetch("Preview") && !is_prefetch("navigate"));
}

/// The list finds bots that a program of 2021 misses: of the real log about as many lines are bots as its owner would
/// say.
#[test]
fn the_real_log_is_told_apart() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/access.log.gz");
    let Ok(file) = std::fs::File::open(path) else {
        eprintln!("skipped: there is no {path}");
        return;
    };
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let agents = Agents::default();
    let of_line = |line: &str| line.rsplit('"').nth(1).map(|agent| agents.of(Some(agent)));
    let found: Vec<_> = text.lines().filter_map(of_line).collect();
    let bots = found.iter().filter(|agent| agent.is_bot).count();
    let named = found.iter().filter(|agent| !agent.is_bot && agent.browser.is_some()).count();
    assert!(found.len() > 9_900 && (2_000..6_000).contains(&bots), "{bots} bots of {}", found.len());
    assert!(named * 100 > (found.len() - bots) * 90, "{named} named of {}", found.len() - bots);
}
