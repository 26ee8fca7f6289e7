//! Items that products hand to realtime delivery: who is to hear of what, on which stream, in which lane.
//!
//! A product that follows from records is a [`Producer`]: the dispatcher asks it about each one, in the order of
//! commits. What follows from no record (a read marker, an operator's event) is handed in by a
//! [`Publisher`](super::Publisher).

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_protocol::{Id, Lane, Stream};
use smallvec::SmallVec;

use super::frame::{Frame, lane_of};
use super::session::SessionId;
use crate::base::error::Result;
use crate::log::events::Record;

/// An item for an audience.
#[derive(Debug)]
pub struct Deliver {
    /// The people who hear of it.
    pub audience: Audience,
    /// The item.
    pub item: Item,
    /// The stream that it belongs to; `None`: a current value, kept for nobody who is away.
    pub stream: Option<Stream>,
    /// Priority. Only what is urgent is waited for when a shard is full; the rest is held, then shed.
    pub lane: Lane,
    /// Session that hears of it otherwise.
    pub except: Option<SessionId>,
    /// Whether a shared item is handed out in slices, which what is urgent overtakes.
    pub large: bool,
}

/// People who are connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Followers of a person at the moment when the item goes out, and the person.
    Followers(Id),
    /// Followers of the first person who also follow the second, or are the second.
    FollowersOfBoth(Id, Id),
    /// Followers at the moment when the dispatcher hears of it, for the follows end right after.
    FollowersUntilNow(Id),
    /// People by id.
    People(SmallVec<[Id; 1]>),
    /// People of a list that others hold too.
    Members(Arc<[Id]>),
    /// Everybody.
    All,
}

/// The forms of an item.
#[derive(Debug)]
pub enum Item {
    /// Held by each session as a reference, and rendered with others when the session can take them.
    Reference(ItemRef),
    /// Rendered for each person, at once, each person's in their order.
    Personal(Arc<dyn PersonalItem>),
    /// Rendered once for everybody in the audience, in the order of its line.
    Shared(Arc<dyn SharedItem>),
    /// Single frame for everybody, made already.
    Frame(Frame),
    /// Single frame, made already, for those from whom its sender is not hidden.
    Judged {
        /// The frame.
        frame: Frame,
        /// Person whose news it is.
        from: Id,
        /// Judge of who gets it.
        judge: Arc<dyn Judge>,
    },
}

/// Reference to an item of the bulk stream: all that a session holds of it until it is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ItemRef {
    /// Key of the item in its stream.
    pub key: Id,
    /// Kind of the item, by numbers of its source.
    pub kind: u8,
    /// Whether HTTP lists it, so that a gap may stand for it.
    pub listed: bool,
    /// Ids that its source needs to render it.
    pub about: [Id; 2],
}

/// An item that is another frame for each person.
#[async_trait]
pub trait PersonalItem: Debug + Send + Sync {
    /// Key of the item in its stream.
    fn key(&self) -> Id;

    /// The frame for `person`; `None` when the person may not see it.
    ///
    /// # Errors
    /// When the engine fails; the person's sessions are asked to come back then.
    async fn frame(&self, person: Id) -> Result<Option<Frame>>;
}

/// Changes that an item tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covers {
    /// Thing that is changed.
    pub about: u64,
    /// The last change before them.
    pub after: u64,
}

/// An item that is the same frame for everybody, and is rendered first.
#[async_trait]
pub trait SharedItem: Debug + Send + Sync {
    /// Key of the item in its stream.
    fn key(&self) -> Id;

    /// Line in which it stands, such as its conversation: items of one line are rendered and sent in their order.
    fn line(&self) -> Id;

    /// Changes that it tells of, where a later item about the same may stand for both.
    fn covers(&self) -> Option<Covers> {
        None
    }

    /// The item, standing for all changes behind `after`.
    fn covering(&self, _after: u64) -> Option<Arc<dyn SharedItem>> {
        None
    }

    /// The frame; `None` when there is nothing to tell any more.
    ///
    /// # Errors
    /// When the engine fails; the sessions are asked to come back then.
    async fn frame(&self) -> Result<Option<Frame>>;
}

