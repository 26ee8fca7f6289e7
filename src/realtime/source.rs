//! Sources: items of each stream for whoever resumes, and frames of the bulk stream.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_protocol::{Id, ResetReason, Stream};
use tokio::sync::mpsc;

use super::deliver::ItemRef;
use super::frame::{BULK_STREAM, Frame};
use super::loss::Loss;
use super::signals::{BulkJob, Command, ShardHandle};
use crate::base::error::Result;
use crate::base::id::unix_ms_of;
use crate::base::limits::realtime::BULK_BATCH;

/// The items of one stream, as their product keeps them.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// The stream; each has one source.
    fn stream(&self) -> Stream;

    /// Everything of `person`'s stream above `after` and up to `upto`, which was the newest record before the call:
    /// frames in the stream's order, at most `REPLAY_ITEMS_MAX` items, a gap or a reset for the rest.
    ///
    /// # Errors
    /// When the engine fails.
    async fn missed(&self, person: Id, after: Id, upto: Id) -> Result<Missed>;
}

/// Current values of one kind, as far as memory has them: told to those who were not connected when they changed.
#[async_trait]
pub trait CurrentValues: Send + Sync + 'static {
    /// Frames of the values that records above `after` and up to `upto` changed and that `person` hears of, in the
    /// order of the records; of each value the newest. Few, and cheap to find: asked at every poll.
    ///
    /// # Errors
    /// When the engine fails.
    async fn changed(&self, person: Id, after: Id, upto: Id) -> Result<Vec<Frame>>;
}

/// Answer of [`Source::missed`].
#[derive(Debug, Default)]
pub struct Missed {
    /// Frames to send.
    pub frames: Vec<Frame>,
    /// Keys of all items that were read, in any order: also of those that a frame stands for without carrying them, and
    /// of those that the person may not see. What a session has held under one of these keys is not sent again.
    pub keys: Vec<Id>,
}

/// The source whose items sessions hold by reference.
#[async_trait]
pub trait BulkSource: Source {
    /// Renders what sessions ask for, until there is nobody left to ask.
    async fn render(&self, jobs: BulkJobs);
}

/// Followees of people.
#[async_trait]
pub trait FolloweeSource: Send + Sync + 'static {
    /// The followees of `person`, in any order.
    ///
    /// # Errors
    /// When the engine fails; it is asked again.
    async fn followees(&self, person: Id) -> Result<Vec<Id>>;

    /// Whether `person` lets each of `viewers` see whether they are there, in their order.
    ///
    /// # Errors
    /// When the engine fails; nobody is told then.
    async fn lets_see(&self, person: Id, viewers: &[Id]) -> Result<Vec<bool>>;
}

/// Requests of sessions for frames of their references; each is answered once.
pub struct BulkJobs {
    pub(super) waiting: mpsc::Receiver<BulkJob>,
    pub(super) shards: Vec<ShardHandle>,
}

impl BulkJobs {
    /// Appends the requests that have gathered, at most `BULK_BATCH`: rendered together, equal items are rendered once.
    /// False when there will be no more.
    pub async fn take(&mut self, batch: &mut Vec<BulkJob>) -> bool {
        // Urgent work first.
        tokio::task::yield_now().await;
        self.waiting.recv_many(batch, BULK_BATCH).await > 0
    }

    /// Answers one. What could not be rendered is told of by a gap, or by a reset where deletions are among it.
    pub async fn answer(&self, job: &BulkJob, frames: Result<Vec<Frame>>) {
        let frames = frames.unwrap_or_else(|error| {
            tracing::warn!(%error, "items could not be rendered; the session is told what it lacks");
            lost(&job.items)
        });
        if let Some(shard) = self.shards.get(job.session.shard()) {
            shard.send(Command::Rendered { session: job.session, frames }).await;
        }
    }
}

/// The frame that stands for items which could not be read.
fn lost(items: &[ItemRef]) -> Vec<Frame> {
    let Some(loss) = Loss::each(items.iter().map(|item| (item.key, item.listed))) else { return Vec::new() };
    let now_ms = unix_ms_of(loss.high());
    if loss.is_too_much() {
        let after = Id(loss.low().0.saturating_sub(1));
        return vec![Frame::reset_of(BULK_STREAM, ResetReason::Overflow, after, now_ms)];
    }
    vec![Frame::gap(&loss.gap(BULK_STREAM), now_ms)]
}

/// Sources by their streams, and current values: what a session missed is read from all of them.
#[derive(Clone)]
pub struct Sources {
    sources: Arc<[Arc<dyn Source>]>,
    values: Arc<[Arc<dyn CurrentValues>]>,
}

/// Frames that a session missed, of all streams.
#[derive(Debug, Default)]
pub struct Replay {
    /// Frames to send first, each stream's in its order.
    pub frames: Vec<Frame>,
    /// Sorted keys of what was read, by the index of their stream.
    pub keys: [Vec<Id>; Stream::ALL.len()],
}

impl Sources {
    /// Sources of these products.
    #[must_use]
    pub fn new(sources: Vec<Arc<dyn Source>>, values: Vec<Arc<dyn CurrentValues>>) -> Self {
        Self { sources: sources.into(), values: values.into() }
    }

    /// Everything of `person`'s streams above `from` and up to `upto`, which must have been the newest records before
    /// this is called.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn missed(
        &self,
        person: Id,
        from: super::cursor::Watermarks,
        upto: super::cursor::Watermarks,
    ) -> Result<Replay> {
        let mut replay = Replay::default();
        // First: what does not fit into an answer is what the next one begins with, and no watermark counts values.
        let social = super::cursor::stream_index(BULK_STREAM);
        if from[social] < upto[social] {
            for values in &*self.values {
                replay.frames.append(&mut values.changed(person, from[social], upto[social]).await?);
            }
        }
        for source in &*self.sources {
            let index = super::cursor::stream_index(source.stream());
            if from[index] < upto[index] {
                let mut missed = source.missed(person, from[index], upto[index]).await?;
                missed.keys.sort_unstable();
                replay.frames.append(&mut missed.frames);
                replay.keys[index] = missed.keys;
            }
        }
        Ok(replay)
    }
}

impl Replay {
    /// Every item that a frame carries, with the index of its stream.
    pub fn items(&self) -> impl Iterator<Item = (usize, Id)> + '_ {
        let items = self.frames.iter().filter_map(Frame::items);
        items.flat_map(|items| items.ids.iter().map(|id| (super::cursor::stream_index(items.stream), *id)))
    }

    /// Digest of the items of a stream, by its index.
    #[must_use]
    pub fn digest(&self, stream: usize) -> u16 {
        super::cursor::digest(self.items().filter(|(of, _)| *of == stream).map(|(_, id)| id))
    }

    /// Whether `frame`, which was held meanwhile, carries nothing but what is here.
    #[must_use]
    pub fn has(&self, frame: &Frame) -> bool {
        let Some(items) = frame.items().filter(|items| !items.ids.is_empty()) else { return false };
        let keys = &self.keys[super::cursor::stream_index(items.stream)];
        items.ids.iter().all(|id| keys.binary_search(id).is_ok())
    }
}
