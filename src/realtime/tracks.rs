//! Tracks: the families of records that streams follow. Ids of one settle in an order of its own, so each has its own
//! horizon, and its own measure of how far what it told has come.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_protocol::{Id, Stream};

use super::cursor::Watermarks;
use super::signals::{Mark, Progress};
use crate::log::horizon::Horizon;

/// Family of records that streams follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Track {
    /// People and what they post.
    Social = 0,
    /// Conversations.
    Chat = 1,
}

impl Track {
    /// Both, in the order of their numbers.
    pub const ALL: [Self; 2] = [Self::Social, Self::Chat];

    /// The track that a stream follows.
    #[must_use]
    pub const fn of(stream: Stream) -> Self {
        match stream {
            Stream::Notifications | Stream::Posts => Self::Social,
            Stream::Direct | Stream::Group => Self::Chat,
        }
    }
}

/// Ids, one a track.
pub type Each = [Id; Track::ALL.len()];
/// Marks, one a track.
pub type TrackMarks = [Mark; Track::ALL.len()];

/// Watermarks of all streams, from what holds for their tracks.
#[must_use]
pub fn marks(each: Each) -> Watermarks {
    Stream::ALL.map(|stream| each[Track::of(stream) as usize])
}

/// State of a track.
struct State {
    horizon: OnceLock<Horizon>,
    /// The newest record that is durable.
    committed: AtomicU64,
    /// Number of what was told last: [`Progress`] reaches it when all of it has been passed on.
    number: AtomicU64,
    /// The lowest id of what was heard of and is not told yet.
    held: AtomicU64,
    progress: Progress,
}

/// State of all tracks.
pub struct Tracks([State; Track::ALL.len()]);

impl Tracks {
    /// Nothing has happened yet; the horizon of the social family, whose log is opened later.
    #[must_use]
    pub fn new(renderers: usize, social: Horizon) -> Self {
        let state = |_| State {
            horizon: OnceLock::new(),
            committed: AtomicU64::new(0),
            number: AtomicU64::new(0),
            held: AtomicU64::new(u64::MAX),
            progress: Progress::new(renderers, Id(0)),
        };
        let tracks = Self(Track::ALL.map(state));
        tracks.follow(Track::Social, social);
        tracks
    }

    fn state(&self, track: Track) -> &State {
        &self.0[track as usize]
    }

    /// Learns the horizon of a track; once.
    pub fn follow(&self, track: Track, horizon: Horizon) {
        let _ = self.state(track).horizon.set(horizon);
    }

    /// The horizon of a track; of one that nobody writes to, the social one.
    #[must_use]
    pub fn horizon(&self, track: Track) -> Option<&Horizon> {
        self.state(track).horizon.get().or_else(|| self.state(Track::Social).horizon.get())
    }

    /// The horizons now.
    #[must_use]
    pub fn now(&self) -> Each {
        Track::ALL.map(|track| self.horizon(track).map_or(Id(0), Horizon::now))
    }

    /// A record is durable.
    pub fn committed(&self, track: Track, id: Id) {
        self.state(track).committed.fetch_max(id.0, Ordering::AcqRel);
    }

    /// The newest durable record.
    #[must_use]
    pub fn newest(&self, track: Track) -> Id {
        Id(self.state(track).committed.load(Ordering::Acquire))
    }

    /// Mark of what is told next: with it everything up to `upto` has come.
    #[must_use]
    pub fn told(&self, track: Track, upto: Id) -> Mark {
        Mark { number: self.state(track).number.fetch_add(1, Ordering::AcqRel) + 1, upto }
    }

    /// From `low` on nothing was told yet of what was heard of. To be said after what comes before was told, and before
    /// the horizon comes to it.
    pub fn hold(&self, track: Track, low: Option<Id>) {
        self.state(track).held.store(low.map_or(u64::MAX, |low| low.0), Ordering::Release);
    }

    /// A part has passed everything up to these marks on.
    pub fn reached(&self, part: usize, each: TrackMarks) {
        for (state, mark) in self.0.iter().zip(each) {
            state.progress.reached(part, mark);
        }
    }

    /// A part has passed everything of a track up to `mark` on.
    pub fn reached_in(&self, track: Track, part: usize, mark: Mark) {
        self.state(track).progress.reached(part, mark);
    }

    /// Ids up to which everything is in the inbox of a shard, or came by it. Where nothing is on its way that is the
    /// horizon, which moves on with time, unless there is nobody to ask for.
    #[must_use]
    pub fn in_inbox(&self, is_asked: bool) -> Each {
        Track::ALL.map(|track| {
            let state = self.state(track);
            // First: what it covers is told by now, or held.
            let ask = |horizon: &Horizon| if is_asked { horizon.now() } else { horizon.reached() };
            let horizon = self.horizon(track).map_or(Id(0), ask);
            let horizon = horizon.min(Id(state.held.load(Ordering::Acquire).saturating_sub(1)));
            let came = state.number.load(Ordering::Acquire);
            let progress = state.progress.slowest();
            if progress.number >= came { horizon } else { progress.upto.min(horizon) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_stay_below_what_was_heard_of_and_is_not_told() {
        let tracks = Tracks::new(1, Horizon::at(Id(9)));
        let social = |tracks: &Tracks| tracks.in_inbox(true)[Track::Social as usize];
        assert_eq!(social(&tracks), Id(9));
        tracks.hold(Track::Social, Some(Id(7)));
        assert_eq!(social(&tracks), Id(6));
        let mark = tracks.told(Track::Social, Id(9));
        tracks.hold(Track::Social, None);
        assert_eq!(social(&tracks), Id(0), "it is on its way");
        (0..2).for_each(|part| tracks.reached_in(Track::Social, part, mark));
        assert_eq!(social(&tracks), Id(9));
    }
}
