//! Routes that the page at `/` asks of the demo: as whom to log in, and what the fan-out does. Only the demo has these
//! routes.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{DEMO_HANDLE, DEMO_PASSWORD, FRIEND_HANDLE};
use crate::app::App;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::http::{Caller, Params, Problems};
use crate::log::events::Policy;

/// Login for a newcomer.
#[derive(Debug, Serialize, ToSchema)]
struct DemoLogin {
    /// Handle of a person of the demo.
    handle: &'static str,
    /// The password: a demo has no secrets.
    password: &'static str,
}

/// Person of the page: one of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Played {
    /// The person whom a newcomer plays.
    #[default]
    Demo,
    /// The one beside.
    Friend,
}

/// Person of the page that is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Whom {
    /// `demo` when absent.
    #[serde(default, rename = "as")]
    played: Played,
}

/// Reach of an author: how their posts come to followers.
#[derive(Debug, Serialize, ToSchema)]
struct Reach {
    /// The author.
    user_id: Id,
    /// People who follow them.
    followers: u64,
    /// Timelines in memory that listen to them.
    timelines: usize,
    /// `pushed`, `late` or `pulled`.
    delivery: &'static str,
}

/// Posts of one kind of author, and what came of them.
#[derive(Debug, Serialize, ToSchema)]
struct Tier {
    /// Posts since the start.
    posts: u64,
    /// Entries written into timelines for them since the start.
    deliveries: u64,
}

/// Figures of the fan-out, for everybody who looks at the demo.
#[derive(Debug, Serialize, ToSchema)]
struct Engine {
    /// Home timelines in memory.
    timelines: usize,
    /// Entries in them.
    entries: usize,
    /// Bytes of the timelines.
    bytes: usize,
    /// Fan-out jobs that wait.
    waiting: usize,
    /// Authors with fewer followers are pushed at once.
    push_below: u64,
    /// Authors with more followers are pulled.
    pull_above: u64,
    /// Figures of authors who are pushed at once.
    pushed: Tier,
    /// Figures of authors who are pushed late, in slices.
    late: Tier,
    /// Figures of authors whose posts are left for readers.
    pulled: Tier,
    /// The authors that were asked for.
    authors: Vec<Reach>,
}

/// Authors whose reach is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Authors {
    /// Ids of authors, separated by commas, at most 100.
    #[serde(default)]
    authors: String,
}

/// The routes.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login)).routes(routes!(engine))
}

fn fresh() -> [(HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// Login for a newcomer.
///
/// Only `fanfare demo` has this call. Pages of other origins cannot read it.
#[utoipa::path(get, path = "/demo.json", tag = "operations", operation_id = "demo_login", security(()), params(Whom),
    responses((status = 200, body = DemoLogin), Problems))]
async fn login(Params(whom): Params<Whom>) -> ([(HeaderName, HeaderValue); 1], Json<DemoLogin>) {
    let handle = match whom.played {
        Played::Demo => DEMO_HANDLE,
        Played::Friend => FRIEND_HANDLE,
    };
    (fresh(), Json(DemoLogin { handle, password: DEMO_PASSWORD }))
}

/// Figures of the fan-out.
///
/// Only `fanfare demo` has this call, for everybody who has a token: its page shows the figures. Operators of a server
/// ask for `/v1/admin/status`.
#[utoipa::path(get, path = "/demo/engine.json", tag = "operations", operation_id = "demo_engine", params(Authors),
    responses((status = 200, body = Engine), Problems))]
async fn engine(
    State(app): State<App>,
    _: Caller,
    Params(wanted): Params<Authors>,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Engine>)> {
    let ids: Vec<Id> = wanted.authors.split(',').filter_map(|id| id.parse().ok()).collect();
    if ids.len() > limits::http::PAGE_ITEMS_MAX.into() {
        return Err(Error::field("authors", format!("at most {}", limits::http::PAGE_ITEMS_MAX)));
    }
    let mut authors = Vec::with_capacity(ids.len());
    for id in ids {
        authors.push(reach(&app, id).await?);
    }
    let feed = app.feed().clone();
    let stats = tokio::task::spawn_blocking(move || feed.stats())
        .await
        .map_err(|error| Error::Internal(format!("the statistics failed: {error}")))?;
    let thresholds = app.feed().thresholds();
    let tier = |posts, deliveries| Tier { posts, deliveries };
    Ok((
        fresh(),
        Json(Engine {
            timelines: stats.timelines,
            entries: stats.timeline_entries,
            bytes: stats.timeline_bytes,
            waiting: stats.push_queue + stats.late_queue,
            push_below: thresholds.push_below,
            pull_above: thresholds.pull_above,
            pushed: tier(stats.posts.push, stats.deliveries.push),
            late: tier(stats.posts.push_late, stats.deliveries.push_late),
            pulled: tier(stats.posts.pull, stats.deliveries.pull),
            authors,
        }),
    ))
}

async fn reach(app: &App, user_id: Id) -> Result<Reach> {
    let followers = app.users().profile(None, user_id).await?.followers_count;
    let (policy, timelines) = app.feed().reach(user_id, followers);
    let delivery = match policy {
        Policy::Push => "pushed",
        Policy::PushLate => "late",
        Policy::Pull => "pulled",
    };
    Ok(Reach { user_id, followers, timelines, delivery })
}
