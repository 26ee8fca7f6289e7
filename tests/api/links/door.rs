//! The door in front of the router: whatever is asked, it answers as the router would.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use fanfare_client::StatsQuery;
use fanfare_protocol::{LinkStats, NewLink, RedirectKind, StatsName, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{follow, made, named};
use crate::world::{Person, World, eventually, seeds};

const URL: &str = "https://example.com/page";
/// Requests that are sent both ways.
const REQUESTS: u64 = 10_000;
/// Headers whose values differ from request to request.
const OF_THEIR_OWN: [&str; 2] = ["x-request-id", "date"];

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.next().is_multiple_of(count)
    }

    fn of<'a>(&mut self, some: &[&'a str]) -> &'a str {
        some[self.next() as usize % some.len()]
    }
}

/// A connection that is opened again when the server ends it.
struct Line {
    address: String,
    stream: Option<TcpStream>,
}

/// Answer: its status line, its headers without those of their own, sorted, and its body.
type Heard = (String, Vec<String>, Vec<u8>);

impl Line {
    async fn ask(&mut self, request: &str, is_head: bool) -> Heard {
        if self.stream.is_none() {
            self.stream = Some(TcpStream::connect(&self.address).await.unwrap());
        }
        let asked = tokio::time::timeout(Duration::from_secs(20), self.exchange(request, is_head)).await;
        let (heard, goes_on) = asked.unwrap_or_else(|_| panic!("no answer to {request:?}")).unwrap();
        if !goes_on || request.contains("HTTP/1.0") {
            self.stream = None;
        }
        heard
    }

    async fn exchange(&mut self, request: &str, is_head: bool) -> io::Result<(Heard, bool)> {
        let stream = self.stream.as_mut().unwrap();
        stream.write_all(request.as_bytes()).await?;
        let mut read = Vec::new();
        let head_end = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(((String::new(), Vec::new(), read), false));
            }
        };
        let head = String::from_utf8(read[..head_end].to_vec()).unwrap();
        let mut lines = head.lines().filter(|line| !line.is_empty()).map(str::to_owned);
        let status = lines.next().unwrap();
        let name = |line: &String| line.split(':').next().unwrap_or_default().to_lowercase();
        let all: Vec<String> = lines.collect();
        let length = all.iter().find(|line| name(line) == "content-length");
        let length: usize = length.map_or(0, |line| line.split(':').nth(1).unwrap().trim().parse().unwrap());
        let has_body = !is_head && !status.contains(" 204 ") && !status.contains(" 304 ");
        let mut body = read[head_end..].to_vec();
        while has_body && body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                break;
            }
        }
        let closes = all.iter().any(|line| line.eq_ignore_ascii_case("connection: close"));
        let mut headers: Vec<String> =
            all.into_iter().filter(|line| !OF_THEIR_OWN.contains(&name(line).as_str())).collect();
        headers.sort();
        Ok(((status, headers, body), !closes))
    }
}

