//! Uploads and downloads through the whole router, over the engines in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use fanfare_engines::{Engines, Table};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::base::clock::Clock;
use crate::config::Settings;
use crate::data::store::Store;
use crate::http::{Authenticate, OperatorTokens, Role};
use crate::media::{Addresses, MediaLimits, MediaSettings, MediaTables};

const BOUNDARY: &str = "the-boundary";
const FILE_BYTES_MAX: u64 = 600_000;
const MEDIA: Table = Table { id: 1, name: "media" };
const OWNERS: Table = Table { id: 2, name: "media_owners" };

/// Takes a decimal id for the token of that person.
struct Accounts;

#[async_trait]
impl Authenticate for Accounts {
    async fn authenticate(&self, bearer: &str) -> Result<Caller> {
        let id = bearer.parse().map_err(|_| Error::refused(Code::Unauthenticated, "unknown token"))?;
        Ok(Caller { id, role: Role::User, token_hash: None, expires_ms: None })
    }
}

/// Nobody's account is ever deleted.
struct Everybody;

#[async_trait]
impl crate::log::core::Owners for Everybody {
    async fn writing(&self, person: Id) -> Result<crate::log::writers::Writing> {
        Ok(crate::log::writers::Writers::default().begin(person))
    }
}

#[derive(Clone)]
struct App {
    http: HttpState,
    media: Uploads,
}

impl FromRef<App> for HttpState {
    fn from_ref(app: &App) -> Self {
        app.http.clone()
    }
}

impl FromRef<App> for Uploads {
    fn from_ref(app: &App) -> Self {
        app.media.clone()
    }
}

struct World {
    router: Router,
    media: Uploads,
    engines: Engines,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let engines = fanfare_engines::memory::open(1).unwrap();
    let limits = MediaLimits { file_bytes_max: FILE_BYTES_MAX, ..MediaLimits::default() };
    let next = AtomicU64::new(100);
    let mint = Arc::new(move || Id(next.fetch_add(1, Ordering::Relaxed)));
    let addresses = Addresses::new(b"secret", String::new(), 1).unwrap();
    let settings = MediaSettings { limits, addresses };
    let store = Arc::new(Store::new(engines.clone(), Clock::system()));
    let names = MediaTables { media: MEDIA, owners: OWNERS };
    let media = Uploads::new(store, &engines.objects, mint, Arc::new(Everybody), names, settings, Clock::system());
    let tokens = OperatorTokens::open(folder.path()).unwrap();
    let http =
        HttpState::new(&Settings::default(), Arc::new(Accounts), tokens, crate::data::storage::Storage::default());
    let router = crate::http::routes::router(routes(), App { http, media: media.clone() });
    World { router, media, engines }
}

/// Status, headers and body of an answer.
type Answer = (StatusCode, HeaderMap, Bytes);

impl World {
    async fn send(&self, mut request: Request) -> Answer {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("x"));
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes())
    }

    async fn post(&self, token: &str, body: Vec<u8>) -> Answer {
        let request = Request::post("/v1/media")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn uploaded(&self, owner: &str, parts: &[Vec<u8>]) -> Media {
        let (status, headers, body) = self.post(owner, form(parts)).await;
        assert_eq!(status, StatusCode::CREATED, "{}", String::from_utf8_lossy(&body));
        let media: Media = serde_json::from_slice(&body).unwrap();
        assert_eq!(headers["location"], media.url);
        media
    }

    async fn get(&self, method: &str, path: &str, name: &str, value: &str) -> Answer {
        self.send(Request::builder().method(method).uri(path).header(name, value).body(Body::empty()).unwrap()).await
    }
}

fn part(name: &str, filename: &str, bytes: &[u8]) -> Vec<u8> {
    let filename = if filename.is_empty() { String::new() } else { format!("; filename=\"{filename}\"") };
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n");
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), format!("--{BOUNDARY}--\r\n").into_bytes()].concat()
}

fn picture() -> Vec<u8> {
    let mut png = Vec::new();
    let picture = image::DynamicImage::new_rgb8(800, 600);
    picture.write_with_encoder(image::codecs::png::PngEncoder::new(&mut png)).unwrap();
    png
}

