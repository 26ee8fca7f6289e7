//! `/demo.json`: as whom the page at `/` may log in. Only the demo has this route.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{DEMO_HANDLE, DEMO_PASSWORD};
use crate::app::App;

/// As whom a newcomer may log in.
#[derive(Debug, Serialize, ToSchema)]
struct DemoLogin {
    /// Handle of the demo person.
    handle: &'static str,
    /// The password: a demo has no secrets.
    password: &'static str,
}

/// The route.
#[must_use]
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(login))
}

/// As whom a newcomer may log in; only in `fanfare demo`.
#[utoipa::path(get, path = "/demo.json", tag = "operations", responses((status = 200, body = DemoLogin)))]
async fn login() -> ([(HeaderName, HeaderValue); 1], Json<DemoLogin>) {
    let fresh = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (fresh, Json(DemoLogin { handle: DEMO_HANDLE, password: DEMO_PASSWORD }))
}
