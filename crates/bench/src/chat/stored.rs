//! Very many messages: how fast the owner takes them beside bare commits of as many bytes, what pages of them cost, and
//! the disk that they take.

use std::path::Path;
use std::time::{Duration, Instant};

use fanfare::chat::fold::record::{ChatAct, ChatRecord, Sent};
use fanfare::chat::service::MessagesAt;
use fanfare::config::Settings;
use fanfare::data::rows::chat::Said;
use fanfare::data::tables::chat as keys;
use fanfare::serve;
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Claimant, NewRecord, Turn, embedded};
use fanfare_protocol::{ConversationKind, Id, MessageKind};
use futures_util::stream::{self, StreamExt as _};

use super::report::{Goal, Row};
use super::scene::begin;
use super::world::World;
use super::{Bench, BenchError, CHARS, Result, percentile};

/// Proposals under way at once.
const AT_ONCE: usize = 4_096;
/// Every so manieth message goes to one conversation, which becomes long.
const LONG_EVERY: usize = 10;
/// Items of a page.
const PAGE: u64 = 50;
/// Records of a bare commit, and bytes of what a message makes: the record, and rows of the message, its send, the
/// sender's mark and the head.
const BARE_RECORDS: usize = 512;
const RECORD_BYTES: usize = CHARS + 180;
const ROW_BYTES: [usize; 4] = [CHARS + 120, 42, 16, 64];
/// Goals.
const OWNER_RATIO_MIN: f64 = 0.6;
const NEWEST_P99_MS_MAX: f64 = 2.0;
const RANDOM_P99_MS_MAX: f64 = 5.0;
const DISK_BYTES_MAX: f64 = 800.0;

/// Rows of very many messages.
pub fn run(bench: &mut Bench) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(bench))
}

async fn measure(bench: &mut Bench) -> Result<()> {
    let (messages, conversations) = (bench.size(1_000_000, 30_000), bench.size(20_000, 1_000));
    bench.say(&format!("chat stored: making {conversations} conversations"));
    let folder = bench.folder()?;
    let path = folder.path().to_owned();
    let mut world = World::start(folder).await?;
    let people = world.people(conversations + 1).await?;
    let mut pairs = Vec::with_capacity(conversations);
    let (by, of) = (&world, &people);
    let made = stream::iter(1..=conversations)
        .map(|other| async move { begin(by, of, &[0, other], ConversationKind::Direct).await });
    let made: Vec<Result<Id>> = made.buffered(256).collect().await;
    for (number, id) in made.into_iter().enumerate() {
        pairs.push((people[number + 1], id?));
    }
    bench.say(&format!("chat stored: {messages} messages"));
    let empty = bytes_below(&path)?;
    let rate = fill(&world, &pairs, messages).await?;
    let bare = bare(bench, messages.min(200_000)).await?;
    let name =
        format!("owner alone, messages of {CHARS} characters over {conversations} conversations, {AT_ONCE} at once");
    let row = Row::new(name, rate, "messages/s").beside("bare engine commits of as many records, rows and bytes", bare);
    bench.report.add(row.goal(Goal::ratio(OWNER_RATIO_MIN)));
    disk(bench, &path, empty, messages)?;
    pages(bench, &world, &people, &pairs, messages).await?;
    world.stop().await;
    Ok(())
}

