//! Calls of short links.

use fanfare_protocol::{Link, NewLink, Page, PatchLink};
use hyper::Method;

use crate::{Client, Paging, Result};

const NO_BODY: Option<&()> = None;

/// Answer to making a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeLink {
    /// The link.
    pub link: Link,
    /// Whether an earlier request with the same key made it.
    pub replayed: bool,
}

fn of(code: &str) -> String {
    format!("/v1/links/{code}")
}

impl Client {
    /// `POST /v1/links`, with an idempotency key if there is one.
    ///
    /// # Errors
    /// The problem.
    pub async fn make_link(&self, new: &NewLink, key: Option<&str>) -> Result<MadeLink> {
        let headers: Vec<(&str, &str)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        let answer = self.send_json(Method::POST, "/v1/links", &headers, Some(new)).await?.accepted()?;
        let replayed = answer.header("idempotency-replayed") == "true";
        Ok(MadeLink { link: answer.json()?, replayed })
    }

    /// Makes a short link to `url`, with what the server gives.
    ///
    /// # Errors
    /// The problem.
    pub async fn shorten(&self, url: &str) -> Result<Link> {
        Ok(self.make_link(&NewLink::to(url), None).await?.link)
    }

    /// A page of `GET /v1/links`.
    ///
    /// # Errors
    /// The problem.
    pub async fn links(&self, paging: Paging<'_>) -> Result<Page<Link>> {
        self.get(&paging.onto("/v1/links")).await
    }

    /// `GET /v1/links/{code}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn link(&self, code: &str) -> Result<Link> {
        self.get(&of(code)).await
    }

    /// `PATCH /v1/links/{code}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn change_link(&self, code: &str, patch: &PatchLink) -> Result<Link> {
        self.call(Method::PATCH, &of(code), Some(patch)).await
    }

    /// `DELETE /v1/links/{code}`.
    ///
    /// # Errors
    /// The problem.
    pub async fn delete_link(&self, code: &str) -> Result<()> {
        self.order(Method::DELETE, &of(code), NO_BODY).await
    }

    /// `GET /v1/links/{code}/qr.svg`.
    ///
    /// # Errors
    /// The problem.
    pub async fn link_qr(&self, code: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.download(&format!("{}/qr.svg", of(code))).await?).into_owned())
    }

    /// `GET /v1/links.csv`.
    ///
    /// # Errors
    /// The problem.
    pub async fn links_csv(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.download("/v1/links.csv").await?).into_owned())
    }
}
