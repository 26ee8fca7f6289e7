//! Routes of reports.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fanfare_protocol::{Id, NewReport, Report};

use super::service::{Filed, Reports};
use crate::base::error::Result;
use crate::http::{Caller, Check, Created, Located, Path, Problems, Valid};

impl Check for NewReport {}

impl Located for Report {
    fn location(&self) -> String {
        format!("/v1/reports/{}", self.id)
    }
}

impl IntoResponse for Filed {
    fn into_response(self) -> Response {
        match self {
            Self::New(report) => Created(report).into_response(),
            Self::Known(report) => (StatusCode::OK, Json(report)).into_response(),
        }
    }
}

/// Report a message, a person or a conversation to the operators.
///
/// Only what the caller can see. A copy of it is kept as it is now, whatever becomes of it. The same thing again, as
/// long as no operator has seen to it, is the same report; at most 100 of a person are open at once.
#[utoipa::path(post, path = "/v1/reports", tag = "reports", request_body = NewReport,
    responses((status = 201, body = Report),
        (status = 200, description = "The caller has reported it before: the same report", body = Report), Problems))]
pub async fn file(State(reports): State<Reports>, caller: Caller, Valid(new): Valid<NewReport>) -> Result<Filed> {
    reports.file(caller.id, new).await
}

/// A report of the caller.
///
/// It says whether an operator has seen to it, and not what was done.
#[utoipa::path(get, path = "/v1/reports/{id}", tag = "reports", operation_id = "get_report", params(("id" = Id, Path)),
    responses((status = 200, body = Report), Problems))]
pub async fn get(State(reports): State<Reports>, caller: Caller, Path(id): Path<Id>) -> Result<Json<Report>> {
    Ok(Json(reports.get(caller.id, id).await?))
}
