//! Routes of realtime delivery.

mod entry;
mod presence;
mod send;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::{Code, Id, PollAnswer, ResetReason, Ticket, Transport};

pub use self::presence::{__path_heartbeat, __path_presence_of, heartbeat, presence_of};
pub use self::send::{__path_send, send};

use self::entry::{Entry, Query};
use super::announced::AnnouncedDeletions;
use super::attach::{Attach, Opening, PollWait, Resume, Taken};
use super::codes;
use super::cursor::StreamCursor;
use super::poll::{Poll, Polled};
use super::service::Realtime;
use crate::base::error::{Error, Result};
use crate::base::limits::realtime::POLL_WAIT_S_MAX;
use crate::http::takeover::{LetGo, TakeOver};
use crate::http::{Caller, HttpState, Located, Problems};

impl Located for Ticket {
    fn location(&self) -> String {
        "/v1/realtime".to_owned()
    }
}

fn taken(connection: LetGo, ends_head: bool) -> Taken {
    let LetGo { stream, mut head, leftover } = connection;
    if ends_head {
        head.extend_from_slice(b"\r\n");
    }
    Taken { stream, head, leftover }
}

/// Realtime events over a WebSocket.
///
/// Browsers see no status, so that refusals come as close codes of an opened socket: 4401 token missing or ended, 4403
/// origin or suspended account, 4429 too many connections.
#[utoipa::path(get, path = "/v1/realtime", tag = "realtime", params(Query),
    security((), ("ticket" = []), ("bearer" = [])),
    responses((status = 101, description = "Frames, one a text message"),
        (status = 400, description = "the request opens no WebSocket"), Problems))]
pub async fn connect(
    State(realtime): State<Realtime>,
    State(http): State<HttpState>,
    request: Request,
) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let compression = realtime.settings().compression;
    let accepted = match fanfare_websocket::accept(&parts.method, parts.version, &parts.headers, compression, &[]) {
        Ok(accepted) => accepted,
        Err(refusal) => {
            let detail = format!("this path is a WebSocket: {refusal}; without one use /v1/realtime/sse or /poll");
            let mut response = Error::refused(Code::BadRequest, detail).into_response();
            response.headers_mut().extend(refusal.headers());
            return Ok(response);
        }
    };
    let mut answer = Response::new(()).into_parts().0;
    answer.status = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers = accepted.headers();
    match Entry::of(&realtime, &http, &parts, Transport::Websocket).await {
        Ok(entry) => {
            let opening = entry.opening(&realtime, accepted.deflate, None);
            Ok(TakeOver::answer(answer, move |connection| realtime.open(taken(connection, true), opening)))
        }
        Err(error) => {
            let (code, reason) = match &error {
                Error::Refused(problem) => match problem.code {
                    Code::Unauthenticated => (codes::UNAUTHENTICATED, "the token is missing or has ended"),
                    Code::AccountSuspended => (codes::FORBIDDEN, codes::SUSPENDED),
                    Code::Forbidden => (codes::FORBIDDEN, "pages of this origin may not connect"),
                    Code::RateLimited => (codes::TOO_MANY, "too many connections"),
                    _ => return Err(error),
                },
                _ => return Err(error),
            };
            Ok(TakeOver::answer(answer, move |connection| {
                realtime.attach(Attach::Refusal(taken(connection, true), code, reason));
            }))
        }
    }
}

/// Realtime events as server-sent events.
///
/// `data` is a frame, `id` the cursor; `Last-Event-ID` resumes, and wins over `cursor`. The answer does not end.
#[utoipa::path(get, path = "/v1/realtime/sse", tag = "realtime",
    params(Query, ("Last-Event-ID" = Option<String>, Header,
        description = "Where to resume: the `id` of the last event")),
    security(("ticket" = []), ("bearer" = [])),
    responses((status = 200, description = "Events, for as long as both sides stay", body = String,
            content_type = "text/event-stream"),
        (status = 403, description = "pages of this origin may not open sessions"),
        (status = 429, description = "the person has too many sessions open"), Problems))]
pub async fn stream(
    State(realtime): State<Realtime>,
    State(http): State<HttpState>,
    request: Request,
) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let entry = Entry::of(&realtime, &http, &parts, Transport::Sse).await?;
    let opening = entry.opening(&realtime, false, None);
    let mut answer = Response::new(()).into_parts().0;
    let headers = &mut answer.headers;
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    if parts.method == Method::HEAD {
        return Ok(Response::from_parts(answer, Body::empty()));
    }
    Ok(TakeOver::answer(answer, move |connection| realtime.open(taken(connection, true), opening)))
}

