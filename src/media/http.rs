//! `POST /v1/media` and the addresses under which media are served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRef, FromRequest, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use fanfare_protocol::{Code, Id, Media};
use futures_util::{StreamExt as _, stream};
use parking_lot::Mutex;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::addresses::Signature;
use super::room::is_too_slow;
use super::service::{Servable, Upload, UploadRoom, Uploads, Variant, file_refused};
use super::serving::{self, Conditions, Representation};
use crate::base::error::{Error, Result};
use crate::base::limits::http::{BODY_IDLE_S, FIELD_MESSAGE_CHARS_MAX};
use crate::base::limits::media::{
    ALT_CHARS_MAX, CAPACITY_BYTES_MAX, OVERHEAD_BYTES_MAX, SERVED_AT_ONCE_BYTES, UPLOAD_RATE_BYTES_MIN,
};
use crate::base::text;
use crate::http::{Caller, Created, HttpState, Path, Problems, named_key, shed};

/// The routes of media.
pub fn routes<S>() -> OpenApiRouter<S>
where
    HttpState: FromRef<S>,
    Uploads: FromRef<S>,
    S: Clone + Send + Sync + 'static,
{
    // `Intake` bounds the body, by a setting that is not known here.
    let upload = OpenApiRouter::new().routes(routes!(upload)).layer(DefaultBodyLimit::disable());
    OpenApiRouter::new().routes(routes!(serve)).merge(upload)
}

/// The parts of an upload.
#[derive(serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "describes the multipart body, which is read part by part")]
struct NewMedia {
    /// The picture or file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// Alternative text: what the picture shows, up to 1,500 characters.
    #[schema(value_type = String, required = false, max_length = 1500)]
    alt: Option<String>,
    /// Purpose of an upload that is not for everybody: `message` for one that stands in messages alone.
    #[schema(inline, required = false)]
    purpose: Option<Purpose>,
}

/// Purpose of an upload.
#[derive(serde::Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "describes a part of the multipart body")]
enum Purpose {
    /// To be attached to messages: its addresses are signed, and good for some hours.
    Message,
}

/// An upload as it is served.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code, reason = "describes the answer, which is streamed")]
struct Served(Vec<u8>);

/// Upload a picture or a file.
///
/// Metadata, such as where a photo was taken, is removed from JPEG, PNG, GIF, WebP, HEIC, AVIF, TIFF, MP4 and MOV; for
/// every other type `notice` says that it was not. Name the answer's `id` in `media_ids` of a post. With the part
/// `purpose=message` it is private: name its `id` in `media_id` of a message within 24 hours.
#[utoipa::path(post, path = "/v1/media", tag = "media", security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255,
        pattern = "^[!-~]([ -~]*[!-~])?$",
        description = "1 to 255 characters; a repeat within 24 h answers the first result")),
    request_body(content = NewMedia, content_type = "multipart/form-data"),
    responses((status = 201, body = Media), (status = 400, description = "the body is not multipart"),
        (status = 410, description = "what the first request with this key made is gone"),
        (status = 413, description = "the file is larger than `media.file_bytes_max`"),
        (status = 415, description = "the body is not multipart, or the picture of a kind that cannot be read"),
        Problems))]
async fn upload(State(media): State<Uploads>, caller: Caller, request: Request) -> Result<Response> {
    let key = named_key(&request)?;
    let upload = receive(&media, caller.id, request).await?;
    let (made, repeat) = media.upload_keyed(caller.id, upload, key).await?;
    let mut response = Created(made).into_response();
    if repeat {
        response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Reads the parts, refusing as early as it can be known.
async fn receive(media: &Uploads, owner: Id, request: Request) -> Result<Upload> {
    let announced = announced_bytes(request.headers());
    if announced.is_some_and(|bytes| bytes > body_bytes_max(media)) {
        return Err(too_large(media));
    }
    if !is_multipart(request.headers()) {
        return Err(Error::refused(
            Code::UnsupportedMediaType,
            "send the file as `multipart/form-data`, in a part `file`",
        ));
    }
    let room = media.room(owner, announced.unwrap_or(body_bytes_max(media)))?;
    let pace = Mutex::new(Pace { began: Instant::now(), room_wait: Duration::ZERO });
    let intake = Arc::new(Intake { media: media.clone(), room, pace, failure: Mutex::default() });
    let request = request.map(|body| Arc::clone(&intake).guard(body));
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|cause| Error::refused(Code::BadRequest, format!("not a multipart body: {}", cause.body_text())))?;
    let (mut file, mut alt, mut private) = (None, None, false);
    while let Some(mut part) = intake.explain(parts.next_field().await)? {
        match part.name().unwrap_or_default() {
            "file" if file.is_none() => {
                let filename = filename(&part);
                let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(CAPACITY_BYTES_MAX) as usize);
                while let Some(chunk) = intake.explain(part.chunk().await)? {
                    if (bytes.len() + chunk.len()) as u64 > media.limits().file_bytes_max {
                        return Err(too_large(media));
                    }
                    bytes.extend_from_slice(&chunk);
                }
                file = Some((filename, Bytes::from(bytes)));
            }
            "alt" if alt.is_none() => alt = Some(alt_text(&intake, part).await?),
            "purpose" if !private => private = is_for_messages(&intake, part).await?,
            name @ ("file" | "alt" | "purpose") => return Err(Error::field(name, "is given twice")),
            name => {
                let name: String = name.chars().take(FIELD_MESSAGE_CHARS_MAX).collect();
                return Err(Error::field(name, "is not a part of this request; expected `file`, `alt` and `purpose`"));
            }
        }
    }
    intake.room.arrived();
    let (filename, bytes) = file.ok_or_else(|| Error::field("file", "is required"))?;
    Ok(Upload { filename, alt: alt.filter(|alt| !alt.is_empty()), private, bytes, room: intake.room.clone() })
}

