//! Lists of somebody with very many conversations: the first screen, what changed, and a session that goes on.

use std::time::Instant;

use fanfare_protocol::{ConversationKind, ConversationPage, Id, MessageKind, NewMessage};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::realtime::http::{Calls, request};
use super::realtime::scene::Scene;
use super::report::{Goal, Row};
use super::scene::begin;
use super::serve::Server;
use super::socket::Socket;
use super::world::World;
use super::{Bench, BenchError, CHARS, Result, percentile};

/// Conversations in which something happens while the person is away.
const ACTIVE: usize = 300;
/// Items of the first screen, and of a page of what changed.
const SCREEN: usize = 20;
const CHANGED_PAGE: usize = 100;
/// Conversations that are made at once.
const AT_ONCE: usize = 256;
/// Goals.
const SCREEN_P99_MS_MAX: f64 = 100.0;
const SCREEN_FIRST_MS_MAX: f64 = 300.0;
const SCREEN_BYTES_MAX: f64 = 65_536.0;
const CHANGED_P99_MS_MAX: f64 = 50.0;
const RESUME_MS_MAX: f64 = 300.0;

/// Conversation of the person and the number of the other, who speaks.
type Spoken = Vec<(usize, Id)>;

/// Somebody with very many conversations, the first person.
struct Reader {
    server: Server,
    authorization: String,
    calls: Calls,
}

/// Rows of lists.
pub fn run(bench: &mut Bench) -> Result<()> {
    let count = bench.size(10_000, 1_000);
    bench.say(&format!("chat lists: somebody with {count} conversations"));
    let made = async |world: &World, ids: &[Id]| conversations(world, ids, count).await;
    let (scene, spoken) = Scene::build_with(bench, bench.size(2_500, 600), made)?;
    let server = scene.serve(None)?;
    let calls = Calls::open(server.address)?;
    let mut reader = Reader { authorization: scene.authorization(0)?, calls, server };
    let what = format!("{SCREEN} of {count} conversations over HTTP");
    let (first_ms, page) = reader.page(&format!("limit={SCREEN}"))?;
    let goal = Goal::at_most(SCREEN_FIRST_MS_MAX);
    bench.report.add(Row::new(format!("{what}, first after a start"), first_ms, "ms").goal(goal));
    let rounds = bench.size(500, 50);
    let mut took = Vec::new();
    for _ in 0..rounds {
        took.push(reader.page(&format!("limit={SCREEN}"))?.0);
    }
    let mut feed = Vec::new();
    for _ in 0..rounds {
        feed.push(reader.timed(&format!("/v1/feed?limit={SCREEN}"))?.0);
    }
    let row = Row::new(format!("{what}: p99"), percentile(&mut took, 99.0), "ms");
    let beside = format!("GET /v1/feed?limit={SCREEN}");
    bench.report.add(row.beside(beside, percentile(&mut feed, 99.0)).goal(Goal::at_most(SCREEN_P99_MS_MAX)));
    let row = Row::new(format!("{what}: size"), page.1 as f64, "bytes");
    bench.report.add(row.goal(Goal::at_most(SCREEN_BYTES_MAX)));
    changed(bench, &scene, &mut reader, &spoken, &page.0.changes_cursor)?;
    resumed(bench, &scene, &mut reader, &spoken)
}

impl Reader {
    /// Milliseconds of a call, and its answer.
    fn timed(&mut self, path: &str) -> Result<(f64, String)> {
        let began = Instant::now();
        let body = self.calls.ask(&request("GET", path, &self.authorization, ""))?;
        Ok((began.elapsed().as_secs_f64() * 1e3, body))
    }

    /// Milliseconds of a page, and the page with its size.
    fn page(&mut self, query: &str) -> Result<(f64, (ConversationPage, usize))> {
        let (ms, body) = self.timed(&format!("/v1/conversations?{query}"))?;
        let page = serde_json::from_str(&body).map_err(|error| BenchError::Wrong(format!("{error} in {body}")))?;
        Ok((ms, (page, body.len())))
    }
}

