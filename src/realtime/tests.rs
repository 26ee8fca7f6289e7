//! A session that resumes while two sources commit beside each other, so that ids are not committed in their order:
//! whatever is committed is in the replay, is sent after it, or is told of; and nothing that the replay has is sent
//! twice.

use std::collections::BTreeSet;

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