/// Filename as the client gives it; `filename*` says it in full where `filename` cannot (RFC 6266, 4.3).
fn filename(part: &Field<'_>) -> Option<String> {
    let disposition = part.headers().get(header::CONTENT_DISPOSITION).and_then(|value| value.to_str().ok());
    let plain = || part.file_name().map(str::to_owned).or_else(|| disposition.and_then(serving::plain_filename));
    disposition.and_then(serving::extended_filename).or_else(plain)
}

async fn alt_text(intake: &Intake, mut part: Field<'_>) -> Result<String> {
    const UTF8_BYTES_MAX: usize = 4;
    let mut bytes = Vec::new();
    while let Some(chunk) = intake.explain(part.chunk().await)? {
        if bytes.len() + chunk.len() > ALT_CHARS_MAX * UTF8_BYTES_MAX {
            return Err(Error::field("alt", format!("must have at most {ALT_CHARS_MAX} characters")));
        }
        bytes.extend_from_slice(&chunk);
    }
    let raw = String::from_utf8(bytes).map_err(|_| Error::field("alt", "must be text in UTF-8"))?;
    text::normalise(&raw, ALT_CHARS_MAX).map_err(|cause| Error::field("alt", cause.to_string()))
}

/// Reads the part `purpose`, which says that an upload is for messages and nothing else.
async fn is_for_messages(intake: &Intake, mut part: Field<'_>) -> Result<bool> {
    const MESSAGE: &[u8] = b"message";
    let mut given = Vec::new();
    while let Some(chunk) = intake.explain(part.chunk().await)? {
        given.extend_from_slice(&chunk);
        if given.len() > MESSAGE.len() {
            break;
        }
    }
    if given == MESSAGE { Ok(true) } else { Err(Error::field("purpose", "is `message`, or left out")) }
}

/// Stands between the socket and the multipart parser, which buffers whatever it is given: each piece of the body first
/// finds room in memory, and the whole is bounded in bytes and in silence between pieces.
struct Intake {
    media: Uploads,
    room: UploadRoom,
    pace: Mutex<Pace>,
    /// Why the body was cut; the parser only knows that it was.
    failure: Mutex<Option<Error>>,
}

/// Pace of the client.
struct Pace {
    began: Instant,
    /// Time for which the client had to wait for room: that is not its doing.
    room_wait: Duration,
}

impl Pace {
    fn is_too_slow(&self, bytes: u64) -> bool {
        is_too_slow(bytes, self.began.elapsed().saturating_sub(self.room_wait))
    }
}

impl Intake {
    fn guard(self: Arc<Self>, body: Body) -> Body {
        let pieces =
            stream::try_unfold((self, body.into_data_stream(), 0), |(intake, mut pieces, before)| async move {
                match intake.next(&mut pieces, before).await {
                    Ok(piece) => Ok(piece.map(|piece| {
                        let received = before + piece.len() as u64;
                        (piece, (intake, pieces, received))
                    })),
                    Err(error) => {
                        let told = error.to_string();
                        *intake.failure.lock() = Some(error);
                        Err(told)
                    }
                }
            });
        Body::from_stream(pieces)
    }

