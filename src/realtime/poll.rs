//! Polls: the answer at once, or the wait, and the cursor afterwards.

use bytes::Bytes;
use fanfare_protocol::{Hello, Id, Reset, Stream, Transport};

use super::announced::AnnouncedDeletions;
use super::attach::{Knows, Resume};
use super::cursor::{StreamCursor, Watermarks, digest, stream_index};
use super::frame::Frame;
use super::service::Realtime;
use super::source::Replay;
use super::wire;
use crate::base::error::Result;
use crate::base::limits::realtime::POLL_FRAMES_MAX;

/// A poll of somebody who was let in.
#[derive(Debug, Clone, Copy)]
pub struct Poll<'a> {
    /// The person who polls.
    pub user: Id,
    /// Transport that `hello` names.
    pub transport: Transport,
    /// Use that can be made of the cursor.
    pub resume: Resume,
    /// The cursor, if it can be used.
    pub cursor: Option<&'a StreamCursor>,
    /// Newer types that the client understands.
    pub knows: Knows,
    /// Whether it waits when there is nothing.
    pub waits: bool,
}

/// Outcome of a poll.
#[derive(Debug)]
pub enum Polled {
    /// The body of its answer.
    Answer(Bytes),
    /// Nothing yet.
    Wait {
        /// Everything up to here was looked at.
        from: Watermarks,
        /// Items above the cursor that the client has, by index of their stream.
        overlap: Vec<(usize, Id)>,
        /// Deletions of accounts of which a reset told.
        told: AnnouncedDeletions,
    },
}

impl Realtime {
    /// Answers with what was missed since the cursor, or, without one, with where to poll from.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn poll(&self, poll: Poll<'_>) -> Result<Polled> {
        self.heartbeat(poll.user).await;
        // Before anything is read: what is committed later is found by the next poll, or by the session that waits. The
        // horizon first, so that what is at or below it is read.
        let horizon = self.horizon();
        let upto: Watermarks = std::array::from_fn(|at| self.committed()[at].max(horizon[at]));
        let (Some(cursor), Resume::From) = (poll.cursor, poll.resume) else {
            return Ok(Polled::Answer(self.first_answer(&poll, horizon)));
        };
        let missed = self.missed(poll.user, cursor.marks, upto).await?;
        let overlap: Vec<(usize, Id)> = missed.items().collect();
        let told = AnnouncedDeletions::of(unknown_items(&missed, poll.knows));
        if poll.waits && (missed.frames.is_empty() || !is_news(cursor, &missed)) {
            return Ok(Polled::Wait { from: upto, overlap, told });
        }
        let frames = known(missed, cursor, poll.knows, self.clock().now_ms());
        Ok(Polled::Answer(self.answer(poll.user, &frames, (&overlap, &told), cursor.marks, (upto, horizon))))
    }

    /// The answer to a poll that brings no cursor, or none that can be used.
    fn first_answer(&self, poll: &Poll<'_>, horizon: Watermarks) -> Bytes {
        let upto = if matches!(poll.resume, Resume::Broken(_)) { self.lately() } else { horizon };
        let now_ms = self.clock().now_ms();
        let cursor = self.sealed(poll.user, upto, (&[], &AnnouncedDeletions::default()), upto);
        let hello = Hello {
            session_id: Id(0),
            heartbeat_s: self.settings().heartbeat_s,
            resumed: false,
            transport: poll.transport,
            cursor: String::from_utf8_lossy(&cursor).into_owned(),
        };
        let mut frames = vec![Frame::of_session("hello", now_ms, &hello)];
        if let Resume::Broken(reason) = poll.resume {
            let after = upto.into_iter().min().unwrap_or_default();
            frames.push(Frame::reset(&Reset { streams: Stream::ALL.to_vec(), reason }, after, now_ms));
        }
        body(&frames, &cursor)
    }

    fn answer(
        &self,
        user: Id,
        frames: &[Frame],
        (overlap, told): (&[(usize, Id)], &AnnouncedDeletions),
        marks: Watermarks,
        (upto, horizon): (Watermarks, Watermarks),
    ) -> Bytes {
        let (frames, upto_each) = fitting(frames, marks, upto);
        let overlap: Vec<(usize, Id)> =
            overlap.iter().copied().filter(|(stream, id)| *id <= upto_each[*stream]).collect();
        body(frames, &self.sealed(user, upto_each, (&overlap, told), horizon))
    }

    /// The cursor after everything up to `upto`, no further than the horizon; `overlap` is what the client has above
    /// it, and `told` what it was told of.
    fn sealed(
        &self,
        user: Id,
        upto: Watermarks,
        (overlap, told): (&[(usize, Id)], &AnnouncedDeletions),
        horizon: Watermarks,
    ) -> wire::CursorText {
        let marks: Watermarks = std::array::from_fn(|at| upto[at].min(horizon[at]));
        let of = |stream: usize| overlap.iter().filter(move |(of, _)| *of == stream).map(|(_, id)| *id);
        let digests = std::array::from_fn(|stream| digest(of(stream).filter(|id| *id > marks[stream])));
        let told = told.digest(marks[stream_index(Stream::Posts)]);
        self.seal(&StreamCursor { user, marks, digests, told })
    }
}

