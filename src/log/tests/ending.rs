//! Partitions of which something stored cannot be read, over the engine on disk and over one that keeps the ports'
//! promises and nothing else: what stands on it is refused, nothing is skipped, and all else goes on.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::claim::Claim;
use fanfare_engines::delegate::TablesDelegate;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::{
    Batch, Claimant, EngineError, Engines, NewFamily, NewRecord, Partition, Position, RowKey, Tables, embedded,
};
use fanfare_protocol::{ConversationKind, Id};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::chat::{beginning, sent};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::chat::counts::{ChatCounts, ChatPart};
use crate::chat::family::{ChatCommitted, ChatFamily};
use crate::chat::fold::record::{ChatAct, ChatRecord};
use crate::data::families;
use crate::data::storage::Storage;
use crate::data::store::Store;
use crate::data::tables::chat as keys;
use crate::log::events::Event;
use crate::log::handle::{Log, LogSetup};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::owner::OwnerThreads;
use crate::log::owners::FamilyLog;
use crate::log::roster::Alone;

const ANN: Id = Id(1);

/// Engines that outlive the nodes over them.
enum World {
    OnDisk(TempDir),
    Hostile(Hostile),
}

impl World {
    /// Worlds of each kind, with two partitions of chat.
    fn both() -> [Self; 2] {
        let hostile = Hostile::with_families(1, &Self::families(), Faults::NONE).unwrap();
        [Self::OnDisk(TempDir::new().unwrap()), Self::Hostile(hostile)]
    }

    fn families() -> [NewFamily; 2] {
        [(families::SOCIAL, 1), (families::CHAT, 2)].map(|(one, count)| NewFamily { partitions: Some(count), ..one })
    }

    fn engines(&self) -> Engines {
        match self {
            Self::Hostile(world) => world.engines(),
            Self::OnDisk(folder) => {
                let families = Self::families().into();
                let settings = embedded::Settings { families, free_bytes_min: 0, ..embedded::Settings::default() };
                embedded::open(folder.path(), &settings).unwrap()
            }
        }
    }
}

struct Node {
    engines: Engines,
    log: Log,
    chat: FamilyLog<ChatFamily>,
    counts: Arc<ChatCounts>,
    storage: Storage,
    threads: [OwnerThreads; 2],
}

impl Node {
    async fn open(engines: Engines) -> Self {
        let (clock, storage) = (Clock::system(), Storage::default());
        let setup = LogSetup {
            clock: clock.clone(),
            numbers: Numbers::of_node(0),
            storage: storage.clone(),
            roster: Arc::new(Alone),
            horizon: Horizon::default(),
        };
        let (log, social) = Log::open(&engines, Vec::new(), setup).await.unwrap();
        let (store, counts) = (Arc::new(Store::new(engines.clone(), clock)), Arc::new(ChatCounts::default()));
        let make = |partition: Partition| {
            let counted = (ChatPart::new(partition), Arc::clone(&counts));
            ChatFamily::new(Arc::clone(&store), Vec::new(), counted, log.spread())
        };
        let (chat, threads) = log.open_family(&engines, make).await.unwrap();
        Self { engines, log, chat, counts, storage, threads: [social, threads] }
    }

    async fn close(self) {
        let Self { engines, log, chat, threads, .. } = self;
        drop((log, chat));
        tokio::task::spawn_blocking(|| threads.map(OwnerThreads::join)).await.unwrap();
        drop(engines);
    }

    /// Conversations of Ann's: two in the first partition of chat, and one in the second.
    async fn conversations(&self) -> [Id; 3] {
        let mut of_partitions: [Vec<Id>; 2] = Default::default();
        for peer in 2..80 {
            let conversation = keys::direct_id(ANN, Id(peer));
            of_partitions[usize::from(self.place(conversation))].push(conversation);
            if of_partitions[0].len() <= 2 || of_partitions[1].len() <= 1 {
                let begun = beginning(vec![Id(peer)], ConversationKind::Direct);
                self.act(conversation, begun).await.unwrap();
            }
        }
        [of_partitions[0][0], of_partitions[0][1], of_partitions[1][0]]
    }

    fn place(&self, conversation: Id) -> u16 {
        let first = self.engines.families.get(families::CHAT.name).unwrap().first;
        self.chat.partition_of(conversation).0 - first.0
    }

