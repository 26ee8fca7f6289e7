//! The dispatcher before a shard that takes nothing: it goes on, sheds what is not urgent at its bounds, and says so.
//! News of records before it: in the order of ids, however many partitions settle them.

use std::collections::BTreeSet;

use fanfare_protocol::Stream;
use smallvec::smallvec;
use tokio::sync::oneshot;

use super::*;
use crate::base::limits::realtime::{
    AUDIENCE_SLICE, BACKLOG_MAX, COMMANDS_MAX, COMMANDS_RESERVED, OUTBOX_MAX, POSTED_MAX,
};
use crate::config::Settings;
use crate::log::events::{Event, Record};
use crate::log::outcome::Outcome;
use crate::realtime::deliver::{Audience, ItemRef};
use crate::realtime::frame::{Durable, Frame};
use crate::realtime::session::SessionId;
use crate::realtime::signals::{BulkItem, BulkPost};

const ANN: Id = Id(7);
const BOB: Id = Id(8);
/// Longest wait for what must happen.
const PATIENCE: Duration = Duration::from_secs(60);

struct FakeFollowees(Vec<Id>);

#[async_trait::async_trait]
impl FolloweeSource for FakeFollowees {
    async fn followees(&self, _: Id) -> Result<Vec<Id>> {
        Ok(self.0.clone())
    }

    async fn lets_see(&self, _: Id, viewers: &[Id]) -> Result<Vec<bool>> {
        Ok(vec![true; viewers.len()])
    }
}

/// A dispatcher with one shard whose thread does not run, and sessions of people who follow Bob, Ann the first of them.
struct World {
    shared: Arc<SharedState>,
    shard: Shard,
    _running: JoinSet<()>,
}

impl World {
    async fn new(readers: usize) -> Self {
        let RealtimeSetup { shared, mut shards, handles, signals, .. } = setup();
        let dispatcher = Dispatcher::new(Parts {
            shared: Arc::clone(&shared),
            shards: handles,
            renderers: Vec::new(),
            producers: Vec::new(),
            followees: Arc::new(FakeFollowees(vec![BOB])),
            sources: Sources::new(Vec::new(), Vec::new()),
            presence: Arc::new(Mutex::new(PresenceTable::new(1_000, 10))),
        });
        let mut running = JoinSet::new();
        running.spawn(dispatcher.run(signals));
        let mut world = Self { shared, shard: shards.remove(0), _running: running };
        let others = (0..).map(|number| Id(1_000 + number));
        for (number, user) in std::iter::once(ANN).chain(others).take(readers).enumerate() {
            let session = SessionId::new(0, 0, 1, number as u32);
            world.shared.signals.send(Signal::Joined { user, session, from: [Id(0); 4] }).await.unwrap();
        }
        // The follows are known when the replay of nothing comes.
        for _ in 0..readers {
            let greeted = tokio::time::timeout(PATIENCE, world.shard.inbox().0.recv()).await.unwrap();
            assert!(matches!(greeted, Some(Command::Replayed { replay: Some(_), .. })));
        }
        world
    }

    async fn deliver(&self, deliver: Deliver) {
        self.shared.signals.send(Signal::Deliver { deliver, sessions: None }).await.unwrap();
    }

    /// Waits until the dispatcher has come to what was handed in just now.
    async fn heard(&self) {
        let (sessions, heard) = oneshot::channel();
        let nobody = Audience::People(smallvec![]);
        let deliver = Deliver::frame(nobody, Frame::passing("x", fanfare_protocol::Lane::Normal, 0, &()));
        self.shared.signals.send(Signal::Deliver { deliver, sessions: Some(sessions) }).await.unwrap();
        tokio::time::timeout(PATIENCE, heard).await.expect("the dispatcher does not wait").unwrap();
    }
}

