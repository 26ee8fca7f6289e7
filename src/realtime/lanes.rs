//! Lanes of one session, what waits for it to read: three queues with strict preference, a byte budget, and the story
//! of what was dropped. Pure.
//!
//! Urgent before normal before bulk; but after a run of frames of one lane a waiting lower lane gets one frame, so that
//! none starves. At the budget the oldest frames go, lowest lane first; of durable streams a gap tells of them, and a
//! stream that loses too much is reset.

use std::collections::VecDeque;

use fanfare_protocol::{Id, Lane, Reset, ResetReason, Stream};

use super::cursor::stream_index;
use super::frame::{Frame, Omission};
use super::loss::Loss;
use super::source::Replay;
use crate::base::limits::realtime::LANE_RUN_MAX;

const LANES: usize = 3;

/// Loss of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lost {
    /// Few enough to be told of by a gap.
    Items(Loss),
    /// Too much to tell.
    All(ResetReason),
}

/// Frames for one session.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: [VecDeque<Frame>; LANES],
    bytes: usize,
    /// Of each lane the frames of a replay, which go first: bounded by its items, and no reason to drop any.
    replayed: [usize; LANES],
    replayed_bytes: usize,
    lost: [Option<Lost>; 4],
    /// Frames popped in a row of lanes above the lowest waiting one.
    run: [usize; LANES],
}

const fn number(lane: Lane) -> usize {
    match lane {
        Lane::Urgent => 0,
        Lane::Normal => 1,
        Lane::Bulk => 2,
    }
}