/// Messages a second that the owner takes.
async fn fill(world: &World, pairs: &[(Id, Id)], messages: usize) -> Result<f64> {
    let text: String = "words ".chars().cycle().take(CHARS).collect();
    let chat = world.app.chat();
    let mut random = Random::new(3);
    let began = Instant::now();
    let records = (0..messages).map(|number| {
        let pair = if number % LONG_EVERY == 0 { 0 } else { random.index(pairs.len()) };
        let (sender, conversation) = pairs[pair];
        let sent = Sent {
            client_id: format!("{number:032}"),
            body: format!("{number:032x}"),
            kind: MessageKind::Text,
            said: Said { text: text.clone(), ..Said::default() },
            attachment: None,
            attach_until_ms: None,
            reply_to: None,
            forwarded: false,
        };
        ChatRecord::new(conversation, sender, ChatAct::Sent(Box::new(sent)))
    });
    let handed = stream::iter(records).then(|record| chat.replay(record));
    let answers = handed.map(|handed| async { handed?.durable().await }).buffered(AT_ONCE);
    let mut answers = std::pin::pin!(answers);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

/// Records a second of the engine alone: each with the bytes and rows of a message.
async fn bare(bench: &Bench, messages: usize) -> Result<f64> {
    let folder = bench.folder()?;
    let engines = embedded::open(folder.path(), &serve::engine_settings(&Settings::default()))?;
    let family = engines.families.get("chat").ok_or_else(|| BenchError::Wrong("no family of chat".to_owned()))?;
    let partition = family.partitions().next().ok_or_else(|| BenchError::Wrong("no partition of chat".to_owned()))?;
    let claimant = Claimant { node: "bench".to_owned(), is_import: true };
    let mut turn = Turn::first(engines.journal.claim(partition, &claimant).await?.term);
    let mut random = Random::new(4);
    let began = Instant::now();
    let mut next = 1_u64 << 40;
    while next < (1 << 40) + messages as u64 {
        let (mut records, mut rows) = (Vec::with_capacity(BARE_RECORDS), Batch::default());
        for _ in 0..BARE_RECORDS {
            let conversation = Id(random.below(20_000) + (1 << 50));
            let keys = [
                keys::numbered(keys::MESSAGES, conversation, next),
                keys::send(conversation, Id(next), "a client's id"),
                keys::mark(conversation, Id(7), keys::MarkOf::Read),
                keys::of_conversation(keys::HEADS, conversation),
            ];
            for (key, bytes) in keys.into_iter().zip(ROW_BYTES) {
                rows.put_versioned(key, vec![b'x'; bytes], next);
            }
            records.push(NewRecord { id: next, payload: vec![b'x'; RECORD_BYTES].into() });
            next += 1;
        }
        engines.journal.commit(partition, turn, records, rows).await?;
        turn.number += BARE_RECORDS as u64;
    }
    Ok((next - (1 << 40)) as f64 / began.elapsed().as_secs_f64())
}

/// Bytes of everything below a folder.
fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Files come and go meanwhile.
        let Ok(about) = entry.metadata() else { continue };
        bytes += if about.is_dir() { bytes_below(&entry.path()).unwrap_or(0) } else { about.len() };
    }
    Ok(bytes)
}

fn disk(bench: &mut Bench, folder: &Path, before: u64, messages: usize) -> Result<()> {
    // Flushes and compactions go on for a while.
    let (mut bytes, mut quiet) = (bytes_below(folder)?, 0);
    for _ in 0..120 {
        std::thread::sleep(Duration::from_millis(500));
        let now = bytes_below(folder)?;
        quiet = if now == bytes { quiet + 1 } else { 0 };
        bytes = now;
        if quiet > 6 {
            break;
        }
    }
    let name = format!("disk of a message of {CHARS} characters, {messages} of them, with its record in the journal");
    let each = bytes.saturating_sub(before) as f64 / messages as f64;
    bench.report.add(Row::new(name, each, "bytes").goal(Goal::at_most(DISK_BYTES_MAX)));
    Ok(())
}

async fn pages(bench: &mut Bench, world: &World, people: &[Id], pairs: &[(Id, Id)], messages: usize) -> Result<()> {
    bench.say("chat stored: pages");
    let chat = world.app.chat();
    let long = (messages / LONG_EVERY) as u64;
    let mut random = Random::new(5);
    let (mut newest, mut after) = (Vec::new(), Vec::new());
    for _ in 0..bench.size(20_000, 1_000) {
        let (_, conversation) = pairs[random.index(pairs.len())];
        let began = Instant::now();
        chat.page(people[0], conversation, MessagesAt::Newest, PAGE).await?;
        newest.push(began.elapsed().as_secs_f64() * 1e3);
        let (seq, began) = (random.below(long - PAGE), Instant::now());
        let page = chat.page(people[0], pairs[0].1, MessagesAt::After(seq), PAGE).await?;
        after.push(began.elapsed().as_secs_f64() * 1e3);
        if page.items.len() != PAGE as usize {
            return Err(BenchError::Wrong(format!("a page of {PAGE} has {} messages", page.items.len())));
        }
    }
    let what = format!("in process, {messages} messages stored");
    bench.report.add(Row::new(
        format!("newest {PAGE} of a conversation, {what}: p50"),
        percentile(&mut newest, 50.0),
        "ms",
    ));
    let row = Row::new(format!("newest {PAGE} of a conversation, {what}: p99"), percentile(&mut newest, 99.0), "ms");
    bench.report.add(row.goal(Goal::at_most(NEWEST_P99_MS_MAX)));
    let row = Row::new(
        format!("{PAGE} by after_seq of a conversation of {long}, {what}: p99"),
        percentile(&mut after, 99.0),
        "ms",
    );
    bench.report.add(row.goal(Goal::at_most(RANDOM_P99_MS_MAX)));
    Ok(())
}
