//! Outbox of the dispatcher for one shard that is full: frames that are not urgent, and word of what was shed. Pure.
//!
//! The dispatcher never waits for a shard because of these. Beyond a bound the oldest frame is shed; of a durable
//! stream its sessions are told of that by a gap, a current value is gone.

use std::collections::{HashSet, VecDeque};

use fanfare_protocol::{Id, Stream};

use crate::base::limits::realtime::{AUDIENCE_SLICE, OUTBOX_MAX};
use crate::realtime::cursor::stream_index;
use crate::realtime::deliver::ItemRef;
use crate::realtime::frame::{BULK_STREAM, Frame, Omission};
use crate::realtime::loss::Loss;
use crate::realtime::session::SessionId;
use crate::realtime::signals::{BulkItem, BulkPost, Command};

/// Frames for a full shard.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Waiting,
    /// By stream, and by whether a gap tells of it: a reset is for those alone who lack what no list has.
    lost: [[Option<LostOf>; 2]; Stream::ALL.len()],
}

/// A frame and whom it is for; `None`: every session of the shard.
type Addressed = (Option<Vec<SessionId>>, Frame);

/// Frames, oldest first, with the lowest key in them at hand: it is asked for whenever a shard gets something.
#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Addressed>,
    /// Number of the first frame; they are numbered as they came, and what is put back goes before.
    first: i64,
    /// Frames that hold a lower key than all that wait behind them, as (number, key): the first holds the lowest.
    lows: VecDeque<(i64, Id)>,
}

impl Waiting {
    fn push_back(&mut self, frame: Addressed) {
        if let Some(low) = low_of(&frame.1) {
            while self.lows.back().is_some_and(|(_, before)| *before >= low) {
                self.lows.pop_back();
            }
            self.lows.push_back((self.first + self.frames.len() as i64, low));
        }
        self.frames.push_back(frame);
    }

    fn push_front(&mut self, frame: Addressed) {
        self.first -= 1;
        if let Some(low) = low_of(&frame.1).filter(|low| self.low().is_none_or(|lowest| *low < lowest)) {
            self.lows.push_front((self.first, low));
        }
        self.frames.push_front(frame);
    }

    fn pop_front(&mut self) -> Option<Addressed> {
        let frame = self.frames.pop_front()?;
        if self.lows.front().is_some_and(|(number, _)| *number == self.first) {
            self.lows.pop_front();
        }
        self.first += 1;
        Some(frame)
    }

    fn low(&self) -> Option<Id> {
        self.lows.front().map(|(_, low)| *low)
    }
}

fn low_of(frame: &Frame) -> Option<Id> {
    frame.items()?.low()
}

/// Loss of sessions of a shard in one stream.
#[derive(Debug)]
struct LostOf {
    loss: Loss,
    /// `None`: all of the shard.
    sessions: Option<HashSet<SessionId>>,
}

impl Outbox {
    /// Whether something waits that goes by commands.
    #[must_use]
    pub fn has_commands(&self) -> bool {
        let bulk = self.lost[stream_index(BULK_STREAM)].iter().flatten().filter(|lost| lost.sessions.is_some());
        !self.waiting.frames.is_empty() || self.lost.iter().flatten().flatten().count() > bulk.count()
    }

    /// Whether word of the bulk stream waits.
    #[must_use]
    pub fn has_bulk(&self) -> bool {
        self.lost[stream_index(BULK_STREAM)].iter().flatten().any(|lost| lost.sessions.is_some())
    }

    /// Takes back what [`next`](Self::next) gave, or what would have gone before all that waits.
    pub fn put_back(&mut self, command: Command) {
        match command {
            Command::Deliver { sessions, frame } => self.waiting.push_front((Some(sessions), frame)),
            Command::Broadcast { frame, .. } => self.waiting.push_front((None, frame)),
            Command::Lost { sessions, stream, loss } => self.lose(stream, sessions.as_deref(), loss),
            _ => {}
        }
    }

    /// Adds a frame; answers how many were shed for it.
    pub fn push(&mut self, sessions: Option<Vec<SessionId>>, frame: Frame) -> usize {
        self.waiting.push_back((sessions, frame));
        let mut shed = 0;
        while self.waiting.frames.len() > OUTBOX_MAX
            && let Some((sessions, frame)) = self.waiting.pop_front()
        {
            self.shed(sessions.as_deref(), &frame);
            shed += 1;
        }
        shed
    }