impl Lanes {
    /// Nothing waits and nothing is to be told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty) && self.lost.iter().all(Option::is_none)
    }

    /// Whether a frame of `lane` waits.
    #[must_use]
    pub fn holds(&self, lane: Lane) -> bool {
        self.lanes.get(number(lane)).is_some_and(|queue| !queue.is_empty())
    }

    /// Bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a frame. When more than `bytes_max` waits then, a replay aside, the oldest frames are dropped, lowest lane
    /// first, but never the one just added; answers the lanes of those dropped.
    pub fn push(&mut self, frame: Frame, bytes_max: usize) -> Vec<Lane> {
        let lane = number(frame.lane());
        if frame.about().is_some() {
            self.give_way(lane, &frame);
        }
        self.bytes += frame.wire_bytes();
        self.lanes[lane].push_back(frame);
        let mut dropped = Vec::new();
        while self.bytes > bytes_max.saturating_add(self.replayed_bytes) {
            let Some(gone) = self.drop_oldest(lane) else { break };
            dropped.push(gone);
        }
        dropped
    }

    /// Drops what waits of the same current value: the newer one says it all.
    fn give_way(&mut self, lane: usize, newer: &Frame) {
        let queue = &mut self.lanes[lane];
        if let Some(place) = queue.iter().rposition(|waiting| waiting.about() == newer.about())
            && let Some(older) = queue.remove(place)
        {
            self.bytes -= older.wire_bytes();
        }
    }

    fn drop_oldest(&mut self, keep_last_of: usize) -> Option<Lane> {
        for lane in (0..LANES).rev() {
            let spare = usize::from(lane == keep_last_of);
            if self.lanes[lane].len() > spare {
                let frame = self.take_first(lane)?;
                self.forget(&frame);
                return Some(frame.lane());
            }
        }
        None
    }

    /// Notes that what a frame carries or tells of will not be sent by it.
    fn forget(&mut self, frame: &Frame) {
        let Some(items) = frame.items() else { return };
        if let Some(Omission::Reset { reason, .. }) = items.omission {
            self.lost[stream_index(items.stream)] = Some(Lost::All(reason));
        } else if let Some(loss) = Loss::of(items) {
            self.lose(items.stream, loss);
        }
    }

    /// A stream is to be read anew, for it has lost too much or something that cannot be told; what waits of it is
    /// dropped.
    pub fn give_up(&mut self, stream: Stream, reason: ResetReason) {
        self.keep(|frame| frame.items().is_none_or(|items| items.stream != stream));
        self.lost[stream_index(stream)] = Some(Lost::All(reason));
    }

    fn keep(&mut self, wanted: impl Fn(&Frame) -> bool) {
        for lane in &mut self.lanes {
            lane.retain(&wanted);
        }
        self.bytes = self.lanes.iter().flatten().map(Frame::wire_bytes).sum();
        // Which of them were replayed is not known any more: they count like all others.
        (self.replayed, self.replayed_bytes) = ([0; LANES], 0);
    }

    fn take_first(&mut self, lane: usize) -> Option<Frame> {
        let frame = self.lanes[lane].pop_front()?;
        self.bytes -= frame.wire_bytes();
        if let Some(left) = self.replayed[lane].checked_sub(1) {
            self.replayed[lane] = left;
            self.replayed_bytes -= frame.wire_bytes();
        }
        Some(frame)
    }

    /// Items of a stream will not be sent: they are told of, or, where they are too many or in no list, the stream is
    /// to be read anew.
    pub fn lose(&mut self, stream: Stream, loss: Loss) {
        let lost = &mut self.lost[stream_index(stream)];
        match lost {
            Some(Lost::All(_)) => return,
            Some(Lost::Items(before)) => before.add(loss),
            None => *lost = Some(Lost::Items(loss)),
        }
        if matches!(lost, Some(Lost::Items(loss)) if loss.is_too_much()) {
            *lost = Some(Lost::All(ResetReason::Slow));
        }
    }

    /// Every stream is to be read anew; what waits of them is dropped.
    pub fn reset(&mut self, reason: ResetReason) {
        self.keep(|frame| frame.items().is_none());
        self.lost = Stream::ALL.map(|_| Some(Lost::All(reason)));
    }

    /// The frame to send next.
    pub fn pop(&mut self, now_ms: u64) -> Option<Frame> {
        if let Some(frame) = self.reset_frame(now_ms) {
            return Some(frame);
        }
        let lane = self.choose()?;
        if let Some(gap) = self.gap_before(lane, now_ms) {
            return Some(gap);
        }
        let frame = self.take_first(lane)?;
        for lower in lane + 1..LANES {
            self.run[lower] += usize::from(!self.lanes[lower].is_empty());
        }
        self.run[lane] = 0;
        Some(frame)
    }

    /// Urgent first, unless a lower lane has waited for its run.
    fn choose(&self) -> Option<usize> {
        let waits = |lane: &usize| !self.lanes[*lane].is_empty() || self.has_gap(*lane);
        let patient = (1..LANES).find(|lane| waits(lane) && self.run[*lane] >= LANE_RUN_MAX);
        patient.or_else(|| (0..LANES).find(waits))
    }

    fn has_gap(&self, lane: usize) -> bool {
        let of_lane = |stream: &Stream| number(super::frame::lane_of(*stream)) == lane;
        Stream::ALL.iter().filter(|stream| of_lane(stream)).any(|stream| self.lost[stream_index(*stream)].is_some())
    }

    /// Gap for what was lost and is older than all that waits: it is told of first.
    fn gap_before(&mut self, lane: usize, now_ms: u64) -> Option<Frame> {
        for stream in Stream::ALL.into_iter().filter(|stream| number(super::frame::lane_of(*stream)) == lane) {
            let lost = &mut self.lost[stream_index(stream)];
            if let Some(loss) = take_items(lost) {
                return Some(Frame::gap(&loss.gap(stream), now_ms));
            }
        }
        None
    }

    fn reset_frame(&mut self, now_ms: u64) -> Option<Frame> {
        let first = self.lost.iter().find_map(|lost| match lost {
            Some(Lost::All(reason)) => Some(*reason),
            _ => None,
        });
        let reason = first?;
        let all = Stream::ALL.into_iter().filter(|stream| self.lost[stream_index(*stream)] == Some(Lost::All(reason)));
        let streams: Vec<Stream> = all.collect();
        for stream in &streams {
            self.lost[stream_index(*stream)] = None;
        }
        // It is sent next: nothing passes it.
        Some(Frame::reset(&Reset { streams, reason }, Id(u64::MAX), now_ms))
    }

    /// The lowest id of `stream` that the client does not have and was not told of.
    #[must_use]
    pub fn low(&self, stream: Stream) -> Option<Id> {
        let of_stream = |frame: &Frame| frame.items().filter(|items| items.stream == stream)?.low();
        let waiting = self.lanes.iter().flatten().filter_map(of_stream).min();
        let lost = match &self.lost[stream_index(stream)] {
            Some(Lost::Items(loss)) => Some(loss.low()),
            Some(Lost::All(_)) | None => None,
        };
        [waiting, lost].into_iter().flatten().min()
    }

    /// Puts a replay before everything that was held meanwhile, and of that drops what the replay has, key by key: a
    /// lower id can be committed after a higher one was read. What was lost meanwhile is told of, as far as the replay
    /// does not have it.
    pub fn put_first(&mut self, mut replay: Replay, now_ms: u64) {
        let mut gaps = Vec::new();
        for stream in Stream::ALL {
            let index = stream_index(stream);
            let left = take_items(&mut self.lost[index]).and_then(|loss| loss.without(&replay.keys[index]));
            gaps.extend(left.map(|loss| Frame::gap(&loss.gap(stream), now_ms)));
        }
        let first = std::mem::take(&mut replay.frames);
        self.replayed = [0; LANES];
        self.replayed_bytes = first.iter().map(Frame::wire_bytes).sum();
        for frame in &first {
            self.replayed[number(frame.lane())] += 1;
        }
        let held = std::mem::take(&mut self.lanes).into_iter().flatten().filter(|frame| !replay.has(frame));
        for frame in first.into_iter().chain(gaps).chain(held) {
            self.lanes[number(frame.lane())].push_back(frame);
        }
        self.bytes = self.lanes.iter().flatten().map(Frame::wire_bytes).sum();
    }
}

