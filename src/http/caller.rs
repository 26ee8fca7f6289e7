//! Caller: the bearer token of a request, turned into a caller by whoever keeps the accounts.

use async_trait::async_trait;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use fanfare_protocol::{Code, Id};

use super::{HttpState, client_of};
use crate::base::error::Error;
use crate::base::limits::http::BEARER_BYTES_MAX;
use crate::base::token::TokenHash;
use crate::data::audit::{Actor, Operator};

/// Role: what a person may do beyond their own things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Nothing more.
    #[default]
    User,
    /// Everything under `/v1/admin`.
    Admin,
}

/// Person whom a valid token stands for. As an argument of a handler: without one the request is answered 401.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub id: Id,
    /// Role of the person.
    pub role: Role,
    /// Hash of the server's own token that was shown; `None` for a JWT, which no log-out can end.
    pub token_hash: Option<TokenHash>,
    /// End of the token, in milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
}

/// Keeps accounts and sessions. The HTTP layer knows no more of them.
#[async_trait]
pub trait Authenticate: Send + Sync + 'static {
    /// The caller of a bearer token. Refuses with [`Code::Unauthenticated`] when it is unknown, forged or ended.
    async fn authenticate(&self, bearer: &str) -> Result<Caller, Error>;
}

/// The caller of a route that can be read without a token. With `api.public_reads` off a token is needed after all;
/// a token that is wrong is refused in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaybeCaller(pub Option<Caller>);

impl MaybeCaller {
    /// The person, if there is one.
    #[must_use]
    pub fn id(&self) -> Option<Id> {
        self.0.map(|caller| caller.id)
    }
}

/// Proof that the request carries the admin token, or the token of a user whose role is admin; and which of them, for
/// the audit.
#[derive(Debug, Clone, Copy)]
pub struct Admin(pub Operator);

impl<S> FromRequestParts<S> for Caller
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match bearer(&parts.headers)? {
            Some(token) => HttpState::from_ref(state).accounts().authenticate(token).await,
            None => Err(unauthenticated("send `Authorization: Bearer TOKEN`; POST /v1/sessions gives a token")),
        }
    }
}

impl<S> FromRequestParts<S> for MaybeCaller
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let anonymous = !parts.headers.contains_key(header::AUTHORIZATION);
        if anonymous && HttpState::from_ref(state).api().public_reads {
            return Ok(Self(None));
        }
        Caller::from_request_parts(parts, state).await.map(|caller| Self(Some(caller)))
    }
}

impl<S> FromRequestParts<S> for Admin
where
    HttpState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Some(token) = bearer(&parts.headers)? else {
            return Err(unauthenticated("send the admin token; it is in admin.token in the data folder"));
        };
        let http = HttpState::from_ref(state);
        let address = client_of(parts, &http);
        if http.admin().matches(token) {
            return Ok(Self(Operator { actor: Actor::Token, address }));
        }
        let caller = http.accounts().authenticate(token).await?;
        match caller.role {
            Role::Admin => Ok(Self(Operator { actor: Actor::Person(caller.id), address })),
            Role::User => Err(Error::refused(Code::Forbidden, "only for operators")),
        }
    }
}

/// The token of `Authorization: Bearer TOKEN`; `None` without the header. The scheme's case does not matter.
///
/// # Errors
/// 401 when the header says something else.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().filter(|text| text.len() <= BEARER_BYTES_MAX).and_then(|text| {
        let (scheme, token) = text.trim().split_once(' ')?;
        let token = token.trim_start();
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
    });
    parsed.map(Some).ok_or_else(|| unauthenticated("the Authorization header is not `Bearer TOKEN`"))
}

fn unauthenticated(detail: &str) -> Error {
    Error::refused(Code::Unauthenticated, detail)
}