    fn shed(&mut self, sessions: Option<&[SessionId]>, frame: &Frame) {
        let Some(items) = frame.items() else { return };
        let loss = match items.omission {
            // As much as no gap can tell of.
            Some(Omission::Reset { after, .. }) => Some(Loss::one(after, false)),
            _ => Loss::of(items),
        };
        if let Some(loss) = loss {
            self.lose(items.stream, sessions, loss);
        }
    }

    /// An item of the bulk stream is shed.
    pub fn lose_item(&mut self, sessions: &[SessionId], item: ItemRef) {
        self.lose(BULK_STREAM, Some(sessions), Loss::one(item.key, item.listed));
    }

    /// Items of `stream` are not sent to these sessions, or to all.
    pub fn lose(&mut self, stream: Stream, sessions: Option<&[SessionId]>, loss: Loss) {
        match &mut self.lost[stream_index(stream)][usize::from(loss.is_too_much())] {
            Some(lost) => {
                lost.loss.add(loss);
                match (&mut lost.sessions, sessions) {
                    (Some(known), Some(more)) => known.extend(more),
                    (known, _) => *known = None,
                }
            }
            lost @ None => {
                *lost = Some(LostOf { loss, sessions: sessions.map(|sessions| sessions.iter().copied().collect()) });
            }
        }
    }

    /// The oldest that goes by commands: what was shed, then what waits.
    pub fn next(&mut self) -> Option<Command> {
        let has_bulk = self.has_bulk();
        for stream in Stream::ALL.into_iter().filter(|stream| *stream != BULK_STREAM || !has_bulk) {
            let lost = self.lost[stream_index(stream)].iter_mut().find_map(Option::take);
            if let Some(LostOf { loss, sessions }) = lost {
                let sessions = sessions.map(|sessions| sessions.into_iter().collect());
                return Some(Command::Lost { sessions, stream, loss });
            }
        }
        let (sessions, frame) = self.waiting.pop_front()?;
        Some(command(sessions, frame))
    }

    /// Word of what was shed of the bulk stream for some of its sessions, which goes by the bulk stream's own way: what
    /// is older is there before it.
    pub fn next_bulk(&mut self) -> Option<BulkPost> {
        // What every session lacks goes by commands, which name none.
        let told = |lost: &Option<LostOf>| lost.as_ref().is_some_and(|lost| lost.sessions.is_some());
        let place = self.lost[stream_index(BULK_STREAM)].iter_mut().find(|lost| told(lost))?;
        let lost = place.as_mut()?;
        let waiting = lost.sessions.as_mut()?;
        let sessions: Vec<SessionId> = waiting.iter().take(AUDIENCE_SLICE).copied().collect();
        let loss = lost.loss.clone();
        if sessions.len() == waiting.len() {
            *place = None;
        } else {
            sessions.iter().for_each(|session| {
                waiting.remove(session);
            });
        }
        Some(BulkPost { sessions, item: BulkItem::Lost(loss) })
    }

    /// The lowest key that waits or was shed and is not told of: watermarks do not pass it.
    #[must_use]
    pub fn low(&self) -> Option<Id> {
        let lost = self.lost.iter().flatten().flatten().map(|lost| lost.loss.low());
        lost.chain(self.waiting.low()).min()
    }
}

