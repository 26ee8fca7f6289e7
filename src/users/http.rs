//! Routes of accounts, sessions and people.

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{NewPassword, NewSession, NewUser, Page, PatchUser, Session, User};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::app::App;
use crate::error::Result;
use crate::http::{Caller, Check, ClientAddr, Created, MaybeCaller, NoContent, Paging, Params, Path, Problems, Valid};

impl Check for NewUser {}
impl Check for NewSession {}
impl Check for NewPassword {}
impl Check for PatchUser {}

/// Register: makes an account and logs in.
#[utoipa::path(post, path = "/v1/users", tag = "accounts", request_body = NewUser, security(()),
    responses((status = 201, body = Session), Problems))]
pub async fn register(State(app): State<App>, Valid(new): Valid<NewUser>) -> Result<Created<Session>> {
    Ok(Created(app.users.register(new).await?))
}

/// Log in.
#[utoipa::path(post, path = "/v1/sessions", tag = "accounts", request_body = NewSession, security(()),
    responses((status = 201, body = Session), Problems))]
pub async fn log_in(
    State(app): State<App>,
    from: ClientAddr,
    Valid(new): Valid<NewSession>,
) -> Result<Created<Session>> {
    Ok(Created(app.users.log_in(new, from.0).await?))
}

/// Log out: ends the session of the token.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "accounts", responses((status = 204), Problems))]
pub async fn log_out(State(app): State<App>, caller: Caller) -> Result<NoContent> {
    app.users.log_out(&caller.into()).await?;
    Ok(NoContent)
}

/// Log out everywhere: ends every session, JWTs included.
#[utoipa::path(delete, path = "/v1/sessions", tag = "accounts", responses((status = 204), Problems))]
pub async fn log_out_everywhere(State(app): State<App>, caller: Caller) -> Result<NoContent> {
    app.users.log_out_everywhere(caller.id).await?;
    Ok(NoContent)
}

/// Change the password; ends every session but this one.
#[utoipa::path(put, path = "/v1/users/me/password", tag = "accounts", request_body = NewPassword,
    responses((status = 204), Problems))]
pub async fn change_password(
    State(app): State<App>,
    caller: Caller,
    from: ClientAddr,
    Valid(new): Valid<NewPassword>,
) -> Result<NoContent> {
    app.users.change_password(&caller.into(), new, from.0).await?;
    Ok(NoContent)
}

/// Delete the account and the person's data.
#[utoipa::path(delete, path = "/v1/users/me", tag = "accounts", responses((status = 204), Problems))]
pub async fn delete(State(app): State<App>, caller: Caller) -> Result<NoContent> {
    app.users.delete(caller.id).await?;
    Ok(NoContent)
}

/// The caller's own profile.
#[utoipa::path(get, path = "/v1/users/me", tag = "people", responses((status = 200, body = User), Problems))]
pub async fn me(State(app): State<App>, caller: Caller) -> Result<Json<User>> {
    Ok(Json(app.users.profile(None, caller.id).await?))
}

/// Change the caller's profile: a JSON merge patch.
#[utoipa::path(patch, path = "/v1/users/me", tag = "people", request_body = PatchUser,
    responses((status = 200, body = User), Problems))]
pub async fn patch(State(app): State<App>, caller: Caller, Valid(patch): Valid<PatchUser>) -> Result<Json<User>> {
    Ok(Json(app.users.patch(caller.id, patch).await?))
}

/// A profile, by id or `@handle`.
#[utoipa::path(get, path = "/v1/users/{user}", tag = "people", params(("user" = String, Path, description = "id or @handle")),
    security((), ("bearer" = [])), responses((status = 200, body = User), Problems))]
pub async fn profile(State(app): State<App>, viewer: MaybeCaller, Path(user): Path<String>) -> Result<Json<User>> {
    let id = app.users.resolve(&user).await?;
    Ok(Json(app.users.profile(viewer.id(), id).await?))
}

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Search {
    /// Beginning of a handle, a name, or a word of a name.
    #[serde(default)]
    pub q: String,
}

/// People whose handle or name begins with `q`.
#[utoipa::path(get, path = "/v1/search/users", tag = "people", params(Search, Paging),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn search(
    State(app): State<App>,
    caller: Caller,
    Params(search): Params<Search>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    let page = app.users.search(caller.id, &search.q, paging.limit.into(), paging.cursor.as_deref()).await?;
    Ok(Json(page))
}