/// Realtime events by asking.
///
/// What was missed since the cursor comes at once; where that is nothing, what comes within `wait` seconds.
#[utoipa::path(get, path = "/v1/realtime/poll", tag = "realtime", params(Query),
    security(("ticket" = []), ("bearer" = [])),
    responses((status = 200, body = PollAnswer),
        (status = 403, description = "pages of this origin may not open sessions"),
        (status = 429, description = "the person has too many sessions open"), Problems))]
pub async fn poll(
    State(realtime): State<Realtime>,
    State(http): State<HttpState>,
    request: Request,
) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let query = Query::of(&parts)?;
    // Who wants no body waits for none.
    let wait_s = if parts.method == Method::HEAD { 0 } else { query.wait.unwrap_or(25) };
    if wait_s > POLL_WAIT_S_MAX {
        return Err(Error::field("wait", format!("must be a whole number from 0 to {POLL_WAIT_S_MAX}")));
    }
    let transport = if wait_s == 0 { Transport::ShortPoll } else { Transport::LongPoll };
    let entry = Entry::of(&realtime, &http, &parts, transport).await?;
    let asked = Poll {
        user: entry.user,
        transport,
        resume: entry.resume,
        cursor: entry.cursor.as_ref(),
        knows: entry.knows,
        waits: wait_s > 0,
    };
    let (from, overlap, told) = match realtime.poll(asked).await? {
        Polled::Wait { from, overlap, told } => (from, overlap, told),
        Polled::Answer(body) => {
            let headers = [
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            return Ok((headers, body).into_response());
        }
    };
    let mut head = Response::new(()).into_parts().0;
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let wait = PollWait { wait_ms: wait_s * 1_000, overlap };
    let mut opening = entry.opening(&realtime, false, Some(wait));
    opening.from = from;
    opening.told = told;
    Ok(TakeOver::answer(head, move |connection| realtime.open(taken(connection, false), opening)))
}

/// A ticket for `?ticket=`, where the Authorization header cannot be set.
///
/// For WebSockets of browsers: good once, within a minute.
#[utoipa::path(post, path = "/v1/realtime/tickets", tag = "realtime", operation_id = "make_ticket",
    responses((status = 201, body = Ticket), Problems))]
pub async fn ticket(State(realtime): State<Realtime>, caller: Caller) -> Result<Response> {
    let opener = entry::opener(&realtime, &caller);
    let ticket = realtime.ticket(caller.id, opener).await?;
    let mut response = crate::http::Created(ticket).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The cursor of a request: `Last-Event-ID` wins, unless it is empty, as that of a client which has heard nothing yet.
fn cursor_text<'a>(headers: &'a HeaderMap, query: &'a Query) -> Option<&'a str> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let told = |text: &&str| !text.trim().is_empty();
    last.filter(told).or(query.cursor.as_deref().filter(told))
}

/// Beginning of a session, by what its cursor says.
fn resume(realtime: &Realtime, user: Id, text: Option<&str>) -> (Resume, Option<StreamCursor>) {
    match text.map(|text| realtime.open_cursor(user, text)) {
        None => (Resume::Fresh, None),
        Some(Ok(cursor)) => (Resume::From, Some(cursor)),
        Some(Err(ResetReason::Unknown)) | Some(Err(ResetReason::Malformed)) => {
            (Resume::Broken(ResetReason::Malformed), None)
        }
        Some(Err(reason)) => (Resume::Broken(reason), None),
    }
}

impl Entry {
    /// The session that this request asks for.
    fn opening(self, realtime: &Realtime, deflate: bool, poll: Option<PollWait>) -> Opening {
        let from = match (self.cursor, self.resume) {
            (Some(cursor), _) => cursor.marks,
            // What the client reads anew may lack what is on its way into timelines just now.
            (None, Resume::Broken(_)) => realtime.lately(),
            (None, _) => realtime.horizon(),
        };
        Opening {
            user: self.user,
            opener: self.opener,
            transport: self.transport,
            deflate,
            knows: self.knows,
            address: self.address,
            resume: self.resume,
            from,
            told: self.cursor.map(|cursor| AnnouncedDeletions::of_cursor(cursor.told)).unwrap_or_default(),
            permit: self.permit,
            poll,
        }
    }
}
