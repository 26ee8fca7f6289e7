//! The HTTP layer as clients see it: requests against a small application whose routes do what the tests need.

mod bodies;
mod connections;
mod crowds;
mod doorsteps;
mod edges;
mod heads;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use fanfare_protocol::{Code, FieldError, Id, Problem};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use utoipa_axum::router::OpenApiRouter;

use super::*;
use crate::base::error::Error;
use crate::config::Settings;
use crate::data::storage::Storage;

/// Knows the tokens `person` (id 7) and `operator` (id 8, an admin).
struct TwoAccounts;

#[async_trait]
impl Authenticate for TwoAccounts {
    async fn authenticate(&self, bearer: &str) -> Result<Caller, Error> {
        match bearer {
            "person" => Ok(Caller { id: Id(7), role: Role::User, token_hash: None, expires_ms: None }),
            "operator" => Ok(Caller { id: Id(8), role: Role::Admin, token_hash: None, expires_ms: None }),
            _ => Err(Error::refused(Code::Unauthenticated, "unknown token")),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    text: String,
    #[serde(default)]
    media_ids: Vec<Id>,
    #[serde(default)]
    place: Option<Place>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    name: String,
}

impl Check for Note {
    fn check(&self, limits: &Checks) -> Vec<FieldError> {
        let long = self.text.chars().count() > limits.text_chars_max;
        let message = format!("is longer than {} characters", limits.text_chars_max);
        if long { vec![FieldError { field: "text".to_owned(), message }] } else { Vec::new() }
    }
}

/// Bytes of the answer of `/big`: more than the system keeps for a connection.
const BIG: usize = 32 << 20;

/// A server's router with what tests hold on to.
struct App {
    router: axum::Router,
    http: HttpState,
    admin_token: String,
    metrics_token: String,
    /// Requests to `/gate` wait until a test lets them through.
    gate: Arc<Semaphore>,
    /// Requests that have arrived at `/gate`.
    arrived: Arc<Semaphore>,
    _data_dir: tempfile::TempDir,
}

fn app() -> App {
    app_with(|_| ())
}

fn app_with(change: impl FnOnce(&mut Settings)) -> App {
    app_counting(change, true)
}

/// App where connections of this machine count for their address unless `spares_loopback`.
fn app_counting(change: impl FnOnce(&mut Settings), spares_loopback: bool) -> App {
    let mut settings = Settings::default();
    settings.posts.text_max = 10;
    change(&mut settings);
    let data_dir = tempfile::tempdir().unwrap();
    let operator = OperatorTokens::open(data_dir.path()).unwrap();
    let token = |file| std::fs::read_to_string(data_dir.path().join(file)).unwrap().trim().to_owned();
    let (admin_token, metrics_token) = (token(tokens::ADMIN_FILE), token(tokens::METRICS_FILE));
    let http = HttpState::counting(&settings, Arc::new(TwoAccounts), operator, Storage::default(), spares_loopback);
    let (gate, arrived) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let router = routes::router(test_routes(&gate, &arrived), http.clone());
    App { router, http, admin_token, metrics_token, gate, arrived, _data_dir: data_dir }
}

fn test_routes(gate: &Arc<Semaphore>, arrived: &Arc<Semaphore>) -> OpenApiRouter<HttpState> {
    let (gate, arrived) = (Arc::clone(gate), Arc::clone(arrived));
    OpenApiRouter::new()
        .route(
            "/notes",
            post(|Valid(note): Valid<Note>| async move {
                let place = note.place.map(|place| place.name);
                format!("{} {:?} {place:?}", note.text, note.media_ids)
            }),
        )
        .route("/own-notes", post(|_: Caller, _: Valid<Note>| async { "noted" }))
        .route(
            "/keyed",
            post(|Keyed { key, body }: Keyed<Note>| async move {
                let key = key.map(|key| key.of_caller(Id(7)));
                format!("{} {}", body.text, serde_json::to_string(&key).unwrap())
            }),
        )
        .route("/items", get(|page: Paging| async move { format!("{} {:?}", page.limit, page.cursor) }))
        .route("/items/{id}", get(|Path(id): Path<Id>| async move { Json(id) }))
        .route("/me", get(|caller: Caller| async move { Json(caller.id) }))
        .route("/maybe", get(|caller: MaybeCaller| async move { Json(caller.id()) }))
        .route("/operators", get(|_: Admin| async { "welcome" }))
        .route("/address", get(|ClientAddr(address): ClientAddr| async move { address.to_string() }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("secret of the house")
                }
            }),
        )
        .route("/fails", get(|| async { Err::<(), _>(Error::Internal("secret of the house".to_owned())) }))
        .route(
            "/limited",
            get(|| async { Err::<(), _>(Error::RateLimited { reason: "too many requests", retry_after_s: 9 }) }),
        )
        .route("/s/{code}", get(doorsteps::route))
        .route("/forever", get(std::future::pending::<()>))
        .route("/big", get(|| async { vec![b'x'; BIG] }))
        .route(
            "/gate",
            post(move || async move {
                arrived.add_permits(1);
                gate.acquire().await.map(tokio::sync::SemaphorePermit::forget).unwrap();
                "through"
            }),
        )
}

/// Answer as it came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Self { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The problem, after a look at what every problem must have.
    fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_str(&self.body).unwrap();
        assert_eq!((problem.status, problem.code.status()), (self.status, self.status));
        assert!(!self.header("x-request-id").is_empty(), "{self:?}");
        match self.status {
            401 => assert!(self.header("www-authenticate").starts_with("Bearer")),
            429 | 503 => assert!(self.header("retry-after").parse::<u32>().unwrap() > 0),
            _ => {}
        }
        problem
    }

    /// Code and, if any, the first refused field.
    fn refusal(&self) -> (Code, String) {
        let problem = self.problem();
        (problem.code, problem.errors.first().map(|error| error.field.clone()).unwrap_or_default())
    }
}

impl App {
    /// Sends a request, to the host x where it names none.
    async fn send(&self, mut request: Request) -> Answer {
        request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("x"));
        Answer::of(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// GET from this machine, with headers.
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.get_from("127.0.0.1:4000", path, headers).await
    }

    async fn get_from(&self, peer: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
        self.send(request).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let json = (header::CONTENT_TYPE, "application/json; charset=utf-8");
        self.send(Request::post(path).header(json.0, json.1).body(body.into()).unwrap()).await
    }
}
