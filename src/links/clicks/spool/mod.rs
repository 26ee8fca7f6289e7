//! Spool of a node: where clicks are before they are in the log. The one place that writes them to files.
//!
//! A click is written with one call to the kernel, which keeps it through a kill of the process, and only then its
//! visitor is answered. There are a few files (*lanes*), so that threads do not wait for one another; each is a
//! *source* of its own, in segments that are made whole before they are written and let go of once they are shipped.
//! Nothing is synced here: that is the log's part, and until then a loss of power takes what is younger than a window.

pub mod segment;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use self::segment::{BODY_BYTES_MAX, FRAME_BYTES, HEAD_BYTES, SHIPPED_AT, SegmentHead, bodies, frame, shipped_mark};
use super::click::Click;
use crate::base::limits::clicks::{SEGMENT_BYTES, SPOOL_RETRY_MS};

/// Name of a segment's file ends in this.
const SUFFIX: &str = ".clicks";

/// Files as the spool needs them; tests have some that fail.
pub trait Disk: Send + Sync + 'static {
    /// Makes a file of `bytes` zeros, or one that grows where the file system cannot.
    ///
    /// # Errors
    /// When there is no room.
    fn make(&self, path: &Path, bytes: u64) -> io::Result<File>;

    /// Writes at an offset; answers how many bytes were taken.
    ///
    /// # Errors
    /// When none were.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize>;
}

/// Files of the system.
#[derive(Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn make(&self, path: &Path, bytes: u64) -> io::Result<File> {
        use rustix::fs::{FallocateFlags, fallocate};
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(file),
            Err(error) => {
                drop(std::fs::remove_file(path));
                Err(error.into())
            }
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(file, bytes, offset)
    }
}

/// Choices when a spool is opened.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// Folder of the files.
    pub folder: PathBuf,
    /// Files that are written in turn.
    pub lanes: usize,
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Bytes of one file.
    pub segment_bytes: u64,
}

impl SpoolSettings {
    /// Settings with segments of the usual size.
    #[must_use]
    pub fn new(folder: PathBuf, lanes: usize, bytes_max: u64) -> Self {
        Self { folder, lanes, bytes_max, segment_bytes: SEGMENT_BYTES }
    }
}

/// A segment, and what is in it.
struct Segment {
    file: Arc<File>,
    path: PathBuf,
    head: SegmentHead,
    /// Place behind the last click.
    end: u64,
    /// Bytes of the file.
    bytes: u64,
}

/// Source of clicks: one that is written now, or what a run before left.
struct Source {
    number: u64,
    segments: VecDeque<Segment>,
    /// Place up to which everything is shipped.
    shipped: u64,
    /// Moment at which making a segment failed last.
    refused_ms: u64,
}

impl Source {
    fn end(&self) -> u64 {
        self.segments.back().map_or(self.shipped, |last| last.end)
    }
}

/// Numbers for operators.
#[derive(Debug, Default)]
pub struct SpoolCounts {
    /// Bytes of all files.
    pub held_bytes: AtomicU64,
    /// Clicks that were written.
    pub written: AtomicU64,
    /// Clicks that were not counted: there was no room, or they waited for too long.
    pub lost: AtomicU64,
}

/// Next part of a source that is to be shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingClicks {
    /// Number of the source.
    pub source: u64,
    /// Clicks as the spool has them, with the place of each; parts of one piece of memory.
    pub clicks: Vec<(u64, Bytes)>,
    /// Place to tell of when they are shipped.
    pub upto: u64,
    /// More waits behind them.
    pub has_more: bool,
}

/// Spool of a node.
pub struct Spool {
    settings: SpoolSettings,
    disk: Box<dyn Disk>,
    /// Sources that are written now.
    lanes: Vec<Mutex<Source>>,
    /// Numbers of these sources.
    numbers: Vec<u64>,
    /// Sources that a run before left.
    left: Vec<Mutex<Source>>,
    counts: SpoolCounts,
    has_news: AtomicBool,
    news: Notify,
}

