//! Uploads for messages beside a plain model: no file goes under a message, and none stays longer than it must.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::{Batch, Engines};
use fanfare_protocol::Id;
use proptest::prelude::*;

use super::private::{ForMessages, uses};
use super::service::object_key;
use super::{Addresses, MediaLimits, MediaSettings, MediaTables, Upload, Uploads, Variant};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits::media::{ATTACHING_MS, UNATTACHED_MS, UNUSED_MS};
use crate::data::store::Store;
use crate::data::tables::{self, chat as keys};
use crate::log::core::Owners;
use crate::log::writers::{Writers, Writing};

const OWNER: Id = Id(7);
const CONVERSATION: Id = Id(9);
const MINUTE_MS: u64 = 60_000;
const START_MS: u64 = 1_900_000_000_000;

struct Everybody;

#[async_trait]
impl Owners for Everybody {
    async fn writing(&self, person: Id) -> Result<Writing> {
        Ok(Writers::default().begin(person))
    }
}

/// An upload as the model knows it.
struct File {
    id: Id,
    uses: BTreeSet<u64>,
    ended_ms: Option<u64>,
    gone: bool,
}

impl File {
    /// Whether its time is over.
    fn is_due(&self, now_ms: u64) -> bool {
        let end_ms = self.ended_ms.map_or(unix_ms_of(self.id) + UNATTACHED_MS, |ended_ms| ended_ms + UNUSED_MS);
        self.uses.is_empty() && now_ms >= end_ms
    }
}

struct Stage {
    media: Uploads,
    store: Arc<Store>,
    engines: Engines,
    /// The last id: time goes on in ids.
    last: Arc<AtomicU64>,
    now_ms: u64,
    files: Vec<File>,
    /// Messages that may be written up to a moment, by file.
    allowed: Vec<(usize, u64)>,
    next_seq: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Upload,
    /// The owner wants to attach a file.
    Attach(prop::sample::Index),
    /// Somebody passes on a message that holds it.
    PassOn(prop::sample::Index),
    /// A message that was allowed is written.
    Write(prop::sample::Index),
    /// A message is taken back.
    TakeBack(prop::sample::Index),
    Wait(u64),
    Clean,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        2 => Just(Step::Upload),
        4 => index().prop_map(Step::Attach),
        3 => index().prop_map(Step::PassOn),
        6 => index().prop_map(Step::Write),
        4 => index().prop_map(Step::TakeBack),
        4 => (0..50_u64).prop_map(Step::Wait),
        1 => (600..1_500_u64).prop_map(Step::Wait),
        5 => Just(Step::Clean),
    ]
}

impl Stage {
    fn new() -> Self {
        let engines = fanfare_engines::memory::open(1).unwrap();
        let store = Arc::new(Store::new(engines.clone(), Clock::system()));
        let last = Arc::new(AtomicU64::new(first_id_at(START_MS).0));
        let next = Arc::clone(&last);
        let mint = Arc::new(move || Id(next.fetch_add(1, Ordering::Relaxed) + 1));
        let addresses = Addresses::new(b"secret", String::new(), 1).unwrap();
        let settings = MediaSettings { limits: MediaLimits::default(), addresses };
        let names = MediaTables { media: tables::MEDIA, owners: tables::MEDIA_OWNERS };
        let owners = Arc::new(Everybody);
        let media = Uploads::new(Arc::clone(&store), &engines.objects, mint, owners, names, settings, Clock::system());
        Self { media, store, engines, last, now_ms: START_MS, files: Vec::new(), allowed: Vec::new(), next_seq: 1 }
    }

