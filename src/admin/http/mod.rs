//! Routes of operators: `/v1/admin/*`.

mod moderation;

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{FieldError, Id};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use self::moderation::{
    __path_audit, __path_delete_post, __path_set_password, __path_suspend, __path_suspensions, __path_unsuspend, audit,
    delete_post, set_password, suspend, suspensions, unsuspend,
};

use crate::admin::audit::Action;
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::limits::AUDIT_TARGET_CHARS_MAX;
use crate::config::{LARGEST, LogLevel};
use crate::feed::Thresholds;
use crate::http::{Admin, Check, Checks, NoContent, Path, Problems, Valid};

/// An author whose fan-out costs much.
#[derive(Debug, Serialize, ToSchema)]
pub struct CostlyAuthor {
    /// The author.
    pub user_id: Id,
    /// Materialised followers × posts a second.
    pub deliveries_per_s: f64,
}

/// The server at this moment.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// Version of the binary.
    pub version: &'static str,
    /// Seconds since the start.
    uptime_s: u64,
    /// Storage failed; every write is refused until a restart.
    pub writes_refused: bool,
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
}

/// The server at this moment.
///
/// What `/metrics` says over time, as it is now: queues, timelines, and the authors who cost most.
#[utoipa::path(get, path = "/v1/admin/status", tag = "operators", operation_id = "get_status", responses((status = 200, body = Status), Problems))]
pub async fn status(State(app): State<App>, _: Admin) -> Result<Json<Status>> {
    let feed = app.feed.clone();
    let stats = tokio::task::spawn_blocking(move || feed.stats())
        .await
        .map_err(|error| Error::Internal(format!("the statistics failed: {error}")))?;
    let three = |by: crate::feed::ByPolicy| [by.push, by.push_late, by.pull];
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.started.elapsed().as_secs(),
        writes_refused: app.http.storage.has_failed(),
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
    }))
}

/// Settings that can change while the server runs; by their names in the configuration.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveSettings {
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

impl Check for PatchSettings {
    fn check(&self, _limits: &Checks) -> Vec<FieldError> {
        let followers = [("feed.push_below", self.push_below), ("feed.pull_above", self.pull_above)];
        let large = followers.into_iter().filter(|(_, value)| value.is_some_and(|value| value > LARGEST));
        large
            .map(|(name, _)| FieldError { field: name.to_owned(), message: format!("must be at most {LARGEST}") })
            .collect()
    }
}

impl PatchSettings {
    /// Nothing changes, which is no act.
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

fn live(app: &App) -> LiveSettings {
    let Thresholds { push_below, pull_above } = app.feed.thresholds();
    LiveSettings { push_below, pull_above, log_level: app.log.lock().1.0.clone() }
}

/// Settings that can change while the server runs.
///
/// By their names in the configuration.
#[utoipa::path(get, path = "/v1/admin/settings", tag = "operators", operation_id = "get_settings",
    responses((status = 200, body = LiveSettings), Problems))]
pub async fn settings(State(app): State<App>, _: Admin) -> Json<LiveSettings> {
    Json(live(&app))
}

/// Change settings while the server runs.
///
/// What is absent stays. A restart reads the configuration again.
#[utoipa::path(patch, path = "/v1/admin/settings", tag = "operators", request_body = PatchSettings,
    responses((status = 200, body = LiveSettings), Problems))]
pub async fn change_settings(
    State(app): State<App>,
    admin: Admin,
    Valid(patch): Valid<PatchSettings>,
) -> Result<Json<LiveSettings>> {
    let _held = app.core.locks.hold(&[("settings", 0, 0)]).await;
    let now = app.feed.thresholds();
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
        return Ok(Json(live(&app)));
    }
    app.acts.note(admin.0.act(Action::ChangeSettings, patch.words(), None)).await?;
    if let Some(level) = level {
        let mut log = app.log.lock();
        log.0.set(&level);
        log.1 = level;
    }
    app.feed.set_thresholds(wanted);
    Ok(Json(live(&app)))
}

/// Role: what a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// A person's own things.
    User,
    /// Everything under `/v1/admin` too.
    Admin,
}

/// `PUT /v1/admin/users/{user}/role`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRole {
    /// The role.
    pub role: RoleName,
}

impl Check for NewRole {}

/// Make a person an operator, or a plain user again.
///
/// An operator may do all that is under `/v1/admin`, with their own token.
#[utoipa::path(put, path = "/v1/admin/users/{user}/role", tag = "operators", request_body = NewRole,
    params(("user" = String, Path, description = "id or @handle")), responses((status = 204), Problems))]
pub async fn set_role(
    State(app): State<App>,
    admin: Admin,
    Path(user): Path<String>,
    Valid(new): Valid<NewRole>,
) -> Result<NoContent> {
    let id = app.users.resolve(&user).await?;
    app.acts.set_admin(&admin.0, id, new.role == RoleName::Admin).await?;
    Ok(NoContent)
}
