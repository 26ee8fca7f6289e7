//! Visibility of somebody to others: over HTTP, live and replayed, against a table of what is right.
//!
//! The lists of routes and of frames are the server's own: whatever is new there has to find its place in the table
//! first.

use std::collections::BTreeSet;

use fanfare_client::Client;
use fanfare_protocol::{Id, NewPost, NewSuspension, Timestamp, Transport};
use serde_json::Value;

use crate::realtime::device::{ALL, Device, poll};
use crate::realtime::fast;
use crate::world::{Person, World, raw};

/// Viewers: the author, a stranger, nobody by name, whom the author blocks, who blocks and who mutes the author, and
/// somebody who is suspended.
const VIEWERS: [&str; 7] = ["self", "stranger", "anonymous", "blocked", "blocks", "mutes", "suspended"];

/// Row of the table for a route: `+` shows the author (or the words that are looked for), `-` answers without, a number
/// refuses so; `gone` is 404 or 410.
struct Row {
    path: String,
    looks_for: String,
    /// By viewer, while nothing is the matter with the author.
    there: [&'static str; 7],
    /// To others, while the author is suspended, and when the account is deleted.
    away: [&'static str; 2],
}

/// Routes that tell nothing of people and their posts to anybody, or only to operators.
const TELL_NOTHING: [&str; 25] = [
    "/healthz",
    "/readyz",
    "/metrics",
    "/media/{id}/{variant}",
    "/v1/feed/unread",
    // Whoever has the code gets to the target, whoever made it; the rest is their own.
    "/s/",
    "/s/robots.txt",
    "/s/{code}",
    "/v1/links",
    "/v1/links.csv",
    "/v1/links/{code}",
    "/v1/links/{code}/qr.svg",
    "/v1/links/{code}/stats",
    "/v1/links/{code}/stats.csv",
    "/v1/admin/links/{code}",
    "/v1/admin/audit",
    "/v1/admin/reports",
    // One's own.
    "/v1/reports/{id}",
    "/v1/admin/realtime/sessions",
    "/v1/admin/settings",
    "/v1/admin/status",
    "/v1/admin/suspensions",
    // Streams: what they carry is in the table of frames.
    "/v1/realtime",
    "/v1/realtime/poll",
    "/v1/realtime/sse",
];

/// Durable frames, by what the author's are to each viewer, live and replayed: blocks and mutes hide them, and a
/// stranger who follows somebody else hears of the author what that one passes on.
const FRAMES: [(&str, [&str; 7]); 9] = [
    ("feed.posts", ["+", "+", "", "-", "-", "-", ""]),
    ("notification", ["+", "+", "", "-", "-", "-", ""]),
    // Only an id, to who follows.
    ("post.deleted", ["+", "-", "", "-", "-", "+", ""]),
    ("author.deleted", ["", "-", "", "-", "-", "+", ""]),
    // To members alone: `chat/live.rs`.
    ("message", ["-", "-", "", "-", "-", "-", ""]),
    ("message.updated", ["-", "-", "", "-", "-", "-", ""]),
    ("message.recalled", ["-", "-", "", "-", "-", "-", ""]),
    // Nothing of anybody.
    ("gap", ["-", "-", "", "-", "-", "-", ""]),
    ("reset", ["-", "-", "", "-", "-", "-", ""]),
];

struct Stage {
    world: World,
    author: Person,
    carl: Person,
    /// By the order of [`VIEWERS`]; nobody by name is `None`.
    viewers: Vec<Option<Person>>,
    cursors: Vec<String>,
    /// The author's post, and the answer to Carl's.
    said: Id,
    answer: Id,
    /// Carl's post; what Carl made of the author's.
    plain: Id,
    quote: Id,
    bare: Id,
    reply: Id,
    /// A live session that the author announced.
    session: Id,
}

impl Stage {
    fn mentions(viewers: &[Option<Person>]) -> String {
        let named = viewers.iter().flatten().skip(1).map(|viewer| format!("@{}", viewer.handle));
        named.collect::<Vec<_>>().join(" ")
    }

    async fn quoting(carl: &Person, of: Id, viewers: &[Option<Person>]) -> Id {
        let text = format!("look {}", Self::mentions(viewers));
        let quote = NewPost { text, repost_of: Some(of), ..NewPost::default() };
        carl.publish(&quote, None).await.unwrap().post.id
    }

    async fn new() -> Self {
        let world = World::with(fast).await;
        let [author, carl] = world.people(["quill", "carl"]).await;
        let mut viewers = vec![Some(author.clone())];
        for name in &VIEWERS[1..] {
            viewers.push(match *name {
                "anonymous" => None,
                name => Some(world.person(&format!("x{name}")).await),
            });
        }
        let mut cursors = Vec::new();
        for viewer in &viewers {
            cursors.push(match viewer {
                Some(viewer) => poll(&world.base, &viewer.token, None, 0).await.cursor,
                None => String::new(),
            });
        }
        for viewer in viewers.iter().flatten() {
            viewer.follow(carl.id).await.unwrap();
            if viewer.id != author.id && viewer.handle != "xstranger" {
                viewer.follow(author.id).await.unwrap();
            }
            let own = viewer.say("mine").await.unwrap();
            author.like(own.id).await.unwrap();
        }
        carl.follow(author.id).await.unwrap();
        let plain = carl.say("plain").await.unwrap().id;
        author.like(plain).await.unwrap();
        let said = author.say(&format!("quill says {}", Self::mentions(&viewers))).await.unwrap().id;
        let answer = author.reply(plain, "quill answers").await.unwrap().id;
        carl.like(said).await.unwrap();
        let soon = Timestamp(world.app().core().clock.now_ms() + 3_600_000);
        let session = author.announce_live("quill is live", soon, None).await.unwrap().id;
        let quote = Self::quoting(&carl, said, &viewers).await;
        let bare = carl.repost(said, "").await.unwrap().id;
        let reply = carl.reply(said, "carl answers").await.unwrap().id;
        let who = |name: &str| viewers[VIEWERS.iter().position(|one| *one == name).unwrap()].as_ref().unwrap();
        author.block(who("blocked").id).await.unwrap();
        who("blocks").block(author.id).await.unwrap();
        who("mutes").mute(author.id).await.unwrap();
        suspend(&world, who("suspended")).await;
        carl.quiet().await;
        Self { world, author, carl, viewers, cursors, said, answer, plain, quote, bare, reply, session }
    }

    fn client(&self, viewer: usize) -> Client {
        match &self.viewers[viewer] {
            Some(person) => self.world.anyone.with_token(&person.token),
            None => self.world.anyone.clone(),
        }
    }

    /// The table.
    fn rows(&self) -> Vec<Row> {
        let Self { author, carl, said, answer, plain, quote, bare, reply, session, .. } = self;
        let online = format!("\"user_id\":\"{}\",\"online\":true", author.id);
        let row = |route: &'static str, of: Option<Id>, looks_for: &str, there: &str, away: [&'static str; 2]| {
            let cells: Vec<&'static str> = there
                .split_whitespace()
                .map(|cell| *["+", "-", "401", "403", "404"].iter().find(|known| **known == cell).unwrap())
                .collect();
            let id = of.map(|id| id.to_string()).unwrap_or_default();
            let path = route.replace("{id}", &id).replace("{user}", &id);
            Row { path, looks_for: looks_for.to_owned(), there: cells.try_into().unwrap(), away }
        };
        let with = |query: String, row: Row| Row { path: format!("{}{query}", row.path), ..row };
        let (a, c) = (Some(author.id), Some(carl.id));
        vec![
            //                                          looked for self stranger anonymous blocked blocks mutes
            //                                          suspended
            row("/v1/users/{user}", a, "quill", "+ + + 404 + + 403", ["404", "404"]),
            row("/v1/users/{user}/posts", a, "quill", "+ + + 404 - + 403", ["404", "404"]),
            row("/v1/users/{user}/posts", c, "quill", "+ + + - - + 403", ["-", "-"]),
            row("/v1/users/{user}/followers", a, "carl", "+ + + 404 + + 403", ["404", "404"]),
            row("/v1/users/{user}/following", a, "carl", "+ + + 404 + + 403", ["404", "404"]),
            row("/v1/users/{user}/followers", c, "quill", "+ + + - + + 403", ["-", "-"]),
            row("/v1/users/{user}/following", c, "quill", "+ + + - + + 403", ["-", "-"]),
            row("/v1/users/me", None, "quill", "+ - 401 - - - 403", ["-", "-"]),
            row("/v1/users/me/blocks", None, "quill", "- - 401 - + - 403", ["-", "-"]),
            row("/v1/users/me/mutes", None, "quill", "- - 401 - - + 403", ["-", "-"]),
            with("?q=quill".into(), row("/v1/search/users", None, "quill", "+ + 401 - - + 403", ["-", "-"])),
            row("/v1/posts/{id}", Some(*said), "quill", "+ + + 404 + + 403", ["404", "gone"]),
            row("/v1/posts/{id}", Some(*answer), "quill", "+ + + 404 + + 403", ["404", "gone"]),
            row("/v1/posts/{id}", Some(*quote), "quill", "+ + + - - + 403", ["-", "-"]),
            row("/v1/posts/{id}", Some(*bare), "quill", "+ + + 404 + + 403", ["404", "gone"]),
            row("/v1/posts/{id}/likes", Some(*said), "carl", "+ + + 404 + + 403", ["404", "gone"]),
            row("/v1/posts/{id}/likes", Some(*plain), "quill", "+ + + - + + 403", ["-", "-"]),
            row("/v1/posts/{id}/replies", Some(*said), "carl answers", "+ + + 404 + + 403", ["404", "+"]),
            row("/v1/posts/{id}/replies", Some(*plain), "quill", "+ + + - - - 403", ["-", "-"]),
            row("/v1/posts/{id}/thread", Some(*said), "quill", "+ + + 404 + + 403", ["404", "gone"]),
            row("/v1/posts/{id}/thread", Some(*plain), "quill", "+ + + - - - 403", ["-", "-"]),
            row("/v1/posts/{id}/thread", Some(*reply), "quill", "+ + + - - + 403", ["-", "-"]),
            with("?scope=public".into(), row("/v1/posts", None, "quill", "+ + + - - - 403", ["-", "-"])),
            row("/v1/feed", None, "quill", "+ + 401 - - - 403", ["-", "-"]),
            with("?order=ranked".into(), row("/v1/feed", None, "quill", "+ + 401 - - - 403", ["-", "-"])),
            row("/v1/live/{id}", Some(*session), "quill", "+ + + 404 + + 403", ["404", "404"]),
            row("/v1/users/{user}/live", a, "quill", "+ + + 404 - + 403", ["404", "404"]),
            row("/v1/live/feed", None, "quill", "+ - 401 - - - 403", ["-", "-"]),
            row("/v1/notifications", None, "quill", "+ + 401 - - - 403", ["-", "-"]),
            with(
                format!("?user_ids={}", author.id),
                row("/v1/presence", None, &online, "+ + 401 - - + 403", ["-", "-"]),
            ),
            row("/v1/presence/following", None, &online, "- - 401 - - + 403", ["-", "-"]),
        ]
    }

    /// Compares what each viewer is answered with the table; `state` picks the column.
    async fn check(&self, state: usize) {
        let mut wrong = Vec::new();
        for row in self.rows() {
            for (number, viewer) in VIEWERS.iter().enumerate() {
                let there = row.there[number];
                let expected = match (state, *viewer) {
                    (0, _) | (_, "suspended") => there,
                    (_, _) if there == "401" => there,
                    (1, "self") => "403",
                    (_, "self") => "401",
                    (state, _) => row.away[state - 1],
                };
                let answer = raw(&self.client(number), "GET", &row.path, &[], "").await;
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                let seen = match answer.status.as_u16() {
                    200 if body.contains(&row.looks_for) => "+".to_owned(),
                    200 => "-".to_owned(),
                    404 | 410 if expected == "gone" => "gone".to_owned(),
                    // The block ends with the account, when the janitor comes to it.
                    404 if (state, *viewer) == (2, "blocked") => expected.to_owned(),
                    refused => refused.to_string(),
                };
                if seen != expected {
                    wrong.push(format!("{} of {} to {viewer}: {seen}, not {expected}: {body}", state, row.path));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// Types of frames that tell a device of the author, until Carl's last word came as a post and as a notification.
    async fn hear(&self, device: &mut Device, fence: Id) -> BTreeSet<String> {
        let (mut told, mut fences) = (BTreeSet::new(), BTreeSet::new());
        let author = ["author_id", "user_id"].map(|field| format!("\"{field}\":\"{}\"", self.author.id));
        let fence = format!("\"key\":\"{fence}\"");
        while fences.len() < 2 {
            let frame = device.frame().await;
            let data = serde_json::to_string(&frame.data).unwrap();
            if data.contains("quill") || author.iter().any(|author| data.contains(author)) {
                told.insert(frame.kind.clone());
            }
            let words = data.contains("that is all");
            if (frame.kind == "feed.posts" && data.contains(&fence)) || (frame.kind == "notification" && words) {
                fences.insert(frame.kind.clone());
            }
        }
        told
    }

    async fn fence(&self) -> Id {
        let everybody = Self::mentions(&self.viewers);
        let said = self.carl.say(&format!("that is all {everybody}")).await.unwrap().id;
        // The author hears of it without being named: the name is what is looked for.
        self.carl.reply(self.said, "that is all").await.unwrap();
        said
    }

    /// Live, and then replayed under every transport: no types but those of the table, and of `types` all of them.
    async fn check_frames(&self, types: &[&str], act: impl AsyncFn() -> Id) {
        let mut devices = Vec::new();
        for (number, viewer) in VIEWERS.iter().enumerate() {
            if let (Some(person), false) = (&self.viewers[number], *viewer == "suspended") {
                let device = Device::new(Transport::Websocket, &self.world, &person.token, None).await;
                let cursor = device.hello.cursor.clone();
                devices.push((number, device, cursor));
            }
        }
        let fence = act().await;
        for (number, device, cursor) in &mut devices {
            let token = &self.viewers[*number].as_ref().unwrap().token;
            let viewer = VIEWERS[*number];
            let may: BTreeSet<&str> =
                FRAMES.iter().filter(|(_, seen)| seen[*number] == "+").map(|(kind, _)| *kind).collect();
            let as_it_should = |told: &BTreeSet<String>, how: &str| {
                assert!(told.iter().all(|kind| may.contains(kind.as_str())), "{how} to {viewer}: {told:?}");
                let missing = types.iter().find(|kind| may.contains(*kind) && !told.contains(**kind));
                assert!(missing.is_none(), "{missing:?} is not {how} to {viewer}: {told:?}");
            };
            as_it_should(&self.hear(device, fence).await, "live");
            for transport in ALL {
                // A resume overlaps: what came before may come again.
                let mut again = Device::new(transport, &self.world, token, Some(cursor)).await;
                as_it_should(&self.hear(&mut again, fence).await, transport.name());
            }
        }
    }
}

async fn suspend(world: &World, person: &Person) {
    let suspension = NewSuspension { reason: "spam".to_owned(), until: None };
    world.operator.suspend(&format!("@{}", person.handle), &suspension).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_and_every_frame_shows_whom_the_table_says() {
    let stage = Stage::new().await;
    // A session of the author, so that there is a presence to see.
    let online = Device::ws(&stage.world, &stage.author.token).await;
    stage.check(0).await;
    stage
        .check_frames(&["feed.posts", "notification"], async || {
            let said = stage.author.say(&format!("quill again {}", Stage::mentions(&stage.viewers))).await.unwrap().id;
            Stage::quoting(&stage.carl, said, &stage.viewers).await;
            stage.carl.repost(said, "").await.unwrap();
            stage.fence().await
        })
        .await;
    let short = stage.author.say("short").await.unwrap().id;
    stage
        .check_frames(&["post.deleted"], async || {
            stage.author.delete_post(short).await.unwrap();
            stage.fence().await
        })
        .await;
    suspend(&stage.world, &stage.author).await;
    drop(online);
    stage.check(1).await;
    stage.replays_tell_nothing(false).await;
    stage.world.operator.unsuspend("@quill", None).await.unwrap();
    stage.check_people_again().await;
    // The author's blocks end when what they left is cleared away.
    let uncleared = crate::deletion::uncleared(&stage.world).await;
    stage.author.delete_account().await.unwrap();
    stage.check(2).await;
    stage.replays_tell_nothing(true).await;
    drop(uncleared);
    crate::deletion::clean(&stage.world).await;
    stage.check(2).await;
    stage.replays_tell_nothing(true).await;
}

impl Stage {
    /// Everything since the beginning, to everybody but the author, who is away, or `gone` for good.
    async fn replays_tell_nothing(&self, gone: bool) {
        let fence = self.carl.say(&format!("that is all {}", Self::mentions(&self.viewers))).await.unwrap().id;
        for (number, viewer) in VIEWERS.iter().enumerate() {
            let Some(person) = self.viewers[number].as_ref().filter(|_| !["self", "suspended"].contains(viewer)) else {
                continue;
            };
            for transport in ALL {
                let cursor = Some(self.cursors[number].as_str());
                let mut device = Device::new(transport, &self.world, &person.token, cursor).await;
                let told = self.hear(&mut device, fence).await;
                // Ids of what is gone, to who followed.
                let may = |kind: &String| {
                    kind.ends_with(".deleted") && FRAMES.iter().any(|(of, seen)| of == kind && seen[number] == "+")
                };
                assert!(told.iter().all(may), "{viewer} hears of who is away: {told:?}");
                let follows = FRAMES.iter().any(|(kind, seen)| *kind == "author.deleted" && seen[number] == "+");
                assert_eq!(told.contains("author.deleted"), gone && follows, "{viewer} by {}", transport.name());
            }
        }
    }

    /// Checks that what a suspension hid is back on the next read.
    async fn check_people_again(&self) {
        let online = Device::ws(&self.world, &self.author.token).await;
        self.check(0).await;
        drop(online);
    }
}

#[test]
fn every_route_that_reads_and_every_durable_frame_is_in_the_table() {
    let document = serde_json::to_value(fanfare::http::routes::document(fanfare::routes::api())).unwrap();
    let reads = document["paths"].as_object().unwrap().iter().filter(|(_, item)| item.get("get").is_some());
    let reads: BTreeSet<&str> = reads.map(|(path, _)| path.as_str()).collect();
    let source = include_str!("who_sees.rs");
    // Those of chat have a table of their own.
    let in_table = |path: &&str| {
        source.contains(&format!("row(\"{path}\"")) || TELL_NOTHING.contains(path) || crate::chat::matrix::has(path)
    };
    let missing: Vec<&str> = reads.iter().copied().filter(|path| !in_table(path)).collect();
    assert!(missing.is_empty(), "who sees what of these? {missing:?}");
    assert!(TELL_NOTHING.iter().all(|path| reads.contains(path)), "routes that are no more");
    let guide = include_str!("../../docs/api.md");
    let durable = guide.lines().filter(|line| line.starts_with("| `") && line.trim_end().ends_with("| yes |"));
    let durable: BTreeSet<&str> = durable.filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(durable, FRAMES.iter().map(|(kind, _)| *kind).collect(), "who hears of these?");
    // The guide knows every type that the code makes durable.
    let posts = include_str!("../../src/posts/stream.rs");
    let notifications = include_str!("../../src/notifications/stream.rs");
    let chat = include_str!("../../src/chat/stream/mod.rs");
    for source in [posts, notifications, chat, include_str!("../../src/realtime/frame.rs")] {
        for kind in source.split("Frame::durable(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(durable.contains(kind), "{kind} is in no table");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_operators_is_for_nobody_else() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for path in TELL_NOTHING.iter().filter(|path| path.starts_with("/v1/admin/")) {
        assert_eq!(raw(&ann, "GET", path, &[], "").await.status, 403, "{path}");
        assert_eq!(raw(&world.anyone, "GET", path, &[], "").await.status, 401, "{path}");
        let body: Value = raw(&world.operator, "GET", path, &[], "").await.json().unwrap();
        assert!(body.is_object(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_shown_an_original_is_not_told_that_it_was_deleted() {
    let world = World::with(fast).await;
    let [ann, bob, carl, dora] = world.people(["ann", "bob", "carl", "dora"]).await;
    let mut cursors = Vec::new();
    for viewer in [&bob, &dora] {
        viewer.follow(carl.id).await.unwrap();
        cursors.push(poll(&world.base, &viewer.token, None, 0).await.cursor);
    }
    let said = ann.say("hello").await.unwrap().id;
    ann.block(bob.id).await.unwrap();
    let new = NewPost { text: "look @bob @dora".to_owned(), repost_of: Some(said), ..NewPost::default() };
    let quote = carl.publish(&new, None).await.unwrap().post.id;
    carl.quiet().await;
    let of_carl = format!("/v1/users/{}/posts", carl.id);
    let by_id = format!("/v1/posts/{quote}");
    let routes = [by_id.as_str(), &of_carl, "/v1/posts?scope=public", "/v1/feed", "/v1/notifications"];
    let seen = async |viewer: &Person| {
        let mut bodies = Vec::new();
        for route in routes {
            let answer = raw(viewer, "GET", route, &[], "").await;
            bodies.push(String::from_utf8_lossy(&answer.body).into_owned());
        }
        bodies
    };
    let before = seen(&bob).await;
    for body in &before {
        assert!(body.contains("\"repost_hidden\":true") && !body.contains("repost_gone"), "{body}");
    }
    ann.delete_post(said).await.unwrap();
    assert_eq!(seen(&bob).await, before, "nothing has changed for who is blocked");
    for body in seen(&dora).await {
        assert!(body.contains("\"repost_gone\":true") && !body.contains("repost_hidden"), "{body}");
    }
    for ((viewer, cursor), tells) in [&bob, &dora].into_iter().zip(&cursors).zip(["repost_hidden", "repost_gone"]) {
        for transport in ALL {
            let mut device = Device::new(transport, &world, &viewer.token, Some(cursor)).await;
            for kind in ["notification", "feed.posts"] {
                let data = serde_json::to_string(&device.until(kind).await.data).unwrap();
                let others = ["repost_hidden", "repost_gone"].into_iter().filter(|said| data.contains(said));
                assert_eq!(others.collect::<Vec<_>>(), [tells], "{} by {}: {data}", viewer.handle, transport.name());
            }
        }
    }
}
