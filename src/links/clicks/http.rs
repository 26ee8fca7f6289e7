//! Routes of numbers: of a link, for its owner.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use fanfare_protocol::{Bots, Interval, LinkStats, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::csv;
use super::service::Clicks;
use super::stats::Question;
use crate::base::error::Result;
use crate::http::{Caller, Params, Path, Problems};
use crate::links::Links;

/// Time that is asked about.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsQuery {
    /// First moment. Without it: for days since the link was made, for hours 30 days before `to`, for minutes one.
    #[param(value_type = Option<Timestamp>)]
    from: Option<Timestamp>,
    /// Moment up to which is counted, itself left out. Without it: now.
    #[param(value_type = Option<Timestamp>)]
    to: Option<Timestamp>,
    /// Length of a point. Minutes are kept for a week, hours for three months (settings), days as long as the link; at
    /// most 1,500 points are answered.
    #[serde(default)]
    #[param(inline)]
    interval: Interval,
    /// Whether programs count in the series and the lists.
    #[serde(default)]
    #[param(inline)]
    bots: Bots,
}

async fn asked(links: &Links, clicks: &Clicks, caller: Caller, code: &str, query: StatsQuery) -> Result<LinkStats> {
    let subject = links.subject(caller.id, code).await?;
    let StatsQuery { from, to, interval, bots } = query;
    clicks.stats(code, subject, Question { from, to, interval, bots }).await
}

/// Numbers of a link of the caller.
///
/// Clicks count within a second. `total` is every redirect that was answered; the series and each list sum to it over
/// whole UTC days, or to the people with `bots=exclude`. `unique` is an estimate, and over several days their sum.
#[utoipa::path(get, path = "/v1/links/{code}/stats", tag = "links", operation_id = "read_link_stats",
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu"), StatsQuery),
    responses((status = 200, body = LinkStats), (status = 410, description = "the link was deleted"), Problems))]
pub async fn stats(
    State(links): State<Links>,
    State(clicks): State<Arc<Clicks>>,
    caller: Caller,
    Path(code): Path<String>,
    Params(query): Params<StatsQuery>,
) -> Result<Json<LinkStats>> {
    Ok(Json(asked(&links, &clicks, caller, &code, query).await?))
}

/// Numbers of a link of the caller as CSV.
///
/// Rows of kind, name and count. A cell that begins like a formula has a `'` before it.
#[utoipa::path(get, path = "/v1/links/{code}/stats.csv", tag = "links", operation_id = "export_link_stats",
    params(("code" = String, Path, description = "Code or alias of the link", example = "3x5pu"), StatsQuery),
    responses((status = 200, description = "a line a number", body = String, content_type = "text/csv"),
        (status = 410, description = "the link was deleted"), Problems))]
pub async fn export(
    State(links): State<Links>,
    State(clicks): State<Arc<Clicks>>,
    caller: Caller,
    Path(code): Path<String>,
    Params(query): Params<StatsQuery>,
) -> Result<Response> {
    let stats = asked(&links, &clicks, caller, &code, query).await?;
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{code}.csv\"")),
        (header::CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    Ok((headers, csv::of_stats(&stats)).into_response())
}
