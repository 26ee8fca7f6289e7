//! Very many messages: how fast the owner takes them beside bare commits of as many bytes, what pages of them cost, and
//! the disk that they take: tables and journal apart, compacted.

use std::path::Path;
use std::time::Instant;

use fanfare::base::data_dir::DataDir;
use fanfare::base::limits::chat::CONVERSATIONS_CACHED_BYTES_MAX;
use fanfare::chat::fold::record::{ChatAct, ChatRecord, Sent};
use fanfare::chat::service::MessagesAt;
use fanfare::config::Settings;
use fanfare::data::families::CHAT;
use fanfare::data::rows::chat::Said;
use fanfare::data::tables::chat as keys;
use fanfare::serve;
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Claimant, NewRecord, Turn, embedded};
use fanfare_protocol::{ConversationKind, Id, MessageKind};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use super::report::{Goal, Row};
use super::scene::begin;
use super::world::World;
use super::{Bench, BenchError, CHARS, Result, machine, percentile};

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
/// Bytes that the engine keeps beside key and value of a row: table, length of the partition, tag, version.
const ROW_HEAD_BYTES: usize = 11;
/// Texts that are sent, and words that they are made of.
const TEXTS: usize = 4_096;
const WORDS: u64 = 4_000;
/// Goals.
const OWNER_RATIO_MIN: f64 = 0.6;
const NEWEST_P99_MS_MAX: f64 = 2.0;
const RANDOM_P99_MS_MAX: f64 = 5.0;
const DISK_BYTES_MAX: f64 = 800.0;
/// 1 KiB, and 40 bytes a member.
const STATE_BYTES_MAX: f64 = 1_104.0;

/// Two people, and what they have: one says everything, the other reads it.
#[derive(Debug, Clone, Copy)]
struct Pair {
    reader: Id,
    sender: Id,
    conversation: Id,
}

/// Rows of very many messages.
pub fn run(bench: &mut Bench) -> Result<()> {
    let (messages, conversations) = (bench.size(1_000_000, 30_000), bench.size(20_000, 1_000));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(bench, messages, conversations))
}

/// Measures ten million messages over a million conversations in the same way.
pub fn run_many(bench: &mut Bench) -> Result<()> {
    let (messages, conversations) = (bench.size(10_000_000, 300_000), bench.size(1_000_000, 120_000));
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(bench, messages, conversations))
}

/// Pairs of people: so many, of as few people as can have them.
async fn pairs(world: &mut World, conversations: usize) -> Result<Vec<Pair>> {
    let mut count = 2;
    while count * (count - 1) / 2 < conversations {
        count += 1;
    }
    let people = world.people(count).await?;
    let (world, people) = (&*world, people.as_slice());
    let all = (1..count).flat_map(|sender| (0..sender).map(move |reader| (reader, sender))).take(conversations);
    let made = stream::iter(all).map(|(reader, sender)| async move {
        let conversation = begin(world, people, &[reader, sender], ConversationKind::Direct).await?;
        Ok(Pair { reader: people[reader], sender: people[sender], conversation })
    });
    made.buffered(256).try_collect().await
}

async fn measure(bench: &mut Bench, messages: usize, conversations: usize) -> Result<()> {
    bench.say(&format!("chat stored: making {conversations} conversations"));
    let folder = bench.folder()?;
    let path = folder.path().to_owned();
    let mut world = World::start(folder).await?;
    let pairs = pairs(&mut world, conversations).await?;
    bench.say(&format!("chat stored: {messages} messages"));
    let empty = bytes_below(&path)?;
    let rate = fill(&world, &pairs, messages).await?;
    let bare = bare(bench, messages.min(200_000)).await?;
    let name =
        format!("owner alone, messages of {CHARS} characters over {conversations} conversations, {AT_ONCE} at once");
    let row = Row::new(name, rate, "messages/s").beside("bare engine commits of as many records, rows and bytes", bare);
    bench.report.add(row.goal(Goal::ratio(OWNER_RATIO_MIN)));
    cached(bench, &world, conversations);
    pages(bench, &world, &pairs, messages).await?;
    let rows = row_bytes(&world, pairs[0]).await?;
    // Until it is dropped the folder is there.
    let folder = world.stop().await;
    disk(bench, folder.path(), empty, (messages, rows))
}