/// Pairs of the first person and everybody else, then groups of two, each with a message.
async fn conversations(world: &World, ids: &[Id], count: usize) -> Result<Spoken> {
    let peers = ids.len() - 3;
    let made = stream::iter(0..count).map(|number| async move {
        let peer = 1 + number % peers;
        let kind = if number < peers { ConversationKind::Direct } else { ConversationKind::Group };
        let id = begin(world, ids, &[peer, 0], kind).await?;
        world.app.chat().send(ids[peer], id, message(number)).await?;
        Ok::<_, BenchError>((peer, id))
    });
    made.buffered(AT_ONCE).try_collect().await
}

fn message(number: usize) -> NewMessage {
    NewMessage {
        client_id: format!("first-{number}"),
        kind: MessageKind::Text,
        text: Some("words ".chars().cycle().take(CHARS).collect()),
        media_id: None,
        duration_ms: None,
        reply_to: None,
        forward: None,
    }
}

/// Somebody speaks in conversations spread over all.
fn speak(scene: &Scene, reader: &mut Reader, spoken: &Spoken, round: &str) -> Result<usize> {
    let step = (spoken.len() / ACTIVE).max(1);
    let chosen: Vec<_> = spoken.iter().step_by(step).take(ACTIVE).collect();
    for (number, (peer, id)) in chosen.iter().enumerate() {
        let body = format!(r#"{{"client_id":"{round}-{number}","kind":"text","text":"something new"}}"#);
        let path = format!("/v1/conversations/{id}/messages");
        reader.calls.ask(&request("POST", &path, &scene.authorization(*peer)?, &body))?;
    }
    Ok(chosen.len())
}

fn changed(bench: &mut Bench, scene: &Scene, reader: &mut Reader, spoken: &Spoken, cursor: &str) -> Result<()> {
    let active = speak(scene, reader, spoken, "changed")?;
    let (mut took, mut bytes, mut found) = (Vec::new(), 0, 0);
    for _ in 0..bench.size(100, 10) {
        let (mut ms, mut cursor) = (0.0, Some(cursor.to_owned()));
        (bytes, found) = (0, 0);
        while let Some(at) = cursor {
            let (took, (page, size)) = reader.page(&format!("limit={CHANGED_PAGE}&changed_after={at}"))?;
            (ms, bytes, found) = (ms + took, bytes + size, found + page.items.len());
            cursor = page.next_cursor;
        }
        took.push(ms);
    }
    if found < active {
        return Err(BenchError::Wrong(format!("{found} of {active} conversations that changed were listed")));
    }
    let what = format!("what changed in {active} of {} conversations, all pages", spoken.len());
    let row = Row::new(format!("{what}: p99"), percentile(&mut took, 99.0), "ms");
    bench.report.add(row.goal(Goal::at_most(CHANGED_P99_MS_MAX)));
    bench.report.add(Row::new(format!("{what}: size, of {found} listed"), bytes as f64, "bytes"));
    Ok(())
}

fn resumed(bench: &mut Bench, scene: &Scene, reader: &mut Reader, spoken: &Spoken) -> Result<()> {
    bench.say("chat lists: a session goes on");
    let mut took = Vec::new();
    let mut active = 0;
    for round in 0..bench.size(15, 3) {
        let cursor = Socket::open(reader.server.address, &reader.authorization, None)?.hello()?;
        active = speak(scene, reader, spoken, &format!("resumed-{round}"))?;
        let began = Instant::now();
        let mut socket = Socket::open(reader.server.address, &reader.authorization, Some(&cursor))?;
        socket.hello()?;
        socket.messages(active)?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let name =
        format!("a session goes on after {active} of {} conversations spoke: until the last frame", spoken.len());
    bench.report.add(Row::new(format!("{name}, median"), percentile(&mut took, 50.0), "ms"));
    let row = Row::new(format!("{name}, most"), percentile(&mut took, 100.0), "ms");
    bench.report.add(row.goal(Goal::at_most(RESUME_MS_MAX)));
    Ok(())
}
