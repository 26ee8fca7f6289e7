//! Frames on their way out: encoded once, shared by every session that gets them. Pure.

use std::sync::Arc;

use fanfare_protocol::{Gap, Id, Lane, Problem, Reset, ResetReason, Stream, Timestamp};
use serde::Serialize;
use smallvec::SmallVec;

use super::attach::Knows;

/// A frame; a clone is a pointer.
#[derive(Debug, Clone)]
pub struct Frame(Arc<Body>);

#[derive(Debug)]
struct Body {
    /// The JSON object without its opening brace and without `id`, which is each session's own: `"type":…}`.
    text: Box<[u8]>,
    lane: Lane,
    durable: Option<Durable>,
    /// Subject of a current value: of several that wait for a reader only the newest does.
    about: Option<(&'static str, Id)>,
}

impl Body {
    fn of(value: &impl Serialize, lane: Lane, durable: Option<Durable>) -> Self {
        // What is serialised here has string keys and no failing parts; an empty object would be a frame without type.
        let object = serde_json::to_vec(value).unwrap_or_else(|_| b"{}".to_vec());
        Self { text: object.get(1..).unwrap_or_default().into(), lane, durable, about: None }
    }
}

/// Items of a frame of a durable stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durable {
    /// The stream.
    pub stream: Stream,
    /// Ids of the items; empty for `gap` and `reset`.
    pub ids: SmallVec<[Id; 1]>,
    /// Whether HTTP lists the items, so that a gap may stand for them; not deletions.
    pub listed: bool,
    /// Of a type that not every client knows: whoever does not gets a `reset` of the stream in its place.
    pub novel: Option<ResetReason>,
    /// Omission that a `gap` or a `reset` stands for: until it is sent, no watermark passes that, and it is not dropped
    /// for nothing.
    pub omission: Option<Omission>,
}

/// Word of items that are not carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omission {
    /// Items that were not sent.
    Gap {
        /// Items above this.
        after: Id,
        /// Items below this.
        before: Id,
        /// Number of them.
        count: u64,
    },
    /// Everything above `after` is to be read anew.
    Reset {
        /// Id up to which the client has everything.
        after: Id,
        /// Why.
        reason: ResetReason,
    },
}

impl Durable {
    /// Content of one item.
    #[must_use]
    pub fn one(stream: Stream, id: Id) -> Self {
        Self { stream, ids: SmallVec::from_buf([id]), listed: true, novel: None, omission: None }
    }

    /// Content of one item that no list over HTTP has: that something is gone.
    #[must_use]
    pub fn unlisted(stream: Stream, id: Id) -> Self {
        Self { listed: false, ..Self::one(stream, id) }
    }

    /// Content of one item that no list has, of a type that not every client knows; in its place they are told
    /// `reason`.
    #[must_use]
    pub fn novel(stream: Stream, id: Id, reason: ResetReason) -> Self {
        Self { novel: Some(reason), ..Self::unlisted(stream, id) }
    }

    /// Several items, in any order.
    #[must_use]
    pub fn many(stream: Stream, ids: impl IntoIterator<Item = Id>) -> Self {
        Self { stream, ids: ids.into_iter().collect(), listed: true, novel: None, omission: None }
    }

    /// A frame that tells of items instead of carrying them.
    #[must_use]
    pub fn omission(stream: Stream, omission: Omission) -> Self {
        Self { stream, ids: SmallVec::new(), listed: true, novel: None, omission: Some(omission) }
    }

    /// The lowest id that it carries or tells of.
    #[must_use]
    pub fn low(&self) -> Option<Id> {
        match self.omission {
            Some(Omission::Gap { after, .. } | Omission::Reset { after, .. }) => Some(Id(after.0.saturating_add(1))),
            None => self.ids.iter().min().copied(),
        }
    }

    /// The highest id that it carries or tells of; of a reset there is none.
    #[must_use]
    pub fn high(&self) -> Option<Id> {
        match self.omission {
            Some(Omission::Gap { before, .. }) => Some(Id(before.0.saturating_sub(1))),
            Some(Omission::Reset { .. }) => None,
            None => self.ids.iter().max().copied(),
        }
    }
}

/// The stream of the bulk lane, whose items sessions hold by reference.
pub const BULK_STREAM: Stream = Stream::Posts;

/// The lane that a stream's frames take.
#[must_use]
pub const fn lane_of(stream: Stream) -> Lane {
    match stream {
        Stream::Notifications | Stream::Direct => Lane::Urgent,
        Stream::Group => Lane::Normal,
        Stream::Posts => Lane::Bulk,
    }
}

#[derive(Serialize)]
struct Plain<'a, T> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<Lane>,
    at: Timestamp,
    data: &'a T,
}

#[derive(Serialize)]
struct Answer<'a, T> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "ref")]
    reference: Option<u64>,
    ok: bool,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a Problem>,
}

impl Frame {
    fn encode(value: &impl Serialize, lane: Lane, durable: Option<Durable>) -> Self {
        Self(Arc::new(Body::of(value, lane, durable)))
    }

    /// A frame of a durable stream, in the stream's lane.
    #[must_use]
    pub fn durable(kind: &str, durable: Durable, now_ms: u64, data: &impl Serialize) -> Self {
        let lane = lane_of(durable.stream);
        Self::encode(&Plain { kind, lane: Some(lane), at: Timestamp(now_ms), data }, lane, Some(durable))
    }