/// Memory of conversations that stay decoded with their owners.
fn cached(bench: &mut Bench, world: &World, touched: usize) {
    let owners = world.app.chat().status().owners;
    let count: usize = owners.iter().map(|owner| owner.conversations_cached).sum();
    let bytes: u64 = owners.iter().map(|owner| owner.cached_bytes).sum();
    let name = format!("state of a conversation of two in its owner's cache, of {count}, as it is weighed");
    let row = Row::new(name, bytes as f64 / count.max(1) as f64, "bytes");
    bench.report.add(row.goal(Goal::at_most(STATE_BYTES_MAX)));
    let name = format!("all states in the cache, after {touched} conversations were touched");
    let bound = CONVERSATIONS_CACHED_BYTES_MAX * owners.len() as u64;
    bench.report.add(Row::new(name, mib(bytes), "MiB").goal(Goal::at_most(mib(bound))));
    let name = format!("the process then, with the bench's {touched} pairs: resident");
    bench.report.add(Row::new(name, mib(machine::resident_bytes()), "MiB"));
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Bytes of what a message leaves in tables, as the engine gets it: the message with its key, and its send.
async fn row_bytes(world: &World, Pair { sender, conversation, .. }: Pair) -> Result<[usize; 2]> {
    let message = keys::numbered(keys::MESSAGES, conversation, 1);
    // The first that was said there was the very first.
    let send = keys::send(conversation, sender, &client_id(0));
    let mut found = [0; 2];
    for (bytes, key) in found.iter_mut().zip([message, send]) {
        let value = world.app.core().store.get(&key).await?;
        let value = value.ok_or_else(|| BenchError::Wrong(format!("no row of {}", key.table.name)))?;
        *bytes = ROW_HEAD_BYTES + key.partition.len() + key.clustering.len() + value.len();
    }
    Ok(found)
}

/// Id that the sender of a message chose.
fn client_id(number: usize) -> String {
    format!("{number:032}")
}

/// Texts of words by chance: what repeats itself would be compressed to nothing.
fn texts() -> Vec<String> {
    let mut random = Random::new(2);
    let mut letters =
        |count: u64| -> String { (0..count).map(|_| char::from(b'a' + random.below(26) as u8)).collect() };
    let words: Vec<String> = (0..WORDS).map(|number| letters(2 + number % 9)).collect();
    let mut random = Random::new(1);
    let text = |_| {
        let mut text = String::new();
        while text.len() < CHARS {
            text += &words[random.index(words.len())];
            text.push(' ');
        }
        text.truncate(CHARS);
        text
    };
    (0..TEXTS).map(text).collect()
}

/// Messages a second that the owner takes.
async fn fill(world: &World, pairs: &[Pair], messages: usize) -> Result<f64> {
    let texts = texts();
    let chat = world.app.chat();
    let mut random = Random::new(3);
    let began = Instant::now();
    let records = (0..messages).map(|number| {
        let pair = if number % LONG_EVERY == 0 { 0 } else { random.index(pairs.len()) };
        let Pair { sender, conversation, .. } = pairs[pair];
        let sent = Sent {
            client_id: client_id(number),
            body: format!("{number:032x}"),
            kind: MessageKind::Text,
            said: Said { text: texts[number % texts.len()].clone(), ..Said::default() },
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
        engines.journal.commit(partition, turn, &records, &rows).await?;
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

/// Disk of the messages in `folder`, whose server has stopped.
fn disk(bench: &mut Bench, folder: &Path, before: u64, (messages, rows): (usize, [usize; 2])) -> Result<()> {
    bench.say("chat stored: compacting");
    let each = |bytes: u64| bytes as f64 / messages as f64;
    let at_once = each(bytes_below(folder)?.saturating_sub(before));
    let data = DataDir::open(folder).map_err(|error| BenchError::Wrong(error.to_string()))?;
    let families = embedded::compact(&data.store(), &serve::engine_settings(&Settings::default()))?;
    let chat = families.iter().find(|family| family.name == CHAT.name);
    let chat = chat.ok_or_else(|| BenchError::Wrong("no family of chat".to_owned()))?;
    let what = format!("disk of a message of {CHARS} characters, {messages} of them");
    let row = Row::new(format!("{what}, compacted: tables"), each(chat.rows), "bytes");
    bench.report.add(row.goal(Goal::at_most(DISK_BYTES_MAX)));
    bench.report.add(Row::new("of it: its record in the journal, apart", each(chat.journal), "bytes"));
    for (what, bytes) in ["message", "send, which goes after 7 days"].into_iter().zip(rows) {
        bench.report.add(Row::new(format!("of it: row of the {what}, uncompressed"), bytes as f64, "bytes"));
    }
    bench.report.add(Row::new("the same before: all files, with what is written ahead", at_once, "bytes"));
    Ok(())
}

async fn pages(bench: &mut Bench, world: &World, pairs: &[Pair], messages: usize) -> Result<()> {
    bench.say("chat stored: pages");
    let chat = world.app.chat();
    let long = (messages / LONG_EVERY) as u64;
    let mut random = Random::new(5);
    let (mut newest, mut after) = (Vec::new(), Vec::new());
    for _ in 0..bench.size(20_000, 1_000) {
        let Pair { reader, conversation, .. } = pairs[random.index(pairs.len())];
        let began = Instant::now();
        chat.page(reader, conversation, MessagesAt::Newest, PAGE).await?;
        newest.push(began.elapsed().as_secs_f64() * 1e3);
        let (seq, began) = (random.below(long - PAGE), Instant::now());
        let page = chat.page(pairs[0].reader, pairs[0].conversation, MessagesAt::After(seq), PAGE).await?;
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
