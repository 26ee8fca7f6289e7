//! A session that resumes while two sources commit beside each other, so that ids are not committed in their order:
//! whatever is committed is in the replay, is sent after it, or is told of; and nothing that the replay has is sent
//! twice. And of conversations: what comes behind a replay that has it is a repeat by its key, and nothing else.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use fanfare_protocol::{Id, ServerEvent, ServerFrame, Stream};
use proptest::prelude::*;

use super::bulk::Bulk;
use super::cursor::stream_index;
use super::deliver::ItemRef;
use super::frame::{Durable, Frame};
use super::lanes::Lanes;
use super::source::Replay;

/// An item as it is committed: on the stream of notifications, or of posts.
#[derive(Debug, Clone, Copy)]
struct Committed {
    id: u64,
    is_post: bool,
}

/// Moments of the history, as numbers of items committed before them.
#[derive(Debug, Clone, Copy)]
struct Moments {
    /// The session is known to the dispatcher: what is committed from now on is held for it.
    joins: usize,
    /// The rows are read.
    reads: usize,
    /// Arrival of what was read at the session.
    arrives: usize,
}

fn frame(id: u64) -> Frame {
    Frame::durable("notification", Durable::one(Stream::Notifications, Id(id)), 0, &())
}

fn reference(id: u64) -> ItemRef {
    ItemRef { key: Id(id), kind: 0, listed: true, about: [Id(id), Id(0)] }
}

/// Items in the order of commits: the first source has the odd ids and the second the even ones, each in its order, and
/// `turns` says whose turn it is.
fn commits(turns: &[(bool, bool)]) -> Vec<Committed> {
    let mut next = [1, 2];
    let commit = |&(second, is_post): &(bool, bool)| {
        let id = next[usize::from(second)];
        next[usize::from(second)] += 2;
        Committed { id, is_post }
    };
    turns.iter().map(commit).collect()
}

/// Answer of the rows at `reads`: all that is committed by then, up to the highest id.
fn replay(committed: &[Committed]) -> Replay {
    let mut replay = Replay::default();
    for one in committed {
        let (stream, frame) = if one.is_post {
            let durable = Durable::one(Stream::Posts, Id(one.id));
            (Stream::Posts, Frame::durable("feed.posts", durable, 0, &()))
        } else {
            (Stream::Notifications, frame(one.id))
        };
        replay.frames.push(frame);
        replay.keys[stream_index(stream)].push(Id(one.id));
    }
    replay.keys.iter_mut().for_each(|keys| keys.sort_unstable());
    replay
}

proptest! {
    #[test]
    fn what_two_sources_commit_out_of_order_is_sent_once_or_told_of(
        turns in prop::collection::vec((any::<bool>(), any::<bool>()), 1..60),
        mut moments in (0_usize..60, 0_usize..60, 0_usize..60),
        budget in 100_usize..4_000,
    ) {
        let items = commits(&turns);
        let mut sorted = [&mut moments.0, &mut moments.1, &mut moments.2].map(|moment| (*moment).min(items.len()));
        sorted.sort_unstable();
        let moments = Moments { joins: sorted[0], reads: sorted[1], arrives: sorted[2] };
        let (mut lanes, mut bulk) = (Lanes::default(), Bulk::default());
        let hold = |one: &Committed, lanes: &mut Lanes, bulk: &mut Bulk| {
            if one.is_post {
                bulk.add(reference(one.id));
            } else {
                lanes.push(frame(one.id), budget);
            }
        };
        items[moments.joins..moments.arrives].iter().for_each(|one| hold(one, &mut lanes, &mut bulk));
        let had = replay(&items[..moments.reads]);
        bulk.drop_keys(&had.keys[stream_index(Stream::Posts)]);
        lanes.put_first(had, 0);
        items[moments.arrives..].iter().for_each(|one| hold(one, &mut lanes, &mut bulk));

        let mut sent: Vec<(Stream, u64)> = Vec::new();
        let mut told: BTreeSet<(usize, u64)> = BTreeSet::new();
        let mut tell = |stream: Stream, after: Id, before: Id| {
            told.extend((after.0 + 1..before.0).map(|id| (stream_index(stream), id)));
        };
        while let Some(frame) = lanes.pop(0) {
            match frame.items().filter(|items| !items.ids.is_empty()) {
                Some(items) => sent.extend(items.ids.iter().map(|id| (items.stream, id.0))),
                None => {
                    let text = [b"{", frame.text()].concat();
                    let event = serde_json::from_slice::<ServerFrame>(&text).unwrap().event().unwrap();
                    let ServerEvent::Gap(gap) = event else { panic!("{event:?}") };
                    tell(gap.stream, gap.after, gap.before);
                }
            }
        }
        if let Some((lost, waiting)) = bulk.take() {
            if let Some(gap) = lost.map(|lost| lost.gap(Stream::Posts)) {
                tell(gap.stream, gap.after, gap.before);
            }
            sent.extend(waiting.iter().map(|one| (Stream::Posts, one.key.0)));
        }
        for one in &items {
            let stream = if one.is_post { Stream::Posts } else { Stream::Notifications };
            let times = sent.iter().filter(|sent| **sent == (stream, one.id)).count();
            let is_told = told.contains(&(stream_index(stream), one.id));
            prop_assert!(times == 1 || times == 0 && is_told, "{one:?}: sent {times} times, told: {is_told}; {moments:?}");
        }
    }
}

