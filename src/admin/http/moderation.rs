//! Calls of operators about people and posts, and the audit of all that operators do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{AdminLink, AuditEntry, Id, NewSuspension, Page, SetPassword, Suspension};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::service::{Acts, clean_reason};
use crate::base::error::Result;
use crate::http::{Admin, Check, NoContent, Paging, Params, Path, Problems, Valid};
use crate::users::service::Users;

impl Check for NewSuspension {}
impl Check for SetPassword {}

/// Why an operator does what takes no body.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Reason {
    /// Why, for the audit: up to 500 characters.
    #[serde(default)]
    #[param(example = "spam")]
    pub(super) reason: Option<String>,
}

/// Delete a post, whoever wrote it.
///
/// It goes as if its author had deleted it: from then on it answers 410, and it leaves every feed and thread on the
/// next read. An operator by role cannot delete posts of operators this way; the admin token can.
#[utoipa::path(delete, path = "/v1/admin/posts/{id}", tag = "operators", operation_id = "operators_delete_post",
    params(("id" = Id, Path, description = "id of the post"), Reason), responses((status = 204, description = "deleted"), (status = 410, description = "it is gone already"), Problems))]
pub async fn delete_post(
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(post): Path<Id>,
    Params(why): Params<Reason>,
) -> Result<NoContent> {
    acts.delete_post(&admin.0, post, clean_reason(why.reason.as_deref())?).await?;
    Ok(NoContent)
}

/// A short link, whoever made it.
///
/// With who made it, and whether `links.blocklist_file` names it or its host.
#[utoipa::path(get, path = "/v1/admin/links/{code}", tag = "operators", operation_id = "operators_read_link",
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu")),
    responses((status = 200, body = AdminLink), (status = 410, description = "it was deleted"), Problems))]
pub async fn link(State(acts): State<Arc<Acts>>, _: Admin, Path(code): Path<String>) -> Result<Json<AdminLink>> {
    Ok(Json(acts.link(&code).await?))
}

/// Delete a short link, whoever made it.
///
/// Its code answers 410 from now on, for ever. An operator by role cannot delete links of operators this way; the admin
/// token can.
#[utoipa::path(delete, path = "/v1/admin/links/{code}", tag = "operators", operation_id = "operators_delete_link",
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu"), Reason),
    responses((status = 204, description = "deleted"), (status = 410, description = "it is gone already"), Problems))]
pub async fn delete_link(
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(code): Path<String>,
    Params(why): Params<Reason>,
) -> Result<NoContent> {
    acts.delete_link(&admin.0, &code, clean_reason(why.reason.as_deref())?).await?;
    Ok(NoContent)
}

/// Suspend a person, or change their suspension.
///
/// From the next read on nobody sees the person, their posts, or what they did; they are let in nowhere
/// (`account_suspended`, told after the right password or with a valid token), and their sessions are closed with 4403.
/// Nothing is rewritten: once the suspension ends, by `until` or by `DELETE`, everything is there again.
#[utoipa::path(put, path = "/v1/admin/users/{user}/suspension", tag = "operators", operation_id = "operators_suspend",
    request_body = NewSuspension, params(("user" = String, Path, description = "id or @handle", example = "@ada")),
    responses((status = 200, description = "suspended", body = Suspension),
        (status = 409, description = "too many are suspended"), Problems))]
pub async fn suspend(
    State(users): State<Arc<Users>>,
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(user): Path<String>,
    Valid(new): Valid<NewSuspension>,
) -> Result<Json<Suspension>> {
    let user = users.resolve(&user).await?;
    Ok(Json(acts.suspend(&admin.0, user, new).await?))
}

/// Lift a suspension.
///
/// Everything of the person is there again on the next read, and tokens from before are good again. Where there is no
/// suspension nothing happens.
#[utoipa::path(delete, path = "/v1/admin/users/{user}/suspension", tag = "operators",
    operation_id = "operators_unsuspend", params(("user" = String, Path, description = "id or @handle", example = "@ada"), Reason),
    responses((status = 204, description = "not suspended any more"), Problems))]
pub async fn unsuspend(
    State(users): State<Arc<Users>>,
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(user): Path<String>,
    Params(why): Params<Reason>,
) -> Result<NoContent> {
    let user = users.resolve(&user).await?;
    acts.unsuspend(&admin.0, user, clean_reason(why.reason.as_deref())?).await?;
    Ok(NoContent)
}

/// List the suspended people.
///
/// Newest accounts first. Suspensions that have ended by themselves are not shown.
#[utoipa::path(get, path = "/v1/admin/suspensions", tag = "operators", operation_id = "operators_suspensions", params(Paging),
    responses((status = 200, description = "a page of suspensions", body = Page<Suspension>), Problems))]
pub async fn suspensions(State(acts): State<Arc<Acts>>, _: Admin, paging: Paging) -> Result<Json<Page<Suspension>>> {
    Ok(Json(acts.suspensions(paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Give a person a password.
///
/// For people who have lost theirs; and the only way to give one to people of your own backend (JWT) or from an import.
/// Ends all their sessions, JWTs that are out included.
#[utoipa::path(put, path = "/v1/admin/users/{user}/password", tag = "operators",
    operation_id = "operators_set_password", request_body = SetPassword,
    params(("user" = String, Path, description = "id or @handle", example = "@ada")),
    responses((status = 204, description = "the password is set, all sessions have ended"), Problems))]
pub async fn set_password(
    State(users): State<Arc<Users>>,
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(user): Path<String>,
    Valid(new): Valid<SetPassword>,
) -> Result<NoContent> {
    let user = users.resolve(&user).await?;
    acts.set_password(&admin.0, user, new.password).await?;
    Ok(NoContent)
}

/// List the acts of operators.
///
/// Newest first, for 400 days. Every act leaves a line, in the same commit as what it did; none holds a secret.
#[utoipa::path(get, path = "/v1/admin/audit", tag = "operators", operation_id = "operators_audit", params(Paging),
    responses((status = 200, description = "a page of acts", body = Page<AuditEntry>), Problems))]
pub async fn audit(State(acts): State<Arc<Acts>>, _: Admin, paging: Paging) -> Result<Json<Page<AuditEntry>>> {
    Ok(Json(acts.audit(paging.limit.into(), paging.cursor.as_deref()).await?))
}