    /// A frame that is a current value, or an operator's event: not kept for who is away.
    #[must_use]
    pub fn passing(kind: &str, lane: Lane, now_ms: u64, data: &impl Serialize) -> Self {
        Self::encode(&Plain { kind, lane: Some(lane), at: Timestamp(now_ms), data }, lane, None)
    }

    /// A passing frame that another node made, of its [`text`](Self::text).
    #[must_use]
    pub fn passed_on(lane: Lane, text: &str) -> Self {
        Self(Arc::new(Body { text: text.as_bytes().into(), lane, durable: None, about: None }))
    }

    /// A frame that is the current value of something: one that waits for a slow reader gives way to a newer one.
    #[must_use]
    pub fn current(kind: &'static str, lane: Lane, now_ms: u64, about: Id, data: &impl Serialize) -> Self {
        let body = Body::of(&Plain { kind, lane: Some(lane), at: Timestamp(now_ms), data }, lane, None);
        Self(Arc::new(Body { about: Some((kind, about)), ..body }))
    }

    /// A frame about the session itself: `hello`, `pong`, `drain`.
    #[must_use]
    pub fn of_session(kind: &str, now_ms: u64, data: &impl Serialize) -> Self {
        Self::encode(&Plain { kind, lane: None, at: Timestamp(now_ms), data }, Lane::Urgent, None)
    }

    /// A reply to a client's frame.
    #[must_use]
    pub fn reply(reference: Option<u64>, result: Result<&impl Serialize, &Problem>, now_ms: u64) -> Self {
        let (ok, data, error) = match result {
            Ok(data) => (true, Some(data), None),
            Err(problem) => (false, None, Some(problem)),
        };
        Self::encode(&Answer { kind: "reply", reference, ok, at: Timestamp(now_ms), data, error }, Lane::Urgent, None)
    }

    /// `gap`.
    #[must_use]
    pub fn gap(gap: &Gap, now_ms: u64) -> Self {
        let told = Omission::Gap { after: gap.after, before: gap.before, count: gap.count };
        Self::durable("gap", Durable::omission(gap.stream, told), now_ms, gap)
    }

    /// `reset`; `after` is what the client has of the first stream.
    #[must_use]
    pub fn reset(reset: &Reset, after: Id, now_ms: u64) -> Self {
        let told = Omission::Reset { after, reason: reset.reason };
        let durable = Durable::omission(reset.streams.first().copied().unwrap_or(Stream::Posts), told);
        let frame = Plain { kind: "reset", lane: None, at: Timestamp(now_ms), data: reset };
        Self::encode(&frame, Lane::Urgent, Some(durable))
    }

    /// `reset` of one stream.
    #[must_use]
    pub fn reset_of(stream: Stream, reason: ResetReason, after: Id, now_ms: u64) -> Self {
        Self::reset(&Reset { streams: vec![stream], reason }, after, now_ms)
    }

    /// Everything after `{` and the `id`.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.0.text
    }

    /// Lane of the frame.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.0.lane
    }

    /// Subject of a current value that gives way to a newer one.
    #[must_use]
    pub fn about(&self) -> Option<(&'static str, Id)> {
        self.0.about
    }

    /// Content, if it is of a durable stream.
    #[must_use]
    pub fn items(&self) -> Option<&Durable> {
        self.0.durable.as_ref()
    }

    /// The stream that a client which does not know its type must read anew, and the reason that it is told.
    #[must_use]
    pub fn unknown_to(&self, knows: Knows) -> Option<(Stream, ResetReason)> {
        let items = self.items()?;
        items.novel.filter(|reason| !knows.has(*reason)).map(|reason| (items.stream, reason))
    }

    /// Items of a type that the client does not know; none of others.
    #[must_use]
    pub fn unknown_ids(&self, knows: Knows) -> &[Id] {
        self.items().filter(|_| self.unknown_to(knows).is_some()).map_or(&[], |items| &items.ids)
    }

    /// Bytes on the wire, about.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.0.text.len() + super::cursor::TEXT_CHARS
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{Code, ReadMarker, ServerEvent, ServerFrame};

    use super::*;

    fn read(frame: &Frame) -> ServerFrame {
        serde_json::from_slice(&[b"{", frame.text()].concat()).unwrap()
    }

    #[test]
    fn frames_read_back_as_what_they_say() {
        let marker = ReadMarker { last_read_id: Id(7) };
        let frame = read(&Frame::passing("feed.read", Lane::Normal, 1_000, &marker));
        assert_eq!((frame.event().unwrap(), frame.lane), (ServerEvent::FeedRead(marker), Some(Lane::Normal)));
        let gap = Gap { stream: Stream::Posts, after: Id(1), before: Id(9), count: 3 };
        assert_eq!(read(&Frame::gap(&gap, 0)).event().unwrap(), ServerEvent::Gap(gap));
        let refused = read(&Frame::reply(None, Err::<&(), _>(&Problem::new(Code::BadRequest, "no")), 0));
        assert!(refused.ok == Some(false) && refused.reference.is_none() && refused.error.is_some());
        let done = read(&Frame::reply(Some(3), Ok(&marker), 0));
        assert_eq!((done.ok, done.reference), (Some(true), Some(3)));
    }
}
