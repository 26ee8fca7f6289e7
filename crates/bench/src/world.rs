//! A server in this process, without sockets, on a temporary folder: people, follows and posts go through its log
//! into real tables.

use std::sync::Arc;

use fanfare::app::{self, App, Running};
use fanfare::base::clock::Clock;
use fanfare::base::data_dir::DataDir;
use fanfare::base::error::Error;
use fanfare::base::logging;
use fanfare::base::logging::LogLevel;
use fanfare::config::Settings;
use fanfare::data::rows::UserRow;
use fanfare::http::OperatorTokens;
use fanfare::log::events::{Event, Policy, PostRecord, Record};
use fanfare::serve;
use fanfare_engines::embedded;
use fanfare_protocol::Id;
use futures_util::stream::{self, StreamExt as _};
use tempfile::TempDir;

use super::{BenchError, Result};

/// Proposals under way at once: they share commits.
const AT_ONCE: usize = 1_024;
/// Characters of a post.
pub const TEXT_CHARS: usize = 280;

/// A server and its folder.
pub struct World {
    running: Running,
    /// Services of the world.
    pub app: App,
    people: usize,
    _folder: TempDir,
}

impl World {
    /// Starts one in `folder`, with room for any number of timelines.
    pub async fn start(folder: TempDir) -> Result<Self> {
        Self::start_with(folder, Settings::default()).await
    }

    /// Starts a world with these settings.
    pub async fn start_with(folder: TempDir, mut settings: Settings) -> Result<Self> {
        settings.server.data_dir = folder.path().to_owned();
        settings.feed.timelines_max = 4_000_000;
        settings.feed.timelines_bytes_max = super::feed::MEMORY_MAX;
        // People of a bench do in a second what others do in a day.
        (settings.chat.messages_per_s, settings.chat.conversations_per_hour) = (0, 0);
        settings.log.level = LogLevel("error".to_owned());
        let log = logging::start(&settings.log.level, settings.log.format);
        let wrong = |error: &dyn std::fmt::Display| BenchError::Wrong(error.to_string());
        let data = DataDir::open(folder.path()).map_err(|error| wrong(&error))?;
        let tokens = OperatorTokens::open(folder.path())?;
        let engines = embedded::open(&data.store(), &serve::engine_settings(&settings))?;
        let running = app::start(&settings, engines, data.secret(), tokens, Clock::system(), log).await?;
        Ok(Self { app: running.app.clone(), running, people: 0, _folder: folder })
    }

    /// Makes `count` accounts.
    pub async fn people(&mut self, count: usize) -> Result<Vec<Id>> {
        let first = self.people;
        self.people += count;
        let mut made = Vec::with_capacity(count);
        for number in first..first + count {
            let (id, handle) = (self.app.core().log.mint().await?, format!("p{number}"));
            made.push(Event::UserCreated { user: UserRow { id, handle, ..UserRow::default() } });
        }
        let records = self.commit_all(made.into_iter()).await?;
        let id = |record: Arc<Record>| match &record.event {
            Event::UserCreated { user } => Some(user.id),
            _ => None,
        };
        Ok(records.into_iter().filter_map(id).collect())
    }

    /// `follower` follows everybody in `followees`.
    pub async fn follow(&self, follower: Id, followees: &[Id]) -> Result<()> {
        let edges = followees.iter().map(|followee| Event::Followed {
            follower,
            followee: *followee,
            notify: false,
            silent: false,
        });
        self.commit_all(edges).await?;
        Ok(())
    }

    /// A post of each of `authors`, in that order; answers their ids.
    pub async fn posts(&self, authors: impl Iterator<Item = Id>) -> Result<Vec<Id>> {
        let records = self.commit_all(authors.map(post_of)).await?;
        Ok(records.into_iter().map(|record| record.id).collect())
    }

    /// Makes one post, durable and visible to its author when this returns.
    pub async fn post(&self, author: Id) -> Result<Id> {
        post(&self.app, author).await
    }

    /// Holds the delivery of `authors`.
    pub fn pin(&self, authors: &[Id], policy: Policy) {
        for author in authors {
            self.app.feed().pin(*author, Some(policy));
        }
    }

    /// Ends the server; its folder is removed unless somebody keeps it.
    pub async fn stop(self) -> TempDir {
        let Self { running, app, people: _, _folder: folder } = self;
        drop(app);
        running.stop().await;
        folder
    }

    /// Makes all of `events` durable, each in the partition of the person whose it is, and there in that order.
    pub async fn commit_all(&self, events: impl Iterator<Item = Event>) -> Result<Vec<Arc<Record>>> {
        let log = &self.app.core().log;
        let commit = async |event: Event| {
            let guard = log.decide(event.actor().unwrap_or_default(), &[]).await?;
            log.commit(&guard, event).await
        };
        let committed = stream::iter(events).map(commit).buffered(AT_ONCE);
        let records: Vec<Result<Arc<Record>, Error>> = committed.collect().await;
        Ok(records.into_iter().collect::<Result<_, Error>>()?)
    }
}

/// Makes one post, as [`World::post`] does.
pub async fn post(app: &App, author: Id) -> Result<Id> {
    let log = &app.core().log;
    let guard = log.decide(author, &[]).await?;
    Ok(log.commit(&guard, post_of(author)).await?.id)
}

fn post_of(author: Id) -> Event {
    Event::Posted { post: PostRecord { author, text: text(), ..PostRecord::default() }, notify: Vec::new() }
}

/// Words of [`TEXT_CHARS`] characters.
pub fn text() -> String {
    "When many people follow one, the post must reach them all, and nobody else should wait. "
        .chars()
        .cycle()
        .take(TEXT_CHARS)
        .collect()
}