thread_local! {
    /// Number of the thread, by which it finds its lane.
    static THREAD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
    /// Buffer of the thread's clicks: one is encoded at a time.
    static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

impl Spool {
    /// Opens the spool, with what a run before left in it.
    ///
    /// # Errors
    /// When the folder is there and cannot be read; it is made with the first click.
    pub fn open(settings: SpoolSettings, disk: Box<dyn Disk>, mut draw: impl FnMut() -> u64) -> io::Result<Self> {
        let counts = SpoolCounts::default();
        let left = found(&settings.folder, &counts)?;
        let numbers: Vec<u64> = (0..settings.lanes.max(1)).map(|_| draw()).collect();
        let empty = |number: &u64| Source { number: *number, segments: VecDeque::new(), shipped: 0, refused_ms: 0 };
        let lanes = numbers.iter().map(empty).map(Mutex::new).collect();
        let has_news = AtomicBool::new(!left.is_empty());
        let left = left.into_iter().map(Mutex::new).collect();
        Ok(Self { settings, disk, lanes, numbers, left, counts, has_news, news: Notify::new() })
    }

    /// Numbers for operators.
    #[must_use]
    pub const fn counts(&self) -> &SpoolCounts {
        &self.counts
    }

    /// Writes a click; answers whether it counts. One that does not is counted as lost.
    pub fn write(&self, click: &Click<'_>, now_ms: u64) -> bool {
        let lane = &self.lanes[THREAD.with(|thread| *thread) % self.lanes.len()];
        let written = BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            buffer.extend_from_slice(&[0; FRAME_BYTES]);
            click.encode(buffer);
            frame(buffer);
            buffer.len() <= FRAME_BYTES + BODY_BYTES_MAX && self.append(&mut lane.lock(), buffer, now_ms)
        });
        let count = if written { &self.counts.written } else { &self.counts.lost };
        count.fetch_add(1, Ordering::Relaxed);
        if written && !self.has_news.load(Ordering::Relaxed) && !self.has_news.swap(true, Ordering::AcqRel) {
            self.news.notify_one();
        }
        written
    }

    fn append(&self, source: &mut Source, bytes: &[u8], now_ms: u64) -> bool {
        let length = bytes.len() as u64;
        let fits = |last: &Segment| HEAD_BYTES + last.end - last.head.start + length <= self.settings.segment_bytes;
        if !source.segments.back().is_some_and(fits) && !self.begin(source, now_ms) {
            return false;
        }
        let Some(last) = source.segments.back_mut() else { return false };
        let offset = HEAD_BYTES + last.end - last.head.start;
        match self.disk.write_at(&last.file, bytes, offset) {
            Ok(taken) if taken == bytes.len() => {
                last.end += length;
                true
            }
            Ok(taken) => {
                // A part of it would be read as the end, but what is written over it next may be shorter.
                drop(self.disk.write_at(&last.file, &vec![0; taken], offset));
                false
            }
            Err(_) => false,
        }
    }

    /// Makes the next segment of a source.
    fn begin(&self, source: &mut Source, now_ms: u64) -> bool {
        if source.refused_ms > 0 && now_ms.abs_diff(source.refused_ms) < SPOOL_RETRY_MS {
            return false;
        }
        let bytes = self.settings.segment_bytes;
        let held = self.counts.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let made = if held + bytes > self.settings.bytes_max {
            Err(io::Error::other("the spool is as large as it may be"))
        } else {
            self.make(source, now_ms)
        };
        match made {
            Ok(segment) => {
                source.segments.push_back(segment);
                source.refused_ms = 0;
                true
            }
            Err(error) => {
                self.counts.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
                if source.refused_ms == 0 {
                    tracing::warn!(%error, "clicks are lost: the spool takes no more");
                }
                source.refused_ms = now_ms.max(1);
                false
            }
        }
    }

    fn make(&self, source: &Source, now_ms: u64) -> io::Result<Segment> {
        let start = source.end();
        let head = SegmentHead { source: source.number, start, made_ms: now_ms, shipped: start };
        let path = self.settings.folder.join(format!("{:016x}-{start:016x}{SUFFIX}", source.number));
        std::fs::create_dir_all(&self.settings.folder)?;
        let file = self.disk.make(&path, self.settings.segment_bytes)?;
        let bytes = head.to_bytes();
        if !self.disk.write_at(&file, &bytes, 0).is_ok_and(|taken| taken == bytes.len()) {
            drop(std::fs::remove_file(&path));
            return Err(io::Error::other("a segment's head was not written"));
        }
        Ok(Segment { file: Arc::new(file), path, head, end: start, bytes: self.settings.segment_bytes })
    }

    /// Waits until there is something to ship.
    pub async fn wait(&self) {
        while !self.has_news.load(Ordering::Acquire) {
            self.news.notified().await;
        }
    }

    /// Clicks that wait, of every source, at most `bytes` of each. What comes after this call wakes who
    /// [waits](Self::wait).
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn waiting(&self, bytes: usize) -> io::Result<Vec<WaitingClicks>> {
        self.has_news.store(false, Ordering::Release);
        let mut all = Vec::new();
        for source in self.left.iter().chain(&self.lanes) {
            if let Some(waiting) = read(source, bytes)? {
                all.push(waiting);
            }
        }
        Ok(all)
    }

    /// Clicks of `source` up to `upto` are in the log, or given up: their part is let go of.
    pub fn shipped(&self, source: u64, upto: u64) {
        let sources = self.left.iter().chain(&self.lanes);
        let Some(mut source) = sources.map(|one| one.lock()).find(|one| one.number == source) else { return };
        source.shipped = source.shipped.max(upto);
        while let Some(first) = source.segments.front() {
            let is_done = first.end <= source.shipped;
            let is_last = source.segments.len() == 1;
            let is_full =
                |end: u64| HEAD_BYTES + end - first.head.start + BODY_BYTES_MAX as u64 > self.settings.segment_bytes;
            // One that is still written stays, unless hardly anything fits any more.
            if !is_done || (is_last && self.numbers.contains(&source.number) && !is_full(first.end)) {
                break;
            }
            drop(std::fs::remove_file(&first.path));
            self.counts.held_bytes.fetch_sub(first.bytes, Ordering::Relaxed);
            source.segments.pop_front();
        }
        if let Some(first) = source.segments.front() {
            let mark = shipped_mark(source.shipped.max(first.head.start));
            // Where it is not written they come again, and are recognised.
            drop(self.disk.write_at(&first.file, &mark, SHIPPED_AT));
        }
    }

    /// Place behind the last click of each source, by the source's number.
    #[must_use]
    pub fn ends(&self) -> Vec<(u64, u64)> {
        let sources = self.left.iter().chain(&self.lanes).map(|source| source.lock());
        sources.map(|source| (source.number, source.end())).collect()
    }

    /// Whether every click before these [`ends`](Self::ends) is in the log, or given up.
    #[must_use]
    pub fn is_shipped(&self, ends: &[(u64, u64)]) -> bool {
        let mut sources = self.left.iter().chain(&self.lanes).map(|source| source.lock());
        sources.all(|source| ends.iter().all(|(number, end)| *number != source.number || source.shipped >= *end))
    }

    /// Something is to be shipped again.
    pub fn look_again(&self) {
        self.has_news.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// Whether a click of this thread would be taken now.
    pub fn takes(&self, now_ms: u64) -> bool {
        let mut source = self.lanes[THREAD.with(|thread| *thread) % self.lanes.len()].lock();
        let most = (FRAME_BYTES + BODY_BYTES_MAX) as u64;
        let fits = |last: &Segment| HEAD_BYTES + last.end - last.head.start + most <= self.settings.segment_bytes;
        source.segments.back().is_some_and(fits) || self.begin(&mut source, now_ms)
    }

    /// Counts clicks that are not shipped because they waited for too long.
    pub fn give_up(&self, clicks: u64) {
        self.counts.lost.fetch_add(clicks, Ordering::Relaxed);
    }
}

