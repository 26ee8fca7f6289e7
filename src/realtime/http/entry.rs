//! Entry of a session: version, origin, token or ticket, the cap, the cursor.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{Method, header};
use fanfare_protocol::{Code, Id, REALTIME_VERSION, Transport};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{cursor_text, resume};
use crate::base::error::{Error, Result};
use crate::http::{Caller, HttpState, Params, bearer, client_of};
use crate::realtime::attach::{Knows, Opener, Resume, SessionPermit};
use crate::realtime::cursor::StreamCursor;
use crate::realtime::ended_tokens::short;
use crate::realtime::service::Realtime;

/// Query of a request for a session.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Query {
    /// Cursor to resume from: the `id` of the last frame.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Instead of the Authorization header.
    #[serde(default)]
    pub ticket: Option<String>,
    /// Version of the protocol: 1.
    #[serde(default)]
    #[param(minimum = 1, maximum = 1)]
    v: Option<u32>,
    /// Types of frames, separated by commas, that this client understands beside those of the first clients:
    /// `author.deleted`. Without it a `reset` of the posts comes in its place.
    #[serde(default)]
    #[param(example = "author.deleted")]
    pub knows: Option<String>,
    /// Polls: seconds to wait for events, 0 to 60; 25 when absent.
    #[serde(default)]
    #[param(minimum = 0, maximum = 60)]
    pub wait: Option<u64>,
}

impl Query {
    /// The query of a request.
    ///
    /// # Errors
    /// 422 for numbers that are none.
    pub fn of(parts: &Parts) -> Result<Self> {
        Params::parse(parts).map(|Params(query)| query)
    }
}

/// A request that gets its session.
#[derive(Debug)]
pub struct Entry {
    /// Person whose session it is.
    pub user: Id,
    /// Token that opens it.
    pub opener: Opener,
    /// Transport that carries it.
    pub transport: Transport,
    /// Newer types that the client understands.
    pub knows: Knows,
    /// The client's address.
    pub address: IpAddr,
    /// Use that can be made of the cursor.
    pub resume: Resume,
    /// The cursor, if it can be used.
    pub cursor: Option<StreamCursor>,
    /// Counts it among the person's sessions.
    pub permit: SessionPermit,
}

impl Entry {
    /// Lets a request in.
    ///
    /// # Errors
    /// 400 for another version, 403 for an origin that may not, 401 without a good token or ticket, 429 at the cap.
    pub async fn of(realtime: &Realtime, http: &HttpState, parts: &Parts, transport: Transport) -> Result<Self> {
        if parts.method != Method::GET {
            return Err(Error::refused(Code::MethodNotAllowed, "sessions are opened with GET"));
        }
        let query = Query::of(parts)?;
        if query.v.is_some_and(|version| version != REALTIME_VERSION) {
            return Err(Error::field("v", format!("this server speaks version {REALTIME_VERSION}")));
        }
        check_origin(&realtime.settings().allowed_origins, parts)?;
        let (user, opener) = match (bearer(&parts.headers)?, &query.ticket) {
            (Some(token), _) => {
                let since_ms = realtime.clock().run_ms();
                let caller = http.accounts().authenticate(token).await?;
                (caller.id, Opener { since_ms, ..opener(realtime, &caller) })
            }
            (None, Some(ticket)) => realtime.redeem(ticket).await?,
            (None, None) => {
                let detail = "send `Authorization: Bearer TOKEN`, or ?ticket= from POST /v1/realtime/tickets";
                return Err(Error::refused(Code::Unauthenticated, detail));
            }
        };
        let address = client_of(parts, http);
        let knows = query.knows.as_deref().map(|list| realtime.types().known_in(list)).unwrap_or_default();
        let permit = realtime.permit(user, http.counted(address))?;
        realtime.catch_up().await;
        let (resume, cursor) = resume(realtime, user, cursor_text(&parts.headers, &query));
        Ok(Self { user, opener, transport, knows, address, resume, cursor, permit })
    }
}

/// Token by which a caller opens sessions.
pub fn opener(realtime: &Realtime, caller: &Caller) -> Opener {
    let token = caller.token_hash.as_ref().map_or(0, |hash| short(&hash.0));
    Opener { token, since_ms: realtime.clock().run_ms(), expires_ms: caller.expires_ms }
}

/// Requests without an origin are no browser's.
fn check_origin(allowed: &[String], parts: &Parts) -> Result<()> {
    let Some(origin) = parts.headers.get(header::ORIGIN).filter(|_| !allowed.is_empty()) else { return Ok(()) };
    if allowed.iter().any(|one| one == "*" || one.as_bytes().eq_ignore_ascii_case(origin.as_bytes())) {
        return Ok(());
    }
    Err(Error::refused(Code::Forbidden, "pages of this origin may not open sessions; see realtime.allowed_origins"))
}
