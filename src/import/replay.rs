//! The days acted again, line by line, in order, at the file's own times.
//!
//! A line is drafted once everything that it looks at is durable, and handed to the owner without waiting: so many
//! lines share a commit, and records are committed in the order of the lines. Lines look at posts of the target that
//! they answer or pass on, and at what the actor passed on; of whom they name nothing changes. The last record of a
//! line carries its number: what a kill leaves is exactly the lines up to that number, and half a line (the first post
//! that its target needed) does not repeat because the target then has a post.

use futures_util::future::BoxFuture;
use std::collections::{HashMap, VecDeque};

use fanfare_engines::Partition;
use fanfare_protocol::{Id, NewPost};

use super::graph::People;
use super::lines::{Activity, Kind};
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::tables;
use crate::feed::{FeedSource as _, PageQuery};
use crate::log::events::{Event, PostRecord};
use crate::log::handle::{Pending, Proposal};
use crate::log::imports::line_row;

/// Lines that may wait for their commit at once.
const IN_FLIGHT_MAX: usize = 512;
/// Milliseconds of a day: a reader who does not act reads once in it.
const DAY_MS: f64 = 86_400_000.0;

/// Counts of what was replayed so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines that were replayed.
    pub lines: u64,
    /// Posts of every kind, the ones that a target needed first included.
    pub posts: u64,
    /// Bare reposts that the actor had made before: nothing new.
    pub repeated: u64,
    /// Lines that the server refused.
    pub refused: u64,
    /// Feed pages read.
    pub reads: u64,
}

/// A line on its way.
struct InFlight {
    author: Id,
    /// Post that it passes on without words.
    passes_on: Option<Id>,
    pending: Pending,
}

/// Replays activity.
pub struct Replayer {
    app: App,
    newest: HashMap<Id, Id>,
    in_flight: VecDeque<InFlight>,
    /// Partition of the lines that are in flight.
    partition: Option<Partition>,
    /// People who read now and then, in a fixed order.
    readers: Vec<Id>,
    next_reader: usize,
    owed_reads: f64,
    last_ms: u64,
    /// Counts of what was replayed.
    pub tally: Tally,
}

/// The last line that an import into this folder has replayed; 0 when there was none.
///
/// # Errors
/// When storage fails.
pub fn replayed(app: &App) -> BoxFuture<'_, Result<u64>> {
    Box::pin(async move { Ok(app.core().store.get_id(&line_row()).await?.map_or(0, |line| line.0)) })
}

impl Replayer {
    /// A replay in which `percent` of the people read a page a day, beyond those who act.
    #[must_use]
    pub fn new(app: App, people: &People, percent: u8, first_ms: u64) -> Self {
        // A multiplicative hash spreads who reads, the same on every run.
        let spread = |external: u64| external.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let mut chosen: Vec<(u64, Id)> = people
            .all()
            .map(|(external, id)| (spread(external), id))
            .filter(|(spread, _)| spread % 100 < u64::from(percent))
            .collect();
        chosen.sort_unstable();
        let readers = chosen.into_iter().map(|(_, id)| id).collect();
        Self {
            app,
            newest: HashMap::new(),
            in_flight: VecDeque::new(),
            partition: None,
            readers,
            next_reader: 0,
            owed_reads: 0.0,
            last_ms: first_ms,
            tally: Tally::default(),
        }
    }

    /// A line that was replayed before the restart: only its time counts.
    pub fn pass(&mut self, at_ms: u64) {
        self.last_ms = self.last_ms.max(at_ms);
    }