/// The command that brings `frame` to sessions, or to all.
#[must_use]
pub fn command(sessions: Option<Vec<SessionId>>, frame: Frame) -> Command {
    match sessions {
        Some(sessions) => Command::Deliver { sessions, frame },
        None => Command::Broadcast { frame, sessions: None },
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{Lane, ReadMarker};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::realtime::frame::Durable;

    fn group(id: u64) -> Frame {
        Frame::durable("message", Durable::one(Stream::Group, Id(id)), 0, &())
    }

    #[test]
    fn what_is_shed_of_a_group_is_told_of_before_what_is_left_of_it() {
        let mut outbox = Outbox::default();
        for id in 1..=OUTBOX_MAX as u64 {
            assert_eq!(outbox.push(Some(vec![SessionId(id % 2)]), group(id)), 0);
        }
        assert_eq!(outbox.push(Some(vec![SessionId(5)]), group(90_001)), 1);
        assert_eq!(outbox.push(Some(vec![SessionId(5)]), group(90_002)), 1);
        assert_eq!(outbox.low(), Some(Id(1)), "watermarks wait for the gap");
        let Some(Command::Lost { sessions: Some(mut sessions), stream, loss }) = outbox.next() else {
            panic!("the gap goes first")
        };
        sessions.sort_unstable_by_key(|session| session.0);
        assert_eq!((sessions, stream), (vec![SessionId(0), SessionId(1)], Stream::Group));
        let gap = loss.gap(stream);
        assert_eq!((gap.after, gap.before, gap.count), (Id(0), Id(3), 2));
        let Some(Command::Deliver { frame, .. }) = outbox.next() else { panic!("then the oldest frame") };
        assert_eq!(frame.items().map(|items| items.ids[0]), Some(Id(3)));
        assert_eq!(outbox.low(), Some(Id(4)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Frames with and without keys come behind or before the others, and go: the lowest key is that of all that
        /// wait.
        #[test]
        fn the_lowest_key_that_waits_is_known(acts in vec((any::<bool>(), 0_u64..40, any::<bool>()), 0..200)) {
            let mut waiting = Waiting::default();
            for (pushes, key, other) in acts {
                let frame = match key {
                    0..10 => Frame::passing("feed.read", Lane::Normal, 0, &ReadMarker { last_read_id: Id(key) }),
                    key => group(key),
                };
                match (pushes, other) {
                    (true, _) => waiting.push_back((None, frame)),
                    (false, true) => waiting.push_front((None, frame)),
                    (false, false) => {
                        waiting.pop_front();
                    }
                }
                let lowest = waiting.frames.iter().filter_map(|(_, frame)| low_of(frame)).min();
                prop_assert_eq!(waiting.low(), lowest);
                prop_assert!(waiting.lows.len() <= waiting.frames.len());
            }
        }
    }

    #[test]
    fn a_current_value_that_is_shed_is_gone_and_holds_nothing_up() {
        let mut outbox = Outbox::default();
        for id in 0..=OUTBOX_MAX as u64 {
            outbox.push(None, Frame::passing("feed.read", Lane::Normal, 0, &ReadMarker { last_read_id: Id(id) }));
        }
        assert_eq!((outbox.low(), outbox.waiting.frames.len()), (None, OUTBOX_MAX));
    }

    #[test]
    fn a_shed_deletion_resets_those_alone_whom_it_was_for() {
        let mut outbox = Outbox::default();
        let item = |key, listed| ItemRef { key: Id(key), kind: 0, listed, about: [Id(1), Id(2)] };
        outbox.lose_item(&[SessionId(1)], item(7, true));
        outbox.lose_item(&[SessionId(2)], item(8, false));
        let mut told = Vec::new();
        while let Some(BulkPost { sessions, item: BulkItem::Lost(loss) }) = outbox.next_bulk() {
            told.push((sessions, loss.is_too_much()));
        }
        assert_eq!(told, [(vec![SessionId(1)], false), (vec![SessionId(2)], true)]);
    }

    #[test]
    fn word_of_what_was_shed_goes_in_slices() {
        let mut outbox = Outbox::default();
        let all: Vec<SessionId> = (0..AUDIENCE_SLICE as u64 * 2 + 5).map(SessionId).collect();
        outbox.lose_item(&all, ItemRef { key: Id(7), kind: 0, listed: true, about: [Id(1), Id(2)] });
        let mut told: Vec<SessionId> = Vec::new();
        while let Some(BulkPost { sessions, .. }) = outbox.next_bulk() {
            assert!(!sessions.is_empty() && sessions.len() <= AUDIENCE_SLICE);
            assert_eq!(outbox.low(), (told.len() + sessions.len() < all.len()).then_some(Id(7)));
            told.extend(sessions);
        }
        told.sort_unstable_by_key(|session| session.0);
        assert_eq!(told, all);
    }

    #[test]
    fn a_deletion_that_is_shed_can_be_told_of_by_no_gap() {
        let mut outbox = Outbox::default();
        outbox.lose_item(&[SessionId(1)], ItemRef { key: Id(7), kind: 1, listed: false, about: [Id(1), Id(2)] });
        assert!(!outbox.has_commands() && outbox.has_bulk());
        let Some(BulkPost { sessions, item: BulkItem::Lost(loss) }) = outbox.next_bulk() else { panic!("a loss") };
        assert!(sessions == [SessionId(1)] && loss.is_too_much() && !outbox.has_bulk());
        outbox.lose(Stream::Posts, None, Loss::one(Id(8), true));
        assert!(outbox.has_commands() && !outbox.has_bulk() && outbox.next_bulk().is_none());
        assert!(matches!(outbox.next(), Some(Command::Lost { sessions: None, stream: Stream::Posts, .. })));
    }
}
