//! Routes of accounts, sessions and people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{NewPassword, NewSession, NewUser, Page, PatchUser, Session, User};
use serde::Deserialize;
use utoipa::IntoParams;

use super::service::Users;
use crate::base::error::Result;
use crate::http::{Caller, Check, ClientAddr, Created, MaybeCaller, NoContent, Paging, Params, Path, Problems, Valid};

impl Check for NewUser {}
impl Check for NewSession {}
impl Check for NewPassword {}
impl Check for PatchUser {}

/// Register: make an account and log in.
///
/// The answer holds the token of the first session; it is shown this once and goes into `Authorization: Bearer TOKEN`.
#[utoipa::path(post, path = "/v1/users", tag = "accounts", request_body = NewUser, security(()),
    responses((status = 201, body = Session), (status = 403, description = "registration is closed on this server"),
        (status = 409, description = "the handle is taken"), Problems))]
pub async fn register(
    State(users): State<Arc<Users>>,
    from: ClientAddr,
    Valid(new): Valid<NewUser>,
) -> Result<Created<Session>> {
    Ok(Created(users.register(new, from.0).await?))
}

/// Log in with handle and password.
///
/// Each log-in makes a session of its own, which lives `auth.token_days` days. The token is shown this once.
#[utoipa::path(post, path = "/v1/sessions", tag = "accounts", request_body = NewSession, security(()),
    responses((status = 201, body = Session), (status = 401, description = "`invalid_credentials`: no such account, or another password"),
        (status = 403, description = "`account_suspended`: told only after the right password"),
        (status = 429, description = "`rate_limited`: too many wrong passwords for this account from this address, or from this address"), Problems))]
pub async fn log_in(
    State(users): State<Arc<Users>>,
    from: ClientAddr,
    Valid(new): Valid<NewSession>,
) -> Result<Created<Session>> {
    Ok(Created(users.log_in(new, from.0).await?))
}

/// Log out: end the session of the token.
///
/// Its streams are closed at once. A JWT of the operator's backend is no session, and ends when it expires.
#[utoipa::path(delete, path = "/v1/sessions/current", tag = "accounts",
    responses((status = 204), (status = 409, description = "the token is a JWT"), Problems))]
pub async fn log_out(State(users): State<Arc<Users>>, caller: Caller) -> Result<NoContent> {
    users.log_out(&caller).await?;
    Ok(NoContent)
}

/// Log out everywhere: end every session of the caller.
///
/// JWTs that were issued until now are refused from here on too.
#[utoipa::path(delete, path = "/v1/sessions", tag = "accounts", responses((status = 204), Problems))]
pub async fn log_out_everywhere(State(users): State<Arc<Users>>, caller: Caller) -> Result<NoContent> {
    users.log_out_everywhere(caller.id).await?;
    Ok(NoContent)
}

/// Change the password; every session but this one ends.
///
/// JWTs that were issued until now end too, the caller's own included.
#[utoipa::path(put, path = "/v1/users/me/password", tag = "accounts", request_body = NewPassword,
    responses((status = 204), (status = 403, description = "the present password is another one"),
        (status = 409, description = "the account has no password; only an operator gives it one"),
        (status = 429, description = "too many wrong passwords"), Problems))]
pub async fn change_password(
    State(users): State<Arc<Users>>,
    caller: Caller,
    from: ClientAddr,
    Valid(new): Valid<NewPassword>,
) -> Result<NoContent> {
    users.change_password(&caller, new, from.0).await?;
    Ok(NoContent)
}

/// Delete the account and the person's data.
///
/// The person and their posts are gone for everybody at once; what they left is removed in the background.
#[utoipa::path(delete, path = "/v1/users/me", tag = "accounts", responses((status = 204), Problems))]
pub async fn delete(State(users): State<Arc<Users>>, caller: Caller) -> Result<NoContent> {
    users.delete(caller.id).await?;
    Ok(NoContent)
}

/// The caller's own profile.
///
/// The first call of an app that has a token: it says whose it is.
#[utoipa::path(get, path = "/v1/users/me", tag = "people", operation_id = "get_me",
    responses((status = 200, body = User), Problems))]
pub async fn me(State(users): State<Arc<Users>>, caller: Caller) -> Result<Json<User>> {
    Ok(Json(users.profile(Some(caller.id), caller.id).await?))
}

/// Change the caller's profile.
///
/// A JSON merge patch: a field that is absent stays, one that is `null` is cleared.
#[utoipa::path(patch, path = "/v1/users/me", tag = "people", operation_id = "update_me", request_body = PatchUser,
    responses((status = 200, body = User), Problems))]
pub async fn patch(
    State(users): State<Arc<Users>>,
    caller: Caller,
    Valid(patch): Valid<PatchUser>,
) -> Result<Json<User>> {
    Ok(Json(users.patch(caller.id, patch).await?))
}

/// A profile, by id or `@handle`.
///
/// With a token it says how the caller stands to the person. Who is blocked by the person finds nobody.
#[utoipa::path(get, path = "/v1/users/{user}", tag = "people", operation_id = "get", params(("user" = String, Path, description = "id or @handle")),
    security((), ("bearer" = [])), responses((status = 200, body = User), Problems))]
pub async fn profile(
    State(users): State<Arc<Users>>,
    viewer: MaybeCaller,
    Path(user): Path<String>,
) -> Result<Json<User>> {
    let id = users.resolve(&user).await?;
    Ok(Json(users.profile(viewer.id(), id).await?))
}

/// Words to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Search {
    /// Beginning of a handle, a name, or a word of a name.
    #[param(min_length = 1, max_length = 50, example = "gra")]
    q: String,
}

/// People whose handle or name begins with `q`.
///
/// For a field that completes names while somebody types. Case does not matter.
#[utoipa::path(get, path = "/v1/search/users", tag = "people", params(Search, Paging),
    responses((status = 200, body = Page<User>), Problems))]
pub async fn search(
    State(users): State<Arc<Users>>,
    caller: Caller,
    Params(search): Params<Search>,
    paging: Paging,
) -> Result<Json<Page<User>>> {
    let page = users.search(caller.id, &search.q, paging.limit.into(), paging.cursor.as_deref()).await?;
    Ok(Json(page))
}