/// Whether what was missed is more than what the client got with its last answer, above its watermarks.
fn is_news(cursor: &StreamCursor, missed: &Replay) -> bool {
    // A gap is as new as the items that follow it; a reset stands alone.
    let stands_alone = |frame: &Frame| {
        frame
            .items()
            .is_none_or(|items| items.ids.is_empty() && !missed.items().any(|(of, _)| of == stream_index(items.stream)))
    };
    missed.frames.iter().any(stands_alone)
        || (0..cursor.digests.len()).any(|stream| missed.digest(stream) != cursor.digests[stream])
}

/// Frames of `missed` for a client that does not know every type: in place of a frame of another, the stream anew,
/// unless it got all of that stream with its last answer, or was told of the same by a reset.
fn known(missed: Replay, cursor: &StreamCursor, knows: Knows, now_ms: u64) -> Vec<Frame> {
    let unknown = |frame: &Frame| frame.unknown_to(knows);
    let Some((stream, reason)) = missed.frames.iter().find_map(unknown) else { return missed.frames };
    let index = stream_index(stream);
    let told = cursor.digests[index] == missed.digest(index)
        || cursor.told != 0 && cursor.told == digest(unknown_items(&missed, knows));
    let is_other = |frame: &Frame| frame.items().is_none_or(|items| items.stream != stream);
    let kept = |frame: &Frame| if told { unknown(frame).is_none() } else { is_other(frame) };
    let mut frames: Vec<Frame> = missed.frames.into_iter().filter(kept).collect();
    if !told {
        frames.insert(0, Frame::reset_of(stream, reason, cursor.marks[index], now_ms));
    }
    frames
}

/// Items of types that the client does not know.
fn unknown_items(missed: &Replay, knows: Knows) -> Vec<Id> {
    missed.frames.iter().flat_map(|frame| frame.unknown_ids(knows)).copied().collect()
}

/// The frames that fit into one answer, and how far each stream has come with them: what does not fit comes with the
/// next poll, so that watermarks stay below it.
fn fitting(frames: &[Frame], marks: Watermarks, upto: Watermarks) -> (&[Frame], Watermarks) {
    let mut upto_each = upto;
    let (first, rest) = frames.split_at(frames.len().min(POLL_FRAMES_MAX));
    for items in rest.iter().filter_map(Frame::items) {
        if let Some(low) = items.low() {
            let index = stream_index(items.stream);
            upto_each[index] = upto_each[index].min(Id(low.0 - 1)).max(marks[index]);
        }
    }
    (first, upto_each)
}

fn body(frames: &[Frame], cursor: &wire::CursorText) -> Bytes {
    let mut body = Vec::new();
    wire::poll_body(&mut body, frames, cursor);
    body.into()
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::ResetReason;

    use super::*;
    use crate::realtime::frame::Durable;

    fn post(id: u64) -> Frame {
        Frame::durable("feed.posts", Durable::one(Stream::Posts, Id(id)), 0, &())
    }

    fn cursor(digests: [u16; 4]) -> StreamCursor {
        StreamCursor { user: Id(1), marks: [Id(3); 4], digests, told: 0 }
    }

    #[test]
    fn what_the_last_answer_had_is_no_news() {
        let missed = Replay { frames: vec![post(5), post(7)], ..Replay::default() };
        let had = missed.digest(stream_index(Stream::Posts));
        assert!(!is_news(&cursor([0, 0, 0, had]), &missed) && is_news(&cursor([0; 4]), &missed));
        let reset = Frame::reset_of(Stream::Posts, ResetReason::Expired, Id(3), 0);
        assert!(is_news(&cursor([0; 4]), &Replay { frames: vec![reset], ..Replay::default() }));
    }

    #[test]
    fn watermarks_stay_below_what_does_not_fit() {
        let frames: Vec<Frame> = (10..12 + POLL_FRAMES_MAX as u64).map(post).collect();
        let (first, upto) = fitting(&frames, [Id(3); 4], [Id(9_000); 4]);
        assert_eq!(first.len(), POLL_FRAMES_MAX);
        assert_eq!(upto, [Id(9_000), Id(9_000), Id(9_000), Id(9 + POLL_FRAMES_MAX as u64)]);
    }

    #[test]
    fn who_does_not_know_a_type_reads_its_stream_anew_once() {
        const NEWER: ResetReason = ResetReason::AuthorDeleted;
        let novel = || Frame::durable("newer", Durable::novel(Stream::Posts, Id(8), NEWER), 0, &());
        let missed = || Replay { frames: vec![post(5), novel()], ..Replay::default() };
        let told = missed().digest(stream_index(Stream::Posts));
        let frames = known(missed(), &cursor([0; 4]), Knows::default(), 0);
        assert!(frames.len() == 1 && frames[0].items().is_some_and(|items| items.omission.is_some()));
        let frames = known(missed(), &cursor([0, 0, 0, told]), Knows::default(), 0);
        assert_eq!(frames[0].items().map(|items| items.ids[0]), Some(Id(5)));
        let told = StreamCursor { told: digest([Id(8)]), ..cursor([0; 4]) };
        assert_eq!(known(missed(), &told, Knows::default(), 0).len(), 1);
        assert_eq!(known(missed(), &cursor([0; 4]), Knows::default().with(NEWER), 0).len(), 2);
    }
}