/// Clicks of a source that wait, from the first segment that has any.
fn read(source: &Mutex<Source>, bytes: usize) -> io::Result<Option<WaitingClicks>> {
    let (number, file, head, from, end, source_end) = {
        let source = source.lock();
        let Some(first) = source.segments.iter().find(|segment| segment.end > source.shipped) else { return Ok(None) };
        let from = source.shipped.max(first.head.start);
        (source.number, Arc::clone(&first.file), first.head, from, first.end, source.end())
    };
    let length = usize::try_from(end - from).unwrap_or(usize::MAX).min(bytes.max(FRAME_BYTES + BODY_BYTES_MAX));
    let mut buffer = vec![0; length];
    std::os::unix::fs::FileExt::read_exact_at(&*file, &mut buffer, HEAD_BYTES + from - head.start)?;
    let buffer = Bytes::from(buffer);
    let body = |(body, ends): (&[u8], usize)| (from + ends as u64, buffer.slice(ends - body.len()..ends));
    let clicks: Vec<(u64, Bytes)> = bodies(&buffer).map(body).collect();
    let upto = clicks.last().map_or(end, |(place, _)| *place);
    Ok(Some(WaitingClicks { source: number, clicks, upto, has_more: source_end > upto }))
}

/// Sources that are in `folder`. What has no whole head was never written to, and goes.
fn found(folder: &Path, counts: &SpoolCounts) -> io::Result<Vec<Source>> {
    let mut sources: Vec<Source> = Vec::new();
    let mut segments = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(sources),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if !path.to_string_lossy().ends_with(SUFFIX) {
            continue;
        }
        let bytes = std::fs::read(&path)?;
        let Some(head) = SegmentHead::parse(&bytes) else {
            tracing::warn!(path = %path.display(), "a file of the spool has no whole head; it goes");
            std::fs::remove_file(&path)?;
            continue;
        };
        let whole = bodies(&bytes[HEAD_BYTES as usize..]).last().map_or(0, |(_, ends)| ends as u64);
        let file = Arc::new(File::options().read(true).write(true).open(&path)?);
        counts.held_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        segments.push(Segment { file, path, head, end: head.start + whole, bytes: bytes.len() as u64 });
    }
    segments.sort_by_key(|segment| (segment.head.source, segment.head.start));
    for segment in segments {
        match sources.last_mut().filter(|last| last.number == segment.head.source) {
            // The first of them says what was shipped: later ones were only begun.
            Some(source) => source.segments.push_back(segment),
            None => {
                let (number, shipped) = (segment.head.source, segment.head.shipped);
                sources.push(Source { number, segments: VecDeque::from([segment]), shipped, refused_ms: 0 });
            }
        }
    }
    // What was shipped to the end is done with.
    for source in &mut sources {
        while let Some(first) = source.segments.pop_front_if(|first| first.end <= source.shipped) {
            std::fs::remove_file(&first.path)?;
            counts.held_bytes.fetch_sub(first.bytes, Ordering::Relaxed);
        }
    }
    sources.retain(|source| !source.segments.is_empty());
    Ok(sources)
}

#[cfg(test)]
mod tests;