    fn record(&self) -> Id {
        Id(self.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Upload => {
                let room = self.media.room(OWNER, 1).unwrap();
                let (filename, alt, bytes) = (None, None, Bytes::from_static(b"a"));
                let upload = Upload { filename, alt, private: true, bytes, room };
                let id = self.media.upload(OWNER, upload).await.unwrap().id;
                self.files.push(File { id, uses: BTreeSet::new(), ended_ms: None, gone: false });
            }
            Step::Wait(minutes) => {
                self.now_ms += minutes * MINUTE_MS;
                self.last.fetch_max(first_id_at(self.now_ms).0, Ordering::Relaxed);
            }
            Step::Clean => self.media.clean(self.now_ms).await.unwrap(),
            Step::Attach(at) if !self.files.is_empty() => self.attach(at.index(self.files.len())).await,
            Step::PassOn(at) if !self.files.is_empty() => {
                let at = at.index(self.files.len());
                if !self.files[at].uses.is_empty() {
                    self.allowed.push((at, self.now_ms + ATTACHING_MS));
                }
            }
            Step::Write(at) if !self.allowed.is_empty() => {
                let (at, until_ms) = self.allowed.remove(at.index(self.allowed.len()));
                // Else the fold refuses it.
                if self.now_ms < until_ms {
                    self.write(at).await;
                }
            }
            Step::TakeBack(at) => self.take_back(at).await,
            Step::Attach(_) | Step::PassOn(_) | Step::Write(_) => {}
        }
        self.allowed.retain(|(_, until_ms)| self.now_ms < *until_ms);
    }

    async fn attach(&mut self, at: usize) {
        let file = &self.files[at];
        let found = self.media.for_messages(file.id, OWNER, self.now_ms).await.unwrap();
        let in_time = self.now_ms < unix_ms_of(file.id) + UNATTACHED_MS - ATTACHING_MS;
        let is_free = !file.uses.is_empty() || file.ended_ms.is_none() && in_time;
        match found {
            ForMessages::Free(row, until_ms) => {
                assert!(is_free && !file.gone && row.id == file.id);
                self.allowed.push((at, until_ms));
            }
            ForMessages::Going => assert!(!is_free && !file.gone),
            ForMessages::Missing => assert!(file.gone),
            ForMessages::Public => panic!("nothing here is public"),
        }
    }

    async fn write(&mut self, at: usize) {
        let (record, seq) = (self.record(), self.next_seq);
        self.next_seq += 1;
        let mut batch = Batch::default();
        batch.put_versioned(keys::media_use(self.files[at].id, CONVERSATION, seq), Bytes::new(), record.0);
        self.store.write(batch).await.unwrap();
        self.files[at].uses.insert(seq);
    }

    /// Writes what the record of a recall does.
    async fn take_back(&mut self, which: &prop::sample::Index) {
        let all: Vec<(usize, u64)> =
            (0..).zip(&self.files).flat_map(|(at, file)| file.uses.iter().map(move |seq| (at, *seq))).collect();
        if all.is_empty() {
            return;
        }
        let (at, seq) = all[which.index(all.len())];
        let record = self.record();
        let file = &mut self.files[at];
        let due_ms = unix_ms_of(record) + UNUSED_MS;
        let mut batch = Batch::default();
        batch.delete_versioned(keys::media_use(file.id, CONVERSATION, seq), record.0);
        batch.put_versioned(keys::media_end(file.id), record.to_bytes().to_vec(), record.0);
        batch.put_versioned(keys::media_check(due_ms, file.id), Bytes::new(), record.0);
        self.store.write(batch).await.unwrap();
        file.uses.remove(&seq);
        file.ended_ms = Some(unix_ms_of(record));
    }

    async fn check(&mut self, cleaned: bool) {
        for (at, file) in self.files.iter_mut().enumerate() {
            let is_awaited = self.allowed.iter().any(|(of, _)| *of == at);
            let is_due = file.is_due(self.now_ms);
            assert!(!(is_awaited && is_due), "a message may come that holds {}", file.id);
            file.gone |= cleaned && is_due;
            let served = self.media.get(file.id).await.unwrap().is_some();
            let object = self.engines.objects.get(&object_key(file.id, Variant::Original), None).await.unwrap();
            assert_eq!((served, object.is_some()), (!file.gone, !file.gone), "{}", file.id);
            if file.gone {
                assert!(file.uses.is_empty());
            } else if !file.uses.is_empty() {
                assert_eq!(uses(&self.store, file.id).await.unwrap(), super::private::Uses::Some);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_file_goes_under_a_message_and_none_stays_without_one(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stage = Stage::new();
            for step in &steps {
                stage.take(step).await;
                stage.check(matches!(step, Step::Clean)).await;
            }
        });
    }
}