/// Judge of who is kept from somebody's news, asked slice by slice beside the dispatcher.
#[async_trait]
pub trait Judge: Send + Sync {
    /// Whether `person` is not to hear of what is `from` somebody. Cached: asked of a whole audience.
    ///
    /// # Errors
    /// When the engine fails: the person does not hear of it then.
    async fn hides(&self, person: Id, from: Id) -> Result<bool>;
}

impl Debug for dyn Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge")
    }
}

/// Consequence of a record for who is connected.
#[derive(Debug)]
pub enum Output {
    /// An item for an audience.
    Deliver(Deliver),
    /// A follow, or its end.
    Follow {
        /// Person who follows.
        follower: Id,
        /// Person who is followed.
        followee: Id,
        /// Whether it began.
        follows: bool,
    },
    /// Two people who hear nothing of each other's presence from now on.
    Apart(Id, Id),
}

/// A product whose news follow from records.
pub trait Producer: Send + Sync + 'static {
    /// Appends the consequences of `record`, which is durable. Called on the dispatcher's thread in the order
    /// of ids: no I/O, no waiting.
    fn produce(&self, record: &Record, out: &mut Vec<Output>);
}

/// Part of a product in realtime delivery.
#[derive(Default)]
pub struct Delivery {
    /// Producer of its news.
    pub producer: Option<Box<dyn Producer>>,
    /// Types of the frames that it has the server send.
    pub types: &'static [&'static str],
}

impl Delivery {
    /// A product that nobody who is connected hears of.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A product whose news are frames of these types.
    #[must_use]
    pub fn new(producer: impl Producer, types: &'static [&'static str]) -> Self {
        Self { producer: Some(Box::new(producer)), types }
    }

    /// A product that sends frames of these types, and not by records.
    #[must_use]
    pub fn of_types(types: &'static [&'static str]) -> Self {
        Self { producer: None, types }
    }
}

impl Deliver {
    /// An item of the bulk stream, by reference.
    #[must_use]
    pub fn reference(audience: Audience, item: ItemRef) -> Self {
        let stream = super::frame::BULK_STREAM;
        Self {
            audience,
            item: Item::Reference(item),
            stream: Some(stream),
            lane: lane_of(stream),
            except: None,
            large: false,
        }
    }

    /// An item of `stream` that is rendered for `person`.
    #[must_use]
    pub fn personal(person: Id, stream: Stream, item: Arc<dyn PersonalItem>) -> Self {
        let audience = Audience::People(SmallVec::from_buf([person]));
        Self {
            audience,
            item: Item::Personal(item),
            stream: Some(stream),
            lane: lane_of(stream),
            except: None,
            large: false,
        }
    }

    /// A current value of the followers of a person, for those to whom `judge` does not hide it.
    #[must_use]
    pub fn judged(from: Id, frame: Frame, judge: &Arc<dyn Judge>) -> Self {
        let lane = frame.lane();
        let item = Item::Judged { frame, from, judge: Arc::clone(judge) };
        Self { audience: Audience::Followers(from), item, stream: None, lane, except: None, large: false }
    }

    /// A frame that is the same for everybody.
    #[must_use]
    pub fn frame(audience: Audience, frame: Frame) -> Self {
        let (stream, lane) = (frame.items().map(|items| items.stream), frame.lane());
        Self { audience, item: Item::Frame(frame), stream, lane, except: None, large: false }
    }

    /// An item of `stream` that is rendered once for a list of people.
    #[must_use]
    pub fn shared(members: Arc<[Id]>, stream: Stream, item: Arc<dyn SharedItem>) -> Self {
        let (audience, item) = (Audience::Members(members), Item::Shared(item));
        Self { audience, item, stream: Some(stream), lane: lane_of(stream), except: None, large: false }
    }

    /// The delivery, in slices or at once.
    #[must_use]
    pub fn large(self, large: bool) -> Self {
        Self { large, ..self }
    }

    /// The delivery, but not to `session`.
    #[must_use]
    pub fn but(self, session: Option<SessionId>) -> Self {
        Self { except: session, ..self }
    }
}
