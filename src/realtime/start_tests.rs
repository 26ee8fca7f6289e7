//! The dispatcher before a shard that takes nothing: it goes on, sheds what is not urgent at its bounds, and says so.

use std::collections::BTreeSet;

use fanfare_protocol::Stream;
use smallvec::smallvec;
use tokio::sync::oneshot;

use super::*;
use crate::base::limits::realtime::{
    AUDIENCE_SLICE, BACKLOG_MAX, COMMANDS_MAX, COMMANDS_RESERVED, OUTBOX_MAX, POSTED_MAX,
};
use crate::config::Settings;
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
        let settings = RealtimeSettings { shards: 1, ..RealtimeSettings::of(&Settings::default()) };
        let setup = RealtimeSetup::new(settings, b"secret", Clock::system(), Horizon::default()).unwrap();
        let RealtimeSetup { shared, mut shards, handles, signals, .. } = setup;
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