#[tokio::test]
async fn a_picture_comes_back_with_its_size_its_thumbnail_and_its_words() {
    let world = world();
    let alt = part("alt", "", "  a black rectangle ⬛ ".as_bytes());
    let media = world.uploaded("7", &[part("file", "black.png", &picture()), alt]).await;
    assert_eq!((media.kind, &*media.content_type), (fanfare_protocol::MediaKind::Image, "image/png"));
    assert_eq!((media.width, media.height), (Some(800), Some(600)));
    assert_eq!(media.alt.as_deref(), Some("a black rectangle ⬛"));
    let (status, headers, body) = world.get("GET", &media.url, "accept", "*/*").await;
    assert_eq!((status, body.len() as u64), (StatusCode::OK, media.bytes));
    assert_eq!(headers["content-type"], "image/png");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-security-policy"], "sandbox; default-src 'none'");
    assert!(headers["content-disposition"].to_str().unwrap().starts_with("inline; filename=\"black.png\""));
    let (status, headers, _) = world.get("GET", &media.thumbnail_url.unwrap(), "accept", "*/*").await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &"image/jpeg".parse().unwrap()));
}

#[tokio::test]
async fn a_page_that_pretends_to_be_a_picture_is_a_download() {
    let world = world();
    let media = world.uploaded("7", &[part("file", "cat.png", b"<script>alert(1)</script>")]).await;
    assert_eq!((media.kind, &*media.content_type), (fanfare_protocol::MediaKind::File, "application/octet-stream"));
    let (_, headers, _) = world.get("GET", &media.url, "accept", "*/*").await;
    assert!(headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let thumbnail = format!("/media/{}/thumbnail", media.id);
    assert_eq!(world.get("GET", &thumbnail, "accept", "*/*").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn large_files_are_served_whole_in_parts_by_head_and_not_again() {
    let world = world();
    let bytes: Vec<u8> = (0..FILE_BYTES_MAX as u32).map(|i| (i % 251) as u8).collect();
    let media = world.uploaded("7", &[part("file", "data.bin", &bytes)]).await;
    let (_, headers, body) = world.get("GET", &media.url, "accept", "*/*").await;
    assert_eq!((&body[..], headers["content-length"].to_str().unwrap()), (&bytes[..], "600000"));
    let (status, headers, body) = world.get("GET", &media.url, "range", "bytes=1000-599998").await;
    assert_eq!((status, &body[..]), (StatusCode::PARTIAL_CONTENT, &bytes[1_000..599_999]));
    assert_eq!(headers["content-range"], "bytes 1000-599998/600000");
    let (status, headers, body) = world.get("HEAD", &media.url, "accept", "*/*").await;
    assert_eq!((status, headers["content-length"].to_str().unwrap(), body.len()), (StatusCode::OK, "600000", 0));
    let etag = headers["etag"].to_str().unwrap();
    let (status, _, body) = world.get("GET", &media.url, "if-none-match", etag).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(world.get("GET", &media.url, "range", "bytes=600000-").await.0, StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn bad_uploads_are_refused_by_name_and_leave_nothing() {
    let world = world();
    let file = || part("file", "a.bin", b"bytes");
    let truncated = &picture()[..200];
    let long = vec![b'x'; FILE_BYTES_MAX as usize + 1];
    // 28 frames of 6,000 x 6,000 pixels, with nothing in them.
    let frame = b"\x2c\0\0\0\0\x70\x17\x70\x17\0\x02\0".repeat(28);
    let film = [&b"GIF89a\x70\x17\x70\x17\0\0\0"[..], &frame, b"\x3b"].concat();
    for (body, status, told) in [
        (form(&[]), 422, "\"field\":\"file\""),
        (form(&[part("alt", "", b"words")]), 422, "\"field\":\"file\""),
        (form(&[part("file", "a", b"")]), 422, "is empty"),
        (form(&[file(), file()]), 422, "given twice"),
        (form(&[file(), part("title", "", b"x")]), 422, "\"field\":\"title\""),
        (form(&[file(), part("alt", "", "ä".repeat(1_501).as_bytes())]), 422, "\"field\":\"alt\""),
        (form(&[file(), part("alt", "", &[b'x'; 6_001])]), 422, "\"field\":\"alt\""),
        (form(&[file(), part("alt", "", b"\xff")]), 422, "UTF-8"),
        (form(&[file(), part("alt", "", b"a\0b")]), 422, "U+0000"),
        (form(&[part("file", "a.png", truncated)]), 422, "damaged"),
        (form(&[part("file", "a.gif", &film)]), 422, "pixels over all frames; at most 1000000000 are allowed"),
        (form(&[part("file", "a.bin", &long)]), 413, "600000 bytes"),
        (form(&[part("file", "a.bin", &[b'x'; 700_000])]), 413, "600000 bytes"),
        (file(), 400, "multipart"),
        (b"junk".to_vec(), 400, "multipart"),
    ] {
        let (found, headers, answer) = world.post("7", body).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(found == status && answer.contains(told), "{found} {answer}, but {status} {told} was expected");
        assert_eq!(headers["content-type"], "application/problem+json");
    }
    assert_eq!(world.media.owned(&(100..200).map(Id).collect::<Vec<_>>(), Id(7)).await.unwrap(), []);
}

#[tokio::test]
async fn an_upload_needs_a_token_and_a_multipart_body() {
    let world = world();
    let body = || Body::from(form(&[part("file", "a.bin", b"bytes")]));
    let anonymous = Request::post("/v1/media").header("content-type", "multipart/form-data; boundary=x");
    assert_eq!(world.send(anonymous.body(body()).unwrap()).await.0, StatusCode::UNAUTHORIZED);
    for (content_type, status) in [("application/json", 415), ("multipart/form-data", 400)] {
        let request =
            Request::post("/v1/media").header("authorization", "Bearer 7").header("content-type", content_type);
        assert_eq!(world.send(request.body(body()).unwrap()).await.0, status, "{content_type}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_404() {
    let world = world();
    let media = world.uploaded("7", &[part("file", "a.bin", b"bytes")]).await;
    for path in ["/media/999/original", "/media/x/original", &format!("/media/{}/large", media.id)] {
        assert_eq!(world.get("GET", path, "accept", "*/*").await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn only_the_owner_can_attach_an_upload() {
    let world = world();
    let mine = world.uploaded("7", &[part("file", "a.bin", b"mine")]).await;
    let theirs = world.uploaded("8", &[part("file", "b.bin", b"theirs")]).await;
    let ids = [theirs.id, mine.id, Id(999)];
    assert!(mine.notice.is_some());
    // Who sees a post is not told what its author was.
    assert_eq!(world.media.owned(&ids, Id(7)).await.unwrap(), [Media { notice: None, ..mine }]);
}

#[tokio::test]
async fn deleting_a_person_deletes_their_uploads_and_no_others() {
    let world = world();
    let mut gone = Vec::new();
    for _ in 0..70 {
        gone.push(world.uploaded("7", &[part("file", "a.bin", b"mine")]).await);
    }
    let stays = world.uploaded("8", &[part("file", "b.bin", b"theirs")]).await;
    world.media.delete_of(Id(7)).await.unwrap();
    world.media.delete_of(Id(7)).await.unwrap();
    for media in gone {
        assert_eq!(world.get("GET", &media.url, "accept", "*/*").await.0, StatusCode::NOT_FOUND);
        assert!(world.engines.objects.head(&format!("media/{}/original", media.id)).await.unwrap().is_none());
    }
    assert_eq!(world.get("GET", &stays.url, "accept", "*/*").await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_upload_waits_for_memory_until_another_is_done() {
    let world = world();
    let first = world.media.room(Id(7), crate::base::limits::media::RECEIVED_BYTES_MAX / 2).unwrap();
    first.grow(usize::try_from(crate::base::limits::media::RECEIVED_BYTES_MAX / 2).unwrap()).await.unwrap();
    let second = world.media.room(Id(7), 1 << 20).unwrap();
    world.media.room(Id(8), 1 << 20).unwrap().grow(1 << 20).await.unwrap();
    let mut waiting = Box::pin(second.grow(1));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    drop(first);
    waiting.await.unwrap();
}

#[tokio::test]
async fn an_upload_that_drips_is_refused_once_its_grace_is_over() {
    let world = world();
    let pace = |seconds| {
        let began = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        Mutex::new(Pace { began, room_wait: Duration::ZERO })
    };
    let intake = |seconds| Intake {
        media: world.media.clone(),
        room: world.media.room(Id(7), 1 << 20).unwrap(),
        pace: pace(seconds),
        failure: Mutex::default(),
    };
    let mut drip = Body::from("a few bytes").into_data_stream();
    let Err(Error::Refused(problem)) = intake(12).next(&mut drip, 300).await else { panic!("it goes on") };
    assert_eq!(problem.code, Code::BadRequest);
    assert!(problem.detail.contains("a second"), "{}", problem.detail);
    for (seconds, before) in [(5, 0), (12, 20_000)] {
        let mut piece = Body::from("a few bytes").into_data_stream();
        assert_eq!(intake(seconds).next(&mut piece, before).await.unwrap().unwrap(), "a few bytes");
    }
    // Waiting for room is not the client's doing.
    let waited = intake(30);
    waited.pace.lock().room_wait = Duration::from_secs(25);
    let mut piece = Body::from("a few bytes").into_data_stream();
    assert!(waited.next(&mut piece, 0).await.is_ok());
}
