//! Routes of realtime delivery.

mod entry;
mod presence;
mod send;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::{Code, Hello, Id, PollAnswer, Reset, ResetReason, Stream, Ticket, Transport};

pub use self::presence::{__path_heartbeat, __path_presence_of, heartbeat, presence_of};
pub use self::send::{__path_send, send};

use self::entry::{Entry, Query};
use super::attach::{Attach, Opening, PollWait, Resume, Taken};
use super::cursor::{Cursor, Watermarks, digest, place};
use super::frame::Frame;
use super::replay::Missed;
use super::told::Told;
use super::{codes, wire};
use crate::base::error::{Error, Result};
use crate::base::limits::realtime::{POLL_FRAMES_MAX, POLL_WAIT_S_MAX, TRAIL_MS};
use crate::http::takeover::{LetGo, TakeOver};
use crate::http::{Caller, HttpState, Located, Problems};
use crate::realtime::Realtime;

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
    let user = entry.user;
    realtime.heartbeat(user).await;
    // Before anything is read: what is committed later is found by the next poll, or by the session that waits.
    let upto = realtime.shared.committed();
    let cursor = match (&entry.cursor, entry.resume) {
        (Some(cursor), Resume::From) => *cursor,
        _ => return Ok(first_answer(&realtime, &entry, upto)),
    };
    realtime.heartbeat(user).await;
    let missed = realtime.missed(user, cursor.marks, upto).await?;
    let overlap: Vec<(usize, Id)> = missed.items().collect();
    let told = if entry.knows.author_deleted { Told::default() } else { Told::of(missed.novel()) };
    if wait_s == 0 || !missed.frames.is_empty() && is_news(&cursor, &missed) {
        let frames = if entry.knows.author_deleted { missed.frames } else { plain(missed, &cursor, &realtime) };
        return Ok(answer(&realtime, user, &frames, (&overlap, &told), cursor.marks, upto));
    }
    let mut head = Response::new(()).into_parts().0;
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    let wait = PollWait { wait_ms: wait_s * 1_000, overlap };
    let mut opening = entry.opening(&realtime, false, Some(wait));
    opening.from = [upto; 4];
    opening.told = told;
    Ok(TakeOver::answer(head, move |connection| realtime.open(taken(connection, false), opening)))
}

/// Whether what was missed is more than what the client got with its last answer, above its watermarks.
fn is_news(cursor: &Cursor, missed: &Missed) -> bool {
    // A gap is as new as the items that follow it; a reset stands alone.
    let stands_alone = |frame: &Frame| {
        frame
            .items()
            .is_none_or(|items| items.ids.is_empty() && !missed.items().any(|(of, _)| of == place(items.stream)))
    };
    missed.frames.iter().any(stands_alone)
        || (0..cursor.digests.len()).any(|stream| missed.digest(stream) != cursor.digests[stream])
}

/// What a client gets of `missed` that does not know every type: in place of a frame of another, the stream anew, unless it
/// got all of that stream with its last answer, or was told of the same by a reset.
fn plain(missed: Missed, cursor: &Cursor, realtime: &Realtime) -> Vec<Frame> {
    let Some(stream) = missed.frames.iter().find_map(Frame::novel_of) else { return missed.frames };
    let told = cursor.digests[place(stream)] == missed.digest(place(stream))
        || cursor.told != 0 && cursor.told == digest(missed.novel());
    let is_other = |frame: &Frame| frame.items().is_none_or(|items| items.stream != stream);
    let kept = |frame: &Frame| if told { frame.novel_of().is_none() } else { is_other(frame) };
    let mut frames: Vec<Frame> = missed.frames.into_iter().filter(kept).collect();
    if !told {
        let reset = Reset { streams: vec![stream], reason: ResetReason::AuthorDeleted };
        frames.insert(0, Frame::reset(&reset, cursor.marks[place(stream)], realtime.core.clock.now_ms()));
    }
    frames
}

/// The answer to a poll that brings no cursor, or none that can be used.
fn first_answer(realtime: &Realtime, entry: &Entry, upto: Id) -> Response {
    let now_ms = realtime.core.clock.now_ms();
    let cursor = sealed(realtime, entry.user, [upto; 4], (&[], &Told::default()), upto);
    let hello = Hello {
        session_id: Id(0),
        heartbeat_s: realtime.settings().heartbeat_s,
        resumed: false,
        transport: entry.transport,
        cursor: String::from_utf8_lossy(&cursor).into_owned(),
    };
    let mut frames = vec![Frame::of_session("hello", now_ms, &hello)];
    if let Resume::Broken(reason) = entry.resume {
        frames.push(Frame::reset(&Reset { streams: Stream::ALL.to_vec(), reason }, upto, now_ms));
    }
    body(&frames, &cursor)
}

fn answer(
    realtime: &Realtime,
    user: Id,
    frames: &[Frame],
    (overlap, told): (&[(usize, Id)], &Told),
    marks: Watermarks,
    upto: Id,
) -> Response {
    let mut upto_each = [upto; 4];
    let mut frames = frames;
    if frames.len() > POLL_FRAMES_MAX {
        // What does not fit comes with the next poll: the watermarks stay below it.
        let (first, rest) = frames.split_at(POLL_FRAMES_MAX);
        for items in rest.iter().filter_map(Frame::items) {
            if let Some(low) = items.low() {
                let stream = place(items.stream);
                upto_each[stream] = upto_each[stream].min(Id(low.0 - 1)).max(marks[stream]);
            }
        }
        frames = first;
    }
    let overlap: Vec<(usize, Id)> = overlap.iter().copied().filter(|(stream, id)| *id <= upto_each[*stream]).collect();
    body(frames, &sealed(realtime, user, upto_each, (&overlap, told), upto))
}

/// Watermarks do not pass this.
fn trailing(realtime: &Realtime) -> Id {
    crate::base::id::first_id_at(realtime.core.clock.now_ms().saturating_sub(TRAIL_MS))
}

/// The cursor after everything up to `upto`, trailing the clock; `overlap` is what the client has above it, or was told of.
fn sealed(
    realtime: &Realtime,
    user: Id,
    upto: Watermarks,
    (overlap, told): (&[(usize, Id)], &Told),
    newest: Id,
) -> wire::CursorText {
    let trailing = trailing(realtime);
    // Above the newest record there is nothing yet, however old it is.
    let marks = upto.map(|mark| if mark >= newest { trailing } else { mark.min(trailing) });
    let of = |stream: usize| overlap.iter().filter(move |(of, _)| *of == stream).map(|(_, id)| *id);
    let digests = std::array::from_fn(|stream| digest(of(stream).filter(|id| *id > marks[stream])));
    let told = told.digest(marks[place(Stream::Posts)]);
    realtime.shared.seal.seal(&Cursor { user, marks, digests, told })
}

fn body(frames: &[Frame], cursor: &wire::CursorText) -> Response {
    let mut body = Vec::new();
    wire::poll_body(&mut body, frames, cursor);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, body).into_response()
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

/// How a session begins, by what its cursor says.
fn resume(realtime: &Realtime, user: Id, text: Option<&str>) -> (Resume, Option<Cursor>) {
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
            (None, Resume::Broken(_)) => [trailing(realtime); 4],
            (None, _) => [realtime.shared.committed().max(trailing(realtime)); 4],
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
            told: self.cursor.map(|cursor| Told::of_cursor(cursor.told)).unwrap_or_default(),
            place: self.place,
            poll,
        }
    }
}