#[tokio::test]
async fn frames_of_a_group_are_shed_with_a_gap_and_nobody_waits() {
    const SHED: u64 = 25;
    let mut world = World::new(1).await;
    let many = (COMMANDS_MAX - COMMANDS_RESERVED + OUTBOX_MAX) as u64 + SHED;
    for id in 1..=many {
        let frame = Frame::durable("message", Durable::one(Stream::Group, Id(id)), 0, &());
        world.deliver(Deliver::frame(Audience::People(smallvec![ANN]), frame)).await;
    }
    world.heard().await;
    let (mut sent, mut lost) = (BTreeSet::new(), None);
    while sent.len() as u64 + SHED < many || lost.is_none() {
        // What is held is tried again with the next signal.
        let _ = world.shared.signals.try_send(Signal::Tick);
        match tokio::time::timeout(PATIENCE, world.shard.inbox().0.recv()).await.unwrap() {
            Some(Command::Deliver { sessions, frame }) => {
                assert_eq!(sessions.len(), 1);
                let id = frame.items().unwrap().ids[0];
                assert!(sent.last().is_none_or(|last| *last < id), "in order");
                sent.insert(id);
            }
            Some(Command::Lost { sessions, stream: Stream::Group, loss }) => {
                let gap = loss.gap(Stream::Group);
                assert_eq!((sessions.unwrap().len(), gap.count), (1, SHED));
                assert!(sent.last().is_some_and(|last| *last == gap.after), "told of at its place");
                assert_eq!(gap.before.0 - gap.after.0 - 1, SHED);
                lost = Some(gap);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn bulk_beyond_the_backlog_is_shed_with_a_gap_and_nobody_is_sent_away() {
    const SHED: u64 = 25;
    let mut world = World::new(1).await;
    let many = (POSTED_MAX + BACKLOG_MAX) as u64 + SHED;
    for id in 1..=many {
        let item = ItemRef { key: Id(id), kind: 0, listed: true, about: [Id(id), BOB] };
        world.deliver(Deliver::reference(Audience::Followers(BOB), item)).await;
    }
    world.heard().await;
    let (mut last, mut came, mut lost) = (Id(0), 0, 0);
    while came + lost < many {
        let BulkPost { sessions, item } =
            tokio::time::timeout(PATIENCE, world.shard.inbox().1.recv()).await.unwrap().unwrap();
        assert_eq!(sessions.len(), 1);
        match item {
            BulkItem::Reference(item) => {
                assert!(last < item.key, "in order");
                (last, came) = (item.key, came + 1);
            }
            BulkItem::Lost(loss) => {
                let gap = loss.gap(Stream::Posts);
                assert_eq!(gap.after, last, "told of at its place");
                (last, lost) = (loss.high(), lost + gap.count);
            }
        }
    }
    assert_eq!(lost, SHED);
    assert!(world.shard.inbox().0.try_recv().is_err(), "no drain, no command at all");
}

/// An audience of more than one slice lacks each item once, however many slices it is told in.
#[tokio::test]
async fn an_item_that_is_shed_counts_once_for_a_large_audience() {
    const SHED: u64 = 25;
    let mut world = World::new(AUDIENCE_SLICE + 1).await;
    // Two posts an item.
    let many = (POSTED_MAX / 2 + BACKLOG_MAX) as u64 + SHED;
    for id in 1..=many {
        let item = ItemRef { key: Id(id), kind: 0, listed: true, about: [Id(id), BOB] };
        world.deliver(Deliver::reference(Audience::Followers(BOB), item)).await;
    }
    world.heard().await;
    let mut told = 0;
    while told <= AUDIENCE_SLICE {
        let BulkPost { sessions, item } =
            tokio::time::timeout(PATIENCE, world.shard.inbox().1.recv()).await.unwrap().unwrap();
        if let BulkItem::Lost(loss) = item {
            assert_eq!(loss.gap(Stream::Posts).count, SHED);
            told += sessions.len();
        }
    }
}

fn setup() -> RealtimeSetup {
    let settings = RealtimeSettings { shards: 1, ..RealtimeSettings::of(&Settings::default()) };
    RealtimeSetup::new(settings, b"secret", Clock::system(), Horizon::default()).unwrap()
}

fn records(ids: impl IntoIterator<Item = u64>) -> Vec<Committed> {
    let record = |id| {
        let record = Record { id: Id(id), event: Event::Operated, idempotency: None, import_line: None, audit: None };
        Committed { record: Arc::new(record), outcome: Outcome::default() }
    };
    ids.into_iter().map(record).collect()
}

/// A notification whose key is the id of what it follows from, in another partition.
fn notice(key: u64) -> (Id, ItemMaker) {
    let make = move || {
        let frame = Frame::durable("notification", Durable::one(Stream::Notifications, Id(key)), 0, &());
        Some(Deliver::frame(Audience::People(smallvec![ANN]), frame))
    };
    (Id(key), Box::new(make))
}

/// Keys of what the dispatcher is told, and the mark that comes last.
fn told(setup: &mut RealtimeSetup) -> (Vec<u64>, Option<Mark>) {
    let (mut keys, mut last) = (Vec::new(), None);
    while let Ok(signal) = setup.signals.try_recv() {
        match signal {
            Signal::Committed(record, mark) => {
                keys.push(record.id.0);
                last = Some(mark);
            }
            Signal::Deliver { deliver: Deliver { item: crate::realtime::Item::Frame(frame), .. }, .. } => {
                keys.extend(frame.items().unwrap().ids.iter().map(|id| id.0));
            }
            Signal::Told { mark, .. } => last = Some(mark),
            other => panic!("{other:?}"),
        }
    }
    (keys, last)
}

#[tokio::test]
async fn news_of_several_partitions_come_in_the_order_of_ids_as_the_horizon_comes_to_them() {
    let mut setup = setup();
    let publisher = setup.publisher();
    publisher.committed(&records([5, 8]), std::iter::empty(), Id(6));
    let (keys, mark) = told(&mut setup);
    assert_eq!((keys, mark.map(|mark| mark.upto)), (vec![5], Some(Id(6))), "7 is on its way elsewhere");
    publisher.committed(&records([10]), [notice(8)].into_iter(), Id(6));
    assert!(told(&mut setup).0.is_empty());
    assert_eq!(setup.shared.committed()[Track::Social as usize], Id(5), "a reading ends below what is to be pushed");
    publisher.committed(&records([7, 9]), std::iter::empty(), Id(9));
    let (keys, mark) = told(&mut setup);
    assert_eq!((keys, mark.map(|mark| mark.upto)), (vec![7, 8, 8, 9], Some(Id(9))));
    publisher.moved_on(Id(12));
    let (keys, mark) = told(&mut setup);
    assert_eq!((keys, mark.map(|mark| mark.upto)), (vec![10], Some(Id(12))));
}

/// Of a partition without an owner the horizon waits for very long.
#[tokio::test]
async fn sessions_come_back_for_news_that_were_too_many_to_be_kept() {
    let mut setup = setup();
    let (publisher, many) = (setup.publisher(), NEWS_MAX as u64);
    publisher.committed(&records(100..=100 + many), std::iter::empty(), Id(50));
    publisher.committed(&records([60_000]), std::iter::empty(), Id(50));
    assert!(told(&mut setup).0.is_empty() && !setup.shared.overflowed.load(Ordering::Acquire));
    publisher.moved_on(Id(70_000));
    assert!(setup.shared.overflowed.load(Ordering::Acquire));
    assert_eq!(setup.shared.committed()[Track::Social as usize], Id(70_000), "they find all of it in the rows");
    let (keys, mark) = told(&mut setup);
    let numbers = mark.map(|mark| (mark.number, mark.upto));
    // What nobody was told of has a number too: until sessions are asked to come back, no watermark passes it.
    assert_eq!((keys, numbers), (vec![60_000], Some((4, Id(70_000)))));
}