    async fn act(&self, conversation: Id, act: ChatAct) -> Result<ChatCommitted> {
        let record = ChatRecord::new(conversation, ANN, act);
        self.chat.propose(conversation, record).await?.durable().await
    }

    /// Sends a message, and answers its number.
    async fn say(&self, conversation: Id, text: &str) -> Result<u64> {
        let committed = self.act(conversation, sent(text.to_owned(), text.to_owned())).await?;
        assert!(self.chat.horizon().reached() >= committed.record.id, "nothing holds it up");
        committed.outcome.seq.ok_or_else(|| Error::Internal(format!("{:?}", committed.outcome)))
    }

    /// Somebody else claims the log of `conversation`, and writes what nobody here can read.
    async fn is_written_by_others(&self, conversation: Id, payload: &'static str) {
        let (journal, partition) = (Arc::clone(&self.engines.journal), self.chat.partition_of(conversation));
        let claimant = Claimant { node: "another".to_owned(), is_import: false };
        let mut claim = Claim::take(journal, partition, claimant).await.unwrap();
        let id = claim.position().last_id + 1;
        let record = NewRecord { id, payload: Bytes::from_static(payload.as_bytes()) };
        claim.append(&[record], &Batch::default()).await.unwrap();
    }

    /// Number of records in the log of `conversation`, and the last.
    async fn log_of(&self, conversation: Id) -> (usize, Bytes) {
        let partition = self.chat.partition_of(conversation);
        let page = self.engines.journal.read(partition, Position::START, 1_000).await.unwrap();
        (page.records.len(), page.records.last().unwrap().payload.clone())
    }

    /// Overwrites a row, or what it was; answers that.
    async fn overwrite(&self, key: &RowKey, value: Bytes) -> Bytes {
        let before = self.engines.tables.get(key).await.unwrap().unwrap();
        let mut batch = Batch::default();
        batch.put_versioned(key.clone(), value, self.log.mint().await.unwrap().0);
        self.engines.tables.write(batch).await.unwrap();
        before
    }

    async fn people_go_on(&self) {
        let guard = self.log.decide(ANN, &[]).await.unwrap();
        self.log.commit(&guard, Event::Operated).await.unwrap();
    }
}

fn cause_of<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    match outcome {
        Err(Error::Damaged(cause)) => cause.to_string(),
        other => panic!("{other:?}"),
    }
}

/// All storage of the node ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_when_a_partition_is_regained_ends_that_one_alone() {
    for world in World::both() {
        let node = Node::open(world.engines()).await;
        let [there, beside, elsewhere] = node.conversations().await;
        node.say(there, "one").await.unwrap();
        let unreadable = r#"{"v":2,"record":{}}"#;
        node.is_written_by_others(there, unreadable).await;
        let fenced = node.say(there, "two").await;
        assert!(matches!(fenced, Err(Error::Engine(EngineError::Unknown(_)))), "{fenced:?}: nobody knows");
        for number in 0..3 {
            let text = format!("after {number}");
            for conversation in [there, beside] {
                let cause = cause_of(node.say(conversation, &text).await);
                let partition = node.chat.partition_of(there).0;
                assert!(cause.contains(&format!("partition {partition}, offset ")), "{cause}");
            }
            node.say(elsewhere, &text).await.unwrap();
            node.people_go_on().await;
        }
        assert!(!node.storage.has_failed() && node.storage.serves() && !node.storage.is_whole());
        let takes: Vec<bool> = node.chat.states().map(|(_, _, takes)| takes).collect();
        assert_eq!(takes, [false, true]);
        assert_eq!(node.log_of(there).await.1, unreadable, "nothing is written behind it");
        node.close().await;
        let node = Node::open(world.engines()).await;
        cause_of(node.say(there, "two").await);
        node.say(elsewhere, "two").await.unwrap();
        node.close().await;
    }
}

/// Rows that a conversation is decided on, in every table.
fn rows_of(conversation: Id) -> [RowKey; 3] {
    let members = keys::of_conversation(keys::MEMBERS, conversation).partition;
    [
        keys::of_conversation(keys::HEADS, conversation),
        keys::of_conversation(keys::INFOS, conversation),
        RowKey::new(keys::MEMBERS, members, ANN.to_bytes().to_vec()),
    ]
}

