//! The server while it runs, as operators see it and change it: its state, and the settings that need no restart.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use fanfare_protocol::Id;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::service::Acts;
use crate::base::error::{Error, Result};
use crate::base::limits::AUDIT_TARGET_CHARS_MAX;
use crate::base::logging::{LogControl, LogLevel};
use crate::chat::counts::ChatStatus;
use crate::chat::service::Chat;
use crate::data::audit::{Action, Operator};
use crate::data::storage::Storage;
use crate::feed::{ByPolicy, Feed, Thresholds};
use crate::links::clicks::service::{ClickStatus, Clicks};
use crate::log::consumers::{Consumers, Holder};

/// An author whose fan-out costs much.
#[derive(Debug, Serialize, ToSchema)]
pub struct CostlyAuthor {
    /// The author.
    pub user_id: Id,
    /// Materialised followers × posts a second.
    pub deliveries_per_s: f64,
}

/// Consumer of the journal that holds more of it than `storage.journal_bytes_max`.
#[derive(Debug, Serialize, ToSchema)]
pub struct JournalHolder {
    /// Name of the consumer.
    pub consumer: String,
    /// Number of the journal's partition.
    pub partition: u16,
    /// Bytes of the journal that wait for it.
    pub bytes: u64,
}

/// The server at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// Version of the binary.
    pub version: &'static str,
    /// Seconds since the start.
    uptime_s: u64,
    /// Writes are refused: storage is away, or the disk is as good as full (both come back by themselves), or storage
    /// has failed and wants a restart. The log says which.
    pub writes_refused: bool,
    /// Consumers that hold more of the journal than `storage.journal_bytes_max`, as of the last half minute; none is as
    /// it should be. Of several in a partition the slowest is here.
    journal_held_by: Vec<JournalHolder>,
    /// Consumers of the journal that are registered, running or not, as of the last half minute: nothing goes that one
    /// of them has not done with.
    journal_consumers: Vec<String>,
    /// Materialised timelines.
    pub timelines: usize,
    /// Entries in them.
    pub timeline_entries: usize,
    /// Bytes of the timelines in memory.
    pub timeline_bytes: usize,
    /// Ordinary fan-out jobs that wait.
    fan_out_queue: usize,
    /// Late fan-out jobs that wait.
    late_fan_out_queue: usize,
    /// Posts since the start, by policy: push, push_late, pull.
    posts_by_policy: [u64; 3],
    /// Timeline entries written since the start, by policy: push, push_late, pull.
    deliveries_by_policy: [u64; 3],
    /// The dearest authors, dearest first.
    costly_authors: Vec<CostlyAuthor>,
    /// Conversations and messages.
    chat: ChatStatus,
    /// Clicks on short links.
    clicks: ClickStatus,
}

/// Settings that can change while the server runs; by their names in the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunningSettings {
    /// Authors with fewer followers are pushed at once.
    #[serde(rename = "feed.push_below")]
    pub push_below: u64,
    /// Authors with more followers are pulled.
    #[serde(rename = "feed.pull_above")]
    pub pull_above: u64,
    /// Lowest level written to the log, or a filter.
    #[serde(rename = "log.level")]
    log_level: String,
}

