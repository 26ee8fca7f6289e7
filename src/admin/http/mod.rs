//! Routes of operators: `/v1/admin/*`.

mod moderation;
mod realtime;
mod reports;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::FieldError;
use serde::Deserialize;
use utoipa::ToSchema;

pub use self::moderation::{
    __path_audit, __path_delete_link, __path_delete_post, __path_link, __path_set_password, __path_suspend,
    __path_suspensions, __path_unsuspend, audit, delete_link, delete_post, link, set_password, suspend, suspensions,
    unsuspend,
};

use self::moderation::Reason;
pub use self::realtime::{__path_close, __path_publish, __path_sessions, close, publish, sessions};
pub use self::reports::{__path_reports, __path_resolve_report, reports, resolve_report};
use super::running::{PatchSettings, RunningServer, RunningSettings, Status};
use super::service::{Acts, clean_reason};
use crate::base::error::Result;
use crate::config::LARGEST;
use crate::http::{Admin, Check, Checks, NoContent, Params, Path, Problems, Valid};
use crate::users::service::Users;

/// The server at this moment.
///
/// What `/metrics` says over time, as it is now: queues, timelines, and the authors who cost most.
#[utoipa::path(get, path = "/v1/admin/status", tag = "operators", operation_id = "get_status", responses((status = 200, body = Status), Problems))]
pub async fn status(State(running): State<Arc<RunningServer>>, _: Admin) -> Result<Json<Status>> {
    Ok(Json(running.status().await?))
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

/// Remove a consumer of the journal that is no more.
///
/// Consumers are registered in the data folder and hold the journal while they do not run, too: `journal_consumers` in
/// the status names them. What this one has not seen is let go of from then on, and cannot be had again. One that is a
/// part of the running server stays.
#[utoipa::path(delete, path = "/v1/admin/consumers/{name}", tag = "operators", operation_id = "remove_consumer",
    params(("name" = String, Path, description = "name of the consumer", example = "effects"), Reason),
    responses((status = 204, description = "removed"), (status = 409, description = "it is a part of this server"), Problems))]
pub async fn remove_consumer(
    State(live): State<Arc<RunningServer>>,
    admin: Admin,
    Path(name): Path<String>,
    Params(why): Params<Reason>,
) -> Result<NoContent> {
    live.remove_consumer(&admin.0, &name, clean_reason(why.reason.as_deref())?).await?;
    Ok(NoContent)
}

/// Settings that can change while the server runs.
///
/// By their names in the configuration.
#[utoipa::path(get, path = "/v1/admin/settings", tag = "operators", operation_id = "get_settings",
    responses((status = 200, body = RunningSettings), Problems))]
pub async fn settings(State(running): State<Arc<RunningServer>>, _: Admin) -> Json<RunningSettings> {
    Json(running.settings())
}

/// Change settings while the server runs.
///
/// What is absent stays. A restart reads the configuration again.
#[utoipa::path(patch, path = "/v1/admin/settings", tag = "operators", request_body = PatchSettings,
    responses((status = 200, body = RunningSettings), Problems))]
pub async fn change_settings(
    State(running): State<Arc<RunningServer>>,
    admin: Admin,
    Valid(patch): Valid<PatchSettings>,
) -> Result<Json<RunningSettings>> {
    Ok(Json(running.change(&admin.0, patch).await?))
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
    State(users): State<Arc<Users>>,
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(user): Path<String>,
    Valid(new): Valid<NewRole>,
) -> Result<NoContent> {
    let id = users.resolve(&user).await?;
    acts.set_admin(&admin.0, id, new.role == RoleName::Admin).await?;
    Ok(NoContent)
}