/// A message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    id: u64,
    line: usize,
    seq: u64,
}

/// Step of a resume.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A message of a conversation is committed, and goes to the sessions that are known.
    Commit(usize),
    /// The session is known from now on.
    Join,
    /// The rows are read.
    Read,
    /// Arrival at the session of what was read.
    Arrive,
    /// The oldest message of a conversation that is on its way comes to the session.
    Come(usize),
    /// The client takes a frame.
    Take,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_usize..3).prop_map(Step::Commit),
        4 => (0_usize..3).prop_map(Step::Come),
        2 => Just(Step::Take),
        1 => Just(Step::Join),
        1 => Just(Step::Read),
        1 => Just(Step::Arrive),
    ]
}

/// A session that comes back while conversations go on, each by a way of its own to it.
#[derive(Default)]
struct Coming {
    committed: Vec<Said>,
    seqs: [u64; 3],
    on_the_way: [VecDeque<Said>; 3],
    joined: bool,
    read: Option<Replay>,
    arrived: bool,
    lanes: Lanes,
    taken: Vec<u64>,
}

fn message(id: u64) -> Frame {
    Frame::durable("message", Durable::one(Stream::Group, Id(id)), 0, &())
}

impl Coming {
    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(line) => {
                self.seqs[line] += 1;
                let said = Said { id: 1 + self.committed.len() as u64, line, seq: self.seqs[line] };
                self.committed.push(said);
                if self.joined {
                    self.on_the_way[line].push_back(said);
                }
            }
            Step::Join => self.joined = true,
            // The rows are read when the session is known, of one conversation after the other.
            Step::Read if self.joined && self.read.is_none() && !self.arrived => {
                let mut replay = Replay::default();
                for line in 0..self.seqs.len() {
                    let of_line = self.committed.iter().filter(|said| said.line == line);
                    replay.frames.extend(of_line.map(|said| message(said.id)));
                }
                replay.keys[stream_index(Stream::Group)] = self.committed.iter().map(|said| Id(said.id)).collect();
                self.read = Some(replay);
            }
            Step::Arrive => {
                if let Some(read) = self.read.take() {
                    self.arrived = true;
                    self.lanes.put_first(read, 0);
                }
            }
            Step::Come(line) => {
                if let Some(said) = self.on_the_way[line].pop_front() {
                    self.lanes.push(message(said.id), usize::MAX);
                }
            }
            // Nothing is sent before what was missed is there.
            Step::Take if self.arrived => {
                self.taken.extend(self.lanes.pop(0).iter().filter_map(Frame::items).map(|items| items.ids[0].0));
            }
            Step::Read | Step::Take => {}
        }
    }
}

proptest! {
    #[test]
    fn who_drops_what_has_a_known_key_sees_each_message_once_and_in_its_order(steps in prop::collection::vec(step(), 1..120)) {
        let mut coming = Coming::default();
        steps.into_iter().for_each(|step| coming.step(step));
        for step in [Step::Join, Step::Read, Step::Arrive] {
            coming.step(step);
        }
        for line in 0..3 {
            (0..coming.on_the_way[line].len()).for_each(|_| coming.step(Step::Come(line)));
        }
        while !coming.lanes.is_empty() {
            coming.step(Step::Take);
        }
        let (mut known, mut seen) = (BTreeSet::new(), BTreeMap::<usize, Vec<u64>>::new());
        for id in coming.taken {
            let said = coming.committed[id as usize - 1];
            if known.insert(id) {
                seen.entry(said.line).or_default().push(said.seq);
            }
        }
        for (line, last) in coming.seqs.into_iter().enumerate() {
            let seen = seen.get(&line).cloned().unwrap_or_default();
            prop_assert_eq!(seen, (1..=last).collect::<Vec<_>>());
        }
    }
}
