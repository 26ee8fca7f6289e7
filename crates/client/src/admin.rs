//! Calls of operators and of whoever watches the server.

use fanfare_protocol::{
    AdminLink, AuditEntry, FiledReport, Id, NewSuspension, Page, ReportState, ResolveReport, SetPassword, Suspension,
};
use hyper::Method;
use serde_json::{Value, json};

use crate::{Client, Paging, Result};

impl Client {
    /// `GET /healthz`: the process is alive.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn healthz(&self) -> Result<()> {
        self.order(Method::GET, "/healthz", None::<&()>).await
    }

    /// `GET /readyz`: the server wants requests.
    ///
    /// # Errors
    /// `overloaded` while it starts or drains.
    pub async fn readyz(&self) -> Result<()> {
        self.order(Method::GET, "/readyz", None::<&()>).await
    }

    /// `GET /metrics`: Prometheus text, for the metrics token and operators.
    ///
    /// # Errors
    /// The problem.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.send(Method::GET, "/metrics", &[], bytes::Bytes::new()).await?.accepted()?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// `GET /openapi.json`.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn openapi(&self) -> Result<Value> {
        self.get("/openapi.json").await
    }

    /// `GET /v1/admin/status`, as it is: it grows with the server.
    ///
    /// # Errors
    /// The problem.
    pub async fn admin_status(&self) -> Result<Value> {
        self.get("/v1/admin/status").await
    }

    /// `GET /v1/admin/settings`.
    ///
    /// # Errors
    /// The problem.
    pub async fn admin_settings(&self) -> Result<Value> {
        self.get("/v1/admin/settings").await
    }

    /// `PATCH /v1/admin/settings` with some of its keys.
    ///
    /// # Errors
    /// The problem.
    pub async fn patch_admin_settings(&self, patch: &Value) -> Result<Value> {
        self.call(Method::PATCH, "/v1/admin/settings", Some(patch)).await
    }

    /// `DELETE /v1/admin/consumers/{name}`: a consumer of the journal that is no more.
    ///
    /// # Errors
    /// The problem.
    pub async fn remove_consumer(&self, name: &str, reason: Option<&str>) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/admin/consumers/{name}{}", why(reason)), None::<&()>).await
    }

    /// `PUT /v1/admin/users/{id}/role`.
    ///
    /// # Errors
    /// The problem.
    pub async fn set_admin(&self, user: Id, admin: bool) -> Result<()> {
        let role = if admin { "admin" } else { "user" };
        self.order(Method::PUT, &format!("/v1/admin/users/{user}/role"), Some(&json!({ "role": role }))).await
    }

    /// `DELETE /v1/admin/posts/{id}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn remove_post(&self, post: Id, reason: Option<&str>) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/admin/posts/{post}{}", why(reason)), None::<&()>).await
    }

    /// `GET /v1/admin/links/{code}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn admin_link(&self, code: &str) -> Result<AdminLink> {
        self.get(&format!("/v1/admin/links/{code}")).await
    }

    /// `DELETE /v1/admin/links/{code}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn remove_link(&self, code: &str, reason: Option<&str>) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/admin/links/{code}{}", why(reason)), None::<&()>).await
    }

    /// `PUT /v1/admin/users/{id or @handle}/suspension`.
    ///
    /// # Errors
    /// The problem.
    pub async fn suspend(&self, user: &str, new: &NewSuspension) -> Result<Suspension> {
        self.call(Method::PUT, &format!("/v1/admin/users/{user}/suspension"), Some(new)).await
    }

    /// `DELETE /v1/admin/users/{id or @handle}/suspension`.
    ///
    /// # Errors
    /// The problem.
    pub async fn unsuspend(&self, user: &str, reason: Option<&str>) -> Result<()> {
        self.order(Method::DELETE, &format!("/v1/admin/users/{user}/suspension{}", why(reason)), None::<&()>).await
    }

    /// `GET /v1/admin/suspensions`.
    ///
    /// # Errors
    /// The problem.
    pub async fn suspensions(&self, paging: Paging<'_>) -> Result<Page<Suspension>> {
        self.get(&paging.onto("/v1/admin/suspensions")).await
    }

    /// A page of `GET /v1/admin/reports`.
    ///
    /// # Errors
    /// The problem.
    pub async fn reports(&self, state: ReportState, paging: Paging<'_>) -> Result<Page<FiledReport>> {
        let state = match state {
            ReportState::Open => "open",
            ReportState::Resolved => "resolved",
            ReportState::All => "all",
        };
        self.get(&paging.with("/v1/admin/reports", &[("state", state)])).await
    }

    /// `PUT /v1/admin/reports/{id}/resolution`.
    ///
    /// # Errors
    /// The problem.
    pub async fn resolve_report(&self, report: Id, note: &str) -> Result<FiledReport> {
        let new = ResolveReport { note: note.to_owned() };
        self.call(Method::PUT, &format!("/v1/admin/reports/{report}/resolution"), Some(&new)).await
    }

    /// `PUT /v1/admin/users/{id or @handle}/password`.
    ///
    /// # Errors
    /// The problem.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<()> {
        let new = SetPassword { password: password.to_owned() };
        self.order(Method::PUT, &format!("/v1/admin/users/{user}/password"), Some(&new)).await
    }

    /// `GET /v1/admin/audit`.
    ///
    /// # Errors
    /// The problem.
    pub async fn audit(&self, paging: Paging<'_>) -> Result<Page<AuditEntry>> {
        self.get(&paging.onto("/v1/admin/audit")).await
    }
}

/// A reason as a query.
fn why(reason: Option<&str>) -> String {
    reason.map_or_else(String::new, |reason| {
        format!("?{}", form_urlencoded::Serializer::new(String::new()).append_pair("reason", reason).finish())
    })
}
