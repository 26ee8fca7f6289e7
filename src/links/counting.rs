//! Seam between redirects and what counts them: a click is told before its answer is written, and totals are asked for.

use std::net::IpAddr;

use async_trait::async_trait;
use axum::http::HeaderMap;
use fanfare_protocol::Id;

use crate::base::error::Result;

/// Click as a redirect knows it: it holds an address and a user agent, which nobody keeps.
#[derive(Debug, Clone, Copy)]
pub struct RawClick<'a> {
    /// Code that was asked for.
    pub code: &'a str,
    /// The link.
    pub link: Id,
    /// Moment, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The client's address.
    pub client: IpAddr,
    /// Headers of the request.
    pub headers: &'a HeaderMap,
}

/// Fate of a click that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClickFate {
    /// Kept, also if the process is killed now.
    Kept,
    /// Lost; the redirect goes on.
    Lost,
}

/// Whoever counts clicks.
pub trait ClickSink: Send + Sync + 'static {
    /// Takes in a click whose redirect is about to be answered. Quick; called on the threads that serve requests.
    fn clicked(&self, click: &RawClick<'_>) -> ClickFate;

    /// Whether clicks are kept now: visits of links with a limit are not given out uncounted.
    fn is_counting(&self) -> bool;
}

/// Numbers of links.
#[async_trait]
pub trait Totals: Send + Sync + 'static {
    /// Visits of each of `links`, which are named by code and id, in their order.
    ///
    /// # Errors
    /// When the engine fails.
    async fn visits(&self, links: &[(&str, Id)]) -> Result<Vec<u64>>;

    /// Waits until every click that was told before is counted.
    ///
    /// # Errors
    /// 503 when that takes too long.
    async fn catch_up(&self) -> Result<()>;

    /// Removes the numbers of a link that was deleted; again it changes nothing.
    ///
    /// # Errors
    /// When the engine fails.
    async fn forget(&self, code: &str, link: Id) -> Result<()>;
}

/// Nobody counts: clicks are lost, and there are no numbers.
pub struct NobodyCounts;

impl ClickSink for NobodyCounts {
    fn clicked(&self, _: &RawClick<'_>) -> ClickFate {
        ClickFate::Lost
    }

    fn is_counting(&self) -> bool {
        true
    }
}

#[async_trait]
impl Totals for NobodyCounts {
    async fn visits(&self, links: &[(&str, Id)]) -> Result<Vec<u64>> {
        Ok(vec![0; links.len()])
    }

    async fn catch_up(&self) -> Result<()> {
        Ok(())
    }

    async fn forget(&self, _: &str, _: Id) -> Result<()> {
        Ok(())
    }
}