/// Takes what a gap can tell of; a stream that is to be read anew stays so.
fn take_items(lost: &mut Option<Lost>) -> Option<Loss> {
    match lost.take() {
        Some(Lost::Items(loss)) => Some(loss),
        other => {
            *lost = other;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{Gap, ServerEvent};
    use proptest::prelude::*;

    use super::*;
    use crate::realtime::frame::Durable;

    /// A replay that has these frames, and has read nothing but what they carry.
    fn replay(frames: Vec<Frame>) -> Replay {
        let mut replay = Replay { frames, ..Replay::default() };
        let items: Vec<(usize, Id)> = replay.items().collect();
        items.into_iter().for_each(|(stream, id)| replay.keys[stream].push(id));
        replay.keys.iter_mut().for_each(|keys| keys.sort_unstable());
        replay
    }

    fn range(low: u64, high: u64, count: u64) -> Loss {
        Loss::range(Id(low), Id(high), count)
    }

    fn item(stream: Stream, id: u64) -> Frame {
        Frame::durable("x", Durable::one(stream, Id(id)), 0, &())
    }

    fn event(frame: &Frame) -> ServerEvent {
        let frame: fanfare_protocol::ServerFrame = serde_json::from_slice(&[b"{", frame.text()].concat()).unwrap();
        frame.event().unwrap()
    }

    fn drain(lanes: &mut Lanes) -> Vec<Frame> {
        std::iter::from_fn(|| lanes.pop(0)).collect()
    }

    #[test]
    fn urgent_goes_first_and_bulk_does_not_starve() {
        let mut lanes = Lanes::default();
        for id in 0..100 {
            lanes.push(item(Stream::Posts, id), usize::MAX);
            lanes.push(item(Stream::Notifications, id), usize::MAX);
        }
        let order: Vec<Lane> = drain(&mut lanes).iter().map(Frame::lane).collect();
        let first_bulk = order.iter().position(|lane| *lane == Lane::Bulk);
        assert_eq!(first_bulk, Some(LANE_RUN_MAX));
        let urgent_done = order.iter().rposition(|lane| *lane == Lane::Urgent).unwrap();
        assert_eq!(order[..=urgent_done].iter().filter(|lane| **lane == Lane::Bulk).count(), 99 / LANE_RUN_MAX);
    }

    #[test]
    fn a_gap_that_waits_holds_the_watermark_and_is_not_dropped_for_nothing() {
        let mut lanes = Lanes::default();
        let gap = Gap { stream: Stream::Posts, after: Id(10), before: Id(20), count: 5 };
        lanes.put_first(replay(vec![Frame::gap(&gap, 0), item(Stream::Posts, 20)]), 0);
        assert_eq!(lanes.low(Stream::Posts), Some(Id(11)));
        lanes.push(item(Stream::Notifications, 40), 1);
        assert_eq!(lanes.low(Stream::Posts), Some(Id(11)));
        drain(&mut lanes).iter().map(event).for_each(|event| {
            if let ServerEvent::Gap(told) = event {
                assert_eq!((told.after, told.before, told.count), (Id(10), Id(21), 6));
            }
        });
        let reset = Reset { streams: vec![Stream::Posts], reason: ResetReason::Expired };
        lanes.put_first(replay(vec![Frame::reset(&reset, Id(7), 0)]), 0);
        assert_eq!(lanes.low(Stream::Posts), Some(Id(8)));
        lanes.push(item(Stream::Notifications, 41), 1);
        assert_eq!(event(&drain(&mut lanes)[0]), ServerEvent::Reset(reset));
    }

    #[test]
    fn what_was_lost_while_a_replay_was_read_is_in_it_or_told_of_after_it() {
        let mut lanes = Lanes::default();
        let lose = |lanes: &mut Lanes, ids: &[u64]| {
            ids.iter().for_each(|id| lanes.lose(Stream::Posts, Loss::one(Id(*id), true)));
        };
        lose(&mut lanes, &[5, 9]);
        lanes.put_first(replay(vec![item(Stream::Posts, 5), item(Stream::Posts, 9)]), 0);
        assert_eq!(drain(&mut lanes).len(), 2);
        // 12 was committed after 13 had been read.
        lose(&mut lanes, &[12, 13, 15]);
        lanes.put_first(replay(vec![item(Stream::Posts, 13)]), 0);
        let told: Vec<ServerEvent> = drain(&mut lanes)[1..].iter().map(event).collect();
        assert_eq!(told, [ServerEvent::Gap(Gap { stream: Stream::Posts, after: Id(11), before: Id(16), count: 2 })]);
    }

    #[test]
    fn a_reset_comes_before_everything_and_once() {
        let mut lanes = Lanes::default();
        lanes.push(item(Stream::Posts, 5), usize::MAX);
        lanes.reset(ResetReason::Overflow);
        let frames = drain(&mut lanes);
        assert_eq!(frames.len(), 1);
        assert!(matches!(event(&frames[0]), ServerEvent::Reset(reset) if reset.streams == Stream::ALL));
        assert!(lanes.is_empty() && lanes.bytes() == 0);
    }

    #[test]
    fn a_stream_that_loses_too_much_is_reset() {
        let mut lanes = Lanes::default();
        lanes.lose(Stream::Posts, range(1, 900, 900));
        lanes.lose(Stream::Posts, range(901, 1_100, 200));
        let frames = drain(&mut lanes);
        assert!(matches!(event(&frames[0]), ServerEvent::Reset(reset) if reset.streams == [Stream::Posts]));
    }

    #[test]
    fn a_replay_is_not_dropped_for_what_comes_after_it() {
        let mut lanes = Lanes::default();
        lanes.put_first(replay((1..50).map(|id| item(Stream::Posts, id)).collect()), 0);
        let budget = 3 * item(Stream::Posts, 1).wire_bytes();
        for id in 51..54 {
            assert_eq!(lanes.push(item(Stream::Posts, id), budget), []);
        }
        while lanes.low(Stream::Posts) < Some(Id(51)) {
            lanes.pop(0);
        }
        assert_eq!(lanes.push(item(Stream::Posts, 54), budget), [Lane::Bulk]);
    }

    #[test]
    fn what_no_list_has_is_not_dropped_without_a_reset() {
        let deletion = Frame::durable("x", Durable::unlisted(Stream::Posts, Id(5)), 0, &());
        let mut lanes = Lanes::default();
        lanes.push(deletion, usize::MAX);
        lanes.push(item(Stream::Posts, 9), 1);
        let frames = drain(&mut lanes);
        assert!(matches!(event(&frames[0]), ServerEvent::Reset(reset) if reset.streams == [Stream::Posts]));
        assert_eq!(frames.len(), 2);
    }

    #[test]
    fn what_a_replay_has_is_not_sent_again() {
        let mut lanes = Lanes::default();
        for id in [5, 8, 9] {
            lanes.push(item(Stream::Notifications, id), usize::MAX);
        }
        let mut replay = replay(vec![item(Stream::Notifications, 3), item(Stream::Notifications, 5)]);
        // Read, and left out: the person may not see it.
        replay.keys[stream_index(Stream::Notifications)].push(Id(8));
        lanes.put_first(replay, 0);
        let ids: Vec<u64> = drain(&mut lanes).iter().map(|frame| frame.items().unwrap().ids[0].0).collect();
        assert_eq!(ids, [3, 5, 9]);
    }

    proptest! {
        /// Whatever is pushed and popped under whatever budget: each stream comes in order, every id is delivered or
        /// lies in a gap or reset that came at its place, and the watermark never passes what the client lacks.
        #[test]
        fn nothing_is_lost_without_a_word(
            steps in prop::collection::vec((0_usize..4, any::<bool>()), 1..200),
            budget in 200_usize..3_000,
        ) {
            let mut lanes = Lanes::default();
            let mut covered: [Vec<u64>; 4] = Default::default();
            let mut seen: [u64; 4] = [0; 4];
            let mut take = |lanes: &mut Lanes, covered: &mut [Vec<u64>; 4]| -> Result<bool, TestCaseError> {
                let Some(frame) = lanes.pop(0) else { return Ok(false) };
                match frame.items().filter(|items| !items.ids.is_empty()) {
                    Some(items) => {
                        let id = items.ids[0].0;
                        prop_assert!(id > seen[stream_index(items.stream)], "out of order");
                        seen[stream_index(items.stream)] = id;
                        covered[stream_index(items.stream)].push(id);
                    }
                    None => match event(&frame) {
                        ServerEvent::Gap(gap) => {
                            prop_assert!(gap.before.0 > seen[stream_index(gap.stream)]);
                            seen[stream_index(gap.stream)] = gap.before.0 - 1;
                            covered[stream_index(gap.stream)].extend(gap.after.0 + 1..gap.before.0);
                        }
                        other => prop_assert!(false, "{other:?}"),
                    },
                }
                Ok(true)
            };
            let mut pushed: [Vec<u64>; 4] = Default::default();
            for (next, (stream, pop)) in (1..).zip(steps) {
                let stream = Stream::ALL[stream];
                lanes.push(item(stream, next), budget);
                pushed[stream_index(stream)].push(next);
                if pop {
                    take(&mut lanes, &mut covered)?;
                }
                for stream in Stream::ALL {
                    let lacking = pushed[stream_index(stream)].iter().find(|id| !covered[stream_index(stream)].contains(id));
                    prop_assert!(lanes.low(stream).map(|low| low.0) <= lacking.copied() || lacking.is_none());
                    prop_assert!(lacking.is_none() || lanes.low(stream).is_some());
                }
            }
            while take(&mut lanes, &mut covered)? {}
            for stream in 0..4 {
                prop_assert!(pushed[stream].iter().all(|id| covered[stream].contains(id)));
            }
            prop_assert_eq!(lanes.bytes(), 0);
        }
    }
}