    async fn next(&self, pieces: &mut BodyDataStream, before: u64) -> Result<Option<Bytes>> {
        let cut_short = || Error::refused(Code::BadRequest, "the body did not arrive whole");
        let piece = tokio::time::timeout(Duration::from_secs(BODY_IDLE_S), pieces.next()).await;
        let Some(piece) = piece.map_err(|_| cut_short())? else { return Ok(None) };
        let piece = piece.map_err(|_| cut_short())?;
        if before + piece.len() as u64 > body_bytes_max(&self.media) {
            return Err(too_large(&self.media));
        }
        if self.pace.lock().is_too_slow(before + piece.len() as u64) {
            shed("slow_uploads");
            let detail = format!("the body brings fewer than {UPLOAD_RATE_BYTES_MIN} bytes a second");
            return Err(Error::refused(Code::BadRequest, detail));
        }
        let asked = Instant::now();
        self.room.grow(piece.len()).await?;
        self.pace.lock().room_wait += asked.elapsed();
        Ok(Some(piece))
    }

    /// Answer of the parser, or why the body was cut.
    fn explain<T>(&self, answer: std::result::Result<T, MultipartError>) -> Result<T> {
        answer.map_err(|cause| {
            let unreadable =
                || Error::refused(Code::BadRequest, format!("not a multipart body: {}", cause.body_text()));
            self.failure.lock().take().unwrap_or_else(unreadable)
        })
    }
}

fn body_bytes_max(media: &Uploads) -> u64 {
    media.limits().file_bytes_max.saturating_add(OVERHEAD_BYTES_MAX)
}

fn too_large(media: &Uploads) -> Error {
    let message = format!("is larger than the {} bytes allowed for an upload", media.limits().file_bytes_max);
    file_refused(Code::PayloadTooLarge, &message)
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("multipart/form-data")
}

/// The bytes of an upload, or of its small picture.
///
/// To everybody, in ranges too, and never again to who has it: an address never gets other bytes. What was uploaded for
/// messages is there for who has an address of a message, with its `until` and `sig`, while that is good.
#[utoipa::path(get, path = "/media/{id}/{variant}", tag = "media", operation_id = "download", security(()),
    params(("id" = Id, Path), ("variant" = inline(Variant), Path, description = "`original` or `thumbnail`"), Signature),
    responses((status = 200, description = "The bytes", body = Served, content_type = "*/*"),
        (status = 206, description = "Some of the bytes", body = Served, content_type = "*/*"),
        (status = 304, description = "The client has it"), (status = 416, description = "There is no such range"),
        Problems))]
async fn serve(
    State(media): State<Uploads>,
    Path((id, variant)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let found = match (id.parse::<Id>().ok(), Variant::parse(&variant)) {
        (Some(id), Some(variant)) => media.serve(id, variant, &signature(query.as_deref())).await?,
        _ => None,
    };
    let found = found.ok_or_else(|| Error::not_found("media"))?;
    let mut asked = Conditions::of(&headers);
    if method != Method::GET {
        // Ranges are defined for GET only (RFC 9110, 14.2).
        asked.range = None;
    }
    let plan = serving::plan(&representation(&found), &asked);
    let body = match plan.body {
        Some(part) if method != Method::HEAD => body(media, found.key, part.start, part.end).await?,
        _ => Body::empty(),
    };
    Ok((plan.status, plan.headers, body).into_response())
}

/// Proof in an address; one that cannot be read is none.
fn signature(query: Option<&str>) -> Signature {
    query.and_then(|query| serde_urlencoded::from_str(query).ok()).unwrap_or_default()
}

fn representation(found: &Servable) -> Representation<'_> {
    Representation {
        content_type: &found.content_type,
        kind: found.row.kind,
        filename: found.row.filename.as_deref(),
        bytes_total: found.bytes_total,
        etag: &found.etag,
        private_for_s: found.private_for_ms.map(|rest_ms| rest_ms / 1_000),
    }
}

/// Bytes `from` up to `to` as a stream of small reads, so that memory does not grow with the file. The first is read
/// before the answer begins: an object that is gone is a 404, not a broken answer.
async fn body(media: Uploads, key: String, from: u64, to: u64) -> Result<Body> {
    let middle = to.min(from.saturating_add(SERVED_AT_ONCE_BYTES));
    let first = media.read(&key, from, middle).await?.ok_or_else(|| Error::not_found("media"))?;
    if middle == to {
        return Ok(Body::from(first));
    }
    let rest = stream::try_unfold((media, key, middle), move |(media, key, at)| async move {
        let until = to.min(at.saturating_add(SERVED_AT_ONCE_BYTES));
        if at == until {
            return Ok(None);
        }
        let bytes = media.read(&key, at, until).await?.ok_or_else(|| Error::not_found("media"))?;
        Ok::<_, Error>(Some((bytes, (media, key, until))))
    });
    let first = stream::once(async move { Ok::<_, Error>(first) });
    Ok(Body::from_stream(first.chain(rest)))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