/// All storage of the node ended with the first send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_refuses_what_stands_on_it_and_nothing_else() {
    for world in World::both() {
        let node = Node::open(world.engines()).await;
        let [damaged, beside, elsewhere] = node.conversations().await;
        node.say(damaged, "one").await.unwrap();
        node.say(beside, "one").await.unwrap();
        let (mut records, mut seq) = (node.log_of(damaged).await.0, 1);
        node.close().await;
        for (turn, key) in rows_of(damaged).iter().enumerate() {
            let node = Node::open(world.engines()).await;
            let before = node.overwrite(key, Bytes::from_static(b"\x00damage")).await;
            let text = format!("turn {turn}");
            let answers =
                tokio::join!(node.say(damaged, &text), node.say(beside, &text), node.say(damaged, "once more"));
            for cause in [cause_of(answers.0), cause_of(answers.2)] {
                assert!(cause.contains(key.table.name) && cause.contains("does not decode"), "{cause}");
            }
            answers.1.unwrap();
            let barred = ChatAct::Barred { other: Id(2), on: true, source: Id(9) };
            cause_of(node.act(damaged, barred).await);
            node.say(elsewhere, &text).await.unwrap();
            node.people_go_on().await;
            assert!(node.storage.serves() && node.storage.is_whole());
            assert_eq!(node.counts.status(Vec::new()).refusals.get("damaged"), Some(&3));
            assert_eq!(node.log_of(damaged).await.0, records + 1, "what was refused is in no log");
            // It is mended, and goes on where it was, with nothing skipped.
            node.overwrite(key, before).await;
            seq += 1;
            assert_eq!(node.say(damaged, &text).await.unwrap(), seq, "the same send");
            records += 2;
            node.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_message_or_send_refuses_those_alone_who_need_it() {
    for world in World::both() {
        let node = Node::open(world.engines()).await;
        let [conversation, ..] = node.conversations().await;
        for text in ["one", "two"] {
            node.say(conversation, text).await.unwrap();
        }
        let send = keys::send(conversation, ANN, "two");
        node.overwrite(&keys::numbered(keys::MESSAGES, conversation, 1), Bytes::from_static(b"{")).await;
        node.overwrite(&send, Bytes::from_static(b"")).await;
        let cause = cause_of(node.act(conversation, ChatAct::Recalled { seq: 1, within_ms: None }).await);
        assert!(cause.contains(keys::MESSAGES.name), "{cause}");
        assert!(cause_of(node.say(conversation, "two").await).contains(keys::SENDS.name));
        assert_eq!(node.say(conversation, "three").await.unwrap(), 3);
        node.act(conversation, ChatAct::Recalled { seq: 2, within_ms: None }).await.unwrap();
        node.close().await;
    }
}

/// Tables of which one row is in a block that is damaged: an answer that has it is none.
struct Damaged {
    behind: Arc<dyn Tables>,
    key: Mutex<Option<RowKey>>,
}

impl Damaged {
    fn look(&self, keys: &[RowKey]) -> Result<(), EngineError> {
        let is_in = self.key.lock().as_ref().is_some_and(|damaged| keys.contains(damaged));
        if is_in { Err(EngineError::Corrupt("a checksum".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl TablesDelegate for Damaged {
    fn behind(&self) -> &dyn Tables {
        &*self.behind
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        self.look(std::slice::from_ref(key))?;
        self.behind.get(key).await
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.look(keys)?;
        self.behind.get_many(keys).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_the_engine_cannot_read_keeps_nobody_elses_from_being_read() {
    for world in World::both() {
        let engines = world.engines();
        let tables = Arc::new(Damaged { behind: Arc::clone(&engines.tables), key: Mutex::default() });
        let node = Node::open(Engines { tables: tables.clone(), ..engines }).await;
        let [damaged, beside, _] = node.conversations().await;
        *tables.key.lock() = Some(keys::send(damaged, ANN, "same"));
        let sends = (0..20).map(|number| {
            let (conversation, text) = match number {
                7 => (damaged, "same".to_owned()),
                number => (beside, format!("{number}")),
            };
            let node = &node;
            async move { (number, node.say(conversation, &text).await) }
        });
        for (number, said) in futures_util::future::join_all(sends).await {
            match number {
                7 => assert!(cause_of(said).contains("a checksum")),
                _ => drop(said.unwrap()),
            }
        }
        *tables.key.lock() = None;
        assert_eq!(node.say(damaged, "same").await.unwrap(), 1);
        assert!(node.storage.is_whole());
        drop(tables);
        node.close().await;
    }
}