/// Changes of settings while the server runs; what is absent stays. A restart reads the configuration again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchSettings {
    /// Authors with fewer followers are pushed at once.
    #[serde(default, rename = "feed.push_below")]
    #[schema(maximum = 1_125_899_906_842_624_u64, examples(10_000))]
    pub push_below: Option<u64>,
    /// Authors with more followers are pulled.
    #[serde(default, rename = "feed.pull_above")]
    #[schema(maximum = 1_125_899_906_842_624_u64)]
    pub pull_above: Option<u64>,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,fanfare=debug`.
    #[serde(default, rename = "log.level")]
    log_level: Option<String>,
}

impl PatchSettings {
    /// Whether nothing changes, which is no act.
    fn is_empty(&self) -> bool {
        let Self { push_below, pull_above, log_level } = self;
        push_below.is_none() && pull_above.is_none() && log_level.is_none()
    }

    /// Settings that change, in words for the audit.
    fn words(&self) -> String {
        let mut words = "settings".to_owned();
        let mut add = |key: &str, value: Option<&dyn std::fmt::Display>| {
            if let Some(value) = value {
                let _ = write!(words, " {key}={value}");
            }
        };
        add("feed.push_below", self.push_below.as_ref().map(|value| value as _));
        add("feed.pull_above", self.pull_above.as_ref().map(|value| value as _));
        add("log.level", self.log_level.as_ref().map(|value| value as _));
        words.chars().take(AUDIT_TARGET_CHARS_MAX).collect()
    }
}

/// State and live settings of a running server.
pub struct RunningServer {
    acts: Acts,
    feed: Feed,
    log: Mutex<(LogControl, LogLevel)>,
    storage: Storage,
    consumers: Consumers,
    chat: Chat,
    clicks: Arc<Clicks>,
    /// Held while settings change, so that changes come one after the other.
    changing: tokio::sync::Mutex<()>,
    started: Instant,
}

impl RunningServer {
    /// A server that starts now; `log` writes lines from that level on.
    #[must_use]
    pub fn new(
        acts: Acts,
        feed: Feed,
        log: (LogControl, LogLevel),
        (storage, consumers): (Storage, Consumers),
        (chat, clicks): (Chat, Arc<Clicks>),
    ) -> Self {
        Self {
            acts,
            feed,
            log: Mutex::new(log),
            storage,
            consumers,
            chat,
            clicks,
            changing: tokio::sync::Mutex::default(),
            started: Instant::now(),
        }
    }

    /// The server at this moment.
    ///
    /// # Errors
    /// When the counting was cut off.
    pub async fn status(&self) -> Result<Status> {
        let feed = self.feed.clone();
        let stats = tokio::task::spawn_blocking(move || feed.stats())
            .await
            .map_err(|error| Error::Internal(format!("the statistics failed: {error}")))?;
        let three = |by: ByPolicy| [by.push, by.push_late, by.pull];
        Ok(Status {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: self.started.elapsed().as_secs(),
            writes_refused: self.storage.refuses(),
            journal_held_by: self.held_by(),
            journal_consumers: self.consumers.known(),
            timelines: stats.timelines,
            timeline_entries: stats.timeline_entries,
            timeline_bytes: stats.timeline_bytes,
            fan_out_queue: stats.push_queue,
            late_fan_out_queue: stats.late_queue,
            posts_by_policy: three(stats.posts),
            deliveries_by_policy: three(stats.deliveries),
            costly_authors: stats
                .costs
                .into_iter()
                .map(|cost| CostlyAuthor { user_id: cost.author, deliveries_per_s: cost.deliveries_per_s })
                .collect(),
            chat: self.chat.status(),
            clicks: self.clicks.status(),
        })
    }

    fn held_by(&self) -> Vec<JournalHolder> {
        let holder = |Holder { consumer, partition, bytes }| JournalHolder { consumer, partition, bytes };
        self.consumers.holders().into_iter().map(holder).collect()
    }

    /// Takes away the registration of a consumer of the journal that is no more, and leaves the line of the act.
    ///
    /// # Errors
    /// 404 when nobody of that name is registered, 409 for a part of the server that runs.
    pub async fn remove_consumer(&self, operator: &Operator, consumer: &str, reason: Option<String>) -> Result<()> {
        self.consumers.check_removable(consumer).await?;
        self.acts.note(operator.act(Action::RemoveConsumer, format!("consumers/{consumer}"), reason)).await?;
        self.consumers.remove(consumer).await
    }

    /// The settings now.
    #[must_use]
    pub fn settings(&self) -> RunningSettings {
        let Thresholds { push_below, pull_above } = self.feed.thresholds();
        RunningSettings { push_below, pull_above, log_level: self.log.lock().1.0.clone() }
    }

    /// Changes settings, and leaves the line of the act.
    ///
    /// # Errors
    /// 422 for values that cannot be.
    pub async fn change(&self, operator: &Operator, patch: PatchSettings) -> Result<RunningSettings> {
        let _changing = self.changing.lock().await;
        let now = self.feed.thresholds();
        let wanted = Thresholds {
            push_below: patch.push_below.unwrap_or(now.push_below),
            pull_above: patch.pull_above.unwrap_or(now.pull_above),
        };
        if wanted.pull_above < wanted.push_below {
            let message = format!("must not be below feed.push_below, which is {}", wanted.push_below);
            return Err(Error::field("feed.pull_above", message));
        }
        let level: Option<LogLevel> = patch.log_level.as_deref().map(str::parse).transpose().map_err(|()| {
            Error::field("log.level", "error, warn, info, debug, trace, or a filter such as info,fanfare=debug")
        })?;
        if patch.is_empty() {
            return Ok(self.settings());
        }
        self.acts.note(operator.act(Action::ChangeSettings, patch.words(), None)).await?;
        if let Some(level) = level {
            let mut log = self.log.lock();
            log.0.set(&level);
            log.1 = level;
        }
        self.feed.set_thresholds(wanted);
        Ok(self.settings())
    }
}