/// A request to one of `codes`, or near to it; and whether it is a HEAD.
fn request(random: &mut Random, codes: &[&str]) -> (String, bool) {
    let method = random.of(&["GET", "GET", "GET", "GET", "HEAD", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"]);
    // A wrong password for the one with a password counts, and that it does is told elsewhere.
    let code = if method == "POST" { random.of(&["plain", "few", "gone", "nothing"]) } else { random.of(codes) };
    let path = match random.next() % 12 {
        0 => format!("/s/{code}?a=b&c"),
        1 => format!("/s/{code}/"),
        2 => format!("/s/%{:02x}{}", code.as_bytes()[0], &code[1..]),
        3 => format!("//s/{code}"),
        4 => format!("/S/{code}"),
        5 => format!("http://fan.example/s/{code}"),
        _ => format!("/s/{code}"),
    };
    let mut text = format!("{method} {path} HTTP/1.{}\r\n", u8::from(!random.one_in(30)));
    if !random.one_in(40) {
        text.push_str("Host: fan.example\r\n");
    }
    if random.one_in(60) {
        text.push_str("Host: other.example\r\n");
    }
    for (odds, header) in [
        (8, "Origin: https://app.example"),
        (12, "Origin: https://evil.example"),
        (5, "X-Request-Id: mine-1"),
        (20, "X-Request-Id: not sane!"),
        (6, "Accept: text/html"),
        (9, "Accept-Language: zh"),
        (6, "User-Agent: Twitterbot/1.0"),
        (10, "User-Agent: Mozilla/5.0"),
        (15, "Sec-Purpose: prefetch"),
        (15, "DNT: 1"),
        (7, "Referer: https://news.example/today"),
        (9, "Referer: nonsense"),
        (20, "Authorization: Bearer x"),
        (40, "Authorization: Bearer y"),
        (25, "X-Forwarded-For: 192.0.2.7"),
        (30, "Access-Control-Request-Method: GET"),
        (30, "Expect: 100-continue"),
        (40, "Content-Encoding: gzip"),
        (12, "Connection: close"),
        (20, "If-None-Match: \"x\""),
        (20, "Range: bytes=0-1"),
        (50, "Cookie: a=b"),
    ] {
        if random.one_in(odds) {
            text.push_str(header);
            text.push_str("\r\n");
        }
    }
    let body = if random.one_in(25) { "password=x" } else { "" };
    if !body.is_empty() || random.one_in(30) {
        text.push_str(&format!(
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    text.push_str("\r\n");
    if !text.contains("Expect:") {
        text.push_str(body);
    } else if !body.is_empty() {
        text = text.replace("Expect: 100-continue\r\n", "") + body;
    }
    (text, method == "HEAD")
}

async fn heard(world: &World, requests: &[(String, bool)]) -> Vec<Heard> {
    let mut line = Line { address: world.base.trim_start_matches("http://").to_owned(), stream: None };
    let mut all = Vec::with_capacity(requests.len());
    for (at, (request, is_head)) in requests.iter().enumerate() {
        if at % 3 == 0 {
            // A connection is no more on the doorstep once it was asked something unusual.
            line.stream = None;
        }
        all.push(line.ask(request, *is_head).await);
    }
    all
}

/// Numbers of links: those that add up, and visitors.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    /// Clicks by link, list and name; `""` is the total.
    clicks: BTreeMap<(String, &'static str, String), u64>,
    visitors: BTreeMap<String, u64>,
}

impl Counted {
    fn add(&mut self, code: &str, stats: &LinkStats) {
        let mut add = |list, name: &str, count| {
            self.clicks.insert((code.to_owned(), list, name.to_owned()), count);
        };
        add("", "", stats.total);
        add("bots", "", stats.bots);
        let lists: [(_, &[StatsName]); 7] = [
            ("referrers", &stats.referrers),
            ("countries", &stats.countries),
            ("cities", &stats.cities),
            ("devices", &stats.devices),
            ("browsers", &stats.browsers),
            ("systems", &stats.systems),
            ("languages", &stats.languages),
        ];
        for (list, names) in lists {
            names.iter().for_each(|one| add(list, &one.name, one.count));
        }
        self.visitors.insert(code.to_owned(), stats.unique);
    }

    /// Clicks that came since.
    fn since(&self, before: &Self) -> BTreeMap<(String, &'static str, String), u64> {
        let came = |(name, count): (&(String, &'static str, String), &u64)| {
            (name.clone(), count - before.clicks.get(name).copied().unwrap_or_default())
        };
        self.clicks.iter().map(came).filter(|(_, count)| *count > 0).collect()
    }
}

/// Numbers of these links once so many clicks are in them.
async fn counted(owner: &Person, codes: &[&str], clicks: u64) -> Counted {
    eventually("every redirect is counted", async || {
        let (mut counted, mut total) = (Counted::default(), 0);
        for code in codes {
            let stats = owner.link_stats(code, StatsQuery::days()).await.unwrap();
            total += stats.total;
            counted.add(code, &stats);
        }
        assert!(total <= clicks, "{total} clicks of {clicks}");
        (total == clicks).then_some(counted)
    })
    .await
}

/// Redirects that count, those after a form (303) too: HEAD is none.
fn redirects(requests: &[(String, bool)], heard: &[Heard]) -> u64 {
    let is_one = |((_, is_head), (status, ..)): &(&(String, bool), &Heard)| {
        !is_head && [" 301 ", " 302 ", " 303 "].iter().any(|one| status.contains(one))
    };
    requests.iter().zip(heard).filter(is_one).count() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_asked_the_door_answers_and_counts_as_the_router_would() {
    let world = World::with(|settings| {
        settings.http.cors_origins = vec!["https://app.example".parse().unwrap()];
        settings.http.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        settings.http.public_url = Some("https://fan.example".parse().unwrap());
        (settings.links.misses, settings.auth.wrong_passwords_per_address) = (0, 100_000);
    })
    .await;
    let ann = world.person("ann").await;
    let soon = Timestamp(world.app().core().clock.now_ms() + 300);
    for new in [
        named(URL, "plain"),
        NewLink { redirect: Some(RedirectKind::Permanent), ..named(URL, "lasting") },
        NewLink { max_visits: Some(100_000), ..named(URL, "few") },
        NewLink { password: Some("open sesame".to_owned()), ..named(URL, "secret") },
        NewLink { expires_at: Some(Some(soon)), ..named(URL, "over") },
        named(URL, "gone"),
        named("https://bücher.example/ü", "idn"),
    ] {
        made(&ann, &new).await;
    }
    ann.delete_link("gone").await.unwrap();
    let codes = ["plain", "plain", "plain", "idn", "idn", "lasting", "few", "secret", "over", "gone", "nothing"];
    for code in codes {
        // In memory, and those that end have ended.
        eventually("it is as it will be", async || {
            let status = follow(&ann, code).await.status;
            (code != "over" || status == 410).then_some(())
        })
        .await;
    }
    let open = ["plain", "lasting", "few", "idn"];
    // Those by which it was seen that they are there.
    let mut clicks = codes.iter().filter(|code| open.contains(code)).count() as u64;
    let mut before = counted(&ann, &open, clicks).await;
    for seed in seeds(1) {
        let mut random = Random(seed);
        let requests: Vec<(String, bool)> = (0..REQUESTS).map(|_| request(&mut random, &codes)).collect();
        world.app().http().open_door();
        let by_door = heard(&world, &requests).await;
        clicks += redirects(&requests, &by_door);
        let after_door = counted(&ann, &open, clicks).await;
        world.app().http().shut_door();
        let by_router = heard(&world, &requests).await;
        clicks += redirects(&requests, &by_router);
        let after_router = counted(&ann, &open, clicks).await;
        for (at, (request, _)) in requests.iter().enumerate() {
            assert_eq!(by_door[at], by_router[at], "seed {seed}, {request:?}");
        }
        assert_eq!(after_door.since(&before), after_router.since(&after_door), "seed {seed}");
        assert_eq!(after_door.visitors, after_router.visitors, "seed {seed}: the same visitors came by both ways");
        before = after_router;
        let went_on =
            by_door.iter().filter(|(status, ..)| status.contains(" 302 ") || status.contains(" 301 ")).count();
        let kinds: std::collections::HashSet<&str> = by_door.iter().map(|(status, ..)| status.as_str()).collect();
        assert!(went_on > REQUESTS as usize / 5 && kinds.len() > 8, "{went_on} of {REQUESTS} went on: {kinds:?}");
    }
}

/// A server that is full refuses at the door as it does behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_at_the_door_too() {
    let world = World::with(|settings| settings.http.requests_in_flight_max = 1).await;
    let ann = world.person("ann").await;
    made(&ann, &named(URL, "plain")).await;
    assert_eq!(follow(&ann, "plain").await.status, 302);
    // A request whose body does not come has its place until it is given up. It may find the place still taken.
    let address = world.base.trim_start_matches("http://").to_owned();
    let head = format!(
        "POST /v1/posts HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n",
        ann.token
    );
    let waiting = eventually("the only place is taken", async || {
        let mut waiting = TcpStream::connect(&address).await.unwrap();
        waiting.write_all(head.as_bytes()).await.unwrap();
        // The server may not have read it yet: a few visits later it has, or was refused.
        for _ in 0..50 {
            if follow(&ann, "plain").await.status == 503 {
                return Some(waiting);
            }
        }
        None
    })
    .await;
    drop(waiting);
    eventually("there is room again", async || (follow(&ann, "plain").await.status == 302).then_some(())).await;
}
