//! Routes of operators about what people report.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fanfare_protocol::{FiledReport, Id, Page, ReportState, ResolveReport};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::service::Acts;
use crate::base::error::Result;
use crate::http::{Admin, Check, Paging, Params, Path, Problems, Valid};
use crate::reports::Reports;

impl Check for ResolveReport {}

/// Choice of reports.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReportParams {
    /// `open`, `resolved` or `all`; `open` where nothing is said.
    #[serde(default)]
    #[param(inline)]
    state: ReportState,
}

/// Reports of people, newest first.
///
/// Each with a copy of what it is about, as it was when it was reported. Kept for 400 days.
#[utoipa::path(get, path = "/v1/admin/reports", tag = "operators", operation_id = "operators_reports",
    params(ReportParams, Paging),
    responses((status = 200, description = "a page of reports", body = Page<FiledReport>), Problems))]
pub async fn reports(
    State(reports): State<Reports>,
    _: Admin,
    Params(params): Params<ReportParams>,
    paging: Paging,
) -> Result<Json<Page<FiledReport>>> {
    Ok(Json(reports.list(params.state, paging.limit.into(), paging.cursor.as_deref()).await?))
}

/// Resolve a report.
///
/// The note says what was done, or why nothing was; it stands in the audit too. Whoever reported it sees that it was
/// resolved, and not the note. An operator by role cannot resolve reports of operators; the admin token can.
#[utoipa::path(put, path = "/v1/admin/reports/{id}/resolution", tag = "operators",
    operation_id = "operators_resolve_report", request_body = ResolveReport,
    params(("id" = Id, Path, description = "id of the report")),
    responses((status = 200, description = "resolved", body = FiledReport),
        (status = 409, description = "it was resolved with another note"), Problems))]
pub async fn resolve_report(
    State(acts): State<Arc<Acts>>,
    admin: Admin,
    Path(id): Path<Id>,
    Valid(new): Valid<ResolveReport>,
) -> Result<Json<FiledReport>> {
    Ok(Json(acts.resolve_report(&admin.0, id, &new.note).await?))
}