    /// Makes those in the next lines, `acts`, who have no account yet, all at once and just before the first of these
    /// lines: one after another, each would wait for commits of its own. Who cannot be made is left to their own line.
    ///
    /// # Errors
    /// What the server refused of earlier lines, or a failure of storage.
    pub fn meet<'a>(&'a mut self, people: &'a mut People, acts: &'a [Activity]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(at_ms) = acts.first().map(|act| act.at_ms) else { return Ok(()) };
            let externals = || acts.iter().flat_map(|act| [act.actor, act.target]);
            if externals().all(|external| people.get(external).is_some()) {
                return Ok(());
            }
            // An account's id is minted at once: what waits to be numbered must keep its earlier moment.
            self.drain().await?;
            // A record comes after the accounts that were there before it: of the same moment it would get the next.
            let at_ms = at_ms.saturating_sub(1);
            self.app.core().clock.set(at_ms);
            match people.find_or_make_all_at(at_ms, externals()).await {
                Err(Error::Refused(_)) => Ok(()),
                made => made,
            }
        })
    }

    /// Replays one line.
    ///
    /// # Errors
    /// What the server refused (the next line can go on), or a failure of storage.
    pub fn act<'a>(&'a mut self, people: &'a mut People, line: u64, act: Activity) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.app.core().clock.set(act.at_ms);
            self.others_read(act.at_ms).await?;
            if people.get(act.actor).is_none() || people.get(act.target).is_none() {
                self.drain().await?; // as in `meet`
            }
            let actor = people.find_or_make(act.actor, act.at_ms).await?;
            let target = people.find_or_make(act.target, act.at_ms).await?;
            self.read(actor).await?;
            self.tally.lines += 1;
            let new = if actor == target {
                NewPost { text: format!("Note to self, line {line}."), ..NewPost::default() }
            } else {
                match act.kind {
                    Kind::Mention => {
                        NewPost { text: format!("Have you seen this, @u{}?", act.target), ..NewPost::default() }
                    }
                    Kind::Reply => {
                        let reply_to = Some(self.newest_of(target, act).await?);
                        NewPost { text: format!("I answer you, @u{}.", act.target), reply_to, ..NewPost::default() }
                    }
                    Kind::Repost => {
                        NewPost { repost_of: Some(self.newest_of(target, act).await?), ..NewPost::default() }
                    }
                }
            };
            let post = self.app.posts().draft(actor, new).await?;
            if self.has_reposted(&post).await? {
                self.tally.repeated += 1;
                return Ok(());
            }
            self.hand_in(post, act.at_ms, Some(line)).await
        })
    }

    async fn has_reposted(&mut self, post: &PostRecord) -> Result<bool> {
        match (post.is_bare_repost(), post.repost_of) {
            (true, Some(original)) => {
                self.settle(|one| one.author == post.author && one.passes_on == Some(original.id)).await?;
                let row = tables::pair(tables::REPOSTED, post.author, original.id);
                Ok(self.app.core().store.get(&row).await?.is_some())
            }
            _ => Ok(false),
        }
    }

    /// The newest post of `target`, made now if there is none.
    async fn newest_of(&mut self, target: Id, act: Activity) -> Result<Id> {
        self.settle(|one| one.author == target).await?;
        if let Some(id) = self.newest.get(&target) {
            return Ok(*id);
        }
        let found = self.app.core().store.author_entries(target, Id(i64::MAX as u64), 1).await?;
        if found.is_empty() {
            let new = NewPost { text: "Hello, here I am.".to_owned(), ..NewPost::default() };
            let post = self.app.posts().draft(target, new).await?;
            self.hand_in(post, act.at_ms, None).await?;
            self.settle(|one| one.author == target).await?;
        } else if let Some(entry) = found.first() {
            self.newest.insert(target, entry.id);
        }
        self.newest.get(&target).copied().ok_or_else(|| Error::Internal("a post that was made is not there".to_owned()))
    }

    async fn hand_in(&mut self, post: PostRecord, at_ms: u64, line: Option<u64>) -> Result<()> {
        let author = post.author;
        let passes_on = post.repost_of.filter(|_| post.is_bare_repost()).map(|original| original.id);
        let notify = self.app.posts().notices(&post).await?;
        let event = Event::Posted { post, notify };
        let proposal = Proposal { at_ms: Some(at_ms), import_line: line, ..event.into() };
        // What a kill leaves is the lines up to a number: so those of one partition wait for those of another.
        let partition = self.app.core().log.partition_of(author);
        if self.partition.replace(partition).is_some_and(|before| before != partition) {
            self.drain().await?;
        }
        let guard = self.app.core().log.decide(author, &[]).await?;
        match self.app.core().log.submit(&guard, proposal).await {
            Ok(pending) => self.in_flight.push_back(InFlight { author, passes_on, pending }),
            // What was handed in before is told of, as done or not.
            Err(error) => return self.drain().await.and(Err(error)),
        }
        // A line says that all before it are done: of several partitions each waits for the one before.
        let most = if self.app.core().log.spread().is_one() { IN_FLIGHT_MAX } else { 0 };
        while self.in_flight.len() > most {
            self.finish_oldest().await?;
        }
        Ok(())
    }

    async fn finish_oldest(&mut self) -> Result<()> {
        let Some(oldest) = self.in_flight.pop_front() else { return Ok(()) };
        let record = oldest.pending.durable().await?;
        if let Event::Posted { post, .. } = &record.event {
            self.newest.insert(post.author, record.id);
        }
        self.tally.posts += 1;
        Ok(())
    }

    /// Waits until nothing is under way, also when something fails.
    async fn drain(&mut self) -> Result<()> {
        let mut outcome = Ok(());
        while !self.in_flight.is_empty() {
            outcome = outcome.and(self.finish_oldest().await);
        }
        outcome
    }

    /// Waits until none of those that `matter` is under way.
    async fn settle(&mut self, matter: impl Fn(&InFlight) -> bool) -> Result<()> {
        let last = self.in_flight.iter().rposition(matter);
        for _ in 0..last.map_or(0, |last| last + 1) {
            self.finish_oldest().await?;
        }
        Ok(())
    }

    /// Waits until everything is durable and every timeline has it.
    ///
    /// # Errors
    /// When storage fails.
    pub fn finish(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.drain().await?;
            let feed = self.app.feed().clone();
            let quiet = tokio::task::spawn_blocking(move || feed.quiesce()).await;
            quiet.map_err(|error| Error::Internal(format!("the fan-out failed: {error}")))
        })
    }

    async fn read(&mut self, reader: Id) -> Result<()> {
        let limit = usize::from(limits::http::PAGE_ITEMS_DEFAULT);
        self.app.feed().page(reader, PageQuery { limit, ..PageQuery::default() }).await?;
        self.tally.reads += 1;
        Ok(())
    }

    /// Lets readers who do not act read, one after another, each once a day.
    async fn others_read(&mut self, now_ms: u64) -> Result<()> {
        let passed_ms = now_ms.saturating_sub(self.last_ms);
        self.last_ms = self.last_ms.max(now_ms);
        // A gap of days in the file makes everybody read once, not once for each day.
        let owed = self.owed_reads + self.readers.len() as f64 * passed_ms as f64 / DAY_MS;
        self.owed_reads = owed.min(self.readers.len() as f64);
        while self.owed_reads >= 1.0 && !self.readers.is_empty() {
            self.owed_reads -= 1.0;
            let reader = self.readers[self.next_reader % self.readers.len()];
            self.next_reader += 1;
            self.read(reader).await?;
        }
        Ok(())
    }
}
